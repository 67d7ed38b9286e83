import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from landsift.data import (
    check_dataset,
    find_dataset,
    fingerprint,
    list_datasets,
    load_dataset,
    locate_dataset,
    read_image,
)
from landsift.errors import DatasetError, UsageError


@pytest.fixture
def full_ucm(tmp_path):
    """UCM-Captions in its true numbers, every image the same small file."""
    (tmp_path / "imgs").mkdir()
    first = tmp_path / "imgs/1.tif"
    Image.new("RGB", (4, 4)).save(first)
    entries = []
    for number in range(1, 2101):
        split = {0: "val", 1: "test"}.get(number % 10, "train")
        sentences = [{"raw": f"caption {number} {which}"} for which in range(5)]
        entries.append({"filename": f"{number}.tif", "split": split, "sentences": sentences})
        if number > 1:
            os.link(first, tmp_path / f"imgs/{number}.tif")
    (tmp_path / "dataset.json").write_text(json.dumps({"images": entries}))
    return tmp_path


def test_every_row_of_the_table_is_complete():
    names = [name for row in list_datasets() for name in (row.name, *row.aliases)]
    assert len(names) == len(set(names))
    for row in list_datasets():
        for text in (row.title, row.size, row.licence, row.citation, row.layout):
            assert text
        assert row.page.startswith("https://")
        assert [bool(row.captions), bool(row.stream), bool(row.pairs)].count(True) == 1, row.name
        assert find_dataset(row.name) is row


def test_the_caption_sets_of_the_field_are_there():
    names = {row.name for row in list_datasets()}
    loaded = {
        "ucm-captions",
        "sydney-captions",
        "rsicd",
        "rsitmd",
        "nwpu-captions",
        "rsicap",
        "rsieval",
        "textrs",
    }
    streamed = {"rs5m", "skyscript", "mmrs-1m", "geolangbind-2m", "rsteller"}
    assert loaded | streamed <= names
    assert {row.name for row in list_datasets() if row.streamed} == streamed


def test_a_whole_set_loads_by_split_with_classes(full_ucm):
    test = load_dataset("ucm", full_ucm, "test")
    assert (test.name, test.split) == ("ucm-captions", "test")
    assert (len(test.images), len(test.captions)) == (210, 1050)
    assert test.image_names[0] == "1.tif" and test.captions[:2] == ["caption 1 0", "caption 1 1"]
    assert test.image_of[:6].tolist() == [0, 0, 0, 0, 0, 1]
    assert len(test.class_names) == 21
    assert [test.class_names[label] for label in test.labels[[0, -1]]] == ["agricultural", "tenniscourt"]
    assert read_image(test.images[0]).shape == (4, 4, 3)
    assert len(load_dataset("ucm", full_ucm, "all").images) == 2100
    assert check_dataset("ucm", full_ucm) == []


def test_the_root_may_be_one_folder_up(full_ucm, tmp_path_factory):
    above = tmp_path_factory.mktemp("sets")
    shutil.move(full_ucm, above / "ucm")
    assert len(load_dataset("ucm", above, "val").images) == 210


def test_half_a_set_is_refused_and_its_name_says_so_when_accepted(karpathy_set):
    root = karpathy_set({"test": 3})
    with pytest.raises(DatasetError, match=r"210 images and 1050 captions, but 3 and 6 are listed.*\.$"):
        load_dataset("ucm", root)
    part = load_dataset("ucm", root, partial=True)
    assert part.name == "ucm-captions (partial, 3 of 210 images)"
    assert len(part.images) == 3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c["images"].append(c["images"][0]), "more than once"),
        (lambda c: c["images"][1].update(sentences=[]), r"no caption for 1 image \(2\.tif\)"),
        (lambda c: c["images"][1].update(filename="77.tif"), r"lacks 1 image \(77\.tif\)"),
        (lambda c: c["images"].clear(), "no image in the split"),
    ],
)
def test_what_is_wrong_with_a_set_is_said(karpathy_set, change, words):
    root = karpathy_set({"test": 3}, change=change)
    with pytest.raises(DatasetError, match=words) as error:
        load_dataset("ucm", root, partial=True)
    assert str(error.value).endswith(".") and "\n" not in str(error.value)


def test_empty_files_and_missing_folders_are_said(karpathy_set):
    root = karpathy_set({"test": 3})
    (root / "imgs/2.tif").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"empty files.*2\.tif"):
        load_dataset("ucm", root, partial=True)
    shutil.rmtree(root / "imgs")
    with pytest.raises(DatasetError, match="captions of UCM-Captions but not its images"):
        load_dataset("ucm", root, partial=True)
    assert len(locate_dataset("ucm", root).records) == 3


def test_wrong_roots_names_and_splits(karpathy_set, tmp_path):
    with pytest.raises(UsageError, match="ucm-captions"):
        load_dataset("ucmm", tmp_path)
    with pytest.raises(DatasetError, match="not a folder"):
        load_dataset("ucm", tmp_path / "none")
    with pytest.raises(DatasetError, match=r"needs dataset_rsicd\.json"):
        load_dataset("rsicd", tmp_path)
    with pytest.raises(UsageError, match="stream_dataset"):
        load_dataset("rs5m", tmp_path)
    root = karpathy_set({"test": 3})
    with pytest.raises(DatasetError, match="its splits are: test, all"):
        load_dataset("ucm", root, "val", partial=True)


def test_malformed_captions_are_said(karpathy_set):
    root = karpathy_set({"test": 3})
    (root / "dataset.json").write_text('{"images": [')
    with pytest.raises(DatasetError, match="not valid JSON"):
        load_dataset("ucm", root)
    assert "not valid JSON" in check_dataset("ucm", root)[0]


def test_images_are_found_under_another_suffix_or_in_folders(karpathy_set):
    root = karpathy_set({"test": 3})
    (root / "imgs/more").mkdir()
    shutil.move(root / "imgs/2.tif", root / "imgs/more/2.tif")
    Image.open(root / "imgs/3.tif").save(root / "imgs/3.png")
    (root / "imgs/3.tif").unlink()
    found = load_dataset("ucm", root, partial=True)
    assert [path.name for path in found.images] == ["1.tif", "2.tif", "3.png"]
    assert found.image_names == ["1.tif", "2.tif", "3.tif"]


def test_two_images_of_one_name_are_not_guessed_between(karpathy_set):
    root = karpathy_set({"test": 3})
    for folder in "ab":
        (root / "imgs" / folder).mkdir()
        shutil.copy(root / "imgs/2.tif", root / "imgs" / folder / "2.tif")
    (root / "imgs/2.tif").unlink()
    with pytest.raises(DatasetError, match=r"2\.tif could be a/2\.tif or b/2\.tif"):
        load_dataset("ucm", root, partial=True)


def test_classes_are_numbered_alike_in_every_split_and_unknown_ones_are_minus_one(tmp_path, picture):
    names = {"train": ["airport_1.jpg", "pond_2.jpg"], "test": ["pond_3.jpg", "00004.jpg"]}
    entries = [
        {"filename": name, "split": split, "sentences": ["x"]} for split, row in names.items() for name in row
    ]
    (tmp_path / "dataset_rsicd.json").write_text(json.dumps({"images": entries}))
    for entry in entries:
        picture(tmp_path / "RSICD_images" / entry["filename"])
    test = load_dataset("rsicd", tmp_path, "test", partial=True)
    assert test.class_names == ("airport", "pond")
    assert test.labels.tolist() == [1, -1]


def test_splits_in_files_of_their_own(tmp_path, picture):
    for split, name in (("train", "a_1.tif"), ("test", "b_2.tif")):
        (tmp_path / f"{split}_caps.txt").write_text("one\ntwo\n")
        (tmp_path / f"{split}_filename.txt").write_text(f"{name}\n")
        picture(tmp_path / "images" / name)
    test = load_dataset("rsitmd", tmp_path, "test", partial=True)
    assert test.image_names == ["b_2.tif"] and test.captions == ["one", "two"]


def test_captions_in_a_folder_of_their_own_beside_the_images(tmp_path, picture):
    (tmp_path / "rsitmd_precomp").mkdir()
    (tmp_path / "rsitmd_precomp/test_caps.txt").write_text("one\n")
    (tmp_path / "rsitmd_precomp/test_filename.txt").write_text("b_2.tif\n")
    picture(tmp_path / "images/b_2.tif")
    assert load_dataset("rsitmd", tmp_path, partial=True).images == [tmp_path / "images/b_2.tif"]


def test_class_folders_that_are_not_the_whole_set(tmp_path, picture):
    for number in range(3):
        picture(tmp_path / f"Forest/{number}.jpg")
        picture(tmp_path / f"River/more/{number}.jpg")
    part = load_dataset("eurosat", tmp_path, "all", partial=True)
    assert part.name == "eurosat (partial, 3 of 27000 images)" and part.class_names == ("Forest",)
    assert "27000 images and 0 captions, but 3 and 0" in "".join(check_dataset("eurosat", tmp_path))


def test_check_lists_everything_that_is_wrong(karpathy_set, picture):
    def spoil(content):
        content["images"].append(content["images"][4])
        content["images"][0]["sentences"][0]["raw"] = " ."
        content["images"][1]["sentences"][0]["raw"] = "caf\N{REPLACEMENT CHARACTER}"
        content["images"][2]["sentences"] = []
        content["images"].append({"filename": "99.tif", "split": "test", "sentences": ["x"]})

    root = karpathy_set({"train": 3, "test": 3}, change=spoil)
    (root / "imgs/6.tif").write_bytes(b"II*\0 no")
    picture(root / "imgs/extra.png")
    sentences = "\n".join(check_dataset("ucm", root))
    for part in (
        "'val' is missing",
        "1680 images and 8400 captions, but 3 and 4 are listed",
        "1 captions hold no word: 1 image (1.tif)",
        "lost in an encoding: 1 image (2.tif)",
        "No caption for 1 image (3.tif)",
        "more than once: 1 image (5.tif)",
        "Missing from",
        "(99.tif)",
        "Unreadable in",
        "(6.tif)",
        "in no caption file: 1 image (extra.png)",
    ):
        assert part in sentences
    assert all(sentence.endswith(".") for sentence in check_dataset("ucm", root))


def test_check_of_an_empty_folder_says_what_belongs_there(tmp_path):
    (sentence,) = check_dataset("nwpu", tmp_path)
    assert "dataset_nwpu.json" in sentence


def test_fingerprints_tell_contents_not_places(karpathy_set):
    data = load_dataset("ucm", karpathy_set({"test": 3}), partial=True)
    again = load_dataset("ucm", data.images[0].parents[1], partial=True)
    assert fingerprint(data) == fingerprint(again)
    data.captions[0] += "!"
    assert fingerprint(data) != fingerprint(again)


@pytest.mark.parametrize(
    ("name", "folder", "counts"),
    [
        ("ucm", "ucm_captions", {"train": (1680, 8400), "val": (210, 1050), "test": (210, 1050)}),
        ("rsicd-aid150", "rsicd_aid150", {"train": (7946, 39730), "val": (1027, 5135), "test": (1027, 5135)}),
        ("rsitmd-derived", "rsitmd", {"train": (2087, 10435), "val": (397, 1985), "test": (677, 3385)}),
        ("nwpu-13", "nwpu_13", {"train": (1650, 8250)}),
        ("eurosat-150", "eurosat_150", {"all": (1500, 0)}),
    ],
)
def test_real_sets_load_in_their_numbers(real_data, name, folder, counts):
    for split, (images, captions) in counts.items():
        data = load_dataset(name, real_data / folder, split)
        assert (len(data.images), len(data.captions)) == (images, captions)
        assert data.labels.min() >= 0
        assert read_image(data.images[-1]).ndim == 3


def test_no_training_picture_of_derived_rsitmd_is_in_rsicd_val_or_test(real_data):
    train = load_dataset("rsitmd-derived", real_data / "rsitmd", "train")
    held_out = {
        name
        for split in ("val", "test")
        for name in load_dataset("rsicd-aid150", real_data / "rsicd_aid150", split).image_names
    }
    assert len(train.images) == 2087 and not held_out & set(train.image_names)


def test_ucm_classes_follow_its_captions(real_data):
    data = load_dataset("ucm", real_data / "ucm_captions", "test")
    golf = data.class_names.index("golfcourse")
    words = {
        text for text, image in zip(data.captions, data.image_of, strict=True) if data.labels[image] == golf
    }
    assert np.mean(["golf" in text.lower() for text in words]) > 0.9


def test_rsicd_lacks_what_the_low_resolution_copy_lacks(real_data):
    with pytest.raises(DatasetError, match="1093 images"):
        load_dataset("rsicd", real_data / "rsicd_aid150")
