"""PIR-CLIP: what the instruction does to the tokens, by a slow twin; that it trains, saves and loads."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from clip_files import open_clip, random_model, save, shrunk  # noqa: E402

from landsift.errors import EncoderError, UsageError  # noqa: E402
from landsift.models.checkpoint import read_matcher, write_matcher  # noqa: E402
from landsift.models.clip import opening  # noqa: E402
from landsift.models.clip.instructed import InstructedClip, believed  # noqa: E402
from landsift.models.clip.shapes import ARCHITECTURES  # noqa: E402
from landsift.models.objectives import affiliation, info_nce  # noqa: E402
from landsift.models.registry import MatcherSource, build_matcher  # noqa: E402
from landsift.models.resnet import ResNet  # noqa: E402
from landsift.train import read_recipe  # noqa: E402

SIDE = 64
CHANGES = {"image.width": 64, "image.heads": 1, "image.layers": 2, "image.size": SIDE, "dim": 16}
CHANGES |= {"text.width": 64, "text.heads": 1, "text.layers": 1, "text.context": 20}
OPTIONS = {"changes": CHANGES, "instructor": "resnet-mini"}
CAPTIONS = ["a red roof", "two boats", "a red roof beside water", "many boats"]


def made(**options) -> InstructedClip:
    torch.manual_seed(0)
    matcher = build_matcher("pir-clip", OPTIONS | options, MatcherSource()).eval()
    assert isinstance(matcher, InstructedClip)
    return matcher


@pytest.fixture
def pixels():
    torch.manual_seed(2)
    return torch.randint(0, 256, (4, 3, SIDE, SIDE), dtype=torch.uint8)


@pytest.mark.parametrize("released", [True, False])
def test_belief_by_hand(released):
    torch.manual_seed(1)
    tokens, instruction = torch.randn(2, 5, 3), torch.randn(2, 3)
    found = believed(tokens, instruction, released)
    for row in range(2):
        agreement = [float(token @ instruction[row]) for token in tokens[row]]
        order = sorted(range(5), key=lambda place: -agreement[place])
        share = torch.tensor(agreement).exp()
        share = share / share.sum()
        weighed = torch.stack(
            [
                token * share[place] + token / ((order[place] if released else order.index(place)) + 1) ** 0.5
                for place, token in enumerate(tokens[row])
            ]
        )
        lengths = weighed.norm(dim=0 if released else 1, keepdim=True)
        torch.testing.assert_close(found[row], weighed / lengths)
    assert not torch.allclose(believed(tokens, instruction, not released), found)


def test_the_instruction_becomes_the_vector_or_leads_the_class_token(pixels):
    asked, classed = made(), made(pool="class")
    with torch.inference_mode():
        rows, others = asked.image_features(pixels).pooled, classed.image_features(pixels).pooled
        image = asked.model.image
        x = image.embedded((pixels / 255 - asked.mean) / asked.std)
        y = asked.instruct(asked._seen(pixels))
        x = torch.cat([y[:, None], believed(x, y)], dim=1)
        for layer in image.layers:
            x = layer(x)
        by_hand = [image.projection(image.norm_after(x[:, place])) for place in (0, 1)]
    for found, expected in ((rows, by_hand[0]), (others, by_hand[1])):
        torch.testing.assert_close(
            found, torch.nn.functional.normalize(expected, dim=1), atol=1e-6, rtol=1e-5
        )
    assert not torch.allclose(rows, others, atol=1e-3)
    with torch.inference_mode():
        alone = asked.image_features(pixels[1:2]).pooled
    torch.testing.assert_close(alone, rows[1:2], atol=1e-5, rtol=1e-4)


def test_it_learns_pairs_and_scenes_with_a_frozen_instructor(pixels):
    matcher = made()
    matcher.instructor.requires_grad_(False)
    before = {name: value.clone() for name, value in matcher.instructor.state_dict().items()}
    optimizer = torch.optim.AdamW([p for p in matcher.parameters() if p.requires_grad], lr=1e-3)
    labels, own = torch.tensor([0, 1, 0, 1]), torch.arange(4)
    losses = []
    for _ in range(12):
        matcher.train()
        image = matcher.image_features(pixels).pooled
        text = matcher.text_features(matcher.prepare(CAPTIONS)).pooled
        loss = info_nce(matcher.scale * image @ text.T, torch.eye(4, dtype=torch.bool))
        loss = loss + affiliation(image, text, labels, own)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]
    assert matcher.instruct.weight.grad.abs().sum() > 0
    for name, value in matcher.instructor.state_dict().items():
        assert torch.equal(value, before[name]), "statistics of a frozen instructor stay too"


def test_it_saves_loads_and_starts_from_files(tmp_path, pixels, monkeypatch):
    small = {name: shrunk(shape) for name, shape in ARCHITECTURES.items()}
    monkeypatch.setattr(opening, "ARCHITECTURES", small)
    torch.manual_seed(3)
    scenes = ResNet("resnet-mini")
    torch.save(scenes.state_dict() | {"fc.weight": torch.zeros(2, 2)}, tmp_path / "scenes.pth")
    base = save(open_clip(random_model(small["vit-b-32"], "quickgelu")), tmp_path / "clip.pt")
    start = {"start": f"remoteclip-vit-b-32@{base}", "instructor": "resnet-mini"}
    options = start | {"instructor_start": str(tmp_path / "scenes.pth")}
    matcher = build_matcher("pir-clip", options, MatcherSource()).eval()
    assert torch.equal(matcher.instructor.conv1.weight, scenes.conv1.weight)
    write_matcher(tmp_path, matcher, "pir-clip", options)
    for file in (base, tmp_path / "scenes.pth"):
        file.unlink()  # a checkpoint loads alone
    again = read_matcher(tmp_path)
    with torch.inference_mode():
        assert torch.equal(again.image_features(pixels).pooled, matcher.image_features(pixels).pooled)
    assert again.fit == "centre-crop" and again.model.activate == "quickgelu"
    assert again.depths()["instructor"] > max(n for name, n in again.depths().items() if "model" in name)


def test_it_exports(tmp_path):
    for package in ("onnx", "onnxscript"):
        pytest.importorskip(package)
    from landsift import load_encoder
    from landsift.export import export_encoder, measure_parity
    from landsift.train.cards import write_card

    folder, matcher = tmp_path / "pir", made()
    folder.mkdir()
    table = write_matcher(folder, matcher, "pir-clip", OPTIONS)
    fields = {"name": "pir", "backend": "torch", "dim": 16, "input_size": SIDE, "licence": "none"}
    write_card(folder, fields | {"context_length": matcher.context_length}, table)
    done = export_encoder(folder, tmp_path / "onnx")
    squares = list(torch.randint(0, 256, (3, 40, 70, 3), dtype=torch.uint8).numpy())
    parity = measure_parity(load_encoder(folder), load_encoder(done.folder), squares, CAPTIONS)
    assert max(parity.image_difference, parity.text_difference) < 1e-4


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"pool": "mean"}, UsageError, "no 'mean'"),
        ({"instructor": "resnet34"}, UsageError, "no 'resnet34'"),
        ({"instructor_start": "/nowhere/x.pth"}, EncoderError, "cannot be read as a ResNet"),
        ({"architecture": "siglip-b-16"}, EncoderError, "tokenizer of its own"),
        (
            {"architecture": "ms-vit-b-16", "changes": CHANGES | {"image.patch": 32}},
            UsageError,
            "start from one",
        ),
    ],
)
def test_wrong_options_are_told(options, error, said):
    with pytest.raises(error, match=said):
        made(**options)


def test_the_recipe_is_the_papers():
    recipe = read_recipe("pir-clip")
    assert recipe.model.name == "pir-clip" and recipe.model.freeze == ("instructor.",)
    assert set(recipe.loss) == {"info-nce", "affiliation"}
    assert (recipe.optimizer.rate, recipe.optimizer.weight_decay) == (1e-5, 0.5)
