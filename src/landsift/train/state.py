"""Everything a run must remember to go on as if it had never stopped, as safetensors and JSON.

Random numbers need no memory: they are functions of seed and step. Knows optimisers and tensors; not what is
trained.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from landsift.errors import TrainingError

__all__ = ["STATE_FILES", "Position", "pack", "read_state", "unpack", "write_state"]

_TENSORS, _NOTE = "state.safetensors", "state.json"
STATE_FILES = (_TENSORS, _NOTE)
_FORMAT = 1


@dataclass(frozen=True)
class Position:
    """Where a run stands between two steps.

    Attributes:
        epoch: Passes completed.
        batch: Batches of the present pass that are done.
        step: Steps taken in all.
        seconds: Spent training, validations included.
        best: Best validation score so far, None before the first.
        best_epoch: Pass that gave it, counted from 1; 0 before the first.
        waited: Validations since then.
        sums: Sum over the present pass of each loss term.
        history: A row of measurements per completed pass.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    seconds: float = 0.0
    best: float | None = None
    best_epoch: int = 0
    waited: int = 0
    sums: Mapping[str, float] = field(default_factory=dict)
    history: tuple[Mapping[str, float], ...] = ()


def pack(
    modules: Mapping[str, nn.Module], optimizers: Mapping[str, Optimizer], others: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights, buffers and optimiser states as named tensors and plain values.

    Returns:
        Tensors for safetensors, and what is no tensor for JSON.
    """
    tensors = dict(others)
    plain: dict[str, Any] = {}
    for title, module in modules.items():
        for name, tensor in module.state_dict().items():
            tensors[f"{title}/{name}"] = tensor
    for title, optimizer in optimizers.items():
        for number, state in optimizer.state_dict()["state"].items():
            for name, value in state.items():
                place = f"{title}/{number}/{name}"
                if isinstance(value, Tensor):
                    tensors[place] = value
                elif value is not None:
                    plain[place] = value
    # Tied weights share memory, which the format refuses; a copy each is right, since all are read back.
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}, plain


def unpack(
    tensors: Mapping[str, Tensor],
    plain: Mapping[str, Any],
    modules: Mapping[str, nn.Module],
    optimizers: Mapping[str, Optimizer],
) -> None:
    """Put back what :func:`pack` gave, in place.

    Raises:
        TrainingError: It is of another model.
    """
    try:
        for title, module in modules.items():
            module.load_state_dict(_under(title, tensors))
        for title, optimizer in optimizers.items():
            state = optimizer.state_dict()
            state["state"] = {}
            for place, value in (_under(title, tensors) | _under(title, plain)).items():
                number, _, name = place.partition("/")
                state["state"].setdefault(int(number), {})[name] = value
            optimizer.load_state_dict(state)
    except (RuntimeError, KeyError, ValueError) as error:
        raise TrainingError(
            f"The checkpoint is of another model ({error}); start anew in another folder"
        ) from error


def _under(title: str, values: Mapping[str, Any]) -> dict[str, Any]:
    start = f"{title}/"
    return {name.removeprefix(start): value for name, value in values.items() if name.startswith(start)}


def write_state(
    folder: Path,
    tensors: Mapping[str, Tensor],
    plain: Mapping[str, Any],
    position: Position,
    note: Mapping[str, Any],
) -> None:
    """Write a state into a folder.

    Args:
        folder: Must exist.
        tensors: Of :func:`pack`, and whatever else must be remembered.
        plain: Of :func:`pack`.
        position: Where the run stands.
        note: More plain values, such as the recipe's hash.
    """
    save_file(dict(tensors), str(folder / _TENSORS))
    content = {"format": _FORMAT, "plain": dict(plain), "position": asdict(position), **note}
    (folder / _NOTE).write_text(json.dumps(content) + "\n", encoding="utf-8")


def read_state(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any], Position, dict[str, Any]]:
    """Read what :func:`write_state` wrote: tensors, plain values, position, note.

    Raises:
        TrainingError: Absent or unreadable.
    """
    try:
        content = json.loads((folder / _NOTE).read_text(encoding="utf-8"))
        if content.pop("format") != _FORMAT:
            raise ValueError("it was written by another release")
        plain, position = content.pop("plain"), Position(**content.pop("position"))
        tensors = load_file(str(folder / _TENSORS))
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise TrainingError(
            f"There is no run to resume in {folder} ({error}); leave --resume out to start anew"
        ) from error
    return tensors, plain, replace(position, history=tuple(position.history)), content
