"""A run that was killed and resumed ends with the very weights of an undisturbed one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from safetensors.torch import load_file  # noqa: E402
from small import coloured_set, recipe  # noqa: E402

from landsift.errors import TrainingError  # noqa: E402
from landsift.train import fit, read_metrics  # noqa: E402

TRAIN, VAL = coloured_set(48), coloured_set(18, 1, split="val")

EVERYTHING = {
    "data__sampling": "hard",
    "text__word_drop": 0.2,
    "text__per_image": 2,
    "augment__coarse": 0.3,
    "model__options": {"dropout": 0.4, "norm": True, "critic": True},
    "loss": {"info-nce": {}, "triplet": {"from_epoch": 1, "ramp_epochs": 2, "weight": 0.1}},
    "loop__accumulate": 2,
    "loop__average": 0.9,
    "loop__chunk": 5,
    "loop__batch": 8,
    "loop__epochs": 3,
}
VARIANTS = {
    "plain": {"loop__epochs": 3},
    "everything": EVERYTHING,
    "bfloat16, scenes, SGD": {
        "loop__precision": "bfloat16",
        "data__sampling": "scenes",
        "optimizer__name": "sgd",
        "validation": {"every": 2, "patience": 5},
        "loop__epochs": 3,
    },
    "float16 on maps": {
        "loop__precision": "float16",
        "data__maps": True,
        "data__views": 3,
        "model__freeze": ["patches"],
    },
}


def options(folder: Path, variant: str, *, every_minutes: float) -> dict[str, object]:
    output = {"folder": f"{folder}/run", "every_minutes": every_minutes}
    return VARIANTS[variant] | {"output": output}


def finished(folder: Path, variant: str, *, every_minutes: float = 10, resume: bool = False, progress=None):
    chosen = recipe(folder, **options(folder, variant, every_minutes=every_minutes))
    return fit(chosen, train=[TRAIN], validation=[VAL], resume=resume, progress=progress)


class Stop:
    """Progress that interrupts a run after a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def __call__(self, moment) -> None:
        if moment.phase == "training" and moment.done == self.step:
            raise KeyboardInterrupt


def assert_same_run(one: Path, other: Path) -> None:
    """Weights, optimiser, averages and all else that is remembered, to the bit; measurements but times."""
    for name in ("best/model.safetensors", "last/model.safetensors"):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    first, second = (load_file(str(run / "last" / "state.safetensors")) for run in (one, other))
    assert first.keys() == second.keys() and len(first) > 15
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name
    rows = [
        [{name: value for name, value in row.items() if "second" not in name} for row in read_metrics(run)]
        for run in (one, other)
    ]
    assert rows[0] == rows[1] and len(rows[0]) > 1


@pytest.mark.parametrize("variant", list(VARIANTS))
@pytest.mark.parametrize("every_minutes", [0.0, 10.0], ids=["after each step", "after each pass"])
def test_an_interrupted_run_goes_on_to_the_same_weights(tmp_path, variant, every_minutes):
    whole = finished(tmp_path / "whole", variant)
    for at in (3, 5, whole.steps):
        with pytest.raises(KeyboardInterrupt):
            finished(tmp_path, variant, every_minutes=every_minutes, resume=True, progress=Stop(at))
    result = finished(tmp_path, variant, every_minutes=every_minutes, resume=True)
    assert (result.steps, result.epoch, result.score) == (whole.steps, whole.epoch, whole.score)
    assert_same_run(whole.folder, result.folder)


def test_resuming_a_run_that_is_done_changes_nothing(tmp_path):
    first = finished(tmp_path, "plain")
    before = (first.encoder / "model.safetensors").read_bytes()
    again = finished(tmp_path, "plain", resume=True)
    assert again.history == first.history and again.score == first.score
    assert (first.encoder / "model.safetensors").read_bytes() == before


def test_a_method_that_draws_at_the_beginning_of_a_pass_repeats_too(tmp_path, monkeypatch):
    from small import SmallMatcher

    def begin_epoch(self, moment) -> None:
        with torch.no_grad():
            self.text_head.bias += 0.05 * torch.randn(self.dim)

    monkeypatch.setattr(SmallMatcher, "begin_epoch", begin_epoch)
    whole = finished(tmp_path / "whole", "plain")

    with pytest.raises(KeyboardInterrupt):
        finished(tmp_path, "plain", progress=Stop(9))
    assert_same_run(whole.folder, finished(tmp_path, "plain", resume=True).folder)


def test_what_changes_no_weights_may_change_between_the_two(tmp_path):
    whole = finished(tmp_path / "whole", "plain")
    with pytest.raises(KeyboardInterrupt):
        finished(tmp_path, "plain", progress=Stop(9))
    moved = VARIANTS["plain"] | {"data__cache": f"{tmp_path}/elsewhere", "description": "moved"}
    result = fit(recipe(tmp_path, **moved), train=[TRAIN], validation=[VAL], resume=True)
    assert_same_run(whole.folder, result.folder)
    with pytest.raises(TrainingError, match=r"data.maps, .*loop.epochs, .* differ"):
        finished(tmp_path, "float16 on maps", resume=True)


DRIVER = """
import json, os, random, signal, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
import torch
from test_train_resume import finished

EVENTS = ("open", "os.rename", "os.remove", "os.mkdir", "shutil.rmtree")

# Each run is a process of its own, forked from this one so that torch is loaded once.
def forked(folder, variant, every_minutes, kill_at):
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    run, seen = f"{folder}/run", 0
    def count(event, arguments):
        nonlocal seen
        if event in EVENTS and run in str(arguments[:2]):
            seen += 1
            if seen == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(count)
    finished(Path(folder), variant, every_minutes=every_minutes, resume=True)
    os._exit(0)

folder, variant, seed = sys.argv[2], sys.argv[3], int(sys.argv[4])
random = random.Random(seed)
assert forked(f"{folder}/whole", variant, 10.0, -1) == 0
kills = 0
while True:
    # Anywhere: before the first checkpoint, in the middle of writing one, between two renames.
    status = forked(f"{folder}/killed", variant, 0.0, random.randint(1, 150) if kills < 6 else -1)
    if status == 0:
        break
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, status
    kills += 1
print(json.dumps({"kills": kills}))
"""


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="needs fork")
@pytest.mark.parametrize(("variant", "seed"), [("plain", 1), ("everything", 3)])
def test_a_run_killed_at_random_moments_ends_with_the_same_weights(tmp_path, variant, seed):
    answer = subprocess.run(
        [sys.executable, "-c", DRIVER, str(Path(__file__).parent), str(tmp_path), variant, str(seed)],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["kills"] >= 2
    assert_same_run(tmp_path / "whole" / "run", tmp_path / "killed" / "run")
