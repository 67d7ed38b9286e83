"""Fitting a dual encoder to cached image features and captions, and choosing the epoch on validation sets.

Knows no files: it gets features, captions and a model, and returns the state of the best epoch.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor, nn

from landsift.metrics import retrieval_report
from landsift.models.dual import DualEncoder
from landsift.models.losses import info_nce
from landsift.types import RetrievalSet
from training.wording import Pairs

__all__ = ["FitPlan", "ValidationSet", "encode_captions", "encode_features", "fit", "set_trainable"]

_IMAGES_AT_ONCE, _TEXTS_AT_ONCE = 128, 64


@dataclass(frozen=True)
class FitPlan:
    """How the encoder is fitted.

    Attributes:
        epochs: Passes over the images.
        batch: Images in a step.
        captions: Captions drawn for each of them.
        cut: Number of image tower blocks below the cached features.
        frozen_blocks: Number of image tower blocks that stay as ImageNet left them; at least ``cut``.
        frozen_layers: Number of text layers, from below, that stay as they were; the embeddings stay too.
        head_rate: Peak learning rate of the projections and the temperature.
        image_rate: Peak learning rate of the image tower.
        text_rate: Peak learning rate of the text tower.
        weight_decay: Of every matrix and kernel, not of biases, norms and the temperature.
        warm_up: Share of the steps in which the rates rise.
        dropout: Share of image features hidden from the projection.
        average: Decay per step of the averaged weights that are validated and kept.
        clip: Largest norm of the gradient.
        seed: Seed of every random choice.
    """

    epochs: int = 10
    batch: int = 128
    captions: int = 2
    cut: int = 8
    frozen_blocks: int = 11
    frozen_layers: int = 3
    head_rate: float = 1e-3
    image_rate: float = 2e-4
    text_rate: float = 1e-4
    weight_decay: float = 0.05
    warm_up: float = 0.1
    dropout: float = 0.25
    average: float = 0.995
    clip: float = 1.0
    seed: int = 0


@dataclass(frozen=True)
class ValidationSet:
    """A set an epoch is judged by.

    Attributes:
        pairs: Images and captions.
        features: ``(n, c, h, w)``: of its images without augmentation, below the cut.
    """

    pairs: RetrievalSet
    features: NDArray[np.float16]


def set_trainable(model: DualEncoder, plan: FitPlan) -> list[dict[str, object]]:
    """Freeze what the plan freezes and return AdamW's parameter groups for the rest."""
    model.requires_grad_(False)
    parts: list[tuple[float, list[nn.Module]]] = [
        (plan.head_rate, [model.image_projection, model.text_projection]),
        (plan.image_rate, [*model.image_tower.blocks[plan.frozen_blocks :], model.image_tower.head]),
        (plan.text_rate, list(model.text_tower.layers[plan.frozen_layers :])),
    ]
    model.log_scale.requires_grad_(True)
    groups: list[dict[str, object]] = [
        {"params": [model.log_scale], "lr": plan.head_rate, "weight_decay": 0.0}
    ]
    for rate, modules in parts:
        parameters = [p.requires_grad_(True) for module in modules for p in module.parameters()]
        for decays in (True, False):
            chosen = [p for p in parameters if (p.ndim > 1) == decays]
            groups.append(
                {"params": chosen, "lr": rate, "weight_decay": plan.weight_decay if decays else 0.0}
            )
    return groups


def fit(
    model: DualEncoder,
    features: NDArray[np.float16],
    pairs: Pairs,
    tokenizer: Tokenizer,
    validation: Sequence[ValidationSet],
    plan: FitPlan,
    say: Callable[[str], None] = print,
) -> tuple[dict[str, Tensor], list[dict[str, float]]]:
    """Train, validate the averaged weights after every epoch, and keep those of the best one.

    Args:
        model: Its batch norms already folded; ends with the weights of the last step.
        features: ``(n, views, c, h, w)``: of every view of every training image, below ``plan.cut``.
        pairs: Captions of the same ``n`` images.
        tokenizer: Cuts at the context length and does not pad.
        validation: An epoch's score is the mean mR over these.
        plan: Everything else.
        say: Takes a line of progress.

    Returns:
        The state of the best epoch, and a row of measurements per epoch.
    """
    torch.manual_seed(plan.seed)
    steps = plan.epochs * math.ceil(len(pairs) / plan.batch)
    run = _Run(model, features, pairs, tokenizer, plan, steps)
    best, best_score = copy.deepcopy(run.averaged.state_dict()), -1.0
    history: list[dict[str, float]] = []
    for epoch in range(1, plan.epochs + 1):
        row = {"epoch": epoch} | run.epoch() | _judged(run.averaged, validation, tokenizer, plan)
        say("  " + "  ".join(f"{key} {value:.4g}" for key, value in row.items()))
        history.append(row)
        if row["validation_mR"] > best_score:
            best, best_score = copy.deepcopy(run.averaged.state_dict()), row["validation_mR"]
    return best, history


class _Run:
    """The state of a fit: model, average, optimiser and random choices."""

    def __init__(
        self,
        model: DualEncoder,
        features: NDArray[np.float16],
        pairs: Pairs,
        tokenizer: Tokenizer,
        plan: FitPlan,
        steps: int,
    ) -> None:
        self.model, self.plan = model, plan
        self.features, self.pairs, self.tokenizer = features, pairs, tokenizer
        self.averaged = copy.deepcopy(model).eval()
        self.optimiser = torch.optim.AdamW(set_trainable(model, plan))
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimiser, lambda step: _rate(step, steps, plan.warm_up)
        )
        self.rng = np.random.default_rng(plan.seed)

    def epoch(self) -> dict[str, float]:
        """One pass over the images."""
        started = time.perf_counter()
        self.model.train()
        losses = [self.step(rows) for rows in _batches(len(self.pairs), self.plan.batch, self.rng)]
        return {
            "loss": float(np.mean(losses)),
            "scale": self.model.scale.item(),
            "train_seconds": round(time.perf_counter() - started, 1),
        }

    def step(self, rows: NDArray[np.int64]) -> float:
        """One batch; returns its loss."""
        loss = self._loss(rows)
        self.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_([p for p in self.model.parameters() if p.requires_grad], self.plan.clip)
        self.optimiser.step()
        self.schedule.step()
        # Young averages forget faster, or the random start would linger in them.
        steps = self.schedule.last_epoch
        _blend(self.averaged, self.model, min(self.plan.average, (1 + steps) / (10 + steps)))
        return loss.item()

    def _loss(self, rows: NDArray[np.int64]) -> Tensor:
        views = self.rng.integers(self.features.shape[1], size=len(rows))
        maps = np.stack([self.features[row, view] for row, view in zip(rows, views, strict=True)])
        drawn = self.pairs.draw(rows, self.plan.captions, self.rng)
        images = _image_rows(self.model, torch.from_numpy(maps), self.plan)
        texts = _text_rows(self.model, self.tokenizer, drawn.texts)
        fits = torch.from_numpy(self.pairs.fits(rows, drawn))
        return info_nce(self.model.scale * images @ texts.T, fits)


def _judged(
    model: DualEncoder, validation: Sequence[ValidationSet], tokenizer: Tokenizer, plan: FitPlan
) -> dict[str, float]:
    """mR on each validation set, and their mean."""
    scores = {found.pairs.name: mean_recall(model, found, tokenizer, plan) for found in validation}
    return scores | {"validation_mR": float(np.mean(list(scores.values())))}


def _rate(step: int, steps: int, warm_up: float) -> float:
    """Linear warm-up, then half a cosine to zero; a factor of each group's peak rate."""
    rise = max(1, round(steps * warm_up))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


def _batches(count: int, batch: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    order = rng.permutation(count)
    for first in range(0, count, batch):
        # A sorted batch reads the feature file forwards; the order within a batch does not matter.
        yield np.sort(order[first : first + batch])


def _image_rows(model: DualEncoder, maps: Tensor, plan: FitPlan) -> Tensor:
    x = maps.float().contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        for block in model.image_tower.blocks[plan.cut : plan.frozen_blocks]:
            x = block(x)
    return model.project_images(model.image_tower.top(x, plan.frozen_blocks))


def _text_rows(model: DualEncoder, tokenizer: Tokenizer, texts: Sequence[str]) -> Tensor:
    """Unit rows ``(m, dim)``; texts of like length are run together, so that little padding is computed."""
    encodings = tokenizer.encode_batch(list(texts))
    order = sorted(range(len(texts)), key=lambda row: len(encodings[row]))
    rows = []
    for first in range(0, len(order), _TEXTS_AT_ONCE):
        part = [encodings[row].ids for row in order[first : first + _TEXTS_AT_ONCE]]
        lengths = torch.tensor([len(ids) for ids in part])
        tokens = nn.utils.rnn.pad_sequence([torch.tensor(ids) for ids in part], batch_first=True)
        rows.append(model.encode_texts(tokens, torch.arange(tokens.shape[1]) < lengths[:, None]))
    return torch.cat(rows)[torch.tensor(order).argsort()]


@torch.no_grad()
def _blend(averaged: nn.Module, model: nn.Module, decay: float) -> None:
    for kept, new in zip(averaged.parameters(), model.parameters(), strict=True):
        if new.requires_grad:
            kept.lerp_(new, 1 - decay)


@torch.inference_mode()
def encode_features(model: DualEncoder, maps: NDArray[np.float16], plan: FitPlan) -> NDArray[np.float32]:
    """Unit rows ``(n, dim)`` of cached feature maps ``(n, c, h, w)``."""
    parts = [torch.tensor(maps[i : i + _IMAGES_AT_ONCE]) for i in range(0, len(maps), _IMAGES_AT_ONCE)]
    return torch.cat([_image_rows(model, part, plan) for part in parts]).numpy()


@torch.inference_mode()
def encode_captions(model: DualEncoder, texts: Sequence[str], tokenizer: Tokenizer) -> NDArray[np.float32]:
    """Unit rows ``(m, dim)`` of texts; equal texts are encoded once."""
    different = list(dict.fromkeys(texts))
    rows = _text_rows(model, tokenizer, different).numpy()
    place = {text: row for row, text in enumerate(different)}
    return rows[[place[text] for text in texts]]


def mean_recall(model: DualEncoder, found: ValidationSet, tokenizer: Tokenizer, plan: FitPlan) -> float:
    """mR of a validation set, percent, ties by expectation."""
    images = encode_features(model, found.features, plan)
    texts = encode_captions(model, found.pairs.captions, tokenizer)
    return float(retrieval_report(images, texts, found.pairs.image_of).mR)
