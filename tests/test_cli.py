"""The command line as a user meets it: output, files, exit codes, and one sentence when something is off."""

from __future__ import annotations

import json

import pytest

import landsift.gallery.gallery as gallery_module
from landsift.errors import EncoderError
from toys import ToyEncoder, coloured, write_scene


@pytest.fixture
def run(monkeypatch, landsift_command):
    """The command with toy encoders."""

    def load(name: str) -> ToyEncoder:
        if name not in ("landsift-lite", "toy", "other"):
            raise EncoderError(
                f"There is no encoder and no folder called {name!r}; did you mean landsift-lite?"
            )
        return ToyEncoder("toy" if name != "other" else name)

    monkeypatch.setattr(gallery_module, "load_encoder", load)
    return landsift_command


@pytest.fixture
def indexed(run, tmp_path, archive):
    """A gallery of the three toy scenes, made by the command."""
    code, _, err = run("index", tmp_path / "g", archive, "--tile", 64)
    assert code == 0 and "3 scenes indexed" in err
    return tmp_path / "g"


def test_ctrl_c_says_how_to_go_on(run, indexed, monkeypatch):
    def interrupted(*_args, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr(gallery_module.Gallery, "search", interrupted)
    code, out, err = run("search", indexed, "something blue")
    assert (
        code == 1 and out == "" and err == "Stopped. What was committed stays; repeat the command to go on.\n"
    )


def test_index_search_info_verify_remove_export(run, indexed, archive, tmp_path):
    code, out, _ = run("search", indexed, "something blue", "-k", 3)
    assert code == 0 and "something blue" in out and "blue-20220301" in out
    code, out, _ = run("info", indexed, "--scenes")
    assert code == 0 and "72" in out and "green_20210615.tif" in out and "colour interpretation" in out
    assert run("verify", indexed)[0] == 0
    code, _, err = run("index", indexed, archive)
    assert code == 0 and "3 scenes unchanged" in err
    code, _, err = run("export", indexed, tmp_path / "all.geojson", "--scene", "red*")
    assert code == 0 and "24 footprints" in err
    code, _, err = run("remove", indexed, "red*")
    assert code == 0 and "red_20200101.tif" in err
    assert "red" not in run("search", indexed, "red", "-k", 50)[1].replace("\nred\n", "").removeprefix(
        "red\n"
    )


def test_json_is_one_document_for_machines(run, indexed, archive):
    code, out, _ = run("search", indexed, "green", "-k", 2, "--json", "--after", "2021")
    answer = json.loads(out)
    assert code == 0 and len(answer["matches"]) == 2 and answer["searched"] == 48 and answer["total"] == 72
    best = answer["matches"][0]
    assert best["rank"] == 1 and best["scene"] == "green_20210615.tif" and len(best["corners"]) == 4
    assert json.loads(run("info", indexed, "--json", "--scenes")[1])["ledger"][0]["state"] == "done"
    assert json.loads(run("verify", indexed, "--json")[1]) == {"gallery": str(indexed), "problems": []}
    assert json.loads(run("index", indexed, archive, "--json")[1])["unchanged"] == 3
    names = [card["name"] for card in json.loads(run("list", "encoders", "--json")[1])]
    assert "landsift-lite" in names


def test_search_writes_every_format(run, indexed, tmp_path):
    from PIL import Image

    out = tmp_path / "out"
    out.mkdir()
    code, _, err = run(
        "search", indexed, "red", "--not", "blue", "-k", 4,
        "--geojson", out / "m.geojson", "--gpkg", out / "m.gpkg", "--parquet", out / "m",
        "--csv", out / "m.csv", "--sheet", out / "m.png",
    )  # fmt: skip
    assert code == 0 and err.count("Wrote") == 5
    assert {path.name for path in out.iterdir()} == {"m.geojson", "m.gpkg", "m.parquet", "m.csv", "m.png"}
    features = json.loads((out / "m.geojson").read_text())["features"]
    assert len(features) == 4 and features[0]["properties"]["query"] == "red, not blue"
    with Image.open(out / "m.png") as sheet:
        assert sheet.width > 4 * 200 and sheet.height > 200


def test_search_by_example(run, indexed, tmp_path):
    best = json.loads(run("search", indexed, "blue", "-k", 1, "--json")[1])["matches"][0]["tile"]
    similar = json.loads(run("search", indexed, "--like", best, "-k", 2, "--json")[1])["matches"]
    assert best not in [m["tile"] for m in similar] and similar[0]["scene"] == "blue_20220301.tif"
    photo = write_scene(tmp_path / "photo.tif", coloured("green", 4), crs=None)
    found = json.loads(run("search", indexed, "--like", photo, "-k", 1, "--json")[1])["matches"]
    assert found[0]["scene"] == "green_20210615.tif"


def test_a_box_across_the_antimeridian_is_taken_and_an_inverted_one_is_not(run, indexed):
    code, out, _ = run("search", indexed, "red", "--bbox", "170,-10,-170,10", "--json")
    assert code == 0 and json.loads(out)["matches"] == []
    code, out, _ = run("search", indexed, "red", "--bbox", "-180,-90,180,90", "--json")
    assert len(json.loads(out)["matches"]) > 0
    code, _, err = run("search", indexed, "red", "--bbox", "0,10,1,-10")
    assert code == 2 and "south" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["search", "G", "red", "-k", "0"], "k must be 1"),
        (["search", "G", ""], "empty"),
        (["search", "G", "   "], "empty"),
        (["search", "G"], "nothing to search for"),
        (["search", "G", "--like", "nowhere.tif"], "neither a tile"),
        (["search", "G", "red", "--bbox", "1,2,3"], "four numbers"),
        (["search", "G", "red", "--bbox", "a,b,c,d"], "numbers between commas"),
        (["search", "G", "red", "--after", "yesterday"], "takes a date"),
        (["search", "G", "red", "--after", "2021", "--before", "2020"], "swap"),
        (["search", "G", "red", "--overlapping", "drop"], "choose one"),
        (["search", "G", "red", "--sheet", "sheet.txt"], "image format|end the name"),
        (["search", "G", "red", "--csv", "no/such/folder/m.csv"], "does not exist"),
        (["export", "G", "tiles.shp"], "Cannot tell a format"),
        (["remove", "G"], "Name at least one scene"),
        (["remove", "G", "nothing*"], "No scene fits"),
        (["index", "G", "A", "--overlap", "1"], "overlap"),
        (["index", "G", "A", "--tile", "0"], "tile"),
        (["index", "G", "A", "--scales", "1,x"], "numbers between commas"),
        (["search", "G", "red", "--no-such-option"], "No such option"),
        (["frobnicate"], "No such command"),
    ],
)
def test_wrong_use_is_exit_code_2_with_a_remedy(run, indexed, archive, arguments, words):
    import re

    real = [{"G": indexed, "A": archive}.get(part, part) for part in arguments]
    code, _, err = run(*real)
    assert code == 2 and re.search(words, err), err
    assert "Traceback" not in err


def test_failures_are_exit_code_1(run, indexed, archive, tmp_path):
    code, _, err = run("search", tmp_path / "nothing", "red")
    assert code == 1 and "There is no gallery" in err
    code, _, err = run("index", indexed, archive, "--encoder", "other")
    assert code == 1 and "toy" in err and "other" in err
    code, _, err = run("index", tmp_path / "new", archive, "--encoder", "landsift-lit")
    assert code == 1 and "landsift-lite" in err
    (archive / "page.tif").write_text("<html></html>")
    code, _, err = run("index", indexed, archive)
    assert code == 1 and "page.tif" in err and "3 scenes unchanged" in err
    assert run("verify", indexed)[0] == 1
    empty = tmp_path / "empty"
    empty.mkdir()
    code, _, err = run("index", indexed, empty)
    assert code in (1, 2) and "empty" in err and "Traceback" not in err


def test_long_and_strange_texts_are_searched(run, indexed):
    for text in ("red " * 2500, "красный 🛰️ red", "'; DROP TABLE item; --red", "[bold]red[/bold]"):
        code, out, _ = run("search", indexed, text, "-k", 1)
        assert code == 0 and "red-20200101" in out


def test_help_documents_every_option(run):
    import typer.main

    from landsift.cli.app import app

    commands = typer.main.get_command(app)
    for name, command in {**commands.commands, **commands.commands["list"].commands}.items():
        if name == "list":
            continue
        assert command.help, name
        for option in command.params:
            assert getattr(option, "help", "-"), f"{name}: {option.name}"


def test_version(run):
    import landsift

    assert run("--version")[1] == f"landsift {landsift.__version__}\n"
