import numpy as np
import pytest

from landsift.errors import UsageError
from landsift.metrics import caption_positives, qrels_lines, ranks, recall_at_k, run_lines, scores_of_run

IMAGE_OF = np.repeat(np.arange(12), 3)
IMAGES = [f"scene {number}.tif" for number in range(12)]
CAPTIONS = [f"c{number}" for number in range(36)]


def test_a_run_read_back_ranks_alike():
    scores = np.random.default_rng(0).normal(size=(36, 12)).astype(np.float32)
    _, t2i = caption_positives(IMAGE_OF, 12)
    lines = list(run_lines(scores, CAPTIONS, IMAGES, "my run"))
    assert lines[0].split()[0::2] == ["c0", lines[0].split()[2], lines[0].split()[4]]
    np.testing.assert_array_equal(scores_of_run(lines, CAPTIONS, IMAGES), scores)
    assert (
        ranks(scores_of_run(lines, CAPTIONS, IMAGES), t2i).better.tolist()
        == ranks(scores, t2i).better.tolist()
    )


def test_trec_evaluators_find_our_recalls_in_our_files():
    ir_measures = pytest.importorskip("ir_measures")
    scores = np.random.default_rng(1).normal(size=(36, 12)).astype(np.float32)
    _, t2i = caption_positives(IMAGE_OF, 12)
    run = ir_measures.read_trec_run("\n".join(run_lines(scores, CAPTIONS, IMAGES, "x")))
    qrels = ir_measures.read_trec_qrels("\n".join(qrels_lines(t2i, CAPTIONS, IMAGES)))
    values = ir_measures.calc_aggregate([ir_measures.Success @ 5], list(qrels), list(run))
    assert recall_at_k(ranks(scores, t2i), 5) == pytest.approx(100 * values[ir_measures.Success @ 5])


def test_items_beyond_the_depth_tie_at_the_bottom():
    scores = np.arange(12.0)[None].repeat(36, 0)
    lines = run_lines(scores, CAPTIONS, IMAGES, "x", depth=2)
    read = scores_of_run(lines, CAPTIONS, IMAGES)
    assert np.isneginf(read).sum(1).tolist() == [10] * 36


@pytest.mark.parametrize(
    ("line", "words"),
    [("c0 Q0 scene%200.tif 1 x tag", "Line 1"), ("c0 Q0", "Line 1"), ("c99 Q0 scene%200.tif 1 1 t", "c99")],
)
def test_bad_lines_are_named(line, words):
    with pytest.raises(UsageError, match=words):
        scores_of_run([line], CAPTIONS, IMAGES)
