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
    "encoders",
    "accuracy",
)


def main(wanted: list[str]) -> int:
    """Run the named measurements, or all."""
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
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
