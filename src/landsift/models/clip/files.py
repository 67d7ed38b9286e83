"""Weight files, read without running anything that lies in them.

safetensors, in one file or several, and torch archives are mapped into memory, not copied. TorchScript
archives (OpenAI's releases) are read as data: their tensors are taken out, their code is never run. Knows
containers; no names of tensors.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from landsift.encoders.shards import is_index, shard_table
from landsift.errors import EncoderError

__all__ = ["container_of", "read_content"]

_ZIP, _PICKLE, _LFS = b"PK\x03\x04", b"\x80", b"version https://git-lfs"
_SAFETENSORS_HEADER = 8
_LARGEST_HEADER = 100_000_000


def container_of(path: Path) -> str:
    """What kind of file it is: ``safetensors``, ``shards`` (an index of these), ``torch``, ``script``,
    ``pickle``, or what is wrong with it.

    Raises:
        EncoderError: There is no such file, or it cannot be read.
    """
    try:
        with path.open("rb") as file:
            start = file.read(64)
            size = path.stat().st_size
    except OSError as error:
        raise EncoderError(
            f"The weights {path} cannot be read ({error}); give a file that exists."
        ) from error
    if is_index(path):
        return "shards"
    if start.startswith(_ZIP):
        return _kind_of_archive(path)
    if start.startswith(_LFS):
        return "pointer"
    header = int.from_bytes(start[:_SAFETENSORS_HEADER], "little")
    if start[_SAFETENSORS_HEADER : _SAFETENSORS_HEADER + 1] == b"{" and header < _LARGEST_HEADER:
        return "safetensors" if header + _SAFETENSORS_HEADER <= size else "cut"
    return "pickle" if start.startswith(_PICKLE) else "unknown"


def _kind_of_archive(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile:
        return "cut"
    if not any(name.endswith("/data.pkl") or name == "data.pkl" for name in names):
        return "zip"
    return "script" if any("/code/" in name for name in names) else "torch"


def read_content(path: Path) -> Mapping[str, Any]:
    """What a weight file holds: tensors by name, or a trainer's dictionary around them.

    Raises:
        EncoderError: Absent, cut short, another kind of file, or one that would run code.
    """
    kind = container_of(path)
    if kind in _REFUSED:
        raise EncoderError(f"{path} {_REFUSED[kind]}")
    if kind == "shards":
        return _read_shards(path)
    try:
        if kind == "safetensors":
            return load_file(path)
        if kind == "script":
            return _script_tensors(path)
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=kind == "torch")
    except pickle.UnpicklingError as error:
        if "truncated" in str(error):
            raise EncoderError(f"{path} {_REFUSED['cut']}") from error
        raise EncoderError(
            f"{path} holds more than weights, and reading it would run code that lies in it; it is refused. "
            f"Ask for a safetensors file, or save its state_dict alone where you trust it "
            f"({_first_line(error)})."
        ) from error
    except (SafetensorError, RuntimeError, OSError, ValueError, EOFError, KeyError, AttributeError) as error:
        raise EncoderError(
            f"{path} is cut short or damaged ({_first_line(error)}); download it again."
        ) from error
    if not isinstance(content, Mapping):
        raise EncoderError(
            f"{path} holds a {type(content).__name__} and no weights by name; give another file."
        )
    return content


_REFUSED = {
    "cut": "is cut short: its end is missing; download it again.",
    "pointer": "is a Git LFS pointer and not the weights; fetch them with git lfs pull, or download the "
    "file.",
    "zip": "is an archive of files and no weights; unpack it and give the weight file inside.",
    "unknown": "is no weight file (neither safetensors nor a torch checkpoint); give another file.",
}


def _read_shards(path: Path) -> dict[str, Any]:
    """The tensors that an index names, each from its file.

    Raises:
        EncoderError: A file is absent, is no safetensors file, or lacks what the index says it holds.
    """
    table, found = shard_table(path), {}
    for file in sorted(set(table.values())):
        shard = path.parent / file
        if container_of(shard) not in ("safetensors", *_REFUSED):
            raise EncoderError(f"{shard} is no safetensors file; give weights whose parts are.")
        held = read_content(shard)
        names = [name for name, place in table.items() if place == file]
        missing = [name for name in names if name not in held]
        if missing:
            raise EncoderError(
                f"{shard} lacks {missing[0]}, which {path.name} says it holds; download both again."
            )
        found.update({name: held[name] for name in names})
    return found


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n", maxsplit=1)[0][:160]


# -- TorchScript archives, as data ---------------------------------------------------------------------------

_DTYPES = {
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "DoubleStorage": torch.float64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "BoolStorage": torch.bool,
    "ByteStorage": torch.uint8,
    "CharStorage": torch.int8,
    "ShortStorage": torch.int16,
}


class _Inert:
    """Stands for an object of a script's class: holds what it was saved with and can do nothing."""

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Unreadable(pickle.UnpicklingError):
    pass


class _ScriptReader(pickle.Unpickler):
    """Reads the one pickle of a TorchScript archive; whatever is no tensor becomes an inert object."""

    def __init__(self, archive: zipfile.ZipFile, root: str) -> None:
        super().__init__(BytesIO(archive.read(f"{root}data.pkl")))
        self._archive, self._root = archive, root
        self._storages: dict[str, Tensor] = {}

    def find_class(self, module: str, name: str) -> Any:
        if module.startswith("__torch__"):
            return _Inert
        if (module, name) in (("torch._utils", "_rebuild_tensor_v2"), ("torch._utils", "_rebuild_tensor")):
            return _rebuilt
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        if (module, name) == ("collections", "OrderedDict"):
            return dict
        if module == "torch.jit._pickle":
            return _listed
        raise _Unreadable(f"it names {module}.{name}")

    def persistent_load(self, pid: Any) -> Tensor:
        _, dtype, key, _, _ = pid
        if key not in self._storages:
            raw = bytearray(self._archive.read(f"{self._root}data/{key}"))
            self._storages[key] = torch.frombuffer(raw, dtype=dtype)
        return self._storages[key]


def _rebuilt(storage: Tensor, offset: int, size: Any, stride: Any, *_: Any) -> Tensor:
    return storage.as_strided(tuple(size), tuple(stride), offset)


def _listed(value: Any, *_: Any) -> Any:
    return value


def _script_tensors(path: Path) -> dict[str, Tensor]:
    """Parameters and buffers of a TorchScript archive by their dotted names."""
    with zipfile.ZipFile(path) as archive:
        root = next(name for name in archive.namelist() if name.endswith("data.pkl")).removesuffix("data.pkl")
        found: dict[str, Tensor] = {}
        _collect(_ScriptReader(archive, root).load(), "", found)
    return found


def _collect(item: Any, name: str, found: dict[str, Tensor]) -> None:
    if isinstance(item, Tensor):
        found[name] = item
    elif isinstance(item, _Inert) and isinstance(getattr(item, "state", None), dict):
        for key, value in item.state.items():
            _collect(value, f"{name}.{key}" if name else str(key), found)
