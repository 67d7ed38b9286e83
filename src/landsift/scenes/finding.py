"""From what a user names (files, folders, globs, STAC documents, lists) to scenes. Opens no raster."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from urllib.parse import urlparse

from landsift.errors import LandsiftWarning, SceneError, UsageError
from landsift.scenes.sources import RASTER_SUFFIXES, SceneSource, canonical_href, is_local

__all__ = ["find_sources", "source_of"]

_STAC_SUFFIXES = {".json", ".geojson"}
_LIST_SUFFIXES = {".txt", ".lst", ".list"}
_WILDCARDS = frozenset("*?[")


def find_sources(arguments: Sequence[str | Path]) -> Iterator[SceneSource]:
    """List the scenes that some arguments name, each once, in a fixed order.

    An argument is an image file, a folder (searched to the bottom; hidden entries are left out), a glob
    (``**`` descends), a URL or ``/vsi`` path, a STAC Item, ItemCollection, Catalog or Collection
    (``.json``), or a text file (``.txt``) of such arguments: one per line, blank lines and lines that start
    with ``#`` left out, relative paths taken from the folder of the text file or else from the current one.

    Paths that a text file or a STAC item names are not looked for here, so that a missing one is reported
    when its turn comes and the others go on.

    Raises:
        UsageError: No argument, one that does not exist, or one without any image.
        SceneError: A STAC document cannot be read.
    """
    if isinstance(arguments, str | Path):
        arguments = [arguments]
    if not arguments:
        raise UsageError("Nothing to look in; name an image, a folder, a STAC document or a list of paths.")
    # The first scene of every argument is looked up now, so that a mistyped one is known before the work.
    found = [_at_least_one(argument, _expand(str(argument))) for argument in arguments]
    return _each_once(chain.from_iterable(found))


def source_of(place: SceneSource | str | Path) -> SceneSource:
    """The one scene at a place: a source as it is, a raster's path or URL, a STAC item's (or ``item#id``).

    Raises:
        SceneError: A STAC document of no or several scenes.
    """
    if isinstance(place, SceneSource):
        return place
    text = str(place)
    document, _, item = text.partition("#")
    if _suffix(document) not in _STAC_SUFFIXES:
        return _file_source(text)
    sources = [source for source in _stac_sources(document) if item in ("", source.name)]
    if len(sources) != 1:
        raise SceneError(f"{text} names {len(sources)} scenes instead of one; add # and the id of an item.")
    return sources[0]


def _at_least_one(argument: str | Path, sources: Iterator[SceneSource]) -> Iterator[SceneSource]:
    first = next(sources, None)
    if first is None:
        kinds = ", ".join(sorted(suffix[1:] for suffix in RASTER_SUFFIXES))
        raise UsageError(f"There is no image in {argument}; name a place that holds some ({kinds}).")
    return chain([first], sources)


def _each_once(sources: Iterator[SceneSource]) -> Iterator[SceneSource]:
    seen: set[str] = set()
    for source in sources:
        if source.href not in seen:
            seen.add(source.href)
            yield source


def _expand(argument: str, base: Path | None = None) -> Iterator[SceneSource]:
    """The scenes one argument names; ``base`` is the folder that their names are relative to, if given."""
    if argument.startswith("file://"):
        argument = canonical_href(argument)
    if not is_local(argument):
        return _expand_file(argument, base)
    path = Path(argument).expanduser()
    if path.is_dir():
        return _expand_folder(path, base if base is not None and path.is_relative_to(base) else path)
    if not path.exists():
        if _WILDCARDS & set(argument):
            return _expand_glob(path)
        raise UsageError(f"There is no file or folder {argument}; check the path.")
    return _expand_file(str(path), base)


def _expand_file(argument: str, base: Path | None) -> Iterator[SceneSource]:
    suffix = _suffix(argument)
    if suffix in _STAC_SUFFIXES:
        return _stac_sources(argument)
    if suffix in _LIST_SUFFIXES and is_local(argument):
        return _expand_list(Path(argument))
    # Anything else a user names by hand may well be a raster; opening it will tell.
    return iter([_file_source(argument, base)])


def _stac_sources(argument: str) -> Iterator[SceneSource]:
    # Loading pystac takes longer than listing most folders.
    from landsift.scenes.stac import stac_sources

    return stac_sources(canonical_href(argument))


def _file_source(argument: str, base: Path | None = None) -> SceneSource:
    href = canonical_href(argument)
    path = Path(urlparse(href).path if "://" in href else href)
    root = base.resolve() if base is not None else path.parent
    return SceneSource(href, path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name)


def _expand_folder(folder: Path, base: Path) -> Iterator[SceneSource]:
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if _is_raster_name(name):
                path = Path(place) / name
                yield SceneSource(canonical_href(path), path.relative_to(base).as_posix())


def _expand_glob(pattern: Path) -> Iterator[SceneSource]:
    fixed = next(i for i, part in enumerate(pattern.parts) if _WILDCARDS & set(part))
    base, variable = Path(*pattern.parts[:fixed]), pattern.parts[fixed:]
    if variable[-1] == "**":
        variable = (*variable, "*")
    for match in sorted(base.glob(str(Path(*variable)))):
        if any(part.startswith(".") for part in match.relative_to(base).parts):
            continue
        if match.is_dir():
            # With ** the folders match beside what they hold.
            if "**" not in variable:
                yield from _expand_folder(match, base)
        elif _is_raster_name(match.name) or match.suffix.lower() in _STAC_SUFFIXES:
            yield from _expand_file(str(match), base)


def _expand_list(path: Path) -> Iterator[SceneSource]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{path} cannot be read as a list of paths ({error}); it must be text, one path per line."
        ) from error
    for line in lines:
        entry = line.strip()
        if entry and not entry.startswith("#"):
            yield from _expand_entry(entry, path)


def _expand_entry(entry: str, listing: Path) -> Iterator[SceneSource]:
    """The scenes that a line of a list names, or a warning: one bad line does not stop the others."""
    try:
        sources = _resolve_entry(entry, listing.parent)
        first = next(sources, None)
    except (SceneError, UsageError) as error:
        warnings.warn(f"A line of {listing} is skipped: {error}", LandsiftWarning, stacklevel=2)
        return
    if first is None:
        warnings.warn(
            f"{entry} in {listing} holds no image; correct the line.", LandsiftWarning, stacklevel=2
        )
        return
    yield first
    yield from sources


def _resolve_entry(entry: str, folder: Path) -> Iterator[SceneSource]:
    """A missing file is passed on, to fail when it is opened."""
    if not is_local(entry):
        return _expand(entry)
    if _suffix(entry) in _LIST_SUFFIXES:
        raise UsageError(f"{entry} is a list inside a list; name it directly.")
    path = Path(entry).expanduser()
    beside = folder / path
    place = path if path.exists() and not beside.exists() else beside
    if not place.exists() and not _WILDCARDS & set(entry):
        return iter([_file_source(str(place), folder)])
    return _expand(str(place), folder)


def _is_raster_name(name: str) -> bool:
    return not name.startswith(".") and Path(name).suffix.lower() in RASTER_SUFFIXES


def _suffix(place: str) -> str:
    return Path(urlparse(place).path if "://" in place else place).suffix.lower()
