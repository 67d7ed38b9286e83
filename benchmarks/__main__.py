"""``python -m benchmarks [NAME...]``: measure, then rewrite the page."""

from __future__ import annotations

import importlib
import sys

from benchmarks.page import write_page

NAMES = (
    "startup",
    "search_million",
    "indexing",
    "serving",
    "training",
    "semi_supervised",
    "protocol",
    "scoring",
    "localizing",
    "encoders",
    "accuracy",
    "small_objects",
    "small_objects_mosaics",
    "change_captions",
    "change_detection",
    "robustness",
    "cost",
    "pareto",
)
OF_EVALUATION = ("robustness", "cost", "pareto")
"""These take arguments, as in ``python -m benchmarks robustness runs/mine``, and have a page of their own."""


def main(wanted: list[str]) -> int:
    """Run the named measurements, or all; or one with its arguments."""
    if wanted and wanted[0] in OF_EVALUATION and not set(wanted) <= {*NAMES, "page"}:
        importlib.import_module(f"benchmarks.{wanted[0]}").run(wanted[1:])
        print(f"Wrote {_write_evaluation()}.")
        return 0
    unknown = set(wanted) - {*NAMES, "page"}
    if unknown:
        print(
            f"There is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}.",
            file=sys.stderr,
        )
        return 2
    for name in NAMES:
        if not wanted or name in wanted:
            print(f"{name} ...", flush=True)
            importlib.import_module(f"benchmarks.{name}").run()
    print(f"Wrote {write_page()}.")
    if not wanted or set(wanted) & set(OF_EVALUATION):
        print(f"Wrote {_write_evaluation()}.")
    return 0


def _write_evaluation() -> str:
    """The page of robustness and cost, and its pictures."""
    page = importlib.import_module("benchmarks.evaluation_page")
    page.draw()
    return str(page.write_evaluation())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
