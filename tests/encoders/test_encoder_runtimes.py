"""What runs graphs: OpenVINO gives what ONNX Runtime gives, and wrong wishes are told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from landsift.encoders import load_encoder
from landsift.errors import EncoderError, MissingDependency, UsageError

TEXTS = ["a red roof", "blue", "green roof a", "roof"]


@pytest.fixture
def openvino():
    return pytest.importorskip("openvino", reason="OpenVINO is not installed")


def test_both_runtimes_give_the_same_rows(openvino, tiny, pictures):
    one, other = load_encoder(tiny, runtime="onnxruntime"), load_encoder(tiny, runtime="openvino")
    assert (one.runtime, other.runtime) == ("onnxruntime", "openvino")
    np.testing.assert_allclose(other.encode_images(pictures), one.encode_images(pictures), atol=1e-5)
    np.testing.assert_allclose(other.encode_texts(TEXTS), one.encode_texts(TEXTS), atol=1e-5)
    row = other.encode_images(pictures[3:4])[0]
    np.testing.assert_array_equal(row, load_encoder(tiny, runtime="openvino").encode_images(pictures)[3])


@pytest.mark.parametrize(("precision", "least"), [(None, 0.99999), ("bfloat16", 0.99)])
def test_the_built_in_encoder_runs_on_openvino(openvino, precision, least):
    """8-bit weights behind casts, convolutions, a text tower of any length; several streams once gave wrong
    vectors for just that."""
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (40 + 30 * n, 64, 3), dtype=np.uint8) for n in range(2)]
    texts = ["an airport with two runways", "a river"]
    usual = load_encoder("landsift-lite", threads=2)
    other = load_encoder("landsift-lite", runtime="openvino", precision=precision, threads=2)
    for rows, others in (
        (usual.encode_images(images), other.encode_images(images)),
        (usual.encode_texts(texts), other.encode_texts(texts)),
    ):
        assert others.shape == rows.shape and others.dtype == np.float32
        assert (rows * others).sum(axis=1).min() > least


def test_many_threads_may_share_it(openvino, tiny, pictures):
    encoder = load_encoder(tiny, runtime="openvino", threads=2)
    expected = encoder.encode_images(pictures)
    with ThreadPoolExecutor(8) as pool:
        for rows in pool.map(lambda _: encoder.encode_images(pictures), range(16)):
            np.testing.assert_array_equal(rows, expected)


def test_the_environment_chooses_where_nothing_else_does(openvino, tiny, monkeypatch):
    monkeypatch.setenv("LANDSIFT_RUNTIME", "openvino")
    assert load_encoder(tiny).runtime == "openvino"
    assert load_encoder(tiny, runtime="onnxruntime").runtime == "onnxruntime"
    monkeypatch.setenv("LANDSIFT_RUNTIME", "tensorrt")
    with pytest.raises(UsageError, match=r"no runtime 'tensorrt' \(LANDSIFT_RUNTIME\)"):
        load_encoder(tiny)


def test_openvino_tells_nobody_that_it_was_imported(tmp_path):
    """It would send an event, and keep a number for this user under the home folder."""
    pytest.importorskip("openvino_telemetry", reason="OpenVINO's reports are not installed")
    quiet = {"CI", "TF_BUILD", "JENKINS_URL"}  # where tests run it keeps quiet anyway
    settings = {name: value for name, value in os.environ.items() if name not in quiet}
    program = """
import sys
from landsift import load_encoder
assert load_encoder("landsift-lite", runtime="openvino").encode_texts(["a bridge"]).shape[0] == 1
assert "openvino" in sys.modules and sys.modules["openvino_telemetry"] is None
"""
    subprocess.run([sys.executable, "-c", program], check=True, env=settings | {"HOME": str(tmp_path)})
    assert list(tmp_path.rglob("*")) == []


def test_commands_run_on_what_the_environment_names(
    openvino, tiny, landsift_command, archive, tmp_path, monkeypatch
):
    scores = []
    for runtime in ("onnxruntime", "openvino"):
        monkeypatch.setenv("LANDSIFT_RUNTIME", runtime)
        gallery = tmp_path / runtime
        code, _, err = landsift_command("index", gallery, archive, "--encoder", tiny)
        assert code == 0, err
        code, printed, err = landsift_command("search", gallery, "a red roof", "--json")
        assert code == 0, err
        scores.append([match["score"] for match in json.loads(printed)["matches"]])
    assert len(scores[0]) > 1
    np.testing.assert_allclose(*scores, atol=2e-3)


def test_a_broken_graph_is_told(openvino, tiny, pictures):
    size = (tiny / "image.onnx").stat().st_size
    (tiny / "image.onnx").write_bytes(b"\0" * size)
    encoder = load_encoder(tiny, runtime="openvino")
    assert encoder.encode_texts(["red"]).shape == (1, 6)
    with pytest.raises(EncoderError, match=r"image\.onnx cannot be loaded as an ONNX graph"):
        encoder.encode_images(pictures)


def test_a_card_with_another_input_size_is_told(openvino, tiny, rewrite_card, pictures):
    rewrite_card(input_size=9)
    with pytest.raises(EncoderError, match="does not take pixels of shape"):
        load_encoder(tiny, runtime="openvino").encode_images(pictures[:1])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"runtime": "tensorrt"}, "no runtime 'tensorrt'; choose onnxruntime or openvino"),
        ({"precision": "bfloat16"}, "takes no precision 'bfloat16'"),
        ({"runtime": "openvino", "precision": "int3"}, "no precision 'int3'"),
    ],
)
def test_wrong_wishes_are_told(tiny, options, said):
    with pytest.raises(UsageError, match=said):
        load_encoder(tiny, **options)


def test_what_torch_runs_has_no_runtime():
    pytest.importorskip("torch")
    with pytest.raises(UsageError, match="takes no runtime; leave it out, or export it first"):
        load_encoder("remoteclip-vit-b-32", runtime="openvino")


def test_without_the_package_the_extra_is_named(tiny, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingDependency, match=r"landsift\[openvino\]"):
        load_encoder(tiny, runtime="openvino")
    assert load_encoder(tiny).runtime == "onnxruntime"
