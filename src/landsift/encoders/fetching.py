"""Weights from where they are published: fetched once through the Hugging Face hub, then read from its cache.

Downloads resume where they stopped, ``HF_HUB_OFFLINE`` and ``HF_HOME`` are honoured, and a pinned hash is
checked. Knows repositories and files; not what is in them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from landsift.encoders.cards import sha256_of, weights_sha256
from landsift.encoders.shards import is_index, shards_of
from landsift.errors import EncoderError, need

__all__ = ["HUB", "Source", "fetch", "hash_of", "source_of", "weights_in"]

HUB = "hf-hub:"
"""What a name on the hub begins with."""
_WEIGHT_NAMES = (
    "open_clip_model.safetensors",
    "model.safetensors",
    "open_clip_pytorch_model.bin",
    "pytorch_model.bin",
    "model.safetensors.index.json",
    "open_clip_model.safetensors.index.json",
)
"""Where weights lie in a repository, the first that is there; the last are of weights in several files."""
_WEIGHT_SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")
_COMPANIONS = (
    "open_clip_config.json",
    "config.json",
    "preprocessor_config.json",
    "tokenizer.json",
    "vocab.json",
    "merges.txt",
)
"""Small files that weights are of no use without, where a repository has them."""
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Source:
    """Where weights are published.

    Attributes:
        hub: ``owner/name`` on the hub; empty if they are not there.
        files: Their file names there, the first that is there.
        revision: Commit, tag or branch; the hub's default when empty.
        sha256: Of the file; empty where it is not known.
        page: Where people get what no program can fetch.
    """

    hub: str = ""
    files: tuple[str, ...] = ()
    revision: str = ""
    sha256: str = ""
    page: str = ""


def source_of(fields: Mapping[str, Any]) -> Source:
    """The ``[source]`` of a card."""
    known = {key: value for key, value in fields.items() if key in Source.__dataclass_fields__}
    return Source(**{**known, "files": tuple(known.get("files", ()))})


def fetch(source: Source, name: str) -> Path:
    """The file of weights, fetched if it is not in the hub's cache yet; its companions lie beside it.

    Args:
        source: Where it is published.
        name: Of the encoder, for errors.

    Raises:
        MissingDependency: ``huggingface_hub`` is not installed.
        EncoderError: No network, no such repository or file, no leave to read it, another hash than pinned,
            or a source that people must fetch from.
    """
    if not source.hub:
        raise EncoderError(
            f"The weights of {name} are not on a hub that programs can fetch from; "
            f"get them from {source.page} and load {name}@FILE."
        )
    hub = need("huggingface_hub", extra="hub")
    names = source.files or _WEIGHT_NAMES
    found = _cached(hub, source, names) or _downloaded(hub, source, names, name)
    _fetch_companions(hub, source, found)
    if is_index(found):
        _fetch_shards(hub, source, found, name)
    if source.sha256 and hash_of(found) != source.sha256:
        raise EncoderError(
            f"{found} is not the file that the card of {name} names (its SHA-256 differs); "
            f"delete it and load {name} again."
        )
    return found


def hash_of(path: Path) -> str:
    """SHA-256 of a file of weights, or of an index with its files; in the hub's cache the name of a file
    tells it, so that nothing is read."""
    if is_index(path):
        return weights_sha256(path)
    blob = path.resolve()
    known = blob.parent.name == "blobs" and _SHA256.fullmatch(blob.name)
    return blob.name if known else sha256_of(path)


def weights_in(folder: Path, wanted: tuple[str, ...] = ()) -> Path:
    """The file of weights in a folder: one of ``wanted``, one of the usual names, or the only one there is.

    Raises:
        EncoderError: None, or several of unusual names.
    """
    for file in (*wanted, *_WEIGHT_NAMES):
        if (folder / file).is_file():
            return folder / file
    some = sorted(path for path in folder.iterdir() if path.suffix in _WEIGHT_SUFFIXES)
    if len(some) == 1:
        return some[0]
    what = f"several files of weights ({', '.join(path.name for path in some[:4])})" if some else "no weights"
    raise EncoderError(f"The folder {folder} holds {what}; give the one file to load.")


def _cached(hub: Any, source: Source, names: tuple[str, ...]) -> Path | None:
    for file in names:
        found = hub.try_to_load_from_cache(source.hub, file, revision=source.revision or None)
        if isinstance(found, str):
            return Path(found)
    return None


def _downloaded(hub: Any, source: Source, names: tuple[str, ...], name: str) -> Path:
    errors = need("huggingface_hub.errors", extra="hub")
    for file in (*names, ""):
        try:
            found = file or _only_weights(hub, errors, source)
            return Path(hub.hf_hub_download(source.hub, found, revision=source.revision or None))
        except errors.LocalEntryNotFoundError as error:
            raise EncoderError(_unreachable(source, name)) from error
        except errors.EntryNotFoundError:
            continue
        except errors.GatedRepoError as error:
            raise EncoderError(
                f"{source.hub} asks for its terms to be accepted first; do so on its page, log in with "
                f"'hf auth login', and load {name} again."
            ) from error
        except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:
            raise EncoderError(
                f"There is no repository {source.hub} (revision {source.revision or 'main'}) on the hub, "
                f"or it is private; check the name, or log in with 'hf auth login'."
            ) from error
        except (errors.HTTPError, errors.HFValidationError, OSError) as error:
            raise EncoderError(f"{_unreachable(source, name)} ({type(error).__name__})") from error
    raise EncoderError(
        f"{source.hub} holds none of {', '.join(names)}; download its weights and load {name}@FILE."
    )


def _only_weights(hub: Any, errors: Any, source: Source) -> str:
    """The one file of weights in a repository that has it under a name of its own."""
    listed = hub.list_repo_files(source.hub, revision=source.revision or None)
    some = [file for file in listed if file.endswith(_WEIGHT_SUFFIXES)]
    if len(some) != 1:
        raise errors.EntryNotFoundError(f"{len(some)} files of weights")
    return some[0]


def _unreachable(source: Source, name: str) -> str:
    return (
        f"The weights of {name} ({source.hub} on the Hugging Face hub) are not in the cache, and the hub "
        f"cannot be reached or HF_HUB_OFFLINE is set; connect once, or copy the file here and load it as "
        f"{name}@FILE"
    )


def _fetch_shards(hub: Any, source: Source, index: Path, name: str) -> None:
    """The files that an index names, into the folder where it lies."""
    for shard in shards_of(index):
        if not shard.is_file():
            _downloaded(hub, source, (shard.name,), name)


def _fetch_companions(hub: Any, source: Source, weights: Path) -> None:
    """What lies beside the weights on the hub; a network that fails now is noticed when a file is needed."""
    errors = need("huggingface_hub.errors", extra="hub")
    for file in _COMPANIONS:
        if (weights.parent / file).is_file():
            continue
        known = hub.try_to_load_from_cache(source.hub, file, revision=source.revision or None)
        if known is not None:
            continue  # there, or known to be absent
        try:
            hub.hf_hub_download(source.hub, file, revision=source.revision or None)
        except errors.LocalEntryNotFoundError:
            return
        except errors.EntryNotFoundError:
            continue
        except (errors.HTTPError, OSError):
            return
