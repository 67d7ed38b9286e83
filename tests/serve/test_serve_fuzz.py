"""Whatever a client sends, the server answers as its description promises, never with a fault of its own."""

from __future__ import annotations

import os
from contextlib import suppress

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from landsift import Gallery
from landsift.serve import ServeOptions, create_app
from landsift.serve.archive import Archive
from toys import ToyEncoder, coloured, write_scene

EXAMPLES = int(os.environ.get("LANDSIFT_FUZZ_EXAMPLES", "12"))
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    unsupported_method,
]


@pytest.fixture
def description(tmp_path):
    """The description of a server over one toy scene, which the cases are drawn from."""
    write_scene(tmp_path / "blue_20220301.tif", coloured("blue", 1))
    with Gallery.create(tmp_path / "main", ToyEncoder(), tile=64) as gallery:
        gallery.add(tmp_path / "blue_20220301.tif")
        scene = gallery.scenes()[0]["id"]
    archive = Archive({"main": Gallery.open(tmp_path / "main", ToyEncoder())})
    app = create_app(archive, ServeOptions())

    async def at_home(scope, receive, send):
        """The client calls the server by a made-up name, which it refuses; call it by its own."""
        headers = [(key, value) for key, value in scope.get("headers", ()) if key != b"host"]
        await app(scope | {"headers": [*headers, (b"host", b"127.0.0.1:8000")]}, receive, send)

    schema = schemathesis.openapi.from_asgi("/openapi.json", at_home)
    known = {"collection": "main", "tile": f"{scene}_s1_x0_y0", "scene": scene}
    for path, methods in schema.raw_schema["paths"].items():
        for operation in methods.values():
            for parameter in operation.get("parameters", ()):
                if parameter["name"] in known and path.count("{"):
                    # Half of the cases name what is there, so that they reach behind the first check.
                    named = {"type": "string", "enum": [known[parameter["name"]]]}
                    parameter["schema"] = {"anyOf": [named, parameter["schema"]]}
    return schema


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_every_operation_keeps_its_promises(description, mode):
    sent = 0
    for found in description.get_all_operations():
        operation = found.ok()

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def keeps(case):
            nonlocal sent
            sent += 1
            case.call_and_validate(checks=CHECKS)

        with suppress(Unsatisfiable):  # an operation without parameters cannot be asked wrongly
            keeps()
    print(f"{mode.value}: {sent} cases")
    assert sent > 5 * EXAMPLES
