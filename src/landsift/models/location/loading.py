"""Location encoders by name or file: what a file holds is told by its keys.

Knows files and the three layouts; no galleries.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from landsift.errors import EncoderError, MissingDependency, UsageError
from landsift.models.location.csp import Csp
from landsift.models.location.geoclip import GeoClip
from landsift.models.location.satclip import SatClip
from landsift.types import FloatArray

__all__ = ["LocationEncoder", "load_location_encoder"]

_PACKAGE, _PACKAGE_FILE = "geoclip", "location_encoder_weights.pth"
_AT_ONCE = 4096


class LocationEncoder:
    """Places to unit vectors.

    Args:
        model: Maps ``(n, 2)`` degrees to ``(n, dim)``.
        name: ``geoclip``, ``satclip`` or ``csp``.
        key: Hash of the file the weights are from.
    """

    def __init__(self, model: GeoClip | SatClip | Csp, name: str, key: str) -> None:
        self._model, self.name, self.key = model.eval(), name, key
        self.dim = model.dim

    def encode(self, places: ArrayLike) -> FloatArray:
        """Encode places.

        Args:
            places: ``(n, 2)`` longitude, latitude in degrees; longitudes of any turn.

        Returns:
            ``(n, dim)`` float32 unit rows.

        Raises:
            UsageError: Another shape, a latitude beyond a pole, or a number that is not finite.
        """
        degrees = _checked(places)
        rows = np.empty((len(degrees), self.dim), np.float32)
        with torch.inference_mode():
            for first in range(0, len(degrees), _AT_ONCE):
                part = torch.from_numpy(degrees[first : first + _AT_ONCE])
                vectors = nn.functional.normalize(self._model(part).double(), dim=1)
                rows[first : first + _AT_ONCE] = vectors.numpy()
        return rows


def _checked(places: ArrayLike) -> np.ndarray[Any, np.dtype[np.float64]]:
    degrees = np.array(places, np.float64)
    if degrees.ndim != 2 or degrees.shape[1] != 2:
        raise UsageError(f"Places are rows of longitude and latitude; got an array of shape {degrees.shape}")
    if not np.isfinite(degrees).all() or (np.abs(degrees[:, 1]) > 90).any():
        raise UsageError("Places are longitudes and latitudes in degrees, from -90 to 90; check their order")
    degrees[:, 0] = (degrees[:, 0] + 180) % 360 - 180
    return degrees


def load_location_encoder(name_or_path: str | Path = "geoclip") -> LocationEncoder:
    """Load a location encoder.

    Args:
        name_or_path: ``geoclip`` for the weights of the installed package of that name, or a checkpoint of
            GeoCLIP's location encoder, of SatCLIP, or of CSP.

    Raises:
        MissingDependency: The package ``geoclip`` is not installed.
        EncoderError: The file cannot be read, holds code, or is none of the three.
    """
    path = _installed() if str(name_or_path) == _PACKAGE else Path(name_or_path)
    if not path.is_file():
        raise EncoderError(
            f"There is no location encoder and no file called {str(name_or_path)!r}; give geoclip, or the "
            f"checkpoint of a GeoCLIP, SatCLIP or CSP location encoder."
        )
    model, name = _model_of(_read(path), path)
    with path.open("rb") as file:
        key = hashlib.file_digest(file, "sha256").hexdigest()
    return LocationEncoder(model, name, key)


def _installed() -> Path:
    """The weights in the installed package, which is looked at and never imported."""
    try:
        listed = metadata.files(_PACKAGE) or []
    except metadata.PackageNotFoundError:
        listed = []
    for entry in listed:
        if entry.name == _PACKAGE_FILE:
            return Path(str(entry.locate()))
    raise MissingDependency(
        "GeoCLIP's weights come with the package geoclip, which is not installed; "
        "run: pip install --no-deps geoclip"
    )


def _read(path: Path) -> Mapping[str, Any]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # unpickling raises whatever it likes
        raise EncoderError(
            f"{path} cannot be read as a checkpoint of weights alone ({type(error).__name__}); download it "
            f"again, or save its state_dict and settings without other objects."
        ) from error
    if not isinstance(content, Mapping):
        raise EncoderError(f"{path} holds a {type(content).__name__}, no checkpoint; give a whole file.")
    return content


def _model_of(content: Mapping[str, Any], path: Path) -> tuple[GeoClip | SatClip | Csp, str]:
    state: Mapping[str, Tensor] = content.get("state_dict", content)
    names = " ".join(map(str, state))
    try:
        if "LocEnc0.capsule" in names:
            return GeoClip.from_state(_only(state, "LocEnc")), "geoclip"
        if "spa_enc.ffn." in names:
            return Csp.from_checkpoint(state, content.get("params", {})), "csp"
        if "nnet.layers.0.weight" in names:
            return SatClip.from_checkpoint(state, content.get("hyper_parameters", {})), "satclip"
    except (KeyError, ValueError, RuntimeError, AttributeError) as error:
        raise EncoderError(
            f"{path} looks like a location encoder but does not fit one ({str(error).splitlines()[0]}); "
            f"give a checkpoint as its authors' training writes it."
        ) from error
    some = ", ".join(map(str, list(state)[:3])) or "nothing"
    raise EncoderError(
        f"{path} holds {some}, which is no location encoder of GeoCLIP, SatCLIP or CSP; give such a file."
    )


def _only(state: Mapping[str, Tensor], mark: str) -> dict[str, Tensor]:
    """The entries from a mark on, whatever stands before it in their names."""
    return {name[name.index(mark) :]: value for name, value in state.items() if mark in name}
