"""An evaluation beside what the encoder's authors printed for the same set.

Knows cards and reports; scores nothing.
"""

from __future__ import annotations

from landsift.encoders.cards import builtin_card, builtin_names
from landsift.evaluate.report import Report

__all__ = ["beside_printed"]

_WITHIN = 0.5
_FIGURES = ("mR", "accuracy")


def beside_printed(report: Report) -> list[str]:
    """Sentences that compare a report with the published numbers of its encoder's card; none where it has
    none.

    Args:
        report: Of ``landsift.evaluate``; retrieval is compared by its mR under the standard protocol, where
            equal captions of other images count as wrong.
    """
    if report.model["name"] not in builtin_names():
        return []
    card = builtin_card(report.model["name"])
    where = report.dataset["split"] if report.task == "retrieval" else report.task
    printed = card.extra.get("published", {}).get(f"{report.dataset['name']}/{where}", {})
    scores = report.scores.get("strict", report.scores)
    found = []
    for figure in _FIGURES:
        if figure not in printed or figure not in scores:
            continue
        ours, theirs = float(scores[figure]), float(printed[figure])
        near = abs(ours - theirs) <= _WITHIN
        found.append(
            f"Its authors printed {figure} {theirs:.2f}; here it is {ours:.2f} ({ours - theirs:+.2f}), "
            f"which is {'within' if near else 'not within'} {_WITHIN} of it."
        )
    return found
