"""Tokenizers against a slow twin that merges pairs one after the other, on real captions where they are."""

from __future__ import annotations

import gzip
import html
import itertools
import json
import random
import re

import pytest

torch = pytest.importorskip("torch")

from landsift.errors import EncoderError  # noqa: E402
from landsift.models.clip import tokens as module  # noqa: E402
from landsift.models.clip.shapes import ARCHITECTURES  # noqa: E402
from landsift.models.clip.tokens import Tokens, clip_tokenizer, find_tokenizer  # noqa: E402
from landsift.models.features import CUT  # noqa: E402

CLIP = ARCHITECTURES["vit-b-32"].text
HARD = (
    "It's they're we'll I'd don't",
    "42 ships, 7/8 full (approx.) -- at 52.3°N!",
    "Übergröße café naïve Zürich",
    "港口 with ships 😀",
    "R&amp;D  buildings &amp;amp; roads\t\n",
    "hello_world foo-bar a" * 3,
    "schÃ¶ne StraÃŸe, “quoted” l’homme",
    "ＡＢＣ１２３ a ﬁeld cafe\u0301 ΟΔΟΣ",
    "&#65;&amp;eacute; \x1b[31mred\x1b[0m\u200b",
)


def merges():
    return [
        tuple(line.split()) for line in gzip.decompress(module._OWN_MERGES.read_bytes()).decode().split("\n")
    ]


class SlowTwin:
    """Byte pairs by the book: the pair that was learnt first is merged first, until none is left."""

    def __init__(self):
        letters = {}
        other = 256
        for byte in [*range(33, 127), *range(161, 173), *range(174, 256)]:
            letters[byte] = chr(byte)
        for byte in range(256):
            if byte not in letters:
                letters[byte], other = chr(other), other + 1
        self.letters = letters
        pairs = merges()
        words = [*letters.values(), *(f"{x}</w>" for x in letters.values()), *("".join(p) for p in pairs)]
        self.rank = {pair: number for number, pair in enumerate(pairs)}
        self.number = {word: place for place, word in enumerate(words)}

    def encode(self, text):
        ftfy = pytest.importorskip("ftfy")
        text = " ".join(html.unescape(html.unescape(ftfy.fix_text(text))).split()).lower()
        found = []
        for word in self.words(text):
            pieces = [self.letters[byte] for byte in word.encode()]
            pieces[-1] += "</w>"
            while len(pieces) > 1:
                best = min(itertools.pairwise(pieces), key=lambda pair: self.rank.get(pair, 10**9))
                if best not in self.rank:
                    break
                merged, place = [], 0
                while place < len(pieces):
                    if tuple(pieces[place : place + 2]) == best:
                        merged.append("".join(best))
                        place += 2
                    else:
                        merged.append(pieces[place])
                        place += 1
                pieces = merged
            found += [self.number[piece] for piece in pieces]
        return [49406, *found[:75], 49407]

    @staticmethod
    def words(text):
        """Endings such as 's; runs of letters; single digits; runs of anything else but space."""
        place, found = 0, []
        while place < len(text):
            ending = re.match(r"'(?:s|t|re|ve|m|ll|d)", text[place:])
            if ending:
                word = ending[0]
            elif text[place].isspace():
                place += 1
                continue
            elif text[place].isalpha():
                word = next(
                    text[place:end]
                    for end in range(place + 1, len(text) + 1)
                    if end == len(text) or not text[end].isalpha()
                )
            elif text[place].isnumeric():
                word = text[place]
            else:
                word = next(
                    text[place:end]
                    for end in range(place + 1, len(text) + 1)
                    if end == len(text) or text[end].isspace() or text[end].isalpha() or text[end].isnumeric()
                )
            found.append(word)
            place += len(word)
        return found


@pytest.fixture(scope="module")
def ours():
    return Tokens(clip_tokenizer(), "clip", 77)


@pytest.fixture(scope="module")
def twin():
    return SlowTwin()


@pytest.mark.parametrize("text", HARD)
def test_hard_words_are_read_as_the_slow_twin_reads_them(ours, twin, text):
    assert ours.encode([text]).tokens[0].tolist() == twin.encode(text)


def test_a_thousand_real_captions_are_read_as_the_slow_twin_reads_them(ours, twin, real_data):
    found = set()
    for path in (real_data / "rsitmd").rglob("*.json"):
        found |= set(re.findall(r'"raw": "([^"\\]+)"', path.read_text(encoding="utf-8", errors="ignore")))
    if len(found) < 1000:
        pytest.skip("RSITMD's captions are not there")
    some = random.Random(0).sample(sorted(found), 1000)
    encoded = ours.encode(some)
    for row, text in enumerate(some):
        assert encoded.tokens[row][encoded.mask[row]].tolist() == twin.encode(text), text


def test_known_numbers(ours):
    """Printed in CLIP's own notebook and in many places since."""
    assert ours.encode(["a diagram"]).tokens[0].tolist() == [49406, 320, 22697, 49407]
    assert ours.encode(["a dog"]).tokens[0].tolist() == [49406, 320, 1929, 49407]
    assert ours.tokenizer.get_vocab_size() == 49408


def test_the_cut_keeps_the_end_mark_and_is_told(ours):
    encoded = ours.encode(["boat " * 75, "boat " * 76, "boat"])
    assert encoded.extras[CUT].tolist() == [False, True, False]
    assert encoded.tokens.shape == (3, 77) and encoded.tokens[:2, -1].tolist() == [49407, 49407]
    assert encoded.mask.sum(dim=1).tolist() == [77, 77, 3]


def test_siglip_reads_no_punctuation_and_pads_to_its_context():
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = {"<unk>": 0, "</s>": 1, "a": 2, "harbour": 3, "big": 4}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing("$A </s>", None, [("</s>", 1)])
    encoded = Tokens(tokenizer, "siglip", 8).encode(["A  big_harbour!", "a"])
    assert encoded.tokens.tolist() == [[2, 4, 3, 1, 1, 1, 1, 1], [2, 1, 1, 1, 1, 1, 1, 1]]
    assert encoded.mask.sum(dim=1).tolist() == [4, 2]


def test_vocabularies_beside_weights_are_read(tmp_path, twin):
    """vocab.json with merges.txt, OpenAI's packed list and tokenizer.json give one tokenizer."""
    lists = tmp_path / "pair"
    lists.mkdir()
    pairs = merges()
    words = dict(twin.number) | {"<|startoftext|>": 49406, "<|endoftext|>": 49407}
    (lists / "vocab.json").write_text(json.dumps(words), encoding="utf-8")
    lines = "\n".join(" ".join(pair) for pair in pairs)
    (lists / "merges.txt").write_text(f"#version: 0.2\n{lines}\n", encoding="utf-8")
    packed = tmp_path / "packed"
    packed.mkdir()
    own = f'"bpe_simple_vocab_16e6.txt#version: 0.2\n{lines}\nmore merges\nthan used\n'
    (packed / "bpe_simple_vocab_16e6.txt.gz").write_bytes(gzip.compress(own.encode()))
    whole = tmp_path / "whole"
    whole.mkdir()
    (whole / "tokenizer.json").write_text(clip_tokenizer().to_str(), encoding="utf-8")
    expected = twin.encode(HARD[0])
    for folder in (lists, packed, whole, tmp_path, None):
        found = find_tokenizer(folder, CLIP, "x")
        assert Tokens(found, "clip", 77).encode([HARD[0]]).tokens[0].tolist() == expected


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("tokenizer.json", b"{", "cannot be read as a tokenizer"),
        ("vocab.json", b"[1]", "is not CLIP's vocabulary"),
        ("bpe_simple_vocab_16e6.txt.gz", b"not packed", "cannot be read"),
    ],
)
def test_broken_vocabularies_are_told(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    (tmp_path / "merges.txt").write_text("a b")
    with pytest.raises(EncoderError, match=said):
        find_tokenizer(tmp_path, CLIP, "x")
