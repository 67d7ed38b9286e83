"""An explanation as a picture: the image, the image under its heat, the words by what they add.

Knows explanations and Pillow; computes nothing but colours.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from landsift.errors import UsageError
from landsift.explain.result import Explanation, WordChange
from landsift.files import write_whole
from landsift.types import FloatArray, Pixels, Window

__all__ = ["check_picture_path", "draw_explanation", "save_explanation"]

_INK, _PALE, _PAPER, _LINE = "#1b1f23", "#5c6570", "#ffffff", "#d5dae0"
_SIDE, _GAP, _MARGIN = 448, 20, 28
_WORD_SIZE, _WORD_HEIGHT = 22, 40
_ADDS, _TAKES = (222, 107, 53), (84, 138, 199)
_RAMP = np.array([(13, 8, 60), (84, 15, 109), (187, 55, 84), (249, 142, 9), (252, 255, 164)], np.float32)
"""From cold to hot, rising in lightness all the way, so that it reads in grey too."""
_STRONGEST = 0.72  # opacity of the hottest pixel


def check_picture_path(path: Path) -> None:
    """Refuse a name that no picture can have, before any work is done.

    Raises:
        UsageError: Another suffix, or no such folder.
    """
    if path.suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp"):
        raise UsageError(f"The picture {path.name} must end in .png, .jpg or .webp")
    if not path.parent.is_dir():
        raise UsageError(f"The folder {path.parent} does not exist; make it first")


def save_explanation(path: str | Path, explanation: Explanation, scene: Pixels | None = None) -> None:
    """Write :func:`draw_explanation` as an image; the suffix names the format.

    Raises:
        UsageError: The suffix is not that of a picture, or there is no such folder.
    """
    path = Path(path)
    check_picture_path(path)
    drawn = draw_explanation(explanation, scene)
    write_whole(path, lambda partial: drawn.save(partial))


def draw_explanation(explanation: Explanation, scene: Pixels | None = None) -> Image.Image:
    """Draw an explanation.

    Args:
        explanation: Of an image or a tile.
        scene: ``(H, W, 3)`` uint8, the whole that a tile was cut from, at any size; drawn first, with the
            tile framed.
    """
    panels = [_scaled(explanation.pixels), _scaled(_tinted(explanation.pixels, explanation.heat))]
    if scene is not None and explanation.tile is not None:
        panels.insert(0, _framed(scene, explanation))
    width = sum(panel.width for panel in panels) + (len(panels) - 1) * _GAP
    probe = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    rows = _word_rows(probe, explanation.words, width)
    facts = _facts(explanation)
    words = len(rows) * _WORD_HEIGHT
    height = words + 14 + max(panel.height for panel in panels) + 14 + 22 * len(facts)
    sheet = Image.new("RGB", (width + 2 * _MARGIN, height + 2 * _MARGIN), _PAPER)
    draw = ImageDraw.Draw(sheet)
    _draw_words(draw, rows, explanation.words)
    top, left = _MARGIN + words + 14, _MARGIN
    for panel in panels:
        sheet.paste(panel, (left, top))
        left += panel.width + _GAP
    top += max(panel.height for panel in panels) + 14
    for number, line in enumerate(facts):
        draw.text((_MARGIN, top + 22 * number), line, _PALE, font=_font(15))
    return sheet


def _scaled(pixels: Pixels) -> Image.Image:
    image = Image.fromarray(pixels)
    ratio = _SIDE / max(image.size)
    size = tuple(max(1, round(length * ratio)) for length in image.size)
    return image.resize((size[0], size[1]), Image.Resampling.BICUBIC)


def _tinted(pixels: Pixels, heat: FloatArray) -> Pixels:
    """Grey where nothing counts, so that what is in colour is what the score hangs on."""
    grey = np.repeat(pixels.mean(axis=2, keepdims=True), 3, axis=2) * 0.75
    opacity = _STRONGEST * heat[..., None] ** 0.8
    found: Pixels = (grey * (1 - opacity) + _coloured(heat) * opacity).astype(np.uint8)
    return found


def _coloured(heat: FloatArray) -> FloatArray:
    place = heat * (len(_RAMP) - 1)
    lower = np.minimum(place.astype(int), len(_RAMP) - 2)
    share = (place - lower)[..., None]
    mixed: FloatArray = _RAMP[lower] * (1 - share) + _RAMP[lower + 1] * share
    return mixed


def _framed(scene: Pixels, explanation: Explanation) -> Image.Image:
    image = _scaled(scene)
    assert explanation.tile is not None
    window, whole = explanation.tile.window, explanation.tile.scene
    across, down = image.width / whole[0], image.height / whole[1]
    box = _box(window, across, down)
    draw = ImageDraw.Draw(image)
    draw.rectangle(box, outline="#000000", width=5)
    draw.rectangle(box, outline="#ffffff", width=2)
    return image


def _box(window: Window, across: float, down: float) -> tuple[float, float, float, float]:
    right, bottom = window.col + window.width, window.row + window.height
    return window.col * across, window.row * down, right * across - 1, bottom * down - 1


def _word_rows(draw: ImageDraw.ImageDraw, words: tuple[WordChange, ...], width: int) -> list[list[int]]:
    """Numbers of the words of each line, broken where they would be wider than the pictures."""
    rows: list[list[int]] = [[]]
    used = 0.0
    for number, one in enumerate(words):
        needed = _word_width(draw, one)
        if rows[-1] and used + needed > width:
            rows.append([])
            used = 0
        rows[-1].append(number)
        used += needed
    return rows


def _word_width(draw: ImageDraw.ImageDraw, one: WordChange) -> float:
    return float(draw.textlength(one.word, font=_font(_WORD_SIZE))) + 20


def _draw_words(draw: ImageDraw.ImageDraw, rows: list[list[int]], words: tuple[WordChange, ...]) -> None:
    most = max(abs(one.change) for one in words) or 1.0
    for line, row in enumerate(rows):
        left, top = float(_MARGIN), _MARGIN + line * _WORD_HEIGHT
        for number in row:
            one = words[number]
            wide = _word_width(draw, one) - 6
            share = abs(one.change) / most
            full = _ADDS if one.change >= 0 else _TAKES
            shade = tuple(round(255 + (part - 255) * share) for part in full)
            draw.rounded_rectangle((left, top, left + wide, top + _WORD_HEIGHT - 8), 6, fill=shade)
            draw.text((left + 7, top + 3), one.word, _INK, font=_font(_WORD_SIZE))
            left += wide + 6


def _facts(explanation: Explanation) -> list[str]:
    areas = explanation.areas
    against = f"   less {', '.join(explanation.against)}" if explanation.against else ""
    lines = [
        f"{explanation.encoder}, {explanation.method}: score {explanation.score:.3f}{against}"
        "   (words: orange raises the score, blue lowers it)",
        f"deletion {areas.deletion:.3f} (random order {areas.random_deletion:.3f})   "
        f"insertion {areas.insertion:.3f} (random order {areas.random_insertion:.3f})",
    ]
    if explanation.mask is not None:
        mask = explanation.mask
        lines.append(
            f"heat inside the mask {mask.energy:.0%} of all, on {mask.share:.0%} of the image; hottest pixel "
            f"{'inside' if mask.pointing else 'outside'}"
        )
    if explanation.tile is not None:
        tile = explanation.tile
        lines.append(f"best of {tile.tiles:,} tiles (median score {tile.median:.3f})")
    return lines


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
