"""Every score head against a twin that goes pair by pair, token by token."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from zoo import small_method  # noqa: E402

from landsift.models.blocks import heads  # noqa: E402
from landsift.models.blocks.joint import JointEncoder  # noqa: E402
from landsift.models.features import Features  # noqa: E402

IMAGES, CAPTIONS, CELLS, WORDS, DIM = 4, 5, 6, 7, 8


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def tokens() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Cells, words and a mask with captions of every length."""
    cells, words = torch.randn(IMAGES, CELLS, DIM), torch.randn(CAPTIONS, WORDS, DIM)
    mask = torch.arange(WORDS)[None] < torch.tensor([1, 3, 7, 2, 5])[:, None]
    return cells, words * mask[:, :, None], mask


def cosine(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (a @ b) / a.norm() / b.norm()


def pairwise(score, images, captions) -> torch.Tensor:
    return torch.stack([torch.stack([score(i, j) for j in range(captions)]) for i in range(images)])


def slow_scan(query, context, sharpness, smoothness):
    """Lee et al., equations 1 to 8, for one pair, with the attended vectors."""
    like = torch.stack([torch.stack([q @ c for c in context]) for q in query])
    rectified = torch.where(like > 0, like, 0.1 * like)
    scaled = rectified / rectified.norm(dim=0, keepdim=True)
    relevances = []
    for row, own in zip(scaled, query, strict=True):
        weights = torch.softmax(sharpness * row, dim=0)
        seen = sum(w * c for w, c in zip(weights, context, strict=True))
        relevances.append(cosine(own, seen))
    return torch.log(sum(torch.exp(smoothness * r) for r in relevances)) / smoothness


@pytest.mark.parametrize("words_attend", [True, False])
def test_scan(words_attend):
    cells, words, mask = tokens()
    cells, words = heads.unit(cells), heads.unit(words)
    if words_attend:
        fast = heads.clipped_attention_scores(words, mask, cells, None, sharpness=9.0, smoothness=6.0).T
        slow = pairwise(lambda i, j: slow_scan(words[j][mask[j]], cells[i], 9.0, 6.0), IMAGES, CAPTIONS)
    else:
        fast = heads.clipped_attention_scores(cells, None, words, mask, sharpness=4.0, smoothness=5.0)
        slow = pairwise(lambda i, j: slow_scan(cells[i], words[j][mask[j]], 4.0, 5.0), IMAGES, CAPTIONS)
    torch.testing.assert_close(fast, slow, atol=1e-5, rtol=1e-5)


def test_shallow_attention():
    cells, words, mask = tokens()
    queries, values = torch.randn_like(words), torch.randn_like(cells)

    def slow(i, j):
        found = []
        for word in range(int(mask[j].sum())):
            weights = torch.softmax(cells[i] @ queries[j, word] / math.sqrt(DIM), dim=0)
            found.append(cosine(words[j, word], weights @ values[i]))
        return torch.stack(found).mean()

    fast = heads.shallow_attention_scores(heads.unit(words), mask, queries, cells, values)
    torch.testing.assert_close(fast, pairwise(slow, IMAGES, CAPTIONS), atol=1e-5, rtol=1e-5)


def test_gram_matrices_give_the_root_of_all_squared_cosines():
    cells, words, mask = tokens()
    cells, words = heads.unit(cells), heads.unit(words)

    def slow(i, j):
        return sum((w @ p) ** 2 for w in words[j][mask[j]] for p in cells[i]).sqrt()

    fast = heads.gram_scores(cells, words, mask)
    torch.testing.assert_close(fast, pairwise(slow, IMAGES, CAPTIONS), atol=1e-5, rtol=1e-5)
    far = torch.ones(1, 1, 2, requires_grad=True)
    heads.gram_scores(far * torch.tensor([1.0, 0.0]), torch.tensor([[[0.0, 1.0]]]), None).sum().backward()
    assert torch.isfinite(far.grad).all(), "the root's slope is finite where nothing is alike"


def test_the_bilinear_fusion_folds_exactly():
    head = heads.BilinearFusion(DIM, middle=3, ranks=4)
    images, captions = torch.randn(IMAGES, DIM), torch.randn(CAPTIONS, DIM)

    def slow(i, j):
        left, right = head.image(images[i]).view(4, 3), head.text(captions[j]).view(4, 3)
        return head.weight @ (left * right).sum(dim=0)

    fast = head.fold(images) @ head.text_rows(captions).T
    torch.testing.assert_close(fast, pairwise(slow, IMAGES, CAPTIONS), atol=1e-5, rtol=1e-5)


def test_the_soft_gate_comes_apart():
    head = heads.SoftGate(DIM)
    images, captions = torch.randn(IMAGES, DIM), torch.randn(CAPTIONS, DIM).abs()

    def slow(i, j):
        return cosine(images[i], torch.sigmoid(head.gate(images[i])) * captions[j])

    fast = head(*head.fold(images), captions)
    torch.testing.assert_close(fast, pairwise(slow, IMAGES, CAPTIONS), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["fusion", "product"])
def test_gates_of_the_pair(kind):
    head = heads.PairGate(DIM, kind)
    images, captions = torch.randn(IMAGES, DIM), torch.randn(CAPTIONS, DIM)

    def slow(i, j):
        if kind == "fusion":
            both = torch.cat([images[i], captions[j]])
            layer = torch.cat([head.image.weight, head.text.weight], dim=1)
            value, gate = (layer @ both + head.image.bias).chunk(2)
            return cosine(images[i], value * torch.sigmoid(gate))
        own, other = head.image(images[i]), head.text(captions[j])
        return cosine(images[i], torch.sigmoid(own * other) * other)

    torch.testing.assert_close(head(images, captions), pairwise(slow, IMAGES, CAPTIONS), atol=1e-5, rtol=1e-5)


def test_the_mean_of_cosines_folds():
    vectors, captions = [torch.randn(IMAGES, DIM) for _ in range(3)], torch.randn(CAPTIONS, DIM)
    fast = heads.fold_mean_of_cosines(vectors) @ heads.unit(captions).T
    slow = pairwise(
        lambda i, j: torch.stack([cosine(v[i], captions[j]) for v in vectors]).mean(), IMAGES, CAPTIONS
    )
    torch.testing.assert_close(fast, slow, atol=1e-6, rtol=1e-5)


def test_messages_of_every_pair():
    head = heads.MessagePassing(DIM)
    cells, words, mask = tokens()
    regions, sentences = head(cells, words, mask)

    def fused(layer, own, message):
        gate = torch.sigmoid(own @ message)
        return torch.relu(layer(gate * torch.cat([own, message]))) + own

    for i in range(IMAGES):
        for j in range(CAPTIONS):
            real = words[j][mask[j]]
            like = head.region_key(cells[i]) @ head.word_key(real).T / math.sqrt(DIM)
            to_cells = torch.softmax(like, dim=1) @ real
            to_words = torch.softmax(like, dim=0).T @ cells[i]
            new_cells = torch.stack(
                [fused(head.region_fusion, c, m) for c, m in zip(cells[i], to_cells, strict=True)]
            )
            new_words = torch.stack(
                [fused(head.word_fusion, w, m) for w, m in zip(real, to_words, strict=True)]
            )
            torch.testing.assert_close(regions[i, j], head.region_pool(new_cells), atol=1e-5, rtol=1e-4)
            torch.testing.assert_close(sentences[i, j], head.word_pool(new_words), atol=1e-5, rtol=1e-4)


def test_joint_pairs_are_the_rows_of_each_pair():
    joint = JointEncoder(DIM, 2).eval()
    cells, words, mask = tokens()
    image, text = Features(cells.mean(1), cells), Features(words.mean(1), words, mask)
    with torch.no_grad():
        fast = joint.pairs(image, text)
        slow = pairwise(
            lambda i, j: joint(cells[i][None], words[j][mask[j]][None], mask[j][mask[j]][None])[0],
            IMAGES,
            CAPTIONS,
        )
    torch.testing.assert_close(fast, slow, atol=1e-5, rtol=1e-5)


def test_sarci_comes_apart_into_matrix_products():
    matcher = small_method("sarci")
    x, a, y = torch.randn(IMAGES, 32), torch.randn(IMAGES, 32), torch.randn(CAPTIONS, 32)
    b, s = torch.sigmoid(matcher.text_cross(y)), torch.sigmoid(a)
    g, p = b + torch.sigmoid(y), 1 + b
    image = Features(torch.cat([x, x * s, a, a * s], 1), extras={"x": x, "a": a})
    text = Features(torch.cat([y * p, y, g * y * p, g * y], 1), extras={"y": y, "g": g, "p": p})

    def slow(i, j):
        ours = x[i] + (b[j] + torch.sigmoid(y[j])) * a[i]
        return cosine(ours, y[j] * (1 + b[j] + torch.sigmoid(a[i])))

    torch.testing.assert_close(
        matcher.similarity(image, text), pairwise(slow, IMAGES, CAPTIONS), atol=1e-5, rtol=1e-4
    )


def test_blocks_of_images_do_not_change_scores(monkeypatch):
    head = heads.PairGate(DIM, "fusion")
    images, captions = torch.randn(IMAGES, DIM), torch.randn(CAPTIONS, DIM)
    whole = head(images, captions)
    monkeypatch.setattr(heads, "_NUMBERS_AT_ONCE", 1)
    with torch.no_grad():
        torch.testing.assert_close(head(images, captions), whole)
