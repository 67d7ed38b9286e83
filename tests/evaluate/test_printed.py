"""A report beside what the encoder's authors printed."""

from __future__ import annotations

import pytest

from landsift.evaluate import Report, beside_printed


def report(name: str, dataset: str, split: str, scores: dict, task: str = "retrieval") -> Report:
    return Report(task, {"name": name}, {"name": dataset, "split": split}, {}, scores)


@pytest.mark.parametrize(
    ("ours", "said"), [(49.5, "+0.12), which is within"), (40.0, "-9.38), which is not within")]
)
def test_a_known_encoder_on_a_known_set_is_compared(ours, said):
    (sentence,) = beside_printed(report("remoteclip-vit-b-32", "rsitmd", "test", {"strict": {"mR": ours}}))
    assert f"printed mR 49.38; here it is {ours:.2f} ({said} 0.5 of it." in sentence


def test_classes_are_compared_too():
    (sentence,) = beside_printed(
        report("georsclip-vit-b-32", "eurosat", "all", {"accuracy": 61.0}, task="zero-shot")
    )
    assert "printed accuracy 61.40; here it is 61.00" in sentence


@pytest.mark.parametrize(
    ("name", "dataset", "split"),
    [
        ("remoteclip-vit-b-32", "rsitmd", "train"),
        ("remoteclip-vit-b-32", "sydney-captions", "test"),
        ("landsift-lite", "rsitmd", "test"),
        ("somebody's own", "rsitmd", "test"),
    ],
)
def test_nothing_is_said_where_nothing_was_printed(name, dataset, split):
    assert beside_printed(report(name, dataset, split, {"strict": {"mR": 50.0}})) == []
