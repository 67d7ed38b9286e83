"""The captions a step sees: drawn, changed, and matched to every image of the batch they are true of.

Knows strings and a corpus; no pixels and no models.
"""

from __future__ import annotations

import tomllib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landsift.captions import normalise_caption, style_captions
from landsift.errors import UsageError
from landsift.train.corpus import Corpus
from landsift.train.recipe import TextRecipe
from landsift.types import FloatArray, IntArray

__all__ = ["Drawn", "Wording", "caption_prior"]

_MADE_UP = -1
_LITTLE_WORDS = frozenset(
    [
        "a",
        "an",
        "the",
        "is",
        "are",
        "was",
        "were",
        "be",
        "in",
        "on",
        "of",
        "at",
        "by",
        "to",
        "with",
        "and",
        "or",
        "there",
        "this",
        "that",
        "it",
        "its",
        "some",
        "many",
        "several",
    ]
)


@dataclass(frozen=True, eq=False)
class Drawn:
    """The captions of one step.

    Attributes:
        texts: T texts.
        image_row: ``(T,)`` int64 image of the batch each was drawn for.
        caption_ids: ``(T,)`` int64 caption of the corpus, -1 for a phrase made for a scene class.
        scenes: ``(T,)`` int64 scene class that a phrase names, -1 for ordinary captions.
    """

    texts: tuple[str, ...]
    image_row: IntArray
    caption_ids: IntArray
    scenes: IntArray


class Wording:
    """Draws captions from a corpus.

    Args:
        corpus: The training set.
        recipe: How they are drawn and changed.

    Raises:
        UsageError: A file of synonyms or phrases cannot be read, or there is no such style.
    """

    def __init__(self, corpus: Corpus, recipe: TextRecipe) -> None:
        self._corpus, self._recipe = corpus, recipe
        self._texts = style_captions(corpus.captions, recipe.style)
        self._synonyms = _synonyms(recipe) if recipe.synonym_share else {}
        self._phrases, self._scene_of = _phrases(corpus.class_names, recipe)

    def draw(self, rows: IntArray, rng: np.random.Generator) -> Drawn:
        """Draw ``per_image`` captions for each image of ``rows``, different ones where it has enough."""
        texts: list[str] = []
        numbers: list[int] = []
        scenes: list[int] = []
        count = self._recipe.per_image
        for row in rows:
            own = self._corpus.captions_of(row)
            scene = self._scene(row)
            for pick in rng.choice(len(own), size=count, replace=len(own) < count):
                if scene >= 0 and rng.random() < self._recipe.class_share:
                    texts.append(self._phrase(scene, rng))
                    numbers.append(_MADE_UP)
                    scenes.append(scene)
                else:
                    texts.append(self._changed(self._texts[own[pick]], rng))
                    numbers.append(own[pick])
                    scenes.append(_MADE_UP)
        image_row = np.repeat(np.arange(len(rows)), count).astype(np.int64)
        return Drawn(tuple(texts), image_row, np.array(numbers, np.int64), np.array(scenes, np.int64))

    def positive(self, rows: IntArray, drawn: Drawn) -> NDArray[np.bool_]:
        """Which captions are true of which images: ``(len(rows), T)`` bool.

        A caption is true of the picture it was drawn for, of every image with a caption of the same wording,
        and, if it is a phrase for a scene class, of every image of that class.
        """
        found = rows[:, None] == rows[drawn.image_row][None, :]
        by_group: defaultdict[int, list[int]] = defaultdict(list)
        for place, number in enumerate(drawn.caption_ids):
            if number >= 0:
                by_group[int(self._corpus.groups[number])].append(place)
        for image, row in enumerate(rows):
            for number in self._corpus.captions_of(row):
                found[image, by_group.get(int(self._corpus.groups[number]), [])] = True
        scenes = np.array([self._scene(row) for row in rows], np.int64)
        named: NDArray[np.bool_] = (scenes[:, None] == drawn.scenes[None, :]) & (drawn.scenes >= 0)
        return found | named

    def prior(self, rows: IntArray, drawn: Drawn) -> FloatArray:
        """How much each caption has in common with the captions of each image: ``(len(rows), T)``, 0 to 1."""
        return caption_prior(
            drawn.texts, [[self._texts[number] for number in self._corpus.captions_of(row)] for row in rows]
        )

    def _scene(self, row: int) -> int:
        label = int(self._corpus.labels[row])
        return self._scene_of[label] if label >= 0 else _MADE_UP

    def _phrase(self, scene: int, rng: np.random.Generator) -> str:
        options, templates = self._phrases[scene], self._recipe.class_templates
        template = templates[int(rng.integers(len(templates)))]
        return template.replace("{}", options[int(rng.integers(len(options)))])

    def _changed(self, text: str, rng: np.random.Generator) -> str:
        drop, swap = self._recipe.word_drop, self._recipe.synonym_share
        if not drop and not swap:
            return text
        words = text.split()
        kept = [word for word, chance in zip(words, rng.random(len(words)), strict=True) if chance >= drop]
        return " ".join(self._other_word(word, rng) if swap else word for word in (kept or words))

    def _other_word(self, word: str, rng: np.random.Generator) -> str:
        bare = word.lower().strip(".,;:!?")
        options = self._synonyms.get(bare)
        if not options or rng.random() >= self._recipe.synonym_share:
            return word
        return word.lower().replace(bare, options[int(rng.integers(len(options)))])


def _synonyms(recipe: TextRecipe) -> dict[str, list[str]]:
    """Word to the words that may stand for it."""
    if recipe.synonyms:
        return _table(recipe.synonyms, "synonyms")
    text = resources.files("landsift.train").joinpath("synonyms.toml").read_text("utf-8")
    rings = tomllib.loads(text)["rings"]
    return {word: [other for other in ring if other != word] for ring in rings for word in ring}


def _phrases(class_names: Sequence[str], recipe: TextRecipe) -> tuple[dict[int, list[str]], list[int]]:
    """Phrases by scene, and the scene of each class: classes that share their first phrase are one scene."""
    if not recipe.class_share:
        return {}, [_MADE_UP] * len(class_names)
    listed = _table(recipe.class_phrases, "phrases") if recipe.class_phrases else {}
    options = [listed.get(name, [] if listed else [name]) for name in class_names]
    first: dict[str, int] = {}
    for label, own in enumerate(options):
        if own:
            first.setdefault(own[0], label)
    scenes = [first[own[0]] if own else _MADE_UP for own in options]
    return {scene: options[scene] for scene in scenes if scene >= 0}, scenes


def _table(path: str, name: str) -> dict[str, list[str]]:
    try:
        found: Mapping[str, Any] = tomllib.loads(Path(path).read_text("utf-8"))[name]
        return {str(key): [str(word) for word in words] for key, words in found.items()}
    except (OSError, KeyError, ValueError, AttributeError, TypeError) as error:
        raise UsageError(
            f"{path} holds no table [{name}] of words to lists of words ({error}); mend the file."
        ) from error


def caption_prior(texts: Sequence[str], captions: Sequence[Sequence[str]]) -> FloatArray:
    """How much texts have in common with the captions of images.

    The share of a text's words that a caption holds too, little words aside and plurals cut, averaged over
    the image's captions: the overlap half of the prior of AMFMN (Yuan et al., TGRS 2022, section III-D),
    whose other half is BLEU.

    Args:
        texts: T texts.
        captions: For each of ``I`` images its captions.

    Returns:
        ``(I, T)`` float32, 0 to 1.
    """
    numbers: dict[str, int] = {}
    wanted = [_content_words(text, numbers) for text in texts]
    there = [_content_words(text, numbers) for own in captions for text in own]
    shared = _bags(wanted, len(numbers)) @ _bags(there, len(numbers)).T
    shares = shared / np.maximum([len(words) for words in wanted], 1)[:, None]
    owner = np.repeat(np.arange(len(captions)), [len(own) for own in captions])
    means = np.zeros((len(captions), len(texts)), np.float32)
    np.add.at(means, owner, shares.T.astype(np.float32))
    return means / np.maximum([len(own) for own in captions], 1).astype(np.float32)[:, None]


def _content_words(text: str, numbers: dict[str, int]) -> set[int]:
    words = normalise_caption(text).split()
    stems = [word[:-1] if len(word) > 3 and word.endswith("s") else word for word in words]
    return {numbers.setdefault(stem, len(numbers)) for stem in stems if stem not in _LITTLE_WORDS}


def _bags(rows: Sequence[set[int]], width: int) -> FloatArray:
    bags = np.zeros((len(rows), width), np.float32)
    for row, words in enumerate(rows):
        bags[row, list(words)] = 1
    return bags
