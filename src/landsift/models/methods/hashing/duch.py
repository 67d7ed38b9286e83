"""DUCH: contrast of pairs and of their altered twins, a critic of sides (Mikriukov et al., ICASSP 2022).

Compare with the row DUCH of the hashing papers' tables. Written after the released code, arXiv 2201.08125.
Deviates: EfficientNet-Lite0 and MiniLM in place of ResNet-18 and BERT; the image twin is the recipe's changed
view, the caption's twin another draw of its synonyms; the critic's term presses the side labelled fake; means
over pairs in place of sums, so that weights do not depend on the batch.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from landsift.errors import UsageError
from landsift.models.batch import Batch, Moment
from landsift.models.features import Features
from landsift.models.methods.hashing.base import HashMatcher, HashOptions
from landsift.models.objectives.hashing_adversary import confusion, gradient_penalty, telling_apart
from landsift.models.objectives.hashing_codes import balance_bits, quantisation
from landsift.models.objectives.hashing_contrast import code_contrast
from landsift.models.registry import MatcherSource, MatcherSpec, MethodCard

__all__ = ["SPEC", "Duch", "DuchOptions", "twins"]


@dataclass(frozen=True)
class DuchOptions(HashOptions):
    """Weights.

    Attributes:
        temperature: Of the contrasts.
        within: Weight of the contrasts of a thing and its twin.
        adversary: Weight of hiding captions from the critic.
        quantisation: Weight of the distance from the unified bits.
        balance: Weight of as many ones as zeros.
        penalty: Weight of the critic's slope.
    """

    temperature: float = 1.0
    within: float = 1.0
    adversary: float = 0.01
    quantisation: float = 0.001
    balance: float = 0.01
    penalty: float = 10.0


def twins(batch: Batch, text: Features) -> tuple[Tensor, Tensor]:
    """Caption codes and those of their twins, one row an image.

    Raises:
        UsageError: Not two captions for each image.
    """
    code = text.extras["code"]
    if len(code) != 2 * len(batch):
        raise UsageError("This method compares two draws of a caption; set text.per_image to 2.")
    return code[0::2], code[1::2]


class Duch(HashMatcher):
    """The head of equation 1, four sets of codes, one memory."""

    head = "mlp"
    remembers = True
    needs = frozenset({"view"})

    def __init__(self, options: DuchOptions, source: MatcherSource) -> None:
        super().__init__(options, source)
        self.critic = self.critic_of(options.bits)

    def begin_epoch(self, moment: Moment) -> None:
        """The unified bits of what is remembered."""
        self.memory.unify()

    def twin_view(self, batch: Batch) -> Tensor:
        """Codes of the images' other views."""
        assert batch.view is not None
        view = batch.view if not isinstance(batch.view, Tensor) else self.lower(batch.view)
        return self.upper(view).extras["code"]

    def own_losses(
        self, batch: Batch, image: Features, text: Features, similarity: Tensor
    ) -> dict[str, Tensor]:
        """Three contrasts, the critic, bits and balance."""
        options, rows = self.options, batch.image_ids
        ours, ours_again = image.extras["code"], self.twin_view(batch)
        theirs, theirs_again = twins(batch, text)
        everyone = (ours, ours_again, theirs, theirs_again)
        self.memory.remember(rows, (ours + ours_again) / 2, (theirs + theirs_again) / 2, batch.labels)
        same = batch.positive[:, 0::2]
        heat = options.temperature
        within = code_contrast(ours, ours_again, temperature=heat, same=same)
        within = within + code_contrast(theirs, theirs_again, temperature=heat, same=same)
        bits, count = self.memory.binary[rows], options.bits
        assert self.critic is not None
        return {
            "between": code_contrast(ours, theirs, temperature=heat, same=same),
            "within": options.within * within,
            "adversary": options.adversary * confusion(self.critic, theirs),
            # As printed, both are sums over bits; the contrast is a sum over two rows a pair.
            "quantisation": options.quantisation
            * (count / 2)
            * self.total(*(quantisation(code, bits) for code in everyone)),
            "balance": options.balance
            * (count**2 / 2)
            * self.total(*(balance_bits(code) for code in everyone)),
        }

    def critic_losses(self, batch: Batch, image: Features, text: Features) -> dict[str, Tensor]:
        """Images are real, captions fake; the slope between them stays near 1."""
        assert self.critic is not None
        real, fake = image.extras["code"], twins(batch, text)[0]
        penalty = gradient_penalty(self.critic, real, fake)
        return {
            "telling-apart": telling_apart(self.critic, real, fake),
            "slope": self.options.penalty * penalty,
        }


SPEC = MatcherSpec(
    DuchOptions,
    Duch,
    "Mikriukov et al.: Deep Unsupervised Contrastive Hashing. ICASSP 2022, arXiv 2201.08125",
    MethodCard("DUCH", 2022, "dot", "code read", published="DUCH"),
)
