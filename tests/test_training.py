"""How the built-in encoder is made: from train splits alone, and shipped as it was trained."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors  # noqa: E402

from landsift.models.registry import MatcherSource, build_matcher  # noqa: E402
from landsift.train import read_recipe  # noqa: E402
from training.landsift_lite import RECIPES, shipped_form  # noqa: E402
from training.measure import TEST_SETS, ZERO_SHOT_SET  # noqa: E402
from training.vocabulary import latin_vocabulary  # noqa: E402

HOME = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _at_home(monkeypatch):
    monkeypatch.chdir(HOME)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_it_learns_from_train_splits_without_pictures_it_is_scored_on(path):
    recipe = read_recipe(path)
    assert {found.split for found in recipe.data.sets} == {"train"}
    assert {found.split for found in recipe.validation.sets} == {"val"}
    scored = {f"{name}/{split}" for name in TEST_SETS for split in ("val", "test")}
    assert scored | {f"{ZERO_SHOT_SET}/all"} <= set(recipe.data.keep_out)
    assert ZERO_SHOT_SET not in {found.name for found in recipe.data.sets}


def test_each_recipe_starts_where_the_one_before_ended():
    first, second = map(read_recipe, RECIPES)
    assert second.model.start == f"{first.output.folder}/best"
    assert second.data.sets == first.data.sets and second.model.name == first.model.name


def test_every_class_has_phrases_and_shared_classes_share_all():
    phrases = tomllib.loads(Path(read_recipe(RECIPES[0]).text.class_phrases).read_text())["phrases"]
    by_first: dict[str, list[str]] = {}
    for options in phrases.values():
        assert len(set(options)) == len(options) >= 3
        assert by_first.setdefault(options[0], options) == options


def test_letters_of_other_scripts_leave_the_vocabulary():
    words = ["[PAD]", "[unused1]", "[UNK]", "[CLS]", "[SEP]", "plane", "##s", "机", "ø", "##ж", "°", "2"]
    tokenizer = Tokenizer(models.WordPiece({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        "[CLS] $A [SEP]", None, [("[CLS]", 3), ("[SEP]", 4)]
    )
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
    text, kept = latin_vocabulary(tokenizer.to_str())
    pruned = Tokenizer.from_str(text)
    assert [words[old] for old in kept] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "plane", "##s", "ø", "°", "2"]
    for sample in ("planes ø 2°", "plane"):
        assert [kept[new] for new in pruned.encode(sample).ids] == tokenizer.encode(sample).ids
    assert pruned.encode("机").tokens == ["[CLS]", "[UNK]", "[SEP]"]


def test_the_shipped_form_says_the_same_with_fewer_words():
    options = {"start": "random", "input_size": 32, "text_width": 64, "dim": 16}
    captions = ("a red roof", "зелёное поле", "a blue lake by the road")
    matcher = build_matcher("dual", options, MatcherSource(captions, 3, ())).eval()
    texts = ["a red roof", "the blue road"]
    before = matcher.text_features(matcher.prepare(texts)).pooled
    words = matcher.model.text_tower.config.vocabulary
    shipped, tokenizer_json = shipped_form(matcher)
    torch.testing.assert_close(shipped.text_features(shipped.prepare(texts)).pooled, before)
    assert shipped.model.text_tower.config.vocabulary == words - 2
    assert Tokenizer.from_str(tokenizer_json).get_vocab_size() == words - 2
