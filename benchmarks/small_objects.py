"""R@K by object size: captions that name small things against scenes, whole or in crops.

``python -m benchmarks small_objects`` encodes each image of UCM-Captions and RSICD-AID150 whole and in crops,
chooses every parameter on val and looks at test once. Vectors are kept, so that a stopped run goes on.
``python -m benchmarks small_objects_mosaics`` does the same with scenes wider than what the encoder sees.
``python -m benchmarks.small_objects_train`` trains the multi-scale image heads under one budget.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import islice, product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.record import save
from benchmarks.small_objects_page import write_small_objects
from landsift import load_encoder
from landsift.captions import caption_groups
from landsift.data import fingerprint, load_dataset, read_images
from landsift.data.objects import SMALL_THINGS, names_small, things_in
from landsift.evaluate import encode_set
from landsift.files import cache_folder, write_whole
from landsift.gallery import Pool
from landsift.metrics import Direction, Ranks, caption_positives, paired_bootstrap, ranks
from landsift.scenes import crops_of
from landsift.types import Encoder, FloatArray, RetrievalSet

__all__ = ["SEED", "Arm", "Seen", "measure", "ranks_of", "rounded", "row_of", "run"]

SETS = {"ucm-captions": ("ucm_captions", (2, 3)), "rsicd-aid150": ("rsicd_aid150", (2,))}
"""Set -> its folder, and the grids of crops it is seen in."""
SEED, IMAGES_AT_ONCE, NUMBER_BYTES = 0, 16, 2
WEIGHTS, TOP, TEMPERATURES, REFINED = (0.25, 0.5, 0.75), (2, 3, 4), (0.01, 0.02, 0.05), (10, 20, 50)
MAX = Pool("max")
CHOICES = [MAX, *(Pool("top-m", m) for m in TOP), *(Pool("lse", temperature=t) for t in TEMPERATURES)]


@dataclass(frozen=True, eq=False)
class Seen:
    """A split, encoded.

    Attributes:
        data: The split.
        whole: ``(N, M)`` scores of the whole images.
        crops: Grid -> ``(N, crops, M)`` scores of its crops.
        means: Grid -> ``(N, M)`` scores of one vector: the mean of the whole's and the crops'.
        kept: Pooled crops by grid and pool, made when asked for.
    """

    data: RetrievalSet
    whole: FloatArray
    crops: Mapping[int, FloatArray]
    means: Mapping[int, FloatArray]
    kept: dict[tuple[int, Pool], FloatArray] = field(default_factory=dict)

    def pooled(self, grid: int, pool: Pool) -> FloatArray:
        """``(N, M)`` scores of the crops alone, as one."""
        if (grid, pool) not in self.kept:
            self.kept[grid, pool] = pool.of(self.crops[grid], axis=1).astype(np.float32)
        return self.kept[grid, pool]


@dataclass(frozen=True, eq=False)
class Arm:
    """One way to score, with its parameters.

    Attributes:
        name: As the table calls it.
        scores: A split to ``(N, M)``.
        parameters: In words.
        encodes, vectors: Of an image: how often it is encoded, how many vectors are kept.
        later: Crops encoded when a query is asked.
        text_only: Whether only text to image is changed.
    """

    name: str
    scores: Callable[[Seen], NDArray[np.floating]]
    parameters: str = ""
    encodes: int = 1
    vectors: int = 1
    later: int = 0
    text_only: bool = False


def run() -> None:
    """Measure and save; without the data, say so."""
    measure("small_objects", lambda data: data)


def measure(name: str, made: Callable[[RetrievalSet], RetrievalSet]) -> None:
    """Measure all sets and save after each.

    Args:
        name: Of the result file.
        made: What is measured in place of a split.
    """
    root = os.environ.get("LANDSIFT_DATA")
    if not root:
        print("  LANDSIFT_DATA is not set: small objects are not measured.")
        return
    encoder = load_encoder("landsift-lite")
    figures: dict[str, Any] = {"encoder": encoder.card.name, "dim": encoder.card.dim, "sets": {}}
    for title, (folder, grids) in SETS.items():
        splits = (load_dataset(title, Path(root) / folder, split) for split in ("val", "test"))
        val, test = (_seen(encoder, made(data), grids) for data in splits)
        figures["sets"][title] = rounded(_measured(val, test, grids, encoder.card.dim))
        save(name, figures, seed=SEED)
    print(f"  Wrote {write_small_objects()}.")


# -- the vectors -----------------------------------------------------------------------------------------


def _seen(encoder: Encoder, data: RetrievalSet, grids: tuple[int, ...]) -> Seen:
    views = _views(encoder, data, grids)
    texts = _kept(encoder, data, "texts", lambda: encode_set(encoder, _wordy(data))[1])
    scores = {grid: np.einsum("nvd,md->nvm", rows, texts, optimize=True) for grid, rows in views.items()}
    whole = scores.pop(1)[:, 0]
    means = {}
    for grid in grids:
        mean = np.concatenate([views[1], views[grid]], axis=1).mean(axis=1)
        means[grid] = mean / np.linalg.norm(mean, axis=1, keepdims=True) @ texts.T
    return Seen(data, whole, scores, means)


def _wordy(data: RetrievalSet) -> RetrievalSet:
    """The set as if all its images were one black one: only its captions are encoded."""
    black = [np.zeros((8, 8, 3), np.uint8)]
    return RetrievalSet(data.name, data.split, black, ["black"], data.captions, 0 * data.image_of)


def _views(encoder: Encoder, data: RetrievalSet, grids: tuple[int, ...]) -> dict[int, FloatArray]:
    """Grid -> ``(N, crops, dim)``; 1 is the whole image."""
    found = {}
    for grid in (1, *grids):
        found[grid] = _kept(encoder, data, f"grid{grid}", partial(_encoded, encoder, data, grid))
        print(f"  {data.name} {data.split}, {grid} x {grid}", flush=True)
    return found


def _encoded(encoder: Encoder, data: RetrievalSet, grid: int) -> FloatArray:
    return np.concatenate(list(_rows(encoder, data, grid)))


def _rows(encoder: Encoder, data: RetrievalSet, grid: int) -> Iterator[FloatArray]:
    stream = read_images(data.images)
    while batch := list(islice(stream, IMAGES_AT_ONCE)):
        crops = [crop for image in batch for crop in ([image] if grid == 1 else crops_of(image, grid))]
        yield encoder.encode_images(crops).reshape(len(batch), grid * grid, -1)


def _kept(encoder: Encoder, data: RetrievalSet, kind: str, make: Callable[[], FloatArray]) -> FloatArray:
    """Vectors computed once; they depend on the weights, the split and the kind."""
    key = f"{encoder.card.weights_sha256[:16]}-{fingerprint(data)[:16]}-{kind}"
    path = cache_folder() / "small-objects" / f"{key}.npy"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = make()
        write_whole(path, lambda partial: np.save(partial, rows))
    return np.load(path)


# -- the arms --------------------------------------------------------------------------------------------


def _arms(grid: int) -> dict[str, list[Arm]]:
    """Name -> the arm with each setting of its parameters."""
    crops = grid * grid
    views = 1 + crops
    arms = [Arm(f"mean vector of {views} views", lambda seen: seen.means[grid], encodes=views)]
    arms += [
        Arm(f"{pool.kind} of {views} views", partial(_all, grid, pool), _words(pool), views, views)
        for pool in CHOICES
    ]
    arms += [
        Arm(
            f"whole and {crops} crops, weighed",
            partial(_mixed, grid, pool, weight),
            f"{weight:g} whole, {_words(pool) or pool.kind}",
            views,
            views,
        )
        for weight, pool in product(WEIGHTS, CHOICES)
    ]
    arms += [
        Arm(
            f"best K refined in {crops} crops",
            partial(_refined, grid, best),
            f"K = {best}",
            later=best * crops,
            text_only=True,
        )
        for best in REFINED
    ]
    found: dict[str, list[Arm]] = {}
    for arm in arms:
        found.setdefault(arm.name, []).append(arm)
    return found


def _words(pool: Pool) -> str:
    return {"max": "", "top-m": f"m = {pool.best}", "lse": f"temperature {pool.temperature:g}"}[pool.kind]


def _all(grid: int, pool: Pool, seen: Seen) -> NDArray[np.floating]:
    """As the gallery pools: the whole image is one of the views."""
    return pool.of(np.concatenate([seen.whole[:, None], seen.crops[grid]], axis=1), axis=1)


def _mixed(grid: int, pool: Pool, weight: float, seen: Seen) -> NDArray[np.floating]:
    """The whole image in a fixed share, its crops pooled in the rest."""
    return weight * seen.whole + (1 - weight) * seen.pooled(grid, pool)


def _refined(grid: int, best: int, seen: Seen) -> NDArray[np.floating]:
    """The best images of each caption score as their best view does."""
    scores = seen.whole.copy()
    rows = np.argsort(-seen.whole, axis=0, kind="stable")[:best]
    columns = np.arange(scores.shape[1])[None, :]
    closer = seen.crops[grid].max(axis=1)
    scores[rows, columns] = np.maximum(scores[rows, columns], closer[rows, columns])
    return scores


# -- the measures ----------------------------------------------------------------------------------------


def _measured(val: Seen, test: Seen, grids: tuple[int, ...], dim: int) -> dict[str, Any]:
    small = names_small(test.data.captions)
    plain = Arm("whole image", lambda seen: seen.whole)
    base = ranks_of(plain, test)
    rows = [row_of(plain, test, base, base, dim) | {"val": _mean_recall(plain, val)}]
    for grid in grids:
        for settings in _arms(grid).values():
            tried = [(_mean_recall(arm, val), arm) for arm in settings]
            score, chosen = max(tried, key=lambda pair: pair[0])
            rows.append(row_of(chosen, test, ranks_of(chosen, test), base, dim) | {"val": score})
    return {
        "images": len(test.data.images),
        "captions": len(small),
        "small_captions": int(small.sum()),
        "small_images": len(_images_of(test.data, small)),
        "rows": rows,
        "best_on_val": max(rows, key=lambda row: row["val"])["name"],
        "things": _things(test, base[0][1]),
    }


def rounded(value: Any) -> Any:
    """The figures with two decimals."""
    if isinstance(value, dict):
        return {name: rounded(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [rounded(inner) for inner in value]
    return round(value, 2) if isinstance(value, float) else value


Both = tuple[Ranks, Ranks]


def ranks_of(arm: Arm, seen: Seen) -> list[Both]:
    """Ranks in both directions, strict and duplicate-aware."""
    scores = arm.scores(seen)
    return [_by_reading(arm, seen, scores, aware) for aware in (False, True)]


def _by_reading(arm: Arm, seen: Seen, scores: NDArray[np.floating], aware: bool) -> Both:
    groups = caption_groups(seen.data.captions) if aware else None
    i2t, t2i = caption_positives(seen.data.image_of, len(seen.data.images), groups)
    return ranks(seen.whole if arm.text_only else scores, i2t), ranks(scores.T, t2i)


def _mean_recall(arm: Arm, seen: Seen) -> float:
    """What parameters are chosen by: mR with equal captions merged, over all captions."""
    both = _by_reading(arm, seen, arm.scores(seen), aware=True)
    return float(np.mean([Direction.of(side).mean_recall for side in both]))


def row_of(arm: Arm, test: Seen, found: list[Both], base: list[Both], dim: int) -> dict[str, Any]:
    small = names_small(test.data.captions)
    row: dict[str, Any] = {
        "name": arm.name,
        "parameters": arm.parameters,
        "encodes_per_image": arm.encodes,
        "bytes_per_image": NUMBER_BYTES * dim * arm.vectors,
        "encodes_per_query": arm.later,
        "text_only": arm.text_only,
    }
    for stratum, mask in (("small", small), ("other", ~small), ("all", np.ones_like(small))):
        sides = [_among(pair, test.data, mask) for pair in found]
        row[stratum] = {
            f"{name}_R@{k}": value
            for name, side in zip(("i2t", "t2i"), sides[0], strict=True)
            for k, value in Direction.of(side).recall.items()
        }
        for reading, pair in zip(("strict", "aware"), sides, strict=True):
            both = [Direction.of(side).mean_recall for side in pair]
            row[stratum] |= {f"{reading}_mR_i2t": both[0], f"{reading}_mR_t2i": both[1]}
            row[stratum][f"{reading}_mR"] = float(np.mean(both))
        gain = paired_bootstrap(_among(base[1], test.data, mask), sides[1], test.data.image_of, seed=SEED)
        for name in ("mR", "mR_t2i"):
            row[stratum][f"gain_{name}"] = [gain[name].value, gain[name].low, gain[name].high]
    return row


def _among(pair: Both, data: RetrievalSet, mask: NDArray[np.bool_]) -> Both:
    """The queries of a stratum: captions that it holds, and images most of whose captions it holds."""
    i2t, t2i = pair
    return _some(i2t, np.isin(i2t.queries, _images_of(data, mask))), _some(t2i, mask[t2i.queries])


def _images_of(data: RetrievalSet, mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    n = len(data.images)
    inside = np.bincount(data.image_of, mask, minlength=n)
    return np.flatnonzero(2 * inside > np.bincount(data.image_of, minlength=n))


def _some(found: Ranks, kept: NDArray[np.bool_]) -> Ranks:
    better, tied, right = (column[kept] for column in (found.better, found.tied, found.tied_positives))
    return Ranks(found.queries[kept], better, tied, right, found.n_queries)


def _things(test: Seen, t2i: Ranks) -> dict[str, dict[str, float]]:
    """Text-to-image recall of plain search by thing: where the trouble is."""
    named = [things_in(caption) for caption in test.data.captions]
    found = {}
    for thing in SMALL_THINGS:
        mask = np.array([thing in things for things in named])
        if mask.any():
            side = Direction.of(_some(t2i, mask[t2i.queries]))
            recalls = {f"R@{k}": value for k, value in side.recall.items()}
            found[thing] = {"captions": int(mask.sum())} | recalls
    return found
