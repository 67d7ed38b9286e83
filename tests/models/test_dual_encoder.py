"""The dual encoder: unit rows, a bounded temperature, and gradients where they belong."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from landsift.models.dual import COLDEST_TEMPERATURE, DualEncoder  # noqa: E402
from landsift.models.objectives import info_nce  # noqa: E402
from landsift.models.text import BertTower, TextConfig  # noqa: E402
from landsift.models.towers import EfficientNetLite  # noqa: E402


@pytest.fixture
def model():
    torch.manual_seed(0)
    return DualEncoder(EfficientNetLite(), BertTower(TextConfig(60, 24, 2, 4, 48, 40)), dim=16)


def test_rows_have_unit_length(model):
    model.eval()
    with torch.no_grad():
        images = model.encode_images(torch.randint(0, 256, (3, 3, 64, 64), dtype=torch.uint8))
        texts = model.encode_texts(torch.randint(0, 60, (4, 6)))
    assert images.shape == (3, 16) and texts.shape == (4, 16)
    torch.testing.assert_close(images.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(texts.norm(dim=1), torch.ones(4))


def test_the_scale_is_bounded(model):
    with torch.no_grad():
        model.log_scale.fill_(math.log(1e6))
    assert model.scale.item() == pytest.approx(1 / COLDEST_TEMPERATURE)


def test_text_features_start_unchanged_where_the_width_allows():
    model = DualEncoder(EfficientNetLite(), BertTower(TextConfig(60, 24, 1, 4, 48, 40)), dim=24)
    features = torch.randn(5, 24)
    torch.testing.assert_close(model.project_texts(features), torch.nn.functional.normalize(features, dim=1))


def test_gradients_reach_every_parameter(model):
    model.train()
    images = model.encode_images(torch.randint(0, 256, (3, 3, 64, 64)))
    texts = model.encode_texts(torch.randint(0, 60, (3, 6)), torch.ones(3, 6, dtype=torch.bool))
    info_nce(model.scale * images @ texts.T, torch.eye(3, dtype=torch.bool)).backward()
    still = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    # A bias before a softmax over keys shifts all of them alike and rightly gets no gradient beyond rounding.
    assert still == []
