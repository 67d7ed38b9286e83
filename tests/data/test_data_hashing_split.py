"""The hashing papers' split: whole, without overlap, the same each time."""

from __future__ import annotations

import numpy as np
import pytest

from landsift.data import HASHING_PARTS, hashing_part, one_caption_each
from landsift.errors import DatasetError, UsageError
from landsift.types import RetrievalSet


def whole(count: int) -> RetrievalSet:
    names = [f"{number}.png" for number in range(count)]
    image_of = np.repeat(np.arange(count), 3).astype(np.int64)
    captions = [f"{row} told {n}" for n, row in enumerate(image_of)]
    return RetrievalSet("own", "all", names, names, captions, image_of, np.arange(count) % 4, tuple("abcd"))


@pytest.mark.parametrize(("count", "sizes"), [(2100, (1050, 210, 840)), (10_921, (5460, 1092, 4369))])
def test_sizes_are_those_of_the_papers(count, sizes):
    parts = [hashing_part(whole(count), part) for part in HASHING_PARTS]
    assert tuple(len(part.images) for part in parts) == sizes
    assert {name for part in parts for name in part.images} == set(whole(count).images)
    assert [part.split for part in parts] == list(HASHING_PARTS)


def test_the_seed_decides():
    one, same, other = (hashing_part(whole(40), "hashing-query", seed) for seed in (0, 0, 1))
    assert one.images == same.images != other.images
    assert all(caption.split()[0] + ".png" in one.images for caption in one.captions)


def test_one_caption_each():
    data = whole(60)
    one = one_caption_each(data)
    assert one.image_of.tolist() == list(range(60)) and len(one.captions) == 60
    assert all(caption.split()[0] == str(row) for row, caption in enumerate(one.captions))
    assert len({int(caption.split()[2]) % 3 for caption in one.captions}) == 3, "any of them may be drawn"
    assert one_caption_each(data).captions == one.captions != one_caption_each(data, 1).captions


def test_what_cannot_be_split_is_refused():
    with pytest.raises(UsageError, match="the parts are hashing-train"):
        hashing_part(whole(20), "train")
    with pytest.raises(DatasetError, match="too few to split"):
        hashing_part(whole(9), "hashing-train")
    data = whole(12)
    bare = RetrievalSet("own", "all", data.images, data.image_names, ["one"], np.array([0]))
    with pytest.raises(DatasetError, match="without a caption"):
        one_caption_each(bare)


def test_a_recipe_names_the_parts(monkeypatch):
    from landsift.train import sources
    from landsift.train.recipe import SetRecipe

    asked = []

    def load(name, root, split, partial):
        asked.append(split)
        return whole(40)

    monkeypatch.setattr(sources, "load_dataset", load)
    found = sources.load_set(SetRecipe(name="ucm-captions", root="somewhere", split="hashing-train"))
    assert asked == ["all"] and found.split == "hashing-train" and len(found.captions) == 20
