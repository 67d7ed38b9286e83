"""Scores of an encoder on a data set, under one protocol that every report writes down.

Encodes each image and caption once and hands the vectors to :mod:`landsift.metrics`. Knows encoders only
by their protocol, and no model.
"""

from __future__ import annotations

from landsift.evaluate.change import ChangeReport, evaluate_changes, false_negative_facts
from landsift.evaluate.consistency import semantic_consistency
from landsift.evaluate.cost import evaluate_cost
from landsift.evaluate.hashing import evaluate_hashing
from landsift.evaluate.leaderboard import (
    FLAG_MEANINGS,
    LeaderboardRow,
    leaderboard,
    leaderboard_markdown,
    read_reports,
)
from landsift.evaluate.printed import beside_printed
from landsift.evaluate.report import Report, read_report
from landsift.evaluate.retrieval import encode_set, evaluate, evaluate_encoded, evaluate_pairs, write_trec
from landsift.evaluate.robustness import evaluate_robustness, robustness_of_pairs
from landsift.evaluate.zero_shot import zero_shot

__all__ = [
    "FLAG_MEANINGS",
    "ChangeReport",
    "LeaderboardRow",
    "Report",
    "beside_printed",
    "encode_set",
    "evaluate",
    "evaluate_changes",
    "evaluate_cost",
    "evaluate_encoded",
    "evaluate_hashing",
    "evaluate_pairs",
    "evaluate_robustness",
    "false_negative_facts",
    "leaderboard",
    "leaderboard_markdown",
    "read_report",
    "read_reports",
    "robustness_of_pairs",
    "semantic_consistency",
    "write_trec",
    "zero_shot",
]
