"""``fit``: from a recipe to a trained encoder in a folder.

Puts the parts together: sets, stores, model, losses, loop, card. Each part is known here by what it does.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from landsift.encoders.cards import CARD_NAME, read_card
from landsift.errors import TrainingError
from landsift.files import replace_file
from landsift.metrics import CaptionSetReport
from landsift.models.checkpoint import read_matcher
from landsift.models.matcher import Matcher
from landsift.models.registry import full_options
from landsift.provenance import provenance
from landsift.train.adapting import share_of
from landsift.train.cards import PAGE_NAME, Facts, card_fields, write_card, write_page
from landsift.train.feeding import Feeder
from landsift.train.folders import recover
from landsift.train.gathering import Processes
from landsift.train.objective import Objective, full_table
from landsift.train.pixels import Progress
from landsift.train.preparing import Gathered, built, check_needs, in_turn, prepared, teacher_dim
from landsift.train.reading import differences, read_recipe, recipe_text
from landsift.train.recipe import Recipe
from landsift.train.terms import Sizes
from landsift.train.trainer import BEST, LAST, Trainer, TrainingProgress
from landsift.train.validating import ValidationSet, full_report
from landsift.types import RetrievalSet

__all__ = ["FitResult", "fit", "resolved", "run_folder"]

RECIPE_FILE = "resolved.toml"
_Tell = Callable[[TrainingProgress], None]


@dataclass(frozen=True)
class FitResult:
    """What a run made.

    Attributes:
        folder: Of the run: ``best/``, ``last/``, ``resolved.toml``, ``metrics.csv``, ``README.md``.
        encoder: The folder of the best weights; ``load_encoder`` takes it.
        score: Best mean mR of the validation sets in percent; None without validation.
        epoch: The pass that gave it, from 1; the last one without validation.
        steps: Steps taken.
        stopped_early: Whether validation ended it before its time.
        history: A row of measurements per pass.
        reports: All numbers of the best weights on each validation set.
        trained_parameters: Numbers that trained.
        parameters: Numbers in the model, adapters among them.
    """

    folder: Path
    encoder: Path
    score: float | None
    epoch: int
    steps: int
    stopped_early: bool
    history: tuple[Mapping[str, float], ...]
    reports: Mapping[str, CaptionSetReport]
    trained_parameters: int = 0
    parameters: int = 0


def run_folder(recipe: Recipe) -> Path:
    """Where a recipe's run is written."""
    return Path(recipe.output.folder or Path("runs") / recipe.name)


def resolved(recipe: Recipe) -> Recipe:
    """The recipe with every option of its method and its loss terms written out.

    Raises:
        UsageError: It names a method, a term or an option that is not there.
    """
    options = full_options(recipe.model.name, recipe.model.options)
    return replace(recipe, model=replace(recipe.model, options=options), loss=full_table(recipe.loss))


def fit(
    recipe: Recipe,
    *,
    train: Sequence[RetrievalSet] | None = None,
    validation: Sequence[RetrievalSet] | None = None,
    resume: bool = False,
    progress: _Tell | None = None,
    command: str = "",
) -> FitResult:
    """Train as a recipe says.

    Started by ``torchrun``, the processes share each batch and make the weights that one would.

    Args:
        recipe: Everything that decides what the weights become.
        train: Sets to train on instead of the recipe's.
        validation: Sets to choose the weights by instead of the recipe's.
        resume: Go on where the folder's last checkpoint stands, to the very weights that an undisturbed run
            has; start anew if there is none.
        progress: Told how far it is.
        command: Recorded on the card.

    Raises:
        UsageError: The recipe names something that is not there, or contradicts itself.
        DatasetError: A set is absent or broken, or holds too little.
        TrainingError: A loss is not finite, the folder holds another run, or there is nothing to resume.
        DiskFull: No space left.
    """
    recipe = resolved(recipe)
    device = torch.device(recipe.loop.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    processes = Processes.join(device)
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    cards = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cards), _settings(recipe):
        return _fit(
            recipe, train, validation, resume, progress or (lambda moment: None), command, device, processes
        )


@contextmanager
def _settings(recipe: Recipe) -> Iterator[None]:
    """Torch's threads and choice of kernels, as the recipe asks, for a while."""
    kernels = torch.backends.cudnn
    before = torch.get_num_threads(), kernels.deterministic, kernels.benchmark
    torch.set_num_threads(recipe.loop.threads or before[0])
    kernels.deterministic, kernels.benchmark = recipe.loop.deterministic, not recipe.loop.deterministic
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        kernels.deterministic, kernels.benchmark = before[1:]


def _fit(
    recipe: Recipe,
    train: Sequence[RetrievalSet] | None,
    validation: Sequence[RetrievalSet] | None,
    resume: bool,
    tell: _Tell,
    command: str,
    device: torch.device,
    processes: Processes,
) -> FitResult:
    folder = run_folder(recipe)
    _claim(folder, recipe, resume, processes)
    gathered = Gathered.by(recipe, train, validation)
    torch.manual_seed(recipe.loop.seed)
    matcher = built(recipe, gathered.corpus)
    sizes = Sizes(matcher.dim, teacher_dim(recipe))
    objective = Objective(recipe.loss, sizes).to(device)
    objective.check(matcher)
    needs = objective.needs | matcher.needs
    check_needs(needs, recipe)
    layout = torch.channels_last if recipe.loop.channels_last else torch.preserve_format
    matcher = matcher.to(device=device, memory_format=layout)  # type: ignore[call-overload]
    objective.attach(matcher)
    with in_turn(processes):
        data, sets = prepared(recipe, gathered, matcher, needs, device, _teller(tell, processes))
    feeder = Feeder(data, recipe, matcher, needs, processes)
    facts = _facts(recipe, gathered, matcher, sets, command)
    trainer = Trainer(matcher, objective, feeder, sets, recipe, folder, facts, device, processes, tell)
    if resume:
        trainer.resume()
    stopped = trainer.train()
    return _finished(trainer, recipe, facts, sets, stopped, device, processes)


def _claim(folder: Path, recipe: Recipe, resume: bool, processes: Processes) -> None:
    """Make the run's folder this run's, or say why it cannot be.

    Raises:
        TrainingError: It holds a run that is not to be resumed, or one of another recipe.
    """
    kept = folder / RECIPE_FILE
    complaint = _complaint(folder, kept, recipe, resume) if processes.first else None
    complaint = processes.told(complaint)
    if complaint:
        raise TrainingError(complaint)
    if processes.first:
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(kept, recipe_text(recipe).encode())
    processes.wait()


def _complaint(folder: Path, kept: Path, recipe: Recipe, resume: bool) -> str | None:
    for name in (BEST, LAST):
        recover(folder / name)
    if not (folder / LAST).is_dir() and not (folder / BEST).is_dir():
        return None
    if not resume:
        return f"{folder} already holds a run; go on with --resume, or choose another output.folder"
    changed = differences(read_recipe(kept), recipe) if kept.is_file() else []
    if not changed:
        return None
    return (
        f"The run in {folder} was made with another recipe: {', '.join(changed[:5])} differ; resume it with "
        f"{kept}, or choose another output.folder"
    )


def _teller(tell: _Tell, processes: Processes) -> Progress:
    def say(what: str, done: int, total: int) -> None:
        if processes.first:
            tell(TrainingProgress(what, done, total))

    return say


def _facts(
    recipe: Recipe, gathered: Gathered, matcher: Matcher, sets: Sequence[ValidationSet], command: str
) -> Facts:
    corpus, unpaired = gathered.corpus, gathered.unpaired
    trained, parameters = share_of(matcher)
    return Facts(
        trained_on=(*corpus.sets, *(unpaired.sets if unpaired else ())),
        images=len(corpus) + (len(unpaired) if unpaired else 0),
        captions=len(corpus.captions),
        left_out=gathered.left_out,
        set_aside=gathered.set_aside,
        chosen_by=tuple(found.title for found in sets),
        trained_parameters=trained,
        parameters=parameters,
        provenance=provenance(
            command or "landsift.train.fit", seed=recipe.loop.seed, packages=("safetensors",)
        ),
    )


def _finished(
    trainer: Trainer,
    recipe: Recipe,
    facts: Facts,
    sets: Sequence[ValidationSet],
    stopped: bool,
    device: torch.device,
    processes: Processes,
) -> FitResult:
    """Measure the best weights on the validation sets and write the model card."""
    position, best = trainer.position, trainer.folder / BEST
    reports: dict[str, CaptionSetReport] = {}
    if processes.first:
        matcher = read_matcher(best).to(device)
        reports = {found.title: full_report(matcher, found, device) for found in sets}
        scores = {title: _rounded(report) for title, report in reports.items()}
        # The weights stay as they are, so the entries of their files are taken over.
        table = read_card(best / CARD_NAME).extra["files"]
        write_card(best, card_fields(recipe, matcher, facts, scores), table)
        replace_file(best / RECIPE_FILE, recipe_text(recipe).encode())
        for path in (trainer.folder / PAGE_NAME, best / PAGE_NAME):
            write_page(path, recipe, facts, reports, position.history, position.best_epoch)
    reports = processes.told(reports)
    return FitResult(
        trainer.folder,
        best,
        position.best,
        position.best_epoch or position.epoch,
        position.step,
        stopped,
        position.history,
        reports,
        facts.trained_parameters,
        facts.parameters,
    )


def _rounded(report: CaptionSetReport) -> dict[str, float]:
    return {name: round(value, 2) for name, value in report.strict.as_dict().items() if "rank" not in name}
