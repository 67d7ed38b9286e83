"""MLCAH: whole and local features, local ones kept where they agree with the label (Ma et al., TMM 22, 2020).

No row of remote-sensing sets is known. Written from what is told of the paper, not from its text: the
attention that weighs cells and words by how well each tells the class is inferred. Frozen towers; similar
pairs weigh as much as all others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from landsift.models.batch import Batch
from landsift.models.features import Features
from landsift.models.methods.hashing.base import HashMatcher, LikelihoodOptions
from landsift.models.objectives.hashing_adversary import confusion, telling_apart
from landsift.models.objectives.hashing_codes import quantisation
from landsift.models.objectives.hashing_pairs import nll_pairwise
from landsift.models.objectives.hashing_similarity import label_similarity
from landsift.models.registry import MatcherSource, MatcherSpec, MethodCard

__all__ = ["SPEC", "Mlcah", "MlcahOptions"]


@dataclass(frozen=True)
class MlcahOptions(LikelihoodOptions):
    """Sizes and weights.

    Attributes:
        semantic: Width of the common space.
        quantisation: Weight of the distance from bits.
        classes: Weight of guessing the class.
        adversary: Weight of hiding from the critic.
    """

    semantic: int = 256
    quantisation: float = 0.1
    classes: float = 1.0
    adversary: float = 0.1


class _Levels(nn.Module):
    """A whole vector and its parts to a code; parts count as far as they tell a class."""

    def __init__(self, width: int, options: MlcahOptions, classes: int) -> None:
        super().__init__()
        self.whole, self.part = nn.Linear(width, options.semantic), nn.Linear(width, options.semantic)
        self.guess = nn.Linear(options.semantic, classes)
        self.code = nn.Linear(2 * options.semantic, options.bits)

    def forward(self, whole: Tensor, parts: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """``(n, width)``, ``(n, l, width)`` and ``(n, l)`` to the common vector, code and class logits."""
        whole, parts = functional.relu(self.whole(whole)), functional.relu(self.part(parts))
        logits = self.guess(whole)
        # How likely each part makes the class that the whole is taken for.
        agreement = (self.guess(parts).softmax(dim=2) * logits.softmax(dim=1)[:, None]).sum(dim=2)
        if mask is not None:
            agreement = agreement.masked_fill(~mask, 0.0)
        share = agreement / agreement.sum(dim=1, keepdim=True).clamp(min=1e-6)
        local = (share[:, :, None] * parts).sum(dim=1)
        common = torch.cat([whole, local], dim=1)
        return common, torch.tanh(self.code(common)), logits + self.guess(local)


class Mlcah(HashMatcher):
    """Two levels a side, one critic in the common space."""

    supervised = True
    needs_local = True

    image_hash: _Levels
    text_hash: _Levels

    def __init__(self, options: MlcahOptions, source: MatcherSource) -> None:
        super().__init__(options, source)
        self.critic = self.critic_of(2 * options.semantic)

    def make_heads(self, image_width: int, text_width: int) -> None:
        """Levels of both sides."""
        self.image_hash = _Levels(image_width, self.options, len(self.class_names))
        self.text_hash = _Levels(text_width, self.options, len(self.class_names))

    def image_codes(self, maps: Mapping[str, Tensor]) -> Features:
        """Codes, common vectors, class logits."""
        common, code, guess = self.image_hash(maps["pooled"], maps["cells"], None)
        return self.coded(code, {"common": common, "guess": guess})

    def text_codes(self, parts: Mapping[str, Tensor], mask: Tensor) -> Features:
        """Likewise."""
        common, code, guess = self.text_hash(parts["sentence"], parts["words"], mask)
        return self.coded(code, {"common": common, "guess": guess})

    def own_losses(
        self, batch: Batch, image: Features, text: Features, similarity: Tensor
    ) -> dict[str, Tensor]:
        """Likelihood of pairs, classes, bits, and captions that pass for images."""
        found, options, order = self.pairs(batch, image, text), self.options, batch.image_row
        target = label_similarity(found.labels, found.labels)
        known = found.labels >= 0
        guesses = (image.extras["guess"][order][known], text.extras["guess"][known])
        classes = self.total(*(functional.cross_entropy(guess, found.labels[known]) for guess in guesses))
        assert self.critic is not None
        return {
            "likelihood": nll_pairwise(found.image, found.text, target, reduce=options.pairs),
            "classes": options.classes * classes,
            "quantisation": options.quantisation
            * self.total(quantisation(found.image), quantisation(found.text)),
            "adversary": options.adversary * confusion(self.critic, text.extras["common"]),
        }

    def critic_losses(self, batch: Batch, image: Features, text: Features) -> dict[str, Tensor]:
        """Images are real, captions fake."""
        assert self.critic is not None
        real = image.extras["common"][batch.image_row]
        return {"telling-apart": telling_apart(self.critic, real, text.extras["common"])}


SPEC = MatcherSpec(
    MlcahOptions,
    Mlcah,
    "Ma et al.: Multi-Level Correlation Adversarial Hashing. IEEE TMM 22, 2020",
    MethodCard("MLCAH", 2020, "dot", "abstract only"),
)
