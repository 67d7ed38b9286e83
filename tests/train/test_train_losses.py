"""Every loss against a slow twin that goes pair by pair, and what it must and must not punish."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from torch.nn import functional  # noqa: E402

from landsift.models import objectives  # noqa: E402


def scores_and_positives(seed: int, images: int = 5, captions: int = 7) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(seed)
    similarity = torch.rand(images, captions, dtype=torch.float64) * 2 - 1
    positive = torch.rand(images, captions) < 0.25
    positive[torch.arange(images), torch.arange(images)] = True
    positive[0, images:] = True
    return similarity, positive


def slow_triplet(similarity, positive, margin, reduce, weighting, strength):
    """Anchor by anchor, wrong pair by wrong pair."""
    images, captions = similarity.shape
    costs, hardest = [], 0.0
    for i in range(images):
        for t in range(captions):
            if not positive[i, t]:
                continue
            right = similarity[i, t].item()
            rows = [(i, other) for other in range(captions) if not positive[i, other]]
            columns = [(other, t) for other in range(images) if not positive[other, t]]
            for wrong in (rows, columns):
                found = []
                for pair in wrong:
                    excess = similarity[pair].item() - right
                    if margin is None:
                        cost = math.log1p(math.exp(excess))
                    else:
                        cost = max(
                            0.0, excess + (margin if isinstance(margin, float) else margin[pair].item())
                        )
                    if weighting == "difficulty":
                        cost *= math.exp(-strength * cost)
                    elif weighting == "focal":
                        cost *= (1 - math.exp(-cost)) ** strength
                    found.append(cost)
                costs += found
                hardest += max(found, default=0.0)
    return {"sum": sum(costs), "hardest": hardest, "mean": sum(costs) / max(1, len(costs))}[reduce]


@pytest.mark.parametrize("reduce", ["sum", "hardest", "mean"])
@pytest.mark.parametrize("weighting", ["none", "difficulty", "focal"])
@pytest.mark.parametrize("kind", ["number", "matrix", "soft"])
def test_triplet_against_the_slow_twin(reduce, weighting, kind):
    for seed in range(3):
        similarity, positive = scores_and_positives(seed)
        margin = {"number": 0.2, "matrix": torch.rand(similarity.shape, dtype=torch.float64), "soft": None}[
            kind
        ]
        got = objectives.triplet(
            similarity, positive, margin=margin, reduce=reduce, weighting=weighting, strength=0.5
        )
        expected = slow_triplet(similarity, positive, margin, reduce, weighting, 0.5)
        assert got.item() == pytest.approx(expected, rel=1e-9)


def test_triplet_of_a_plain_batch_is_the_published_one():
    similarity = torch.rand(6, 6, generator=torch.Generator().manual_seed(0))
    diagonal, off = similarity.diag(), ~torch.eye(6, dtype=torch.bool)
    texts = (0.2 + similarity - diagonal[:, None]).clamp(min=0) * off
    images = (0.2 + similarity - diagonal[None, :]).clamp(min=0) * off
    positive = torch.eye(6, dtype=torch.bool)
    got = {
        reduce: objectives.triplet(similarity, positive, reduce=reduce)
        for reduce in ("sum", "hardest", "mean")
    }
    torch.testing.assert_close(got["sum"], texts.sum() + images.sum())
    torch.testing.assert_close(got["hardest"], texts.amax(1).sum() + images.amax(0).sum())
    torch.testing.assert_close(got["mean"], (texts.sum() + images.sum()) / (2 * 6 * 5))


def test_triplet_leaves_other_right_pairs_alone():
    similarity = torch.tensor([[0.5, 0.9, 0.1], [0.2, 0.6, 0.3], [0.1, 0.2, 0.5]], requires_grad=True)
    positive = torch.tensor([[1, 1, 0], [0, 1, 0], [0, 0, 1]], dtype=torch.bool)
    objectives.triplet(similarity, positive, reduce="sum").backward()
    assert similarity.grad[0, 1] <= 0, "a right pair is never pushed down"
    assert objectives.triplet(similarity, torch.ones(3, 3, dtype=torch.bool), reduce="mean") == 0


def test_dynamic_margins_fall_from_the_largest_to_nothing():
    prior = torch.tensor([[0.0, 0.5, 1.0]], dtype=torch.float64)
    margin = objectives.dynamic_margin(prior, largest=0.4, steepness=5.0)[0]
    expected = [0.4 * (math.exp(5) - math.exp(5 * p)) / (math.exp(5) - 1) for p in (0.0, 0.5, 1.0)]
    assert margin.tolist() == pytest.approx(expected, abs=1e-12)
    assert expected[0] == 0.4 and expected[2] == 0
    assert torch.isfinite(objectives.dynamic_margin(prior, steepness=500.0)).all()


def test_sigmoid_against_the_slow_twin():
    logits, positive = scores_and_positives(1)
    logits = 5 * logits - 3
    slow = 0.0
    for row, marks in zip(logits.tolist(), positive.tolist(), strict=True):
        slow += sum(
            math.log1p(math.exp(-value if mark else value)) for value, mark in zip(row, marks, strict=True)
        )
    assert objectives.sigmoid_pairs(logits, positive).item() == pytest.approx(slow / 7, rel=1e-9)


def slow_ranking(similarity, positive, margin, shift, temperature):
    total = 0.0
    for scores, marks in ((similarity, positive), (similarity.T, positive.T)):
        values = []
        for a in range(len(scores)):
            for b in range(scores.shape[1]):
                if not marks[a, b]:
                    continue
                right, terms = scores[a, b].item(), []
                for other in range(scores.shape[1]):
                    if marks[a, other] and other != b:
                        continue
                    score = scores[a, other].item()
                    terms.append(score if right - score <= margin else score - shift)
                smooth = temperature * math.log(sum(math.exp(term / temperature) for term in terms))
                values.append(margin - right + smooth)
        total += sum(values) / len(values)
    return total


@pytest.mark.parametrize("seed", range(3))
def test_ranking_against_the_slow_twin(seed):
    similarity, positive = scores_and_positives(seed)
    got = objectives.ranking(similarity, positive, margin=0.2, shift=0.5, temperature=0.7)
    assert got.item() == pytest.approx(slow_ranking(similarity, positive, 0.2, 0.5, 0.7), rel=1e-9)


@pytest.mark.parametrize("logarithm", [True, False])
def test_uniformity_against_the_slow_twin(logarithm):
    torch.manual_seed(0)
    rows = torch.randn(6, 4, dtype=torch.float64)
    unit = [row / row.norm() for row in rows]
    powers = [math.exp(-2 * (a - b).square().sum().item()) for n, a in enumerate(unit) for b in unit[:n]]
    mean = sum(powers) / len(powers)
    got = objectives.uniformity(rows, logarithm=logarithm).item()
    assert got == pytest.approx(math.log(mean) if logarithm else mean, rel=1e-9)
    assert objectives.uniformity(rows[:1]) == 0


def test_feature_distances_skip_rows_without_a_teacher():
    torch.manual_seed(0)
    student, teacher = torch.randn(4, 3, dtype=torch.float64), torch.randn(4, 3, dtype=torch.float64)
    teacher[2] = 0
    known = [0, 1, 3]
    expected = {
        "mse": sum((student[n] - teacher[n]).square().sum().item() for n in known) / 3,
        "cosine": sum(1 - functional.cosine_similarity(student[n], teacher[n], dim=0).item() for n in known)
        / 3,
        "smooth-l1": sum(
            functional.smooth_l1_loss(student[n], teacher[n], reduction="sum").item() for n in known
        )
        / 3,
    }
    for kind, value in expected.items():
        assert objectives.feature_distance(student, teacher, kind=kind).item() == pytest.approx(value)
    assert objectives.feature_distance(student, torch.zeros_like(teacher)) == 0


def test_score_divergence_against_the_slow_twin_and_at_its_least():
    torch.manual_seed(0)
    student, teacher = torch.randn(3, 5, dtype=torch.float64), torch.randn(3, 5, dtype=torch.float64)

    def one_way(s, t):
        total = 0.0
        for own, other in zip(s, t, strict=True):
            p, q = torch.softmax(other / 2, 0), torch.softmax(own / 2, 0)
            total += sum((a * (a.log() - b.log())).item() for a, b in zip(p, q, strict=True))
        return total / len(s)

    slow = 4 * (one_way(student, teacher) + one_way(student.T, teacher.T)) / 2
    assert objectives.score_divergence(student, teacher, temperature=2.0).item() == pytest.approx(
        slow, rel=1e-9
    )
    assert objectives.score_divergence(teacher, teacher).item() == pytest.approx(0, abs=1e-12)


def test_affiliation_against_the_slow_twin():
    torch.manual_seed(0)
    image, text = torch.randn(5, 4, dtype=torch.float64), torch.randn(8, 4, dtype=torch.float64)
    labels, image_row = torch.tensor([3, 1, 3, -1, 1]), torch.tensor([0, 0, 1, 2, 3, 4, 4, 1])

    def one_way(rows, own, others, their):
        values = []
        for row, label in zip(rows, own.tolist(), strict=True):
            if label < 0:
                continue
            logits = {}
            for scene in (1, 3):
                unit = [
                    x / x.norm() for x, there in zip(others, their.tolist(), strict=True) if there == scene
                ]
                centre = sum(unit) / len(unit)
                logits[scene] = ((row / row.norm()) @ (centre / centre.norm())).item() / 0.1
            values.append(math.log(sum(math.exp(v) for v in logits.values())) - logits[label])
        return sum(values) / len(values)

    of_text = labels[image_row]
    slow = (one_way(image, labels, text, of_text) + one_way(text, of_text, image, labels)) / 2
    got = objectives.affiliation(image, text, labels, image_row, temperature=0.1)
    assert got.item() == pytest.approx(slow, rel=1e-9)
    lone = torch.tensor([1, 1, 1, -1, 1])
    assert objectives.affiliation(image, text, lone, image_row) == 0, "one scene has nothing to be told from"


def test_nt_xent_against_the_slow_twin():
    torch.manual_seed(0)
    first, second = torch.randn(4, 3, dtype=torch.float64), torch.randn(4, 3, dtype=torch.float64)
    same = torch.eye(4, dtype=torch.bool)
    same[1, 2] = same[2, 1] = True  # rows 1 and 2 show one picture
    rows = [row / row.norm() for row in (*first, *second)]
    values = []
    for a in range(8):
        partner = (a + 4) % 8
        others = [b for b in range(8) if b == partner or not same[a % 4, b % 4]]
        logits = {b: (rows[a] @ rows[b]).item() / 0.2 for b in others}
        values.append(math.log(sum(math.exp(v) for v in logits.values())) - logits[partner])
    got = objectives.nt_xent(first, second, temperature=0.2, same=same)
    assert got.item() == pytest.approx(sum(values) / 8, rel=1e-9)


def test_vicreg_against_the_slow_twin():
    torch.manual_seed(0)
    first, second = torch.randn(6, 3, dtype=torch.float64) * 0.5, torch.randn(6, 3, dtype=torch.float64)
    apart = (
        sum((a - b) ** 2 for a, b in zip(first.flatten().tolist(), second.flatten().tolist(), strict=True))
        / 18
    )
    narrow = mixed = 0.0
    for rows in (first, second):
        columns = [[value - sum(c) / 6 for value in c] for c in rows.T.tolist()]
        covariance = [[sum(x * y for x, y in zip(a, b, strict=True)) / 5 for b in columns] for a in columns]
        narrow += sum(max(0.0, 1 - math.sqrt(covariance[d][d] + 1e-4)) for d in range(3)) / 3
        mixed += sum(covariance[a][b] ** 2 for a in range(3) for b in range(3) if a != b) / 3
    got = objectives.vicreg(first, second).item()
    assert got == pytest.approx(25 * apart + 25 * narrow / 2 + mixed, rel=1e-9)


def test_sinkhorn_meets_both_margins_and_prefers_the_near():
    torch.manual_seed(0)
    cost = torch.rand(4, 6, dtype=torch.float64)
    plan = objectives.sinkhorn(cost, regularisation=0.05, iterations=2000)
    torch.testing.assert_close(plan.sum(1), torch.full((4,), 1 / 4, dtype=torch.float64), atol=1e-6, rtol=0)
    torch.testing.assert_close(plan.sum(0), torch.full((6,), 1 / 6, dtype=torch.float64), atol=1e-12, rtol=0)
    assert torch.isfinite(objectives.sinkhorn(100 * cost, regularisation=1e-3)).all()
    exact = 1 - torch.eye(3, dtype=torch.float64)
    torch.testing.assert_close(
        objectives.sinkhorn(exact, regularisation=0.01),
        torch.eye(3, dtype=torch.float64) / 3,
        atol=1e-9,
        rtol=0,
    )


def test_transport_gives_each_image_the_captions_of_its_likeness():
    image = torch.eye(3)
    targets = objectives.transport_targets(
        image[[2, 0]], image, torch.tensor([0, 0, 1, 2]), regularisation=0.02
    )
    assert targets.shape == (2, 4)
    torch.testing.assert_close(targets.sum(1), torch.ones(2))
    assert targets[0].argmax() == 3 and targets[0, 3] > 0.6
    torch.testing.assert_close(targets[1, 0], targets[1, 1])
    assert targets[1, :2].sum() > 0.6


@pytest.mark.parametrize(
    "loss",
    [
        lambda s, p: objectives.triplet(s, p, reduce="hardest"),
        lambda s, p: objectives.triplet(s, p, margin=None, reduce="mean"),
        lambda s, p: objectives.sigmoid_pairs(s, p),
        lambda s, p: objectives.ranking(s, p),
        lambda s, p: objectives.info_nce(s, p),
    ],
)
def test_every_score_loss_raises_right_pairs_and_lowers_wrong_ones(loss):
    similarity, positive = scores_and_positives(4)
    similarity.requires_grad_(True)
    loss(similarity, positive).backward()
    assert similarity.grad[positive].sum() < 0 < similarity.grad[~positive].sum()
