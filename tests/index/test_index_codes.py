"""Sign codes and the scan over them, against a double loop over single bits."""

from __future__ import annotations

import numpy as np
import pytest

from landsift.errors import GalleryDamaged, UsageError
from landsift.index import Coder, HammingIndex, hamming


def slow_nearest(codes: np.ndarray, code: np.ndarray, k: int, among: np.ndarray | None) -> list[int]:
    """Distances bit by bit, sorted by (distance, row)."""
    distance = (np.unpackbits(codes, axis=1) != np.unpackbits(code)).sum(axis=1)
    allowed = range(len(codes)) if among is None else np.flatnonzero(among)
    return sorted(allowed, key=lambda row: (distance[row], row))[:k]


def test_bits_are_signs_and_zero_counts_as_positive():
    # The golden pair: inner product 2, Hamming distance 3, packed with the first bit highest.
    coder = Coder(np.zeros(8, np.float32), np.empty((0, 8), np.float32), np.eye(8, dtype=np.float32))
    pair = np.array([[1, -1, 1, 1, -1, 1, -1, -1], [1, 1, 1, -1, -1, 1, -1, 1]], np.float32)
    assert coder.encode(pair).ravel().tolist() == [180, 229]
    assert coder.encode(np.zeros((1, 8), np.float32)).ravel().tolist() == [255]
    index = HammingIndex(coder)
    index.add(pair)
    hits = index.search(pair[:1], 2)
    assert hits.rows[0].tolist() == [0, 1] and hits.scores[0].tolist() == [0.0, -3.0]
    assert pair[0] @ pair[1] == 8 + 2 * hits.scores[0, 1]


@pytest.mark.parametrize("bits", [8, 16, 64, 128])
@pytest.mark.parametrize("share", [None, 0.0, 0.02, 0.6])
def test_scan_agrees_with_a_double_loop(monkeypatch, rows_of, bits, share):
    # Small chunks and ranges, so that bounds, chunks, pieces and threads all meet.
    monkeypatch.setattr(hamming, "_CHUNK", 64)
    monkeypatch.setattr(hamming, "_LEAST_A_THREAD", 300)
    monkeypatch.setattr(hamming, "available_threads", lambda: 3)
    rows, random = rows_of(1000), np.random.default_rng(bits)
    coder = Coder.fit(rows, bits)
    index = HammingIndex(coder)
    for part in np.split(rows, [130, 131, 700]):
        index.add(part)
    among = None if share is None else random.random(1000) < share
    codes = coder.encode(rows.astype(np.float16).astype(np.float32))
    queries = rows_of(3, seed=5)
    for k in (1, 7, 150, 2000):
        hits = index.search(queries, k, among)
        for number, code in enumerate(coder.encode_queries(queries)):
            expected = slow_nearest(codes, code, k, among)
            assert hits.rows[number, : len(expected)].tolist() == expected
            assert (hits.rows[number, len(expected) :] == -1).all()
            assert np.isneginf(hits.scores[number, len(expected) :]).all()


def test_equal_codes_come_in_row_order(monkeypatch):
    monkeypatch.setattr(hamming, "_CHUNK", 16)
    coder = Coder.fit(np.eye(8, dtype=np.float32), 8)
    index = HammingIndex(coder)
    index.add(np.tile(np.eye(8, dtype=np.float32)[:1], (100, 1)))
    assert index.search(np.eye(8)[:1], 30).rows[0].tolist() == list(range(30))


def test_means_close_the_gap_between_rows_and_texts(rows_of):
    """Texts lie to one side of all rows; uncentred, the side alone sets their bits."""
    rows = rows_of(2000)
    texts = rows_of(60, seed=8) - 2.5 * rows.mean(axis=0)
    coder = Coder.fit(rows, 64, query_means=texts.mean(axis=0, keepdims=True))
    blind = Coder(coder.mean, np.empty((0, rows.shape[1]), np.float32), coder.projection)
    share = np.unpackbits(coder.encode_queries(texts), axis=1).mean(axis=0)
    blind_share = np.unpackbits(blind.encode_queries(texts), axis=1).mean(axis=0)
    spread = np.minimum(share, 1 - share).mean()
    assert spread > 2 * np.minimum(blind_share, 1 - blind_share).mean()
    # A query like the rows is still centred by the rows' mean.
    assert (coder.encode_queries(rows[:20]) == coder.encode(rows[:20])).all()


def test_a_turn_keeps_more_of_the_vectors_than_none(rows_of):
    """Iterative quantization lowers the distance between rows and their signs; that is what it is for."""
    rows = rows_of(2000)

    def loss(coder: Coder) -> float:
        projected = (rows - coder.mean) @ coder.projection
        return float(((projected - np.where(projected >= 0, 1, -1)) ** 2).sum())

    turned, plain = Coder.fit(rows, 16), Coder.fit(rows, 16, rotate=False)
    assert loss(turned) < loss(plain)
    assert np.allclose(turned.projection.T @ turned.projection, np.eye(16), atol=1e-4)


def test_saved_codes_answer_as_before(tmp_path, rows_of):
    rows = rows_of(400)
    index = HammingIndex(Coder.fit(rows, 128))
    index.add(rows)
    index.save(tmp_path / "codes")
    loaded = HammingIndex.load(tmp_path / "codes")
    assert (loaded.search(rows[:5], 9).rows == index.search(rows[:5], 9).rows).all()
    assert loaded.coder.identity == index.coder.identity


def test_directions_of_other_codes_are_noticed(tmp_path, rows_of):
    rows = rows_of(100)
    for seed, name in enumerate("ab"):
        index = HammingIndex(Coder.fit(rows, 16, seed=seed))
        index.add(rows)
        index.save(tmp_path / name)
    (tmp_path / "b" / "coder.npz").replace(tmp_path / "a" / "coder.npz")
    with pytest.raises(GalleryDamaged, match="other directions"):
        HammingIndex.load(tmp_path / "a")
    (tmp_path / "a" / "coder.npz").write_bytes(b"PK nonsense")
    with pytest.raises(GalleryDamaged, match="no codes' directions"):
        HammingIndex.load(tmp_path / "a")


@pytest.mark.parametrize("bits", [0, 7, 12, 2048, -8])
def test_bad_lengths_of_codes_are_refused(bits):
    with pytest.raises(UsageError, match="multiple of 8"):
        Coder.fit(np.eye(8, dtype=np.float32), bits)


def test_bad_input_is_refused():
    index = HammingIndex(Coder.fit(np.eye(8, dtype=np.float32), 16))
    with pytest.raises(UsageError, match="shape"):
        index.add(np.ones((2, 7)))
    with pytest.raises(UsageError, match="NaN"):
        index.add(np.full((1, 8), np.nan))
    with pytest.raises(UsageError, match="Codes must be uint8"):
        index.attach(np.zeros((1, 3), np.uint8))
    with pytest.raises(UsageError, match="NaN"):
        index.search(np.full((1, 8), np.nan), 1)
    with pytest.raises(UsageError, match="k must be 1"):
        index.search(np.ones((1, 8)), 0)
    with pytest.raises(UsageError, match="filter must have shape"):
        index.search(np.ones((1, 8)), 1, np.ones(0, np.int64))
    with pytest.raises(UsageError, match="give some rows"):
        Coder.fit(np.empty((0, 8), np.float32))
    assert (index.search(np.ones((1, 8)), 3).rows == -1).all()
