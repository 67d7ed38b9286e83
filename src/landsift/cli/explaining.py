"""``landsift explain``: why an image matches a text."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any
from typing import Annotated as An

import typer
from typer import Argument, Option

from landsift.cli import options as o
from landsift.cli.parse import parse_numbers
from landsift.cli.show import counting_bar, print_json, print_rows, say
from landsift.errors import DatasetError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from landsift.explain import Explanation, Question, WinningTile
    from landsift.scenes import Scene
    from landsift.types import Pixels, Window

__all__ = ["register"]

_TILE, _LARGEST_WHOLE = 256, 512
_DRAWN_SIDE = 900


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(explain)


def explain(
    image: An[
        str, Argument(metavar="IMAGE", help="A picture or a raster: a path or a URL.", show_default=False)
    ],
    text: An[str, Argument(metavar="TEXT", help="What it is compared with.", show_default=False)],
    contrast: An[
        list[str] | None,
        Option("--contrast", metavar="TEXT", help="Why TEXT rather than this; repeatable."),
    ] = None,
    method: An[
        str | None,
        Option(
            metavar="attention|grad-cam|occlusion", help="The quickest that the encoder allows otherwise."
        ),
    ] = None,
    mask: An[
        Path | None, Option(metavar="PNG", help="A mask of the same size: how much of the heat lies in it.")
    ] = None,
    output: An[
        Path | None, Option("--output", "-o", metavar="PNG", help="Draw heat and words into a picture.")
    ] = None,
    tile: An[
        int | None,
        Option(metavar="N", help="Explain the best tile of N pixels; 0 for the whole. 256 for large scenes."),
    ] = None,
    window: An[
        str | None, Option(metavar="COL,ROW,W,H", help="Explain this part, as search --json names it.")
    ] = None,
    encoder: An[str, Option(help="Name or folder of the encoder.")] = "landsift-lite",
    bands: o.Bands = None,
    crs: o.Crs = None,
    as_json: o.AsJson = False,
) -> None:
    """Say why an image matches a text: where in the image, and which words."""
    from landsift.explain import Question, save_explanation
    from landsift.explain import explain as run
    from landsift.explain.drawing import check_picture_path
    from landsift.scenes import open_scene

    if output is not None:
        check_picture_path(output)
    if tile is not None and window is not None:
        raise UsageError("--window names a part itself; leave out --tile")
    shown = parse_numbers(bands, "--bands", "4,3,2")
    part = _window(window)
    with open_scene(image, bands=None if shown is None else [int(band) for band in shown], crs=crs) as scene:
        question = Question(_model(encoder), text, contrast or ())
        with counting_bar("looking") as tell:
            pixels, where, best = _explained(scene, question, tile, part, tell)
            found = run(
                pixels,
                question,
                method=method,
                mask=None if mask is None else _mask(mask, scene, where, pixels),
                tile=best,
                progress=tell,
            )
        if as_json:
            print_json({"image": image, **found.as_dict()})
        else:
            _show(image, found)
        if output is not None:
            save_explanation(output, found, None if best is None else _whole(scene))
            say(f"Wrote {output}.")


def _model(name: str) -> Any:
    from landsift.encoders import load_encoder, load_scorer, scores_pairs

    return load_scorer(name) if scores_pairs(name) else load_encoder(name)


def _window(text: str | None) -> Window | None:
    from landsift.types import Window

    numbers = parse_numbers(text, "--window", "512,0,256,256")
    if numbers is None:
        return None
    whole = [int(number) for number in numbers if math.isfinite(number)]
    if len(whole) != 4 or len(numbers) != 4 or min(whole[:2]) < 0 or min(whole[2:]) < 1:
        raise UsageError(
            f"--window takes column, row, width and height, got {text!r}; for example --window 512,0,256,256"
        )
    return Window(*whole)


def _explained(
    scene: Scene, question: Question, tile: int | None, part: Window | None, tell: Any
) -> tuple[Pixels, Window, WinningTile | None]:
    """The pixels to explain, where they lie, and which tile they are if one was chosen."""
    from landsift.explain import winning_tile
    from landsift.types import Window

    width, height = scene.profile.width, scene.profile.height
    side = tile if tile is not None else _TILE if max(width, height) > _LARGEST_WHOLE else 0
    if part is None and side:
        best, pixels = winning_tile(scene, question, side, tell)
        return pixels, best.window, best
    where = part or Window(0, 0, width, height)
    ratio = min(1.0, _LARGEST_WHOLE / max(where.width, where.height))
    size = max(1, round(where.height * ratio)), max(1, round(where.width * ratio))
    return scene.read(where, size)[0], where, None


def _mask(path: Path, scene: Scene, where: Window, pixels: Pixels) -> NDArray[np.bool_]:
    """The part of a mask that belongs to the pixels explained."""
    import numpy as np
    from PIL import Image, UnidentifiedImageError

    try:
        whole = np.asarray(Image.open(path))
    except (OSError, UnidentifiedImageError) as error:
        raise DatasetError(f"The mask {path} cannot be read as a picture ({error})") from error
    flat = whole.reshape(*whole.shape[:2], -1).any(axis=2)
    if flat.shape != (scene.profile.height, scene.profile.width):
        raise UsageError(
            f"The mask has {flat.shape[1]} x {flat.shape[0]} pixels and the image {scene.profile.width} x "
            f"{scene.profile.height}; give a mask of the same size"
        )
    cut = flat[where.row : where.row + where.height, where.col : where.col + where.width]
    fitted = Image.fromarray(cut).resize((pixels.shape[1], pixels.shape[0]), Image.Resampling.NEAREST)
    return np.asarray(fitted)


def _whole(scene: Scene) -> Pixels:
    from landsift.types import Window

    width, height = scene.profile.width, scene.profile.height
    ratio = min(1.0, _DRAWN_SIDE / max(width, height))
    size = max(1, round(height * ratio)), max(1, round(width * ratio))
    return scene.read(Window(0, 0, width, height), size)[0]


def _show(image: str, found: Explanation) -> None:
    against = f" rather than {', '.join(found.against)}" if found.against else ""
    title = f"{Path(image).name}: {found.text}{against}, {found.score:.3f} by {found.encoder}"
    print_rows(title, ["word", "adds"], [[one.word, f"{one.change:+.4f}"] for one in found.words])
    for sentence in _sentences(found):
        print(sentence)


def _sentences(found: Explanation) -> list[str]:
    areas = found.areas
    better = "better" if areas.better_than_random else "no better"
    lines = [
        f"Map by {found.method}: deletion {areas.deletion:.4f} (random order {areas.random_deletion:.4f}), "
        f"insertion {areas.insertion:.4f} (random order {areas.random_insertion:.4f}): {better} than chance."
    ]
    if found.tile is not None:
        tile, window = found.tile, found.tile.window
        place = "" if tile.centre is None else ", around {:.5f}, {:.5f}".format(*tile.centre)
        lines.insert(
            0,
            f"The best of {tile.tiles:,} tiles begins at column {window.col}, row {window.row} and has "
            f"{window.width} x {window.height} pixels{place}; the median tile scores {tile.median:.3f}.",
        )
    if found.mask is not None:
        mask = found.mask
        lines.append(
            f"{mask.energy:.1%} of the heat lies in the mask, which is {mask.share:.1%} of the image; the "
            f"hottest pixel lies {'inside' if mask.pointing else 'outside'}."
        )
    if found.bits is not None:
        differ = ", ".join(str(bit) for bit in found.bits.differing) or "none"
        count = f"{len(found.bits.differing)} of {found.bits.bits} bits differ"
        lines.append(f"The codes of image and text: {count} ({differ}).")
    return lines
