"""Words to token numbers, as CLIP, SigLIP and XLM-RoBERTa read them.

CLIP's vocabulary comes with the package; the others must lie beside the weights. Knows tokenizers; no models.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import islice
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

from landsift.encoders.cleaning import cleaned
from landsift.errors import EncoderError
from landsift.models.clip.shapes import TextShape
from landsift.models.features import CUT, TextInput

__all__ = ["TOKENIZER_FILES", "Tokens", "clip_tokenizer", "find_tokenizer"]

TOKENIZER_FILES = (
    "tokenizer.json",
    "vocab.json",
    "merges.txt",
    "bpe_simple_vocab_16e6.txt.gz",
    "bpe_simple_vocab_16e6.txt",
)
"""Where a tokenizer is looked for beside weights, in this order; the second and third belong together."""

_START, _END, _WORD_END = "<|startoftext|>", "<|endoftext|>", "</w>"
_CLIP_VOCABULARY = 49408
_MERGES = _CLIP_VOCABULARY - 2 * 256 - 2
_WORDS = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
_OWN_MERGES = Path(__file__).parent / "vocabulary" / "clip-merges.txt.gz"
_SIGLIP_PAD = 1


class Tokens:
    """A tokenizer, and what its model expects of texts.

    Args:
        tokenizer: Adds its own marks.
        kind: Of the text tower: ``clip``, ``long``, ``siglip`` or ``roberta``.
        context: Longest text in tokens, marks included.
    """

    def __init__(self, tokenizer: Tokenizer, kind: str, context: int) -> None:
        tokenizer.no_padding()
        tokenizer.enable_truncation(context)
        self.tokenizer, self.kind, self.context = tokenizer, kind, context

    @property
    def cleaning(self) -> str:
        """How texts are cleaned first: of :data:`landsift.encoders.cleaning.CLEANINGS`."""
        return self.kind if self.kind in ("siglip", "roberta") else "clip"

    def encode(self, texts: Sequence[str]) -> TextInput:
        """Token numbers; padded to the longest text, or to the whole context where the model wants that.

        Returns:
            Tokens and mask, and the extra :data:`~landsift.models.features.CUT`.
        """
        encodings = self.tokenizer.encode_batch([cleaned(text, self.cleaning) for text in texts])
        whole = self.kind == "siglip"
        length = self.context if whole else max((len(one.ids) for one in encodings), default=1)
        tokens = torch.full((len(encodings), length), _SIGLIP_PAD if whole else 0, dtype=torch.int64)
        mask = torch.zeros(len(encodings), length, dtype=torch.bool)
        for row, one in enumerate(encodings):
            tokens[row, : len(one.ids)] = torch.tensor(one.ids)
            mask[row, : len(one.ids)] = True
        cut = torch.tensor([bool(one.overflowing) for one in encodings], dtype=torch.bool)
        return TextInput(tokens, mask, {CUT: cut})


def clip_tokenizer(merges: Path = _OWN_MERGES) -> Tokenizer:
    """CLIP's byte-pair tokenizer (Radford et al., 2021).

    Args:
        merges: A list of merges, one a line, perhaps packed; OpenAI's own file, with its title and what it
            holds beyond CLIP's vocabulary, will do.

    Raises:
        EncoderError: It cannot be read, or is too short.
    """
    try:
        raw = merges.read_bytes()
        lines = (gzip.decompress(raw) if merges.suffix == ".gz" else raw).decode("utf-8").split("\n")
    except (OSError, ValueError, EOFError) as error:
        raise EncoderError(f"The merges {merges} cannot be read ({error}); give CLIP's own file.") from error
    return _byte_pairs(_pairs(lines, _MERGES))


def _pairs(lines: Iterable[str], most: int | None = None) -> list[tuple[str, str]]:
    """Two words a line; titles of lists hold a version and are no merges."""
    words = (line.split() for line in lines if "#version" not in line)
    return list(islice(((pair[0], pair[1]) for pair in words if len(pair) == 2), most))


def _byte_pairs(merges: Sequence[tuple[str, str]], vocabulary: dict[str, int] | None = None) -> Tokenizer:
    if vocabulary is None:
        letters = _byte_letters()
        words = [*letters, *(letter + _WORD_END for letter in letters), *map("".join, merges), _START, _END]
        vocabulary = {word: number for number, word in enumerate(words)}
    model = models.BPE(vocabulary, list(merges), unk_token=_END, end_of_word_suffix=_WORD_END)
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), "removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        f"{_START} $A {_END}", None, [(_START, vocabulary[_START]), (_END, vocabulary[_END])]
    )
    return tokenizer


def _byte_letters() -> list[str]:
    """A visible letter for each byte, in the order of CLIP's vocabulary: printable ones stand for
    themselves."""
    printable = [
        *range(ord("!"), ord("~") + 1),
        *range(ord("¡"), ord("¬") + 1),
        *range(ord("®"), ord("ÿ") + 1),
    ]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + place) for place in range(len(others))]


def find_tokenizer(folder: Path | None, shape: TextShape, name: str) -> Tokenizer:
    """The tokenizer that lies beside weights and has as many tokens as they, or CLIP's own.

    Args:
        folder: Where the weights lie; None for none.
        shape: Of the text tower.
        name: Of the encoder, for errors.

    Raises:
        EncoderError: There is none, and the model does not read CLIP's; or it cannot be read.
    """
    own = shape.kind in ("clip", "long")
    found = None if folder is None else _beside(folder, own)
    if found is not None and found.get_vocab_size() == shape.vocabulary:
        return found
    if own and shape.vocabulary == _CLIP_VOCABULARY:
        return _own_tokenizer(shape.context)
    what = (
        "no tokenizer lies beside its weights"
        if found is None
        else f"the one beside its weights has {found.get_vocab_size()} tokens for {shape.vocabulary}"
    )
    raise EncoderError(
        f"{name} reads words by a tokenizer of its own, and {what}; put the tokenizer.json of its "
        f"repository into "
        f"the folder of its weights."
    )


@cache
def _own_tokenizer(context: int) -> Tokenizer:
    """CLIP's tokenizer is made once: encoders that read as many tokens share it."""
    return clip_tokenizer()


def _beside(folder: Path, own: bool) -> Tokenizer | None:
    places = {file: folder / file for file in TOKENIZER_FILES if (folder / file).is_file()}
    if "tokenizer.json" in places:
        return _from_json(places["tokenizer.json"])
    if own and {"vocab.json", "merges.txt"} <= places.keys():
        return _from_pair(places["vocab.json"], places["merges.txt"])
    packed = [places[file] for file in TOKENIZER_FILES[3:] if file in places]
    return clip_tokenizer(packed[0]) if own and packed else None


def _from_json(path: Path) -> Tokenizer:
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the tokenizers package raises bare Exception
        raise EncoderError(f"{path} cannot be read as a tokenizer ({error}); download it again.") from error


def _from_pair(vocabulary: Path, merges: Path) -> Tokenizer:
    try:
        words = json.loads(vocabulary.read_text(encoding="utf-8"))
        lines = merges.read_text(encoding="utf-8").split("\n")
    except (OSError, ValueError) as error:
        raise EncoderError(f"{vocabulary} cannot be read ({error}); download it again.") from error
    if not isinstance(words, dict) or not {_START, _END} <= words.keys():
        raise EncoderError(
            f"{vocabulary} is not CLIP's vocabulary; give the files of the encoder's repository."
        )
    return _byte_pairs(_pairs(lines), words)
