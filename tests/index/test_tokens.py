"""Tables of cells: what they hold, in how few bytes, how they score, and what they refuse."""

from __future__ import annotations

import json

import numpy as np
import pytest

from landsift.errors import GalleryDamaged, UsageError
from landsift.index import TokenTable


def filled(bits: int = 16, dim: int = 12) -> TokenTable:
    table = TokenTable(dim, 4, bits)
    table.add(np.random.default_rng(0).standard_normal((5, 4, dim)))
    return table


@pytest.mark.parametrize("bits", [16, 1])
def test_scores_are_sums_of_the_nearest_cells(bits):
    table, rng = filled(bits), np.random.default_rng(1)
    words = rng.standard_normal((3, 12))
    cells = table.cells_of(np.arange(5))
    slow = [sum(max(float(word @ cell) for cell in image) for word in words) for image in cells]
    np.testing.assert_allclose(table.scores(words, np.arange(5)), slow, rtol=1e-5)
    hits = table.rerank(words, np.array([4, 1, 3]))
    assert hits.rows[0].tolist() == sorted([4, 1, 3], key=lambda row: -slow[row])


def test_signs_of_any_length_come_back_as_unit_rows():
    table = filled(1, dim=13)
    cells = table.cells_of(np.array([3]))
    assert cells.shape == (1, 4, 13) and table.row_bytes == 8
    np.testing.assert_allclose(np.linalg.norm(cells, axis=2), 1, rtol=1e-6)


def test_equal_scores_are_ordered_by_row():
    table = TokenTable(4, 1)
    table.add(np.ones((3, 1, 4)))
    assert table.rerank(np.ones((1, 4)), np.array([2, 0, 1])).rows.tolist() == [[0, 1, 2]]


def test_what_cannot_be_is_refused(tmp_path):
    with pytest.raises(UsageError, match="16 bits a number or with 1"):
        TokenTable(4, 1, 8)
    with pytest.raises(UsageError, match="1 cell or more"):
        TokenTable(4, 0)
    table = filled()
    with pytest.raises(UsageError, match="4 cells of 12 numbers"):
        table.add(np.zeros((1, 3, 12)))
    with pytest.raises(UsageError, match="no number"):
        table.add(np.full((1, 4, 12), np.nan))
    with pytest.raises(UsageError, match="There are 5 images"):
        table.scores(np.ones((1, 12)), np.array([5]))
    with pytest.raises(UsageError, match="A sentence is one word or more"):
        table.scores(np.ones((0, 12)), np.array([0]))
    assert table.scores(np.ones((2, 12)), np.array([], np.int64)).shape == (0,)
    with pytest.raises(GalleryDamaged):
        TokenTable.load(tmp_path)
    table.save(tmp_path / "t")
    header = tmp_path / "t" / "columns.json"
    values = json.loads(header.read_text())
    header.write_text(json.dumps(values | {"note": {}}))
    with pytest.raises(GalleryDamaged, match="holds no cells"):
        TokenTable.load(tmp_path / "t")
