"""Captions as hurried people write them: slips of the keyboard, misread scans, lost and swapped words.

What is drawn depends on the text and the seed alone, and not on the severity: a higher severity makes the
slips of a lower one, and more. Knows strings; no images and no encoders.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np

__all__ = ["TEXT_NOISES", "TextNoise"]

_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_MISREAD = {
    "o": "0",
    "l": "1",
    "i": "l",
    "e": "c",
    "s": "5",
    "a": "o",
    "m": "rn",
    "n": "ri",
    "b": "6",
    "g": "9",
}
_NUMERALS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_EDGES = re.compile(r"^(\W*)(.*?)(\W*)$", re.DOTALL)


@dataclass(frozen=True)
class TextNoise:
    """One way of spoiling a text.

    Attributes:
        apply: Text, level and source of chance to the spoilt text, which may be blank.
        levels: Of the severities 1 to 5.
        meaning: What happens, and what the level is.
    """

    apply: Callable[[str, float, np.random.Generator], str]
    levels: tuple[float, float, float, float, float]
    meaning: str


def typos(text: str, share: float, rng: np.random.Generator) -> str:
    """A share of the letters is hit beside the key, left out, doubled or swapped with the next."""
    chance, kind, beside = rng.random((3, len(text))).tolist()
    found, place = [], 0
    while place < len(text):
        letter = text[place]
        slips = letter.isalpha() and chance[place] < share
        if not slips:
            found.append(letter)
        elif kind[place] < 0.4:
            found.append(_neighbour(letter, beside[place]))
        elif kind[place] < 0.6:
            pass  # left out
        elif kind[place] < 0.8:
            found.append(letter * 2)
        else:
            found.append(text[place + 1 : place + 2] + letter)
            place += 1
        place += 1
    return "".join(found)


def _neighbour(letter: str, chance: float) -> str:
    """A letter beside another in its row of the keyboard."""
    for row in _ROWS:
        where = row.find(letter.lower())
        if where >= 0:
            near = row[max(0, where - 1) : where] + row[where + 1 : where + 2]
            return near[int(chance * len(near))]
    return letter


def misread(text: str, share: float, rng: np.random.Generator) -> str:
    """A share of the letters that a scanner confuses is confused."""
    chance = rng.random(len(text))
    pairs = zip(text, chance.tolist(), strict=True)
    return "".join(_MISREAD.get(letter, letter) if slip < share else letter for letter, slip in pairs)


def word_drop(text: str, share: float, rng: np.random.Generator) -> str:
    """A share of the words is missing; one always stays."""
    words = text.split()
    chance = rng.random(len(words))
    kept = [word for word, slip in zip(words, chance.tolist(), strict=True) if slip >= share]
    return " ".join(kept or words[:1])


def word_order(text: str, reach: float, rng: np.random.Generator) -> str:
    """Every word may stand up to about ``reach`` places from where it belongs."""
    words = text.split()
    places = np.arange(len(words)) + reach * rng.uniform(-1, 1, len(words))
    return " ".join(words[place] for place in np.argsort(places, kind="stable").tolist())


def synonyms(text: str, share: float, rng: np.random.Generator) -> str:
    """A share of the words that have one is replaced by a word of the same meaning."""
    return _by_word(text, share, rng, _synonym)


def numerals(text: str, share: float, rng: np.random.Generator) -> str:
    """A share of the numbers up to ten is written the other way: ``two`` as ``2``, ``2`` as ``two``."""
    return _by_word(text, share, rng, lambda word, _: _other_numeral(word))


def casing(text: str, share: float, rng: np.random.Generator) -> str:
    """A share of the words is in capitals."""
    return _by_word(text, share, rng, lambda word, _: word.upper())


def _by_word(text: str, share: float, rng: np.random.Generator, change: Callable[[str, float], str]) -> str:
    """Change a share of the words, what is no letter or digit around them kept."""
    words = text.split()
    chance, choice = rng.random((2, len(words))).tolist()
    for place, word in enumerate(words):
        if chance[place] < share:
            before, core, after = _parts(word)
            words[place] = before + change(core, choice[place]) + after
    return " ".join(words)


def _parts(word: str) -> tuple[str, str, str]:
    found = _EDGES.match(word)
    return (found[1], found[2], found[3]) if found else ("", word, "")


def _synonym(word: str, chance: float) -> str:
    others = _rings().get(word.lower(), ())
    return others[int(chance * len(others))] if others else word


@cache
def _rings() -> Mapping[str, tuple[str, ...]]:
    """Word to the words of its ring, those that training swaps too."""
    text = resources.files("landsift").joinpath("train", "synonyms.toml").read_text("utf-8")
    rings: list[list[str]] = tomllib.loads(text)["rings"]
    return {word: tuple(other for other in ring if other != word) for ring in rings for word in ring}


def _other_numeral(word: str) -> str:
    if word.lower() in _NUMERALS:
        return str(_NUMERALS.index(word.lower()))
    return _NUMERALS[int(word)] if word.isascii() and word.isdigit() and int(word) <= 10 else word


TEXT_NOISES: Mapping[str, TextNoise] = {
    "typos": TextNoise(typos, (0.02, 0.05, 0.1, 0.15, 0.25), "share of letters mistyped"),
    "misread": TextNoise(misread, (0.05, 0.1, 0.2, 0.35, 0.5), "share of look-alike letters confused"),
    "word-drop": TextNoise(word_drop, (0.1, 0.2, 0.3, 0.45, 0.6), "share of words missing"),
    "word-order": TextNoise(word_order, (1.0, 2.0, 3.0, 5.0, 8.0), "places that a word may stand off"),
    "synonyms": TextNoise(synonyms, (0.2, 0.4, 0.6, 0.8, 1.0), "share of known words replaced"),
    "numerals": TextNoise(numerals, (0.2, 0.4, 0.6, 0.8, 1.0), "share of numbers written the other way"),
    "casing": TextNoise(casing, (0.2, 0.4, 0.6, 0.8, 1.0), "share of words in capitals"),
}
"""Ways of spoiling a text, by name."""
