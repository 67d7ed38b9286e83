"""Recipes: what they take, what they refuse and how they say it, and that what ships is sound."""

from __future__ import annotations

import dataclasses
import re
import tomllib

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from landsift.data import find_dataset  # noqa: E402
from landsift.errors import UsageError  # noqa: E402
from landsift.models.registry import MATCHERS, find_matcher, list_matchers  # noqa: E402
from landsift.toml import toml_text  # noqa: E402
from landsift.train import TERMS, list_recipes, read_recipe, recipe_hash, recipe_of, recipe_text  # noqa: E402
from landsift.train import recipe as tables  # noqa: E402
from landsift.train.fitting import resolved  # noqa: E402
from landsift.train.reading import differences  # noqa: E402


@pytest.mark.parametrize("name", list(list_recipes()))
def test_what_ships_is_whole_and_reads_back(name):
    recipe = resolved(read_recipe(name))
    assert recipe.description and recipe.data.sets
    assert recipe_of(tomllib.loads(recipe_text(recipe))) == recipe
    for row in (*recipe.data.sets, *recipe.data.unpaired, *recipe.validation.sets):
        assert row.captions or find_dataset(row.name)
        assert row.split != "test"


def test_every_field_of_every_table_is_explained():
    kinds = [getattr(tables, name) for name in tables.__all__]
    kinds += [kind for kind, _ in TERMS.values()] + [find_matcher(name).options for name in MATCHERS]
    for kind in kinds:
        # What options have in common is explained where it stands.
        text = "\n".join(base.__doc__ or "" for base in kind.__mro__ if dataclasses.is_dataclass(base))
        explained = set(re.findall(r"^        (\w+): ", text, re.MULTILINE))
        assert explained == {entry.name for entry in dataclasses.fields(kind)}, kind.__name__


def test_values_are_set_from_the_command_line(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text('name = "a"\n[[data.sets]]\nname = "ucm-captions"\n[loop]\nepochs = 3\n')
    recipe = read_recipe(
        path,
        [
            "loop.epochs=7",
            "data.sets.0.weight=2",
            "model.name=dual",
            'optimizer.rates."model.text_tower"=1e-5',
            "loop.epochs=8",
        ],
    )
    assert recipe.loop.epochs == 8 and recipe.data.sets[0].weight == 2.0
    assert recipe.data.sets[0].name == "ucm-captions"
    assert recipe.optimizer.rates == {"model.text_tower": 1e-5}
    assert read_recipe(path, ["loss.triplet.margin=0.3"]).loss == {"triplet": {"margin": 0.3}}


def test_a_recipe_is_laid_over_its_base(tmp_path):
    (tmp_path / "base.toml").write_text(
        'name = "base"\n[loop]\nepochs = 3\nbatch = 8\n[loss.info-nce]\nweight = 2.0\n'
    )
    (tmp_path / "own.toml").write_text('base = "base.toml"\n[loop]\nepochs = 5\n[loss.triplet]\n')
    recipe = read_recipe(tmp_path / "own.toml")
    assert (recipe.name, recipe.loop.epochs, recipe.loop.batch) == ("base", 5, 8)
    assert set(recipe.loss) == {"info-nce", "triplet"}
    (tmp_path / "base.toml").write_text('base = "own.toml"\n')
    with pytest.raises(UsageError, match="built on itself"):
        read_recipe(tmp_path / "own.toml")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"lop": {}}, "did you mean loop"),
        ({"loop": {"epoch": 3}}, r"\[loop\] has no 'epoch'; did you mean epochs.*known:.*batch"),
        ({"loop": {"epochs": "many"}}, r"\[loop.epochs\] takes a value like 10; got 'many'"),
        ({"loop": {"epochs": True}}, "takes a value like 10"),
        ({"loop": {"epochs": 0}}, "epochs must be 1 or more"),
        ({"loop": 3}, "is a table"),
        ({"augment": {"smallest_crop": 0}}, "smallest_crop must be above 0"),
        ({"augment": {"coarse": 2.0}}, "share from 0 to 1"),
        ({"data": {"sets": [{"split": "train"}]}}, "needs a name or a root"),
        ({"data": {"sets": "ucm"}}, "list of tables"),
        ({"data": {"sets": [{"name": "a", "rot": "b"}]}}, "did you mean root"),
        ({"validation": {"sets": [{"name": "ucm", "split": "test"}]}}, "not chosen on a test split"),
        ({"text": {"class_templates": ["a photo"]}}, "needs {} for the phrase"),
        ({"optimizer": {"betas": [0.9]}}, "two numbers"),
        ({"optimizer": {"rates": {"model": "fast"}}}, "must be numbers"),
        ({"name": "a/b"}, "without blanks and slashes"),
    ],
)
def test_wrong_values_are_refused_in_one_sentence(values, said):
    with pytest.raises(UsageError, match=said) as caught:
        recipe_of(values)
    assert str(caught.value).count("\n") == 0


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"loss": {"info-nse": {}}}, "no loss term 'info-nse'; did you mean info-nce"),
        ({"loss": {"triplet": {"margn": 1}}}, "did you mean margin"),
        ({"loss": {"triplet": {"reduce": "hardst"}}}, "did you mean hardest"),
        ({"loss": {"triplet": 3}}, "is a table; write triplet.weight = 3"),
        ({"loss": {"info-nce": {"temperature": 0}}}, "above 0"),
        ({"model": {"name": "duel"}}, "did you mean dual"),
        ({"model": {"options": {"dime": 3}}}, "did you mean dim"),
        ({"model": {"options": {"image": "lite9"}}}, "no image tower 'lite9'"),
        ({"model": {"name": "nowhere.at_all:SPEC"}}, "cannot be imported"),
        ({"model": {"name": "landsift.types:Tile"}}, "not a MatcherSpec"),
    ],
)
def test_unknown_names_are_spelt(values, said):
    with pytest.raises(UsageError, match=said):
        resolved(recipe_of(values))


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("ucm-caption", [], "did you mean ucm-captions"),
        ("ucm-captions", ["loop.epochs"], "--set takes table.key=value"),
        ("ucm-captions", ["=3"], "--set takes table.key=value"),
        ("ucm-captions", ["loop..x=3"], "cannot read the key"),
        ("ucm-captions", ["data.sets.4.name=x"], "no row 4 in a list of 1"),
    ],
)
def test_wrong_commands_are_refused(name, given, said):
    with pytest.raises(UsageError, match=said):
        read_recipe(name, given)


def test_broken_files_are_named(tmp_path):
    (tmp_path / "a.toml").write_text("[loop\n")
    with pytest.raises(UsageError, match=r"a.toml is not TOML"):
        read_recipe(tmp_path / "a.toml")
    with pytest.raises(UsageError, match="no recipe and no file"):
        read_recipe(tmp_path / "absent.toml")


def test_the_hash_follows_what_changes_weights_and_nothing_else():
    one = recipe_of({})
    assert recipe_hash(one) == recipe_hash(recipe_of({"name": "other", "output": {"folder": "x"}}))
    assert recipe_hash(one) != recipe_hash(recipe_of({"loop": {"seed": 1}}))
    assert recipe_hash(resolved(one)) == recipe_hash(
        resolved(recipe_of({"loss": {"info-nce": {"weight": 1.0}}}))
    )
    other = recipe_of({"loop": {"seed": 1}, "augment": {"flips": False}, "output": {"folder": "x"}})
    assert differences(one, other) == ["augment.flips", "loop.seed"]


def test_the_list_of_methods_is_what_recipes_take():
    assert list_matchers() == sorted(MATCHERS)
    for name in list_matchers():
        find_matcher(name)


_VALUES = st.recursive(
    st.one_of(
        st.booleans(),
        st.integers(-(2**40), 2**40),
        st.floats(allow_nan=False),
        st.text(st.characters(codec="utf-8"), max_size=8),
    ),
    lambda inner: st.one_of(
        st.dictionaries(st.text(st.characters(codec="utf-8"), min_size=1, max_size=5), inner, max_size=3),
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.text(st.characters(codec="utf-8"), min_size=1, max_size=5), _VALUES, max_size=4))
def test_toml_is_read_back_as_it_was_written(values):
    assert tomllib.loads(toml_text(values)) == values


def test_toml_of_lists_and_tables():
    values = {
        "a": [1, 2.5, "x"],
        "rows": [{"n": 1, "in": {"deep": True}}, {"n": 2}],
        "empty": [],
        "t": {"u": {"v": 1}},
        "e": {},
    }
    assert tomllib.loads(toml_text(values)) == values
    assert tomllib.loads(toml_text({"a": None, "b": 1})) == {"b": 1}
    with pytest.raises(TypeError, match="no word for"):
        toml_text({"a": object()})
