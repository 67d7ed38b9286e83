"""SSAH: a net of labels teaches both sides, critics hide which side a vector is of (Li et al., CVPR 2018).

No row of remote-sensing sets is known. Written after the released code and the paper, arXiv 1804.01223.
Deviates: frozen towers in place of CNN-F and of bags of words at five scales; the three nets take turns by
step; the likelihood is the paper's, which the release wraps in a squared error, and similar pairs weigh as
much in it as all others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from landsift.models.batch import Batch, Moment
from landsift.models.blocks.hashing import fully_connected
from landsift.models.features import Features
from landsift.models.methods.hashing.base import HashMatcher, LikelihoodOptions
from landsift.models.objectives.hashing_adversary import confusion, telling_apart
from landsift.models.objectives.hashing_codes import quantisation
from landsift.models.objectives.hashing_pairs import nll_pairwise
from landsift.models.objectives.hashing_similarity import label_similarity
from landsift.models.registry import MatcherSource, MatcherSpec, MethodCard

__all__ = ["SPEC", "Ssah", "SsahOptions"]


@dataclass(frozen=True)
class SsahOptions(LikelihoodOptions):
    """Sizes and weights.

    Attributes:
        semantic: Width of the layer that the three nets share.
        likelihood: Weight of the pairs' likelihood, of vectors and of codes.
        quantisation: Weight of the distance from the unified bits.
        classes: Weight of guessing the class.
        adversary: Weight of hiding from the critics.
    """

    semantic: int = 256
    likelihood: float = 1.0
    quantisation: float = 0.1
    classes: float = 1.0
    adversary: float = 0.1


class _Net(nn.Module):
    """A vector to the semantic layer, a code and class logits."""

    def __init__(self, width: int, hidden: int, semantic: int, bits: int, classes: int) -> None:
        super().__init__()
        self.semantic = fully_connected(width, hidden, semantic)
        self.code, self.guess = nn.Linear(semantic, bits), nn.Linear(semantic, classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        layer = torch.tanh(self.semantic(x))
        return layer, torch.tanh(self.code(layer)), self.guess(layer)


class Ssah(HashMatcher):
    """Three nets; that of labels serves training alone."""

    supervised = True
    remembers = True

    image_hash: _Net
    text_hash: _Net

    def __init__(self, options: SsahOptions, source: MatcherSource) -> None:
        super().__init__(options, source)
        self.critic = nn.ModuleList(
            nn.Sequential(
                fully_connected(options.semantic, options.semantic, options.semantic // 2, dropout=0.1),
                nn.ReLU(),
                nn.Linear(options.semantic // 2, 1),
            )
            for _ in range(2)
        )

    def make_heads(self, image_width: int, text_width: int) -> None:
        """Three nets of one shape."""
        options, classes = self.options, len(self.class_names)
        widths = (image_width, text_width, classes)
        self.image_hash, self.text_hash, self.label_hash = (
            _Net(width, options.hidden, options.semantic, options.bits, classes) for width in widths
        )

    def image_codes(self, maps: Mapping[str, Tensor]) -> Features:
        """Codes, the semantic layer, class logits."""
        layer, code, guess = self.image_hash(maps["pooled"])
        return self.coded(code, {"layer": layer, "guess": guess})

    def text_codes(self, parts: Mapping[str, Tensor], mask: Tensor) -> Features:
        """Likewise."""
        layer, code, guess = self.text_hash(parts["sentence"])
        return self.coded(code, {"layer": layer, "guess": guess})

    def begin_epoch(self, moment: Moment) -> None:
        """The unified bits, of all three nets: that of labels is asked anew."""
        labels = self.memory.labels
        with torch.no_grad():
            taught = self.label_hash(self._one_hot(labels))[1] * (labels >= 0)[:, None]
        self.memory.unify(taught)

    def _one_hot(self, labels: Tensor) -> Tensor:
        known = functional.one_hot(labels.clamp(min=0), len(self.class_names)).float()
        return known * (labels >= 0)[:, None]

    def own_losses(
        self, batch: Batch, image: Features, text: Features, similarity: Tensor
    ) -> dict[str, Tensor]:
        """The label net, then images and captions against what it gives."""
        found, options, order = self.pairs(batch, image, text), self.options, batch.image_row
        self.memory.remember(found.rows, found.image, found.text, found.labels)
        target = label_similarity(found.labels, found.labels)
        layer, code, guess = self.label_hash(self._one_hot(found.labels))
        nets = {
            "label": (layer, code, guess),
            "image": (image.extras["layer"][order], found.image, image.extras["guess"][order]),
            "text": (text.extras["layer"], found.text, text.extras["guess"]),
        }
        losses = {
            f"{name}-net": self._taught(
                net, (layer.detach(), code.detach()), target, found.rows, found.labels
            )
            for name, net in nets.items()
        }
        assert isinstance(self.critic, nn.ModuleList)
        sides = (nets["image"][0], nets["text"][0])
        hidden = [confusion(critic, side) for critic, side in zip(self.critic, sides, strict=True)]
        return losses | {"adversary": options.adversary * self.total(*hidden)}

    def _taught(
        self,
        net: tuple[Tensor, Tensor, Tensor],
        teacher: tuple[Tensor, Tensor],
        target: Tensor,
        rows: Tensor,
        labels: Tensor,
    ) -> Tensor:
        """One net against the label net's vectors and codes."""
        options, (layer, code, guess) = self.options, net
        likelihood = nll_pairwise(teacher[0], layer, target, reduce=options.pairs)
        likelihood = likelihood + nll_pairwise(teacher[1], code, target, reduce=options.pairs)
        near = quantisation(code, self.memory.binary[rows])
        guessed = functional.cross_entropy(guess, labels.clamp(min=0), reduction="none")
        known = (labels >= 0).float()
        classes = (guessed * known).sum() / known.sum().clamp(min=1)
        return options.likelihood * likelihood + options.quantisation * near + options.classes * classes

    def critic_losses(self, batch: Batch, image: Features, text: Features) -> dict[str, Tensor]:
        """Each critic tells the vectors of its side from those of labels."""
        assert isinstance(self.critic, nn.ModuleList)
        labels = batch.labels[batch.image_row]
        with torch.no_grad():
            real = self.label_hash(self._one_hot(labels))[0]
        sides = (image.extras["layer"][batch.image_row], text.extras["layer"])
        found = [telling_apart(critic, real, side) for critic, side in zip(self.critic, sides, strict=True)]
        return {"telling-apart": self.total(*found)}


SPEC = MatcherSpec(
    SsahOptions,
    Ssah,
    "Li et al.: Self-Supervised Adversarial Hashing. CVPR 2018, arXiv 1804.01223",
    MethodCard("SSAH", 2018, "dot", "code read"),
)
