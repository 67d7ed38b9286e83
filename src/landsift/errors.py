"""Every error Landsift raises on purpose, in one tree; each is one sentence that ends in a remedy.

::

    LandsiftError                  exit code 1
    ├── UsageError                 exit code 2: a value that could never work, whatever the data
    ├── MissingDependency          an optional package is not installed
    ├── SceneError                 one raster cannot be read; indexing records it and goes on
    ├── DatasetError               a caption data set is absent, incomplete or malformed
    ├── TrainingError              a run cannot start, go on or be resumed
    ├── EncoderError               an encoder cannot be found, read or run
    │   └── EncoderMismatch        the gallery was made by another encoder
    └── GalleryError               a gallery cannot be opened, read or written
        ├── GalleryNotFound
        ├── GalleryTooNew          made by a later release
        ├── GalleryReadOnly
        ├── GalleryBusy            another process is writing
        ├── GalleryDamaged
        └── DiskFull

This module knows nothing of the rest of the package.
"""

from __future__ import annotations

import importlib
from types import ModuleType

__all__ = [
    "DatasetError",
    "DiskFull",
    "EncoderError",
    "EncoderMismatch",
    "GalleryBusy",
    "GalleryDamaged",
    "GalleryError",
    "GalleryNotFound",
    "GalleryReadOnly",
    "GalleryTooNew",
    "LandsiftError",
    "LandsiftWarning",
    "MissingDependency",
    "SceneError",
    "ServerStopped",
    "TrainingError",
    "UsageError",
    "need",
]


class LandsiftError(Exception):
    """The root: ``except LandsiftError`` catches everything the package raises on purpose."""

    exit_code = 1

    def __str__(self) -> str:
        """The sentence, with its full stop."""
        text = super().__str__()
        return text if text.endswith((".", "?", "!")) else f"{text}."


class UsageError(LandsiftError, ValueError):
    """A value that could never work, such as ``k=0`` or a box whose south lies above its north."""

    exit_code = 2


class MissingDependency(LandsiftError, ImportError):
    """An optional package is not installed; the message names the extra that brings it."""


class SceneError(LandsiftError):
    """One raster cannot be read. Indexing records it in the ledger and goes on with the next."""


class DatasetError(LandsiftError):
    """A caption data set is absent, incomplete or malformed."""


class TrainingError(LandsiftError):
    """A training run cannot start, go on or be resumed; its last good checkpoint stays."""


class EncoderError(LandsiftError):
    """An encoder cannot be found, read or run."""


class EncoderMismatch(EncoderError):
    """The gallery was made by another encoder, so its vectors cannot be compared."""


class GalleryError(LandsiftError):
    """A gallery cannot be opened, read or written."""


class GalleryNotFound(GalleryError):
    """There is no gallery at that path."""


class GalleryTooNew(GalleryError):
    """The gallery was written by a later release of Landsift."""


class GalleryReadOnly(GalleryError):
    """The gallery cannot be written by this user or on this file system."""


class GalleryBusy(GalleryError):
    """Another process is writing to the gallery."""


class GalleryDamaged(GalleryError):
    """The gallery's files contradict each other or cannot be read."""


class ServerStopped(LandsiftError):
    """A process of a server could not be started, or not be replaced."""


class DiskFull(GalleryError):
    """The disk filled up; what was committed before stays."""


class LandsiftWarning(UserWarning):
    """Something was skipped, guessed or cut; the run goes on."""


def need(module: str, *, extra: str) -> ModuleType:
    """Import an optional module, or say which extra installs it.

    Args:
        module: Import name, such as ``"pyarrow.parquet"``.
        extra: The extra of this package that brings it.

    Raises:
        MissingDependency: The module is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        top = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != top:
            raise
        raise MissingDependency(
            f"This needs the package {top}, which is not installed; run: pip install 'landsift[{extra}]'"
        ) from error
