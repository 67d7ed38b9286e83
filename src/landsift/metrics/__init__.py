"""Metrics of retrieval: functions of arrays, in numpy alone.

This room knows no files and no models. Every value is written so that ties count as their
expectation over random orders; see :mod:`landsift.metrics.ranks`.
"""

from __future__ import annotations

from landsift.metrics.average_precision import AP_KINDS, average_precision, mean_average_precision, ndcg
from landsift.metrics.bootstrap import Difference, Interval, bootstrap_intervals, paired_bootstrap
from landsift.metrics.caption_set import (
    CaptionSetReport,
    evaluate_scores,
    evaluate_vectors,
)
from landsift.metrics.caption_similarity import caption_relevance
from landsift.metrics.captioning import CaptionScores, caption_scores, no_change_accuracy, rouge_l
from landsift.metrics.ceiling import Ceiling, retrieval_ceiling
from landsift.metrics.change_detection import DetectionScores, change_confusion, detection_scores
from landsift.metrics.change_hybrids import HybridScores, RetrievedContent, hybrid_scores, retrieved_content
from landsift.metrics.change_retrieval import (
    ChangeRetrieval,
    change_relevance,
    change_retrieval,
    direction_accuracy,
)
from landsift.metrics.classification import ClassificationReport, class_vectors, classification_report
from landsift.metrics.hashing import (
    CodeScores,
    Lookup,
    code_scores,
    hamming_distances,
    pack_bits,
    radius_lookup,
    same_class,
    signs_of,
)
from landsift.metrics.positives import Positives, caption_positives
from landsift.metrics.precision import expected_hits, r_precision, scene_recall
from landsift.metrics.ranks import Ranks, ranks, recall_at_k
from landsift.metrics.rerank import RERANKERS, Reranker, csls, dual_softmax, find_reranker, query_bank
from landsift.metrics.retrieval import (
    Direction,
    RetrievalReport,
    report_of_scores,
    retrieval_ranks,
    retrieval_report,
)
from landsift.metrics.scores import MatrixScores, Scores, VectorScores
from landsift.metrics.trec import qrels_lines, run_lines, scores_of_run

__all__ = [
    "AP_KINDS",
    "RERANKERS",
    "CaptionScores",
    "CaptionSetReport",
    "Ceiling",
    "ChangeRetrieval",
    "ClassificationReport",
    "CodeScores",
    "DetectionScores",
    "Difference",
    "Direction",
    "HybridScores",
    "Interval",
    "Lookup",
    "MatrixScores",
    "Positives",
    "Ranks",
    "Reranker",
    "RetrievalReport",
    "RetrievedContent",
    "Scores",
    "VectorScores",
    "average_precision",
    "bootstrap_intervals",
    "caption_positives",
    "caption_relevance",
    "caption_scores",
    "change_confusion",
    "change_relevance",
    "change_retrieval",
    "class_vectors",
    "classification_report",
    "code_scores",
    "csls",
    "detection_scores",
    "direction_accuracy",
    "dual_softmax",
    "evaluate_scores",
    "evaluate_vectors",
    "expected_hits",
    "find_reranker",
    "hamming_distances",
    "hybrid_scores",
    "mean_average_precision",
    "ndcg",
    "no_change_accuracy",
    "pack_bits",
    "paired_bootstrap",
    "qrels_lines",
    "query_bank",
    "r_precision",
    "radius_lookup",
    "ranks",
    "recall_at_k",
    "report_of_scores",
    "retrieval_ceiling",
    "retrieval_ranks",
    "retrieval_report",
    "retrieved_content",
    "rouge_l",
    "run_lines",
    "same_class",
    "scene_recall",
    "scores_of_run",
    "signs_of",
]
