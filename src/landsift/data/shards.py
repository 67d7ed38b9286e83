"""Tar shards: samples in file order, one at a time, in constant memory.

Knows the WebDataset convention (members that share a name up to the first dot are one sample) and the
member names the field's shards use; not which data set they belong to.
"""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landsift.data.images import read_image
from landsift.errors import DatasetError
from landsift.types import Pixels

__all__ = ["OnBad", "Sample", "read_tar", "tar_complaint"]

_IMAGES = ("jpg", "jpeg", "png", "webp", "tif", "tiff", "img_content", "image", "image.npy", "npy")
_TEXTS = ("caption", "txt", "text")
_NUMPY_MAGIC = b"\x93NUMPY"
_BLOCK = 512

OnBad = Callable[[str], None]
"""Told, in a sentence, of each sample that cannot be used; the stream goes on without it."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One image of a streamed set.

    Attributes:
        name: Image name, or the key of the sample in its shard.
        source: An image file's bytes, its path, or an array of bands.
        captions: At least one.
        wavelengths: Centre of each band in micrometres where the shard says; zeros mean plain RGB.
        metadata: Whatever else the sample holds.
    """

    name: str
    source: bytes | Path | NDArray[Any]
    captions: tuple[str, ...]
    wavelengths: tuple[float, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def pixels(self) -> Pixels:
        """Decode the image: ``(H, W, 3)`` uint8.

        Raises:
            DatasetError: Unreadable, or bands that are not three of 8 bits.
        """
        if not isinstance(self.source, np.ndarray):
            return read_image(self.source)
        bands = self.source
        if bands.ndim == 3 and bands.shape[0] == 3 != bands.shape[2]:
            bands = np.ascontiguousarray(bands.transpose(1, 2, 0))
        if bands.dtype != np.uint8 or bands.ndim != 3 or bands.shape[2] != 3:
            raise DatasetError(
                f"{self.name} holds {bands.dtype} bands of shape {bands.shape}, not three of 8 bits; "
                "choose and stretch bands of its source yourself."
            )
        return bands


def read_tar(path: Path, on_bad: OnBad | None = None) -> Iterator[Sample]:
    """Yield the samples of one shard.

    Args:
        path: A tar, plain or compressed.
        on_bad: Told of samples without image or caption; None to raise instead.

    Raises:
        DatasetError: The shard is cut short or no tar, or a sample is bad and ``on_bad`` is None.
    """
    complaint = tar_complaint(path)
    if complaint:
        raise DatasetError(complaint)
    for key, members in _groups(path):
        try:
            yield _sample(key, members, path)
        except DatasetError as error:
            if on_bad is None:
                raise
            on_bad(str(error))


def tar_complaint(path: Path) -> str | None:
    """Say what is wrong with the ends of a shard without reading it through, or None.

    A tar that was cut between two members reads as if it were whole; only the missing end marker tells.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_BLOCK)
            size = file.seek(0, io.SEEK_END)
            file.seek(max(0, size - 2 * _BLOCK))
            tail = file.read()
    except OSError as error:
        return f"{path} cannot be read ({error.strerror}); check the folder."
    plain = head[257:262] == b"ustar" or not any(head)
    if plain and (size % _BLOCK or any(tail) or len(tail) < 2 * _BLOCK):
        return f"{path} is cut short: it lacks the end of a tar; download it again."
    if not plain and not head[:6].startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ")):
        return f"{path} is not a tar; download it again."
    return None


def _groups(path: Path) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Yield ``(key, {extension: bytes})`` for runs of members that share a key."""
    key = ""
    members: dict[str, bytes] = {}
    try:
        with tarfile.open(path, "r|*") as tar:
            for member in tar:
                # The list that tarfile keeps of all it has seen would grow with the shard.
                tar.members.clear()  # type: ignore[attr-defined]
                content = tar.extractfile(member) if member.isfile() else None
                if content is None:
                    continue
                found, extension = _split_name(member.name)
                if found != key and members:
                    yield key, members
                    members = {}
                key = found
                members[extension] = content.read()
    except (tarfile.TarError, EOFError, OSError) as error:
        raise DatasetError(f"{path} is cut short or damaged ({error}); download it again.") from error
    if members:
        yield key, members


def _split_name(name: str) -> tuple[str, str]:
    folder, slash, file = name.rpartition("/")
    stem, _, extension = file.partition(".")
    return folder + slash + stem, extension.lower()


def _sample(key: str, members: dict[str, bytes], path: Path) -> Sample:
    image = next((members[name] for name in _IMAGES if members.get(name)), None)
    captions = _captions(members)
    if image is None or not captions:
        lacking = "image" if image is None else "caption"
        raise DatasetError(f"The sample {key} in {path} has no {lacking}; leave it out or mend the shard.")
    name = members["img_name"].decode("utf-8", "replace") if "img_name" in members else key
    return Sample(
        name,
        _array(image, key, path) if image.startswith(_NUMPY_MAGIC) else image,
        captions,
        tuple(map(float, re.findall(r"[-+.\deE]*\d[-+.\deE]*", _text(members, "wavelength")))),
        MappingProxyType(_metadata(members)),
    )


def _captions(members: dict[str, bytes]) -> tuple[str, ...]:
    for name in _TEXTS:
        text = _text(members, name).strip()
        # Only .txt files hold a caption a line; other captions may run over several.
        lines = text.splitlines() if name == "txt" else [text]
        if text:
            return tuple(line.strip() for line in lines if line.strip())
    return ()


def _text(members: dict[str, bytes], name: str) -> str:
    return members.get(name, b"").decode("utf-8", "replace")


def _array(data: bytes, key: str, path: Path) -> NDArray[Any]:
    try:
        array: NDArray[Any] = np.load(io.BytesIO(data), allow_pickle=False)
        return array
    except ValueError as error:
        raise DatasetError(f"The bands of {key} in {path} cannot be read ({error}); leave it out.") from error


def _metadata(members: dict[str, bytes]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if "json" in members:
        try:
            content = json.loads(members["json"])
        except ValueError:
            content = None
        found |= content if isinstance(content, dict) else {}
    if "geoloc" in members:
        found["geoloc"] = _text(members, "geoloc")
    return found
