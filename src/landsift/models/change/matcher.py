"""A change model as a matcher: pairs for images, so that training, scoring and saving know it as any other.

A pair comes as six channels, the earlier date first. Knows encoders of two dates, a decoder and losses; no
data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional

from landsift.errors import UsageError
from landsift.models.batch import Batch
from landsift.models.blocks.trunk import LEVELS, TOWERS, build_trunk
from landsift.models.change.blocks import Dates, cell_likeness
from landsift.models.change.decoder import CaptionDecoder, beam_search, greedy_search
from landsift.models.change.encoders import PairEncoder
from landsift.models.change.losses import (
    FALSE_NEGATIVES,
    caption_loss,
    change_contrast,
    mask_loss,
    pair_contrast,
)
from landsift.models.features import Features, TextInput
from landsift.models.matcher import SplitMatcher
from landsift.models.registry import MatcherSource, check_choices
from landsift.models.starting import MARKS, TOKENIZER_FILE, padded_tokens, word_tokenizer

__all__ = ["UNCHANGED", "ChangeMatcher", "ChangeOptions"]

UNCHANGED = "unchanged"
"""Name of the class of pairs in which nothing changed."""
_PAD, _UNKNOWN, _FIRST, _LAST = (MARKS.index(mark) for mark in ("[PAD]", "[UNK]", "[CLS]", "[SEP]"))
_HOTTEST = 4.6051702  # logarithm of 100, as in CLIP
_PAIR_CHANNELS = 6
_FUSIONS = ("concatenation", "difference")


@dataclass(frozen=True)
class ChangeOptions:
    """Options of a change model.

    Attributes:
        image: Image tower, the same for both dates: as for the other methods.
        image_start: ``pretrained`` (installed ImageNet weights), ``random``, or a file of weights.
        cut: Last level of the image tower that is frozen, and that a cache of maps covers: ``c2``, ``c3``,
            ``c4`` or ``none``.
        input_size: Side in pixels of the squares the image tower sees.
        dim: Width of tokens and words, and length of the shared vectors.
        layers: Of the encoder of two dates.
        heads: Attention heads; divides ``dim``.
        tied_values: Of Chg2Cap: take values from the projection of the keys, as its released code does.
        fusion: Of text-ITSR's global fusion: ``concatenation`` or ``difference``.
        mask_classes: No change and the kinds of change in masks.
        reading: Layers of the decoder that see words alone.
        writing: Layers of it that look at the pair.
        context_length: Tokens of a caption at most, the two marks included.
        dropout: Share of features hidden in training.
        temperature: Of the contrast; trained from there.
        false_negatives: What is done with pairs that a caption fits as well as its own: ``attract`` makes
            them positives, ``eliminate`` takes them out of the negatives, ``keep`` does nothing.
        similarity: From which share of common words on a caption fits another pair; 1 for equal wording.
        hardest: Only so many negatives of each query count, the likest; 0 for all.
        contrast: Weight of the contrast of pairs and captions; 0 leaves it out.
        caption: Weight of the captions that are written.
        mask: Weight of the masks, where the recipe gives some as ``mask`` under ``[data.extras]``.
        likeness: Weight of ClearSCD's contrast of the two dates' cells.
        balanced: Divide the terms of captions and masks by their own values, cut off from the gradient, as
            Change-Agent does.
    """

    image: str = "lite0"
    image_start: str = "pretrained"
    cut: str = "c3"
    input_size: int = 224
    dim: int = 256
    layers: int = 3
    heads: int = 8
    tied_values: bool = False
    fusion: str = "concatenation"
    mask_classes: int = 2
    reading: int = 1
    writing: int = 1
    context_length: int = 44
    dropout: float = 0.1
    temperature: float = 0.07
    false_negatives: str = "attract"
    similarity: float = 1.0
    hardest: int = 0
    contrast: float = 1.0
    caption: float = 1.0
    mask: float = 1.0
    likeness: float = 0.0
    balanced: bool = False

    def __post_init__(self) -> None:
        check_choices(
            self,
            {
                "image": TOWERS,
                "cut": (*LEVELS[1:], "none"),
                "false_negatives": FALSE_NEGATIVES,
                "fusion": _FUSIONS,
            },
        )
        if self.dim % (2 * self.heads) or self.heads < 1:
            raise ValueError(f"dim must be a multiple of twice the heads; got {self.dim} and {self.heads}")
        if self.context_length < 3 or self.input_size < 32:
            raise ValueError("context_length must be 3 or more and input_size 32 or more")
        if min(self.layers, self.reading, self.writing) < 1 or self.mask_classes < 2:
            raise ValueError("layers, reading and writing must be 1 or more, and mask_classes 2 or more")
        if not 0 < self.similarity <= 1 or not self.temperature > 0:
            raise ValueError("similarity must be above 0 and at most 1, and temperature above 0")


class ChangeMatcher(SplitMatcher):
    """An encoder of two dates, a caption decoder, and a space that both share.

    The pair's vector is what a learned query sees in its tokens (Ferrod et al., Discovery Science 2024); a
    caption's is the state of its last word. Both are of length 1.

    Args:
        options: :class:`ChangeOptions`.
        source: Captions for the vocabulary, or a checkpoint's files.
        encoder: Which encoder of two dates.
    """

    def __init__(self, options: ChangeOptions, source: MatcherSource, encoder: type[PairEncoder]) -> None:
        super().__init__()
        self.options = options
        self.dim, self.input_size = options.dim, options.input_size
        self.context_length = options.context_length
        self.images = build_trunk(
            options.image,
            start=options.image_start,
            cut=options.cut,
            levels=encoder.levels,
            input_size=options.input_size,
            empty=bool(source.files),
        )
        self.pairs = encoder(self.images.channels, self.images.sides, options)
        self.tokenizer = _tokenizer(source, options.context_length)
        self.decoder = CaptionDecoder(
            self.tokenizer.get_vocab_size(),
            options.dim,
            options.heads,
            options.reading,
            options.writing,
            options.context_length,
            options.dropout,
        )
        self.question = nn.Parameter(torch.randn(1, 1, options.dim) * 0.02)
        self.pool = nn.MultiheadAttention(options.dim, options.heads, batch_first=True)
        self.pool_norm = nn.LayerNorm(options.dim)
        self.pair_out, self.text_out = (nn.Linear(options.dim, options.dim) for _ in range(2))
        self.log_scale = nn.Parameter(torch.tensor(1 / options.temperature).log())
        names = list(source.class_names)
        self._unchanged = names.index(UNCHANGED) if UNCHANGED in names else -2
        if options.similarity < 1:
            self.needs = frozenset({"prior"})

    def prepare(self, captions: Sequence[str]) -> TextInput:
        """Captions as token numbers."""
        return padded_tokens(self.tokenizer, captions)

    def lower(self, pixels: Tensor) -> dict[str, Tensor]:
        """``(n, 6, H, W)``, the earlier date first, to the frozen maps of both: ``(n, 2, ...)`` by name.

        Raises:
            UsageError: Pictures of one date.
        """
        if pixels.shape[1] != _PAIR_CHANNELS:
            raise UsageError(
                f"A change model reads two dates, six channels, and got {pixels.shape[1]}; give pairs, "
                f"with landsift.models.change.load_change_model for a trained one."
            )
        both = pixels.unflatten(1, (2, 3)).flatten(0, 1)
        return {name: maps.unflatten(0, (-1, 2)) for name, maps in self.images.lower(both).items()}

    def upper(self, maps: Mapping[str, Tensor]) -> Features:
        """The rest of the trunk on each date, and the encoder of both."""
        found = self.images.upper({name: both.flatten(0, 1) for name, both in maps.items()})
        levels = {name: Dates(both[::2], both[1::2]) for name, both in found.items()}
        tokens = self.pairs(levels)
        seen, _ = self.pool(self.question.expand(len(tokens), -1, -1), tokens, tokens, need_weights=False)
        pooled = functional.normalize(self.pair_out(self.pool_norm(seen[:, 0])), dim=1)
        extras = {}
        if self.options.likeness:
            extras["likeness"] = cell_likeness(levels[self.pairs.levels[-1]]).flatten(1)
        if self.pairs.detects:
            extras["masks"] = self.pairs.mask_logits(levels)
        return Features(pooled, tokens, extras=extras)

    def text_features(self, text: TextInput) -> Features:
        """States of the words; the last one's is the caption's vector."""
        states = self.decoder.read(text.tokens)
        rows = torch.arange(len(states), device=states.device)
        last = states[rows, text.mask.sum(dim=1) - 1]
        # Of one length whatever the batch, so that features of several batches can be joined.
        numbers = functional.pad(text.tokens, (0, self.context_length - text.tokens.shape[1]))
        return Features(
            functional.normalize(self.text_out(last), dim=1), states, text.mask, {"numbers": numbers}
        )

    @property
    def scale(self) -> Tensor:
        """One over the trained temperature."""
        return self.log_scale.clamp(max=_HOTTEST).exp()

    def own_losses(
        self, batch: Batch, image: Features, text: Features, similarity: Tensor
    ) -> dict[str, Tensor]:
        """Contrast, captions, masks and the dates' likeness, each if it has a weight and something to see."""
        options, found = self.options, dict[str, Tensor]()
        unchanged = batch.labels == self._unchanged
        if options.contrast:
            own = batch.image_row[None] == torch.arange(len(image), device=batch.image_row.device)[:, None]
            logits = self.scale * similarity
            alike = self._alike(batch, unchanged)
            found["contrast"] = options.contrast * pair_contrast(
                logits, own, alike, options.false_negatives, options.hardest
            )
        if options.caption and text.tokens is not None and text.mask is not None and image.tokens is not None:
            logits = self.decoder.write(text.tokens, image.tokens[batch.image_row])
            numbers = text.extras["numbers"][:, : text.tokens.shape[1]]
            found["caption"] = self._weighed(options.caption, caption_loss(logits, numbers, text.mask))
        if options.mask and "masks" in image.extras and "mask" in batch.extras:
            found["mask"] = self._weighed(
                options.mask, mask_loss(image.extras["masks"], batch.extras["mask"])
            )
        if options.likeness:
            found["likeness"] = options.likeness * change_contrast(image.extras["likeness"], unchanged)
        return found

    def _alike(self, batch: Batch, unchanged: Tensor) -> Tensor:
        """``(I, T)``: where a caption of one pair says what is true of another."""
        alike = batch.positive | (unchanged[:, None] & unchanged[batch.image_row][None])
        return alike if batch.prior is None else alike | (batch.prior >= self.options.similarity)

    def _weighed(self, weight: float, loss: Tensor) -> Tensor:
        return weight * (loss / loss.detach().clamp(min=1e-6) if self.options.balanced else loss)

    @torch.no_grad()
    def captions(self, pairs: Features, beams: int = 1) -> list[str]:
        """Write a caption for each pair.

        Args:
            pairs: Of :meth:`image_features`.
            beams: Beginnings kept at each step; 1 takes the likeliest word each time.

        Raises:
            UsageError: No beams.
        """
        if beams < 1:
            raise UsageError(f"Captions need at least one beam; got {beams}.")
        if pairs.tokens is None or not len(pairs):
            return []
        device, longest = pairs.tokens.device, self.context_length
        forbidden = torch.tensor([_PAD, _UNKNOWN, _FIRST], device=device)
        if beams == 1:
            follow = self.decoder.next_word(pairs.tokens, forbidden)
            written = list(greedy_search(follow, len(pairs), _FIRST, _LAST, longest, device))
        else:
            written = [
                beam_search(
                    self.decoder.next_word(one[None], forbidden), beams, _FIRST, _LAST, longest, device
                )
                for one in pairs.tokens
            ]
        return [self._sentence(tokens) for tokens in written]

    def _sentence(self, tokens: Tensor) -> str:
        text: str = self.tokenizer.decode([number for number in tokens.tolist() if number >= len(MARKS)])
        return text

    def depths(self) -> dict[str, int]:
        """The pretrained tower lies below what is added."""
        return {"images.trained": 1, "images.frozen": 2}

    def files(self) -> dict[str, bytes]:
        """The tokenizer."""
        return {TOKENIZER_FILE: self.tokenizer.to_str().encode()}


def _tokenizer(source: MatcherSource, longest: int) -> Any:
    """That of the checkpoint, or a new one from the captions."""
    if source.files:
        found = Tokenizer.from_str(source.files[TOKENIZER_FILE].decode())
    elif source.captions:
        found = word_tokenizer(source.captions)
    else:
        raise UsageError("A change model learns its words from captions; name a set with captions.")
    found.no_padding()
    found.enable_truncation(longest)
    return found
