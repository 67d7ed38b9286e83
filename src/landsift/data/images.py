"""Pictures as arrays: one reader for files, bytes and ready arrays, and a threaded one for many.

Knows Pillow; not data sets, and not rasters with places on Earth (those are scenes).
"""

from __future__ import annotations

import io
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from landsift.errors import DatasetError
from landsift.threads import available_threads
from landsift.types import Pixels

__all__ = ["IMAGE_SUFFIXES", "read_image", "read_images"]

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".bmp", ".gif", ".jp2"})
_WIDE_MODES = {"I", "F"}


def read_image(source: Any) -> Pixels:
    """Read one picture as sRGB.

    Grey, palette and CMYK pictures become RGB, an alpha channel is dropped, and 16-bit greys are scaled to
    8 bits.

    Args:
        source: A path, the bytes of an image file, an open binary file, or a ready ``(H, W, 3)`` or
            ``(H, W)`` uint8 array.

    Returns:
        ``(H, W, 3)`` uint8.

    Raises:
        DatasetError: The file is absent, cut short, no image, or of a kind that needs a raster reader.
    """
    if isinstance(source, np.ndarray):
        return _checked_array(source)
    name = str(source) if isinstance(source, str | os.PathLike) else "The given bytes"
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
            return _to_rgb(image, name)
    except FileNotFoundError as error:
        raise DatasetError(f"{name} does not exist; check the folder of the images.") from error
    except Image.DecompressionBombError as error:
        raise DatasetError(f"{name} is too large to read at once; index it as a scene instead.") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise DatasetError(f"{name} cannot be read as an image ({error}); replace the file.") from error


def _checked_array(array: np.ndarray[Any, Any]) -> Pixels:
    if array.dtype == np.uint8 and array.ndim == 2:
        return np.repeat(array[:, :, None], 3, axis=2)
    if array.dtype == np.uint8 and array.ndim == 3 and array.shape[2] == 3:
        return array
    raise DatasetError(
        f"An image array must be uint8 of shape (H, W, 3) or (H, W); got {array.dtype} {array.shape}: "
        "convert it first."
    )


def _to_rgb(image: Image.Image, name: str) -> Pixels:
    if image.mode.startswith("I;16"):
        wide = np.asarray(image, np.uint16)
        return np.repeat((wide // 257).astype(np.uint8)[:, :, None], 3, axis=2)
    if image.mode in _WIDE_MODES:
        raise DatasetError(f"{name} holds {image.mode} values, not colours; index it as a scene instead.")
    return np.array(image.convert("RGB"))


def read_images(sources: Iterable[Any], workers: int | None = None) -> Iterator[Pixels]:
    """Read many pictures in order, decoding ahead in threads; only a few are held at a time.

    Args:
        sources: As for :func:`read_image`.
        workers: Threads; all cores by default. Pillow decodes outside the interpreter lock.

    Yields:
        ``(H, W, 3)`` uint8, in the order of ``sources``.
    """
    workers = workers or available_threads()
    with ThreadPoolExecutor(workers) as pool:
        ahead: deque[Any] = deque()
        for source in sources:
            ahead.append(pool.submit(read_image, source))
            if len(ahead) > 4 * workers:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def is_image_name(path: Path) -> bool:
    """Whether a file's name ends like an image's."""
    return path.suffix.lower() in IMAGE_SUFFIXES
