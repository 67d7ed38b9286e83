"""The commands, and the one table that turns errors into exit codes."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from landsift.cli import (
    change_models,
    changing,
    evaluation,
    explaining,
    gallery,
    localizing,
    serving,
    training,
)
from landsift.cli.show import (
    complain,
    print_cards,
    print_datasets,
    print_json,
    print_rows,
    say,
    show_warnings,
)
from landsift.errors import LandsiftError

__all__ = ["main"]

_INTERRUPTED = 130  # what typer makes of Ctrl-C

app = typer.Typer(
    name="landsift",
    help="Search satellite and aerial imagery in words.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
gallery.register(app)
localizing.register(app)
explaining.register(app)
changing.register(app)
serving.register(app)
evaluation.register(app)
change_models.register(app)
training.register(app)
lists = typer.Typer(help="Show what is known by name.", no_args_is_help=True)
training.register_lists(lists)
app.add_typer(lists, name="list")


def _version(wanted: bool) -> None:
    if wanted:
        from landsift import __version__

        print(f"landsift {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    show_warnings()


@lists.command("encoders")
def list_encoders(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
    markdown: Annotated[bool, typer.Option(help="Print the page of encoders in Markdown.")] = False,
) -> None:
    """The encoders that --encoder takes by name, with their licences, printed and measured scores."""
    from dataclasses import asdict

    from landsift.encoders import list_encoders as cards

    if markdown:
        from landsift.encoders.page import encoders_markdown

        print(encoders_markdown(cards()), end="")
    elif as_json:
        print_json([asdict(card) for card in cards()])
    else:
        print_cards(cards())


@lists.command("datasets")
def list_datasets(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """The caption sets that evaluate takes by name: size, licence, citation, where to get them, layout."""
    from landsift.data import list_datasets as rows

    shown = ("name", "aliases", "title", "size", "licence", "citation", "page", "layout", "streamed", "note")
    if as_json:
        print_json([{name: getattr(row, name) for name in shown} for row in rows()])
    else:
        print_datasets(rows())


@lists.command("templates")
def list_templates() -> None:
    """The sentence templates that zero-shot classification takes by name."""
    from landsift.data import list_templates as families

    rows = [[f.name, str(len(f.templates)), f.average, f.templates[0], f.source] for f in families()]
    print_rows("Templates", ["name", "sentences", "average", "first", "source"], rows)


def main() -> None:
    """Run the command line and exit."""
    try:
        app()
    except LandsiftError as error:
        complain(str(error))
        sys.exit(error.exit_code)
    except SystemExit as ended:
        if ended.code != _INTERRUPTED:
            raise
        say("Stopped. What was committed stays; repeat the command to go on.")
        sys.exit(1)
