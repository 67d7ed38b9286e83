"""The built-in encoder on the test splits that are at hand, by the protocol of ``landsift evaluate``."""

from __future__ import annotations

import os
from pathlib import Path

from benchmarks.record import RESULTS
from landsift import load_encoder
from landsift.data import load_dataset
from landsift.evaluate import evaluate, zero_shot

RETRIEVAL = (("ucm-captions", "ucm_captions"), ("rsicd-aid150", "rsicd_aid150"))


def run() -> None:
    """Evaluate and save one report a set."""
    root = os.environ.get("LANDSIFT_DATA")
    if not root:
        print("  LANDSIFT_DATA is not set: accuracy is not measured.")
        return
    folder = RESULTS / "reports"
    folder.mkdir(parents=True, exist_ok=True)
    encoder = load_encoder("landsift-lite")
    for name, place in RETRIEVAL:
        command = f"landsift evaluate landsift-lite {name} --semantic"
        data = load_dataset(name, Path(root) / place, "test")
        report = evaluate(encoder, data, semantic=True, command=command)
        report.save(folder / f"landsift-lite.{name}.json")
    data = load_dataset("eurosat-150", Path(root) / "eurosat_150", "all")
    report = zero_shot(encoder, data, command="landsift evaluate landsift-lite eurosat-150")
    report.save(folder / "landsift-lite.eurosat-150.json")
