"""Late interaction against slow twins, and as a second stage for methods that show tokens."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from zoo import CAPTIONS, pictures, small_method  # noqa: E402

from landsift.errors import UsageError  # noqa: E402
from landsift.index import TokenTable  # noqa: E402
from landsift.models.blocks import heads, late  # noqa: E402
from landsift.models.blocks.heads import unit  # noqa: E402
from landsift.models.encoder import TorchScorer, score_features  # noqa: E402
from landsift.models.late_matcher import LateInteraction  # noqa: E402
from landsift.types import EncoderCard  # noqa: E402

IMAGES, TEXTS, CELLS, WORDS, DIM = 3, 4, 9, 5, 16


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def tokens() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    mask = torch.arange(WORDS)[None] < torch.tensor([5, 1, 3, 4])[:, None]
    words = unit(torch.randn(TEXTS, WORDS, DIM))
    return unit(torch.randn(IMAGES, CELLS, DIM)), torch.where(mask[:, :, None], words, 7.0), mask


def close(a, b):
    torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def slow_pair(cells, words):
    """ColBERT's sum and FILIP's two means for one pair, word by word and cell by cell."""
    by_word = [max(float(word @ cell) for cell in cells) for word in words]
    by_cell = [max(float(word @ cell) for word in words) for cell in cells]
    return sum(by_word), sum(by_cell) / len(by_cell), sum(by_word) / len(by_word)


@pytest.mark.parametrize("at_once", [2**24, 1])
def test_late_scores_are_those_of_each_pair(monkeypatch, at_once):
    monkeypatch.setattr(heads, "_NUMBERS_AT_ONCE", at_once)
    cells, words, mask = tokens()
    with torch.no_grad():
        slow = torch.tensor([[slow_pair(c, w[m]) for w, m in zip(words, mask, strict=True)] for c in cells])
        close(late.colbert_scores(cells, words, mask), slow[:, :, 0])
        forward, backward = late.filip_scores(cells, words, mask)
        close(forward, slow[:, :, 1])
        close(backward, slow[:, :, 2])
        close(late.late_scores("filip", cells, words, mask), slow[:, :, 1:].mean(2))
        close(late.colbert_scores(cells, words[:1]), late.colbert_scores(cells, words[:1], mask[:1]))
    with pytest.raises(UsageError, match="no late interaction 'max'"):
        late.late_scores("max", cells, words, mask)


def test_a_sentence_nearest_to_its_own_cells_wins():
    cells = tokens()[0]
    sentence = cells[1, [0, 4, 8]][None]
    assert int(late.colbert_scores(cells, sentence)[:, 0].argmax()) == 1
    assert float(late.colbert_scores(cells, sentence)[1, 0]) == pytest.approx(3.0, abs=1e-5)


def test_cells_are_averaged_by_neighbourhood():
    grid = torch.arange(16.0).view(1, 16, 1).expand(1, 16, 2)
    pooled = late.pooled_cells(grid + 1, 2)
    assert pooled.shape == (1, 4, 2)
    close(pooled.norm(dim=2), torch.ones(1, 4))
    cells = torch.randn(2, 16, 3)
    close(late.pooled_cells(cells, 2)[:, 3], unit(cells[:, [10, 11, 14, 15]].mean(1)))
    assert late.pooled_cells(cells, 4) is cells
    with pytest.raises(UsageError, match="no square grid"):
        late.pooled_cells(cells[:, :15], 2)


def test_one_bit_keeps_the_sign_and_lets_gradients_through():
    x = torch.tensor([[0.3, -0.1, 0.0, -2.0]], requires_grad=True)
    bits = late.one_bit(x)
    close(bits, torch.tensor([[0.5, -0.5, 0.5, -0.5]]))
    (bits * torch.tensor([1.0, 2.0, 3.0, 4.0])).sum().backward()
    assert x.grad.tolist() == [[1.0, 2.0, 3.0, 4.0]]


def test_a_prompted_mask_weighs_the_cells():
    pool, (cells, words, mask) = late.PromptedPool(), tokens()
    sentence = unit(torch.randn(TEXTS, DIM))
    scores = pool(cells, sentence, words, mask)
    for i in range(IMAGES):
        for j in range(TEXTS):
            nearest = (cells[i] @ words[j][mask[j]].T).amax(1)
            weights = torch.sigmoid(pool.sharpness * (cells[i] @ sentence[j] + nearest) + pool.bias)
            close(scores[i, j], unit((weights[:, None] * cells[i]).sum(0)) @ sentence[j])
            close(pool.weights(cells, sentence, words, mask)[i, j], weights)
    scores.sum().backward()
    assert all(p.grad.abs() > 0 for p in pool.parameters())


@pytest.mark.parametrize("bits", [16, 1])
def test_a_stored_table_scores_as_the_block_does(tmp_path, bits):
    cells, words, mask = tokens()
    table = TokenTable(DIM, CELLS, bits)
    table.add(cells[:2].numpy())
    table.add(cells[2:].numpy())
    kept = late.one_bit(cells) if bits == 1 else cells.half().float()
    expected = late.colbert_scores(kept, words, mask)
    rows = np.array([2, 0, 1])
    for j in range(TEXTS):
        found = table.scores(words[j][mask[j]].numpy(), rows)
        np.testing.assert_allclose(found, expected[rows, j].numpy(), atol=2e-5)
    table.save(tmp_path / "tokens")
    again = TokenTable.load(tmp_path / "tokens")
    hits, first = again.rerank(words[0].numpy(), rows), table.rerank(words[0].numpy(), rows)
    assert hits.rows.tolist() == first.rows.tolist() and (np.diff(hits.scores[0]) <= 0).all()
    assert again.row_bytes == (CELLS * DIM * 2 if bits == 16 else CELLS * DIM // 8)


@pytest.mark.parametrize("kind", late.INTERACTIONS)
def test_a_method_with_tokens_gets_a_second_stage(kind):
    matcher = small_method("faami")
    stage = LateInteraction(matcher, kind, side=3, bits=1)
    with torch.no_grad():
        image, text = stage.image_features(pictures()), stage.text_features(stage.prepare(CAPTIONS))
        plain = matcher.image_features(pictures())
        scores = score_features(stage, image, text)
    assert torch.equal(image.pooled, plain.pooled), "the first stage is the method's own"
    assert image.tokens.shape[1] == 9 and len(image.tokens.abs().unique()) == 1
    close(scores, late.late_scores(kind, image.tokens, text.tokens, text.mask))
    assert not stage.exact_index and stage.dim == matcher.dim and stage.input_size == matcher.input_size
    card = EncoderCard("late", stage.dim, "", stage.input_size, stage.context_length, "Apache-2.0")
    images = list(pictures()[:2].permute(0, 2, 3, 1).contiguous().numpy())
    judged = TorchScorer(card, matcher=stage).score(images, CAPTIONS)
    np.testing.assert_allclose(judged, scores[:2].numpy(), atol=1e-4)


def test_a_method_without_tokens_is_refused():
    stage = LateInteraction(small_method("vsepp"))
    with pytest.raises(UsageError, match="image tower gives one vector and no tokens"):
        stage.image_features(pictures())
    with pytest.raises(UsageError, match="no late interaction 'sum'"):
        LateInteraction(small_method("vsepp"), "sum")
    with pytest.raises(UsageError, match="bits 1 or 16"):
        LateInteraction(small_method("vsepp"), bits=8)
