"""What people see: tables, progress, warnings. Machines get JSON."""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from landsift.data import Dataset
    from landsift.gallery import IndexProgress, IndexReport, SearchResult
    from landsift.index import Trace
    from landsift.types import EncoderCard

__all__ = [
    "bar_or_lines",
    "complain",
    "counting_bar",
    "print_cards",
    "print_datasets",
    "print_info",
    "print_json",
    "print_measured",
    "print_report",
    "print_result",
    "print_rows",
    "print_scenes",
    "print_trace",
    "progress_bar",
    "say",
    "show_warnings",
]

_Moment = TypeVar("_Moment")

_PLAIN_WIDTH = 200  # columns of a table that goes into a file or a pipe, so that nothing is cut
_PLAIN_EVERY = 5.0  # seconds between progress lines where there is no terminal


def _out() -> Console:
    return Console(width=None if sys.stdout.isatty() else _PLAIN_WIDTH, highlight=False)


def _err() -> Console:
    return Console(stderr=True, width=None if sys.stderr.isatty() else _PLAIN_WIDTH, highlight=False)


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def say(text: str) -> None:
    """A line for people."""
    _err().print(text, markup=False, soft_wrap=True)


def complain(text: str) -> None:
    """An error line."""
    console = _err()
    console.print("error:", style="bold red", end=" ")
    console.print(text, markup=False, soft_wrap=True)


def show_warnings() -> None:
    """Print our warnings as one line each, every sentence once."""
    from landsift.errors import LandsiftWarning

    said: set[str] = set()

    def show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        text = str(message)
        if text not in said:
            said.add(text)
            console = _err()
            console.print("warning:", style="bold yellow", end=" ")
            console.print(text, markup=False, soft_wrap=True)

    warnings.simplefilter("always", LandsiftWarning)
    warnings.showwarning = show


@contextmanager
def bar_or_lines(
    bar: Callable[[], AbstractContextManager[Callable[[_Moment], None]]],
    lines: Callable[[], Callable[[_Moment], None]],
) -> Iterator[Callable[[_Moment], None]]:
    """A callback that shows how far something is: a bar on a terminal, a line now and then elsewhere."""
    if sys.stderr.isatty():
        with bar() as tell:
            yield tell
    else:
        yield lines()


def progress_bar() -> AbstractContextManager[Callable[[IndexProgress], None]]:
    """A callback that shows how far indexing is."""
    return bar_or_lines(_bar, _Lines)


@contextmanager
def _bar() -> Iterator[Any]:
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.fields[scene]:.40}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[scenes]}"),
        TextColumn("{task.fields[tiles]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=_err(), transient=True) as bar:
        task = bar.add_task("", total=1.0, scene="looking for scenes", scenes="", tiles="")
        began = time.perf_counter()

        def tell(moment: IndexProgress) -> None:
            rate = moment.tiles / max(time.perf_counter() - began, 1e-9)
            bar.update(
                task,
                completed=moment.share,
                scene=moment.scene,
                scenes=f"{moment.scenes_done}/{moment.scenes} scenes",
                tiles=f"{moment.tiles:,} tiles, {rate:.0f}/s",
            )

        yield tell


@contextmanager
def counting_bar(label: str) -> Iterator[Callable[[int, int], None]]:
    """A callback that shows how many of a known number of things are done; silent without a terminal."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(label), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=_err(), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


class _Lines:
    """Progress as plain lines."""

    def __init__(self) -> None:
        self._began = self._last = time.perf_counter()

    def __call__(self, moment: IndexProgress) -> None:
        now = time.perf_counter()
        if now - self._last < _PLAIN_EVERY:
            return
        self._last = now
        rate = moment.tiles / (now - self._began)
        left = (now - self._began) * (1 - moment.share) / max(moment.share, 1e-9)
        say(
            f"{moment.share:.0%}: {moment.scenes_done} of {moment.scenes} scenes, {moment.tiles:,} tiles, "
            f"{rate:.0f} tiles/s, about {left:.0f} s left"
        )


def print_report(report: IndexReport, gallery: str) -> None:
    """What an indexing run did."""
    rate = report.tiles / max(report.seconds, 1e-9)
    done = f"{_count(report.indexed, 'scene')} indexed, {_count(report.tiles, 'tile')}"
    parts = [f"{done} in {report.seconds:.1f} s"]
    if report.tiles:
        parts[0] += f" ({rate:.0f} tiles/s)"
    if report.unchanged:
        parts.append(f"{_count(report.unchanged, 'scene')} unchanged")
    if report.skipped:
        parts.append(f"{_count(report.skipped, 'tile')} skipped as mostly empty")
    if report.failed_before:
        parts.append(f"{_count(report.failed_before, 'scene')} failed before (try again with --retry-failed)")
    say(f"{gallery}: " + "; ".join(parts) + ".")
    for name, sentence in report.failed:
        complain(f"{name}: {sentence}")


def print_result(result: SearchResult) -> None:
    """A table of matches."""
    out = _out()
    milliseconds = 1000 * result.seconds
    out.print(result.query, style="bold", markup=False)
    facts = f"{len(result)} of {result.searched:,} tiles searched in {milliseconds:.1f} ms"
    if result.searched < result.total:
        facts += f" ({result.total:,} in the gallery)"
    out.print(facts, style="dim")
    for note in result.notes:
        say(f"note: {note}")
    if not result.matches:
        say("No tile matches; ask for something else, or widen the filters.")
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    numbers = ("#", "score", "top %", "m/px")
    for heading in ("#", "score", "top %", "date", "lon, lat", "m/px", "tile"):
        justify: Any = "right" if heading in numbers else "left"
        table.add_column(heading, justify=justify, no_wrap=heading != "tile", overflow="fold")
    for match in result:
        place = "-" if match.center is None else "{:.4f}, {:.4f}".format(*match.center)
        table.add_row(
            str(match.rank),
            f"{match.score:.3f}",
            f"{100 - match.percentile + 100 / max(result.searched, 1):.3g}",
            match.date or "-",
            place,
            "-" if match.gsd is None else f"{match.gsd:.3g}",
            match.tile,
        )
    out.print(table)


def print_trace(trace: Trace) -> None:
    """The way that a search took, and its stages."""
    exactly = "exact" if trace.recall == 1.0 else f"measured recall {trace.recall:.3f}"
    say(f"way: {trace.path} ({exactly}). {trace.why}")
    rows = [[s.name, f"{s.rows:,}", f"{s.milliseconds:.2f}"] for s in trace.stages]
    print_rows("Stages", ("stage", "rows", "ms"), rows)


def print_measured(facts: dict[str, Any]) -> None:
    """What a search index was chosen to be, and what its ways were measured to find."""
    say(f"{facts['rows']:,} rows, index {facts['kind']}, least recall {facts['floor']:g}.")
    if not facts["measured"]:
        say("Every search scans the vectors: exact.")
        return
    rows = [
        [
            m["way"],
            "few pass" if m["filtered"] else "none",
            str(m["k"]),
            f"{m['size']:,}",
            f"{m['recall']:.3f}",
            f"{m['least']:.3f}",
            "yes" if m["used"] else "no: exact scan",
        ]
        for m in facts["measured"]
    ]
    headings = ("way", "filter", "k", "shortlist", "recall", "at least", "reaches the floor")
    print_rows("Measured on this gallery", headings, rows)


def print_info(facts: dict[str, Any]) -> None:
    """What a gallery holds."""
    scenes, settings, encoder = facts["scenes"], facts["settings"], facts["encoder"]
    bounds = "-" if facts["bounds"] is None else "W {}, S {}, E {}, N {}".format(*facts["bounds"])
    rows = {
        "gallery": facts["gallery"],
        "tiles": f"{facts['tiles']:,} ({facts['tiles_without_coordinates']:,} without coordinates)",
        "scenes": ", ".join(f"{count} {state}" for state, count in scenes.items() if count) or "none",
        "bounds": bounds,
        "dates": "-" if facts["dates"] is None else " to ".join(facts["dates"]),
        "encoder": f"{encoder['name']} ({encoder['dim']} numbers a tile, licence {encoder['licence']})",
        "tiling": f"tile {settings['tile']}, overlap {settings['overlap']:g}, scales "
        + ", ".join(f"{scale:g}" for scale in settings["scales"]),
        "on disk": f"{facts['bytes'] / 1e6:,.1f} MB",
    }
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in rows.items():
        table.add_row(name, value)
    _out().print(table)


def print_scenes(ledger: list[dict[str, Any]]) -> None:
    """The ledger."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("scene", "state", "tiles", "skipped", "date", "m/px", "bands", "remark"):
        table.add_column(heading, overflow="fold")
    for scene in ledger:
        gsd, bands = scene.get("gsd"), scene.get("bands")
        table.add_row(
            scene["name"],
            scene["state"],
            str(scene["tiles"]),
            str(scene["skipped"]),
            scene["date"] or "-",
            "-" if gsd is None else f"{gsd:.3g}",
            "-" if bands is None else ",".join(map(str, bands)),
            scene["error"] or scene.get("bands_why") or "",
        )
    _out().print(table)


def print_rows(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table of numbers; the first column is text."""
    out = _out()
    out.print(title, style="bold", markup=False)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number else "left", no_wrap=number > 0)
    for row in rows:
        table.add_row(*row)
    out.print(table)


def print_datasets(rows: Sequence[Dataset]) -> None:
    """The data sets that are known by name."""
    for row in rows:
        out = _out()
        names = f"{row.name} ({', '.join(row.aliases)})" if row.aliases else row.name
        out.print(f"{row.title}: {names}", style="bold", markup=False)
        facts = {
            "size": row.size,
            "licence": row.licence,
            "cite": row.citation,
            "get it": row.page,
            "folder": row.layout,
            "reads": "as a stream" if row.streamed else "whole",
            "note": row.note,
        }
        for name, fact in facts.items():
            if fact:
                out.print(f"  {name}: {fact}", markup=False)


def print_cards(cards: list[EncoderCard]) -> None:
    """The encoders that can be loaded by name."""
    for card in cards:
        out = _out()
        out.print(card.name, style="bold", markup=False)
        out.print(f"  {card.description}", markup=False)
        out.print(
            f"  {card.dim} numbers a tile; sees {card.input_size} px, reads {card.context_length} tokens"
        )
        out.print(f"  licence {card.licence}. {card.licence_note}", markup=False)
        out.print(f"  trained on {', '.join(card.trained_on)}", markup=False)
        if "architecture" in card.extra:
            out.print(f"  {_tower_facts(card)}", markup=False)
        for how, scores in (("", card.scores), ("printed for ", card.extra.get("published", {}))):
            for test, values in scores.items():
                facts = ", ".join(f"{name} {value:g}" for name, value in values.items())
                out.print(f"  {how}{test}: {facts}", markup=False)


def _tower_facts(card: EncoderCard) -> str:
    """Towers, how pixels are made ready, and where the weights come from."""
    extra = card.extra
    source = extra.get("source", {})
    place = f"hf-hub:{source['hub']}" if source.get("hub") else source.get("page", "")
    bands = extra.get("spectral", {}).get("bands") or ("any bands" if "spectral" in extra else "")
    read = f", reads {', '.join(bands) if isinstance(bands, list) else bands}" if bands else ""
    return f"{extra['architecture']} with {extra['activation']}, {extra['fit']}{read}; from {place}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
