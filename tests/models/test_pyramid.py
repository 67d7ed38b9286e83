"""The multi-scale image head as a method: every block, several resolutions, late words, by its recipes."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from torch.nn import functional  # noqa: E402
from zoo import CAPTIONS, CLASSES, SIDE, SMALL, batch_of, pictures  # noqa: E402

from landsift.errors import UsageError  # noqa: E402
from landsift.models import pyramid_matcher as module  # noqa: E402
from landsift.models.batch import Moment  # noqa: E402
from landsift.models.blocks.multiscale import NECKS  # noqa: E402
from landsift.models.checkpoint import read_matcher, write_matcher  # noqa: E402
from landsift.models.encoder import score_features  # noqa: E402
from landsift.models.registry import MatcherSource, build_matcher, list_zoo  # noqa: E402
from landsift.train import read_recipe  # noqa: E402
from landsift.train.objective import Objective  # noqa: E402
from landsift.train.optimizing import freeze, training_mode  # noqa: E402
from landsift.train.stepping import Stepper  # noqa: E402
from landsift.train.terms import Sizes  # noqa: E402

RECIPES = ("small-objects", "small-objects-s2", "small-objects-late", "small-objects-prompted")
TINY = SMALL | {"width": 16, "cells": 3}


pytestmark = pytest.mark.usefixtures("one_thread")


def small(recipe: str = "small-objects", **options):
    torch.manual_seed(0)
    given = dict(read_recipe(recipe).model.options) | TINY | options
    return build_matcher("pyramid", given, MatcherSource(CAPTIONS, len(CAPTIONS), CLASSES)).eval()


def images_of(matcher, count: int = 8) -> torch.Tensor:
    return functional.interpolate(pictures(count).float(), matcher.input_size)


def features_of(matcher):
    with torch.no_grad():
        return matcher.image_features(images_of(matcher)), matcher.text_features(matcher.prepare(CAPTIONS))


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_trains_it(recipe):
    matcher, read = small(recipe), read_recipe(recipe)
    objective = Objective(read.loss, Sizes(matcher.dim, 8))
    freeze(matcher, read.model.freeze)
    with torch.no_grad():
        maps = matcher.lower(images_of(matcher))
    training_mode(matcher)
    before = {key: p.detach().clone() for key, p in matcher.named_parameters() if p.requires_grad}
    parameters = [p for p in (*matcher.parameters(), *objective.parameters()) if p.requires_grad]
    optimizer, stepper, losses = torch.optim.Adam(parameters, lr=2e-3), Stepper(matcher, objective), []
    for step in range(16):
        optimizer.zero_grad()
        values, _ = stepper.gradients(batch_of(matcher, maps, Moment(step, 30, 0, 1)))
        assert all(p.grad is None or torch.isfinite(p.grad).all() for p in parameters)
        losses.append(sum(float(value) for value in values.values()))
        optimizer.step()
    assert losses[-1] < 0.95 * losses[0], losses
    assert [key for key, value in before.items() if torch.equal(value, matcher.get_parameter(key))] == []


@pytest.mark.parametrize("recipe", RECIPES)
def test_scores_do_not_depend_on_company_and_survive_a_checkpoint(recipe, tmp_path):
    matcher = small(recipe)
    images, texts = features_of(matcher)
    with torch.no_grad():
        scores = score_features(matcher, images, texts)
        one = matcher.similarity(
            images.rows(slice(2, 3)), matcher.text_features(matcher.prepare(CAPTIONS[3:4]))
        )
    torch.testing.assert_close(one[0, 0], scores[2, 3], atol=1e-5, rtol=1e-4)
    assert scores.shape == (8, 8) and len(scores.unique()) > 8
    options = dict(read_recipe(recipe).model.options) | TINY
    write_matcher(tmp_path, matcher, "pyramid", options)
    again = features_of(read_matcher(tmp_path))
    for side, other in zip((images, texts), again, strict=True):
        assert all(torch.equal(tensor, other.tensors()[key]) for key, tensor in side.tensors().items())


def test_what_an_index_can_rank_by_and_what_re_ranks():
    for head in module.HEADS:
        matcher = small(head=head)
        images, texts = features_of(matcher)
        assert matcher.exact_index == (head == "dot") == (images.tokens is None)
        rows = images.pooled @ texts.pooled.T
        with torch.no_grad():
            assert torch.allclose(matcher.similarity(images, texts), rows) == (head == "dot")


def test_every_block_gives_another_image_vector():
    rows = [features_of(small(block=block))[0].pooled for block in NECKS]
    assert all(torch.isfinite(row).all() and row.shape == (8, 32) for row in rows)
    assert len({tuple(row[0].tolist()) for row in rows}) == len(NECKS)


def test_squares_are_cut_and_put_back_where_they_were():
    pixels = torch.arange(2 * 3 * 8 * 8.0).view(2, 3, 8, 8)
    squares = module._squares(pixels, 2)
    assert squares.shape == (8, 3, 4, 4)
    assert torch.equal(squares[5], pixels[1, :, :4, 4:])
    back = module._joined_back(squares, 2, torch.empty(1, 1, 8, 8))
    assert torch.equal(back, pixels)
    torch.testing.assert_close(
        module._joined_back(squares, 2, torch.empty(1, 1, 4, 4)), functional.avg_pool2d(pixels, 2)
    )


def test_two_resolutions_see_what_one_cannot():
    """Detail that vanishes when the image is halved changes the features only where squares are looked at."""
    fine, coarse = small(zoom=2), small(input_size=SIDE)
    plain = torch.full((1, 3, 2 * SIDE, 2 * SIDE), 120.0)
    board = (torch.arange(2 * SIDE)[:, None] + torch.arange(2 * SIDE)[None]) % 2
    detailed = plain + 60.0 * (2 * board - 1)
    halved = [functional.avg_pool2d(x, 2) for x in (plain, detailed)]
    torch.testing.assert_close(halved[0], halved[1])
    with torch.no_grad():
        seen = [fine.image_features(x).pooled for x in (plain, detailed)]
        lost = [coarse.image_features(x).pooled for x in halved]
    assert fine.input_size == 2 * SIDE and coarse.input_size == SIDE
    assert (seen[0] - seen[1]).abs().max() > 1e-3 and torch.allclose(lost[0], lost[1], atol=1e-6)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"block": "fpnn"}, "did you mean fpn"),
        ({"head": "max"}, "there is no head 'max'"),
        ({"zoom": 7}, "zoom is 1 to 4"),
        ({"bits": 8}, "bits 1 or 16"),
        ({"width": 12}, "multiple of 8"),
        ({"head": "filip", "text": "textcnn"}, "looks at single words"),
    ],
)
def test_options_that_cannot_be_are_refused(options, said):
    with pytest.raises(UsageError, match=said):
        small(**options)


def test_it_is_no_published_method():
    assert "pyramid" not in list_zoo()
