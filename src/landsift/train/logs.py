"""What a run writes down as it goes: a table of measurements, and TensorBoard events if asked.

Knows numbers and files; nothing of what they mean.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from landsift.errors import TrainingError, need
from landsift.files import replace_file

__all__ = ["METRICS_FILE", "EventLog", "read_metrics", "write_metrics"]

METRICS_FILE = "metrics.csv"


def write_metrics(path: Path, history: Sequence[Mapping[str, float]]) -> None:
    """Write one row a pass; the columns are all names that occur, in order of appearance.

    The whole file is replaced each time, so that a resumed run never leaves rows twice.
    """
    names = list(dict.fromkeys(name for row in history for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    for row in history:
        writer.writerow({name: f"{value:.6g}" for name, value in row.items()})
    replace_file(path, text.getvalue().encode())


def read_metrics(run: str | Path) -> list[dict[str, float]]:
    """Read the table of a run's folder.

    Raises:
        TrainingError: There is none.
    """
    try:
        with (Path(run) / METRICS_FILE).open(encoding="utf-8", newline="") as file:
            return [
                {name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)
            ]
    except (OSError, ValueError) as error:
        raise TrainingError(f"{run} holds no readable {METRICS_FILE}; give the folder of a run") from error


class EventLog:
    """TensorBoard events, or nothing.

    Args:
        folder: Of the events; None writes none.
        step: Where the run goes on; what an interrupted run noted after it no longer counts.

    Raises:
        MissingDependency: TensorBoard is not installed.
    """

    def __init__(self, folder: Path | None, step: int = 0) -> None:
        self._writer: Any = None
        if folder is not None:
            need("tensorboard", extra="train")
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(folder), purge_step=step or None)

    def add(self, values: Mapping[str, float], step: int) -> None:
        """Note values at a step."""
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Write what is left."""
        if self._writer is not None:
            self._writer.close()
