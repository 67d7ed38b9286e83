import json

import pytest

from landsift.data import layouts
from landsift.data.records import Record
from landsift.errors import DatasetError


def write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return path


def test_karpathy_keeps_splits_classes_keywords_and_blank_captions(tmp_path):
    entry = {
        "filename": "a.tif",
        "split": "restval",
        "class": "boat",
        "keywords": ["port", "sea"],
        "sentences": [{"raw": "Two ships .", "keywords": ["port", "ship"]}, {"raw": " ."}],
    }
    found = layouts.karpathy(write(tmp_path / "d.json", {"images": [entry]}))
    assert found == [Record("a.tif", ("Two ships .", " ."), "train", "boat", ("port", "sea", "ship"))]


def test_grouped_joins_class_and_name_and_keeps_caption_order(tmp_path):
    rows = {"lake": [{"filename": "lake_1.jpg", "split": "val", "raw": "a", "raw_1": "b", "raw_2": "c"}]}
    found = layouts.grouped(write(tmp_path / "d.json", rows))
    assert found == [Record("lake/lake_1.jpg", ("a", "b", "c"), "val", "lake")]


@pytest.mark.parametrize("names", ["x\ny\n", "x\nx\ny\ny\n"])
def test_precomp_takes_a_name_per_image_or_per_caption_and_keeps_blank_lines(tmp_path, names):
    path = write(tmp_path / "test_caps.txt", "one\n\n\n \n")
    write(tmp_path / "test_filename.txt", names)
    assert layouts.precomp(path) == [Record("x", ("one", "")), Record("y", ("", " "))]


def test_precomp_with_windows_line_ends(tmp_path):
    (tmp_path / "test_caps.txt").write_bytes(b"one\r\ntwo\r\n")
    (tmp_path / "test_filename.txt").write_bytes(b"x\r\n")
    assert layouts.precomp(tmp_path / "test_caps.txt") == [Record("x", ("one", "two"))]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "filename,title\nx.png,\"one, two\"\ny.png,5\nx.png,four\n"),
        ("a.tsv", "filepath\ttitle\nx.png\tone, two\ny.png\t5\nx.png\tfour\n"),
        ("a.csv", "\ufeffImage;Caption_1;Caption_2\r\nx.png;one, two;four\r\ny.png;5;\r\n"),
        ("a.jsonl", '{"img": "x.png", "captions": ["one, two", "four"]}\n\n{"img": "y.png", "raw": "5"}\n'),
        ("a.json", [{"image": "x.png", "caption": ["one, two", "four"]}, {"image": "y.png", "text": "5"}]),
        ("a.json", {"annotations": [{"filename": "x.png", "text_output": "one, two"},
                                    {"filename": "y.png", "caption": "5"},
                                    {"filename": "x.png", "caption": "four"}]}),
    ],
)  # fmt: skip
def test_rows_of_every_kind_read_alike(tmp_path, name, content):
    found = layouts.rows(write(tmp_path / name, content))
    captions = {record.file: tuple(text for text in record.captions if text) for record in found}
    assert captions == {"x.png": ("one, two", "four"), "y.png": ("5",)}


def test_rows_take_split_class_and_keywords(tmp_path):
    path = write(tmp_path / "a.csv", 'filename,title,split,class,keywords\nx.png,one,valid,port,"sea,ship"\n')
    assert layouts.rows(path) == [Record("x.png", ("one",), "val", "port", ("sea", "ship"))]


def test_gb18030_tables_are_read(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes("filename,title\nx.png,a river “near” 河\n".encode("gb18030"))
    assert layouts.rows(path)[0].captions == ("a river “near” 河",)


def test_textrs_and_conversations(tmp_path):
    path = write(tmp_path / "t.json", {"TextRS": [{"image": "a02", "annotation": {"caption": ["x", "y"]}}]})
    assert layouts.textrs(path) == [Record("a02", ("x", "y"))]
    turns = [
        {"from": "human", "value": "<image>\n[caption] Give a caption of the image."},
        {"from": "gpt", "value": "[caption] A port ."},
        {"from": "human", "value": "How many ships?"},
        {"from": "gpt", "value": "Three"},
    ]
    entries = [{"image": "p.png", "conversations": turns}, {"image": "q.png", "conversations": turns[2:]}]
    assert layouts.conversations(write(tmp_path / "c.json", entries)) == [Record("p.png", ("A port .",))]


@pytest.mark.parametrize(
    ("parse", "content", "words"),
    [
        (layouts.karpathy, "{", "line 1"),
        (layouts.karpathy, {"pictures": []}, "images"),
        (layouts.karpathy, {"images": [{"filename": "x"}]}, "Karpathy"),
        (layouts.karpathy, {"images": [7]}, "Karpathy"),
        (layouts.grouped, [1], "by class"),
        (layouts.grouped, {"lake": [7]}, "object"),
        (layouts.rows, [{"caption": "no image"}], "image or a caption column"),
        (layouts.rows, [{"image": "x.png"}], "image or a caption column"),
        (layouts.textrs, {"TextRS": [{"image": "x"}]}, "captions"),
        (layouts.conversations, [{"image": "x"}], "conversations"),
    ],
)
def test_malformed_files_are_named_in_one_sentence(tmp_path, parse, content, words):
    with pytest.raises(DatasetError, match=words) as error:
        parse(write(tmp_path / "bad.json", content))
    assert "bad.json" in str(error.value) and str(error.value).endswith(".")


def test_malformed_lines_are_numbered(tmp_path):
    with pytest.raises(DatasetError, match="line 2"):
        layouts.rows(write(tmp_path / "a.jsonl", '{"image": "x", "text": "y"}\n{"image"\n'))


def test_captions_that_do_not_divide_among_names(tmp_path):
    path = write(tmp_path / "test_caps.txt", "a\nb\nc\n")
    write(tmp_path / "test_filename.txt", "x\ny\n")
    with pytest.raises(DatasetError, match="3 captions for 2 names"):
        layouts.precomp(path)


def test_files_that_are_absent_or_undecodable(tmp_path):
    with pytest.raises(DatasetError, match="cannot be read"):
        layouts.read_text(tmp_path / "none.txt")
    (tmp_path / "bad.txt").write_bytes(b"\xff\xff\xff")
    with pytest.raises(DatasetError, match="UTF-8"):
        layouts.read_text(tmp_path / "bad.txt")


def test_true_samples_of_every_layout(real_data):
    formats = real_data / "formats"
    precomp = layouts.precomp(formats / "precomp_rsitmd/test_caps.txt")
    train = layouts.precomp(formats / "precomp_rsitmd/train_caps.txt")
    assert (len(precomp), len(train)) == (452, 100)
    assert {len(record.captions) for record in precomp + train} == {5}
    albef = layouts.rows(formats / "albef_rsitmd/rsitmd_test.json")
    assert len(albef) == 452 and {record.file.removeprefix("test/") for record in albef} == {
        record.file for record in precomp
    }
    head = layouts.rows(formats / "albef_rsitmd/rsitmd_train_head.json")
    assert head[0].label == "bridge" and len(head[0].captions) == 5
    clip = layouts.rows(formats / "clip_rsicd_head.jsonl")
    assert len(clip) == 30 and clip[0].file == "rsicd_images/airport_348.jpg"
    assert len(layouts.textrs(formats / "textrs.json")) == 2143
    assert len(layouts.karpathy(formats / "sydney_dataset.json")) == 613
    assert layouts.rows(formats / "rs5m_rs3_sample.csv")[0].file == "fmow_stadium_211_3_msrgb.jpg"
    assert layouts.rows(formats / "rs5m_ratings_sample.csv")[0].captions[0].startswith("orbiting")
    grouped = layouts.grouped(real_data / "nwpu_13/dataset_nwpu.json")
    assert len(grouped) == 1650 and {len(record.captions) for record in grouped} == {5}


def test_precomp_equals_karpathy_on_the_same_split(real_data):
    by_name = {
        record.file: record.captions
        for record in layouts.karpathy(real_data / "rsitmd/dataset_RSITMD.json")
        if record.split == "test"
    }
    precomp = layouts.precomp(real_data / "formats/precomp_rsitmd/test_caps.txt")
    assert {record.file: record.captions for record in precomp} == by_name
