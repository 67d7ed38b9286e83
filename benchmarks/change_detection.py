"""Changed buildings from differences alone: LEVIR-CD's pairs with masks, and nothing trained.

The plain difference of an ImageNet trunk's maps, beside that of the colours and "all changed". Thresholds are
those that are best on all other pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.change_captions import data_folder
from benchmarks.change_page import write_page
from benchmarks.record import save
from landsift.data import ImagePair, load_changes, read_image
from landsift.encoders.pixels import resize_square
from landsift.metrics import DetectionScores, change_confusion, detection_scores

SIDE = 256
LEVELS = ("c2", "c3")
_STEPS = np.linspace(0.02, 0.98, 97)

Difference = Callable[[ImagePair], NDArray[np.float64]]


def detection() -> dict[str, Any]:
    """Masks of LEVIR-CD from differences alone; the threshold of each pair is the best of the others."""
    found = load_changes("levir-cd", data_folder() / "levir_cd", "all")
    masks = {row: mask for row in range(len(found)) if (mask := found.mask(row)) is not None}
    images = found.images()
    true = [np.asarray(mask, np.int64) for mask in masks.values()]
    rows = {"all changed": _scores(zip([np.ones_like(mask) for mask in true], true, strict=True))}
    for name, measure in (("colours", _colours), ("maps of EfficientNet-Lite0", _maps())):
        maps = [measure(images[row]) for row in masks]
        rows[name] = _left_out(maps, true)
    return {"pairs": len(true), "rows": {name: scores.as_dict() for name, scores in rows.items()}}


def _colours(pair: ImagePair) -> NDArray[np.float64]:
    """Mean difference of the colours at each pixel."""
    before, after = (resize_square(read_image(picture), SIDE) for picture in (pair.before, pair.after))
    return np.abs(after.astype(np.float64) - before).mean(axis=2)


def _maps() -> Difference:
    """One minus the cosine of both dates' cells, the mean over levels, at the pixels' size."""
    import torch
    from torch.nn import functional

    from landsift.models.blocks.trunk import build_trunk

    trunk = build_trunk("lite0", start="pretrained", cut="none", levels=LEVELS, input_size=SIDE)
    trunk.eval()

    @torch.inference_mode()
    def measure(pair: ImagePair) -> NDArray[np.float64]:
        squares = [resize_square(read_image(picture), SIDE) for picture in (pair.before, pair.after)]
        pixels = torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2)
        found = trunk.upper(trunk.lower(pixels))
        parts = [
            1 - functional.cosine_similarity(maps[:1], maps[1:], dim=1)[:, None] for maps in found.values()
        ]
        whole = [functional.interpolate(part, size=SIDE, mode="bilinear") for part in parts]
        return torch.stack(whole).mean(dim=0)[0, 0].numpy().astype(np.float64)

    return measure


def _left_out(maps: Sequence[NDArray[np.float64]], true: Sequence[NDArray[np.int64]]) -> DetectionScores:
    """Every pair marked with the threshold that is best on all others."""
    steps = np.quantile(np.concatenate([found.ravel() for found in maps]), _STEPS)
    tables = np.array(
        [
            [change_confusion([((found > step).astype(np.int64), mask)]) for step in steps]
            for found, mask in zip(maps, true, strict=True)
        ]
    )
    whole, counts = tables.sum(axis=0), np.zeros((2, 2), np.int64)
    for own in tables:
        best = int(np.argmax([detection_scores(table).f1 for table in whole - own]))
        counts += own[best]
    return detection_scores(counts)


def _scores(masks: Any) -> DetectionScores:
    return detection_scores(change_confusion(masks))


def run() -> None:
    """Measure, store, and write the tables of the page."""
    save("change_detection", detection())
    print(f"Wrote {write_page()}.")
