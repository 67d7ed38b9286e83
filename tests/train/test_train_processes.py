"""Several processes that share a batch make what one process makes of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

if not torch.distributed.is_available():
    pytest.skip("this torch cannot run several processes", allow_module_level=True)

from safetensors.torch import load_file  # noqa: E402
from small import coloured_set, recipe  # noqa: E402

from landsift.train import fit, read_metrics  # noqa: E402

TERMS = {
    "info-nce": {},
    "triplet": {"reduce": "sum", "weight": 0.1, "dynamic": True},
    "uniformity": {"texts": True, "weight": 0.1},
    "affiliation": {"weight": 0.1},
    "simclr": {"weight": 0.1, "width": 8, "out": 4},
}
VARIANTS = {
    "plain": {},
    "every term, twice accumulated": {"loss": TERMS, "loop__accumulate": 2, "loop__average": 0.9},
    "in chunks, hard": {"loop__chunk": 3, "data__sampling": "hard", "loss": TERMS},
    "with a critic": {"model__options": {"critic": True}},
}

CHILD = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from test_train_processes import VARIANTS, trained
losses = {}
for variant in VARIANTS:
    folder = Path(sys.argv[2]) / variant
    result = trained(folder, variant, losses.setdefault(variant, []))
    assert len(result.history) == 2 and result.score == result.reports["colours/val"].strict.mR
if os.environ["RANK"] == "0":
    Path(sys.argv[2], "losses.json").write_text(json.dumps(losses))
"""


def trained(folder: Path, variant: str, losses: list):
    def keep(moment) -> None:
        if moment.phase == "training":
            losses.append(dict(moment.terms))

    train, val = coloured_set(48), coloured_set(18, 1, split="val")
    return fit(recipe(folder, **VARIANTS[variant]), train=[train], validation=[val], progress=keep)


def torchrun(script: Path, *arguments: str, count: int = 2) -> subprocess.CompletedProcess:
    return subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"),
            *(str(script), str(Path(__file__).parent), *arguments),
        ],
        timeout=240,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> Path:
    """Runs of every variant by two processes."""
    folder = tmp_path_factory.mktemp("shared")
    (folder / "child.py").write_text(CHILD)
    answer = torchrun(folder / "child.py", str(folder))
    assert answer.returncode == 0, answer.stderr
    return folder


@pytest.mark.parametrize("variant", list(VARIANTS))
def test_two_processes_compute_the_loss_of_the_joint_batch(shared, tmp_path, variant):
    alone: list[dict[str, float]] = []
    result = trained(tmp_path, variant, alone)
    both = json.loads((shared / "losses.json").read_text())[variant]
    assert len(both) == len(alone) > 3
    for step, (one, other) in enumerate(zip(alone, both, strict=True)):
        assert other == pytest.approx(one, abs=1e-5, rel=1e-5), step
    weights = [
        load_file(str(run / "last" / "model.safetensors"))
        for run in (result.folder, shared / variant / "run")
    ]
    for name, tensor in weights[0].items():
        torch.testing.assert_close(weights[1][name], tensor, atol=2e-4, rtol=1e-3, msg=name)
    rows = read_metrics(shared / variant / "run")
    assert [row["epoch"] for row in rows] == [1, 2]
    assert rows[-1]["loss"] == pytest.approx(result.history[-1]["loss"], rel=1e-4)


REFUSED = """
import sys
sys.path.insert(0, sys.argv[1])
from small import coloured_set, recipe
from landsift.errors import LandsiftError
from landsift.train import fit
try:
    fit(recipe(sys.argv[2], loop__batch=9, validation={"share": 0.0}), train=[coloured_set(48)])
except LandsiftError as error:
    print(error)
"""


def test_a_batch_that_cannot_be_shared_is_refused(tmp_path):
    (tmp_path / "child.py").write_text(REFUSED)
    answer = torchrun(tmp_path / "child.py", str(tmp_path))
    said = "A batch of 9 cannot be shared by 2 processes; set loop.batch to a multiple."
    assert answer.stdout.count(said) == 2, answer.stdout + answer.stderr
