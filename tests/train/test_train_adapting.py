"""How much of a model trains: layers, heads, low-rank adapters, which leave no trace but moved weights."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from safetensors.torch import load_file  # noqa: E402
from small import SIDE, coloured_set, recipe  # noqa: E402
from torch import nn  # noqa: E402

from landsift import load_encoder  # noqa: E402
from landsift.errors import UsageError  # noqa: E402
from landsift.models.blocks.lora import adapt, adapted, folded, matrices  # noqa: E402
from landsift.models.checkpoint import read_matcher  # noqa: E402
from landsift.models.registry import MatcherSource, build_matcher  # noqa: E402
from landsift.train import fit, list_recipes, read_recipe, recipe_hash, recipe_of  # noqa: E402
from landsift.train.adapting import apply_tuning, share_of  # noqa: E402
from landsift.train.optimizing import freeze  # noqa: E402
from landsift.train.reading import differences  # noqa: E402
from landsift.train.recipe import TuneRecipe  # noqa: E402

TRAIN, VAL = coloured_set(36), coloured_set(18, 1, split="val")
SMALL = "small:SPEC"
LORA = {"name": "lora", "rank": 2}


class Mixed(nn.Module):
    """One of each kind of weight that takes an adapter, and some that do not."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 12, 3)
        self.depthwise = nn.Conv2d(12, 12, 3, groups=12)
        self.attention = nn.MultiheadAttention(12, 3, batch_first=True)
        self.last = nn.Linear(12, 5)
        self.table, self.norm = nn.Embedding(7, 12), nn.LayerNorm(12)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        cells = self.depthwise(self.first(x)).flatten(2).transpose(1, 2) + self.table.weight[0]
        return self.last(self.norm(self.attention(cells, cells, cells)[0]).mean(dim=1))


@pytest.fixture
def mixed() -> Mixed:
    torch.manual_seed(0)
    return Mixed().eval()


PIXELS = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def stir(model: nn.Module) -> None:
    """As if the adapters had been trained."""
    torch.manual_seed(5)
    for name, parameter in model.named_parameters():
        if name.endswith(".up"):
            nn.init.normal_(parameter, std=0.3)


def test_the_weights_that_take_an_adapter_are_found(mixed):
    names = [name for name, _, _ in matrices(mixed)]
    assert names == ["first.weight", "attention.in_proj_weight", "attention.out_proj.weight", "last.weight"]


def test_adapters_start_as_nothing_and_fold_into_what_they_were(mixed):
    before, shapes = mixed(PIXELS), {name: v.shape for name, v in mixed.state_dict().items()}
    names = [name for name, _, _ in matrices(mixed)]
    adapt(mixed, 3, 6.0, names)
    assert adapted(mixed) == names and list(matrices(mixed)) == []
    torch.testing.assert_close(mixed(PIXELS), before, rtol=0, atol=0)
    stir(mixed)
    moved = mixed(PIXELS)
    assert (moved - before).abs().max() > 0.05
    whole = folded(mixed)
    assert {name: value.shape for name, value in whole.state_dict().items()} == shapes
    torch.testing.assert_close(whole(PIXELS), moved, rtol=0, atol=1e-5)
    torch.testing.assert_close(mixed(PIXELS), moved, rtol=0, atol=0), "the original keeps its adapters"
    assert adapted(whole) == [] and folded(whole) is whole


def test_an_adapter_is_the_product_of_its_matrices(mixed):
    weight = mixed.last.weight.detach().clone()
    adapt(mixed, 2, 8.0, ["last.weight"])
    stir(mixed)
    part = mixed.last.parametrizations.weight[0]
    expected = weight + 8.0 / 2 * part.up @ part.down
    torch.testing.assert_close(mixed.last.weight, expected)
    assert np.linalg.matrix_rank((mixed.last.weight - weight).detach().numpy(), tol=1e-5) == 2


def test_bad_adapters_are_refused(mixed):
    with pytest.raises(UsageError, match=r"table\.weight is no weight"):
        adapt(mixed, 2, 1.0, ["table.weight"])
    with pytest.raises(UsageError, match="from 1 to 5"):
        adapt(mixed, 6, 1.0, ["last.weight"])


def matcher():
    torch.manual_seed(0)
    return build_matcher("dual", {"start": "random", "dim": 16}, MatcherSource(captions=TRAIN.captions))


def training_names(model: nn.Module) -> set[str]:
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


@pytest.fixture(scope="module")
def dual():
    return matcher()


@pytest.mark.parametrize("layers", [0, 1, 2, 3])
def test_last_layers_counts_from_the_output_in_each_tower(dual, layers):
    model = copy.deepcopy(dual)
    apply_tuning(model, TuneRecipe(name="last-layers", layers=layers))
    prefixes = ["model.image_projection", "model.text_projection", "model.log_scale"]
    blocks = len(model.model.image_tower.blocks)
    prefixes += ["model.image_tower.head"] if layers else []
    prefixes += [f"model.image_tower.blocks.{blocks - n}." for n in range(1, layers)]
    prefixes += [f"model.text_tower.layers.{2 - n}." for n in range(1, min(layers, 2) + 1)]
    prefixes += ["model.text_tower.embeddings"] if layers == 3 else []
    expected = {name for name, _ in model.named_parameters() if name.startswith(tuple(prefixes))}
    assert training_names(model) == expected


def test_a_linear_probe_trains_the_heads_alone(dual):
    model = copy.deepcopy(dual)
    apply_tuning(model, TuneRecipe(name="linear-probe"))
    assert training_names(model) == {
        "model.log_scale",
        *(f"model.{side}_projection.{part}" for side in ("image", "text") for part in ("weight", "bias")),
    }
    trained, all_of_them = share_of(model)
    assert trained == 1 + 16 * (1280 + 1) + 16 * (192 + 1) and trained < 0.01 * all_of_them


def test_lora_trains_adapters_and_what_is_named_beside_them(dual):
    model = copy.deepcopy(dual)
    freeze(model, ["model.image_tower.blocks.0."])
    apply_tuning(model, TuneRecipe(name="lora", rank=4, also=("model.log_scale",)))
    names = training_names(model)
    assert "model.log_scale" in names
    assert all(name.endswith((".up", ".down")) for name in names - {"model.log_scale"})
    assert not any(name.startswith("model.image_tower.blocks.0.") for name in names), "frozen stays frozen"
    assert "model.text_tower.layers.0.query_key_value.parametrizations.weight.0.up" in names
    trained, all_of_them = share_of(model)
    assert trained < 0.1 * all_of_them
    only = copy.deepcopy(dual)
    apply_tuning(only, TuneRecipe(name="lora", rank=4, targets=("query_key_value",)))
    assert len(adapted(only)) == 2


@pytest.mark.parametrize(
    ("tune", "message"),
    [
        ({"name": "lore"}, "did you mean lora"),
        ({"name": "lora", "targets": ["nothing"]}, "No weight takes an adapter"),
        ({"name": "lora", "rank": 5000}, "No weight takes an adapter"),
        ({"name": "lora", "also": ["model.scale"]}, "model.tune.also"),
        ({"rank": 0}, "rank must be 1 or more"),
        ({"scale": 0.0}, "scale must be above 0"),
        ({"layers": -1}, "layers must be 0 or more"),
        ({"nam": "lora"}, "did you mean name"),
        ({"name": 3}, "takes a value like"),
    ],
)
def test_bad_tables_are_refused(dual, tune, message):
    with pytest.raises(UsageError, match=message):
        apply_tuning(copy.deepcopy(dual), recipe_of({"model": {"tune": tune}}).model.tune)


def test_a_method_that_tells_no_depths_is_refused():
    model = build_matcher(SMALL, {}, MatcherSource(captions=TRAIN.captions))
    model.depths = dict  # type: ignore[method-assign]
    with pytest.raises(UsageError, match="does not tell how deep"):
        apply_tuning(model, TuneRecipe(name="linear-probe"))


def test_the_table_counts_in_the_hash_only_where_it_says_something():
    plain = recipe_of({})
    assert recipe_hash(plain) == recipe_hash(recipe_of({"model": {"tune": {"name": "full"}}}))
    lora = recipe_of({"model": {"tune": {"name": "lora"}}})
    assert recipe_hash(plain) != recipe_hash(lora)
    assert "model.tune.name" in differences(plain, lora)


# --- whole runs


def run(folder: Path, **tables: object):
    return fit(
        recipe(folder, **tables), train=[TRAIN], validation=[VAL], resume=bool(tables.pop("resume", 0))
    )


def test_a_lora_run_keeps_a_plain_encoder_whose_other_weights_never_moved(tmp_path):
    start = run(tmp_path / "start", loop__epochs=1)
    tables = {"model__start": str(start.encoder), "loop__epochs": 6, "optimizer__rate": 0.02}
    result = run(tmp_path / "lora", model__tune=LORA, **tables)
    before = load_file(start.encoder / "model.safetensors")
    after = load_file(result.encoder / "model.safetensors")
    assert before.keys() == after.keys(), "no reader needs to know of adapters"
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved - {"steps_seen"} == {"patches.weight", "image_head.2.weight", "text_head.weight"}
    for name in sorted(moved - {"steps_seen", "patches.weight"}):
        change = (after[name] - before[name]).flatten(1).numpy()
        assert np.linalg.matrix_rank(change, tol=1e-5) <= 2, name
    assert result.history[-1]["loss"] < result.history[0]["loss"]
    assert 0 < result.trained_parameters < result.parameters
    assert f"{result.trained_parameters:,} of {result.parameters:,} parameters" in (
        result.encoder / "README.md"
    ).read_text("utf-8")
    rows = load_encoder(result.encoder).encode_texts(["a red field", "a blue lake"])
    assert rows.shape == (2, 16) and abs(float(rows[0] @ rows[1])) < 0.999


def test_a_lora_run_that_was_stopped_goes_on_to_the_same_weights(tmp_path):
    tables = {"model__tune": LORA, "loop__epochs": 3, "loop__average": 0.9}
    whole = run(tmp_path / "whole", **tables)

    class Stopped(Exception):
        pass

    def stop(moment) -> None:
        if moment.epoch == 2 and moment.phase == "training":
            raise Stopped

    with pytest.raises(Stopped):
        fit(recipe(tmp_path / "cut", **tables), train=[TRAIN], validation=[VAL], progress=stop)
    again = fit(recipe(tmp_path / "cut", **tables), train=[TRAIN], validation=[VAL], resume=True)
    for name in ("best", "last"):
        one, other = (load_file(part.folder / name / "model.safetensors") for part in (whole, again))
        assert all(torch.equal(one[key], other[key]) for key in one)
    read = read_matcher(again.encoder)
    assert read.image_features(torch.zeros(1, 3, SIDE, SIDE)).pooled.shape == (1, 16)


@pytest.mark.parametrize(
    ("tune", "still"), [("linear-probe", "embedding.weight"), ("last-layers", "patches.weight")]
)
def test_frozen_layers_never_move(tmp_path, tune, still):
    start = run(tmp_path / "start", loop__epochs=1)
    result = run(
        tmp_path / "run", model__start=str(start.encoder), model__tune={"name": tune}, loop__epochs=2
    )
    before = load_file(start.encoder / "model.safetensors")
    after = load_file(result.encoder / "model.safetensors")
    assert torch.equal(before[still], after[still]) and not torch.equal(
        before["text_head.weight"], after["text_head.weight"]
    )
    assert torch.equal(before["embedding.weight"], after["embedding.weight"]) == (tune == "linear-probe")


@pytest.mark.parametrize("name", ["lora", "linear-probe", "last-layers"])
def test_the_recipes_that_ship_tune_little_of_the_built_in_encoder(name):
    assert name in list_recipes()
    model = read_recipe(name).model
    built = build_matcher("dual", model.options)
    freeze(built, model.freeze)
    apply_tuning(built, model.tune)
    trained, all_of_them = share_of(built)
    assert 0 < trained < 0.25 * all_of_them
