"""Texts are cleaned as open_clip cleans them: its steps spelled out once more, on real and on nasty texts."""

from __future__ import annotations

import html
import random
import re
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landsift.encoders import load_encoder
from landsift.encoders.cleaning import CLEANINGS, cleaned
from landsift.errors import EncoderError, MissingDependency

NASTY = (
    "schÃ¶ne StraÃŸe mit BÃ¤umen",  # UTF-8 read as Latin-1
    "“two” planes ‘beside’ a runway – long…",
    "ＡＢＣ　harbour　１２３",  # full width
    "a ﬁeld with ﬂowers",  # ligatures
    "cafe\u0301 beside the ΟΔΟΣ ΑΣ",
    "R&amp;D buildings &amp;amp; roads &lt;b&gt; &eacute; &amp;eacute; &EACUTE;",
    "a &lt; b <i>bold</i> &amp;nbsp; end",
    "\x1b[31mred\x1b[0m roofs\x07 \u200bbeside\ufeff water",
    "line one\r\nline two\u2028line three\x85four\ttab",
    "boats\u00a0in\u2003a harbour  ",
    "l’homme â€œquotedâ€\x9d text",
    "\ud83d\ude80 rockets \ud800 alone",
    "İstanbul ÅNGSTRÖM Straße ǅ",
    "&#x41;&#66; &notanentity; &amp;#38;#39;",
    "100% of the 7/8 tanks @ 52.3°N — it's they're",
)


def as_open_clip(text: str, cleaning: str) -> str:
    """Step by step, with no short ways."""
    ftfy = pytest.importorskip("ftfy")
    text = html.unescape(html.unescape(ftfy.fix_text(text))).strip()
    if cleaning == "siglip":
        text = text.replace("_", " ").translate(str.maketrans("", "", string.punctuation)).lower()
        return re.sub(r"\s+", " ", text).strip() if text.isascii() else " ".join(text.split()).strip()
    text = " ".join(text.split()).strip()
    return text.lower() if cleaning == "clip" else text


@pytest.mark.parametrize("cleaning", ["clip", "siglip", "roberta"])
@pytest.mark.parametrize("text", NASTY)
def test_nasty_texts(text, cleaning):
    assert cleaned(text, cleaning) == as_open_clip(text, cleaning)


@given(st.text(alphabet=st.characters(max_codepoint=0x17F), max_size=60), st.sampled_from(["clip", "siglip"]))
@settings(max_examples=80, deadline=None)
def test_the_short_way_for_plain_texts_gives_the_same(text, cleaning):
    assert cleaned(text, cleaning) == as_open_clip(text, cleaning)


def test_a_thousand_real_captions(real_data):
    found = set()
    for path in (real_data / "rsitmd").rglob("*.json"):
        found |= set(re.findall(r'"raw": "([^"\\]+)"', path.read_text(encoding="utf-8", errors="ignore")))
    if len(found) < 1000:
        pytest.skip("RSITMD's captions are not there")
    for text in random.Random(0).sample(sorted(found), 1000):
        assert cleaned(text, "clip") == as_open_clip(text, "clip")


def test_texts_are_left_alone_without_a_cleaning():
    for text in NASTY:
        assert cleaned(text, "") == text
    assert set(CLEANINGS) == {"", "clip", "siglip", "roberta"}


def test_plain_texts_need_no_package_and_others_say_which(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "ftfy", None)
    assert cleaned("  Two planes,  beside a runway! ", "clip") == "two planes, beside a runway!"
    with pytest.raises(MissingDependency, match="ftfy"):
        cleaned("café", "clip")


def test_a_folder_of_graphs_cleans_as_its_card_says(tiny, rewrite_card):
    plain = load_encoder(tiny).encode_texts(["red roof"])
    rewrite_card(cleaning='"siglip"')
    encoder = load_encoder(tiny)
    assert (encoder.encode_texts(["Red_ROOF!!", "＂ｒｅｄ＂ roof"]) == plain).all()
    rewrite_card(cleaning='"soap"')
    with pytest.raises(EncoderError, match="not cleaned 'soap'"):
        load_encoder(tiny).encode_texts(["red"])
