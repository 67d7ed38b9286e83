"""Learning from a teacher: its vectors, or the scores it gives. Knows tensors only."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor
from torch.nn import functional

__all__ = ["feature_distance", "score_divergence"]

_DISTANCES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mse": lambda student, teacher: (student - teacher).square().sum(dim=1),
    "cosine": lambda student, teacher: 1 - functional.cosine_similarity(student, teacher, dim=1),
    "smooth-l1": lambda student, teacher: functional.smooth_l1_loss(student, teacher, reduction="none").sum(
        dim=1
    ),
}
DISTANCES = tuple(_DISTANCES)


def feature_distance(student: Tensor, teacher: Tensor, *, kind: str = "mse") -> Tensor:
    """How far a student's vectors are from its teacher's (Romero et al., 2015, FitNets, arXiv 1412.6550).

    Args:
        student: ``(n, dim)``.
        teacher: ``(n, dim)``; no gradient flows into it. Rows of zeros have no teacher and are left out.
        kind: ``mse``: squared Euclidean distance; ``cosine``: one less the cosine; ``smooth-l1``.

    Returns:
        Scalar: mean over rows; 0 if no row has a teacher.
    """
    teacher = teacher.detach()
    known = teacher.abs().sum(dim=1) > 0
    distance = _DISTANCES[kind](student, teacher).masked_fill(~known, 0)
    return distance.sum() / known.sum().clamp(min=1)


def score_divergence(student: Tensor, teacher: Tensor, *, temperature: float = 1.0) -> Tensor:
    """Kullback-Leibler divergence of the student's rankings from the teacher's, over rows and over columns.

    Hinton et al., 2015 (arXiv 1503.02531, section 2) with the captions of the batch as classes of an image
    and the images as classes of a caption; multiplied by the squared temperature as there.

    Args:
        student: ``(I, T)`` logits.
        teacher: ``(I, T)`` logits; no gradient flows into them.
        temperature: Both are divided by it.

    Returns:
        Scalar: mean of the two directions.
    """
    student, teacher = student / temperature, teacher.detach() / temperature
    both = sum(
        (_divergence(s, t) for s, t in ((student, teacher), (student.T, teacher.T))), student.new_zeros(())
    )
    return temperature**2 * both / 2


def _divergence(student: Tensor, teacher: Tensor) -> Tensor:
    return functional.kl_div(
        functional.log_softmax(student, dim=1),
        functional.log_softmax(teacher, dim=1),
        reduction="batchmean",
        log_target=True,
    )
