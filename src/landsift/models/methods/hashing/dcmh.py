"""DCMH: the likelihood of the whole set's pairs, one side at a time (Jiang and Li, CVPR 2017).

No row of remote-sensing sets is known. Written after the released code. Deviates: frozen towers; the sides
take turns by pass; Adam instead of SGD with a falling rate; similar pairs weigh as much as all others.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from landsift.models.batch import Batch, Moment
from landsift.models.blocks.hashing import LinearHash
from landsift.models.features import Features
from landsift.models.methods.hashing.base import HashMatcher, LikelihoodOptions
from landsift.models.objectives.hashing_codes import balance_samples, quantisation
from landsift.models.objectives.hashing_pairs import nll_pairwise
from landsift.models.objectives.hashing_similarity import label_similarity
from landsift.models.registry import MatcherSpec, MethodCard

__all__ = ["SPEC", "Dcmh", "DcmhOptions"]


@dataclass(frozen=True)
class DcmhOptions(LikelihoodOptions):
    """Weights.

    Attributes:
        quantisation: Of the distance from the unified bits.
        balance: Of bits used half the time.
    """

    quantisation: float = 1.0
    balance: float = 1.0


class Dcmh(HashMatcher):
    """Outputs without a tanh, as printed; in even passes images learn, in odd ones captions."""

    supervised = True
    remembers = True

    def make_heads(self, image_width: int, text_width: int) -> None:
        """Two layers each, without a tanh."""
        bits, hidden = self.options.bits, self.options.hidden
        self.image_hash = LinearHash(image_width, bits, hidden, relax="none")
        self.text_hash = LinearHash(text_width, bits, hidden, relax="none")

    def begin_epoch(self, moment: Moment) -> None:
        """The unified bits of what is remembered."""
        self.memory.unify()

    def own_losses(
        self, batch: Batch, image: Features, text: Features, similarity: Tensor
    ) -> dict[str, Tensor]:
        """The side whose turn it is, against the other side's remembered codes."""
        found, memory = self.pairs(batch, image, text), self.memory
        memory.remember(found.rows, found.image, found.text, found.labels)
        images_turn = batch.moment.epoch % 2 == 0
        live, other = (found.image, memory.text) if images_turn else (found.text, memory.image)
        target = label_similarity(found.labels, memory.labels[memory.seen])
        likelihood = nll_pairwise(live, other[memory.seen], target, reduce=self.options.pairs)
        # The printed sums are divided by the number of pairs: N * N of the likelihood and of the squared
        # sums of the balance, N of the distances from bits.
        bits = live.shape[1]
        share = bits / int(memory.seen.sum())
        return {
            "likelihood": likelihood,
            "quantisation": self.options.quantisation * share * quantisation(live, memory.binary[found.rows]),
            "balance": self.options.balance * bits * balance_samples(live),
        }


SPEC = MatcherSpec(
    DcmhOptions,
    Dcmh,
    "Jiang and Li: Deep Cross-Modal Hashing. CVPR 2017, arXiv 1602.02255",
    MethodCard("DCMH", 2017, "dot", "code read"),
)
