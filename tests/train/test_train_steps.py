"""One step: gradients in chunks, groups and rates, averages, features that travel together."""

from __future__ import annotations

import copy
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from small import SIDE, SmallMatcher, SmallOptions, coloured_set  # noqa: E402
from torch import nn  # noqa: E402

from landsift.errors import TrainingError, UsageError  # noqa: E402
from landsift.models.batch import Batch, Moment  # noqa: E402
from landsift.models.features import Features, TextInput, joined  # noqa: E402
from landsift.train.objective import Objective, Weighting  # noqa: E402
from landsift.train.optimizing import (  # noqa: E402
    Average,
    build_optimizer,
    freeze,
    rate_factor,
    set_rates,
    training_mode,
)
from landsift.train.recipe import OptimizerRecipe, ScheduleRecipe  # noqa: E402
from landsift.train.stepping import Stepper  # noqa: E402
from landsift.train.terms import Sizes  # noqa: E402

EVERYTHING = {
    "info-nce": {},
    "triplet": {"reduce": "sum", "dynamic": True, "margin": 0.4},
    "sigmoid": {"weight": 0.1},
    "ranking": {},
    "uniformity": {"texts": True},
    "affiliation": {},
    "distil-features": {"distance": "mse"},
    "distil-scores": {},
    "simclr": {"width": 8, "out": 4},
    "vicreg": {"weight": 0.01, "width": 8, "out": 4},
    "pseudo-captions": {},
}


def matcher(seed: int = 0, **options: object) -> SmallMatcher:
    torch.manual_seed(seed)
    words = sorted({word for text in coloured_set(36).captions for word in text.split()})
    return SmallMatcher(SmallOptions(**options), words)


def batch_for(model: SmallMatcher, images: int = 9, per_image: int = 2) -> Batch:
    data = coloured_set(images, captions=per_image)
    generator = torch.Generator().manual_seed(1)
    pixels = torch.from_numpy(np.stack(data.images)).permute(0, 3, 1, 2)
    count = images * per_image
    owners = torch.from_numpy(data.image_of)
    return Batch(
        images=pixels,
        image_ids=torch.arange(images),
        labels=torch.from_numpy(data.labels),
        text=model.prepare(data.captions),
        captions=tuple(data.captions),
        caption_ids=torch.arange(count),
        image_row=owners,
        positive=torch.arange(images)[:, None] == owners[None, :],
        view=pixels.flip(3),
        unpaired=torch.randint(0, 256, (5, 3, SIDE, SIDE), generator=generator).to(torch.uint8),
        prior=torch.rand(images, count, generator=generator),
        teacher_images=torch.randn(images, 6, generator=generator),
        teacher_texts=torch.randn(count, 6, generator=generator),
    )


def gradients(model: SmallMatcher, table: dict, chunk: int, *, seed: int = 3) -> tuple[dict, dict]:
    torch.manual_seed(9)
    objective = Objective(table, Sizes(model.dim, 6))
    model.zero_grad()
    training_mode(model)
    torch.manual_seed(seed)
    values, _ = Stepper(model, objective, chunk=chunk).gradients(batch_for(model))
    named = dict(model.named_parameters()) | {f"loss.{n}": p for n, p in objective.named_parameters()}
    return values, {name: p.grad.clone() for name, p in named.items() if p.grad is not None}


@pytest.mark.parametrize("chunk", [1, 4, 9, 100])
def test_gradients_in_chunks_are_those_of_the_whole_batch(chunk):
    whole_values, whole = gradients(matcher(), EVERYTHING, 0)
    values, parts = gradients(matcher(), EVERYTHING, chunk)
    assert values.keys() == whole_values.keys() == EVERYTHING.keys()
    assert values == pytest.approx(whole_values, rel=1e-5)
    assert parts.keys() == whole.keys() and len(whole) > 10
    for name, gradient in whole.items():
        torch.testing.assert_close(parts[name], gradient, atol=1e-5, rtol=1e-5, msg=name)


def test_chunks_are_encoded_again_with_the_same_dropout():
    model = matcher(dropout=0.5)
    values, found = gradients(model, {"info-nce": {}}, 3)
    # By hand: the same chunks with the same random numbers, kept in memory as a whole.
    objective = Objective({"info-nce": {}}, Sizes(model.dim, 6))
    torch.manual_seed(3)
    batch = batch_for(model)
    parts = [model.image_features(batch.images[n : n + 3]) for n in range(0, 9, 3)]
    image, text = joined(parts), model.text_features(batch.text)
    from landsift.train.terms import Encoded

    model.zero_grad()
    encoded = Encoded(batch, image, text, None, None, model.similarity(image, text))
    terms = objective(encoded, model)
    terms["info-nce"].backward()
    assert values["info-nce"] == pytest.approx(terms["info-nce"].item(), rel=1e-6)
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(found[name], parameter.grad, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_comes_near_full_precision(precision):
    model, table = matcher(), {"info-nce": {}}
    _, whole = gradients(model, table, 0)
    torch.manual_seed(9)
    objective = Objective(table, Sizes(model.dim))
    model.zero_grad()
    Stepper(model, objective, precision=precision).gradients(batch_for(model))
    name = "text_head.weight"
    found = dict(model.named_parameters())[name].grad
    assert found.dtype == torch.float32
    assert torch.nn.functional.cosine_similarity(found.flatten(), whole[name].flatten(), dim=0) > 0.99
    with pytest.raises(UsageError, match="did you mean float16"):
        Stepper(model, objective, precision="float61")


def test_a_share_of_the_gradient_for_batches_that_are_averaged():
    model, objective = matcher(), Objective({"triplet": {}}, Sizes(16))
    stepper, batch = Stepper(model, objective), batch_for(matcher())
    stepper.gradients(batch)
    whole = model.image_head[2].weight.grad.clone()
    model.zero_grad()
    for _ in range(4):
        stepper.gradients(batch, 0.25)
    torch.testing.assert_close(model.image_head[2].weight.grad, whole)


def test_a_term_that_is_no_number_is_named_and_leaves_no_gradient():
    model = matcher(explode_at=0)
    stepper = Stepper(model, Objective({"info-nce": {}}, Sizes(16)))
    with pytest.raises(TrainingError, match="loss term explosion became nan"):
        stepper.gradients(batch_for(model))
    assert all(parameter.grad is None for parameter in model.parameters())


def test_terms_start_late_and_rise():
    weighting = Weighting(weight=2.0, from_epoch=3, ramp_epochs=4)
    got = [weighting.at(Moment(epoch=epoch)) for epoch in range(9)]
    assert got == [0, 0, 0, 0.5, 1.0, 1.5, 2.0, 2.0, 2.0]
    model = matcher()
    objective = Objective(
        {"info-nce": {}, "triplet": {"from_epoch": 1}, "ranking": {"weight": 0.0}}, Sizes(16)
    )
    batch = batch_for(model)
    for epoch, expected in ((0, {"info-nce"}), (1, {"info-nce", "triplet"})):
        values, _ = Stepper(model, objective).gradients(replace(batch, moment=Moment(epoch=epoch)))
        assert set(values) == expected


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({}, "no loss term with a weight"),
        ({"info-nce": {"weight": 0}}, "no loss term with a weight"),
        ({"info-nce": {"from_epoch": 2}}, "No loss term counts in the first pass"),
    ],
)
def test_an_objective_that_trains_nothing_is_refused(table, said):
    from landsift.models.matcher import Matcher

    class Plain(SmallMatcher):
        own_losses = Matcher.own_losses

    with pytest.raises(UsageError, match=said):
        Objective(table, Sizes(16)).check(Plain(SmallOptions(), ["a"]))


def test_weights_of_a_methods_own_terms_are_found_by_name():
    model = matcher(critic=True)
    batch = batch_for(model)
    one, _ = Stepper(model, Objective({"info-nce": {}}, Sizes(16))).gradients(batch)
    two, _ = Stepper(model, Objective({"info-nce": {}, "own": {"fooling": 2}}, Sizes(16))).gradients(batch)
    none, _ = Stepper(model, Objective({"info-nce": {}, "own": {"fooling": 0}}, Sizes(16))).gradients(batch)
    assert two["fooling"] == pytest.approx(2 * one["fooling"]) and "fooling" not in none
    with pytest.raises(UsageError, match=r"no term of its own named 'foling'; did you mean fooling"):
        Stepper(model, Objective({"info-nce": {}, "own": {"foling": 2}}, Sizes(16))).gradients(batch)


def test_terms_that_need_scores_are_refused_for_methods_that_give_none():
    model = matcher()
    model.scores_batches = False
    with pytest.raises(UsageError, match=r"does not score whole batches, so \[loss.triplet\]"):
        Objective({"triplet": {}}, Sizes(16)).check(model)
    values, encoded = Stepper(model, Objective({"affiliation": {}}, Sizes(16))).gradients(batch_for(model))
    assert set(values) == {"affiliation"} and encoded.similarity.numel() == 0


# --- rates, groups, averages


def test_rates_fall_with_depth_and_by_prefix_and_biases_do_not_decay():
    model = matcher()
    parameters = dict(model.named_parameters())
    recipe = OptimizerRecipe(rate=1.0, layer_decay=0.5, weight_decay=0.3, rates={"text_head": 0.1})
    optimizer = build_optimizer(parameters, model.depths(), recipe)
    found = {
        id(p): (group["peak"], group["weight_decay"])
        for group in optimizer.param_groups
        for p in group["params"]
    }
    of = {name: found[id(parameter)] for name, parameter in parameters.items()}
    assert of["patches.weight"] == (0.25, 0.3) and of["patches.bias"] == (0.25, 0.0)
    assert of["embedding.weight"] == (0.5, 0.3)
    assert of["image_head.2.weight"] == (1.0, 0.3) and of["text_head.bias"] == (0.1, 0.0)
    set_rates(optimizer, 0.5)
    assert {group["lr"] for group in optimizer.param_groups} == {0.5 * peak for peak, _ in found.values()}
    for wrong, said in (
        (OptimizerRecipe(rates={"text_hed": 1.0}), "did you mean text_head"),
        (OptimizerRecipe(name="adamx"), "did you mean adam"),
    ):
        with pytest.raises(UsageError, match=said):
            build_optimizer(parameters, {}, wrong)


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd"])
def test_every_optimizer_moves_weights(name):
    model = matcher()
    before = copy.deepcopy(model.state_dict())
    optimizer = build_optimizer(dict(model.named_parameters()), {}, OptimizerRecipe(name=name, rate=0.1))
    Stepper(model, Objective({"info-nce": {}}, Sizes(16))).gradients(batch_for(model))
    optimizer.step()
    moved = [key for key, value in model.state_dict().items() if not torch.equal(value, before[key])]
    assert len(moved) == len(list(model.parameters()))


def test_schedules_rise_and_fall():
    recipe = ScheduleRecipe(warm_up=0.2, least=0.1)
    factors = [rate_factor(step, 100, 0, recipe) for step in range(101)]
    assert factors[0] == 1 / 20 and factors[19] == 1 and factors[20] == 1
    assert factors[60] == pytest.approx(0.55) and factors[100] == pytest.approx(0.1)
    assert all(a >= b for a, b in pairwise(factors[20:]))
    linear = ScheduleRecipe(name="linear", warm_up=0)
    assert [rate_factor(step, 4, 0, linear) for step in range(5)] == [1, 0.75, 0.5, 0.25, 0]
    steps = ScheduleRecipe(name="step", warm_up=0, milestones=(2, 4), factor=0.5)
    assert [rate_factor(0, 9, epoch, steps) for epoch in range(6)] == [1, 1, 0.5, 0.5, 0.25, 0.25]
    assert rate_factor(5, 9, 0, ScheduleRecipe(name="constant", warm_up=0)) == 1
    with pytest.raises(UsageError, match="did you mean cosine"):
        rate_factor(0, 1, 0, ScheduleRecipe(name="cosin", warm_up=0))


def test_frozen_parts_stay_and_so_do_their_batch_norms():
    model = matcher(norm=True)
    freeze(model, ["patches", "norm"])
    training_mode(model)
    assert not model.norm.training and model.image_head.training
    before = model.norm.running_mean.clone()
    Stepper(model, Objective({"info-nce": {}}, Sizes(16))).gradients(batch_for(model))
    assert torch.equal(model.norm.running_mean, before)
    assert model.patches.weight.grad is None and model.image_head[2].weight.grad is not None
    free = matcher(norm=True)
    training_mode(free)
    assert free.norm.training
    with pytest.raises(
        UsageError, match=r"No parameter starts with 'patch.es' \(model.freeze\); did you mean patches"
    ):
        freeze(model, ["patch.es"])
    freeze(model, [""])
    with pytest.raises(UsageError, match="Everything is frozen"):
        build_optimizer(dict(model.named_parameters()), {}, OptimizerRecipe())


def test_averages_follow_slowly_and_are_taken_back():
    model = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(1.0)
    average = Average(dict(model.named_parameters()), 0.9)
    slow, value = 1.0, 1.0
    for step in range(200):
        value += 0.1
        with torch.no_grad():
            model.weight.fill_(value)
        average.update(step)
        decay = min(0.9, (1 + step) / (10 + step))
        slow = decay * slow + (1 - decay) * value
    with average.applied():
        assert model.weight[0, 0].item() == pytest.approx(slow, rel=1e-5)
    assert model.weight[0, 0].item() == pytest.approx(value)
    off = Average(dict(model.named_parameters()), 0.0)
    off.update(0)
    with off.applied():
        assert model.weight[0, 0].item() == pytest.approx(value)


# --- bundles of tensors


def test_features_are_cut_joined_and_detached_together():
    torch.manual_seed(0)
    whole = Features(
        torch.randn(5, 3, requires_grad=True),
        torch.randn(5, 4, 2),
        torch.rand(5, 4) > 0.3,
        {"gate": torch.randn(5)},
    )
    back = joined(list(whole.chunks(2)))
    for name, tensor in whole.tensors().items():
        torch.testing.assert_close(back.tensors()[name], tensor)
    assert not back.detach().pooled.requires_grad
    assert whole.rows(torch.tensor([3, 1])).extras["gate"].tolist() == whole.extras["gate"][[3, 1]].tolist()


def test_token_lists_of_different_lengths_are_padded_and_masked():
    short = Features(torch.zeros(2, 3), torch.ones(2, 2, 4), torch.ones(2, 2, dtype=torch.bool))
    long = Features(torch.zeros(1, 3), torch.ones(1, 5, 4), torch.ones(1, 5, dtype=torch.bool))
    both = joined([short, long])
    assert both.tokens.shape == (3, 5, 4)
    assert both.mask.sum(1).tolist() == [2, 2, 5] and both.tokens[0].sum() == 8
    with pytest.raises(ValueError, match="need masks"):
        joined([replace(short, mask=None), replace(long, mask=None)])
    with pytest.raises(ValueError, match="no features to join"):
        joined([])


def test_bundles_of_uneven_rows_are_refused():
    with pytest.raises(ValueError, match="one row per item"):
        Features(torch.zeros(2, 3), extras={"x": torch.zeros(3)})
    with pytest.raises(ValueError, match=r"must be \(n, dim\)"):
        Features(torch.zeros(3))
    with pytest.raises(ValueError, match=r"two \(n, length\) tensors"):
        TextInput(torch.zeros(2, 3), torch.zeros(2, 4))
