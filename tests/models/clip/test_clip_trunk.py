"""CLIP's vision transformers as towers of the methods in the zoo."""

from __future__ import annotations

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")

from clip_files import open_clip, random_model, save, shrunk  # noqa: E402

from landsift.errors import UsageError  # noqa: E402
from landsift.models.blocks import vision_trunk as module  # noqa: E402
from landsift.models.blocks.trunk import LEVELS, TOWERS, build_trunk  # noqa: E402
from landsift.models.clip import opening  # noqa: E402
from landsift.models.clip.matcher import CLIP_MEAN, CLIP_STD  # noqa: E402
from landsift.models.clip.shapes import ARCHITECTURES  # noqa: E402

SMALL = {
    name: replace(small, image=replace(small.image, layers=4))
    for name, small in ((name, shrunk(shape)) for name, shape in ARCHITECTURES.items())
}
SIDE = 64


@pytest.fixture(autouse=True)
def small_table(monkeypatch):
    monkeypatch.setattr(opening, "ARCHITECTURES", SMALL)
    monkeypatch.setattr(module, "ARCHITECTURES", SMALL)


@pytest.fixture
def pixels():
    torch.manual_seed(2)
    return torch.randint(0, 256, (2, 3, SIDE, SIDE), dtype=torch.uint8)


@pytest.mark.parametrize("cut", ["c2", "c3", "c4", "none"])
def test_maps_are_the_same_wherever_the_trunk_is_cut(cut, pixels):
    found = []
    for place in (cut, "none"):
        torch.manual_seed(3)
        trunk = build_trunk("clip-vit-b-32", start="random", cut=place, levels=LEVELS, input_size=SIDE).eval()
        with torch.no_grad():
            found.append(trunk.upper(trunk.lower(pixels)))
    assert list(found[0]) == list(LEVELS)
    for level in LEVELS:
        torch.testing.assert_close(found[0][level], found[1][level])
        assert found[0][level].shape == (2, trunk.channels[level], trunk.sides[level], trunk.sides[level])


def test_it_starts_from_an_encoder_and_gives_its_patches(tmp_path, pixels):
    model = random_model(SMALL["vit-b-32"], "quickgelu")
    path = save(open_clip(model), tmp_path / "RemoteCLIP-ViT-B-32.pt")
    start = f"remoteclip-vit-b-32@{path}"
    trunk = build_trunk("clip-vit-b-32-quickgelu", start=start, cut="c3", levels=("c4",), input_size=SIDE)
    with torch.no_grad():
        maps = trunk.upper(trunk.lower(pixels))["c4"]
        scaled = (pixels / 255 - torch.tensor(CLIP_MEAN)[:, None, None]) / torch.tensor(CLIP_STD)[
            :, None, None
        ]
        patches = model.image.norm_after(model.image.tokens(scaled))[:, 1:]
    torch.testing.assert_close(maps.flatten(2).transpose(1, 2), patches, atol=1e-5, rtol=1e-4)
    with pytest.raises(UsageError, match="with quickgelu, which is not clip-vit-b-32;"):
        build_trunk("clip-vit-b-32", start=start, cut="c3", levels=("c4",), input_size=SIDE)
    with pytest.raises(UsageError, match="which is not clip-vit-b-16-quickgelu"):
        build_trunk("clip-vit-b-16-quickgelu", start=start, cut="c3", levels=("c4",), input_size=SIDE)


def test_every_weight_lies_in_one_part():
    trunk = build_trunk("clip-vit-b-32", start="random", cut="c2", levels=("c4",), input_size=SIDE)
    names = [name for name, parameter in trunk.named_parameters() if parameter.numel()]
    assert any(name.startswith("frozen.0.before.patches") for name in names)
    assert any(name.startswith("trained.1.after") for name in names)
    tower = module.VisionTower(SMALL["vit-b-32"].image, "gelu", 8)
    sizes = [p.numel() for name, p in tower.named_parameters() if not name.startswith("projection")]
    assert sum(p.numel() for p in trunk.parameters()) == sum(sizes)
    short = build_trunk("clip-vit-b-32", start="random", cut="c2", levels=("c2",), input_size=SIDE)
    assert len(short.trained) == 0 and len(short.frozen) == 2


def test_sizes_that_do_not_fit_are_told():
    with pytest.raises(UsageError, match="patches of 32 pixels"):
        build_trunk("clip-vit-b-32", start="random", cut="none", levels=("c4",), input_size=50)
    assert "clip-vit-h-14-quickgelu" in TOWERS


def test_a_method_of_the_zoo_trains_on_it(pixels):
    from landsift.models.registry import MatcherSource, build_matcher

    options = {
        "image": "clip-vit-b-32",
        "image_start": "random",
        "text": "gru",
        "dim": 16,
        "input_size": SIDE,
    }
    matcher = build_matcher("vsepp", options, MatcherSource(captions=["a boat", "two boats"], images=2))
    images = matcher.image_features(pixels)
    texts = matcher.text_features(matcher.prepare(["a boat", "two boats"]))
    matcher.similarity(images, texts).sum().backward()
    assert matcher.images.trained[0].layers[-1].widen.weight.grad is not None
