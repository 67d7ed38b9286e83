"""InfoNCE with several positives against a slow twin, and what it must not punish."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from landsift.models.objectives import info_nce  # noqa: E402


def slow_info_nce(similarity: torch.Tensor, positive: torch.Tensor) -> float:
    """Row by row and column by column, entry by entry."""

    def one_way(scores: list[list[float]], good: list[list[bool]]) -> float:
        total = 0.0
        for row, marks in zip(scores, good, strict=True):
            normaliser = math.log(sum(math.exp(value) for value in row))
            own = [value for value, mark in zip(row, marks, strict=True) if mark]
            total += sum(normaliser - value for value in own) / len(own)
        return total / len(scores)

    forwards = one_way(similarity.tolist(), positive.tolist())
    backwards = one_way(similarity.T.tolist(), positive.T.tolist())
    return (forwards + backwards) / 2


@pytest.mark.parametrize("seed", range(5))
def test_against_the_slow_twin(seed):
    torch.manual_seed(seed)
    similarity = torch.randn(6, 9, dtype=torch.float64) * 3
    positive = torch.rand(6, 9) < 0.3
    positive[torch.arange(6), torch.arange(6)] = True
    positive[0, 6:] = True
    assert info_nce(similarity, positive).item() == pytest.approx(
        slow_info_nce(similarity, positive), rel=1e-9
    )


def test_with_the_diagonal_alone_it_is_cross_entropy():
    torch.manual_seed(0)
    similarity = torch.randn(7, 7)
    expected = (
        sum(torch.nn.functional.cross_entropy(s, torch.arange(7)) for s in (similarity, similarity.T)) / 2
    )
    torch.testing.assert_close(info_nce(similarity, torch.eye(7, dtype=torch.bool)), expected)


def test_a_caption_that_fits_two_images_is_pushed_from_neither():
    # Captions 0 and 1 are worded alike, so each fits both images; image 2 is another matter.
    similarity = torch.zeros(3, 3, requires_grad=True)
    fits = torch.tensor([[1, 1, 0], [1, 1, 0], [0, 0, 1]], dtype=torch.bool)
    info_nce(similarity, fits).backward()
    assert similarity.grad is not None
    assert (similarity.grad[fits] < 0).all(), "descent must raise every fitting pair"
    assert (similarity.grad[~fits] > 0).all(), "and lower the others"
    similarity.grad = None
    info_nce(similarity, torch.eye(3, dtype=torch.bool)).backward()
    assert similarity.grad[0, 1] > 0, "which the plain diagonal does not do"
