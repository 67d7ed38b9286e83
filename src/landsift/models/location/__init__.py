"""Places as vectors: location encoders whose inner products say how alike two places of the Earth are.

GeoCLIP, SatCLIP and CSP, read from their own files. Knows longitudes and latitudes; no images, texts or
galleries.
"""

from __future__ import annotations

from landsift.models.location.loading import LocationEncoder, load_location_encoder

__all__ = ["LocationEncoder", "load_location_encoder"]
