"""What runs an ONNX graph on the processor: ONNX Runtime, or OpenVINO where that is asked for.

ONNX Runtime runs items side by side, each on one core; OpenVINO runs one after the other, on all of them.
Both may be called from any threads. Knows graphs with one input and the output ``vectors``; no cards, no
pixels and no words.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from landsift.errors import EncoderError, UsageError, need

__all__ = ["RUNTIMES", "RUNTIME_VARIABLE", "Graph", "chosen_runtime", "open_graph"]

RUNTIMES = ("onnxruntime", "openvino")
RUNTIME_VARIABLE = "LANDSIFT_RUNTIME"
"""The environment variable that names the runtime of encoders that are loaded without naming one."""
_HINTS: Mapping[str, str] = {"float32": "f32", "bfloat16": "bf16"}
_SEVERE = 3
_OUTPUT = "vectors"


class Graph(Protocol):
    """A graph that is ready to run."""

    def run(self, name: str, value: NDArray[Any]) -> NDArray[Any]:
        """The output ``vectors`` for one input.

        Args:
            name: Of the input.
            value: It.

        Raises:
            EncoderError: The graph does not take such an input.
        """
        ...


def chosen_runtime(asked: str | None, precision: str | None = None) -> str:
    """The runtime that was asked for, in a call or by the environment; ONNX Runtime otherwise.

    Args:
        asked: Of :data:`RUNTIMES`, or None.
        precision: As for :func:`open_graph`.

    Raises:
        UsageError: There is no such runtime, or it has no such precision.
        MissingDependency: OpenVINO is asked for and not installed.
    """
    name = asked or os.environ.get(RUNTIME_VARIABLE) or RUNTIMES[0]
    if name not in RUNTIMES:
        where = "" if asked else f" ({RUNTIME_VARIABLE})"
        raise UsageError(f"There is no runtime {name!r}{where}; choose {' or '.join(RUNTIMES)}.")
    if name == RUNTIMES[0] and precision not in (None, "float32"):
        raise UsageError(
            f"ONNX Runtime computes as its graph says and takes no precision {precision!r}; leave it out, or "
            f"take the runtime openvino."
        )
    if precision is not None and precision not in _HINTS:
        raise UsageError(f"There is no precision {precision!r}; choose {' or '.join(_HINTS)}.")
    if name == "openvino":
        _openvino()
    return name


def open_graph(path: Path, runtime: str, *, threads: int, precision: str | None = None) -> Graph:
    """Load a graph.

    Args:
        path: Of the ONNX file.
        runtime: As :func:`chosen_runtime` gave it.
        threads: How many cores are used.
        precision: Of OpenVINO's arithmetic: ``float32`` (what None means), or ``bfloat16``, which is quick on
            processors that have it and on others is not.

    Raises:
        EncoderError: The file is no graph that the runtime takes.
    """
    if runtime == "openvino":
        return _OpenVinoGraph(path, threads, _HINTS[precision or "float32"])
    return _OnnxRuntimeGraph(path)


class _OnnxRuntimeGraph:
    """A session with one thread of its own; sessions may be run from many threads at once."""

    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = _SEVERE

        def load() -> onnxruntime.InferenceSession:
            return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

        self._session = _loaded(load, path)

    def run(self, name: str, value: NDArray[Any]) -> NDArray[Any]:
        return _taken(lambda: self._session.run([_OUTPUT], {name: value})[0], name, value)


class _OpenVinoGraph:
    """A compiled model with one stream, which may be called from many threads: they take turns.

    More streams would run side by side, but with them OpenVINO (2026.4) gives wrong vectors, without a word,
    where convolutions have 8-bit weights.
    """

    def __init__(self, path: Path, threads: int, hint: str) -> None:
        openvino = _openvino()
        settings = {
            "INFERENCE_PRECISION_HINT": hint,
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            # Else products with 8-bit weights would round the other side too.
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0,
            # Pinned to cores, processes that share a machine would all pin to the same ones.
            "ENABLE_CPU_PINNING": False,
        }
        model = _loaded(lambda: openvino.Core().compile_model(str(path), "CPU", settings), path)
        self._request, self._turn = model.create_infer_request(), Lock()

    def run(self, name: str, value: NDArray[Any]) -> NDArray[Any]:
        with self._turn:
            # The request owns what it gives, and overwrites it at its next run.
            return _taken(lambda: np.array(self._request.infer({name: value})[_OUTPUT]), name, value)


def _openvino() -> Any:
    """OpenVINO, which reports its import to its makers as long as a package of theirs is there to do it.

    So that package is hidden first, unless somebody has imported it: OpenVINO takes that as not installed.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # how Python marks a name as absent
    return need("openvino", extra="openvino")


def _loaded(load: Callable[[], Any], path: Path) -> Any:
    try:
        return load()
    except Exception as error:  # the runtimes' own errors share no base class
        raise EncoderError(
            f"{path} cannot be loaded as an ONNX graph ({type(error).__name__}); "
            f"install or export the encoder again."
        ) from error


def _taken(run: Callable[[], NDArray[Any]], name: str, value: NDArray[Any]) -> NDArray[Any]:
    try:
        return run()
    except Exception as error:  # the runtimes' own errors share no base class
        raise EncoderError(
            f"The encoder's graph does not take {name} of shape {value.shape} "
            f"({str(error).strip().splitlines()[0]}); correct the card or export the encoder again."
        ) from error
