"""Loss terms by name: what a recipe's ``[loss]`` table turns into.

A term holds its options and what it trains itself (a temperature, a projector); the arithmetic is a pure
function of :mod:`landsift.models.objectives`. Knows features and batches; no data and no optimiser.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from landsift.errors import UsageError
from landsift.models import objectives
from landsift.models.objectives.distillation import DISTANCES
from landsift.models.objectives.triplet import REDUCTIONS, WEIGHTINGS
from landsift.models.registry import check_choices, checked_options, one_of
from landsift.train.ground import GroundPhotos, GroundPhotosOptions
from landsift.train.self_distilling import SelfDistil, SelfDistilOptions
from landsift.train.term import Encoded, Sizes, Term, positive, there

__all__ = ["TERMS", "Encoded", "Sizes", "Term", "build_term", "term_options"]

_HOTTEST = math.log(100.0)
"""Largest logarithm of a trained scale, as in CLIP."""


@dataclass(frozen=True)
class TripletOptions:
    """The hinge losses; see :func:`landsift.models.objectives.triplet`.

    Attributes:
        margin: What a right pair must be ahead by; 0 for the soft margin, which never ends.
        reduce: ``hardest``, ``sum`` or ``mean``.
        weighting: ``none``, ``difficulty`` or ``focal``.
        strength: Of the weighting.
        dynamic: Shrink the margin where captions have words in common; ``margin`` is then the largest.
        steepness: How late it shrinks.
    """

    margin: float = 0.2
    reduce: str = "hardest"
    weighting: str = "none"
    strength: float = 0.5
    dynamic: bool = False
    steepness: float = 5.0

    def __post_init__(self) -> None:
        check_choices(self, {"reduce": REDUCTIONS, "weighting": WEIGHTINGS})


class Triplet(Term):
    """The hinge losses."""

    def __init__(self, options: TripletOptions, sizes: Sizes) -> None:
        super().__init__(options, sizes)
        if options.dynamic:
            self.needs = frozenset({"text", "scores", "prior"})

    def forward(self, found: Encoded) -> Tensor:
        """Sum, mean or hardest costs, as chosen."""
        options = self.options
        margin: float | Tensor | None = options.margin or None
        if options.dynamic and found.batch.prior is not None:
            margin = objectives.dynamic_margin(
                found.batch.prior, largest=options.margin, steepness=options.steepness
            )
        return objectives.triplet(
            found.similarity,
            found.batch.positive,
            margin=margin,
            reduce=options.reduce,
            weighting=options.weighting,
            strength=options.strength,
        )


@dataclass(frozen=True)
class InfoNceOptions:
    """Symmetric InfoNCE with soft positives.

    Attributes:
        temperature: It starts at, unless the method has its own.
        learn: Train the temperature.
    """

    temperature: float = 0.07
    learn: bool = True

    def __post_init__(self) -> None:
        positive("temperature", self.temperature)


class InfoNce(Term):
    """Symmetric InfoNCE with soft positives; the method's own scale is used where it has one."""

    def __init__(self, options: InfoNceOptions, sizes: Sizes) -> None:
        super().__init__(options, sizes)
        start = torch.tensor(-math.log(options.temperature))
        self.log_scale = nn.Parameter(start, requires_grad=options.learn)

    def forward(self, found: Encoded) -> Tensor:
        """Mean of the two directions."""
        scale = self.log_scale.clamp(max=_HOTTEST).exp() if found.scale is None else found.scale
        return objectives.info_nce(scale * found.similarity, found.batch.positive)


@dataclass(frozen=True)
class SigmoidOptions:
    """The pairwise sigmoid loss.

    Attributes:
        scale: Factor from scores to logits it starts at, unless the method has its own.
        bias: Offset it starts at, unless the method has its own.
    """

    scale: float = 10.0
    bias: float = -10.0

    def __post_init__(self) -> None:
        positive("scale", self.scale)


class Sigmoid(Term):
    """The pairwise sigmoid loss; the method's own scale and bias are used where it has them."""

    def __init__(self, options: SigmoidOptions, sizes: Sizes) -> None:
        super().__init__(options, sizes)
        self.log_scale = nn.Parameter(torch.tensor(math.log(options.scale)))
        self.bias = nn.Parameter(torch.tensor(options.bias))

    def forward(self, found: Encoded) -> Tensor:
        """Sum over pairs, per caption."""
        scale = self.log_scale.clamp(max=_HOTTEST).exp() if found.scale is None else found.scale
        bias = self.bias if found.bias is None else found.bias
        return objectives.sigmoid_pairs(scale * found.similarity + bias, found.batch.positive)


@dataclass(frozen=True)
class RankingOptions:
    """The ranking loss of UCCH.

    Attributes:
        margin: How far below the right pair is far enough.
        shift: How much less a wrong pair that is far enough counts.
        temperature: Of the smooth maximum.
    """

    margin: float = 0.2
    shift: float = 1.0
    temperature: float = 1.0

    def __post_init__(self) -> None:
        positive("temperature", self.temperature)


class Ranking(Term):
    """The ranking loss over all wrong pairs."""

    def forward(self, found: Encoded) -> Tensor:
        """Both directions added."""
        options = self.options
        return objectives.ranking(
            found.similarity,
            found.batch.positive,
            margin=options.margin,
            shift=options.shift,
            temperature=options.temperature,
        )


@dataclass(frozen=True)
class UniformityOptions:
    """How evenly vectors spread.

    Attributes:
        sharpness: How fast far pairs stop to matter.
        logarithm: Take the logarithm of the mean (Wang and Isola); HVSA does not.
        texts: Spread the captions too.
    """

    sharpness: float = 2.0
    logarithm: bool = True
    texts: bool = False


class Uniformity(Term):
    """How evenly the images, and the captions, spread over the sphere."""

    needs = frozenset()

    def __init__(self, options: UniformityOptions, sizes: Sizes) -> None:
        super().__init__(options, sizes)
        if options.texts:
            self.needs = frozenset({"text"})

    def forward(self, found: Encoded) -> Tensor:
        """Mean over the sides."""
        sides = [found.image, found.text] if self.options.texts else [found.image]
        values = [
            objectives.uniformity(
                side.pooled, sharpness=self.options.sharpness, logarithm=self.options.logarithm
            )
            for side in sides
            if side is not None
        ]
        return torch.stack(values).mean()


@dataclass(frozen=True)
class AffiliationOptions:
    """Contrast with scene centres.

    Attributes:
        temperature: Of the softmax over scenes.
    """

    temperature: float = 0.07

    def __post_init__(self) -> None:
        positive("temperature", self.temperature)


class Affiliation(Term):
    """Draw images and captions to the centre of their scene in the other modality."""

    needs = frozenset({"text"})

    def forward(self, found: Encoded) -> Tensor:
        """Mean of the two directions."""
        return objectives.affiliation(
            found.image.pooled,
            there(found.text).pooled,
            found.batch.labels,
            found.batch.image_row,
            temperature=self.options.temperature,
        )


@dataclass(frozen=True)
class DistilFeaturesOptions:
    """Learn the teacher's vectors.

    Attributes:
        distance: ``cosine``, ``mse`` or ``smooth-l1``.
        images: Learn those of the images.
        texts: Learn those of the captions.
    """

    distance: str = "cosine"
    images: bool = True
    texts: bool = True

    def __post_init__(self) -> None:
        check_choices(self, {"distance": DISTANCES})
        if not self.images and not self.texts:
            raise ValueError("learn the teacher's images, texts or both")


class DistilFeatures(Term):
    """Learn the teacher's vectors, through one linear map where they are longer or shorter."""

    needs = frozenset({"text", "teacher"})

    def __init__(self, options: DistilFeaturesOptions, sizes: Sizes) -> None:
        super().__init__(options, sizes)
        same = sizes.dim == sizes.teacher
        self.adapter = nn.Identity() if same else nn.Linear(sizes.dim, sizes.teacher, bias=False)

    def forward(self, found: Encoded) -> Tensor:
        """Mean over the sides."""
        batch, values = found.batch, []
        if self.options.images:
            values.append((found.image, batch.teacher_images))
        if self.options.texts:
            values.append((there(found.text), batch.teacher_texts))
        distances = [
            objectives.feature_distance(self.adapter(own.pooled), there(teacher), kind=self.options.distance)
            for own, teacher in values
        ]
        return torch.stack(distances).mean()


@dataclass(frozen=True)
class DistilScoresOptions:
    """Rank as the teacher does.

    Attributes:
        scale: Factor from scores to logits on both sides.
    """

    scale: float = 20.0

    def __post_init__(self) -> None:
        positive("scale", self.scale)


class DistilScores(Term):
    """Rank the batch as the teacher does."""

    needs = frozenset({"text", "scores", "teacher"})

    def forward(self, found: Encoded) -> Tensor:
        """Mean of the two directions."""
        texts, images = there(found.batch.teacher_texts), there(found.batch.teacher_images)
        known = texts.abs().sum(dim=1) > 0
        teacher = images @ texts[known].T
        return objectives.score_divergence(
            self.options.scale * found.similarity[:, known], self.options.scale * teacher
        )


@dataclass(frozen=True)
class ViewsOptions:
    """Learn from two views of each image.

    Attributes:
        width: Of the hidden layer of the projector.
        out: Length of the vectors that are compared.
        temperature: Of SimCLR's softmax; VICReg has none.
    """

    width: int = 512
    out: int = 128
    temperature: float = 0.1

    def __post_init__(self) -> None:
        positive("temperature", self.temperature)


class _Views(Term):
    """Two views through a projector, which is not part of the encoder."""

    needs = frozenset({"view"})

    def __init__(self, options: ViewsOptions, sizes: Sizes) -> None:
        super().__init__(options, sizes)
        self.projector = nn.Sequential(
            nn.Linear(sizes.dim, options.width), nn.ReLU(), nn.Linear(options.width, options.out)
        )

    def _projected(self, found: Encoded) -> tuple[Tensor, Tensor]:
        return self.projector(found.image.pooled), self.projector(there(found.view).pooled)


class SimClr(_Views):
    """The contrastive loss of SimCLR."""

    def forward(self, found: Encoded) -> Tensor:
        """Mean over the views."""
        first, second = self._projected(found)
        ids = found.batch.image_ids
        same = ids[:, None] == ids[None, :]
        return objectives.nt_xent(first, second, temperature=self.options.temperature, same=same)


class VicReg(_Views):
    """Variance, invariance and covariance regularisation."""

    def forward(self, found: Encoded) -> Tensor:
        """With the weights of the paper."""
        return objectives.vicreg(*self._projected(found))


@dataclass(frozen=True)
class PseudoCaptionsOptions:
    """Captions of the batch as likely captions of images that have none.

    Attributes:
        temperature: Of the softmax over captions, unless the method has its own scale.
        regularisation: Of the transport; smaller makes the pseudo-captions sharper.
        iterations: Of the transport.
        images_only: Move the image tower only: the captions' vectors are taken as they are.
    """

    temperature: float = 0.07
    regularisation: float = 0.05
    iterations: int = 30
    images_only: bool = False

    def __post_init__(self) -> None:
        positive("temperature", self.temperature)
        positive("regularisation", self.regularisation)


class PseudoCaptions(Term):
    """Cross-entropy of images without captions against what optimal transport gives them (S-CLIP)."""

    needs = frozenset({"text", "unpaired"})

    def forward(self, found: Encoded) -> Tensor:
        """Mean over the images without captions."""
        options = self.options
        unpaired = functional.normalize(there(found.unpaired).pooled, dim=1)
        image = functional.normalize(found.image.pooled, dim=1)
        text = functional.normalize(there(found.text).pooled, dim=1)
        target = objectives.transport_targets(
            unpaired,
            image,
            found.batch.image_row,
            regularisation=options.regularisation,
            iterations=options.iterations,
        )
        scale = 1 / options.temperature if found.scale is None else found.scale
        logits = scale * unpaired @ (text.detach() if options.images_only else text).T
        return functional.cross_entropy(logits, target)


TERMS: Mapping[str, tuple[type[Any], type[Term]]] = {
    "affiliation": (AffiliationOptions, Affiliation),
    "distil-features": (DistilFeaturesOptions, DistilFeatures),
    "distil-scores": (DistilScoresOptions, DistilScores),
    "ground-photos": (GroundPhotosOptions, GroundPhotos),
    "info-nce": (InfoNceOptions, InfoNce),
    "pseudo-captions": (PseudoCaptionsOptions, PseudoCaptions),
    "ranking": (RankingOptions, Ranking),
    "self-distil": (SelfDistilOptions, SelfDistil),
    "sigmoid": (SigmoidOptions, Sigmoid),
    "simclr": (ViewsOptions, SimClr),
    "triplet": (TripletOptions, Triplet),
    "uniformity": (UniformityOptions, Uniformity),
    "vicreg": (ViewsOptions, VicReg),
}
"""Exact name to options and term."""


def term_options(name: str, options: Mapping[str, Any]) -> Any:
    """The options of a term, checked and with defaults filled in.

    Raises:
        UsageError: No such term, or no such option.
    """
    if name not in TERMS:
        raise UsageError(f"There is no loss term {name!r}; {one_of(name, list(TERMS))}")
    return checked_options(TERMS[name][0], options, f"[loss.{name}]")


def build_term(name: str, options: Mapping[str, Any], sizes: Sizes) -> Term:
    """Make a term by name.

    Raises:
        UsageError: No such term, or no such option.
    """
    chosen = term_options(name, options)
    return TERMS[name][1](chosen, sizes)
