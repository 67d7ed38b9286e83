import numpy as np
import pytest
from PIL import Image

from landsift.data import read_image, read_images
from landsift.errors import DatasetError


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "CMYK", "1", "LA"])
def test_every_colour_mode_becomes_rgb(tmp_path, mode):
    path = tmp_path / "a.tif"
    Image.new("RGB", (5, 4), (204, 204, 204)).convert(mode, dither=Image.Dither.NONE).save(path)
    pixels = read_image(path)
    assert pixels.shape == (4, 5, 3) and pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - (255 if mode == "1" else 204)).max() <= 2


def test_sixteen_bit_grey_is_scaled(tmp_path):
    Image.fromarray(np.array([[0, 65535], [32768, 257]], np.uint16)).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png")[:, :, 0].tolist() == [[0, 255], [127, 1]]


def test_paths_bytes_files_and_arrays_read_alike(tmp_path, picture):
    path = picture(tmp_path / "a.png")
    expected = read_image(path)
    with path.open("rb") as file:
        assert (read_image(file) == expected).all()
    assert (read_image(path.read_bytes()) == expected).all()
    assert (read_image(str(path)) == expected).all()
    assert read_image(expected) is expected
    assert (read_image(expected[:, :, 0])[:, :, 2] == expected[:, :, 0]).all()


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "cannot be read"), (b"<html></html>", "cannot be read"), (None, "does not exist")],
)
def test_files_that_are_no_images_are_named(tmp_path, content, words):
    path = tmp_path / "bad.jpg"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DatasetError, match=rf"bad\.jpg {words}"):
        read_image(path)


def test_a_picture_cut_short_is_an_error_not_a_grey_half(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    path = tmp_path / "cut.jpg"
    Image.fromarray(pixels).save(path)
    path.write_bytes(path.read_bytes()[:-900])
    with pytest.raises(DatasetError, match=r"cut\.jpg"):
        read_image(path)


@pytest.mark.parametrize("array", [np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros(4, np.uint8)])
def test_arrays_of_other_kinds_are_refused(array):
    with pytest.raises(DatasetError, match="uint8"):
        read_image(array)


def test_float_rasters_are_sent_elsewhere(tmp_path):
    Image.fromarray(np.ones((3, 3), np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(DatasetError, match="scene"):
        read_image(tmp_path / "a.tif")


def test_many_are_read_in_order_and_a_bad_one_stops_them(tmp_path, picture):
    paths = [picture(tmp_path / f"{number}.png", number) for number in range(40)]
    for path, pixels in zip(paths, read_images(paths, workers=3), strict=True):
        assert (pixels == read_image(path)).all()
    paths[20].write_bytes(b"no")
    with pytest.raises(DatasetError, match=r"20\.png"):
        list(read_images(paths, workers=3))
