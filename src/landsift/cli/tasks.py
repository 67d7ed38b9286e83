"""What ``landsift evaluate`` can do, one function a task; each parses, calls and returns a report.

Options that a task does not have are refused before anything long begins.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from landsift.cli.parse import parse_numbers
from landsift.cli.show import counting_bar, say
from landsift.errors import UsageError

if TYPE_CHECKING:
    from landsift.data import Dataset
    from landsift.evaluate import Report
    from landsift.types import RetrievalSet

__all__ = ["Asked", "folder_of_set", "load_set", "run_task"]


@dataclass(frozen=True)
class Asked:
    """The arguments and options of one ``landsift evaluate``, as typed; None where one was not given."""

    encoder: str
    dataset: str
    root: Path | None
    split: str | None
    task: str | None
    captions: str
    templates: str
    average: str | None
    semantic: bool
    rerank: str | None
    bank_split: str | None
    exclude: Path | None
    partial: bool
    coder: str | None
    bits: int | None
    robustness: bool
    on: str | None
    corruptions: str | None
    severities: str | None
    seed: int | None
    cost: bool
    plot: Path | None
    trec: Path | None
    clip_benchmark: Path | None
    command: str

    def given(self, *names: str) -> list[str]:
        """Those of some options that were given, spelt as they are typed."""
        values = {f"--{name.replace('_', '-')}": getattr(self, name) for name in names}
        return [option for option, value in values.items() if value is not None and value is not False]


_STRESS = {"robustness": "--robustness", "cost": "--cost"}
_OF_HASHING = ("coder", "bits")
_OF_ROBUSTNESS = ("on", "corruptions", "severities", "seed")
_OF_RETRIEVAL = ("semantic", "rerank", "bank_split", "trec", "clip_benchmark")


def run_task(asked: Asked) -> Report:
    """Do what was asked.

    Raises:
        UsageError: No such task, options that do not go together, or a set that does not fit the task.
    """
    task = _task(asked)
    if task == "selo":
        return _localization(asked)
    data = _data(asked, task)
    if not len(data.captions) and task in ("retrieval", "hashing"):
        raise UsageError(f"{data.name} has no captions; classify its images with --task zero-shot")
    task = task or ("retrieval" if len(data.captions) else "zero-shot")
    return _TASKS[task](asked, data)


def _task(asked: Asked) -> str | None:
    """The task that was named by ``--task`` or by an option of its own; None if the set is to decide."""
    if asked.task not in (None, *_NAMED):
        raise UsageError(
            f"--task is {', '.join(_NAMED[:-1])} or {_NAMED[-1]}, got {asked.task!r}; choose one"
        )
    stress = [name for name in _STRESS if getattr(asked, name)]
    if len(stress) > 1:
        raise UsageError("--robustness and --cost are two runs; ask for one at a time")
    task = stress[0] if stress else asked.task
    if stress and asked.task not in (None, "retrieval"):
        raise UsageError(f"{_STRESS[stress[0]]} is not for --task {asked.task}; leave one of them out")
    if task != "hashing" and asked.given(*_OF_HASHING):
        raise UsageError("--coder and --bits belong to --task hashing; add it, or leave them out")
    if task != "robustness" and (odd := asked.given(*_OF_ROBUSTNESS)):
        raise UsageError(f"{odd[0]} belongs to --robustness; add it, or leave {odd[0]} out")
    return task


def _refuse(asked: Asked, what: str, *names: str) -> None:
    """Refuse options that a task does not have."""
    wrong = asked.given(*names)
    if wrong:
        raise UsageError(f"{what} has no {wrong[0]}; leave it out")


def _data(asked: Asked, task: str | None) -> RetrievalSet:
    from landsift.data import read_exclusions, without

    # the hashing papers split a whole set anew
    split = "all" if task == "hashing" and asked.split is None else asked.split
    data = load_set(asked.dataset, asked.root, split, partial=asked.partial)
    return data if asked.exclude is None else without(data, read_exclusions(asked.exclude))


def _bank(asked: Asked) -> RetrievalSet | None:
    """The untested queries that a re-ranker compares with."""
    if asked.bank_split is None:
        return None
    return load_set(asked.dataset, asked.root, asked.bank_split, partial=asked.partial)


def _retrieval(asked: Asked, data: RetrievalSet) -> Report:
    from landsift.encoders import load_encoder, scores_pairs
    from landsift.evaluate import encode_set, evaluate_encoded, write_trec
    from landsift.files import replace_file

    bank = _bank(asked)
    if scores_pairs(asked.encoder):
        return _pairs(asked, data, bank)
    model = load_encoder(asked.encoder)
    with counting_bar("encoding") as tell:
        encoded = encode_set(model, data, caption_style=asked.captions, progress=tell)
    others = None if bank is None else encode_set(model, bank, caption_style=asked.captions)
    report = evaluate_encoded(
        model.card,
        data,
        encoded,
        caption_style=asked.captions,
        semantic=asked.semantic,
        rerank=asked.rerank,
        bank=others,
        bank_name="" if bank is None else f"{bank.name}/{bank.split}",
        command=asked.command,
    )
    for path in write_trec(asked.trec, model.card.name, data, encoded) if asked.trec else ():
        say(f"Wrote {path}.")
    if asked.clip_benchmark is not None:
        replace_file(asked.clip_benchmark, json.dumps(report.clip_benchmark(), indent=2).encode())
        say(f"Wrote {asked.clip_benchmark}.")
    return report


def _pairs(asked: Asked, data: RetrievalSet, bank: RetrievalSet | None) -> Report:
    """Retrieval by a method that judges pairs."""
    from landsift.encoders import load_scorer
    from landsift.evaluate import evaluate_pairs

    _needs_vectors(asked, *asked.given("trec", "clip_benchmark"))
    return evaluate_pairs(
        load_scorer(asked.encoder),
        data,
        caption_style=asked.captions,
        semantic=asked.semantic,
        rerank=asked.rerank,
        bank=bank,
        command=asked.command,
    )


def _needs_vectors(asked: Asked, *wrong: str) -> None:
    if wrong:
        raise UsageError(f"{asked.encoder} scores pairs and has no vectors; leave {wrong[0]} out")


def _zero_shot(asked: Asked, data: RetrievalSet) -> Report:
    from landsift.encoders import load_encoder, scores_pairs
    from landsift.evaluate import zero_shot

    if scores_pairs(asked.encoder):
        _needs_vectors(asked, "--task")
    return zero_shot(
        load_encoder(asked.encoder),
        data,
        templates=asked.templates,
        average=asked.average,
        command=asked.command,
    )


def _hashing(asked: Asked, data: RetrievalSet) -> Report:
    from landsift.encoders import load_encoder, scores_pairs
    from landsift.evaluate import evaluate_hashing

    if scores_pairs(asked.encoder):
        _needs_vectors(asked, "--task")
    _refuse(asked, "--task hashing", "rerank", "trec", "clip_benchmark", "plot")
    with counting_bar("encoding") as tell:
        return evaluate_hashing(
            load_encoder(asked.encoder),
            data,
            coder=asked.coder or "auto",
            bits=asked.bits or 128,
            progress=tell,
            command=asked.command,
        )


def _robustness(asked: Asked, data: RetrievalSet) -> Report:
    from landsift.encoders import load_encoder, load_scorer, scores_pairs
    from landsift.evaluate import evaluate_robustness, robustness_of_pairs

    _refuse(asked, "--robustness", *_OF_RETRIEVAL)
    levels = parse_numbers(asked.severities, "--severities", "1,3,5")
    names = None if asked.corruptions is None else asked.corruptions.split(",")
    chosen: dict[str, Any] = {} if levels is None else {"severities": levels}
    with counting_bar("encoding") as tell:
        options = chosen | {
            "corruptions": names,
            "on": asked.on or "both",
            "seed": asked.seed or 0,
            "caption_style": asked.captions,
            "progress": tell,
            "command": asked.command,
        }
        if scores_pairs(asked.encoder):
            return robustness_of_pairs(load_scorer(asked.encoder), data, **options)
        return evaluate_robustness(load_encoder(asked.encoder), data, **options)


def _cost(asked: Asked, data: RetrievalSet) -> Report:
    from landsift.encoders import load_encoder, load_scorer, scores_pairs
    from landsift.evaluate import evaluate_cost

    _refuse(asked, "--cost", *_OF_RETRIEVAL, "plot")
    load = load_scorer if scores_pairs(asked.encoder) else load_encoder
    return evaluate_cost(load(asked.encoder), data, source=asked.encoder, command=asked.command)


def _localization(asked: Asked) -> Report:
    """The heat maps of an encoder, judged on a folder of AIR-SLT."""
    from landsift.data.air_slt import load_air_slt
    from landsift.encoders import load_encoder
    from landsift.files import cache_folder
    from landsift.localize import judge

    _refuse(asked, "--task selo", "plot")
    encoder = load_encoder(asked.encoder)
    cases = load_air_slt(asked.root or Path(asked.dataset))
    with counting_bar("looking") as tell:
        cache = cache_folder() / "windows"
        return judge(encoder, cases, cache=cache, progress=tell, command=asked.command)


_TASKS: Mapping[str, Callable[[Asked, RetrievalSet], Report]] = {
    "retrieval": _retrieval,
    "zero-shot": _zero_shot,
    "hashing": _hashing,
    "robustness": _robustness,
    "cost": _cost,
}
_NAMED = ("retrieval", "zero-shot", "hashing", "selo")
"""What ``--task`` may say."""


def load_set(name: str, root: Path | None, split: str | None, *, partial: bool = False) -> RetrievalSet:
    """A set of the table, a folder of class folders, or a caption file of the user's own."""
    from landsift.data import find_dataset, load_captions, load_classes, load_dataset, locate_dataset

    path = Path(name)
    if path.is_dir():
        return load_classes(path)
    if path.suffix.lower() in (".csv", ".tsv", ".jsonl", ".json") and path.is_file():
        return load_captions(root or path.parent, path, None if split == "all" else split)
    row = find_dataset(name)
    folder = folder_of_set(row, root)
    splits = locate_dataset(name, folder).splits if not row.streamed else []
    chosen = split or ("test" if "test" in splits or not splits else splits[-1])
    return load_dataset(name, folder, chosen, partial=partial)


def folder_of_set(row: Dataset, root: Path | None) -> Path:
    """The folder given, or the one of LANDSIFT_DATA that carries the set's name."""
    if root is not None:
        return root
    base = os.environ.get("LANDSIFT_DATA")
    if base:
        for name in (row.name, *row.aliases):
            for candidate in (Path(base) / name, Path(base) / name.replace("-", "_")):
                if candidate.is_dir():
                    return candidate
    raise UsageError(
        f"Give the folder of {row.name} with --root, or set LANDSIFT_DATA to the folder that holds it"
    )
