"""The command that serves galleries to browsers and programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated as An

import typer
from typer import Argument, Option

from landsift.cli.show import say
from landsift.errors import need

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(serve)


def serve(
    galleries: An[
        list[Path], Argument(metavar="GALLERY...", help="Folders of the galleries.", show_default=False)
    ],
    host: An[str, Option(help="Address to listen at; any but this machine's needs --token.")] = "127.0.0.1",
    port: An[int, Option(help="Port to listen at.")] = 8000,
    token: An[
        str | None, Option(envvar="LANDSIFT_TOKEN", help="What every request must carry; 8 letters or more.")
    ] = None,
    read_only: An[bool, Option("--read-only", help="Keep no labels and no searches.")] = False,
    processes: An[
        int, Option(help="How many answer side by side; one a core is plenty, and each takes its own memory.")
    ] = 1,
) -> None:
    """Serve galleries: the map in a browser, and a STAC API for programs."""
    from landsift.serve.options import ServeOptions

    options = ServeOptions(host, port, token, read_only, processes)
    for module in ("fastapi", "uvicorn", "python_multipart", "threadpoolctl"):
        need(module, extra="serve")
    from landsift.serve import serve as run

    run(galleries, options, lambda address: say(f"Open {address} in a browser; Ctrl-C stops the server."))
