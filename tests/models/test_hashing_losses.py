"""Losses and blocks of hashing, against published numbers worked by hand and slow twins."""

from __future__ import annotations

import itertools
import math

import pytest

torch = pytest.importorskip("torch")

from landsift.errors import UsageError  # noqa: E402
from landsift.models.blocks.hashing import (  # noqa: E402
    HASH_HEADS,
    CodeMemory,
    LinearHash,
    SelectingHash,
    build_hash_head,
    continuation,
    signs,
    straight_through,
)
from landsift.models.objectives.hashing_adversary import (  # noqa: E402
    confusion,
    gradient_penalty,
    telling_apart,
)
from landsift.models.objectives.hashing_codes import (  # noqa: E402
    balance_bits,
    balance_samples,
    decorrelation,
    log_cosh_quantisation,
    quantisation,
)
from landsift.models.objectives.hashing_contrast import (  # noqa: E402
    cluster_contrast,
    code_contrast,
    memory_contrast,
)
from landsift.models.objectives.hashing_pairs import (  # noqa: E402
    code_triplet,
    l2_pairwise,
    nll_pairwise,
    similarity_regression,
)
from landsift.models.objectives.hashing_proxies import (  # noqa: E402
    best_distance,
    choice_distances,
    proxy_margin,
    unlike_margin,
)
from landsift.models.objectives.hashing_similarity import (  # noqa: E402
    attribute_similarity,
    cosines,
    label_similarity,
    neighbour_similarity,
    second_order_similarity,
)

F = torch.tensor([[0.5, -0.2, 0.1, 0.9], [-0.4, 0.3, -0.8, 0.2], [0.7, 0.6, -0.1, -0.5]])
G = torch.tensor([[0.4, -0.1, 0.3, 0.8], [-0.6, 0.2, -0.7, 0.1], [0.1, 0.9, -0.2, -0.3]])
S = torch.tensor([[1.0, 0, 0], [0, 1, 1], [0, 1, 1]])


def close(found: torch.Tensor | float, expected: float, tolerance: float = 2e-6) -> None:
    assert float(found) == pytest.approx(expected, rel=tolerance, abs=tolerance)


def test_the_sums_of_dcmh_and_equation_7():
    """Worked out once by hand from the released formulae."""
    close(nll_pairwise(F, G, S, reduce="sum"), 5.3535447)
    close(nll_pairwise(F, G, S), 5.3535447 / 9)
    both = signs(F + G)
    close(quantisation(F, both, reduce="sum") + quantisation(G, both, reduce="sum"), 9.9)
    close(balance_samples(F, reduce="sum") + balance_samples(G, reduce="sum"), 3.86)
    close(l2_pairwise(F, G, 2 * S - 1, normalised=False), 115.7068)
    close(l2_pairwise(F, G, 2 * S - 1), 0.8035194)


def test_the_balanced_likelihood_weighs_similar_pairs_and_others_the_same():
    costs: dict[bool, list[float]] = {True: [], False: []}
    for i in range(3):
        for j in range(3):
            half = float(F[i] @ G[j]) / 2
            costs[bool(S[i, j])].append(math.log1p(math.exp(half)) - float(S[i, j]) * half)
    expected = sum(sum(found) / len(found) for found in costs.values()) / 2
    close(nll_pairwise(F, G, S, reduce="balanced"), expected)
    alone = nll_pairwise(F, G, torch.ones(3, 3), reduce="balanced")
    close(alone, float(nll_pairwise(F, G, torch.ones(3, 3))) / 2)


def test_the_contrast_of_duch():
    close(code_contrast(F, G, reduce="sum"), 5.2480823)
    close(code_contrast(F, G), 5.2480823 / 6)
    rows = torch.nn.functional.normalize(torch.cat([F, G]), dim=1)
    slow = 0.0
    for i in range(6):
        right = (i + 3) % 6
        others = [j for j in range(6) if (j < 3) != (i < 3)]
        total = sum(math.exp(float(rows[i] @ rows[j]) / 0.5) for j in others)
        slow -= math.log(math.exp(float(rows[i] @ rows[right]) / 0.5) / total)
    close(code_contrast(F, G, temperature=0.5, across=True, reduce="sum"), slow, 1e-5)
    weight = torch.tensor([1.0, 0.0, 0.0])
    alone = code_contrast(F, G, weight=weight, reduce="sum")
    assert 0 < alone < code_contrast(F, G, reduce="sum")
    same = torch.ones(3, 3, dtype=torch.bool)
    close(code_contrast(F, G, same=same), 0.0)


def test_the_target_of_djsrh():
    image = torch.tensor([[1.0, 2, 0], [0, 1, 1], [2, 0, 1]])
    text = torch.tensor([[1.0, 0], [1, 1], [0, 1]])
    expected = [
        [1.131342, 0.379998, -0.380195],
        [0.379998, 1.132409, -0.391850],
        [-0.380195, -0.391850, 1.132427],
    ]
    torch.testing.assert_close(
        second_order_similarity(image, text), torch.tensor(expected), atol=2e-6, rtol=0.0
    )


def test_the_graph_of_cirh():
    torch.manual_seed(0)
    image, text = torch.randn(6, 5), torch.randn(6, 4)
    graph = neighbour_similarity(image, text, balance=0.1, first=0.3, kept=0.5)
    mixed = 0.1 * cosines(image) + 0.9 * cosines(text)
    for i, j in itertools.product(range(6), range(6)):
        kept = [
            float(mixed[a, b]) if float(mixed[a, b]) >= sorted(mixed[a].tolist())[-3] else 0.0
            for a, b in ((i, j), (j, i))
        ]
        second = sum(2 / (1 + math.exp(-value)) - 1 + (i == j) for value in kept) / 2
        close(graph[i, j], 0.3 * kept[0] + 0.7 * second, 1e-5)


def test_targets_by_class():
    labels = torch.tensor([0, 1, 1, -1])
    found = label_similarity(labels, labels)
    assert found.tolist() == [[1, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    attributes = torch.tensor([[1.0, 0.0], [1.0, 1.0]])
    graded = attribute_similarity(attributes, labels, labels)
    close(graded[0, 1], math.sqrt(0.5))
    assert graded[3].abs().max() == 0 and graded[:, 3].abs().max() == 0


def test_regression_to_a_target():
    target = torch.rand(3, 3)
    across = (target - cosines(F, G)).square().mean()
    own = sum((target - cosines(side)).square().mean() for side in (F, G))
    close(similarity_regression(F, G, target), float(across + 0.1 * own))


def test_codes_by_themselves():
    torch.manual_seed(0)
    codes = torch.randn(50, 6).tanh()
    close(quantisation(codes), float((1 - codes.abs()).square().mean()))
    slow = sum(math.log(math.cosh(abs(float(u)) - 1)) for u in codes.flatten()) / codes.numel()
    close(log_cosh_quantisation(codes), slow, 1e-4)
    column = torch.cat([torch.ones(5, 1), -torch.ones(5, 1)], dim=1)
    assert balance_bits(column) == 0 and balance_samples(column) == 1, "two different balances"
    assert balance_samples(column.T.repeat(1, 2)) == 0 and balance_bits(column.T) == 1
    close(balance_bits(codes, reduce="sum"), float(codes.sum(dim=1).square().sum()), 1e-5)
    hadamard = torch.tensor([[1.0, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]])
    assert decorrelation(hadamard) == 0 and decorrelation(torch.ones(4, 4)) > 0.5


def test_memory_contrast_compares_with_bits():
    torch.manual_seed(0)
    codes, bits = torch.randn(2, 4), signs(torch.randn(5, 4))
    slow = 0.0
    for n, row in enumerate((3, 1)):
        unit = codes[n] / codes[n].norm()
        scores = [float(unit @ key) / (0.9 * 2) for key in bits]
        slow -= scores[row] - math.log(sum(map(math.exp, scores)))
    close(memory_contrast(codes, torch.tensor([3, 1]), bits), slow / 2, 1e-5)


def test_cluster_contrast_wants_even_and_equal_categories():
    sure = torch.eye(4).repeat(3, 1)
    good = cluster_contrast(sure, sure)
    assert good < cluster_contrast(sure, sure.roll(1, dims=0))
    collapsed = torch.zeros(12, 4)
    collapsed[:, 0] = 1
    assert good < cluster_contrast(collapsed, collapsed)


def test_triplets_of_codes():
    torch.manual_seed(0)
    a, b = torch.randn(5, 8), torch.randn(5, 8)
    labels = torch.tensor([0, 0, 1, 1, 2])
    alike = labels[:, None] == labels[None]
    scores = cosines(a, b)
    hard, soft, semi = [], [], []
    for i in range(5):
        right = min(float(scores[i, j]) for j in range(5) if alike[i, j])
        excess = [float(scores[i, j]) - right for j in range(5) if not alike[i, j]]
        hard.append(max(0.0, max(excess) + 0.2))
        soft.append(math.log1p(math.exp(max(excess))))
        semi += [value + 0.2 for value in excess if value + 0.2 > 0]
    close(code_triplet(a, b, alike), sum(hard) / 5, 1e-5)
    close(code_triplet(a, b, alike, margin=None), sum(soft) / 5, 1e-5)
    close(code_triplet(a, b, alike, semi_hard=True), sum(semi) / len(semi), 1e-5)
    assert code_triplet(a, b, torch.ones(5, 5, dtype=torch.bool)) == 0


@pytest.mark.parametrize(
    ("classes", "bits", "expected"),
    [(2, 8, 8), (4, 3, 2), (8, 7, 4), (16, 8, 4), (16, 16, 8), (32, 16, 8), (1, 5, 5)],
)
def test_best_distances_are_those_of_known_codes(classes, bits, expected):
    """Repetition, parity, simplex and (extended) Hamming and Reed-Muller codes meet the bound."""
    assert best_distance(classes, bits) == expected


def test_best_distance_is_never_below_what_a_search_finds():
    for bits, classes in ((4, 3), (5, 4), (4, 5)):
        words = list(itertools.product((0, 1), repeat=bits))
        found = max(
            min(
                sum(a != b for a, b in zip(*pair, strict=True))
                for pair in itertools.combinations((words[0], *rest), 2)
            )
            for rest in itertools.combinations(words[1:], classes - 1)
        )
        assert best_distance(classes, bits) >= found


def test_proxies_and_unlike_pairs():
    proxies = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    at_home = torch.tensor([[2.0, 0.0], [0.0, 3.0], [1.0, 1.0]])
    labels = torch.tensor([0, 1, -1])
    close(proxy_margin(at_home, proxies, labels, threshold=0.0), 0.0)
    astray = proxy_margin(at_home, proxies, torch.tensor([1, 0, -1]), threshold=0.0)
    close(astray, 2.0)
    unlike = torch.tensor([[False, True], [True, False]])
    rows = torch.tensor([[1.0, 0.0], [1.0, 1.0]])
    close(unlike_margin(rows, rows, unlike, threshold=0.2), math.sqrt(0.5) - 0.2, 1e-5)
    assert unlike_margin(rows, rows, torch.zeros(2, 2, dtype=torch.bool), threshold=0.2) == 0


def test_choice_distances_against_pairs():
    torch.manual_seed(0)
    head = SelectingHash(6, 4)
    rows = head.choices(torch.randn(4, 6)).flatten(1).detach()
    alike = torch.tensor([[i % 2 == j % 2 for j in range(4)] for i in range(4)])
    edge, right, wrong = math.sqrt(8 * 0.5), [], []
    for i, j in itertools.product(range(4), range(4)):
        distance = float((rows[i] - rows[j]).norm())
        (right if alike[i, j] else wrong).append(
            distance**2 if alike[i, j] else max(0.0, edge - distance) ** 2
        )
    expected = sum(right) / len(right) + sum(wrong) / len(wrong)
    close(choice_distances(rows, rows, alike), expected, 1e-3)


def test_a_critic_and_who_hides_from_it():
    torch.manual_seed(0)
    critic = torch.nn.Linear(3, 1)
    real, fake = torch.ones(4, 3), -torch.ones(4, 3)
    with torch.no_grad():
        critic.weight.fill_(2.0)
        critic.bias.zero_()
    assert telling_apart(critic, real, fake) < 0.01 < telling_apart(critic, fake, real)
    assert confusion(critic, real) < confusion(critic, fake), "hiding presses the fake side"
    close(gradient_penalty(critic, real, fake), (2 * math.sqrt(3) - 1) ** 2, 1e-5)


def test_signs_have_no_zero_and_slopes_go_through():
    x = torch.tensor([0.0, -0.0, 0.5, -2.0], requires_grad=True)
    assert signs(x).tolist() == [1, 1, 1, -1]
    straight_through(x).sum().backward()
    assert x.grad.tolist() == [1, 1, 1, 0]
    assert continuation(0) == 1 and continuation(8) == 3


@pytest.mark.parametrize("name", HASH_HEADS)
def test_heads_give_numbers_between_signs(name):
    torch.manual_seed(0)
    head = build_hash_head(name, 10, 16, 24)
    codes = head(torch.randn(5, 10))
    assert codes.shape == (5, 16) and codes.abs().max() <= 1 and codes.std() > 0
    with pytest.raises(UsageError, match="no hash head"):
        build_hash_head("crystal", 4, 4, 8)


def test_a_steeper_tanh_keeps_the_signs():
    torch.manual_seed(0)
    head, x = LinearHash(6, 4), torch.randn(7, 6)
    before = head(x)
    head.steepness.fill_(5.0)
    assert torch.equal(signs(before), signs(head(x))) and head(x).abs().mean() > before.abs().mean()
    with pytest.raises(UsageError, match="no relaxation"):
        LinearHash(6, 4, relax="hope")


def test_selecting_is_choosing_the_likelier():
    torch.manual_seed(0)
    head, x = SelectingHash(6, 5), torch.randn(9, 6)
    assert torch.equal(signs(head(x)) > 0, head.choices(x).argmax(dim=2) == 1)


def test_memory_keeps_what_it_saw():
    memory = CodeMemory(5, 3)
    rows, labels = torch.tensor([4, 1]), torch.tensor([2, 7])
    image, text = torch.tensor([[1.0, -1, 0.2], [-1, 1, 1]]), torch.tensor([[0.5, -1, -0.5], [-1, -2, 1]])
    memory.remember(rows, image, text, labels)
    assert memory.seen.tolist() == [False, True, False, False, True]
    assert memory.binary[4].tolist() == [1, -1, -1] and memory.labels[1] == 7
    before = memory.binary.clone()
    memory.remember(rows, -image, -text, labels)
    assert torch.equal(memory.binary, before), "bits move with unify alone"
    memory.unify()
    assert torch.equal(memory.binary[rows], signs(-image - text))
    memory.unify(100 * torch.ones(5, 3))
    assert (memory.binary[rows] == 1).all() and (memory.binary[0] == 0).all()
