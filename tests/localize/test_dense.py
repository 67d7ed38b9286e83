"""Dense maps: cells that make the vector, grids that fit the pixels, and a tenth of the encodes."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("cv2")

from landsift.encoders import load_encoder
from landsift.encoders.cells import CellEncoder, cells_of, cells_output
from landsift.encoders.wire import fields, integers, message
from landsift.errors import EncoderError
from landsift.localize import DEFAULT_SIDES, Evidence, HeatMap, Looker, ask, localize, look
from landsift.localize.dense import cell_scores, cell_weights
from landsift.localize.fusing import fused, fused_strips
from landsift.localize.layouts import cell_boxes, diagonal_grids, overlapping_grid
from landsift.scenes import open_scene
from landsift.types import Window
from toys import ToyEncoder, write_field

HEIGHT, WIDTH = 600, 900
RED = (slice(96, 224), slice(600, 728))
GRID = 4


class CellToy(ToyEncoder):
    """The toy, asked for each quarter of a quarter."""

    def __init__(self, salt: str = ""):
        super().__init__(salt=salt)
        self.crops_seen = 0

    def encode_cells(self, images):
        self.crops_seen += len(images)
        parts = [
            part
            for image in images
            for band in np.array_split(image, GRID)
            for part in np.array_split(band, GRID, axis=1)
        ]
        return self.encode_images(parts).reshape(len(images), GRID, GRID, -1)


@pytest.fixture
def field(tmp_path):
    return write_field(tmp_path / "field.tif", HEIGHT, WIDTH, RED)


def test_the_red_square_is_found_to_the_cell(field, tmp_path):
    encoder = CellToy()
    with open_scene(field) as scene:
        heat = localize(scene, "red", encoder, engine="dense", sides=(256,), cache=tmp_path)
        best = heat.regions(heat.threshold(0.6))[0].window
        assert 560 < best.col < best.col + best.width < 770 and 60 < best.row < best.row + best.height < 260
        samples = next(heat.strips(HEIGHT))[1]
        rows, columns = np.nonzero(samples == samples[samples < 255].max())
        assert 96 <= rows.mean() < 224 and 600 <= columns.mean() < 728
        seen, images = encoder.crops_seen, encoder.images_seen
        again = localize(scene, "red", encoder, engine="dense", sides=(256,), cache=tmp_path)
        # One more grid is asked for, to learn its shape; no crop is encoded again.
        assert encoder.crops_seen == seen + 1 and encoder.images_seen == images + GRID**2
        np.testing.assert_array_equal(again.evidence.scores, heat.evidence.scores)
        windows = localize(scene, "red", encoder, sides=(256,), cache=tmp_path)
        assert len(windows.evidence.scores) < len(heat.evidence.scores), "each kind has vectors of its own"


def test_a_tenth_of_the_encodes():
    """Of a scene that is large against its crops, at the sides that each engine takes by itself."""
    windows = diagonal_grids(20_000, 20_000, DEFAULT_SIDES["windows"])
    (side,) = DEFAULT_SIDES["dense"]
    assert len(windows) / len(overlapping_grid(20_000, 20_000, side)) > 10


def test_crops_cover_the_scene():
    for width, height, side in ((900, 600, 256), (256, 256, 256), (257, 511, 256), (1000, 700, 32)):
        crops = overlapping_grid(width, height, side)
        covered = np.zeros((height, width), int)
        for crop in crops:
            covered[crop.row : crop.row + side, crop.col : crop.col + side] += 1
        assert covered.min() >= 1 and len(crops) == len({(crop.col, crop.row) for crop in crops})
        assert all(crop.col + side <= width and crop.row + side <= height for crop in crops)


def test_cells_cover_their_crop_without_gaps():
    boxes = cell_boxes(Window(10, 20, 500, 333), 6, 7)
    assert boxes.shape == (42, 4) and tuple(boxes[0][:2]) == (10, 20) and tuple(boxes[-1][2:]) == (510, 353)
    covered = np.zeros((400, 600), int)
    for left, top, right, bottom in boxes:
        covered[top:bottom, left:right] += 1
    assert (covered[20:353, 10:510] == 1).all() and covered.sum() == 500 * 333
    widths = boxes[:, 2] - boxes[:, 0]
    assert set(widths.tolist()) == {71, 72}, "as even as whole pixels allow"


def test_cells_are_scored_by_their_cosine():
    random = np.random.default_rng(0)
    cells, query = random.normal(size=(36, 16)).astype(np.float32), random.normal(size=16).astype(np.float32)
    query /= np.linalg.norm(query)
    expected = [cell @ query / np.linalg.norm(cell) for cell in cells]
    np.testing.assert_allclose(cell_scores(cells, query), expected, atol=1e-6)
    np.testing.assert_allclose(cell_scores(7 * cells, query), expected, atol=1e-6)
    assert not cell_scores(np.zeros((4, 16), np.float32), query).any()


def test_the_middle_of_a_crop_counts_most():
    weights = cell_weights(6, 5).reshape(6, 5)
    assert weights.min() == 1 == weights[0, 0] and weights.max() == 9 == weights[2, 2]
    np.testing.assert_array_equal(weights, weights[::-1, ::-1])


def test_weighted_fusion_against_its_twin():
    random = np.random.default_rng(1)
    boxes = np.array([[0, 0, 7, 5], [3, 2, 10, 9], [3, 0, 8, 9], [9, 9, 10, 10]])
    scores, weights = random.normal(size=4).astype(np.float32), np.array([1, 5, 2, 9])
    evidence = Evidence(11, 10, boxes, scores, weights=weights)
    total, count = np.zeros((10, 11)), np.zeros((10, 11))
    for (left, top, right, bottom), score, weight in zip(boxes, scores, weights, strict=True):
        total[top:bottom, left:right] += weight * score
        count[top:bottom, left:right] += weight
    expected = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    np.testing.assert_allclose(fused(evidence), expected, atol=1e-6)
    strips = [part[above : above + 3] for _, above, part in fused_strips(evidence, 3, halo=2)]
    np.testing.assert_array_equal(np.concatenate(strips), fused(evidence))
    with pytest.raises(ValueError, match="need as many weights"):
        Evidence(11, 10, boxes, scores, weights=weights[:2])


def test_a_map_is_smoothed_once_if_it_is_saved_first(field, tmp_path, monkeypatch):
    with open_scene(field) as scene:
        evidence = look(Looker(scene, ToyEncoder()), ask(ToyEncoder(), "red"), sides=(128,))
        heat, twin = HeatMap(scene, evidence), HeatMap(scene, evidence)
        smoothed = []
        own = heat._smoothed
        monkeypatch.setattr(heat, "_smoothed", lambda strip: smoothed.append(1) or own(strip))
        heat.save(tmp_path / "heat.tif")
        once = len(smoothed)
        assert once and heat.regions(heat.threshold()) and heat.labels(0.5).any()
        assert len(smoothed) == once
        np.testing.assert_array_equal(heat.overview, twin.overview)
        np.testing.assert_array_equal(heat.overview, next(twin.strips(HEIGHT))[1])


def test_an_encoder_without_cells_is_told_which_engine_works(field):
    with (
        open_scene(field) as scene,
        pytest.raises(EncoderError, match="take the engine windows or two-stage"),
    ):
        localize(scene, "red", ToyEncoder(), engine="dense")
    assert isinstance(CellToy(), CellEncoder) and cells_of(toy := CellToy()) is toy


def test_cells_of_the_built_in_encoder():
    encoder = load_encoder("landsift-lite", threads=1)
    images = [np.random.default_rng(seed).integers(0, 255, (90, 120, 3), np.uint8) for seed in (0, 1)]
    cells = cells_of(encoder).encode_cells(images)
    assert cells.shape == (2, 6, 6, encoder.card.dim) and cells.dtype == np.float32
    mean = cells.mean(axis=(1, 2))
    own = mean / np.linalg.norm(mean, axis=1, keepdims=True)
    np.testing.assert_allclose(own, encoder.encode_images(images), atol=1e-5)
    assert cells_of(encoder).encode_cells([]).shape[0] == 0


onnx = pytest.importorskip("onnx")


def graph(*nodes, **constants) -> bytes:
    helper, kinds = onnx.helper, onnx.TensorProto
    made = helper.make_graph(
        [helper.make_node(kind, list(given), [result], **more) for kind, given, result, more in nodes],
        "small",
        [helper.make_tensor_value_info("pixels", kinds.UINT8, ["n", 8, 8, 3])],
        [helper.make_tensor_value_info("vectors", kinds.FLOAT, ["n", 5])],
        [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return model.SerializeToString()


WIDE = ("Cast", ["pixels"], "wide", {"to": onnx.TensorProto.FLOAT})
FIRST = ("Transpose", ["wide"], "turned", {"perm": [0, 3, 1, 2]})
UNIT = ("LpNormalization", ["rows"], "vectors", {"axis": 1, "p": 2})
WEIGHT = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
BIAS = np.arange(5, dtype=np.float32)


def ends() -> dict[str, bytes]:
    """Ways in which exporters write a mean and a linear layer."""
    mean = ("ReduceMean", ["wide", "axes"], "mean", {"keepdims": 0})
    product = ("MatMul", ["mean", "weight"], "product", {})
    added = ("Add", ["product", "bias"], "rows", {})
    constants = {"weight": WEIGHT, "bias": BIAS}
    return {
        "rows first": graph(WIDE, mean, product, added, UNIT, axes=np.array([1, 2]), **constants),
        "channels first": graph(
            WIDE,
            FIRST,
            ("GlobalAveragePool", ["turned"], "pooled", {}),
            ("Flatten", ["pooled"], "mean", {}),
            ("Gemm", ["mean", "weight", "bias"], "rows", {}),
            UNIT,
            **constants,
        ),
        "negative axes": graph(
            WIDE,
            FIRST,
            ("ReduceMean", ["turned", "axes"], "mean", {"keepdims": 0}),
            product,
            added,
            UNIT,
            axes=np.array([-1, -2]),
            **constants,
        ),
    }


@pytest.mark.parametrize("name", list(ends()))
def test_what_is_written_behind_a_graph_gives_its_cells(name):
    import onnxruntime

    model = ends()[name]
    added = cells_output(model)
    assert added is not None
    whole = onnx.load_model_from_string(model + added)
    onnx.checker.check_model(onnx.load_model_from_string(model))
    assert [output.name for output in whole.graph.output] == ["vectors", "cells"]
    session = onnxruntime.InferenceSession(model + added, providers=["CPUExecutionProvider"])
    pixels = np.random.default_rng(1).integers(0, 255, (2, 8, 8, 3), np.uint8)
    vectors, cells = session.run(["vectors", "cells"], {"pixels": pixels})
    np.testing.assert_allclose(
        cells.reshape(2, 8, 8, 5), pixels.astype(np.float32) @ WEIGHT + BIAS, rtol=1e-4
    )
    mean = cells.reshape(2, 64, 5).mean(axis=1)
    np.testing.assert_allclose(mean / np.linalg.norm(mean, axis=1, keepdims=True), vectors, atol=1e-5)


def test_a_graph_that_does_not_end_so_has_no_cells():
    most = graph(WIDE, ("ReduceMax", ["wide", "axes"], "rows", {"keepdims": 0}), UNIT, axes=np.array([1, 2]))
    assert cells_output(most) is None
    channel = graph(WIDE, ("ReduceMean", ["wide", "axes"], "rows", {"keepdims": 0}), UNIT, axes=np.array([3]))
    assert cells_output(channel) is None, "a norm's mean over channels is no pooling"
    with pytest.raises(ValueError, match="cut short"):
        cells_output(most[:-3])


def test_a_graph_whose_end_is_not_linear_is_found_out(tmp_path):
    """The chain stops at what is not linear, and then the mean of the cells is not the vector."""
    from landsift.encoders.cards import combined_hash, sha256_of

    bent = graph(
        WIDE,
        ("ReduceMean", ["wide", "axes"], "mean", {"keepdims": 0}),
        ("MatMul", ["mean", "weight"], "product", {}),
        ("Tanh", ["product"], "rows", {}),
        UNIT,
        axes=np.array([1, 2]),
        weight=WEIGHT / 100,
    )
    (tmp_path / "image.onnx").write_bytes(bent)
    for name in ("text.onnx", "tokenizer.json"):
        (tmp_path / name).write_bytes(b"unused")
    names = ("image.onnx", "text.onnx", "tokenizer.json")
    hashes = {name: sha256_of(tmp_path / name) for name in names}
    lines = ['name = "bent"', "dim = 5", f'weights_sha256 = "{combined_hash(hashes)}"', "input_size = 8"]
    lines += ["context_length = 8", 'licence = "Apache-2.0"']
    for name in names:
        lines += [f'[files."{name}"]', f"bytes = {(tmp_path / name).stat().st_size}"]
        lines += [f'sha256 = "{hashes[name]}"']
    (tmp_path / "card.toml").write_text("\n".join(lines))
    with pytest.raises(EncoderError, match="bent gives one vector for an image and none for its parts"):
        cells_of(load_encoder(tmp_path))


def test_the_wire_format_against_protobuf():
    shape = onnx.TensorProto(dims=[1, 300, 70_000], name="größe", data_type=7, int64_data=[-1, 2**40])
    content = memoryview(shape.SerializeToString())
    found = list(fields(content))
    numbers = [part for number, value in found if number == 1 for part in integers(value)]
    assert numbers == [1, 300, 70_000]
    assert [part for number, value in found if number == 7 for part in integers(value)] == [-1, 2**40]
    assert [bytes(value).decode() for number, value in found if number == 8] == ["größe"]
    again = onnx.TensorProto.FromString(message((8, "größe"), (2, 7), (1, 300), (9, b"\0" * 200)))
    assert (again.name, again.data_type, list(again.dims), len(again.raw_data)) == ("größe", 7, [300], 200)
    for broken in (b"\x0a", b"\x0a\xff\x01", b"\x0b", b"\xff" * 11):
        with pytest.raises(ValueError, match=r"cut short|wire type"):
            list(fields(memoryview(broken)))
