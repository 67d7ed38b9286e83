"""Results -> pictures. Draws what it is given; computes no score and opens no gallery."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from landsift.errors import LandsiftError, UsageError, need
from landsift.evaluate import Report
from landsift.evaluate.report import RECALLS
from landsift.files import write_whole
from landsift.gallery.result import Match, SearchResult
from landsift.types import Pixels

__all__ = [
    "Pair",
    "contact_sheet",
    "save_contact_sheet",
    "save_pair_sheet",
    "save_pareto_figure",
    "save_report_figure",
    "save_training_figure",
]

_INK, _PALE, _LINE, _PAPER = "#1b1f23", "#5c6570", "#d5dae0", "#ffffff"
_THUMB, _GAP, _MARGIN = 216, 16, 28
_CAPTION = 66  # height of the three lines under a thumbnail
_HEADING = 62


def contact_sheet(
    results: Sequence[SearchResult],
    read: Callable[[Match, int], Pixels],
    *,
    columns: int = 5,
) -> Image.Image:
    """One block a query: its words, then the ranked tiles with score, scene, date and place.

    Args:
        results: One or more search results.
        read: Gives the pixels of a match, its longer side of the given length; ``Gallery.read`` does. A tile
            whose source cannot be read is shown as an empty frame that says so.
        columns: Tiles in a row.
    """
    if not results:
        raise UsageError("There is nothing to draw; give at least one search result")
    across = max(1, min(columns, max(len(result) for result in results)))
    width = 2 * _MARGIN + across * _THUMB + (across - 1) * _GAP
    width = max(width, 2 * _MARGIN + 2 * _THUMB)
    heights = [_block_height(len(result), across) for result in results]
    sheet = Image.new("RGB", (width, sum(heights) + 2 * _MARGIN - _GAP), _PAPER)
    top = _MARGIN
    for result, height in zip(results, heights, strict=True):
        _draw_block(sheet, result, read, across, top)
        top += height
    return sheet


def save_contact_sheet(
    path: str | Path, results: Sequence[SearchResult], read: Callable[[Match, int], Pixels]
) -> None:
    """Write :func:`contact_sheet` as an image; the suffix names the format.

    Raises:
        UsageError: The suffix is not that of an image format.
    """
    path = Path(path)
    if path.suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp"):
        raise UsageError(f"Cannot draw a sheet into {path.name}; end the name with .png, .jpg or .webp")
    sheet = contact_sheet(results, read)
    write_whole(path, lambda partial: sheet.save(partial))


def _block_height(matches: int, across: int) -> int:
    rows = max(1, -(-matches // across))
    return _HEADING + rows * (_THUMB + _CAPTION + _GAP)


def _draw_block(
    sheet: Image.Image, result: SearchResult, read: Callable[[Match, int], Pixels], across: int, top: int
) -> None:
    draw = ImageDraw.Draw(sheet)
    width = sheet.width - 2 * _MARGIN
    draw.text((_MARGIN, top), _shorten(draw, result.query, _font(24), width), _INK, font=_font(24))
    facts = f"{len(result)} best of {result.searched:,} tiles searched"
    draw.text((_MARGIN, top + 32), facts, _PALE, font=_font(14))
    if not result.matches:
        draw.text((_MARGIN, top + _HEADING + 20), "No tile matches.", _PALE, font=_font(16))
    for number, match in enumerate(result.matches):
        left = _MARGIN + (number % across) * (_THUMB + _GAP)
        upper = top + _HEADING + (number // across) * (_THUMB + _CAPTION + _GAP)
        _draw_match(sheet, match, read, left, upper)


def _draw_match(
    sheet: Image.Image, match: Match, read: Callable[[Match, int], Pixels], left: int, upper: int
) -> None:
    draw = ImageDraw.Draw(sheet)
    frame = (left - 1, upper - 1, left + _THUMB, upper + _THUMB)
    draw.rectangle(frame, outline=_LINE, fill="#f3f5f7")
    try:
        thumb = Image.fromarray(read(match, _THUMB))
        sheet.paste(thumb, (left + (_THUMB - thumb.width) // 2, upper + (_THUMB - thumb.height) // 2))
    except LandsiftError:
        draw.text((left + 12, upper + 96), "source cannot be read", _PALE, font=_font(14))
    place = "" if match.center is None else "{:.4f}, {:.4f}".format(*match.center)
    gsd = "" if match.gsd is None else f"{match.gsd:.3g} m"
    lines = [
        (f"{match.rank}.   {match.score:.3f}", _INK, 17),
        (match.scene.rpartition("/")[2], _INK, 13),
        ("   ".join(part for part in (match.date or "", place, gsd) if part), _PALE, 13),
    ]
    line_top = upper + _THUMB + 6
    for text, colour, size in lines:
        draw.text((left, line_top), _shorten(draw, text, _font(size), _THUMB), colour, font=_font(size))
        line_top += size + 5


@dataclass(frozen=True, eq=False)
class Pair:
    """One place on two dates.

    Attributes:
        before, after: ``(h, w, 3)`` uint8 of equal shapes, drawn side by side; None where there is none.
        dates: Of either.
        caption: Below them, such as rank and score.
        margin: How much of the pictures lies around the place, as a share of its side; the place is framed.
    """

    before: Pixels | None
    after: Pixels | None
    dates: tuple[str, str]
    caption: str
    margin: float = 0.0


def save_pair_sheet(path: str | Path, title: str, facts: str, pairs: Sequence[Pair], across: int = 2) -> None:
    """Draw places before and after, side by side; the suffix names the format.

    Args:
        path: Ends with .png, .jpg or .webp.
        title, facts: Two lines of heading.
        pairs: The places, in order.
        across: Pairs in a row.

    Raises:
        UsageError: Nothing to draw, or another suffix.
    """
    path = Path(path)
    if path.suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp"):
        raise UsageError(f"Cannot draw a sheet into {path.name}; end the name with .png, .jpg or .webp")
    if not pairs:
        raise UsageError("There is nothing to draw; ask for other dates or other words")
    across = max(1, min(across, len(pairs)))
    block, tall = 2 * _THUMB + 4, _THUMB + _PAIR_CAPTION + _GAP
    rows = -(-len(pairs) // across)
    size = 2 * _MARGIN + across * (block + _GAP) - _GAP, 2 * _MARGIN + _HEADING + rows * tall - _GAP
    sheet = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(sheet)
    width = sheet.width - 2 * _MARGIN
    draw.text((_MARGIN, _MARGIN), _shorten(draw, title, _font(22), width), _INK, font=_font(22))
    draw.text((_MARGIN, _MARGIN + 32), _shorten(draw, facts, _font(14), width), _PALE, font=_font(14))
    for number, pair in enumerate(pairs):
        left = _MARGIN + (number % across) * (block + _GAP)
        _draw_pair(sheet, pair, left, _MARGIN + _HEADING + (number // across) * tall)
    write_whole(path, lambda partial: sheet.save(partial))


_PAIR_CAPTION = 46  # height of the two lines under a pair


def _draw_pair(sheet: Image.Image, pair: Pair, left: int, upper: int) -> None:
    draw = ImageDraw.Draw(sheet)
    for side, (pixels, date) in enumerate(zip((pair.before, pair.after), pair.dates, strict=True)):
        start = left + side * (_THUMB + 4)
        if pixels is None:
            draw.rectangle(
                (start, upper, start + _THUMB - 1, upper + _THUMB - 1), outline=_LINE, fill="#f3f5f7"
            )
            draw.text((start + 12, upper + 96), "source cannot be read", _PALE, font=_font(14))
        else:
            sheet.paste(Image.fromarray(pixels).resize((_THUMB, _THUMB)), (start, upper))
            edge = round(_THUMB * pair.margin / (1 + 2 * pair.margin))
            if edge:
                inner = (start + edge, upper + edge, start + _THUMB - 1 - edge, upper + _THUMB - 1 - edge)
                draw.rectangle(inner, outline="#ffd84d")
        draw.text((start, upper + _THUMB + 4), date, _INK, font=_font(14))
    caption = _shorten(draw, pair.caption, _font(14), 2 * _THUMB)
    draw.text((left, upper + _THUMB + 24), caption, _PALE, font=_font(14))


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _shorten(
    draw: ImageDraw.ImageDraw, text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int
) -> str:
    """The text, cut with an ellipsis where it would be wider than ``width`` pixels."""
    if draw.textlength(text, font) <= width:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (
            (middle, high) if draw.textlength(text[:middle] + "...", font) <= width else (low, middle - 1)
        )
    return text[:low].rstrip() + "..."


def save_report_figure(path: str | Path, report: Report) -> None:
    """Draw a report: recalls with intervals and ceilings, the confusion of classes, or what is left of a
    score when pictures and captions are spoilt.

    Raises:
        UsageError: Reports of its task have no figure.
        MissingDependency: matplotlib is not installed.
    """
    need("matplotlib", extra="plot")
    from matplotlib.figure import Figure

    if report.task not in _DRAWN:
        raise UsageError(f"A report of the task {report.task} has no figure; leave --plot out")
    size, draw = _DRAWN[report.task]
    figure = Figure(figsize=size(report), layout="constrained")
    axes = figure.subplots()
    axes.set_title(report.title, fontsize=11)
    draw(axes, report)
    write_whole(path, lambda partial: figure.savefig(partial, dpi=150))


def _draw_recalls(axes: Any, report: Report) -> None:
    scores = report.scores
    values = [scores["strict"][name] for name in RECALLS]
    intervals = [scores["intervals"][name] for name in RECALLS]
    below = [value - bounds["low"] for value, bounds in zip(values, intervals, strict=True)]
    above = [bounds["high"] - value for value, bounds in zip(values, intervals, strict=True)]
    places = [0, 1, 2, 3.6, 4.6, 5.6]
    axes.bar(places, values, yerr=[below, above], color="#3b6ea5", capsize=3, label="strict, 95 % interval")
    aware = [scores["duplicate_aware"][name] for name in RECALLS]
    axes.plot(places, aware, "D", color="#c77d1e", markersize=5, linestyle="none", label="duplicate-aware")
    ceilings = [scores["ceiling"][name] for name in RECALLS]
    left, right = [place - 0.42 for place in places], [place + 0.42 for place in places]
    axes.hlines(ceilings, left, right, colors="#444444", linestyles=":", label="ceiling (strict)")
    axes.set_xticks(places, ["R@1", "R@5", "R@10"] * 2)
    axes.set_xlabel("image to text" + " " * 34 + "text to image")
    axes.set_ylabel("percent")
    axes.set_ylim(0, 104)
    axes.legend(frameon=False, fontsize=8, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.17))
    axes.spines[["top", "right"]].set_visible(False)


def _draw_confusion(axes: Any, report: Report) -> None:
    names = list(report.scores["class_recall"])
    table = [[report.scores["confusion"][true].get(other, 0.0) for other in names] for true in names]
    shares = [[count / max(sum(row), 1) for count in row] for row in table]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for y, row in enumerate(shares):
        for x, share in enumerate(row):
            if share >= 0.005:
                ink = "white" if share > 0.6 else "#333333"
                axes.text(x, y, f"{100 * share:.0f}", ha="center", va="center", fontsize=7, color=ink)
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_xlabel(f"taken for (percent of the row); accuracy {report.scores['accuracy']:.1f} %", fontsize=9)


def _draw_stress(axes: Any, report: Report) -> None:
    """A heat map: a row a corruption, the share of the clean score that is left at each severity."""
    rows, levels = report.scores["corruptions"], report.scores["severities"]
    ordered = sorted(rows, key=lambda name: rows[name]["drop"])
    table = [[100 - rows[name]["by_severity"][str(level)]["drop"] for level in levels] for name in ordered]
    headings = [str(level) for level in levels]
    if len(levels) > 1:
        table = [[*row, 100 - rows[name]["drop"]] for name, row in zip(ordered, table, strict=True)]
        headings.append("mean")
        axes.axvline(len(levels) - 0.5, color="white", linewidth=3)
    drawn = axes.imshow(table, cmap="RdYlBu", vmin=0, vmax=100, aspect="auto")
    for y, row in enumerate(table):
        for x, left in enumerate(row):
            ink = "white" if left < 16 or left > 88 else "#222222"
            axes.text(x, y, f"{left:.0f}", ha="center", va="center", fontsize=8, color=ink)
    axes.set_xticks(range(len(headings)), headings, fontsize=9)
    axes.set_yticks(range(len(ordered)), ordered, fontsize=9)
    axes.set_xlabel("severity", fontsize=9)
    axes.figure.colorbar(drawn, ax=axes, shrink=0.6, label="percent of the clean score that is left")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


_DRAWN: Mapping[str, tuple[Callable[[Report], tuple[float, float]], Callable[[Any, Report], None]]] = {
    "retrieval": (lambda report: (7.5, 4.2), _draw_recalls),
    "zero-shot": (
        lambda report: (
            3 + 0.35 * len(report.scores["class_recall"]),
            2.4 + 0.35 * len(report.scores["class_recall"]),
        ),
        _draw_confusion,
    ),
    "robustness": (lambda report: (7.0, 1.6 + 0.27 * len(report.scores["corruptions"])), _draw_stress),
}
"""How large a task's figure is, in inches, and what draws it."""


def save_pareto_figure(path: str | Path, panels: Sequence[Mapping[str, Any]]) -> None:
    """Draw scores against costs, side by side, with the line of those that no other beats in both.

    Args:
        path: The suffix names the format.
        panels: Each with ``title``, ``x`` (what the cost is, with its unit), ``y`` and ``points``: a name, a
            cost above 0 and a score each.

    Raises:
        UsageError: There is nothing to draw.
        MissingDependency: matplotlib is not installed.
    """
    if not panels or not all(panel["points"] for panel in panels):
        raise UsageError("There is no result to draw; measure a method first")
    need("matplotlib", extra="plot")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.2 * len(panels), 5.2), layout="constrained")
    drawn = list(zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True))
    for axes, panel in drawn:
        _draw_pareto(axes, panel)
    figure.draw_without_rendering()  # settles where points are, which their names are laid around
    for axes, panel in drawn:
        _name_points(axes, panel["points"])
    write_whole(path, lambda partial: figure.savefig(partial, dpi=150))


def _draw_pareto(axes: Any, panel: Mapping[str, Any]) -> None:
    """One panel: the points, and the line of those that no other beats."""
    from matplotlib.ticker import LogFormatter

    points = sorted(panel["points"], key=lambda point: (point[1], -point[2]))
    best = _unbeaten(points)
    beaten = [point for point in points if point not in best]
    axes.plot(
        [cost for _, cost, _ in best],
        [score for *_, score in best],
        "o-",
        color="#3b6ea5",
        drawstyle="steps-post",
        markersize=6,
        label="no other is better and cheaper",
    )
    axes.plot([p[1] for p in beaten], [p[2] for p in beaten], "o", color="#aab2bb", markersize=4)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:,g}")
    # Less than a decade has no power of ten to name, so that what lies between is named too.
    axes.xaxis.set_minor_formatter(LogFormatter(labelOnlyBase=False, minor_thresholds=(1.5, 0.7)))
    axes.margins(x=0.14, y=0.1)
    axes.set_xlabel(panel["x"])
    axes.set_ylabel(panel["y"])
    axes.set_title(panel["title"], fontsize=11)
    axes.grid(color="#eceff2")
    axes.set_axisbelow(True)
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    axes.spines[["top", "right"]].set_visible(False)


def _unbeaten(points: Sequence[tuple[str, float, float]]) -> list[tuple[str, float, float]]:
    """Points, in order of cost, that score higher than every cheaper one."""
    found: list[tuple[str, float, float]] = []
    for point in points:
        if not found or point[2] > found[-1][2]:
            found.append(point)
    return found


def _name_points(axes: Any, points: Sequence[tuple[str, float, float]]) -> None:
    """Names beside points, those on the line first; a name that finds no free place is left out."""
    from matplotlib.patheffects import withStroke

    halo = [withStroke(linewidth=2, foreground="white")]  # the line may pass below a name
    best = _unbeaten(sorted(points, key=lambda point: (point[1], -point[2])))
    places = {point: axes.transData.transform(point[1:]) for point in points}
    taken = [(x - 4, y - 4, x + 4, y + 4) for x, y in places.values()]
    for point in [*best, *(point for point in points if point not in best)]:
        size = 8.0 if point in best else 6.5
        width, height = 0.62 * size * len(point[0]) * 100 / 72, size * 100 / 72
        for right, up in ((True, True), (False, True), (True, False), (False, False)):
            left = places[point][0] + (6 if right else -6 - width)
            low = places[point][1] + (4 if up else -4 - height)
            box = (left, low, left + width, low + height)
            if any(_overlap(box, other) for other in taken):
                continue
            taken.append(box)
            ink = _INK if point in best else _PALE
            at = axes.transData.inverted().transform(box[:2])
            axes.annotate(point[0], at, fontsize=size, color=ink, va="bottom", ha="left", path_effects=halo)
            break


def _overlap(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def save_training_figure(path: str | Path, history: Sequence[Mapping[str, float]]) -> None:
    """Draw the loss terms and the validation scores of a run, pass by pass.

    Args:
        path: The suffix names the format.
        history: A row per pass, as training keeps it and as ``metrics.csv`` holds it.

    Raises:
        UsageError: There is no pass to draw.
        MissingDependency: matplotlib is not installed.
    """
    if not history:
        raise UsageError("There is no pass to draw; train for one at least")
    need("matplotlib", extra="plot")
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(7.5, 4.2), layout="constrained")
    left = figure.subplots()
    names = list(dict.fromkeys(name for row in history for name in row))
    scores = [name for name in names if "/" in name or name == "mR"]
    terms = [name for name in names if name not in (*scores, *_NOT_DRAWN)]
    for name in terms:
        _draw_curve(left, history, name, "-" if name == "loss" else "--", 1.8 if name == "loss" else 1.0)
    left.set_xlabel("pass")
    left.set_ylabel("weighted loss terms")
    axes = [left]
    if scores:
        axes.append(left.twinx())
        for name in scores:
            _draw_curve(axes[1], history, name, ":", 2.2 if name == "mR" else 1.2)
        axes[1].set_ylabel("validation mR, percent")
    lines = [line for one in axes for line in one.get_lines()]
    labels = [str(line.get_label()) for line in lines]
    figure.legend(
        lines, labels, frameon=False, fontsize=8, ncols=min(5, len(lines)), loc="outside lower center"
    )
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    for one in axes:
        one.spines[["top"]].set_visible(False)
    write_whole(path, lambda partial: figure.savefig(partial, dpi=150))


_NOT_DRAWN = ("epoch", "step", "rate", "images_per_second", "seconds")
_TERM_COLOURS = ("#3b6ea5", "#8a5fb0", "#4f9d69", "#8c6d4f", "#6b7480")
_SCORE_COLOURS = ("#c77d1e", "#b5433f", "#96852a", "#7d5a3c")


def _draw_curve(
    axes: Any, history: Sequence[Mapping[str, float]], name: str, style: str, width: float
) -> None:
    rows = [row for row in history if name in row]
    colours = _SCORE_COLOURS if style == ":" else _TERM_COLOURS
    colour = colours[len(axes.get_lines()) % len(colours)]
    marker = "o" if len(rows) < 30 else ""
    places, values = [row["epoch"] for row in rows], [row[name] for row in rows]
    axes.plot(places, values, style, label=name, color=colour, linewidth=width, marker=marker, markersize=3)
