import pytest

from landsift.captions import CAPTION_STYLES, style_captions
from landsift.data import find_dataset, leakage, list_datasets
from landsift.errors import UsageError


def test_sets_that_share_pictures_say_so_both_ways():
    for row in list_datasets():
        for other in row.shares:
            assert row.name in find_dataset(other).shares


@pytest.mark.parametrize(
    ("trained_on", "words"),
    [
        ([], []),
        (["imagenet", "nwpu-13/train"], []),
        (["ucm-captions/train"], ["this set"]),
        (["ucm/test"], ["not a test"]),
        (["ucm"], ["not a test"]),
        (["rsitmd/train", "ucm/test", "ucm/train"], ["not a test", "shares pictures", "this set"]),
    ],
)
def test_what_an_encoder_has_seen_is_said_gravest_first(trained_on, words):
    sentences = leakage(trained_on, "ucm", "test")
    assert len(sentences) == len(words)
    assert all(part in sentence for part, sentence in zip(words, sentences, strict=True))


def test_scoring_everything_scores_what_was_trained_on():
    assert "not a test" in leakage(["ucm/train"], "ucm", "all")[0]


@pytest.mark.parametrize(
    ("style", "text"),
    [
        ("raw", "Two USS ships"),
        ("capitalised", "Two uss ships"),
        ("prefixed", "a satellite image. Two USS ships"),
        ("first-30-words", "Two USS ships"),
    ],
)
def test_caption_styles(style, text):
    assert style_captions(["Two USS ships"], style) == [text]


def test_long_captions_are_cut_and_unknown_styles_refused():
    assert CAPTION_STYLES["first-30-words"]("x " * 40) == " ".join("x" * 30)
    with pytest.raises(UsageError, match="capitalised"):
        style_captions(["x"], "upper")
