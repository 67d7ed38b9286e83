"""The card of a trained encoder: for machines as TOML, for people as Markdown.

Knows what a run did; writes it down.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from landsift.encoders.cards import CARD_NAME, combined_hash
from landsift.files import replace_file
from landsift.metrics import CaptionSetReport
from landsift.models.matcher import Matcher
from landsift.toml import toml_text
from landsift.train.reading import recipe_hash
from landsift.train.recipe import Recipe

__all__ = ["PAGE_NAME", "Facts", "card_fields", "write_card", "write_page"]

PAGE_NAME = "README.md"


@dataclass(frozen=True)
class Facts:
    """What a run can say of itself.

    Attributes:
        trained_on: ``name/split`` of the sets.
        images: Pictures trained on.
        captions: Captions trained on.
        left_out: Images left out because a set to be scored shows them, by pair of sets.
        set_aside: Images set aside for validation.
        chosen_by: ``name/split`` of the validation sets.
        trained_parameters: Numbers that trained.
        parameters: Numbers in the model.
        provenance: Commit, machine, versions, command.
    """

    trained_on: tuple[str, ...] = ()
    images: int = 0
    captions: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)
    set_aside: int = 0
    chosen_by: tuple[str, ...] = ()
    trained_parameters: int = 0
    parameters: int = 0
    provenance: Mapping[str, Any] = field(default_factory=dict)


def card_fields(
    recipe: Recipe, matcher: Matcher, facts: Facts, scores: Mapping[str, Mapping[str, float]]
) -> dict[str, Any]:
    """All fields of the card but those of its files."""
    return {
        "name": recipe.name,
        "backend": "torch",
        "dim": matcher.dim,
        "input_size": matcher.input_size,
        "context_length": matcher.context_length,
        "exact_index": matcher.exact_index,
        **({"code_bits": matcher.code_bits} if matcher.code_bits else {}),
        "description": recipe.description or f"{recipe.model.name}, trained with Landsift.",
        "licence": recipe.output.licence,
        "licence_note": recipe.output.licence_note,
        "citation": recipe.output.citation,
        "trained_on": list(facts.trained_on),
        "scores": {name: dict(values) for name, values in scores.items()},
        "data": {
            "images": facts.images,
            "captions": facts.captions,
            "set_aside": facts.set_aside,
            "chosen_by": list(facts.chosen_by),
            "left_out": dict(facts.left_out),
        },
        "recipe": {"hash": recipe_hash(recipe), "method": recipe.model.name, "seed": recipe.loop.seed},
        "provenance": _flat(facts.provenance),
    }


def _flat(provenance: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in provenance.items() if not isinstance(value, Mapping)}


def write_card(folder: Path, fields: Mapping[str, Any], table: Mapping[str, Mapping[str, Any]]) -> None:
    """Write the card of a checkpoint beside its files.

    Args:
        folder: Of the checkpoint.
        fields: Of :func:`card_fields`.
        table: Its files, as :func:`landsift.models.checkpoint.write_matcher` gave them.
    """
    hashes = {name: entry["sha256"] for name, entry in table.items()}
    whole = {**fields, "weights_sha256": combined_hash(hashes), "files": dict(table)}
    replace_file(folder / CARD_NAME, toml_text(whole).encode())


def write_page(
    path: Path,
    recipe: Recipe,
    facts: Facts,
    reports: Mapping[str, CaptionSetReport],
    history: Sequence[Mapping[str, float]],
    best_epoch: int,
) -> None:
    """Write the model card for people."""
    lines = [
        f"# {recipe.name}",
        "",
        recipe.description or f"A {recipe.model.name} model, trained with Landsift.",
        "",
    ]
    lines += ["## How it scores", "", *_scores(reports), ""]
    lines += ["## What it has seen", "", *_data(facts), ""]
    lines += ["## How it was made", "", *_making(recipe, facts, history, best_epoch), ""]
    if recipe.output.licence_note or recipe.output.licence != "not stated":
        lines += ["## Licence", "", f"{recipe.output.licence}. {recipe.output.licence_note}".rstrip(), ""]
    replace_file(path, "\n".join(lines).encode())


_SHOWN = ("i2t_R@1", "i2t_R@5", "i2t_R@10", "t2i_R@1", "t2i_R@5", "t2i_R@10", "mR")


def _scores(reports: Mapping[str, CaptionSetReport]) -> list[str]:
    if not reports:
        return ["It was not validated: these are the weights of the last pass."]
    lines = [
        "Recall in percent with 95 % intervals, on the sets that chose the weights; a test may give less.",
        "",
    ]
    lines += [f"| set | {' | '.join(_SHOWN)} |", "|---" * (1 + len(_SHOWN)) + "|"]
    for title, report in reports.items():
        cells = [
            f"{report.intervals[name].value:.2f} ({report.intervals[name].low:.1f} to "
            f"{report.intervals[name].high:.1f})"
            for name in _SHOWN
        ]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return lines


def _data(facts: Facts) -> list[str]:
    lines = [f"- {facts.images:,} images with {facts.captions:,} captions of {', '.join(facts.trained_on)}."]
    for pair, count in facts.left_out.items():
        trained, _, scored = pair.partition(" | ")
        lines.append(f"- {count:,} images of {trained} were left out because {scored} shows them too.")
    if facts.set_aside:
        lines.append(f"- {facts.set_aside:,} images were set aside to choose the weights by.")
    return lines


def _making(
    recipe: Recipe, facts: Facts, history: Sequence[Mapping[str, float]], best_epoch: int
) -> list[str]:
    made = facts.provenance
    share = facts.trained_parameters / max(1, facts.parameters)
    lines = [
        f"- Recipe {recipe_hash(recipe)} (`resolved.toml` beside this page), seed {recipe.loop.seed}.",
        f"- {facts.trained_parameters:,} of {facts.parameters:,} parameters trained ({share:.1%}).",
        f"- {len(history)} passes"
        + (f"; the weights are those of pass {best_epoch}." if best_epoch else "."),
    ]
    if made:
        machine = made.get("machine", {})
        lines.append(
            f"- `{made.get('command')}` on {machine.get('processor')}, {str(made.get('date'))[:10]}."
        )
        lines.append(f"- Commit {made.get('commit') or 'unknown'}.")
    return lines
