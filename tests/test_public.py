"""The public names: they load, they are documented, and importing the package stays light."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys

import landsift

HEAVY = ("torch", "onnxruntime", "rasterio", "faiss", "tokenizers", "transformers", "pyogrio", "typer", "PIL")


def test_every_public_name_loads_and_is_documented():
    for name in landsift.__all__:
        value = getattr(landsift, name)
        if name != "__version__":
            assert inspect.getdoc(value), name
    assert set(landsift.__all__) == set(dir(landsift))


def test_every_public_method_of_the_gallery_is_documented():
    for name, member in inspect.getmembers(landsift.Gallery):
        if not name.startswith("_") and callable(member):
            assert inspect.getdoc(member), name


def test_an_unknown_name_is_an_attribute_error():
    try:
        landsift.Galery  # noqa: B018
    except AttributeError as error:
        assert "Galery" in str(error)
    else:
        raise AssertionError("no error for a misspelt name")


def loaded_by(statement: str) -> set[str]:
    """Top-level modules in ``sys.modules`` of a fresh interpreter after ``statement``."""
    code = f"import sys, json; {statement}; print(json.dumps([m.partition('.')[0] for m in sys.modules]))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(answer.stdout.splitlines()[-1]))


def test_importing_the_package_loads_nothing_heavy():
    assert not loaded_by("import landsift") & set(HEAVY)


def test_the_command_line_loads_nothing_heavy_before_a_command_runs():
    assert not loaded_by("import landsift.cli") & (set(HEAVY) - {"typer"})


def test_the_core_never_imports_torch():
    assert "torch" not in loaded_by("import landsift.gallery, landsift.demo, landsift.plot, landsift.metrics")
    assert "torch" not in loaded_by("import landsift; landsift.load_encoder; landsift.open_scene")
