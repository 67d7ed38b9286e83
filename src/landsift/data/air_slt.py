"""AIR-SLT: sentences, large images and the polygons that each sentence means (Yuan et al., TGRS 2022).

22 images and 59 cases; the images come from the authors' archive. Knows files; no maps and no scores.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from landsift.errors import DatasetError

__all__ = ["LocationCase", "load_air_slt"]

_ANNOTATIONS = "anno.json"
_FOLDERS = ("", "imgs", "images", "image")
_LEAST_CORNERS = 3


@dataclass(frozen=True, slots=True)
class LocationCase:
    """One question about one image.

    Attributes:
        text: What is looked for.
        image: The file.
        regions: Polygons of what was meant, each ``((x, y), ...)`` in pixels.
    """

    text: str
    image: Path
    regions: tuple[tuple[tuple[float, float], ...], ...]


def load_air_slt(root: str | Path) -> list[LocationCase]:
    """Read a folder with ``anno.json`` and the images, beside it or in ``imgs``.

    Raises:
        DatasetError: No annotations, malformed ones, or an image that is absent.
    """
    folder = Path(root)
    file = folder / _ANNOTATIONS
    if not file.is_file():
        raise DatasetError(f"{folder} has no {_ANNOTATIONS}; unpack AIR-SLT's annotations there")
    try:
        rows = json.loads(file.read_text(encoding="utf-8"))
        cases = [_case(folder, row) for row in rows]
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{file} is not as AIR-SLT has it ({error}); fetch it again") from error
    if not cases:
        raise DatasetError(f"{file} holds no case; fetch it again")
    return cases


def _case(folder: Path, row: dict[str, Any]) -> LocationCase:
    regions = tuple(tuple((float(x), float(y)) for x, y in ring) for ring in row["points"])
    if not regions or min(map(len, regions)) < _LEAST_CORNERS:
        raise ValueError(f"the case {row['caption']!r} has a region of fewer than {_LEAST_CORNERS} corners")
    return LocationCase(str(row["caption"]), _image(folder, str(row["jpg_name"])), regions)


def _image(folder: Path, name: str) -> Path:
    for part in _FOLDERS:
        path = folder / part / Path(name).name
        if path.is_file():
            return path
    raise DatasetError(f"{folder} lacks the image {name}; unpack AIR-SLT's images there or into imgs")
