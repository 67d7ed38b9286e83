"""Which change to training makes a method robust: one method, its pictures changed in several ways.

``python -m benchmarks.robust_training [ARM...] [--severities 1,3,5]`` trains VSE++ by its recipe of the
method zoo once for each way to change pictures, and runs the suite of ``python -m benchmarks robustness`` on
each; both go on where they were stopped. The arms differ in nothing but the table ``[augment]``; none is
chosen by what comes out. Gaussian noise is in the suite: what it brings to that row was practised, the other
rows were not.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.robustness import FOLDER, add_report, measure, missing, test_split
from landsift.data.corrupting import check_severities
from landsift.train import fit, read_recipe

__all__ = ["ARMS", "BASE", "Arm", "run"]

RECIPE = "methods/vsepp"
BASE = "vsepp-by-recipe"


@dataclass(frozen=True)
class Arm:
    """One way to change pictures.

    Attributes:
        words: It, for people.
        changes: What it sets in the recipe, as ``table.key=value``.
    """

    words: str
    changes: tuple[str, ...] = ()


ARMS = {
    "vsepp-as-they-are": Arm(
        "nothing is changed",
        (
            "augment.quarter_turns=false",
            "augment.flips=false",
            "augment.smallest_crop=1.0",
            "augment.stretch=1.0",
            "augment.brightness=0.0",
            "augment.contrast=0.0",
            "augment.saturation=0.0",
        ),
    ),
    BASE: Arm(
        "turned, mirrored, cropped to half the area at least, changed in brightness, contrast and saturation"
    ),
    "vsepp-coarse": Arm(
        "the recipe's, and half of them reduced and enlarged again (`augment.coarse=0.5`)",
        ("augment.coarse=0.5",),
    ),
    "vsepp-noise": Arm(
        "the recipe's, and half of them under Gaussian noise of up to a fifth of white (`augment.noise=0.5`)",
        ("augment.noise=0.5",),
    ),
}
"""What is compared; all but :data:`BASE` are named by what differs from it."""


def run(arguments: Sequence[str] = ()) -> None:
    """Train, measure and save."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.robust_training", description=__doc__)
    parser.add_argument(
        "arms", nargs="*", metavar="ARM", help=f"of {', '.join(ARMS)}; all when none is named"
    )
    parser.add_argument("--severities", default="1,3,5", metavar="1,3,5")
    parser.add_argument("--runs", default="runs/robust", metavar="DIR")
    given = parser.parse_args(list(arguments))
    unknown = set(given.arms) - set(ARMS)
    if unknown:
        parser.error(f"there is no arm {', '.join(sorted(unknown))}; there are {', '.join(ARMS)}")
    data = test_split("ucm-captions")
    if data is None:
        print("LANDSIFT_DATA is not set: nothing is trained.")
        return
    levels = check_severities([int(level) for level in given.severities.split(",")])
    command = "python -m benchmarks.robust_training"
    for arm in given.arms or ARMS:
        folder = Path(given.runs) / arm
        changes = (f'name="{arm}"', f'output.folder="{folder}"', *ARMS[arm].changes)
        found = fit(read_recipe(RECIPE, changes), resume=True, command=command)
        print(f"{arm}: {found.score:.2f} mR on val", flush=True)
        for level in missing(FOLDER, str(found.encoder), data, levels):
            report = add_report(FOLDER, measure(str(found.encoder), data, (level,), command))
            lost = report.scores["all"]["drop"]
            print(f"{arm}, severities {report.protocol['severities']}: {lost:.1f} % lost", flush=True)
    print("python -m benchmarks.evaluation_page puts it on its page.")


if __name__ == "__main__":
    run(sys.argv[1:])
