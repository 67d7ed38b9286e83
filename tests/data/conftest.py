import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="session")
def real_data():
    """The folder of real data sets, or a skip that says how to get it."""
    folder = os.environ.get("LANDSIFT_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("LANDSIFT_DATA does not name the folder of real data sets")
    return Path(folder)


@pytest.fixture
def picture():
    """Write a small picture, different for each number."""

    def write(path, number=0, size=(8, 8)):
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 255, (*size, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(path)
        return path

    return write


@pytest.fixture
def karpathy_set(tmp_path, picture):
    """Write a set in Karpathy form: ``{split: number of images}``, two captions each."""

    def write(splits, folder="imgs", name="dataset.json", change=None):
        entries, number = [], 0
        for split, count in splits.items():
            for _ in range(count):
                number += 1
                sentences = [{"raw": f"Scene {number} ."}, {"raw": f"a place, number {number}"}]
                entries.append({"filename": f"{number}.tif", "split": split, "sentences": sentences})
                picture(tmp_path / folder / f"{number}.tif", number)
        content = {"images": entries, "dataset": "x"}
        if change:
            change(content)
        (tmp_path / name).write_text(json.dumps(content), "utf-8")
        return tmp_path

    return write
