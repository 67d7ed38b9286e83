"""CHNR: contrast that trusts a pair as far as a detector of wrong captions does (by the group of DUCH, 2022).

Compare under noise only. Written after the released code. Deviates: frozen towers; captions of another class
are put in place by row number, so that a run repeats; views of images and captions are not altered.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from landsift.models.batch import Batch
from landsift.models.blocks.hashing import fully_connected
from landsift.models.features import Features
from landsift.models.methods.hashing.base import HashMatcher, HashOptions
from landsift.models.objectives.hashing_codes import quantisation
from landsift.models.objectives.hashing_contrast import code_contrast
from landsift.models.registry import MatcherSource, MatcherSpec, MethodCard, one_of

__all__ = ["SPEC", "Chnr", "ChnrOptions"]

_WEIGHTINGS = ("normal", "exp", "dis", "none")


@dataclass(frozen=True)
class ChnrOptions(HashOptions):
    """Noise, detector and weights.

    Attributes:
        noise: Share of the pairs, outside the clean ones, whose caption is one of another class.
        clean: Share of the pairs that is known to be right.
        detecting: Share of the training in which only the detector and the clean pairs learn.
        weighting: ``normal``: a pair counts as far as it is trusted; ``exp``: the third power of that;
            ``dis``: 1 above the middle between right and wrong pairs, else 0; ``none``.
        temperature: Of the contrast.
        quantisation: Weight of the distance from bits.
    """

    noise: float = 0.0
    clean: float = 0.2
    detecting: float = 0.4
    weighting: str = "normal"
    temperature: float = 0.3
    quantisation: float = 0.001

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weighting not in _WEIGHTINGS:
            raise ValueError(
                f"there is no weighting {self.weighting!r}; {one_of(self.weighting, _WEIGHTINGS)}"
            )
        if not 0 <= self.noise <= 1 or not 0 < self.clean <= 1:
            raise ValueError(f"noise is 0 to 1 and clean above 0; got {self.noise} and {self.clean}")


class Chnr(HashMatcher):
    """DUCH's head, and a detector that sees both frozen vectors."""

    head = "mlp"

    def __init__(self, options: ChnrOptions, source: MatcherSource) -> None:
        super().__init__(options, source)
        width = self.towers.image_width + self.towers.text_width
        self.detector = fully_connected(width, options.hidden, 1)

    def own_losses(
        self, batch: Batch, image: Features, text: Features, similarity: Tensor
    ) -> dict[str, Tensor]:
        """The detector on clean pairs, and the weighed contrast."""
        options, order = self.options, batch.image_row
        rows, labels = batch.image_ids[order], batch.labels[order]
        clean = _share_of(rows, 0) < options.clean
        partner = _other_class(labels)
        wrong = ~clean & (_share_of(rows, 1) < options.noise)
        taken = torch.where(wrong, partner, torch.arange(len(rows), device=rows.device))
        ours, theirs = image.rows(order), text.rows(taken)
        logits, fakes = self._judged(ours, theirs), self._judged(ours, text.rows(partner))
        detector = functional.softplus(-logits[clean]).sum() + functional.softplus(fakes[clean]).sum()
        found = {"detector": detector / (2 * clean.sum()).clamp(min=1)}
        early = batch.moment.step < options.detecting * batch.moment.steps
        weight = clean.float() if early else self._trust(logits.detach(), fakes.detach()[clean])
        codes = (ours.extras["code"], theirs.extras["code"])
        heat = options.temperature
        contrast = code_contrast(*codes, temperature=heat, weight=weight, same=batch.positive[order])
        bits = self.total(*(quantisation(code) for code in codes))
        return found | {"contrast": contrast, "quantisation": options.quantisation * bits}

    def _judged(self, image: Features, text: Features) -> Tensor:
        logits: Tensor = self.detector(torch.cat([image.extras["x"], text.extras["x"]], dim=1))
        return logits[:, 0]

    def _trust(self, logits: Tensor, fakes: Tensor) -> Tensor:
        trust = torch.sigmoid(logits)
        if self.options.weighting == "exp":
            return trust**3
        if self.options.weighting == "dis":
            middle = (trust.mean() + torch.sigmoid(fakes).mean()) / 2
            return (trust > middle).float()
        return trust if self.options.weighting == "normal" else torch.ones_like(trust)


def _share_of(rows: Tensor, stream: int) -> Tensor:
    """A number from 0 to 1 for each training row, always the same."""
    mixed = (rows * 2654435761 + (stream + 1) * 40503) % 2**32
    mixed = ((mixed ^ (mixed >> 15)) * 2246822519) % 2**32
    return (mixed ^ (mixed >> 13)).double() / 2**32


def _other_class(labels: Tensor) -> Tensor:
    """For each row the next row of another class; the row itself where there is none."""
    n = len(labels)
    place = torch.arange(n, device=labels.device)
    ahead = (place[None] - place[:, None]) % n
    differs = labels[:, None] != labels[None]
    nearest = torch.where(differs, ahead, n).argmin(dim=1)
    return torch.where(differs.any(dim=1), nearest, place)


SPEC = MatcherSpec(
    ChnrOptions,
    Chnr,
    "Cross-modal hashing robust to noisy captions (CHNR), by the group of DUCH. 2022",
    MethodCard("CHNR", 2022, "dot", "code read"),
)
