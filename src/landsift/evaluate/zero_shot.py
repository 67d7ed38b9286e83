"""Zero-shot classification: the class whose sentences lie nearest to the image."""

from __future__ import annotations

import dataclasses

import numpy as np

from landsift.data import Templates, find_templates
from landsift.errors import UsageError
from landsift.evaluate.report import Report
from landsift.evaluate.retrieval import describe_dataset, describe_model, encode_set, seen_before
from landsift.metrics import class_vectors, classification_report
from landsift.provenance import provenance
from landsift.types import Encoder, FloatArray, RetrievalSet

__all__ = ["class_rows", "zero_shot"]


def class_rows(
    encoder: Encoder, class_names: tuple[str, ...], templates: Templates, average: str, dataset: str = ""
) -> FloatArray:
    """One unit row for each class: the mean over its templates."""
    sentences = templates.sentences(class_names, dataset)
    flat = encoder.encode_texts([text for group in sentences for text in group])
    stacked = flat.reshape(len(sentences), -1, flat.shape[1])
    return class_vectors(stacked, normalised=average == "normalised")


def zero_shot(
    encoder: Encoder,
    data: RetrievalSet,
    *,
    templates: str = "remoteclip",
    average: str | None = None,
    command: str = "",
) -> Report:
    """Classify the images of a set by its class names alone.

    Args:
        encoder: Any dual encoder.
        data: A set with labels; images of unknown class are left out and counted.
        templates: Name of a family, see ``landsift.data.list_templates``.
        average: ``normalised`` or ``raw`` mean over the templates; None takes the family's own.
        command: Recorded in the provenance.

    Raises:
        UsageError: No labels, no such templates, no such average.
    """
    if data.labels is None or not data.class_names:
        raise UsageError(f"{data.name} has no classes; score it with --task retrieval instead")
    family = find_templates(templates)
    average = average or family.average
    if average not in ("normalised", "raw"):
        raise UsageError(f"The template average is 'normalised' or 'raw', got {average!r}; choose one")
    known = np.flatnonzero(data.labels >= 0)
    kept = dataclasses.replace(data.chosen(known), captions=[], image_of=np.empty(0, np.int64))
    names = data.class_names
    images, _ = encode_set(encoder, kept)
    classes = class_rows(encoder, names, family, average, data.name)
    found = classification_report(images @ classes.T, data.labels[known])
    recalls = {
        name: None if np.isnan(share) else round(float(share), 4)
        for name, share in zip(names, found.class_recall, strict=True)
    }
    confusion = {
        true: {other: float(count) for other, count in zip(names, row, strict=True) if count}
        for true, row in zip(names, found.confusion, strict=True)
    }
    return Report(
        task="zero-shot",
        model=describe_model(encoder.card),
        dataset=describe_dataset(kept) | {"without_class": len(data.images) - len(known)},
        protocol={"templates": templates, "template_average": average, "sentences": len(family.templates)},
        scores={
            "accuracy": found.accuracy,
            "mean_class_recall": found.mean_class_recall,
            "class_recall": recalls,
            "confusion": confusion,
        },
        leakage=seen_before(encoder.card, data),
        provenance=provenance(command),
    )
