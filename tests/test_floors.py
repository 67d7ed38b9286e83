"""Imports point down: a room may import rooms below it, never one beside or above it."""

from __future__ import annotations

import ast
from pathlib import Path

import landsift

SOURCE = Path(landsift.__file__).parent

FLOORS = {
    "types": 0,
    "errors": 0,
    "files": 0,
    "threads": 0,
    "toml": 0,
    "captions": 0,
    "provenance": 0,
    "data": 1,
    "scenes": 1,
    "index": 1,
    "metrics": 1,
    "encoders": 1,
    "formats": 1,
    "models": 2,
    "gallery": 3,
    "evaluate": 3,
    "plot": 4,
    "changes": 4,
    "export": 4,
    "localize": 4,
    "explain": 4,
    "train": 4,
    "demo": 5,
    "serve": 5,
    "cli": 6,
}
"""Rooms and their floors, as docs/architecture.md draws them."""

FLOOR_ZERO = {"types", "errors", "threads"}
"""The vocabulary, and the count of processors, which everything may use."""

HOMES = {
    "rasterio": {"scenes"},
    "faiss": {"index"},
    "onnxruntime": {"encoders"},
    "openvino": {"encoders"},
    "tokenizers": {"encoders", "models"},
    "torch": {"models", "export", "train"},
    "sqlite3": {"gallery"},
    "pyogrio": {"formats"},
    "pystac": {"scenes"},
    "typer": {"cli"},
    "rich": {"cli"},
    "matplotlib": {"plot"},
    "cv2": {"localize"},
    "huggingface_hub": {"encoders"},
    "safetensors": {"models", "train"},
    "fastapi": {"serve"},
    "starlette": {"serve"},
    "pydantic": {"serve"},
    "uvicorn": {"serve"},
}
"""Heavy or opinionated packages, and the only rooms that may know them."""


def imports(path: Path) -> set[str]:
    """Every absolute module name that a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write imports in full"
            names.add(node.module or "")
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def modules() -> list[tuple[str, Path]]:
    """(room, file) of every module."""
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        room = path.relative_to(SOURCE).parts[0].removesuffix(".py")
        if room != "__init__":
            found.append((room, path))
    return found


def test_every_room_has_a_floor():
    assert {room for room, _ in modules()} == set(FLOORS)


def test_imports_point_down():
    wrong = []
    for room, path in modules():
        for name in imports(path):
            parts = name.split(".")
            if parts[0] != "landsift" or len(parts) < 2 or parts[1] not in FLOORS:
                continue
            if parts[1] != room and FLOORS[parts[1]] >= FLOORS[room] and parts[1] not in FLOOR_ZERO:
                wrong.append(f"{path.relative_to(SOURCE)} imports {name}")
    assert wrong == []


def test_packages_stay_in_their_rooms():
    wrong = []
    for room, path in modules():
        for name in imports(path):
            homes = HOMES.get(name.split(".")[0])
            if homes is not None and room not in homes:
                wrong.append(f"{path.relative_to(SOURCE)} imports {name}")
    assert wrong == []


def test_no_module_outgrows_six_hundred_lines():
    long = {
        str(path.relative_to(SOURCE)): n
        for _, path in modules()
        if (n := len(path.read_text().splitlines())) > 600
    }
    assert long == {}
