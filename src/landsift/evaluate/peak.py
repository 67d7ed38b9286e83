"""How much memory a process needs that loads an encoder and encodes: measured in one of its own.

``python -m landsift.evaluate.peak ENCODER IMAGES`` is that process; it prints one JSON document.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from landsift.encoders import load_encoder, load_scorer, scores_pairs
from landsift.errors import EncoderError

__all__ = ["peak_memory"]

_SIDE = 256
_TEXTS = ("an aerial photograph of a harbour with many boats", "a green field beside a road")
_PATIENCE = 600.0


def peak_memory(source: str, images: int = 32) -> dict[str, float]:
    """The most memory that a fresh process held while it loaded an encoder and encoded.

    Args:
        source: Name or folder, as :func:`landsift.encoders.load_encoder` takes it.
        images: Pictures of 256 px that it encodes in one call.

    Returns:
        ``peak_mb``, ``bare_mb`` (before the encoder was loaded) and ``images``.

    Raises:
        EncoderError: That process failed.
    """
    command = [sys.executable, "-m", "landsift.evaluate.peak", source, str(images)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE)
    if run.returncode:
        last = (run.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise EncoderError(f"The process that measures the memory of {source} failed ({last}); try it alone.")
    found: dict[str, float] = json.loads(run.stdout)
    return found | {"images": images}


def _highest_mb() -> float:
    """The most memory this process has held, in MB; not counting what its parent held before it began."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text(encoding="utf-8").split("VmHWM:")[1].split()[0]) / 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def _encode(source: str, images: int) -> None:
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (_SIDE, _SIDE, 3), dtype=np.uint8) for _ in range(images)]
    if scores_pairs(source):
        load_scorer(source).score(pictures, _TEXTS)
        return
    encoder = load_encoder(source)
    encoder.encode_images(pictures)
    encoder.encode_texts(_TEXTS)


def _main(source: str, images: int) -> None:
    bare = _highest_mb()
    _encode(source, images)
    print(json.dumps({"peak_mb": round(_highest_mb(), 1), "bare_mb": round(bare, 1)}))


if __name__ == "__main__":
    _main(sys.argv[1], int(sys.argv[2]))
