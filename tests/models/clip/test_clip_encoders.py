"""Every card loads from a file of its true layout, encodes, and says what is wrong with a wrong one."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from clip_files import custom_text, open_clip, random_model, roberta, save, shrunk, siglip_hugging_face, timm  # noqa: E402
from tokenizers import Tokenizer, models, pre_tokenizers, processors  # noqa: E402

from landsift.encoders import card_of, list_encoders, load_encoder, scores_pairs, verify_weights  # noqa: E402
from landsift.encoders.cards import sha256_of  # noqa: E402
from landsift.encoders.spectral import spectral_need  # noqa: E402
from landsift.errors import EncoderError, LandsiftWarning, UsageError  # noqa: E402
from landsift.models.clip import opening  # noqa: E402
from landsift.models.clip.matcher import SPEC, ClipMatcher  # noqa: E402
from landsift.models.clip.shapes import ACTIVATIONS, ARCHITECTURES  # noqa: E402
from landsift.models.registry import MatcherSource, build_matcher  # noqa: E402
from landsift.types import Spectra, SpectralEncoder  # noqa: E402

FAMILY = [card for card in list_encoders() if card.extra.get("backend") == "clip"]
SMALL = {name: shrunk(shape) for name, shape in ARCHITECTURES.items()}
WORDS = [f"w{number}" for number in range(50)]


@pytest.fixture(autouse=True)
def small_table(monkeypatch):
    """The table of architectures with every size shrunk, so that files of full sizes need not be written."""
    monkeypatch.setattr(opening, "ARCHITECTURES", SMALL)


@pytest.fixture
def pictures():
    rng = np.random.default_rng(3)
    return [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in ((40, 64), (64, 64), (90, 31))]


def tokenizer_json(marks: tuple[str, str] | None) -> str:
    """Sixty words, as SigLIP (an end mark alone) or RoBERTa (marks on both sides) have them."""
    words = ["<s>", "<pad>", "</s>", "<unk>", *WORDS, *(f"x{n}" for n in range(6))]
    if marks is None:
        words[1], words[2] = "</s>", "<two>"
    tokenizer = Tokenizer(models.WordLevel({word: n for n, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    form = "$A </s>" if marks is None else "<s> $A </s>"
    tokenizer.post_processor = processors.TemplateProcessing(
        form, None, [(word, words.index(word)) for word in ("<s>", "</s>")]
    )
    return tokenizer.to_str()


def written(folder, card, suffix=None):
    """A file of the card's layout and name with random weights, and its tokenizer where it needs one."""
    shape = SMALL[card.extra["architecture"]]
    model = random_model(shape, card.extra["activation"])
    layout = {"siglip": timm, "roberta": roberta}.get(shape.text.kind, open_clip)
    tensors = (siglip_hugging_face if card.name.startswith(("git-", "siglip-")) else layout)(model)
    if "ms-clip" in card.name:
        tensors = {f"clip_base_model.model.{name}": tensor for name, tensor in tensors.items()}
    files = card.extra["source"].get("files") or ["epoch_20.pt"]
    path = folder / (suffix or files[0].rpartition("/")[2])
    if card.name.startswith("skyclip"):
        torch.save({"epoch": 20, "state_dict": {f"module.{n}": t for n, t in tensors.items()}}, path)
    else:
        save(tensors, path)
    if shape.text.tokenizer == "files":
        marks = ("<s>", "</s>") if shape.text.kind == "roberta" else None
        (folder / "tokenizer.json").write_text(tokenizer_json(marks), encoding="utf-8")
    return path, model


@pytest.mark.parametrize("card", FAMILY, ids=lambda card: card.name)
def test_every_card_loads_from_a_file_of_its_layout_and_encodes(tmp_path, card, pictures):
    path, _model = written(tmp_path, card)
    encoder = load_encoder(f"{card.name}@{path}")
    shape = SMALL[card.extra["architecture"]]
    found = encoder.card
    assert (found.name, found.dim, found.input_size) == (card.name, shape.dim, shape.image.size)
    assert found.weights_sha256 == sha256_of(path)
    verify_weights(found)
    texts = encoder.encode_texts(["w1 w2", "w3"])
    assert texts.shape == (2, shape.dim)
    np.testing.assert_allclose(np.linalg.norm(texts, axis=1), 1, atol=1e-5)
    need = spectral_need(card)
    if need is None or not need.bands:
        rows = encoder.encode_images(pictures)
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
        assert not np.allclose(rows[0], rows[1], atol=1e-4)
        np.testing.assert_allclose(rows[1], encoder.encode_images(pictures[1:2])[0], atol=1e-6)
    assert isinstance(encoder, SpectralEncoder) == (need is not None)


@pytest.mark.parametrize("card", FAMILY, ids=lambda card: card.name)
def test_every_card_fits_its_architecture(card):
    shape = ARCHITECTURES[card.extra["architecture"]]
    assert (card.dim, card.input_size, card.context_length) == (
        shape.dim,
        shape.image.size,
        shape.text.context,
    )
    assert card.extra["activation"] in ACTIVATIONS
    bands = shape.image.channels or 1
    assert len(card.extra["mean"]) == len(card.extra["std"]) == bands
    need = spectral_need(card)
    assert (need is not None) == (bands != 3)
    if need is not None and need.bands:
        assert len(need.bands) == bands


def test_known_activations():
    """The trap of the field: weights that descend from OpenAI's run with QuickGELU, LAION's with GELU."""
    act = {card.name: card.extra["activation"] for card in FAMILY}
    for name in ("remoteclip-vit-b-32", "georsclip-vit-b-32", "skyclip-vit-l-14-top50", "lrsclip-vit-b-16"):
        assert act[name] == "quickgelu"
    for name in ("skyclip-vit-b-32-top50", "georsclip-vit-h-14", "rs-m-clip", "laion-vit-l-14"):
        assert act[name] == "gelu"
    assert act["git-rsclip"] == "gelu-tanh"


def test_pixels_go_in_as_the_card_says(tmp_path, pictures):
    """By hand: shorter side to size, middle cut out, 0 to 1, mean and deviation of OpenAI."""
    from PIL import Image

    card = card_of("remoteclip-vit-b-32")
    path, model = written(tmp_path, card)
    size = SMALL["vit-b-32"].image.size
    picture = pictures[0]  # 40 x 64
    wide = Image.fromarray(picture).resize((size * 64 // 40, size), Image.Resampling.BICUBIC)
    left = (wide.width - size) // 2
    values = np.asarray(wide, np.float32)[:, left : left + size] / 255
    values = (values - np.float32(card.extra["mean"])) / np.float32(card.extra["std"])
    with torch.inference_mode():
        row = model.encode_images(torch.from_numpy(values).permute(2, 0, 1)[None])[0].numpy()
    found = load_encoder(f"remoteclip-vit-b-32@{path}").encode_images([picture])[0]
    np.testing.assert_allclose(found, row, atol=2e-5)


@pytest.mark.parametrize("size", [(231, 500), (500, 231), (100, 333), (225, 224), (1, 7), (600, 601)])
@pytest.mark.parametrize("fit", ["centre-crop", "squash", "pad"])
def test_squares_are_cut_as_torchvision_cuts_them(size, fit):
    from PIL import Image

    from landsift.encoders.pixels import fit_square

    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    height, width = size
    image = Image.fromarray(picture)
    if fit == "squash":
        expected = np.asarray(image.resize((224, 224), Image.Resampling.BICUBIC))
    elif fit == "pad":  # open_clip's ResizeKeepRatio(longest=1), then CenterCropOrPad
        tall, wide = (max(1, round(side * 224 / max(size))) for side in size)
        resized = np.asarray(image.resize((wide, tall), Image.Resampling.BICUBIC))
        before = [(224 - side) // 2 for side in (tall, wide)]
        after = [(224 - side + 1) // 2 for side in (tall, wide)]
        expected = np.pad(resized, [*zip(before, after, strict=True), (0, 0)])
    else:
        short, long = min(size), max(size)
        new_long = int(224 * long / short)
        wide, tall = (224, new_long) if width <= height else (new_long, 224)
        resized = np.asarray(image.resize((wide, tall), Image.Resampling.BICUBIC))
        top, left = int(round((tall - 224) / 2.0)), int(round((wide - 224) / 2.0))  # noqa: RUF046
        expected = resized[top : top + 224, left : left + 224]
    np.testing.assert_array_equal(fit_square(picture, 224, fit), expected)


def test_long_texts_are_cut_with_one_warning_that_counts_them(tmp_path):
    path, _ = written(tmp_path, card_of("remoteclip-vit-b-32"))
    encoder = load_encoder(f"remoteclip-vit-b-32@{path}")
    fits = " ".join(["boat"] * 75)
    with pytest.warns(LandsiftWarning, match="2 of 4 texts are longer than the 77 tokens") as told:
        rows = encoder.encode_texts(["a boat", fits, f"{fits} boat", f"{fits} boat harbour"])
    assert len(told) == 1
    np.testing.assert_allclose(rows[2], rows[3], atol=1e-6)
    encoder.encode_texts([fits])  # exactly full: nothing is cut, so nothing is said


@pytest.mark.parametrize("wrong", ["", "  ", 3])
def test_texts_without_words_are_refused(tmp_path, wrong):
    path, _ = written(tmp_path, card_of("remoteclip-vit-b-32"))
    with pytest.raises(UsageError, match="Text 1 is empty or no string"):
        load_encoder(f"remoteclip-vit-b-32@{path}").encode_texts(["a", wrong])


def test_another_architecture_is_refused_with_what_it_looks_like(tmp_path):
    path, _ = written(tmp_path, card_of("remoteclip-rn50"))
    with pytest.raises(EncoderError, match=r"looks like .*ResNet.* but CLIP ViT-B/32 was expected"):
        load_encoder(f"remoteclip-vit-b-32@{path}")


def test_a_lone_file_is_asked_whose_it_is(tmp_path):
    path, _ = written(tmp_path, card_of("remoteclip-vit-b-32"))
    with pytest.raises(EncoderError, match=r"weights do not tell the activation.*NAME@FILE"):
        load_encoder(path)


def test_a_folder_with_its_configuration_needs_no_card(tmp_path, pictures):
    path, _model = written(tmp_path, card_of("remoteclip-vit-b-32"), "open_clip_model.safetensors")
    config = {"model_cfg": {"quick_gelu": True, "vision_cfg": {}, "text_cfg": {}}, "preprocess_cfg": {}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    own = load_encoder(tmp_path)
    named = load_encoder(f"remoteclip-vit-b-32@{path}")
    np.testing.assert_array_equal(own.encode_images(pictures), named.encode_images(pictures))
    assert own.card.name == tmp_path.name and own.card.licence == "unknown"
    config["model_cfg"]["quick_gelu"] = False
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    assert not np.allclose(load_encoder(tmp_path).encode_images(pictures), own.encode_images(pictures))


def test_a_hugging_face_folder_needs_no_card(tmp_path, pictures):
    transformers = pytest.importorskip("transformers")
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = sizes | {"vocab_size": 49408, "max_position_embeddings": 77}
    vision = sizes | {"image_size": 64, "patch_size": 32}
    config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=16)
    torch.manual_seed(0)
    theirs = transformers.CLIPModel(config).eval()
    theirs.save_pretrained(tmp_path, max_shard_size="2MB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 1, "large models come in several files"
    encoder = load_encoder(tmp_path)
    assert encoder.card.dim == 16
    verify_weights(encoder.card)
    from landsift.encoders.pixels import fit_square
    from landsift.models.clip.matcher import CLIP_MEAN, CLIP_STD
    from landsift.models.clip.tokens import Tokens, clip_tokenizer

    square = fit_square(pictures[0], 64, "centre-crop").astype(np.float32) / 255
    pixels = torch.from_numpy((square - np.float32(CLIP_MEAN)) / np.float32(CLIP_STD)).permute(2, 0, 1)[None]
    tokens = Tokens(clip_tokenizer(), "clip", 77).encode(["many boats in a harbour"]).tokens
    with torch.inference_mode():
        image = theirs.get_image_features(pixel_values=pixels)
        words = theirs.get_text_features(input_ids=tokens)
    for ours, found in (
        (encoder.encode_images(pictures[:1]), image),
        (encoder.encode_texts(["many boats in a harbour"]), words),
    ):
        row = getattr(found, "pooler_output", found)[0].numpy()
        np.testing.assert_allclose(ours[0], row / np.linalg.norm(row), atol=1e-5)


@pytest.mark.parametrize(
    ("mode", "fit"), [("shortest", "centre-crop"), ("squash", "squash"), ("longest", "pad"), ("bent", None)]
)
def test_a_configuration_says_how_images_become_squares(tmp_path, mode, fit):
    written(tmp_path, card_of("remoteclip-vit-b-32"), "open_clip_model.safetensors")
    config = {"model_cfg": {"vision_cfg": {}, "text_cfg": {}}, "preprocess_cfg": {"resize_mode": mode}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    if fit is None:
        with pytest.raises(EncoderError, match="square by 'bent'"):
            load_encoder(tmp_path)
        return
    from landsift.encoders.pixels import fit_square

    picture = np.random.default_rng(1).integers(0, 256, (30, 70, 3), dtype=np.uint8)
    encoder = load_encoder(tmp_path)
    square = fit_square(picture, encoder.card.input_size, fit)
    np.testing.assert_array_equal(encoder.encode_images([picture]), encoder.encode_images([square]))


def test_a_configuration_of_another_model_is_told(tmp_path):
    written(tmp_path, card_of("remoteclip-vit-b-32"), "model.safetensors")
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(EncoderError, match="describes a bert model"):
        load_encoder(tmp_path)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("remoteclip-vit-b-32@/nowhere/x.pt", "no file or folder"),
        ("remoteclip-vit-b32", "did you mean remoteclip-vit-b-32"),
        ("landsift-lite@x.pt", "comes with its weights"),
    ],
)
def test_wrong_names_are_told(name, said):
    with pytest.raises(EncoderError, match=said):
        load_encoder(name)


def test_options_of_the_family_are_refused_elsewhere():
    with pytest.raises(UsageError, match="takes no weights"):
        load_encoder("landsift-lite", weights="x.pt")
    with pytest.raises(UsageError, match="no precision"):
        load_encoder("remoteclip-vit-b-32", weights="x.pt", precision="int3")


def test_weights_in_a_folder_are_found(tmp_path):
    card = card_of("remoteclip-vit-b-32")
    written(tmp_path, card)
    assert load_encoder("remoteclip-vit-b-32", weights=tmp_path).card.name == card.name
    (tmp_path / card.extra["source"]["files"][0]).rename(tmp_path / "one.pt")
    load_encoder("remoteclip-vit-b-32", weights=tmp_path)
    (tmp_path / "two.pt").write_bytes(b"")
    with pytest.raises(EncoderError, match="several files of weights"):
        load_encoder("remoteclip-vit-b-32", weights=tmp_path)


def test_a_missing_tokenizer_is_told(tmp_path):
    path, _ = written(tmp_path, card_of("git-rsclip"))
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(EncoderError, match="no tokenizer lies beside its weights"):
        load_encoder(f"git-rsclip@{path}")


def test_the_tokenizer_of_another_model_is_told(tmp_path):
    path, _ = written(tmp_path, card_of("git-rsclip"))
    other = Tokenizer(models.WordLevel({"a": 0, "<unk>": 1}, unk_token="<unk>"))
    (tmp_path / "tokenizer.json").write_text(other.to_str())
    with pytest.raises(EncoderError, match="has 2 tokens for 60"):
        load_encoder(f"git-rsclip@{path}")


def test_half_precision_is_near(tmp_path, pictures):
    path, _ = written(tmp_path, card_of("remoteclip-vit-b-32"))
    whole = load_encoder(f"remoteclip-vit-b-32@{path}")
    half = load_encoder(f"remoteclip-vit-b-32@{path}", precision="bfloat16")
    for rows, others in (
        (whole.encode_images(pictures), half.encode_images(pictures)),
        (whole.encode_texts(["a boat"]), half.encode_texts(["a boat"])),
    ):
        assert others.dtype == np.float32 and not np.array_equal(rows, others)
        assert (rows * others).sum(axis=1).min() > 0.97


def test_bare_cards_need_no_network_and_no_torch():
    code = (
        "from landsift.encoders import scores_pairs; print(scores_pairs('hf-hub:someone/model'));import sys"
    )
    code += "; assert not {'torch', 'huggingface_hub'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    assert not scores_pairs("remoteclip-vit-b-32")


# -- bands ---------------------------------------------------------------------------------------------------


def spectra(bands, side=48, seed=0):
    rng = np.random.default_rng(seed)
    samples = rng.uniform(0, 8000, (side, side, bands)).astype(np.float32)
    waves = tuple(np.linspace(0.45, 2.2, bands).tolist())
    return Spectra(samples, waves, np.float32([[100, 7000]] * bands))


def test_an_encoder_of_bands_reads_them(tmp_path):
    path, _model = written(tmp_path, card_of("llama3-ms-clip"))
    encoder = load_encoder(f"llama3-ms-clip@{path}")
    some = [spectra(10), spectra(10, seed=1)]
    rows = encoder.encode_spectra(some)
    np.testing.assert_array_equal(rows[1], encoder.encode_spectra(some[1:])[0])
    assert abs(float(rows[0] @ rows[1])) < 0.9999
    with pytest.raises(UsageError, match=r"Piece 0 has 12 bands where llama3-ms-clip reads 10"):
        encoder.encode_spectra([spectra(12)])
    with pytest.raises(UsageError, match="which no picture has"):
        encoder.encode_images([np.zeros((8, 8, 3), np.uint8)])
    assert encoder.encode_images([]).shape == (0, SMALL["ms-vit-b-16"].dim)


def test_samples_are_standardised_band_by_band(tmp_path):
    card = card_of("llama3-ms-clip")
    path, model = written(tmp_path, card)
    one = spectra(10, side=SMALL["ms-vit-b-16"].image.size)
    values = (one.samples - np.float32(card.extra["mean"])) / np.float32(card.extra["std"])
    with torch.inference_mode():
        row = model.encode_images(torch.from_numpy(values).permute(2, 0, 1)[None])[0].numpy()
    found = load_encoder(f"llama3-ms-clip@{path}").encode_spectra([one])[0]
    np.testing.assert_allclose(found, row, atol=1e-5)


def test_an_encoder_of_wavelengths_reads_any_bands(tmp_path, pictures):
    path, _model = written(tmp_path, card_of("geolangbind-b-16"))
    encoder = load_encoder(f"geolangbind-b-16@{path}")
    assert encoder.encode_spectra([spectra(4), spectra(9)]).shape == (2, 64)
    side = SMALL["dofa-b-16"].image.size
    picture = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    as_bands = Spectra(picture.astype(np.float32), (0.665, 0.56, 0.49), np.float32([[0, 255]] * 3))
    np.testing.assert_allclose(
        encoder.encode_images([picture]), encoder.encode_spectra([as_bands]), atol=1e-5
    )


# -- as a matcher --------------------------------------------------------------------------------------------

CHANGES = {"image.width": 64, "image.heads": 1, "image.layers": 1, "image.size": 64, "dim": 16}
CHANGES |= {"text.width": 64, "text.heads": 1, "text.layers": 1, "text.context": 20}


def test_a_model_of_the_family_is_a_matcher_that_saves_and_loads(tmp_path, pictures):
    from landsift.models.checkpoint import read_matcher, write_matcher

    torch.manual_seed(0)
    options = {"architecture": "vit-b-32", "activation": "quickgelu", "changes": CHANGES}
    matcher = build_matcher("clip", options, MatcherSource()).eval()
    assert isinstance(matcher, ClipMatcher) and matcher.fit == "centre-crop"
    write_matcher(tmp_path, matcher, "clip", options)
    again = read_matcher(tmp_path)
    pixels = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    captions = ["some boats", "a long bridge over the river"]
    with torch.inference_mode():
        for one, other in (
            (matcher.image_features(pixels), again.image_features(pixels)),
            (matcher.text_features(matcher.prepare(captions)), again.text_features(again.prepare(captions))),
        ):
            assert torch.equal(one.pooled, other.pooled)
    assert again.model.activate == "quickgelu" and again.scale.item() == pytest.approx(1 / 0.07, rel=1e-4)


def test_a_matcher_starts_from_an_encoder(tmp_path):
    path, model = written(tmp_path, card_of("remoteclip-vit-b-32"))
    matcher = build_matcher("clip", {"start": f"remoteclip-vit-b-32@{path}"}, MatcherSource())
    for name, tensor in model.state_dict().items():
        assert torch.equal(matcher.model.state_dict()[name], tensor), name
    with pytest.raises(EncoderError, match="no encoder of the CLIP family"):
        build_matcher("clip", {"start": "landsift-lite"}, MatcherSource())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"architecture": "vit-b32"}, "did you mean"),
        ({"activation": "relu"}, "there is no 'relu'"),
        ({"changes": {"image.depth": 3}}, "no size 'image.depth'"),
    ],
)
def test_wrong_options_are_told(options, said):
    with pytest.raises(UsageError, match=said):
        build_matcher("clip", options, MatcherSource())


def test_every_weight_has_a_depth_that_grows_away_from_the_output():
    torch.manual_seed(0)
    matcher = build_matcher(
        "clip", {"changes": CHANGES | {"image.layers": 3, "text.layers": 2}}, MatcherSource()
    )
    depths = matcher.depths()
    names = [name for name, _ in matcher.named_parameters()]
    known = [prefix for prefix in depths if any(name.startswith(prefix) for name in names)]
    assert set(depths) - set(known) == {"model.text.tower.embeddings"}
    assert depths["model.image.layers.0."] == 3 and depths["model.image.layers.2."] == 1
    assert depths["model.image.patches"] == 4 and depths["model.text.layers.1."] == 1


def test_the_options_are_plain():
    assert dataclasses.asdict(SPEC.options())["start"] == "random"


def test_a_text_tower_under_its_own_name_loads_too(tmp_path):
    card = card_of("remoteclip-vit-b-32")
    model = random_model(SMALL["vit-b-32"], "quickgelu")
    path = save(custom_text(model), tmp_path / "custom.safetensors")
    direct = written(tmp_path, card)[0]
    texts = ["a boat", "two planes"]
    np.testing.assert_allclose(
        load_encoder(f"{card.name}@{path}").encode_texts(texts),
        load_encoder(f"{card.name}@{direct}").encode_texts(texts),
        atol=1e-6,
    )


def test_a_gallery_keeps_its_encoder_by_name_and_place(tmp_path, archive):
    """Made, closed, opened again by what it wrote down, searched in words."""
    from landsift import Gallery
    from landsift.errors import EncoderMismatch

    path, _ = written(tmp_path, card_of("remoteclip-vit-b-32"))
    gallery = Gallery.open_or_create(tmp_path / "g", encoder=f"remoteclip-vit-b-32@{path}")
    report = gallery.add(archive)
    gallery.close()
    again = Gallery.open(tmp_path / "g")
    assert again.card.name == "remoteclip-vit-b-32" and len(again) == report.tiles > 0
    assert len(again.search("a harbour with boats", k=3)) == 3
    path.write_bytes(save(open_clip(random_model(SMALL["vit-b-32"], seed=9)), tmp_path / "x.pt").read_bytes())
    again.close()
    with pytest.raises(EncoderMismatch):
        Gallery.open(tmp_path / "g").search("a harbour")
