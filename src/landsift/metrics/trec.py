"""TREC run and qrels lines, in and out, so that any retrieval tool can score a run and ours can score theirs.

Knows names, ranks and scores; reads and writes iterables of lines, not files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from landsift.errors import UsageError
from landsift.metrics.positives import Positives
from landsift.metrics.scores import Scores, as_scores
from landsift.types import FloatArray

__all__ = ["qrels_lines", "run_lines", "scores_of_run", "trec_name"]


def trec_name(name: str) -> str:
    """A name without spaces, as TREC lines need: spaces and ``%`` become ``%20`` and ``%25``."""
    return quote(name, safe="/:._-+,()[]~!@&=")


def run_lines(
    scores: Scores | NDArray[np.floating],
    queries: Sequence[str],
    items: Sequence[str],
    tag: str,
    depth: int = 1000,
) -> Iterator[str]:
    """Yield ``query Q0 item rank score tag``, best first, ``depth`` items a query.

    Args:
        scores: ``(queries, items)``.
        queries: Names of the queries.
        items: Names of the items.
        tag: Name of the run.
        depth: Items per query; evaluators cannot tell the ones beyond from wrong.
    """
    query_names, item_names = [*map(trec_name, queries)], [*map(trec_name, items)]
    for first, block in as_scores(scores).blocks():
        for query, row in enumerate(block, first):
            best = np.argsort(-row, kind="stable")[:depth]
            for rank, item in enumerate(best, 1):
                yield f"{query_names[query]} Q0 {item_names[item]} {rank} {row[item]:.9g} {trec_name(tag)}"


def qrels_lines(positives: Positives, queries: Sequence[str], items: Sequence[str]) -> Iterator[str]:
    """Yield ``query 0 item 1`` for every right answer."""
    for query in range(positives.n_queries):
        for item in positives.of(query):
            yield f"{trec_name(queries[query])} 0 {trec_name(items[item])} 1"


def scores_of_run(lines: Iterable[str], queries: Sequence[str], items: Sequence[str]) -> FloatArray:
    """Read a run into a score matrix; items a query does not list score ``-inf``, all tied.

    Args:
        lines: Of a run; the rank column is ignored, as TREC evaluators do.
        queries: Names of the queries, in row order.
        items: Names of the items, in column order.

    Returns:
        ``(queries, items)`` float32.

    Raises:
        UsageError: A line without six fields or a score, or a name that the set does not have.
    """
    rows = {trec_name(name): row for row, name in enumerate(queries)}
    columns = {trec_name(name): column for column, name in enumerate(items)}
    scores = np.full((len(queries), len(items)), -np.inf, np.float32)
    for number, line in enumerate(lines, 1):
        fields = line.split()
        if not fields:
            continue
        try:
            query, _, item, _, score, _ = fields
            scores[rows[query], columns[item]] = float(score)
        except ValueError as error:
            raise UsageError(
                f"Line {number} of the run is not 'query Q0 item rank score tag'; mend it."
            ) from error
        except KeyError as error:
            raise UsageError(
                f"Line {number} of the run names {error}, which the set does not have."
            ) from error
    return scores
