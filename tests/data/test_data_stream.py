import csv
import io
import json
import tarfile
import tracemalloc
import zipfile

import numpy as np
import pytest
from PIL import Image

from landsift.data import check_dataset, read_image, stream_dataset
from landsift.errors import DatasetError, UsageError


def png(number=0):
    pixels = np.random.default_rng(number).integers(0, 255, (6, 6, 3)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def write_tar(path, samples, mode="w"):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as tar:
        for name, content in samples:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def rs5m(number):
    return [
        (f"{number:09d}.img_name", f"picture_{number}.jpg".encode()),
        (f"{number:09d}.img_content", png(number)),
        (f"{number:09d}.caption", f"caption {number}".encode()),
    ]


def test_rs5m_tars_by_split_and_part(tmp_path):
    for shard in range(3):
        write_tar(tmp_path / f"rs3-train-000{shard}.tar", rs5m(2 * shard) + rs5m(2 * shard + 1))
    write_tar(tmp_path / "pub11-val-0000.tar", rs5m(100))
    names = [sample.name for sample in stream_dataset("rs5m", tmp_path, "train")]
    assert names == [f"picture_{number}.jpg" for number in range(6)]
    assert [sample.captions for sample in stream_dataset("rs5m", tmp_path, "val")] == [("caption 100",)]
    shared = [s.name for part in range(2) for s in stream_dataset("rs5m", tmp_path, "train", part=(part, 2))]
    assert sorted(shared) == names
    first = next(stream_dataset("rs5m", tmp_path, "train"))
    assert (first.pixels() == read_image(png(0))).all()


def test_rsteller_has_a_caption_a_line_and_metadata(tmp_path):
    members = [("7.jpg", png()), ("7.json", b'{"place": "Ohio"}'), ("7.txt", b"one\n\ntwo\n")]
    write_tar(tmp_path / "train/0001.tar", members)
    (sample,) = stream_dataset("rsteller", tmp_path)
    assert sample.captions == ("one", "two") and sample.metadata["place"] == "Ohio"
    assert sample.name.endswith("7") and sample.pixels().shape == (6, 6, 3)


def test_geolangbind_has_bands_and_wavelengths(tmp_path):
    members = [
        ("a.image", npy(np.zeros((3, 4, 5), np.uint8))),
        ("a.text", b"a field,\nseen from above"),
        ("a.wavelength", b"[0.665, 0.56, 4.9e-1]"),
        ("a.geoloc", b"[1, 2]"),
        ("b.image", npy(np.zeros((9, 4, 5), np.uint16))),
        ("b.text", b"many bands"),
    ]
    write_tar(tmp_path / "s2/x.tar", members)
    rgb, bands = stream_dataset("geolangbind-2m", tmp_path)
    assert rgb.wavelengths == (0.665, 0.56, 0.49) and rgb.metadata["geoloc"] == "[1, 2]"
    assert rgb.captions == ("a field,\nseen from above",)
    assert rgb.pixels().shape == (4, 5, 3)
    assert bands.source.shape == (9, 4, 5)
    with pytest.raises(DatasetError, match="choose and stretch"):
        bands.pixels()


def test_pickled_bands_are_never_opened(tmp_path):
    buffer = io.BytesIO()
    np.save(buffer, np.array([{"a": 1}], object), allow_pickle=True)
    write_tar(tmp_path / "x.tar", [("a.image", buffer.getvalue()), ("a.text", b"x")])
    with pytest.raises(DatasetError, match="cannot be read"):
        list(stream_dataset("geolangbind-2m", tmp_path))


def test_compressed_tars_are_read(tmp_path):
    write_tar(tmp_path / "rs3-train-0.tar", rs5m(1), "w:gz")
    assert len(list(stream_dataset("rs5m", tmp_path))) == 1


@pytest.mark.parametrize(
    ("mode", "cut"), [*(("w", cut) for cut in (1, 1024, 2048, 9000)), ("w:gz", 600), ("w:gz", 2000)]
)
def test_a_tar_cut_short_is_an_error(tmp_path, cut, mode):
    path = write_tar(tmp_path / "rs3-train-0.tar", [m for n in range(9) for m in rs5m(n)], mode)
    content = path.read_bytes()
    path.write_bytes(content[: max(0, len(content) - 10240 * (mode == "w") - cut)])
    with pytest.raises(DatasetError, match=r"cut short|not a tar") as error:
        list(stream_dataset("rs5m", tmp_path))
    assert str(path) in str(error.value)


def test_a_page_in_place_of_a_tar(tmp_path):
    (tmp_path / "rs3-train-0.tar").write_text("<html>moved</html>" * 100)
    with pytest.raises(DatasetError, match="not a tar"):
        list(stream_dataset("rs5m", tmp_path))
    assert "not a tar" in check_dataset("rs5m", tmp_path)[0]


def test_bad_samples_stop_the_stream_or_are_reported(tmp_path):
    bad = [("5.img_content", png()), ("6.caption", b"x")]
    write_tar(tmp_path / "rs3-train-0.tar", rs5m(1) + bad + rs5m(9))
    with pytest.raises(DatasetError, match=r"sample 5 .* has no caption"):
        list(stream_dataset("rs5m", tmp_path))
    said = []
    assert len(list(stream_dataset("rs5m", tmp_path, on_bad=said.append))) == 2
    assert len(said) == 2 and "caption" in said[0] and "image" in said[1]


def test_memory_does_not_grow_with_the_shard(tmp_path):
    def peak(samples):
        members = ((f"{n:06d}.{kind}", b"x" * 50) for n in range(samples) for kind in ("jpg", "txt"))
        write_tar(tmp_path / "x.tar", members)
        tracemalloc.start()
        count = sum(1 for _ in stream_dataset("rsteller", tmp_path))
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert count == samples
        return used

    assert peak(3000) < peak(300) + 100_000


def test_skyscript_images_in_folders_and_zips(tmp_path):
    rows = [("images2/a1.jpg", "a bridge"), ("images3/w2.jpg", "a road, long"), ("images4/n3.jpg", "a field")]
    with (tmp_path / "SkyScript_train_top30pct.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("filepath", "title"), *rows])
    (tmp_path / "images2").mkdir()
    (tmp_path / "images2/a1.jpg").write_bytes(png(1))
    for folder, name in (("images3", "images3/w2.jpg"), ("images4", "n3.jpg")):
        with zipfile.ZipFile(tmp_path / f"{folder}.zip", "w") as archive:
            archive.writestr(name, png(2))
    samples = list(stream_dataset("skyscript", tmp_path, "train"))
    assert [sample.captions[0] for sample in samples] == [caption for _, caption in rows]
    assert all(sample.pixels().shape == (6, 6, 3) for sample in samples)


@pytest.mark.parametrize("name", ["images9/x.jpg", "../x.jpg", "/etc/x.jpg"])
def test_images_that_are_not_there_or_outside_are_refused(tmp_path, name):
    (tmp_path.parent / "x.jpg").write_bytes(png())
    (tmp_path / "a.csv").write_text(f"filepath,title\n{name},a road\n")
    with pytest.raises(DatasetError, match=r"x\.jpg"):
        list(stream_dataset("skyscript", tmp_path))


def test_a_zip_cut_short_is_an_error(tmp_path):
    (tmp_path / "images3.zip").write_bytes(b"PK\3\4 and no more")
    (tmp_path / "a.csv").write_text("filepath,title\nimages3/x.jpg,a road\n")
    with pytest.raises(DatasetError, match="zip"):
        list(stream_dataset("skyscript", tmp_path))


def test_gb18030_tables_and_damaged_ones(tmp_path):
    (tmp_path / "x.jpg").write_bytes(png())
    (tmp_path / "a.csv").write_bytes("filename,title\nx.jpg,a river 河 near\n".encode("gb18030"))
    assert next(stream_dataset("skyscript", tmp_path)).captions == ("a river 河 near",)
    (tmp_path / "a.csv").write_bytes(
        b"filename,title\n" + (b"x.jpg,a" + b" road" * 100 + b"\n") * 3000 + b"x.jpg,\xff\xff\n"
    )
    with pytest.raises(DatasetError, match="damaged near line"):
        list(stream_dataset("skyscript", tmp_path))


def talk(image, question, answer):
    turns = [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
    return {"id": 1, "image": image, "conversations": turns}


def test_mmrs_keeps_answers_to_requests_for_captions(tmp_path):
    (tmp_path / "rsicd").mkdir()
    (tmp_path / "rsicd/1.jpg").write_bytes(png())
    entries = [
        talk(
            "rsicd/1.jpg",
            "<image>\nPlease provide a one-sentence caption.",
            "[caption] A port, \u201cbusy\u201d .",
        ),
        talk("rsicd/1.jpg", "<image>\nHow many ships [are] there?", "3"),
        {"id": 3, "conversations": []},
    ] * 3000
    (tmp_path / "caption.json").write_text(json.dumps(entries))
    samples = list(stream_dataset("mmrs-1m", tmp_path))
    assert len(samples) == 3000 and samples[0].captions == ("A port, \u201cbusy\u201d .",)
    assert samples[0].pixels().shape == (6, 6, 3)


@pytest.mark.parametrize("content", ['[{"image": "a"', '{"a": 1}', "", '[{"image": ]', "[1, 2"])
def test_lists_cut_short_or_malformed_are_errors(tmp_path, content):
    (tmp_path / "caption.json").write_text(content)
    with pytest.raises(DatasetError, match=r"cut short|JSON list"):
        list(stream_dataset("mmrs-1m", tmp_path))


def test_wrong_use_is_refused(tmp_path):
    with pytest.raises(UsageError, match="load_dataset"):
        stream_dataset("ucm", tmp_path)
    with pytest.raises(DatasetError, match="needs"):
        stream_dataset("rs5m", tmp_path)
    write_tar(tmp_path / "rs3-train-0.tar", rs5m(1))
    with pytest.raises(DatasetError, match="'val'"):
        stream_dataset("rs5m", tmp_path, "val")
    with pytest.raises(UsageError, match="part"):
        stream_dataset("rs5m", tmp_path, part=(2, 2))
    assert check_dataset("rs5m", tmp_path) == []


def test_a_glob_chooses_among_subsets(tmp_path):
    for name in ("top30.csv", "top50.csv"):
        (tmp_path / name).write_text(f"filepath,title\nx.jpg,{name}\n")
    (tmp_path / "x.jpg").write_bytes(png())
    assert [s.captions[0] for s in stream_dataset("skyscript", tmp_path, files="top50*.csv")] == ["top50.csv"]


def test_true_samples_of_rs5m_tables(real_data, tmp_path):
    rows = (real_data / "formats/rs5m_rs3_sample.csv").read_bytes()
    (tmp_path / "rs3_val.csv").write_bytes(rows)
    with (real_data / "formats/rs5m_rs3_sample.csv").open(newline="") as file:
        names = [row["name"] for row in csv.DictReader(file)]
    (tmp_path / "images").mkdir()
    for name in set(names):
        (tmp_path / "images" / name).write_bytes(png())
    samples = list(stream_dataset("rs5m", tmp_path, "val"))
    assert [sample.name for sample in samples] == names
