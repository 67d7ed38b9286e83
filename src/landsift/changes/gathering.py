"""All places that two dates of a gallery show, with what hides some of them counted.

For each place the pair of scenes nearest in time that shows it clearly is taken. Knows tiles, outlines and
clouds; nothing of words or scores.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import shapely
from numpy.typing import NDArray

from landsift.changes.clouds import HIDDEN, hidden_shares, unclipped
from landsift.changes.stacks import Layer, Stack, stack
from landsift.changes.views import reopened
from landsift.errors import SceneError, UsageError
from landsift.gallery.cache import Cache
from landsift.gallery.settings import IndexSettings
from landsift.gallery.store import SceneRow
from landsift.scenes import SceneProfile

__all__ = ["Gathering"]

_LEAST_VALID = 0.75


@dataclass
class Gathering:
    """Collects the stacks of all pairs of scenes.

    Attributes:
        cache: The gallery's columns.
        mask: ``(n,)`` bool, the tiles to look at.
        keep_clouds: Whether places under clouds are places like others.
        stacks: What was found, each place once.
        left_out: Reason -> number of places.
        notes: Sentences on what could not be looked at.
    """

    cache: Cache
    mask: NDArray[np.bool_]
    keep_clouds: bool = False
    stacks: list[Stack] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    _layers: dict[int, Layer] = field(default_factory=dict)
    _hidden: dict[int, NDArray[np.float64]] = field(default_factory=dict)
    _taken: list[shapely.Geometry] = field(default_factory=list)
    _touched: bool = False

    def take(self, before: SceneRow, after: SceneRow) -> None:
        """Add the places that a pair of scenes shows and no earlier pair did."""
        if small := [words for scene in (before, after) if (words := _small(scene)) is not None]:
            self.notes += [f"{words}." for words in small if f"{words}." not in self.notes]
            return
        layers = self._layer(before), self._layer(after)
        if not len(layers[0]) or not len(layers[1]):
            return
        found = stack(*layers)
        if found is None:
            return
        self._touched = True
        fresh = self._untaken(found)
        self._count("too little overlap", found.uncovered)
        found = found.among(fresh)
        found = self._clear(self._valid(found))
        if len(found):
            self._taken.extend(shapely.polygons(found.rings))
            self.stacks.append(found)

    def _layer(self, scene: SceneRow) -> Layer:
        assert scene.key is not None
        if scene.key not in self._layers:
            self._layers[scene.key] = Layer.of(self.cache, scene, self.mask)
        return self._layers[scene.key]

    def _count(self, reason: str, number: int) -> None:
        if number:
            self.left_out[reason] = self.left_out.get(reason, 0) + number

    def _untaken(self, found: Stack) -> NDArray[np.bool_]:
        """Places whose middle lies in no place of an earlier pair, wherever longitudes are wrapped."""
        fresh = np.ones(len(found), bool)
        if self._taken and len(found):
            tree = shapely.STRtree(self._taken)
            for turn in (-360.0, 0.0, 360.0):
                middles = shapely.points(found.rings.mean(axis=1) + np.array([turn, 0.0]))
                fresh[np.unique(tree.query(middles, predicate="within")[0])] = False
        return fresh

    def _valid(self, found: Stack) -> Stack:
        """Without places that show too much of nothing on either date."""
        if not len(found):
            return found
        own = self.cache.share[found.base.rows[found.places]]
        other = found.mean_over_mates(self.cache.share[found.other.rows])
        kept = (own >= _LEAST_VALID) & (other >= _LEAST_VALID)
        self._count("nodata", int((~kept).sum()))
        return found.among(kept)

    def _clear(self, found: Stack) -> Stack:
        """Without places that clouds hide on either date."""
        if not len(found) or self.keep_clouds:
            return found
        own = self._hidden_in(found.base)[found.places]
        other = found.mean_over_mates(self._hidden_in(found.other))
        kept = (own < HIDDEN) & (other < HIDDEN)
        self._count("clouds", int((~kept).sum()))
        return found.among(kept)

    def _hidden_in(self, layer: Layer) -> NDArray[np.float64]:
        """The share of each tile of a layer that clouds hide."""
        key = layer.scene.key
        assert key is not None
        if key not in self._hidden:
            try:
                hidden = _look(layer)
            except SceneError:
                hidden = np.zeros(len(layer))
                self.notes.append(
                    f"{layer.scene.name} cannot be read any more, so no clouds were looked for in it."
                )
            self._hidden[key] = hidden
        return self._hidden[key]

    def check(self, before: str, after: str, boxed: bool) -> None:
        """Say why there is nothing to compare, if there is nothing.

        Args:
            before, after: The dates as asked for.
            boxed: Whether only a box was looked at.

        Raises:
            UsageError: No place can be compared.
        """
        if self.stacks:
            return
        area = " in the box" if boxed else ""
        if not self._touched and self.notes:
            raise UsageError(self.notes[0])
        if not self._touched:
            raise UsageError(
                f"The scenes of {before} and of {after} share no ground{area}; choose other dates or index "
                f"scenes of one place"
            )
        if self.left_out.get("clouds"):
            raise UsageError(
                f"Clouds hide every place{area} on {before} or {after}; choose other dates, or add "
                f"--keep-clouds"
            )
        if self.left_out.get("nodata"):
            raise UsageError(
                f"The scenes of {before} and {after} hold too few valid pixels where they meet{area}; choose "
                f"other dates"
            )
        raise UsageError("The scenes meet at their edges only; index them with a smaller --tile")


def _small(scene: SceneRow) -> str | None:
    """What to say of a scene that is smaller than a tile; None of any other."""
    profile, settings = SceneProfile.from_json(scene.profile or ""), IndexSettings.from_json(scene.settings)
    finer = settings.gsd / profile.gsd if settings.gsd and profile.gsd else 1.0
    if min(profile.width, profile.height) >= int(settings.tile * finer * min(settings.scales)):
        return None
    return (
        f"{scene.name} has {profile.width} x {profile.height} pixels, less than a tile of {settings.tile}; "
        f"index it with a smaller --tile"
    )


def _look(layer: Layer) -> NDArray[np.float64]:
    """The share of each tile that looks like cloud or its shadow."""
    profile = SceneProfile.from_json(layer.scene.profile or "")
    with reopened(layer.scene, replace(profile, stretch=unclipped(profile))) as scene:
        return hidden_shares(scene, layer.windows)
