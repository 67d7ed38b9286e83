"""Losses that only published methods use, against slow twins."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from torch.nn import functional  # noqa: E402
from zoo import batch_of, frozen_maps, small_method  # noqa: E402

from landsift.models.batch import Moment  # noqa: E402
from landsift.models.features import Features  # noqa: E402
from landsift.models.methods.fusing import hard_pairs, matching_loss, ranking_loss  # noqa: E402
from landsift.models.objectives import pair_cross_entropy, queue_contrast, uniformity  # noqa: E402
from landsift.models.objectives.info_nce import spread_cross_entropy  # noqa: E402
from landsift.models.objectives.triplet import triplet  # noqa: E402


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def softplus(value: float) -> float:
    return math.log1p(math.exp(value))


def marks(images: int = 4, captions: int = 6) -> torch.Tensor:
    positive = torch.zeros(images, captions, dtype=torch.bool)
    positive[torch.arange(captions) % images, torch.arange(captions)] = True
    return positive


def test_pair_cross_entropy():
    logits, positive = torch.randn(4, 6, dtype=torch.float64), marks()
    hardest = mean = 0.0
    for i, t in positive.nonzero().tolist():
        right = 2 * softplus(-logits[i, t].item())
        captions = [softplus(logits[i, o].item()) for o in range(6) if not positive[i, o]]
        images = [softplus(logits[o, t].item()) for o in range(4) if not positive[o, t]]
        hardest += right + max(captions) + max(images)
        mean += right + sum(captions) / len(captions) + sum(images) / len(images)
    assert pair_cross_entropy(logits, positive).item() == pytest.approx(hardest, rel=1e-9)
    assert pair_cross_entropy(logits, positive, reduce="mean").item() == pytest.approx(mean, rel=1e-9)
    for reduce in ("hardest", "mean"):
        alone = pair_cross_entropy(logits[:1, :1], positive[:1, :1], reduce=reduce)
        assert torch.isfinite(alone), "nothing is wrong here"


def test_queue_contrast():
    rows, right, kept = (functional.normalize(torch.randn(n, 5).double(), dim=1) for n in (3, 3, 7))
    slow = 0.0
    for row, answer in zip(rows, right, strict=True):
        own = math.exp((row @ answer).item() / 0.07)
        others = sum(math.exp((row @ other).item() / 0.07) for other in kept)
        slow -= math.log(own / (own + others)) / 3
    assert queue_contrast(rows, right, kept).item() == pytest.approx(slow, rel=1e-9)
    assert queue_contrast(rows, right, kept[:0]).item() == pytest.approx(0, abs=1e-9)
    wrong, slow = torch.tensor([[0, 1, 0], [1, 0, 1], [0, 0, 0]], dtype=torch.bool), 0.0
    for number, row in enumerate(rows):
        others = [*kept, *(right[other] for other in range(3) if wrong[number, other])]
        slow += (
            math.log(sum(math.exp(((other - right[number]) @ row).item() / 0.07) for other in others) + 1) / 3
        )
    assert queue_contrast(rows, right, kept, wrong=wrong).item() == pytest.approx(slow, rel=1e-9)
    same = rows[:1].expand(3, -1)
    apart = queue_contrast(same, same, -same, wrong=~torch.eye(3, dtype=torch.bool))
    assert apart.item() == pytest.approx(math.log(3), rel=1e-6), "all in one point are not told apart"
    kept.requires_grad_()
    rows.requires_grad_()
    queue_contrast(rows, right, kept).backward()
    assert kept.grad is None and rows.grad is not None


def test_spread_cross_entropy():
    logits, positive = (
        torch.randn(3, 4, dtype=torch.float64),
        torch.tensor([[True, False, True, False], [False, True, False, False], [False, False, False, True]]),
    )
    slow = 0.0
    for row, good in zip(logits.tolist(), positive.tolist(), strict=True):
        normal = math.log(sum(map(math.exp, row)))
        own = [value for value, mark in zip(row, good, strict=True) if mark]
        slow += sum(normal - value for value in own) / len(own) / 3
    assert spread_cross_entropy(logits, positive).item() == pytest.approx(slow, rel=1e-9)


def test_hard_pairs_are_wrong_and_score_most():
    scores, positive = torch.rand(4, 6), marks()
    images, captions = hard_pairs(scores, positive)
    for t, i in enumerate(images.tolist()):
        wrong = [o for o in range(4) if not positive[o, t]]
        assert i == max(wrong, key=lambda o: scores[o, t])
    for i, t in enumerate(captions.tolist()):
        wrong = [o for o in range(6) if not positive[i, o]]
        assert t == max(wrong, key=lambda o: scores[i, o])


def test_pairs_are_judged_by_what_they_are():
    matcher = small_method("cmpagl")
    batch = batch_of(matcher, {})
    image, text = Features(torch.arange(8.0)[:, None]), Features(10 * torch.arange(8.0)[:, None])
    seen = []

    def judged(images, texts):
        seen.append((images.pooled[:, 0], texts.pooled[:, 0]))
        return (images.pooled[:, 0] * 10 == texts.pooled[:, 0]).float() * 20 - 10

    scores = torch.rand(8, 8)
    assert matching_loss(judged, batch, image, text, scores) < 1e-3
    assert len(seen[0][0]) == 24
    assert ranking_loss(judged, batch, image, text, 5) < 1e-3
    assert len(seen[1][0]) == 8 * 6
    first = seen[1][0].view(8, 6)[:, 0]
    assert torch.equal(first * 10, seen[1][1].view(8, 6)[:, 0]), "the right image comes first"
    assert ranking_loss(lambda i, t: -judged(i, t), batch, image, text, 5) > 5


def test_pictures_that_a_caption_fits_too_are_not_wrong():
    matcher = small_method("ieft")
    batch = batch_of(matcher, {}, positive=torch.ones(8, 8, dtype=torch.bool))
    features = Features(torch.randn(8, 3))
    value = ranking_loss(lambda i, t: i.pooled[:, 0], batch, features, features, 7)
    assert value.item() == pytest.approx(0, abs=1e-6)


def test_hvsa_weighs_hinge_and_spread():
    matcher = small_method("hvsa", spread=0.25)
    batch = batch_of(matcher, {})
    image, text = Features(torch.randn(8, 32)), Features(torch.randn(8, 32))
    scores = torch.rand(8, 8)
    found = matcher.own_losses(batch, image, text, scores)
    hinge = triplet(scores, batch.positive, reduce="sum", weighting="difficulty") / 64
    assert found["weighted-hinge"].item() == pytest.approx(0.75 * hinge.item(), rel=1e-5)
    spread = uniformity(image.pooled, logarithm=False)
    assert found["spread"].item() == pytest.approx(0.25 * spread.item(), rel=1e-5)


def test_kamcl_asks_for_concepts_late_and_for_the_right_image():
    matcher = small_method("kamcl")
    with torch.no_grad():
        image = matcher.upper(frozen_maps("kamcl", matcher))
        text = matcher.text_features(matcher.prepare(batch_of(matcher, {}).captions))
    early, late = (
        matcher.own_losses(batch_of(matcher, {}, Moment(step, 100)), image, text, torch.zeros(8, 8))
        for step in (10, 90)
    )
    assert "concepts" not in early and "concepts" in late
    planes = matcher.concept_of[matcher.texts.tokenizer.token_to_id("planes")]
    assert text.extras["bag"][:, planes].tolist() == [1, 0, 0, 0, 0, 0, 0, 0]


def test_ebaker_drops_weak_anchors_only_late():
    matcher = small_method("ebaker", drop=0.5, memory=64)
    batch = batch_of(matcher, {})
    image = Features(torch.eye(8, 32), functional.normalize(torch.randn(8, 4, 32), dim=2))
    weak = torch.eye(8, 32)
    weak[0] = torch.roll(weak[0], 20)
    text = Features(weak)
    whole = matcher.own_losses(batch, image, text, torch.zeros(0, 0))["global"]
    matcher.begin_epoch(Moment(10, 100))
    assert matcher.threshold == -torch.inf
    matcher.begin_epoch(Moment(90, 100))
    assert matcher.threshold == pytest.approx(1.0), "the median of what is remembered"
    matcher.threshold.fill_(0.5)
    kept = matcher.own_losses(batch, image, text, torch.zeros(0, 0))["global"]
    assert kept < whole, "the weak pair is no anchor any more"
    matcher.threshold.fill_(2.0)
    assert torch.isfinite(matcher.own_losses(batch, image, text, torch.zeros(0, 0))["global"])


def test_sirs_takes_masks_where_they_are_given():
    matcher = small_method("sirs")
    with torch.no_grad():
        image = matcher.upper(frozen_maps("sirs", matcher))
        text = matcher.text_features(matcher.prepare(batch_of(matcher, {}).captions))
    zeros = torch.zeros(8, 20, 20, dtype=torch.int64)
    given, made = (
        matcher.own_losses(batch_of(matcher, {}, extras=extras), image, text, torch.zeros(8, 8))["segments"]
        for extras in ({"segments": zeros}, {})
    )
    logits = image.extras["logits"]
    expected = -functional.log_softmax(logits, dim=1)[:, 0].mean()
    assert given.item() == pytest.approx(4 * expected.item(), rel=1e-5) and made != given
