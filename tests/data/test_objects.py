"""Captions that name small things."""

from __future__ import annotations

import numpy as np
import pytest

from landsift.data import load_dataset
from landsift.data.objects import SMALL_THINGS, names_small, things_in


@pytest.mark.parametrize(
    ("caption", "things"),
    [
        ("Many AIRPLANES are parked near a terminal.", ("plane",)),
        ("two ships, and a boat", ("ship",)),
        ("cars beside a tennis court", ("car", "court")),
        ("shipping containers on a plain", ()),
        ("a courtyard near the carpark", ()),
        ("", ()),
    ],
)
def test_things_are_named_by_whole_words(caption, things):
    assert things_in(caption) == things


def test_a_mask_over_captions():
    found = names_small(["a tank", "a river", "buses on a road"])
    assert found.dtype == np.bool_ and found.tolist() == [True, False, True]
    assert names_small([]).shape == (0,)


def test_no_word_names_two_things():
    words = [word for names in SMALL_THINGS.values() for word in names]
    assert len(words) == len(set(words))


def test_classes_of_small_things_are_found_in_ucm(real_data):
    data = load_dataset("ucm-captions", real_data / "ucm_captions", "test")
    small, names = names_small(data.captions), np.array(data.class_names)[data.labels[data.image_of]]
    share = {name: small[names == name].mean() for name in data.class_names}
    assert (
        min(share[name] for name in ("airplane", "harbor", "parkinglot", "storagetanks", "tenniscourt")) == 1
    )
    assert max(share[name] for name in ("forest", "beach", "agricultural", "runway")) == 0
