"""Figures of the real caption files: how often captions repeat, and the ceilings that follow."""

import os
from pathlib import Path

import numpy as np
import pytest

from landsift.captions import caption_groups, near_captions, normalise_caption
from landsift.data import locate_dataset
from landsift.metrics import retrieval_ceiling


@pytest.fixture(scope="module")
def test_split():
    folder = os.environ.get("LANDSIFT_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("LANDSIFT_DATA does not name the folder of real data sets")

    def read(name, place):
        found = locate_dataset(name, Path(folder) / place)
        records = found.of_split("test")
        captions = [text for record in records for text in record.captions]
        image_of = np.repeat(np.arange(len(records)), [len(record.captions) for record in records])
        rest = [text for record in found.records if record.split != "test" for text in record.captions]
        return captions, image_of, rest

    return read


@pytest.mark.parametrize(
    ("name", "place", "images", "distinct", "elsewhere", "repeating", "in_train", "ceilings"),
    [
        ("ucm", "ucm_captions", 210, 377, 867, 42, 0.613, (38.38, 84.76, 100)),
        ("rsitmd", "rsitmd", 452, 2097, 8, 118, 0.026, (99.82, 100, 100)),
        ("rsicd-aid150", "rsicd_aid150", 1027, 3093, 587, 964, 0.108, (93.30, 99.14, 99.77)),
    ],
)
def test_duplicates_and_ceilings(
    test_split, name, place, images, distinct, elsewhere, repeating, in_train, ceilings
):
    captions, image_of, rest = test_split(name, place)
    groups = caption_groups(captions)
    assert (image_of[-1] + 1, len(captions), groups.max() + 1) == (images, 5 * images, distinct)
    carriers = {}
    for group, image in zip(groups, image_of, strict=True):
        carriers.setdefault(group, set()).add(image)
    assert sum(len(carriers[group]) > 1 for group in groups) == elsewhere
    assert sum(len(set(groups[image_of == image])) < 5 for image in range(images)) == repeating
    known = {normalise_caption(text) for text in rest}
    share = np.mean([normalise_caption(text) in known for text in captions])
    assert share == pytest.approx(in_train, abs=0.001)
    ceiling = retrieval_ceiling(image_of, images, groups)
    assert tuple(ceiling.t2i.values()) == pytest.approx(ceilings, abs=0.01)


@pytest.mark.parametrize(("similarity", "share"), [(0.8, 0.895), (0.7, 0.939)])
def test_nearly_equal_captions_of_other_images_on_ucm(test_split, similarity, share):
    captions, image_of, _ = test_split("ucm", "ucm_captions")
    near = {a for a, b, _ in near_captions(captions, captions, similarity) if image_of[a] != image_of[b]}
    assert len(near) / len(captions) == pytest.approx(share, abs=0.001)
