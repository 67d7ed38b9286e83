"""Commands on data sets and scores: evaluate, leaderboard, datasets check, datasets overlap."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from landsift.cli import options as o
from landsift.cli.show import complain, counting_bar, print_json, print_rows, say
from landsift.errors import UsageError

if TYPE_CHECKING:
    from landsift.data import Dataset, Exclusions, Overlap
    from landsift.evaluate import Report
    from landsift.types import Encoder, RetrievalSet

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(evaluate)
    app.command()(leaderboard)
    datasets = typer.Typer(help="Check and compare data sets.", no_args_is_help=True)
    datasets.command("check")(check)
    datasets.command("overlap")(overlap)
    app.add_typer(datasets, name="datasets")


def evaluate(
    encoder: o.EncoderName,
    dataset: o.DatasetOrFolder,
    root: o.Root = None,
    split: o.Split = None,
    task: o.Task = None,
    captions: o.CaptionStyle = "raw",
    templates: o.TemplateFamily = "remoteclip",
    average: o.TemplateAverage = None,
    semantic: o.Semantic = False,
    rerank: o.Rerank = None,
    bank_split: o.BankSplit = None,
    exclude: o.Exclude = None,
    partial: o.Partial = False,
    coder: o.CoderName = None,
    bits: o.Bits = None,
    json_file: o.JsonFile = None,
    markdown: o.Markdown = False,
    plot: o.PlotFile = None,
    trec: o.RunFile = None,
    clip_benchmark: o.ClipBenchmarkFile = None,
) -> None:
    """Score an encoder on a data set: the papers' table, then what they leave out."""
    from landsift.data import read_exclusions, without
    from landsift.encoders import load_encoder, load_scorer, scores_pairs
    from landsift.evaluate import (
        encode_set,
        evaluate_encoded,
        evaluate_hashing,
        evaluate_pairs,
        write_trec,
        zero_shot,
    )
    from landsift.files import replace_file

    command = " ".join(["landsift", *sys.argv[1:]])
    if task == "selo":
        _show(_located(load_encoder(encoder), root or Path(dataset), command), markdown, json_file, None)
        return
    if task == "hashing" and split is None:
        split = "all"  # the hashing papers split a whole set anew
    data = _load(dataset, root, split, partial=partial)
    if exclude is not None:
        data = without(data, read_exclusions(exclude))
    bank = _load(dataset, root, bank_split, partial=partial) if bank_split else None
    if not len(data.captions) and task in ("retrieval", "hashing"):
        raise UsageError(f"{data.name} has no captions; classify its images with --task zero-shot")
    if task != "hashing" and (coder is not None or bits is not None):
        raise UsageError("--coder and --bits belong to --task hashing; add it, or leave them out")
    task = task or ("retrieval" if len(data.captions) else "zero-shot")
    if scores_pairs(encoder):
        unfit = {"--trec": trec, "--clip-benchmark": clip_benchmark}
        wrong = [name for name, value in unfit.items() if value is not None]
        if wrong or task != "retrieval":
            raise UsageError(
                f"{encoder} scores pairs and has no vectors; leave {(wrong or ['--task'])[0]} out"
            )
        scorer = load_scorer(encoder)
        report = evaluate_pairs(
            scorer,
            data,
            caption_style=captions,
            semantic=semantic,
            rerank=rerank,
            bank=bank,
            command=command,
        )
    elif task == "retrieval":
        model = load_encoder(encoder)
        with counting_bar("encoding") as tell:
            encoded = encode_set(model, data, caption_style=captions, progress=tell)
        others = None if bank is None else encode_set(model, bank, caption_style=captions)
        report = evaluate_encoded(
            model.card,
            data,
            encoded,
            caption_style=captions,
            semantic=semantic,
            rerank=rerank,
            bank=others,
            bank_name="" if bank is None else f"{bank.name}/{bank.split}",
            command=command,
        )
        for path in write_trec(trec, model.card.name, data, encoded) if trec else ():
            say(f"Wrote {path}.")
        if clip_benchmark is not None:
            replace_file(clip_benchmark, json.dumps(report.clip_benchmark(), indent=2).encode())
            say(f"Wrote {clip_benchmark}.")
    elif task == "zero-shot":
        report = zero_shot(load_encoder(encoder), data, templates=templates, average=average, command=command)
    elif task == "hashing":
        files = {"--trec": trec, "--clip-benchmark": clip_benchmark, "--plot": plot}
        given = {"--rerank": rerank, **files}
        wrong = [name for name, value in given.items() if value is not None]
        if wrong:
            raise UsageError(f"--task hashing has no {wrong[0]}; leave it out")
        with counting_bar("encoding") as tell:
            model, kind = load_encoder(encoder), coder or "auto"
            report = evaluate_hashing(
                model, data, coder=kind, bits=bits or 128, progress=tell, command=command
            )
    else:
        raise UsageError(f"--task is retrieval, zero-shot, hashing or selo, got {task!r}; choose one")
    _show(report, markdown, json_file, plot)


def _located(encoder: Encoder, folder: Path, command: str) -> Report:
    """The heat maps of an encoder, judged on a folder of AIR-SLT."""
    from landsift.data.air_slt import load_air_slt
    from landsift.files import cache_folder
    from landsift.localize import judge

    cases = load_air_slt(folder)
    with counting_bar("looking") as tell:
        return judge(encoder, cases, cache=cache_folder() / "windows", progress=tell, command=command)


def _show(report: Report, markdown: bool, json_file: Path | None, plot: Path | None) -> None:
    """Print a report, and write what else was asked for."""
    from landsift.evaluate import beside_printed

    if markdown:
        print(report.markdown())
    else:
        print_rows(report.title, *report.table())
        for fact in (*report.facts(), *beside_printed(report)):
            print(fact)
    if json_file is not None:
        report.save(json_file)
        say(f"Wrote {json_file}.")
    if plot is not None:
        from landsift.plot import save_report_figure

        save_report_figure(plot, report)
        say(f"Wrote {plot}.")


def leaderboard(dataset: o.DatasetName, results: o.Results = None, markdown: o.Markdown = False) -> None:
    """Our runs on a data set beside the published ones, each with the protocol behind it."""
    from landsift.evaluate import FLAG_MEANINGS, leaderboard_markdown, read_reports
    from landsift.evaluate import leaderboard as board

    rows = board(dataset, read_reports(results or [Path("benchmarks/results")]))
    if not rows:
        say(
            f"Nobody has published scores on {dataset} that are known here, and there are no reports of ours."
        )
        return
    if markdown:
        print(leaderboard_markdown(dataset, rows))
        return
    headings = ["method", "backbone", "i2t R@1", "R@5", "R@10", "t2i R@1", "R@5", "R@10"]
    headings += ["mR", "recomputed", "protocol"]
    cells = [
        [
            f"{row.method} (ours)" if row.ours else row.method,
            row.backbone,
            *([f"{value:.2f}" for value in row.recalls] or [""] * 6),
            "" if row.mR is None else f"{row.mR:.2f}",
            "" if row.recomputed_mR is None else f"{row.recomputed_mR:.2f}",
            ", ".join(row.flags),
        ]
        for row in rows
    ]
    print_rows(f"Leaderboard of {dataset}", headings, cells)
    used = {flag for row in rows for flag in row.flags}
    for flag, meaning in FLAG_MEANINGS.items():
        if flag in used:
            print(f"{flag}: {meaning}.")


def check(dataset: o.DatasetName, root: o.Root = None, as_json: o.AsJson = False) -> None:
    """Say in sentences what is missing from, or wrong with, a copy of a data set."""
    from landsift.data import check_dataset, find_dataset

    sentences = check_dataset(dataset, _root_of(find_dataset(dataset), root))
    if as_json:
        print_json({"dataset": dataset, "problems": sentences})
    for sentence in sentences:
        complain(sentence)
    if sentences:
        raise typer.Exit(1)
    say(f"{dataset}: complete, every image opens.")


def overlap(
    dataset: o.DatasetName,
    other: o.OtherDataset,
    root: o.Root = None,
    split: o.Split = None,
    other_root: o.OtherRoot = None,
    other_split: o.OtherSplit = "train",
    captions_only: o.CaptionsOnly = False,
    write: o.Write = None,
    as_json: o.AsJson = False,
) -> None:
    """Find what an evaluated set shares with a training set: captions and pictures."""
    from landsift.data import exclusions_of, find_overlap, write_exclusions

    evaluated, trained = _load(dataset, root, split), _load(other, other_root, other_split)
    found = (
        find_overlap(evaluated, trained, distance=None) if captions_only else find_overlap(evaluated, trained)
    )
    listed = exclusions_of(found, evaluated, trained)
    if as_json:
        print_json(_overlap_facts(found, listed))
    else:
        for sentence in _overlap_sentences(found, listed):
            print(sentence)
    if write is not None:
        write_exclusions(write, listed)
        say(f"Wrote {write}.")


def _overlap_facts(found: Overlap, listed: Exclusions) -> dict[str, object]:
    return {
        "evaluated": found.evaluated,
        "trained": found.trained,
        "captions": found.captions,
        "exact_captions": found.exact_captions,
        "near_captions": found.near_captions,
        "images_sharing_a_caption": found.images_sharing(1),
        "images_sharing_two_captions": found.images_sharing(2),
        "same_pictures": None if found.pictures is None else len(found.pictures),
        "rule": listed.rule,
        "leave_out": dict(listed.images),
    }


def _overlap_sentences(found: Overlap, listed: Exclusions) -> list[str]:
    lines = [
        f"{found.evaluated} against {found.trained}:",
        f"Of {found.captions:,} captions, {found.exact_captions:,} stand there word for word and "
        f"{found.near_captions:,} nearly so.",
        f"{found.images_sharing(1):,} images share a caption with one image there, "
        f"{found.images_sharing(2):,} share two or more.",
    ]
    if found.pictures is not None:
        lines.append(f"{len(found.pictures):,} pairs of pictures look alike.")
    lines.append(f"{len(listed.images):,} images should be left out of training ({listed.rule}).")
    return lines


def _load(name: str, root: Path | None, split: str | None, *, partial: bool = False) -> RetrievalSet:
    """A set of the table, a folder of class folders, or a caption file of the user's own."""
    from landsift.data import find_dataset, load_captions, load_classes, load_dataset, locate_dataset

    path = Path(name)
    if path.is_dir():
        return load_classes(path)
    if path.suffix.lower() in (".csv", ".tsv", ".jsonl", ".json") and path.is_file():
        return load_captions(root or path.parent, path, None if split == "all" else split)
    row = find_dataset(name)
    folder = _root_of(row, root)
    splits = locate_dataset(name, folder).splits if not row.streamed else []
    chosen = split or ("test" if "test" in splits or not splits else splits[-1])
    return load_dataset(name, folder, chosen, partial=partial)


def _root_of(row: Dataset, root: Path | None) -> Path:
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
