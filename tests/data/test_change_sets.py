"""Sets of two dates: each true layout written small, the real ones where they are, and bad copies."""

import json

import numpy as np
import pytest
from PIL import Image

from landsift.captions import NO_CHANGE_CAPTIONS, says_no_change
from landsift.data import ImagePair, check_dataset, find_dataset, list_datasets, load_changes, load_dataset
from landsift.data.change_layouts import split_of
from landsift.errors import DatasetError, UsageError

SAME = ["the scene is the same as before .", "no change has occurred ."]
BUILT = ["a house is built .", "Some trees give way to a house."]


@pytest.fixture
def write(tmp_path, picture):
    """Write pictures and JSON files below a folder whose name speaks of no split."""
    root = tmp_path / "pairs"

    class Writer:
        folder = root

        def pictures(self, *paths):
            for number, path in enumerate(paths):
                picture(root / path, number)

        def mask(self, path, values):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.asarray(values, np.uint8)).save(root / path)

        def json(self, path, content):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(json.dumps(content))

    return Writer()


def entry(name, split, texts, **more):
    sentences = [{"raw": text, "tokens": text.split()} for text in texts]
    return {"filename": name, "filepath": split, "split": split, "sentences": sentences, **more}


def test_levir_mci_with_captions_flags_and_masks_of_two_classes(write):
    rows = [
        entry("train_000001.png", "train", SAME, changeflag=0),
        entry("train_000002.png", "train", BUILT, changeflag=1),
        entry("test_000001.png", "test", BUILT, changeflag=1),
    ]
    write.json("LevirCCcaptions.json", {"images": rows})
    for name in ("train_000001.png", "train_000002.png"):
        write.pictures(f"images/train/A/{name}", f"images/train/B/{name}")
    grey = np.zeros((4, 4), np.uint8)
    grey[0], grey[1] = 128, 255
    write.mask("images/train/label/train_000002.png", np.repeat(grey[:, :, None], 3, axis=2))
    found = load_changes("levir-mci", write.folder, "train")
    assert (found.name, found.split, len(found)) == ("levir-mci", "train", 2)
    assert found.changed.tolist() == [False, True]
    assert found.captions == [*SAME, *BUILT] and found.pair_of.tolist() == [0, 0, 1, 1]
    assert found.class_names == ("road", "building")
    assert found.mask(0) is None
    assert found.mask(1)[:3, 0].tolist() == [1, 2, 0]
    assert [pair.name for pair in found.only_changed().pairs] == ["train_000002.png"]
    images = found.images()
    assert images[0].before.parent.name == "A" and images[0].after.parent.name == "B"
    assert images[0].swapped == ImagePair(images[0].after, images[0].before)


def test_a_set_becomes_one_that_training_takes(write):
    write.json(
        "LevirCCcaptions.json",
        {"images": [entry("a.png", "train", SAME, changeflag=0), entry("b.png", "train", BUILT)]},
    )
    write.pictures(*(f"images/train/{side}/{name}.png" for side in "AB" for name in "ab"))
    data = load_changes("levir-cc", write.folder, "train").retrieval_set()
    assert data.class_names == ("changed", "unchanged") and data.labels.tolist() == [1, 0]
    assert isinstance(data.images[0], ImagePair) and data.image_of.tolist() == [0, 0, 1, 1]
    changed = load_changes("levir-cc", write.folder, "train-changed")
    assert (changed.split, len(changed)) == ("train-changed", 1)


def test_without_a_flag_the_sentences_tell_whether_anything_changed(write):
    rows = [entry("a.png", "val", SAME), entry("b.png", "val", [*SAME, BUILT[0]]), entry("c.png", "val", [])]
    write.json("whuCCcaptions.json", {"images": rows})
    found = load_changes("whu-cdc", write.folder, "val", captions_only=True)
    assert [pair.changed for pair in found.pairs] == [False, True, None]
    assert found.changed.tolist() == [False, True, True]
    assert says_no_change("The two scenes seem identical.") and not says_no_change("a scene")
    assert len(NO_CHANGE_CAPTIONS) == 5


def test_whu_cdc_masks_are_of_two_values(write):
    write.json("whuCCcaptions.json", {"images": [entry("7.png", "test", BUILT)]})
    write.pictures("images/test/A/7.png", "images/test/B/7.png")
    write.mask("images/test/label/7.png", [[0, 255], [255, 0]])
    found = load_changes("whu-cdc", write.folder)
    assert found.mask(0).tolist() == [[0, 1], [1, 0]] and found.class_names == ("change",)


def test_second_cc_changes_where_the_land_cover_differs(write):
    write.json("SECOND-CC-AUG.json", {"images": [entry("00003.png", "train", BUILT, changeflag=1)]})
    write.pictures("train/rgb/A/00003.png", "train/rgb/B/00003.png")
    cover = np.zeros((2, 2, 3), np.uint8)
    write.mask("train/sem/A/00003.png", cover)
    cover = cover.copy()
    cover[0, 1] = (128, 0, 0)
    write.mask("train/sem/B/00003.png", cover)
    found = load_changes("second-cc", write.folder, "train")
    assert found.mask(0).tolist() == [[0, 1], [0, 0]]
    write.mask("train/sem/B/00003.png", np.zeros((3, 2, 3)))
    with pytest.raises(DatasetError, match="of two sizes"):
        load_changes("second-cc", write.folder, "train").mask(0)


def test_dubai_cc_has_a_file_a_split_and_tiles_in_folders_by_year(write):
    inside = "datasetDubaiCCPublic"
    for name, tile in (("Train", "11x37"), ("Val", "2x3"), ("Test", "4x4")):
        rows = [{"filename": f"{tile}.tif", "sentences": [{"raw": text} for text in BUILT]}]
        write.json(f"{inside}/description_jsontr_te_val/{name}.json", {"images": rows})
        for year in (2000, 2010):
            write.pictures(f"{inside}/imgs_tiles/RGB/500_{year}/{tile}.tif")
    found = load_changes("dubai-ccd", write.folder, "val")
    assert [pair.name for pair in found.pairs] == ["2x3.tif"]
    assert found.images()[0].before.parent.name == "500_2000"
    assert len(load_changes("dubai-cc", write.folder, "all")) == 3


def test_levir_ccd_in_plain_folders(write):
    write.json("captions.json", {"images": [entry("p1.png", "test", BUILT)]})
    write.pictures("A/p1.png", "B/p1.png")
    assert len(load_changes("levir-ccd", write.folder)) == 1


def test_cdvqa_joins_questions_answers_and_the_pictures_of_second(write):
    for name, file in (("Val", "02180.png"), ("Test2", "00587.png")):
        images = [{"id": n, "file_name": file, "questions_ids": [n]} for n in range(2)]
        questions = [
            {
                "id": 0,
                "img_id": 0,
                "type": "change_or_not",
                "question": "Did trees change?",
                "answers_ids": [0],
            },
            {"id": 1, "img_id": 1, "type": "change_ratio", "question": "How much?", "answers_ids": [1]},
        ]
        answers = [{"id": 0, "question_id": 0, "answer": "yes"}, {"id": 1, "answer": "10_to_20"}]
        write.json(f"{name}_images.json", {"images": images})
        write.json(f"{name}_questions.json", {"questions": questions})
        write.json(f"{name}_answers.json", {"answers": answers})
        write.pictures(f"im1/{file}", f"im2/{file}")
    found = load_changes("cdvqa", write.folder, "val")
    assert len(found) == 1 and found.pairs[0].changed is True and not found.captions
    assert [(q.kind, q.answer) for q in found.pairs[0].questions] == [
        ("change_or_not", "yes"),
        ("change_ratio", "10_to_20"),
    ]
    assert load_changes("cdvqa", write.folder, "test2").pairs[0].name == "00587.png"
    write.json("Val_answers.json", {"answers": []})
    with pytest.raises(DatasetError, match="do not fit together"):
        load_changes("cdvqa", write.folder, "val")


def test_levir_cd_as_it_is_published_and_with_the_split_in_the_names(write):
    write.pictures("train/A/1.png", "train/B/1.png", "test/A/2.png", "test/B/2.png")
    write.mask("train/label/1.png", [[0, 255]])
    found = load_changes("levir-cd", write.folder, "all")
    assert [(pair.name, pair.split) for pair in found.pairs] == [("2.png", "test"), ("1.png", "train")]
    assert found.mask(0) is None and found.mask(1).tolist() == [[0, 1]]


def test_missing_pictures_are_said_with_three_ways_on(write):
    rows = [entry(f"{n}.png", "test", BUILT) for n in range(7)]
    write.json("LevirCCcaptions.json", {"images": rows})
    write.pictures("images/test/A/3.png", "images/test/B/3.png", "images/test/A/4.png")
    with pytest.raises(
        DatasetError, match=r"6 pairs \(0.png, .*partial=True for the 1 pairs .*captions_only"
    ):
        load_changes("levir-cc", write.folder)
    part = load_changes("levir-cc", write.folder, partial=True)
    assert part.name == "levir-cc (partial, 1 of 7 pairs)" and part.pairs[0].name == "3.png"
    words = load_changes("levir-cc", write.folder, captions_only=True)
    assert len(words) == 7
    with pytest.raises(DatasetError, match="lacks pictures of 6 pairs"):
        words.images()
    said = check_dataset("levir-cc", write.folder)
    assert any("test should have 1929 pairs" in text for text in said)
    assert any("lacks pictures of 6 pairs" in text for text in said)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"rows": []}, "no list 'images'"),
        ({"images": [{"filename": "a.png"}]}, "without filename or sentences"),
        ({"images": [entry("a.png", "val", BUILT)]}, "no pair in the split 'test'; its splits are: all, val"),
    ],
)
def test_bad_annotations_are_one_sentence(write, content, said):
    write.json("LevirCCcaptions.json", content)
    with pytest.raises(DatasetError, match=said):
        load_changes("levir-cc", write.folder, captions_only=True)


def test_wrong_doors_point_to_the_right_one(tmp_path):
    with pytest.raises(UsageError, match="load_changes"):
        load_dataset("levir-cc", tmp_path)
    with pytest.raises(UsageError, match="load_dataset"):
        load_changes("ucm-captions", tmp_path)
    with pytest.raises(DatasetError, match="does not hold LEVIR-CC; it needs LevirCCcaptions"):
        load_changes("levir-cc", tmp_path)
    with pytest.raises(DatasetError, match="is not a folder"):
        load_changes("levir-cc", tmp_path / "nowhere")
    names = {row.name for row in list_datasets() if row.pairs}
    wanted = {"levir-cc", "levir-mci", "dubai-cc", "levir-ccd", "whu-cdc", "second-cc", "cdvqa", "levir-cd"}
    assert names == wanted


def test_a_broken_mask_is_named(write):
    write.json("whuCCcaptions.json", {"images": [entry("7.png", "test", BUILT)]})
    write.pictures("images/test/A/7.png", "images/test/B/7.png")
    (write.folder / "images/test/label").mkdir()
    (write.folder / "images/test/label/7.png").write_bytes(b"no picture")
    with pytest.raises(DatasetError, match="cannot be read as a mask"):
        load_changes("whu-cdc", write.folder).mask(0)


def test_splits_are_read_off_names():
    assert (
        split_of("Train") == "train" and split_of("images/test/A") == "test" and split_of("Test2") == "test2"
    )
    assert split_of("trainee") is None and split_of("tr_te_val") == "val"


def test_the_real_captions_of_levir_cc(real_data):
    form = find_dataset("levir-cc").pairs
    whole = load_changes("levir-cc", real_data / "levir_cc", "all", captions_only=True)
    for split, size in form.sizes.items():
        rows = [pair for pair in whole.pairs if pair.split == split]
        assert (len(rows), sum(len(pair.captions) for pair in rows)) == (size.images, size.captions)
    assert int(whole.changed.sum()) == 5038
    three = load_changes("levir-cc", real_data / "levir_cc", "train", partial=True)
    assert [pair.name for pair in three.pairs] == ["train_000016.png", "train_000051.png", "train_000054.png"]


def test_the_real_masks_of_levir_cd(real_data):
    found = load_changes("levir-cd", real_data / "levir_cd", "all")
    masks = [found.mask(row) for row in range(len(found))]
    assert len(found) == 12 and sum(mask is not None for mask in masks) == 11
    shares = [mask.mean() for mask in masks if mask is not None]
    assert sum(share == 0 for share in shares) == 1 and 0.1 < np.mean(shares) < 0.2
