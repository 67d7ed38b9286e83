"""Several processes as one: shares of a batch, gathered features, averaged gradients.

The joint batch is the same whatever the number of processes. Each encodes its share, all gather all features,
and each computes the whole loss; the gradient of the joint batch comes back through the gathering. Without
``torchrun`` everything here is the identity. Knows tensors only.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from landsift.models.features import Features, lengthened

__all__ = ["Processes", "gathered"]

_PATIENCE = timedelta(hours=12)
"""Others wait so long while the first one decodes a data set; if it dies, torchrun ends them at once."""


@dataclass(frozen=True)
class Processes:
    """Which process this is, and of how many.

    Attributes:
        rank: Number of this process, from 0.
        count: How many work on one batch.
    """

    rank: int = 0
    count: int = 1

    @classmethod
    def join(cls, device: torch.device) -> Processes:
        """Join the processes that ``torchrun`` started, or be the only one."""
        if dist.is_available() and dist.is_initialized():
            return cls(dist.get_rank(), dist.get_world_size())
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            return cls()
        if device.type == "cuda":
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        back_end = "nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(back_end, timeout=_PATIENCE)
        # Not at the end of a run: a group can be joined but once, and another run may follow.
        atexit.register(_leave)
        return cls(dist.get_rank(), dist.get_world_size())

    @property
    def first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def share(self, length: int) -> slice:
        """The part of ``length`` items that this process works on; ``count`` divides ``length``."""
        size = length // self.count
        return slice(self.rank * size, (self.rank + 1) * size)

    def wait(self) -> None:
        """Go on when all processes have come here."""
        if self.count > 1:
            dist.barrier()

    def told(self, value: Any) -> Any:
        """What the first process says."""
        if self.count == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def mean_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Average the gradients of all processes, in place."""
        if self.count == 1:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if not gradients:
            return
        flat = torch.cat([gradient.reshape(-1).float() for gradient in gradients])
        dist.all_reduce(flat)
        flat /= self.count
        place = 0
        for gradient in gradients:
            gradient.copy_(flat[place : place + gradient.numel()].view_as(gradient))
            place += gradient.numel()


def _leave() -> None:
    """Part from the other processes, unless somebody did already."""
    if dist.is_initialized():
        dist.destroy_process_group()


def gathered(features: Features, processes: Processes) -> Features:
    """The features of all processes, in order of rank, with a gradient to each."""
    if processes.count == 1:
        return features
    features = _of_one_length(features)
    found = {name: _Gathered.apply(tensor, processes) for name, tensor in features.tensors().items()}
    return features.replaced(found)


def _of_one_length(features: Features) -> Features:
    """Token lists padded to the longest that any process has."""
    if features.tokens is None:
        return features
    longest = torch.tensor(features.tokens.shape[1], device=features.pooled.device)
    dist.all_reduce(longest, dist.ReduceOp.MAX)
    return lengthened(features, int(longest))


class _Gathered(torch.autograd.Function):
    """The rows of all processes one after the other; their gradients for ours are added up."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, processes: Processes) -> Tensor:
        ctx.processes, ctx.rows = processes, len(tensor)
        # Not every back end can send truth values.
        sent = tensor.to(torch.uint8) if tensor.dtype == torch.bool else tensor
        sent = sent.detach().contiguous()
        parts = [torch.empty_like(sent) for _ in range(processes.count)]
        dist.all_gather(parts, sent)
        return torch.cat(parts).to(tensor.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        gradient = gradients[0].contiguous().clone()
        dist.all_reduce(gradient)
        first = ctx.processes.rank * ctx.rows
        return gradient[first : first + ctx.rows], None
