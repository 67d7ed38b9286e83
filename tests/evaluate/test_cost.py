"""Cost: counts against counts by hand, times that exist, what a process needs, and the Pareto plot."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from test_evaluate import ToyScorer, colour_set

from landsift import load_encoder
from landsift.errors import EncoderError, UsageError
from landsift.evaluate import evaluate_cost, read_report
from landsift.evaluate.cost import index_times, latencies
from landsift.evaluate.peak import peak_memory
from landsift.types import RetrievalSet
from toys import ToyEncoder


class OnlyPairs:
    """Judges pairs and cannot encode."""

    card = ToyEncoder().card

    def score(self, images, texts):
        return ToyScorer().score(images, texts)


def test_an_onnx_graph_is_counted_as_by_hand(tmp_path):
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    from landsift.encoders.counting import count_graph

    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(6, 3, 3, 3)).astype(np.float32)
    grouped = rng.normal(size=(6, 1, 1, 1)).astype(np.float32)
    head = rng.normal(size=(6, 5)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "kernel"], ["a"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["a", "grouped"], ["b"], group=6),
        helper.make_node("ReduceMean", ["b"], ["c"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["c", "head"], ["d"]),
        helper.make_node("Gemm", ["head", "c"], ["e"], transA=1, transB=1),
        helper.make_node("Reshape", ["e", "shape"], ["f"]),
    ]
    stored = [
        numpy_helper.from_array(v, n) for n, v in (("kernel", kernel), ("grouped", grouped), ("head", head))
    ]
    stored.append(numpy_helper.from_array(np.array([-1], np.int64), "shape"))
    graph = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [
            helper.make_tensor_value_info("d", TensorProto.FLOAT, None),
            helper.make_tensor_value_info("f", TensorProto.FLOAT, None),
        ],
        stored,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, tmp_path / "toy.onnx")
    found = count_graph(tmp_path / "toy.onnx", {"x": np.zeros((2, 3, 8, 12), np.float32)})
    places = 2 * 4 * 6
    by_hand = places * 6 * 27 + places * 6 * 1 + 2 * 5 * 6 + 5 * 2 * 6
    assert found == {"parameters": 6 * 27 + 6 + 30, "flops": 2 * by_hand}
    (tmp_path / "bad.onnx").write_bytes(b"no graph")
    with pytest.raises(EncoderError, match="cannot be counted"):
        count_graph(tmp_path / "bad.onnx", {})


def test_the_built_in_encoder_is_what_its_papers_say():
    pytest.importorskip("onnx")
    from landsift.encoders.counting import count_onnx

    found = count_onnx(load_encoder().card, "a harbour with many boats")
    # EfficientNet-Lite0 less its classifier: 3.4 M parameters, 0.407 G products at 224 px; MiniLM-L6: 22.7 M.
    assert 3.3e6 < found["image"]["parameters"] < 4.2e6
    assert found["image"]["flops"] == pytest.approx(2 * 0.407e9 * (192 / 224) ** 2, rel=0.12)
    assert 21e6 < found["text"]["parameters"] < 23.5e6
    longer = count_onnx(load_encoder().card, "a harbour with many boats " * 3)
    assert longer["text"]["flops"] > 2 * found["text"]["flops"] > 0
    assert longer["image"] == found["image"]


def test_torch_s_towers_are_counted_as_by_hand():
    torch = pytest.importorskip("torch")
    from torch import nn

    from landsift.models.counting import count_matcher, kept_numbers
    from landsift.models.features import Features, TextInput
    from landsift.models.matcher import Matcher

    class Small(Matcher):
        dim, input_size, context_length, exact_index = 4, 8, 5, False

        def __init__(self):
            super().__init__()
            self.conv, self.words = nn.Conv2d(3, 4, 3, padding=1), nn.Embedding(10, 6)
            self.head, self.joint = nn.Linear(6, 4), nn.Linear(4, 1)

        def prepare(self, captions):
            tokens = torch.ones(len(captions), 3, dtype=torch.int64)
            return TextInput(tokens, tokens > 0)

        def image_features(self, pixels):
            grid = self.conv(pixels.float())
            return Features(grid.mean((2, 3)), grid.flatten(2).transpose(1, 2))

        def text_features(self, text):
            return Features(self.head(self.words(text.tokens)).mean(1))

        def similarity(self, image, text):
            return self.joint(image.pooled[:, None] * text.pooled[None])[..., 0]

    matcher = Small()
    found = count_matcher(matcher, "any")
    assert found["image"] == {"parameters": 4 * 27 + 4, "flops": 2 * 64 * 4 * 27}
    assert found["text"] == {"parameters": 60 + 28, "flops": 2 * 3 * 6 * 4}
    assert found["all"] == {"parameters": 112 + 88 + 5}

    class Loaded:
        _matcher = matcher

    assert kept_numbers(Loaded()) == 4 + 64 * 4
    matcher.exact_index = True
    assert kept_numbers(Loaded()) == 4


def test_an_encoder_without_files_is_timed_and_says_what_it_does_not_know(tmp_path):
    data = colour_set()
    report = evaluate_cost(ToyEncoder(), data, images=4, index_rows=300)
    parts = report.scores["parts"]
    assert set(parts) == {"image", "text"} and report.scores["parameters"] is None
    for part in parts.values():
        assert 0 < part["p50_ms"] <= part["p95_ms"] and part["per_second"] > 0
    assert report.scores["bytes_per_image"] == 32 and report.scores["peak"] is None
    assert report.scores["index"]["rows"] == 300 and report.protocol["images"] == 4
    report.save(tmp_path / "c.json")
    assert read_report(tmp_path / "c.json").markdown() == report.markdown()
    assert "| image | - | - |" in report.markdown() and "32 bytes" in report.markdown()


def test_codes_and_classes_without_captions():
    data = colour_set()
    bare = RetrievalSet(
        "bare", "test", data.images, data.image_names, [], np.empty(0, np.int64), data.labels, ("a",)
    )
    coded = ToyEncoder()
    coded.card = dataclasses.replace(coded.card, extra={"code_bits": 16})
    report = evaluate_cost(coded, bare, images=2, index_rows=50)
    assert report.protocol["captions"] == 1 and report.scores["code_bytes"] == 2
    assert "or 2 as a code" in " ".join(report.facts())
    with pytest.raises(UsageError, match="no words"):
        evaluate_cost(coded, dataclasses.replace(bare, class_names=()))


def test_a_scorer_of_pairs_is_timed_by_pairs():
    report = evaluate_cost(OnlyPairs(), colour_set(), images=4)
    assert report.scores["parts"]["pair"]["p50_ms"] > 0 and report.scores["index"] is None
    assert "| pair |" in report.markdown()


def test_times_are_of_the_calls_after_those_that_warm_up():
    called = []
    found = latencies(called.append, list(range(10)))
    assert called == [0, 1, 2, *range(10)] and 0 <= found["p50_ms"] <= found["p95_ms"]
    rows = np.eye(8, dtype=np.float32)
    assert index_times(rows, rows, 20)["rows"] == 20


def test_memory_is_that_of_another_process():
    found = peak_memory("landsift-lite", 1)
    assert 10 < found["bare_mb"] < found["peak_mb"] < 2000 and found["images"] == 1
    with pytest.raises(EncoderError, match="no-such-encoder"):
        peak_memory("no-such-encoder", 1)


def test_the_pareto_line_is_of_those_that_no_other_beats(tmp_path):
    from PIL import Image

    from landsift.plot import _unbeaten, save_pareto_figure

    points = [("a", 1.0, 10.0), ("b", 2.0, 30.0), ("c", 3.0, 20.0), ("d", 4.0, 30.0), ("e", 5.0, 31.0)]
    assert [name for name, *_ in _unbeaten(points)] == ["a", "b", "e"]
    panel = {"title": "t", "x": "bytes", "y": "mR", "points": points}
    save_pareto_figure(tmp_path / "p.png", [panel, panel])
    with Image.open(tmp_path / "p.png") as drawn:
        assert drawn.width > 1000 and len(drawn.convert("RGB").getcolors(1 << 24)) > 20
    with pytest.raises(UsageError, match="no result to draw"):
        save_pareto_figure(tmp_path / "q.png", [panel | {"points": []}])
