"""Maps by gradients: where the truth is built in, against twins, and with randomised weights."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from landsift.encoders.cells import cells_of  # noqa: E402
from landsift.errors import UsageError  # noqa: E402
from landsift.explain import Question, explain, methods_for  # noqa: E402
from landsift.models.attribution import attention_relevance, grad_cam, gradient_heat  # noqa: E402
from landsift.models.cells import cells_of_matcher, vision_cells  # noqa: E402
from landsift.models.clip.shapes import ImageShape  # noqa: E402
from landsift.models.clip.vision import VisionTower  # noqa: E402
from landsift.models.encoder import TorchEncoder, TorchScorer  # noqa: E402
from landsift.models.registry import MatcherSource, build_matcher  # noqa: E402
from landsift.types import EncoderCard  # noqa: E402

CAPTIONS = ("a red roof", "a blue lake beside a field", "two planes")
DUAL = {"start": "random", "input_size": 64, "dim": 16, "text_width": 32, "text_layers": 1}
CLIP_SIZES = {
    "image.width": 64,
    "image.layers": 2,
    "image.heads": 2,
    "image.size": 128,
    "text.width": 64,
    "text.layers": 1,
    "text.heads": 1,
    "dim": 32,
}


def picture(seed: int = 0) -> np.ndarray:
    pixels = np.random.default_rng(seed).integers(0, 90, (80, 120, 3)).astype(np.uint8)
    pixels[10:40, 70:100] += 150
    return pixels


def torch_encoder(name: str, seed: int = 0, kind: type = TorchEncoder, **options: object) -> TorchEncoder:
    torch.manual_seed(seed)
    matcher = build_matcher(name, options, MatcherSource(CAPTIONS, len(CAPTIONS))).eval()
    card = EncoderCard(
        name, matcher.dim, f"{name}{seed}", matcher.input_size, matcher.context_length, "Apache-2.0"
    )
    card.extra["backend"] = "torch"
    return kind(card, matcher=matcher)


@pytest.fixture(scope="module")
def dual():
    return torch_encoder("dual", **DUAL)


@pytest.fixture(scope="module")
def vit():
    return torch_encoder("clip", architecture="vit-b-32", changes=CLIP_SIZES)


@pytest.fixture(scope="module")
def lite():
    return torch_encoder("dual")


def vision_tower(pool: str, seed: int = 0) -> VisionTower:
    """A random transformer of four by four patches."""
    torch.manual_seed(seed)
    shape = ImageShape(width=64, layers=2, heads=2, patch=32, size=128, hidden=96, pool=pool)
    tower = VisionTower(shape, "gelu", 64).eval()
    tower.initialise()
    return tower


class Detector(nn.Module):
    """One channel is redness and makes the score; the other is noise, and must not be seen."""

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.Conv2d(3, 2, 8, 8, bias=False)
        with torch.no_grad():
            self.maps.weight.zero_()
            self.maps.weight[0, 0] = 1 / 64
            self.maps.weight[1, 2] = 1.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.maps(x)[:, 0].mean()


def test_grad_cam_shows_the_channel_that_makes_the_score():
    pixels = torch.zeros(1, 3, 64, 64)
    pixels[:, 2] = torch.rand(64, 64)
    pixels[0, 0, 16:32, 40:56] = 1
    detector = Detector()
    heat = grad_cam(detector.maps, lambda: detector(pixels))
    true = torch.zeros(8, 8)
    true[2:4, 5:7] = 1 / 64  # the mean gradient of a mean over 64 cells
    torch.testing.assert_close(heat, true)
    assert not grad_cam(detector.maps, lambda: -detector(pixels)).any(), "what lowers the score is left out"


def test_grad_cam_against_finite_differences(dual):
    """Of the built-in architecture: the gradient of the score by each channel of the last map."""
    matcher = dual.matcher
    pixels = torch.from_numpy(picture()[:64, :64].copy()).permute(2, 0, 1)[None]
    head = matcher.model.image_tower.head
    text = matcher.text_features(matcher.prepare(CAPTIONS[:1]))
    with torch.no_grad():
        maps = matcher.image_levels(pixels)["head"].double()
        model = matcher.model.image_projection.double()

        def score(values: torch.Tensor) -> torch.Tensor:
            row = model(values.mean(dim=(2, 3)))
            return (torch.nn.functional.normalize(row, dim=1) @ text.pooled.double().T)[0, 0]

        step, some = 1e-5, range(0, maps.shape[1], 160)
        slopes = []
        for channel in some:
            moved = maps.clone()
            moved[:, channel] += step
            slopes.append((score(moved) - score(maps)) / step / maps[0, 0].numel())
        model.float()
    only = torch.zeros_like(maps)
    for channel, slope in zip(some, slopes, strict=True):
        only[:, channel] = slope
    grabbed = {}

    def keep(_, __, output):
        grabbed["map"] = output
        output.retain_grad()

    handle = head.register_forward_hook(keep)
    matcher.similarity(matcher.image_features(pixels), text)[0, 0].backward()
    handle.remove()
    found = grabbed["map"].grad.mean(dim=(2, 3))[0, ::160]
    torch.testing.assert_close(found.double(), torch.stack(slopes), rtol=1e-3, atol=1e-7)
    heat = grad_cam(head, lambda: matcher.similarity(matcher.image_features(pixels), text)[0, 0])
    weights = grabbed["map"].grad.mean(dim=(2, 3), keepdim=True)
    torch.testing.assert_close(heat, (weights * grabbed["map"]).sum(dim=1)[0].clamp(min=0).detach())


@pytest.mark.parametrize("name", ["lite", "vit"])
def test_randomised_weights_change_the_map(name, request):
    """Adebayo et al., "Sanity Checks for Saliency Maps", 2018; of the built-in weights too."""
    encoder = request.getfixturevalue(name)
    before, _ = gradient_heat(encoder, picture(), CAPTIONS[0])
    kept = {key: value.clone() for key, value in encoder.matcher.state_dict().items()}
    torch.manual_seed(5)
    with torch.no_grad():
        for parameter in (
            encoder.matcher.model.image_tower.parameters()
            if name == "lite"
            else (encoder.matcher.model.image.parameters())
        ):
            parameter.copy_(parameter.flatten()[torch.randperm(parameter.numel())].reshape(parameter.shape))
    after, _ = gradient_heat(encoder, picture(), CAPTIONS[0])
    encoder.matcher.load_state_dict(kept)
    again, _ = gradient_heat(encoder, picture(), CAPTIONS[0])
    np.testing.assert_array_equal(again, before)
    assert before.any() and (before >= 0).all()
    assert not after.any() or np.corrcoef(before.ravel(), after.ravel())[0, 1] < 0.8


@pytest.mark.parametrize("pool", ["class", "map"])
def test_attention_in_the_open_is_the_same_attention(pool):
    """The score is the same with the weights laid open, and the layers are put back as they were."""
    tower, pixels, seen = vision_tower(pool), torch.randn(1, 3, 128, 128), []

    def score() -> torch.Tensor:
        row = tower(pixels)
        seen.append(row.detach())
        return row[0, 0]

    relevance = attention_relevance(tower, score)
    assert relevance.shape == (4, 4) and (relevance >= 0).all() and relevance.any()
    with torch.no_grad():
        torch.testing.assert_close(tower(pixels), seen[0], rtol=1e-4, atol=1e-5)
    assert not any("_attend" in part.__dict__ or "forward" in part.__dict__ for part in tower.modules())


def test_attention_finds_the_patch_that_differs():
    """All patches but one are alike and lie nowhere: what the score gains by the odd one is its own."""
    torch.manual_seed(0)
    tower = VisionTower(ImageShape(width=64, layers=1, heads=1, patch=16, size=64), "gelu", 32).eval()
    tower.initialise()
    with torch.no_grad():
        tower.positions.zero_()
    plain = torch.full((1, 3, 64, 64), -0.5)
    odd = plain.clone()
    odd[:, :, 16:32, 32:48] = torch.tensor([3.0, -2.0, 1.0]).reshape(1, 3, 1, 1)
    with torch.no_grad():
        gained = tower(odd) - tower(plain)
    relevance = attention_relevance(tower, lambda: (tower(odd) * gained).sum())
    assert relevance.argmax() == 1 * 4 + 2
    others = torch.cat([relevance.flatten()[:6], relevance.flatten()[7:]])
    torch.testing.assert_close(others, others[:1].expand(15)), "patches that are alike count alike"


def test_the_best_method_is_chosen_and_others_refused(dual, vit):
    assert methods_for(dual) == ("grad-cam", "occlusion") and methods_for(vit) == ("attention", "occlusion")
    found = explain(picture(), Question(dual, CAPTIONS[0], CAPTIONS[1:2]))
    assert found.method == "grad-cam" and found.grid.shape == (2, 2) and found.heat.shape == (80, 120)
    with pytest.raises(UsageError, match="cannot be explained by 'attention'; take grad-cam or occlusion"):
        explain(picture(), Question(dual, CAPTIONS[0]), method="attention")
    with pytest.raises(
        UsageError, match="cannot be explained by grad-cam; take --method attention or occlusion"
    ):
        gradient_heat(vit, picture(), CAPTIONS[0], method="grad-cam")


def test_a_square_from_the_middle_leaves_the_sides_cold(vit):
    found = explain(picture(), Question(vit, CAPTIONS[0]))
    assert vit.matcher.fit == "centre-crop" and not found.heat[:, :18].any() and not found.heat[:, 102:].any()


def test_a_scorer_of_pairs_is_explained_too():
    options = {"image": "resnet-mini", "image_start": "random", "text_start": "random", "word_width": 24}
    options |= {"dim": 32, "input_size": 64}
    scorer = torch_encoder("scan-t2i", kind=TorchScorer, **options)
    found = explain(picture(), Question(scorer, "a red roof"))
    assert found.method == "grad-cam" and len(found.words) == 3 and found.heat.any()
    assert found.score == pytest.approx(float(scorer.score([picture()], ["a red roof"])[0, 0]), abs=1e-5)


def test_cells_make_the_vector(dual, vit):
    cells = cells_of(dual).encode_cells([picture(), picture(1)])
    assert cells.shape == (2, 2, 2, 16)
    mean = cells.mean(axis=(1, 2))
    own = mean / np.linalg.norm(mean, axis=1, keepdims=True)
    np.testing.assert_allclose(own, dual.encode_images([picture(), picture(1)]), atol=1e-5)
    found = cells_of(vit).encode_cells([picture()])
    assert found.shape == (1, 4, 4, 32)
    np.testing.assert_allclose(np.linalg.norm(found, axis=-1), 1, atol=1e-5)


@pytest.mark.parametrize("pool", ["class", "map"])
def test_cells_of_transformers_tell_places_apart(pool):
    """A patch alone answers for itself: the cell of the odd patch is the one that differs."""
    tower = vision_tower(pool)
    with torch.no_grad():
        tower.positions.zero_()
        pixels = torch.full((1, 3, 128, 128), -0.5)
        pixels[:, :, 32:64, 64:96] = torch.tensor([3.0, -2.0, 1.0]).reshape(1, 3, 1, 1)
        cells = vision_cells(tower, pixels)[0].reshape(16, -1)
    alike = cells @ cells[0]
    assert cells.shape == (16, 64) and alike.argmin() == 1 * 4 + 2
    assert (alike.sort().values[1:] > 0.999).all() and alike.min() < 0.99


def test_cells_of_clips_resnet_and_of_methods():
    sizes = {"image.width": 16, "image.heads": 8, "image.size": 64, "text.width": 64, "text.heads": 1}
    resnet = torch_encoder("clip", architecture="rn50", changes=sizes | {"text.layers": 1, "dim": 32})
    assert cells_of(resnet).encode_cells([picture()]).shape == (1, 2, 2, 32)
    assert methods_for(resnet) == ("grad-cam", "occlusion")
    heats = [gradient_heat(resnet, picture(), *texts)[0] for texts in (("a", ["b"]), ("b", ["a"]))]
    assert heats[0].shape == (2, 2) and any(heat.any() for heat in heats)
    options = {"image": "resnet-mini", "image_start": "random", "text_start": "random", "text": "bigru"}
    method = torch_encoder("georsclip", **options, dim=32, input_size=64, word_width=24)
    cells = cells_of(method).encode_cells([picture()])
    assert cells.shape == (1, 2, 2, 32)
    several = torch_encoder("amfmn-soft", kind=TorchScorer, **options, dim=32, input_size=64, word_width=24)
    assert cells_of_matcher(several.matcher) is None, "it reads more than the last map"
