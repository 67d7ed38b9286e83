"""The data room: caption sets of the field, a user's own, and the images in them.

Needs numpy and Pillow only. Knows no models and no scores.
"""

from __future__ import annotations

from landsift.data.catalog import find_dataset, list_datasets
from landsift.data.change import ChangePair, ChangeSet, ImagePair, Question, load_changes
from landsift.data.change_masks import save_masks
from landsift.data.check import check_dataset
from landsift.data.dataset import Dataset
from landsift.data.exclusions import Exclusions, exclusions_of, read_exclusions, without, write_exclusions
from landsift.data.fingerprint import fingerprint
from landsift.data.hashing_split import HASHING_PARTS, hashing_part, one_caption_each
from landsift.data.images import read_image, read_images
from landsift.data.leakage import leakage
from landsift.data.load import load_dataset, locate_dataset
from landsift.data.overlap import Overlap, find_overlap
from landsift.data.own import load_captions, load_classes
from landsift.data.published import PublishedScore, published_scores
from landsift.data.shards import Sample
from landsift.data.stream import stream_dataset
from landsift.data.templates import Templates, find_templates, list_templates

__all__ = [
    "HASHING_PARTS",
    "ChangePair",
    "ChangeSet",
    "Dataset",
    "Exclusions",
    "ImagePair",
    "Overlap",
    "PublishedScore",
    "Question",
    "Sample",
    "Templates",
    "check_dataset",
    "exclusions_of",
    "find_dataset",
    "find_overlap",
    "find_templates",
    "fingerprint",
    "hashing_part",
    "leakage",
    "list_datasets",
    "list_templates",
    "load_captions",
    "load_changes",
    "load_classes",
    "load_dataset",
    "locate_dataset",
    "one_caption_each",
    "published_scores",
    "read_exclusions",
    "read_image",
    "read_images",
    "save_masks",
    "stream_dataset",
    "without",
    "write_exclusions",
]
