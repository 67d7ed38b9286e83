"""The page of encoders follows from the cards."""

from __future__ import annotations

import re
from pathlib import Path

from landsift.encoders import list_encoders
from landsift.encoders.page import encoders_markdown

PAGE = Path(__file__).parents[2] / "docs" / "encoders.md"


def test_the_page_is_what_the_command_prints(landsift_command):
    code, out, _ = landsift_command("list", "encoders", "--markdown")
    assert code == 0 and out == PAGE.read_text(encoding="utf-8")


def test_every_encoder_is_on_it_once_in_each_table():
    page = encoders_markdown(list_encoders())
    table = page[page.index("## What there is") : page.index("## Where weights")]
    names = re.findall(r"^\| `([^`]+)` \|", table, flags=re.MULTILINE)
    assert names == [card.name for card in list_encoders()]


def test_tables_are_whole():
    for block in re.findall(r"(?:^\|.*\n)+", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE):
        assert len({line.count(" | ") for line in block.splitlines() if "---" not in line}) == 1, block[:80]


def test_the_anchors_are_named_with_their_numbers():
    page = encoders_markdown(list_encoders())
    assert re.search(r"landsift evaluate remoteclip-vit-b-32 rsitmd --root /data/rsitmd\s+# 49\.38", page)
    assert re.search(r"landsift evaluate georsclip-vit-b-32-ret-2 rsicd --root /data/rsicd\s+# 38\.87", page)


def test_the_list_says_what_a_user_must_know(landsift_command):
    code, out, _ = landsift_command("list", "encoders")
    assert code == 0
    words = " ".join(out.split())
    assert "vit-b-32 with quickgelu, centre-crop; from hf-hub:chendelong/RemoteCLIP" in words
    assert "printed for rsitmd/test: i2t_R@1 27.88" in words and "reads B02, B03" in words
