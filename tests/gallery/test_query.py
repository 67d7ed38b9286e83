"""Composing queries, and one match a place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from landsift.errors import UsageError
from landsift.gallery.query import NEGATIVE_WEIGHT, SAME_PLACE, compose, one_per_place


def rows(*vectors: list[float]) -> np.ndarray:
    array = np.array(vectors, np.float32).reshape(-1, 3)
    return array / np.linalg.norm(array, axis=1, keepdims=True)


def test_one_wish_is_itself_and_several_are_averaged():
    x, y = [1.0, 0, 0], [0, 1.0, 0]
    assert np.allclose(compose(rows(x), rows()), x)
    assert np.allclose(compose(rows(x, y), rows()), rows([1, 1, 0])[0])


def test_negatives_push_away():
    wanted, unwanted = rows([1, 1, 0]), rows([0, 1, 0])
    query = compose(wanted, unwanted)
    assert np.linalg.norm(query) == pytest.approx(1)
    assert query @ unwanted[0] < wanted[0] @ unwanted[0]
    expected = wanted[0] - NEGATIVE_WEIGHT * unwanted[0]
    assert np.allclose(query, expected / np.linalg.norm(expected))


def test_nothing_to_search_for():
    with pytest.raises(UsageError, match="nothing to search for"):
        compose(rows(), rows([1, 0, 0]))
    with pytest.raises(UsageError, match="cancel out"):
        compose(rows([1, 0, 0], [-1, 0, 0]), rows())


def slow_places(scene: list[int], boxes: list[tuple[int, int, int, int]], lead: int) -> list[int]:
    """The rule in words: keep a tile unless a kept one of its scene shares over a tenth of the smaller."""
    kept: list[int] = list(range(lead))
    for i in range(lead, len(scene)):
        clear = True
        for j in kept:
            if scene[i] != scene[j]:
                continue
            a, b = boxes[i], boxes[j]
            shared = max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
            areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
            clear &= shared <= SAME_PLACE * min(areas)
        if clear:
            kept.append(i)
    return kept[lead:]


TILE = st.tuples(
    st.integers(0, 2), st.integers(0, 20), st.integers(0, 20), st.integers(1, 8), st.integers(1, 8)
)


@given(st.lists(TILE, max_size=30), st.integers(1, 30), st.integers(0, 3))
def test_one_per_place_agrees_with_its_rule(tiles, enough, lead):
    lead = min(lead, len(tiles))
    scene = [tile[0] for tile in tiles]
    boxes = [(x, y, x + w, y + h) for _, x, y, w, h in tiles]
    array = np.array(boxes, np.int64).reshape(-1, 4)
    found = one_per_place(np.array(scene, np.int64), array, enough, lead=lead)
    assert found.tolist() == slow_places(scene, boxes, lead)[:enough]


def test_the_double_window_and_the_side_neighbour_disappear_but_not_the_diagonal_one():
    boxes = np.array([[0, 0, 256, 256], [192, 0, 448, 256], [0, 0, 512, 512], [192, 192, 448, 448]])
    assert one_per_place(np.zeros(4, np.int64), boxes, 10).tolist() == [0, 3]
