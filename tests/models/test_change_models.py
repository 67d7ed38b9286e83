"""Models of two dates: every encoder walks the same tests; decoder, losses and folder have their own."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from landsift.data import ImagePair  # noqa: E402
from landsift.errors import EncoderError, UsageError  # noqa: E402
from landsift.models.batch import Batch  # noqa: E402
from landsift.models.change import ChangeModel, load_change_model  # noqa: E402
from landsift.models.change.decoder import beam_search, greedy_search  # noqa: E402
from landsift.models.change.encoders import ENCODERS  # noqa: E402
from landsift.models.change.losses import change_contrast, mask_loss, pair_contrast  # noqa: E402
from landsift.models.checkpoint import write_matcher  # noqa: E402
from landsift.models.registry import (  # noqa: E402
    MatcherSource,
    build_matcher,
    full_options,
    list_change,
    list_zoo,
)

CAPTIONS = (
    "a house is built",
    "there is no difference",
    "a road appears in the desert",
    "the scene is the same as before",
)
SIDE = 32
SMALL = {
    "image": "resnet-mini",
    "image_start": "random",
    "cut": "c3",
    "input_size": SIDE,
    "dim": 16,
    "heads": 2,
    "layers": 2,
    "dropout": 0.0,
    "likeness": 0.1,
    "mask_classes": 3,
}
NAMES = list_change()


def small(name: str, **more):
    torch.manual_seed(0)
    source = MatcherSource(captions=CAPTIONS, class_names=("changed", "unchanged"))
    return build_matcher(name, SMALL | more, source).eval()


def pairs(count: int = 4):
    return torch.from_numpy(np.random.default_rng(0).integers(0, 255, (count, 6, SIDE, SIDE))).float()


def batch_of(matcher, pixels, **more) -> Batch:
    """Captions 0 to 3 for pairs 0 to 3; the second and the last did not change."""
    text = matcher.prepare(CAPTIONS)
    rows = torch.arange(4)
    labels = torch.tensor([0, 1, 0, 1])
    return Batch(pixels, rows, labels, text, CAPTIONS, rows, rows, torch.eye(4, dtype=torch.bool), **more)


@pytest.fixture(params=NAMES)
def matcher(request):
    return small(request.param)


def test_every_encoder_has_a_name_and_none_is_in_the_zoo_of_pictures():
    built = {type(small(name).pairs) for name in NAMES}
    assert built == set(ENCODERS) and not set(NAMES) & set(list_zoo())


@torch.no_grad()
def test_swapping_the_dates_changes_the_answer(matcher):
    pixels = pairs()
    forward = matcher.image_features(pixels)
    backward = matcher.image_features(torch.cat([pixels[:, 3:], pixels[:, :3]], dim=1))
    assert (forward.pooled - backward.pooled).abs().amax(dim=1).min() > 1e-3
    assert torch.allclose(forward.pooled.norm(dim=1), torch.ones(4), atol=1e-5)


@torch.no_grad()
def test_a_pair_does_not_depend_on_its_neighbours(matcher):
    pixels, order = pairs(), torch.tensor([2, 0, 3, 1])
    whole, permuted = matcher.image_features(pixels), matcher.image_features(pixels[order])
    assert torch.allclose(whole.pooled[order], permuted.pooled, atol=1e-5)
    assert torch.allclose(whole.tokens[order], permuted.tokens, atol=1e-4)
    # Computing the frozen part beforehand changes nothing.
    assert torch.allclose(matcher.upper(matcher.lower(pixels)).pooled, whole.pooled)


@torch.no_grad()
def test_a_caption_does_not_depend_on_padding(matcher):
    alone = matcher.text_features(matcher.prepare(CAPTIONS[:1]))
    among = matcher.text_features(matcher.prepare(CAPTIONS))
    assert torch.allclose(alone.pooled[0], among.pooled[0], atol=1e-6)


def test_a_step_reaches_every_weight(matcher):
    matcher.train()
    batch = batch_of(matcher, pairs(), extras={"mask": torch.randint(0, 3, (4, 8, 8))})
    image = matcher.image_features(batch.images)
    text = matcher.text_features(batch.text)
    losses = matcher.own_losses(batch, image, text, matcher.similarity(image, text))
    wanted = {"contrast", "caption", "likeness"} | ({"mask"} if matcher.pairs.detects else set())
    assert set(losses) == wanted and all(torch.isfinite(value) for value in losses.values())
    sum(losses.values()).backward()
    idle = [name for name, p in matcher.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    # Of the frozen part of the trunk some batch norms' shifts may cancel; all that is added must learn.
    own = [name for name in idle if not name.startswith("images.")]
    assert [name for name in own if not name.endswith("in_proj_bias")] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_saved_model_is_the_same_one(name, tmp_path):
    matcher = small(name, context_length=8)
    write_matcher(tmp_path, matcher, name, full_options(name, SMALL | {"context_length": 8}))
    model, memory = load_change_model(tmp_path), ChangeModel(matcher, "in memory")
    rng = np.random.default_rng(1)
    pictures = rng.integers(0, 255, (4, 40, 30, 3)).astype(np.uint8)
    given = [ImagePair(pictures[0], pictures[1]), (pictures[2], pictures[3])]
    np.testing.assert_allclose(model.encode_pairs(given), memory.encode_pairs(given), atol=1e-6)
    np.testing.assert_allclose(model.encode_texts(CAPTIONS), memory.encode_texts(CAPTIONS), atol=1e-6)
    assert model.captions(given) == memory.captions(given)
    assert model.encode_pairs([]).shape == (0, 16) and model.encode_texts([]).shape == (0, 16)


def test_masks_are_made_where_the_model_makes_them():
    model = ChangeModel(small("mci-net"), "mci-net")
    picture = np.zeros((20, 20, 3), np.uint8)
    found = model.masks([(picture, picture)], (50, 40))
    assert found.shape == (1, 50, 40) and found.max() < 3
    with pytest.raises(UsageError, match="in words what changed, not where"):
        ChangeModel(small("chg2cap"), "chg2cap").masks([(picture, picture)], (5, 5))


def test_single_pictures_and_other_methods_are_refused(tmp_path):
    with pytest.raises(UsageError, match="reads two dates, six channels, and got 3"):
        small("chg2cap").image_features(pairs()[:, :3])
    source = MatcherSource(captions=CAPTIONS)
    other = {"start": "random", "input_size": 32, "text_width": 64, "text_layers": 1, "dim": 16}
    write_matcher(tmp_path, build_matcher("dual", other, source), "dual", full_options("dual", other))
    with pytest.raises(EncoderError, match="single pictures; load it with load_encoder"):
        load_change_model(tmp_path)
    model = ChangeModel(small("chg2cap"), "chg2cap")
    with pytest.raises(UsageError, match="put a single one into a list"):
        model.encode_texts("a house")
    with pytest.raises(UsageError, match="Text 1 is empty"):
        model.encode_texts(["a house", " "])
    with pytest.raises(UsageError, match="at least one beam"):
        model.captions([(np.zeros((9, 9, 3), np.uint8),) * 2], beams=0)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"dim": 20, "heads": 8}, "multiple of twice the heads"),
        ({"false_negatives": "ignore"}, "no false_negatives 'ignore'"),
        ({"fusion": "sum"}, "no fusion 'sum'"),
        ({"similarity": 0.0}, "similarity must be above 0"),
        ({"layers": 0}, "must be 1 or more"),
        ({"image": "lite9"}, "no image 'lite9'"),
    ],
)
def test_options_that_cannot_be_are_refused(given, said):
    with pytest.raises(UsageError, match=said):
        small("chg2cap", **given)


def test_words_are_needed():
    with pytest.raises(UsageError, match="learns its words from captions"):
        build_matcher("chg2cap", SMALL)


# --- the decoder


class Fixed:
    """Foretells by a table of word after word: 0 begins, 1 ends."""

    table = torch.log(
        torch.tensor(
            [
                [0.0, 0.0, 0.55, 0.45, 0.0],  # after the beginning
                [0.0, 1.0, 0.0, 0.0, 0.0],
                [0.0, 0.2, 0.0, 0.5, 0.3],  # after 2: nothing is likely
                [0.0, 0.9, 0.05, 0.05, 0.0],  # after 3: the end
                [0.0, 0.5, 0.5, 0.0, 0.0],
            ]
        )
        + 1e-9
    )

    def __call__(self, tokens):
        return self.table[tokens[:, -1]]

    def chance(self, tokens):
        return float(sum(self.table[a, b] for a, b in pairwise(tokens)))


def test_a_beam_finds_what_greed_misses():
    follow, device = Fixed(), torch.device("cpu")
    greedy = greedy_search(follow, 2, 0, 1, 8, device)
    assert greedy[0].tolist() == [0, 2, 3, 1] and torch.equal(greedy[0], greedy[1])
    assert beam_search(follow, 1, 0, 1, 8, device).tolist() == [0, 2, 3, 1]
    wide = beam_search(follow, 3, 0, 1, 8, device)
    assert wide.tolist() == [0, 3, 1]
    assert follow.chance(wide.tolist()) > follow.chance([0, 2, 3, 1])


def test_a_wide_beam_is_the_best_of_all_captions():
    follow, device = Fixed(), torch.device("cpu")
    every, open_ones = [], [[0]]
    for _ in range(4):
        longer = [[*text, word] for text in open_ones for word in range(1, 5)]
        every += [text for text in longer if text[-1] == 1]
        open_ones = [text for text in longer if text[-1] != 1]
    best = max([*every, *open_ones], key=follow.chance)
    assert beam_search(follow, 50, 0, 1, 5, device).tolist() == best


def test_captions_stop_at_the_longest_and_hold_no_marks():
    model = ChangeModel(small("chg2cap", context_length=6), "m")
    picture = np.zeros((9, 9, 3), np.uint8)
    for beams in (1, 2):
        text = model.captions([(picture, picture)], beams)[0]
        assert "[" not in text and len(text.split()) <= 5


# --- the losses


def slow_contrast(logits, own, alike, way):
    """The equation of Ferrod et al., pair by pair, one direction."""
    costs = []
    for row in range(len(logits)):
        for column in range(logits.shape[1]):
            good = own[row][column] or (way == "attract" and alike[row][column])
            if good:
                others = [
                    float(logits[row][j].exp())
                    for j in range(logits.shape[1])
                    if not own[row][j] and (way == "keep" or not alike[row][j])
                ]
                top = float(logits[row][column].exp())
                costs.append(-np.log(top / (top + sum(others))))
    return np.mean(costs)


@pytest.mark.parametrize("way", ["attract", "eliminate", "keep"])
def test_contrast_is_the_papers_equation(way):
    rng = torch.Generator().manual_seed(3)
    logits = torch.randn(4, 5, generator=rng)
    own = torch.zeros(4, 5, dtype=torch.bool)
    own[[0, 1, 2, 3, 3], [0, 1, 2, 3, 4]] = True
    alike = torch.zeros_like(own)
    alike[0, 1] = alike[1, 0] = alike[2, 4] = True
    both = (slow_contrast(logits, own, alike, way) + slow_contrast(logits.T, own.T, alike.T, way)) / 2
    assert float(pair_contrast(logits, own, alike, way)) == pytest.approx(both, abs=1e-5)


def test_false_negatives_are_pushed_kept_out_or_drawn():
    logits = torch.zeros(3, 3, requires_grad=True)
    own = torch.eye(3, dtype=torch.bool)
    alike = own.clone()
    alike[0, 1] = True
    signs = {}
    for way in ("attract", "eliminate", "keep"):
        (gradient,) = torch.autograd.grad(pair_contrast(logits, own, alike, way), logits)
        signs[way] = float(gradient[0, 1])
    assert signs["attract"] < 0 and signs["eliminate"] == 0 and signs["keep"] > 0


def test_contrast_with_nothing_to_push_is_no_loss():
    logits = torch.randn(2, 2, requires_grad=True)
    every = torch.ones(2, 2, dtype=torch.bool)
    loss = pair_contrast(logits, every, every)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert float(loss.detach()) == 0 and torch.equal(gradient, torch.zeros(2, 2))


def test_only_the_hardest_negatives_count():
    logits = torch.tensor([[0.0, 3.0, -3.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]], requires_grad=True)
    own = torch.eye(3, dtype=torch.bool)
    (gradient,) = torch.autograd.grad(pair_contrast(logits, own, own, "keep", hardest=1), logits)
    assert gradient[0, 1] > 0 and gradient[0, 2] <= gradient[0, 1] / 10


def test_dates_are_drawn_together_where_nothing_changed():
    likeness = torch.full((2, 10), 0.5, requires_grad=True)
    (gradient,) = torch.autograd.grad(change_contrast(likeness, torch.tensor([True, False])), likeness)
    assert (gradient[0] < 0).all(), "of the unchanged pair, every cell is drawn together"
    assert int((gradient[1] > 0).sum()) == 1 and (gradient[1] >= 0).all(), "of the changed, the least alike"


def test_masks_are_compared_at_their_own_size():
    masks = torch.zeros(1, 8, 8, dtype=torch.uint8)
    masks[0, :4] = 1
    right = torch.zeros(1, 2, 2, 2)
    right[0, 1, 0], right[0, 0, 1] = 9, 9
    assert float(mask_loss(right, masks)) < 0.2 < float(mask_loss(-right, masks))


def test_unchanged_pairs_are_alike_whatever_was_written():
    matcher = small("change-fusion")
    batch = batch_of(matcher, pairs())
    alike = matcher._alike(batch, batch.labels == 1)
    assert alike.int().tolist() == [[1, 0, 0, 0], [0, 1, 0, 1], [0, 0, 1, 0], [0, 1, 0, 1]]
    near = small("change-fusion", similarity=0.5)
    assert near.needs == {"prior"}
    prior = torch.zeros(4, 4)
    prior[2, 0] = 0.6
    assert near._alike(batch_of(near, pairs(), prior=prior), batch.labels == 1)[2, 0]
