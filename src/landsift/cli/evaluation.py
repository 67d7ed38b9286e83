"""Commands on data sets and scores: evaluate, leaderboard, datasets check, datasets overlap."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from landsift.cli import options as o
from landsift.cli.show import complain, print_json, print_rows, say
from landsift.cli.tasks import Asked, folder_of_set, load_set, run_task

if TYPE_CHECKING:
    from landsift.data import Exclusions, Overlap
    from landsift.evaluate import Report

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
    robustness: o.Robustness = False,
    on: o.SpoiltSide = None,
    corruptions: o.Corruptions = None,
    severities: o.Severities = None,
    seed: o.Chance = None,
    cost: o.Cost = False,
    json_file: o.JsonFile = None,
    markdown: o.Markdown = False,
    plot: o.PlotFile = None,
    trec: o.RunFile = None,
    clip_benchmark: o.ClipBenchmarkFile = None,
) -> None:
    """Score an encoder on a data set: the papers' table, then what they leave out."""
    asked = Asked(
        encoder=encoder,
        dataset=dataset,
        root=root,
        split=split,
        task=task,
        captions=captions,
        templates=templates,
        average=average,
        semantic=semantic,
        rerank=rerank,
        bank_split=bank_split,
        exclude=exclude,
        partial=partial,
        coder=coder,
        bits=bits,
        robustness=robustness,
        on=on,
        corruptions=corruptions,
        severities=severities,
        seed=seed,
        cost=cost,
        plot=plot,
        trec=trec,
        clip_benchmark=clip_benchmark,
        command=" ".join(["landsift", *sys.argv[1:]]),
    )
    _show(run_task(asked), markdown, json_file, plot)


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

    sentences = check_dataset(dataset, folder_of_set(find_dataset(dataset), root))
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

    evaluated, trained = load_set(dataset, root, split), load_set(other, other_root, other_split)
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
