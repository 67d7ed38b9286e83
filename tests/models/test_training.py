"""The recipe of the built-in encoder on a made-up set: it runs, it repeats, it trains what it should."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("imagehash")
pytest.importorskip("safetensors")

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors  # noqa: E402

from landsift.models.dual import DualEncoder  # noqa: E402
from landsift.models.text import BertTower, TextConfig  # noqa: E402
from landsift.models.towers import EfficientNetLite  # noqa: E402
from landsift.types import RetrievalSet  # noqa: E402
from training.corpus import Corpus, joined, without  # noqa: E402
from training.duplicates import THRESHOLD, hashes, matching  # noqa: E402
from training.fitting import FitPlan, set_trainable  # noqa: E402
from training.landsift_lite import LitePlan, fitted  # noqa: E402
from training.views import ViewPlan, augmented, cached_features  # noqa: E402
from training.vocabulary import latin_vocabulary  # noqa: E402
from training.wording import Pairs, WordingPlan, class_phrases, shortened  # noqa: E402

COLOURS = {"red": (200, 30, 30), "green": (30, 160, 40), "blue": (20, 40, 200), "white": (230, 230, 230)}
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "roof", "field", *COLOURS]
PLAN = LitePlan(
    ViewPlan(count=2, size=64, cut=3, coarsest=16),
    WordingPlan(word_drop=0, phrase_share=0),
    FitPlan(epochs=2, batch=4, captions=1, cut=3, frozen_blocks=12, frozen_layers=0, seed=1),
)


def pictures(folder: Path, count: int, seed: int) -> list[Path]:
    """Noisy pictures whose colour goes round; big enough for hashes to tell them apart."""
    rng = np.random.default_rng(seed)
    files = []
    for number in range(count):
        colour = np.array(list(COLOURS.values())[number % len(COLOURS)])
        blocks = rng.normal(0, 25, (8, 8, 3)).repeat(10, axis=0).repeat(10, axis=1) + colour
        files.append(folder / f"{seed}-{number}.png")
        Image.fromarray(blocks.clip(0, 255).astype(np.uint8)).save(files[-1])
    return files


def captions(count: int) -> list[str]:
    return [f"a {list(COLOURS)[number % len(COLOURS)]} roof" for number in range(count)]


def colour_set(folder: Path, count: int, seed: int) -> RetrievalSet:
    files = pictures(folder, count, seed)
    return RetrievalSet(
        "colours",
        "val",
        files,
        [file.name for file in files],
        captions(count),
        np.arange(count, dtype=np.int64),
    )


@pytest.fixture(scope="module")
def tokenizer_json() -> str:
    tokenizer = Tokenizer(models.WordPiece({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        "[CLS] $A [SEP]", None, [("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer.to_str()


def small_model() -> DualEncoder:
    torch.manual_seed(0)
    tower = EfficientNetLite().eval().fold_batch_norm()
    return DualEncoder(tower, BertTower(TextConfig(len(WORDS), 24, 2, 4, 48, 12)), dim=16)


def fit_colours(tmp_path: Path, tokenizer_json: str) -> tuple[DualEncoder, list[dict[str, float]]]:
    files = pictures(tmp_path, 8, seed=0)
    corpus = Corpus(tuple(files), tuple((text,) for text in captions(8)), (None,) * 8)
    model = small_model()
    history = fitted(
        model, tokenizer_json, corpus, [colour_set(tmp_path, 8, seed=5)], PLAN, tmp_path, lambda line: None
    )
    return model, history


def test_two_epochs_of_two_steps_run_alike_every_time(tmp_path, tokenizer_json):
    before = small_model().state_dict()
    model, history = fit_colours(tmp_path, tokenizer_json)
    again, _ = fit_colours(tmp_path, tokenizer_json)
    assert len(history) == 2
    for row in history:
        assert np.isfinite(row["loss"]) and 0 <= row["validation_mR"] <= 100
    after = model.state_dict()
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in after.items())
    moved = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert {"image_projection.weight", "text_projection.weight", "log_scale"} <= moved
    assert "image_tower.head.conv.weight" in moved and "text_tower.layers.0.widen.weight" in moved
    frozen = {name for name in after if name.startswith(("image_tower.stem", "image_tower.blocks.3."))}
    assert frozen and not frozen & moved


def test_only_what_the_plan_frees_is_trained():
    model = small_model()
    groups = set_trainable(model, replace(PLAN.fit, frozen_blocks=15, frozen_layers=1))
    free = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert sum(len(group["params"]) for group in groups) == len(free)
    assert any(name.startswith("image_tower.blocks.15.") for name in free)
    assert not any(name.startswith(("image_tower.blocks.14.", "text_tower.layers.0.")) for name in free)
    assert not any("embeddings" in name for name in free)
    decayed = [p for group in groups if group["weight_decay"] for p in group["params"]]
    assert decayed and all(parameter.ndim > 1 for parameter in decayed)


def test_cached_features_are_those_of_the_tower(tmp_path):
    files, model = pictures(tmp_path, 3, seed=2), small_model()
    plan = ViewPlan(count=1, size=64, cut=3)
    got = cached_features(files, plan, model.image_tower, tmp_path, lambda line: None)
    square = np.asarray(Image.open(files[1]).resize((64, 64), Image.Resampling.BICUBIC))
    with torch.no_grad():
        x = (torch.tensor(square).permute(2, 0, 1)[None].float() - 127) / 128
        expected = model.image_tower.bottom(x, 3)[0].numpy()
    assert got.shape == (3, 1, *expected.shape)
    np.testing.assert_allclose(got[1, 0], expected, atol=2e-3, rtol=2e-3)
    files[0].unlink()  # a second call reads the cache, not the pictures
    again = cached_features(files, plan, model.image_tower, tmp_path, lambda line: None)
    np.testing.assert_array_equal(again, got)


def test_views_differ_but_not_from_run_to_run():
    pixels = np.random.default_rng(0).integers(0, 256, (90, 70, 3), dtype=np.uint8)
    first, second = (augmented(pixels, PLAN.views, np.random.default_rng(3)) for _ in range(2))
    other = augmented(pixels, PLAN.views, np.random.default_rng(4))
    assert first.shape == (64, 64, 3) and first.dtype == np.uint8
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()


def test_copies_and_turned_copies_of_evaluation_images_are_found(tmp_path):
    theirs = pictures(tmp_path, 4, seed=3)
    ours = pictures(tmp_path, 4, seed=4)
    copies = []
    for name, change in {
        "turned": lambda image: image.transpose(Image.Transpose.ROTATE_90),
        "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
        "smaller": lambda image: image.resize((40, 40), Image.Resampling.BICUBIC),
    }.items():
        copies.append(tmp_path / f"{name}.jpg")
        change(Image.open(theirs[1])).save(copies[-1], quality=60)
    found = matching(hashes([*ours, *copies], turned=False), hashes(theirs, turned=True).reshape(-1, 64))
    assert found.tolist() == [False] * 4 + [True] * 3


def test_matching_counts_bits_like_a_slow_twin():
    rng = np.random.default_rng(0)
    ours, theirs = rng.random((40, 64)) < 0.5, rng.random((30, 64)) < 0.5
    theirs[:5] = ours[:5]
    theirs[0, :THRESHOLD] ^= True
    theirs[1, : THRESHOLD + 1] ^= True
    slow = [any(int((a != b).sum()) <= THRESHOLD for b in theirs) for a in ours]
    assert matching(ours, theirs).tolist() == slow
    assert slow[0] and not slow[1]


def test_sets_are_joined_by_picture(tmp_path):
    files = pictures(tmp_path, 3, seed=6)
    names = [file.name for file in files]
    first = RetrievalSet(
        "a",
        "train",
        files,
        names,
        ["x", "y", " "],
        np.array([0, 1, 1]),
        np.array([1, 0, -1]),
        ("Am", "BigOne"),
    )
    other = [tmp_path / ".." / tmp_path.name / names[0]]
    second = RetrievalSet("b", "train", other, names[:1], ["z  z"], np.array([0]))
    corpus = joined([first, second])
    assert corpus.images == tuple(file.resolve() for file in files[:2])
    assert corpus.captions == (("x", "z z"), ("y",))
    assert corpus.labels == ("big one", "am")
    rest = without(corpus, np.array([True, False]))
    assert rest.images == corpus.images[1:] and rest.dropped == corpus.images[:1]


PHRASES = {"port": ["harbor", "dock"], "harbor": ["harbor", "dock"], "lake": ["lake"]}


def draw_pairs(phrase_share: float) -> tuple[Pairs, np.ndarray]:
    texts = [["Some boats.", "water"], ["some boats", "a dock"], ["a lake"], ["trees"]]
    pairs = Pairs(texts, ["port", "harbor", "lake", None], PHRASES, WordingPlan(0, phrase_share))
    return pairs, np.arange(4)


def test_a_caption_fits_every_image_it_is_true_of():
    pairs, rows = draw_pairs(0)
    drawn = pairs.draw(rows, 2, np.random.default_rng(0))
    fits = pairs.fits(rows, drawn)
    assert (fits[drawn.images, np.arange(8)]).all()
    alike = drawn.texts.index("Some boats.")
    assert fits[:, alike].tolist() == [True, True, False, False], "another image has the same wording"
    alone = drawn.texts.index("water")
    assert fits[:, alone].tolist() == [True, False, False, False]


def test_a_class_phrase_fits_every_image_of_the_class():
    pairs, rows = draw_pairs(1)
    drawn = pairs.draw(rows, 2, np.random.default_rng(0))
    fits = pairs.fits(rows, drawn)
    assert any(word in drawn.texts[0] for word in ("harbor", "dock"))
    assert fits[:, 0].tolist() == [True, True, False, False], "two names of one class"
    assert drawn.texts[6] == "trees" and fits[:, 6].tolist() == [False, False, False, True]


def test_dropping_words_leaves_some_and_keeps_their_order():
    rng = np.random.default_rng(0)
    words = ["one", "two", "three", "four", "five", "six"]
    for drop in (0.0, 0.5, 1.0):
        kept = shortened(" ".join(words), drop, rng).split()
        assert kept and kept == [word for word in words if word in kept]
    assert shortened("one two", 0.0, rng) == "one two"


def test_every_class_has_phrases_and_shared_classes_share_all():
    phrases = class_phrases()
    by_first: dict[str, list[str]] = {}
    for options in phrases.values():
        assert len(set(options)) == len(options) >= 3
        assert by_first.setdefault(options[0], options) == options


def test_letters_of_other_scripts_leave_the_vocabulary(tmp_path):
    words = ["[PAD]", "[unused1]", "[UNK]", "[CLS]", "[SEP]", "plane", "##s", "机", "ø", "##ж", "°", "2"]
    tokenizer = Tokenizer(models.WordPiece({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        "[CLS] $A [SEP]", None, [("[CLS]", 3), ("[SEP]", 4)]
    )
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    text, kept = latin_vocabulary(tmp_path / "tokenizer.json")
    pruned = Tokenizer.from_str(text)
    assert [words[old] for old in kept] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "plane", "##s", "ø", "°", "2"]
    for sample in ("planes ø 2°", "plane"):
        assert [kept[new] for new in pruned.encode(sample).ids] == tokenizer.encode(sample).ids
    assert pruned.encode("机").tokens == ["[CLS]", "[UNK]", "[SEP]"]


def test_a_plan_that_trains_below_the_cached_features_is_refused():
    with pytest.raises(ValueError, match="cached below block 3"):
        replace(PLAN, fit=replace(PLAN.fit, cut=4))
    with pytest.raises(ValueError, match="trains from 2"):
        replace(PLAN, fit=replace(PLAN.fit, frozen_blocks=2))
