"""A small head on pooled features: trained in seconds, stored in few bytes. Knows tensors only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from landsift.models.objectives import info_nce

__all__ = ["STORAGES", "Head", "HeadPlan", "bytes_per_image", "stored", "train_head"]

STORAGES = ("float16", "int8", "binary")
_SAMPLED = 256
_RATE, _DECAY = 2e-3, 0.05


@dataclass(frozen=True)
class HeadPlan:
    """What a head looks like and how it is trained.

    Attributes:
        dim: Length of its vectors; for ``binary`` the bits.
        width: Of a hidden layer on the image side; 0 for none.
        temperature: Of the softmax.
        storage: ``float16``, ``int8`` or ``binary``.
        gates: Weight of a penalty on a gate for each level, which lets training turn levels off; 0 for none.
        dropout: Share of features hidden.
        steps: Of training.
    """

    dim: int = 128
    width: int = 0
    temperature: float = 0.07
    storage: str = "float16"
    gates: float = 0.0
    dropout: float = 0.2
    steps: int = 150


class Head(nn.Module):
    """Two projections into one space, with a gate for each image level.

    Args:
        image: ``(n, width)`` training features, whose mean and spread are kept.
        text: ``(m, width)`` likewise.
        widths: Widths of the image levels that lie side by side.
        plan: Its shape.
    """

    def __init__(self, image: Tensor, text: Tensor, widths: Sequence[int], plan: HeadPlan) -> None:
        super().__init__()
        self.plan, self._widths = plan, list(widths)
        for name, rows in (("image", image), ("text", text)):
            self.register_buffer(f"{name}_mean", rows.mean(0))
            self.register_buffer(f"{name}_spread", rows.std(0) + 1e-6)
        self.gates = nn.Parameter(torch.full((len(widths),), 2.0))
        hidden = plan.width or plan.dim
        self.image = nn.Sequential(nn.Dropout(plan.dropout), nn.Linear(image.shape[1], hidden))
        if plan.width:
            self.image.extend([nn.GELU(), nn.Linear(hidden, plan.dim)])
        self.text = nn.Linear(text.shape[1], plan.dim)

    def open_gates(self) -> Tensor:
        """How far each level's gate is open, 0 to 1."""
        return self.gates.sigmoid()

    def images(self, rows: Tensor) -> Tensor:
        """``(n, width)`` features to ``(n, dim)`` unit rows."""
        rows = (rows - self.get_buffer("image_mean")) / self.get_buffer("image_spread")
        if self.plan.gates:
            each = torch.repeat_interleave(self.open_gates(), torch.tensor(self._widths, device=rows.device))
            rows = rows * each
        return self._stored(self.image(rows))

    def texts(self, rows: Tensor) -> Tensor:
        """``(m, width)`` features to ``(m, dim)`` unit rows."""
        rows = (rows - self.get_buffer("text_mean")) / self.get_buffer("text_spread")
        return self._stored(self.text(rows))

    def _stored(self, x: Tensor) -> Tensor:
        if self.plan.storage == "binary":
            soft = torch.tanh(x)
            # Signs forwards, the slope of tanh backwards (straight-through; Bengio et al., 2013, 1308.3432).
            x = soft + (torch.where(soft >= 0, 1.0, -1.0) - soft).detach()
        return functional.normalize(x, dim=1)


def train_head(
    image: Tensor,
    text: Tensor,
    image_of: Tensor,
    groups: Tensor,
    widths: Sequence[int],
    plan: HeadPlan,
    seed: int,
) -> Head:
    """Train a head by InfoNCE with soft positives.

    Args:
        image: ``(N, width)`` features of the images.
        text: ``(M, width)`` features of the captions.
        image_of: ``(M,)`` int64 image of each caption.
        groups: ``(M,)`` int64, equal for captions of equal wording.
        widths: Widths of the image levels that lie side by side.
        plan: How.
        seed: Of every random choice.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = Head(image, text, widths, plan)
        optimizer = torch.optim.AdamW(head.parameters(), lr=_RATE, weight_decay=_DECAY)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, total_steps=plan.steps)
        head.train()
        for _ in range(plan.steps):
            picked = torch.randperm(len(text))[: min(_SAMPLED, len(text))]
            loss = _loss(head, image, text, image_of[picked], groups[picked], picked)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
    return head.eval()


def _loss(head: Head, image: Tensor, text: Tensor, owners: Tensor, groups: Tensor, picked: Tensor) -> Tensor:
    images, texts = head.images(image[owners]), head.texts(text[picked])
    positive = (owners[:, None] == owners[None, :]) | (groups[:, None] == groups[None, :])
    loss = info_nce(images @ texts.T / head.plan.temperature, positive)
    return loss + head.plan.gates * head.open_gates().mean() if head.plan.gates else loss


def stored(rows: Tensor, storage: str) -> Tensor:
    """Rows as they come back from an index that stores them so."""
    if storage == "float16":
        return rows.half().float()
    if storage == "int8":
        scale = rows.abs().amax(dim=1, keepdim=True) / 127
        return (rows / scale).round() * scale
    return rows


def bytes_per_image(plan: HeadPlan) -> int:
    """What an index holds for one image."""
    return {"float16": 2 * plan.dim, "int8": plan.dim + 4, "binary": -(-plan.dim // 8)}[plan.storage]
