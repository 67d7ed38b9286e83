"""Text towers of the zoo (block B4): GRU, two-way GRU, TextCNN, MiniLM. Captions in, word states out.

All give states as long as the method's vectors. A caption's states do not depend on its padding or on its
neighbours. Knows tokenizers and where weights are; no images.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from landsift.errors import UsageError
from landsift.models.features import TextInput
from landsift.models.registry import MatcherSource, one_of
from landsift.models.starting import (
    MARKS,
    TOKENIZER_FILE,
    bert_folder,
    glove_vectors,
    padded_tokens,
    read_tokenizer,
    word_tokenizer,
)
from landsift.models.text import BertTower, TextConfig, load_bert_folder

__all__ = ["TEXT_TOWERS", "BertTextTower", "TextChoice", "TextStates", "TextTower", "build_text_tower"]

_SHAPE = "text.json"
_SHORTEST = 5  # tokens: the widest kernel of the TextCNN


@dataclass(frozen=True, eq=False)
class TextStates:
    """What a text tower makes of ``n`` captions.

    Attributes:
        words: ``(n, length, width)``; zero on padding.
        mask: ``(n, length)`` bool, True on real tokens.
        sentence: ``(n, width)`` the tower's own summary of the caption.
        tokens: ``(n, length)`` int64 token numbers.
    """

    words: Tensor
    mask: Tensor
    sentence: Tensor
    tokens: Tensor


class TextTower(nn.Module, ABC):
    """A tokenizer and what reads its tokens.

    Args:
        tokenizer: Cuts captions after ``context_length`` tokens from here on.
        context_length: Longest caption in tokens, the two marks included.

    Attributes:
        vocabulary: Number of tokens.
        reads_words: Whether the states are those of single words.
    """

    reads_words = True

    def __init__(self, tokenizer: Tokenizer, context_length: int) -> None:
        super().__init__()
        tokenizer.no_padding()
        tokenizer.enable_truncation(context_length)
        self.tokenizer, self.context_length = tokenizer, context_length
        self.vocabulary = tokenizer.get_vocab_size()

    def prepare(self, captions: Sequence[str]) -> TextInput:
        """Captions as token numbers."""
        return padded_tokens(self.tokenizer, captions)

    @abstractmethod
    def forward(self, text: TextInput) -> TextStates:
        """Prepared captions to states."""

    def files(self) -> dict[str, bytes]:
        """What a checkpoint must hold beside the weights."""
        return {TOKENIZER_FILE: self.tokenizer.to_str().encode()}


class GruTower(TextTower):
    """Word vectors and one recurrent layer.

    The sentence is the last state of a one-way layer, and the mean over words of a two-way one, whose states
    are the means of both ways (Faghri et al., 2018; Lee et al., 2018).
    """

    def __init__(
        self, tokenizer: Tokenizer, context_length: int, width: int, word_width: int, both_ways: bool
    ) -> None:
        super().__init__(tokenizer, context_length)
        self.words = nn.Embedding(self.vocabulary, word_width)
        nn.init.uniform_(self.words.weight, -0.1, 0.1)
        self.layer = nn.GRU(word_width, width, batch_first=True, bidirectional=both_ways)
        self.width, self.both_ways = width, both_ways

    def forward(self, text: TextInput) -> TextStates:
        """Prepared captions to states."""
        lengths = text.mask.sum(dim=1)
        packed = pack_padded_sequence(
            self.words(text.tokens), lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        states, _ = pad_packed_sequence(
            self.layer(packed)[0], batch_first=True, total_length=text.tokens.shape[1]
        )
        if self.both_ways:
            states = (states[..., : self.width] + states[..., self.width :]) / 2
            sentence = states.sum(dim=1) / lengths[:, None]
        else:
            rows = torch.arange(len(states), device=states.device)
            sentence = states[rows, lengths - 1]
        return TextStates(states, text.mask, sentence, text.tokens)


class ConvolutionTower(TextTower):
    """TextCNN (Kim, EMNLP 2014, arXiv 1408.5882): the largest answer of 300 word patterns."""

    reads_words = False

    def __init__(self, tokenizer: Tokenizer, context_length: int, width: int, word_width: int) -> None:
        super().__init__(tokenizer, context_length)
        self.words = nn.Embedding(self.vocabulary, word_width)
        nn.init.uniform_(self.words.weight, -0.1, 0.1)
        self.patterns = nn.ModuleList(nn.Conv1d(word_width, 100, size) for size in (3, 4, 5))
        self.dropout, self.head = nn.Dropout(0.25), nn.Linear(300, width)

    def forward(self, text: TextInput) -> TextStates:
        """Prepared captions to states; the patterns see padding as zeros, and none lies in padding alone."""
        words = self.words(text.tokens) * text.mask[:, :, None]
        words = functional.pad(words, (0, 0, 0, _SHORTEST)).transpose(1, 2)
        starts = functional.pad(text.mask, (0, _SHORTEST))
        found = []
        for pattern in self.patterns:
            answers = functional.relu(pattern(words))
            found.append((answers * starts[:, None, : answers.shape[2]]).amax(dim=2))
        sentence = self.head(self.dropout(torch.cat(found, dim=1)))
        states = sentence[:, None, :] * text.mask[:, :, None]
        return TextStates(states, text.mask, sentence, text.tokens)


class BertTextTower(TextTower):
    """A transformer over word pieces, and a linear map to the method's width; the sentence is the mean."""

    def __init__(self, tokenizer: Tokenizer, context_length: int, width: int, tower: BertTower) -> None:
        super().__init__(tokenizer, context_length)
        self.tower, self.head = tower, nn.Linear(tower.config.width, width)

    def forward(self, text: TextInput) -> TextStates:
        """Prepared captions to states."""
        states = self.head(self.tower.hidden_states(text.tokens, text.mask)) * text.mask[:, :, None]
        sentence = states.sum(dim=1) / text.mask.sum(dim=1, keepdim=True)
        return TextStates(states, text.mask, sentence, text.tokens)

    def files(self) -> dict[str, bytes]:
        """Tokenizer, and the shape that the weights fit into."""
        shape = json.dumps(asdict(self.tower.config), indent=1).encode()
        return super().files() | {_SHAPE: shape}


TEXT_TOWERS = ("gru", "bigru", "textcnn", "minilm")


@dataclass(frozen=True)
class TextChoice:
    """How a text tower is made.

    Attributes:
        name: Of ``TEXT_TOWERS``.
        start: Of ``minilm``: ``pretrained`` (installed), ``random``, or a folder.
        words: Of the others: ``random``, or ``glove`` for published word vectors.
        width: Of the states.
        word_width: Of the word vectors; GloVe's have 50.
        context_length: Longest caption in tokens.
        layers: Of a random transformer.
    """

    name: str
    start: str
    words: str
    width: int
    word_width: int
    context_length: int
    layers: int


def build_text_tower(choice: TextChoice, source: MatcherSource) -> TextTower:
    """Make a text tower.

    Args:
        choice: Which.
        source: Captions for a vocabulary, or the files of a checkpoint.

    Raises:
        UsageError: No such tower.
        MissingDependency: The package with its weights or word vectors is not installed.
    """
    if choice.name not in TEXT_TOWERS:
        raise UsageError(f"There is no text tower {choice.name!r}; {one_of(choice.name, TEXT_TOWERS)}")
    if choice.name == "minilm":
        return _bert(choice, source)
    files = source.files
    tokenizer = (
        Tokenizer.from_str(files[TOKENIZER_FILE].decode()) if files else word_tokenizer(source.captions)
    )
    glove = choice.words == "glove"
    word_width = 50 if glove else choice.word_width
    tower: GruTower | ConvolutionTower
    if choice.name == "textcnn":
        tower = ConvolutionTower(tokenizer, choice.context_length, choice.width, word_width)
    else:
        both = choice.name == "bigru"
        tower = GruTower(tokenizer, choice.context_length, choice.width, word_width, both)
    if glove and not files:
        _fill(tower.words, tokenizer)
    return tower


@torch.no_grad()
def _fill(words: nn.Embedding, tokenizer: Tokenizer) -> None:
    """Published vectors for the words they know; the others stay as they were drawn."""
    names = [tokenizer.id_to_token(number) or "" for number in range(words.num_embeddings)]
    vectors = glove_vectors(names)
    known = vectors.abs().sum(dim=1) > 0
    known[: len(MARKS)] = False
    words.weight[known] = vectors[known]


def _bert(choice: TextChoice, source: MatcherSource) -> BertTextTower:
    tokenizer, tower = _bert_parts(choice, source.files, source.captions)
    return BertTextTower(tokenizer, choice.context_length, choice.width, tower)


def _bert_parts(
    choice: TextChoice, files: Mapping[str, bytes], captions: Sequence[str]
) -> tuple[Tokenizer, BertTower]:
    if files:
        shape = TextConfig(**json.loads(files[_SHAPE]))
        return Tokenizer.from_str(files[TOKENIZER_FILE].decode()), BertTower(shape)
    if choice.start != "random":
        folder = bert_folder() if choice.start == "pretrained" else Path(choice.start)
        tower = load_bert_folder(folder, context_length=choice.context_length)
        return read_tokenizer(folder / TOKENIZER_FILE), tower
    tokenizer = word_tokenizer(captions)
    config = TextConfig(
        vocabulary=tokenizer.get_vocab_size(),
        width=64 * max(1, choice.width // 128),
        layers=choice.layers,
        heads=max(1, choice.width // 128),
        hidden=256 * max(1, choice.width // 128),
        context_length=choice.context_length,
    )
    return tokenizer, BertTower(config)
