import pytest

from landsift.data import load_captions, load_classes, read_image
from landsift.errors import DatasetError, LandsiftWarning, UsageError


@pytest.fixture
def folder(tmp_path, picture):
    for number, name in enumerate(["a.png", "sub/b.jpg", "c.png"]):
        picture(tmp_path / "images" / name, number)
    return tmp_path


def table(folder, text, name="captions.csv"):
    (folder / name).write_text(text, "utf-8")
    return folder / name


def test_a_folder_and_a_table(folder):
    path = table(
        folder, "filename,title,class\na.png,one,port\na.png,two,port\nb.jpg,three,lake\nc.png,four,port\n"
    )
    data = load_captions(folder / "images", path)
    assert (data.name, data.split) == ("captions", "all")
    assert data.captions == ["one", "two", "three", "four"]
    assert data.image_of.tolist() == [0, 0, 1, 2]
    assert data.class_names == ("lake", "port") and data.labels.tolist() == [1, 0, 1]
    assert read_image(data.images[1]).shape == (8, 8, 3)


def test_a_split_column(folder):
    path = table(folder, "filename,title,split\na.png,one,train\nb.jpg,two,test\nc.png,three,test\n")
    assert load_captions(folder / "images", path, "test", name="mine").image_names == ["b.jpg", "c.png"]
    with pytest.raises(DatasetError, match="'val'"):
        load_captions(folder / "images", path, "val")


def test_images_without_a_row_are_left_out_with_a_warning_or_kept(folder):
    path = table(folder, "filename,title\na.png,one\n")
    with pytest.warns(LandsiftWarning, match=r"2 images \(c.png, sub/b.jpg\)"):
        assert len(load_captions(folder / "images", path).images) == 1
    kept = load_captions(folder / "images", path, keep_unlisted=True)
    assert kept.image_names == ["a.png", "c.png", "sub/b.jpg"] and kept.image_of.tolist() == [0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("filename,title\na.png,one\nz.png,two\nb.jpg,x\nc.png,y\n", r"lacks 1 image \(z.png\)"),
        ("filename,title\na.png,one\nb.jpg, \nc.png,y\n", r"no caption for 1 image \(b.jpg\)"),
        ("filename,title\n", "no row in it"),
        ("", "no row in it"),
        ("filename\na.png\n", "title"),
    ],
)
def test_bad_tables_are_said(folder, text, words):
    with pytest.raises(DatasetError, match=words):
        load_captions(folder / "images", table(folder, text))


def test_missing_folders_and_files_are_said(folder):
    with pytest.raises(DatasetError, match="not a folder"):
        load_captions(folder / "none", table(folder, ""))
    with pytest.raises(DatasetError, match="cannot be read"):
        load_captions(folder / "images", folder / "none.csv")
    with pytest.raises(DatasetError, match="not a folder"):
        load_classes(folder / "none")
    with pytest.raises(DatasetError, match="one folder per class"):
        load_classes(folder / "images/sub")


def test_class_folders_with_and_without_templates(tmp_path, picture):
    for name in ("AnnualCrop/1.jpg", "AnnualCrop/2.jpg", "sea_lake/1.jpg"):
        picture(tmp_path / name)
    (tmp_path / "sea_lake/notes.txt").write_text("not an image")
    data = load_classes(tmp_path, ["a photo of {}.", "{}"])
    assert data.class_names == ("AnnualCrop", "sea_lake") and data.labels.tolist() == [0, 0, 1]
    assert data.captions[:2] == ["a photo of annual crop.", "annual crop"] and data.captions[-1] == "sea lake"
    assert load_classes(tmp_path).captions == []
    with pytest.raises(UsageError, match=r"\{\}"):
        load_classes(tmp_path, ["a photo"])
