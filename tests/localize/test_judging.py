"""AIR-SLT: read as published, judged beside maps that say nothing."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("cv2")

from landsift.data.air_slt import load_air_slt
from landsift.errors import DatasetError, UsageError
from landsift.localize import judge
from toys import ToyEncoder

SIDE = 1100
REGION = [[700, 700], [1000, 700], [1000, 1000], [700, 1000], [700, 700]]


@pytest.fixture
def folder(tmp_path):
    """One picture with a red square in the south-east, and two questions about it."""
    pixels = np.random.default_rng(0).integers(0, 50, (SIDE, SIDE, 3)).astype(np.uint8)
    pixels[..., 2] += 150
    pixels[700:1000, 700:1000] = pixels[700:1000, 700:1000, ::-1]
    (tmp_path / "imgs").mkdir()
    Image.fromarray(pixels).save(tmp_path / "imgs" / "0.png")
    rows = [{"caption": text, "jpg_name": "0.png", "points": [REGION]} for text in ("red", "the red field")]
    (tmp_path / "anno.json").write_text(json.dumps(rows))
    return tmp_path


def test_cases_are_read(folder):
    cases = load_air_slt(folder)
    assert [case.text for case in cases] == ["red", "the red field"]
    assert cases[0].image == folder / "imgs" / "0.png" and cases[0].regions[0][1] == (1000.0, 700.0)


@pytest.mark.parametrize("engine", ["windows", "two-stage"])
def test_an_encoder_that_sees_beats_maps_that_say_nothing(folder, engine):
    report = judge(ToyEncoder(), load_air_slt(folder), engine=engine, sides=(256, 512))
    assert report.task == "selo" and report.dataset["cases"] == 2
    model, uniform, centre = (report.scores[name] for name in ("model", "uniform", "centre"))
    assert model["Rmi"] > max(uniform["Rmi"], centre["Rmi"]) and model["Rsu"] > 0.8
    assert report.protocol["engine"] == engine


def test_the_command_prints_them_beside_each_other(folder, landsift_command, monkeypatch, tmp_path):
    monkeypatch.setattr("landsift.encoders.load_encoder", lambda name: ToyEncoder())
    monkeypatch.setenv("LANDSIFT_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "report.json"
    code, out, err = landsift_command("evaluate", "toy", folder, "--task", "selo", "--json", file)
    assert code == 0, err
    assert "toy on AIR-SLT" in out and "a uniform map" in out and "2 cases" in out
    assert json.loads(file.read_text())["scores"]["model"]["Rmi"] > 0.5


def test_what_is_not_air_slt_is_refused(folder, tmp_path_factory):
    with pytest.raises(UsageError, match="no case to judge"):
        judge(ToyEncoder(), [])
    with pytest.raises(DatasetError, match=r"has no anno\.json"):
        load_air_slt(tmp_path_factory.mktemp("empty"))
    (folder / "imgs" / "0.png").unlink()
    with pytest.raises(DatasetError, match=r"lacks the image 0\.png"):
        load_air_slt(folder)
    (folder / "anno.json").write_text('[{"caption": "red"}]')
    with pytest.raises(DatasetError, match="not as AIR-SLT has it"):
        load_air_slt(folder)
    (folder / "anno.json").write_text("[]")
    with pytest.raises(DatasetError, match="holds no case"):
        load_air_slt(folder)
