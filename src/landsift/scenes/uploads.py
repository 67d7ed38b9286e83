"""Images that strangers send: what they are by their first bytes, and how large, before they are decoded."""

from __future__ import annotations

from pathlib import Path

from landsift.errors import SceneError, UsageError
from landsift.scenes.gdal import RasterFile

__all__ = ["check_size", "image_suffix"]

_MOST_BANDS = 64


def image_suffix(data: bytes) -> str:
    """The file suffix of an image by its first bytes.

    Raises:
        UsageError: It is no PNG, JPEG, WebP or TIFF.
    """
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return ".png"
    if data.startswith(b"\xff\xd8\xff"):
        return ".jpg"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return ".webp"
    if data.startswith((b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")):
        return ".tif"
    raise UsageError("The file is no PNG, JPEG, WebP or TIFF image; convert it to one of these")


def check_size(path: Path, most_pixels: int) -> None:
    """Refuse an image that says it is larger than allowed; nothing is decoded to find out.

    Raises:
        UsageError: It has more pixels or bands.
        SceneError: It has no readable header.
    """
    try:
        file = RasterFile(str(path))
    except SceneError as error:
        raise SceneError("The image cannot be opened; save it anew and send that") from error
    try:
        width, height, bands = file.base.width, file.base.height, file.base.count
    finally:
        file.close()
    if width * height > most_pixels or bands > _MOST_BANDS:
        raise UsageError(
            f"The image has {width} x {height} pixels in {bands} bands and {most_pixels:,} pixels in "
            f"{_MOST_BANDS} bands are allowed; send a smaller one"
        )
