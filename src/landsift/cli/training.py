"""Commands that train: train, tune, list recipes, list methods."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from landsift.cli.options import AsJson
from landsift.cli.show import bar_or_lines, print_json, print_rows, say
from landsift.errors import need

if TYPE_CHECKING:
    from landsift.models.listing import MethodRow
    from landsift.train import FitResult, TrainingProgress

__all__ = ["register", "register_lists"]

RecipeName = Annotated[
    str, Argument(metavar="RECIPE", help="Name of a recipe that ships, or a TOML file.", show_default=False)
]
Assignments = Annotated[
    list[str] | None,
    Option("--set", metavar="KEY=VALUE", help="Change one value, such as loop.epochs=3; repeatable."),
]
Resume = Annotated[bool, Option("--resume", help="Go on where the last checkpoint stands.")]
CurvesFile = Annotated[
    Path | None, Option("--plot", metavar="F", help="Draw the losses and scores; needs the extra [plot].")
]
Trials = Annotated[int, Option("--trials", min=1, help="How many settings are tried.")]
TuneFile = Annotated[Path | None, Option("--out", metavar="F", help="Write every trial as JSON.")]

MethodOptions = Annotated[bool, Option("--options", help="Show the options of each, with their defaults.")]
MethodResults = Annotated[
    Path, Option("--results", metavar="DIR", help="Folder with the runs of benchmarks.methods.")
]

_RESULTS = Path("benchmarks/results/methods")
_PLAIN_EVERY = 10.0  # seconds between progress lines where there is no terminal


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(train)
    app.command()(tune)


def register_lists(lists: typer.Typer) -> None:
    """Add what ``landsift list`` shows of this module."""
    lists.command("recipes")(list_recipes)
    lists.command("methods")(list_methods)


def train(
    recipe: RecipeName,
    assignments: Assignments = None,
    resume: Resume = False,
    plot: CurvesFile = None,
    as_json: AsJson = False,
) -> None:
    """Train an encoder as a recipe says; a stopped run goes on with --resume, to the very same weights."""
    need("torch", extra="train")
    from landsift.train import fit, read_recipe

    chosen = read_recipe(recipe, assignments or ())
    with _progress() as tell:
        result = fit(chosen, resume=resume, progress=tell, command=" ".join(["landsift", *sys.argv[1:]]))
    if int(os.environ.get("RANK", "0")):
        return
    if as_json:
        print_json(_facts(result))
    _tell_result(result)
    if plot is not None:
        from landsift.plot import save_training_figure

        save_training_figure(plot, result.history)
        say(f"Wrote {plot}.")


def tune(
    recipe: RecipeName,
    assignments: Assignments = None,
    trials: Trials = 40,
    out: TuneFile = None,
    as_json: AsJson = False,
) -> None:
    """Try heads on the frozen towers of a recipe: which layers, widths and bits give most for their bytes."""
    need("torch", extra="train")
    from landsift.train import read_recipe
    from landsift.train.tuning import tune as search

    chosen = read_recipe(recipe, assignments or ())
    with _progress() as tell:
        found = search(chosen, trials=trials, progress=tell)
    if out is not None:
        found.save(out)
        say(f"Wrote {out}.")
    if as_json:
        print_json(found.as_dict())
        return
    print_rows(f"Best of {len(found.trials)} settings for their size and speed", *found.table())
    for sentence in found.sentences():
        print(sentence)


def list_recipes(as_json: AsJson = False) -> None:
    """The recipes that train takes by name."""
    need("torch", extra="train")
    from landsift.train import list_recipes as recipes

    found = recipes()
    if as_json:
        print_json(found)
    for name, text in () if as_json else found.items():
        print(f"{name}: {text}")


def list_methods(
    options: MethodOptions = False, results: MethodResults = _RESULTS, as_json: AsJson = False
) -> None:
    """The methods that a recipe's model.name takes; --options shows what each can be told."""
    need("torch", extra="train")
    from landsift.models.listing import method_rows
    from landsift.models.registry import find_matcher, full_options, list_hashing, list_matchers

    rows = method_rows(results)
    if as_json:
        known = {row.name: _method_facts(row) for row in rows}
        print_json(
            {
                name: {"citation": find_matcher(name).citation, "options": full_options(name, {})}
                | known.get(name, {})
                for name in list_matchers()
            }
        )
    elif options:
        for name in list_matchers():
            print(f"{name} ({find_matcher(name).citation})")
            for option, value in full_options(name, {}).items():
                print(f"  {option} = {value!r}")
    else:
        print_rows(f"{len(rows)} published methods", *_method_table(rows))
        cards = {name: find_matcher(name).card for name in list_hashing()}
        codes = [[name, card.title, str(card.year), card.source] for name, card in cards.items() if card]
        print_rows(f"{len(codes)} published hashing methods", ["name", "method", "year", "source"], codes)


def _method_facts(row: MethodRow) -> dict[str, Any]:
    card = row.card
    return {
        "title": card.title,
        "year": card.year,
        "head": card.head,
        "indexable": card.exact_index,
        "source": card.source,
        "stands_in": card.stands_in,
        "published_mR": dict(row.published),
        "our_mR": dict(row.ours),
    }


def _method_table(rows: Sequence[MethodRow]) -> tuple[list[str], list[list[str]]]:
    sets = {"ucm-captions": "UCM", "rsicd": "RSICD", "rsitmd": "RSITMD"}
    headings = ["name", "method", "year", "score head", "index", "source", "made from the image"]
    headings += [f"mR {title}" for title in sets.values()] + ["our mR UCM"]
    cells = [
        [
            row.name,
            row.card.title,
            str(row.card.year),
            row.card.head,
            "indexable" if row.card.exact_index else "re-rank only",
            row.card.source,
            row.card.stands_in,
            *(_number(row.published.get(name)) for name in sets),
            _number(row.ours.get("ucm-captions")),
        ]
        for row in rows
    ]
    return headings, cells


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _facts(result: FitResult) -> dict[str, Any]:
    return {
        "encoder": str(result.encoder),
        "score": result.score,
        "epoch": result.epoch,
        "steps": result.steps,
        "stopped_early": result.stopped_early,
        "trained_parameters": result.trained_parameters,
        "parameters": result.parameters,
        "history": list(result.history),
        "reports": {title: report.as_dict() for title, report in result.reports.items()},
    }


def _tell_result(result: FitResult) -> None:
    passes = f"{len(result.history)} passes, {result.steps:,} steps"
    if result.score is None:
        say(f"Trained for {passes}, without validation.")
    else:
        early = " and then stopped, since it did not improve" if result.stopped_early else ""
        say(f"Trained for {passes}{early}; best mR {result.score:.2f} in pass {result.epoch}.")
    share = result.trained_parameters / max(1, result.parameters)
    say(f"{result.trained_parameters:,} of {result.parameters:,} parameters trained ({share:.2%}).")
    say(f"The encoder is in {result.encoder}; its card, curves and recipe are in {result.folder}.")
    say(f"Now try: landsift index GALLERY FOLDER --encoder {result.encoder}")


def _progress() -> AbstractContextManager[Callable[[TrainingProgress], None]]:
    """A callback that shows how far training is."""
    return bar_or_lines(_bar, _Lines)


@contextmanager
def _bar() -> Iterator[Callable[[TrainingProgress], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    columns = (
        TextColumn("{task.description:.28}"),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TextColumn("{task.fields[facts]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None, facts="")

        def tell(moment: TrainingProgress) -> None:
            bar.update(
                task,
                description=_title(moment),
                completed=moment.done,
                total=moment.total,
                facts=_facts_of(moment),
            )

        yield tell


class _Lines:
    """Progress as plain lines: one every few seconds, and one for each pass."""

    def __init__(self) -> None:
        self._last = time.perf_counter()
        self._epoch = 0

    def __call__(self, moment: TrainingProgress) -> None:
        now = time.perf_counter()
        if now - self._last < _PLAIN_EVERY and moment.epoch == self._epoch:
            return
        self._last, self._epoch = now, moment.epoch
        say(f"{_title(moment)}: {moment.done} of {moment.total}. {_facts_of(moment)}".rstrip())


def _title(moment: TrainingProgress) -> str:
    return f"pass {moment.epoch}/{moment.epochs}, {moment.phase}" if moment.epoch else moment.phase


def _facts_of(moment: TrainingProgress) -> str:
    parts = [f"{name} {value:.3g}" for name, value in moment.terms.items()]
    if moment.images_per_second:
        parts.append(f"{moment.images_per_second:.0f} images/s")
    if moment.seconds_left is not None:
        parts.append(f"about {_duration(moment.seconds_left)} left")
    if "mR" in moment.scores:
        parts.append(f"mR {moment.scores['mR']:.2f}")
    return ", ".join(parts)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else (f"{minutes} min" if minutes else f"{rest} s")
