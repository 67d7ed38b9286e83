"""A change model on a set of two dates: the report, and what captions alone say of a set."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from landsift.data import ImagePair, load_changes, read_image
from landsift.errors import UsageError
from landsift.evaluate import evaluate_changes, false_negative_facts

WORDS = ("red", "green", "blue")
SAME = "there is no difference"


@pytest.fixture
def levir(tmp_path):
    """LEVIR-MCI in small: three colours appear, the fourth pair is the same twice."""
    root, rows = tmp_path / "levir", []
    for number in range(4):
        name, colour = f"test_{number}.png", np.zeros((8, 8, 3), np.uint8)
        for side in "AB":
            (root / "images/test" / side).mkdir(parents=True, exist_ok=True)
        Image.fromarray(colour).save(root / "images/test/A" / name)
        mask = np.zeros((8, 8), np.uint8)
        if number < 3:
            colour[:4, :, number], mask[:4] = 255, 128 if number == 1 else 255
        Image.fromarray(colour).save(root / "images/test/B" / name)
        (root / "images/test/label").mkdir(exist_ok=True)
        Image.fromarray(mask).save(root / "images/test/label" / name)
        texts = [f"a {WORDS[number]} field appears"] if number < 3 else [SAME, "no change has occurred"]
        sentences = [{"raw": text} for text in texts]
        rows.append(
            {"filename": name, "split": "test", "sentences": sentences, "changeflag": int(number < 3)}
        )
    (root / "LevirCCcaptions.json").write_text(json.dumps({"images": rows}))
    return root


class Knowing:
    """Sees colours come and go, and knows their names."""

    def __init__(self, detects=True, blind=False):
        self.detects, self.blind = detects, blind

    def _shift(self, pair):
        before, after = read_image(pair.before).astype(float), read_image(pair.after).astype(float)
        return (after - before) / 255

    def encode_pairs(self, pairs):
        rows = [self._shift(pair).mean((0, 1)) for pair in pairs]
        rows = [np.append(np.abs(row) if self.blind else row, 0.1) for row in rows]
        return np.array([row / np.linalg.norm(row) for row in rows], np.float32)

    def encode_texts(self, texts):
        rows = [[*(word in text for word in WORDS), text == SAME] for text in texts]
        return np.array(rows, np.float32)

    def captions(self, pairs, beams=1):
        seen = self.encode_pairs(pairs).argmax(1)
        return [SAME if kind == 3 else f"a {WORDS[kind]} field appears" for kind in seen]

    def masks(self, pairs, size):
        return np.stack([2 * (np.abs(self._shift(pair)).max(2) > 0.5) for pair in pairs]).astype(np.uint8)


def test_a_model_that_knows_all_scores_all(levir):
    pytest.importorskip("pycocoevalcap")
    report = evaluate_changes(Knowing(), load_changes("levir-mci", levir), meteor=False)
    assert report.retrieval.precision[1] == report.changed_only.hit[1] == report.direction == 1.0
    assert report.retrieval.queries == 4 and report.changed_only.queries == 3
    assert report.captions.change_accuracy == report.captions.no_change_accuracy == 1.0
    assert report.captions.rouge_l == pytest.approx(1.0)
    # Every changed pixel is found; of the kinds, road is taken for building.
    assert report.detection.f1 == 1.0
    assert report.detection.iou == pytest.approx((1.0, 0.0, 2 / 3))
    assert report.hybrid.detection == 1.0 and 0 < report.hybrid.harmonic <= 1
    assert report.written[3] == SAME
    tables = report.tables()
    assert tables["all pairs"]["P@1"] == 100 and tables["direction"] == {"direction accuracy": 100.0}
    assert set(tables) == {
        "all pairs",
        "changed pairs",
        "direction",
        "content of the first 5",
        "captions",
        "masks",
        "captions with masks",
    }


def test_a_model_blind_to_the_order_of_dates_is_right_half_the_time(levir):
    report = evaluate_changes(Knowing(blind=True), load_changes("levir-mci", levir), write=False)
    assert report.direction == 0.5 and report.captions is None and report.hybrid is None


def test_sets_without_captions_are_scored_by_their_masks(levir):
    (levir / "LevirCCcaptions.json").unlink()
    (levir / "images/test").rename(levir / "test")
    found = load_changes("levir-cd", levir, "test")
    report = evaluate_changes(Knowing(), found)
    assert report.retrieval is None and report.detection.recall == 1.0
    with pytest.raises(UsageError, match="no captions, and there are no masks"):
        evaluate_changes(Knowing(detects=False), found)
    with pytest.raises(UsageError, match="has no captions"):
        false_negative_facts(found)


def test_facts_of_captions_alone(levir):
    facts = false_negative_facts(load_changes("levir-mci", levir, captions_only=True))
    assert (facts["pairs"], facts["captions"], facts["unchanged_pairs"]) == (4, 5, 25)
    assert facts["no_change_captions"] == 40 and facts["repeated_captions"] == 0
    assert facts["strict_ceiling_hit@1"] == 100 and facts["right_answers_changed"] == 1


def test_facts_of_the_real_captions(real_data):
    found = load_changes("levir-cc", real_data / "levir_cc", "val", captions_only=True)
    facts = false_negative_facts(found)
    assert facts["pairs"] == 1333 and 49 < facts["unchanged_pairs"] < 51
    # Half of the pairs say the same: a strict score would be bounded by that.
    assert facts["strict_ceiling_hit@1"] < 55 < facts["strict_ceiling_hit@1_changed"]
    assert facts["right_answers"] > 300 > facts["right_answers_changed"]


def test_the_command_prints_what_the_function_finds(levir, tmp_path, landsift_command):
    torch = pytest.importorskip("torch")
    pytest.importorskip("pycocoevalcap")
    from landsift.models.checkpoint import write_matcher
    from landsift.models.registry import MatcherSource, build_matcher, full_options

    torch.manual_seed(0)
    options = {"image": "resnet-mini", "image_start": "random", "input_size": 32, "dim": 16, "heads": 2}
    source = MatcherSource(captions=["a red field appears", SAME], class_names=("changed", "unchanged"))
    folder = tmp_path / "model"
    folder.mkdir()
    matcher = build_matcher("chg2cap", options, source)
    write_matcher(folder, matcher, "chg2cap", full_options("chg2cap", options))
    out = tmp_path / "scores.json"
    code, printed, _ = landsift_command(
        "evaluate-changes", folder, "levir-mci", levir, "--no-meteor", "-o", out
    )
    assert code == 0 and "changed pairs" in printed and "BLEU-4" in printed
    assert set(json.loads(out.read_text())["captions"]) == {f"test_{n}.png" for n in range(4)}
    code, printed, _ = landsift_command(
        "evaluate-changes", folder, "levir-mci", levir, "--no-captions", "--json"
    )
    assert code == 0 and json.loads(printed)["pairs"] == 4
    code, _, said = landsift_command("evaluate-changes", folder, "ucm-captions", levir)
    assert code == 2 and "holds single pictures" in said
    code, _, said = landsift_command("evaluate-changes", tmp_path, "levir-mci", levir)
    assert code == 1 and "readable checkpoint" in said


def test_swapped_pairs_swap():
    assert ImagePair(1, 2).swapped == ImagePair(2, 1)
