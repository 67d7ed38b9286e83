"""``landsift export ENCODER --onnx DIR``: an encoder's files for a core install, and how close they come."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from landsift.cli.show import print_json, say
from landsift.errors import UsageError, need

if TYPE_CHECKING:
    from landsift.export import Exported, Parity

__all__ = ["export_files"]


def export_files(
    encoder: str,
    folder: Path,
    *,
    fp16: bool,
    int8: bool,
    check: bool,
    images: Path | None,
    as_json: bool,
    unfit: Mapping[str, Any],
) -> None:
    """Export an encoder, compare the two if asked, and say what came of it.

    Args:
        encoder: Name or folder.
        folder: To be made.
        fp16, int8: How weights are stored; float32 without either.
        check: Compare on pictures.
        images: Folder of these; None takes the sample scenes.
        as_json: Print JSON.
        unfit: Options of the export of footprints, by name, which say nothing here.

    Raises:
        UsageError: Options that contradict each other.
    """
    given = [name for name, value in unfit.items() if value]
    if given:
        raise UsageError(f"--onnx exports an encoder, which has no {', '.join(given)}; leave that out")
    if fp16 and int8:
        raise UsageError("Weights are stored one way; give --fp16 or --int8")
    need("torch", extra="train")
    from landsift.export import export_encoder

    storage = "float16" if fp16 else "int8" if int8 else "float32"
    done = export_encoder(encoder, folder, storage)  # type: ignore[arg-type]
    parity = _compared(encoder, done, images) if check or images is not None else None
    if as_json:
        print_json(_facts(done, parity))
    say(f"Wrote {done.folder}: {done.card.name}, {done.bytes / 1e6:.1f} MB, {storage}.")
    for sentence in () if parity is None else parity.sentences():
        say(sentence)
    say(f"Now try: landsift index GALLERY FOLDER --encoder {done.folder}")


def _compared(encoder: str, done: Exported, images: Path | None) -> Parity:
    from landsift.encoders import load_encoder
    from landsift.export import measure_parity
    from landsift.export.parity import pictures_in, sample_pictures

    pictures = sample_pictures() if images is None else pictures_in(images)
    return measure_parity(load_encoder(encoder), load_encoder(done.folder), pictures)


def _facts(done: Exported, parity: Parity | None) -> dict[str, Any]:
    return {
        "folder": str(done.folder),
        "encoder": done.card.name,
        "made_from": done.source.name,
        "bytes": done.bytes,
        "parity": None if parity is None else parity.as_dict(),
    }
