"""``landsift evaluate-changes``: how well a trained change model finds, writes and marks what changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated as An

import typer
from typer import Argument, Option

from landsift.cli.options import AsJson
from landsift.cli.show import print_json, print_rows, say
from landsift.errors import need

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("evaluate-changes")(evaluate_changes)


def evaluate_changes(
    model: An[Path, Argument(metavar="MODEL", help="Folder of a trained change model: best/ of its run.")],
    name: An[str, Argument(metavar="SET", help="A set of two dates, such as levir-cc.")],
    root: An[Path, Argument(metavar="ROOT", help="Its folder.")],
    split: An[str, Option(help="Its split; with -changed behind it, the pairs that changed alone.")] = "test",
    partial: An[bool, Option("--partial", help="Leave out pairs whose pictures are absent.")] = False,
    similarity: An[
        float, Option(metavar="S", help="Share of common words from which two captions mean the same.")
    ] = 1.0,
    beams: An[int, Option(min=1, help="Beginnings kept while a caption is written.")] = 1,
    write: An[bool, Option("--captions/--no-captions", help="Write and score captions too.")] = True,
    meteor: An[
        bool | None, Option("--meteor/--no-meteor", help="Score METEOR; by default where there is Java.")
    ] = None,
    out: An[
        Path | None, Option("--output", "-o", metavar="F", help="Write scores and captions as JSON.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Score a change model: text to pair on all and on changed pairs, captions, masks, direction of time."""
    need("torch", extra="torch")
    from landsift.data import load_changes
    from landsift.evaluate.change import evaluate_changes as run
    from landsift.models.change import load_change_model

    found = load_changes(name, root, split, partial=partial)
    report = run(
        load_change_model(model), found, similarity=similarity, write=write, beams=beams, meteor=meteor
    )
    tables = report.tables()
    facts = {"set": report.name, "split": report.split, "pairs": len(found), "scores": tables}
    if out is not None:
        captions = {
            pair.name: text
            for pair, text in zip((p for p in found.pairs if p.captions), report.written, strict=False)
        }
        out.write_text(json.dumps({**facts, "captions": captions}, indent=1) + "\n", encoding="utf-8")
        say(f"Wrote {out}.")
    if as_json:
        print_json(facts)
        return
    for title, values in tables.items():
        print_rows(title, list(values), [[f"{value:.2f}" for value in values.values()]])
