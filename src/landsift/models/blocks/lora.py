"""Low-rank adapters on any matrix of any model (LoRA; Hu et al., ICLR 2022, arXiv 2106.09685).

An adapted weight is the one it was plus a product of two thin matrices, of which one starts at zero: at
first nothing changes. The model's own code never notices, since the sum takes the weight's place; folding
makes it the weight for good. Convolutions are adapted as matrices of their flattened kernels. Knows modules;
no methods and no recipes.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from landsift.errors import UsageError

__all__ = ["LowRank", "adapt", "adapted", "folded", "matrices"]

_Model = TypeVar("_Model", bound=nn.Module)


class LowRank(nn.Module):
    """What is added to a weight: ``scale / rank * up @ down``, equation 3 of the paper.

    Args:
        shape: Of the weight: outputs, inputs, and the sides of a kernel.
        rank: Of the product.
        scale: ``alpha`` of the paper.
    """

    def __init__(self, shape: Sequence[int], rank: int, scale: float) -> None:
        super().__init__()
        self.down = nn.Parameter(torch.empty(rank, math.prod(shape[1:])))
        self.up = nn.Parameter(torch.zeros(shape[0], rank))
        self.factor = scale / rank
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, weight: Tensor) -> Tensor:
        """The weight with its part added."""
        return weight + (self.factor * self.up @ self.down).view_as(weight)


def matrices(model: nn.Module) -> Iterator[tuple[str, nn.Module, str]]:
    """Every weight that can be adapted: its full name, the module that has it, and its name there.

    Linear maps, the joint map of torch's attention, and convolutions that mix channels; no embeddings, norms
    or depthwise convolutions.
    """
    for place, module in model.named_modules():
        name = ""
        if isinstance(module, nn.Linear) or (
            isinstance(module, nn.modules.conv._ConvNd) and module.groups == 1
        ):
            name = "weight"
        elif isinstance(module, nn.MultiheadAttention) and module.in_proj_weight is not None:
            name = "in_proj_weight"
        if name and not parametrize.is_parametrized(module, name):
            yield f"{place}.{name}" if place else name, module, name


def adapt(model: nn.Module, rank: int, scale: float, names: Sequence[str]) -> None:
    """Put an adapter on some weights, in place; which parameters train is left to the caller.

    Args:
        model: Any.
        rank: Of each adapter.
        scale: See :class:`LowRank`.
        names: Full names of weights, of :func:`matrices`.

    Raises:
        UsageError: A name that is none, or a rank that a weight does not have.
    """
    found = {name: (module, own) for name, module, own in matrices(model)}
    for name in names:
        if name not in found:
            raise UsageError(f"{name} is no weight that takes an adapter; name linear maps or convolutions.")
        module, own = found[name]
        weight: Tensor = getattr(module, own)
        most = min(len(weight), math.prod(weight.shape[1:]))
        if not 1 <= rank <= most:
            raise UsageError(f"The rank of an adapter on {name} is from 1 to {most}; got {rank}.")
        part = LowRank(weight.shape, rank, scale).to(weight.device, weight.dtype)
        parametrize.register_parametrization(module, own, part)


def adapted(model: nn.Module) -> list[str]:
    """Full names of the weights that have an adapter."""
    found = []
    for place, module in model.named_modules():
        for own, parts in _parts(module).items():
            if any(isinstance(part, LowRank) for part in parts):
                found.append(f"{place}.{own}" if place else own)
    return found


def folded(model: _Model) -> _Model:
    """A copy with every adapter added to its weight, named and shaped as the model was before.

    A model without adapters is returned as it is.
    """
    if not adapted(model):
        return model
    model = copy.deepcopy(model)
    for module in list(model.modules()):
        if _parts(module):
            _fold(module)
    return model


def _fold(module: nn.Module) -> None:
    """Make what stands in for a copied module's weights its weights.

    Torch's own way deletes them from the class that the copy shares with the original.
    """
    weights = {name: getattr(module, name).detach().clone() for name in _parts(module)}
    module.__class__ = type(module).__mro__[1]
    del module.parametrizations
    for name, weight in weights.items():
        module.register_parameter(name, nn.Parameter(weight))


def _parts(module: nn.Module) -> dict[str, nn.ModuleList]:
    """What stands in for a module's own weights, by their names."""
    if not parametrize.is_parametrized(module):
        return {}
    held = module.parametrizations
    assert isinstance(held, nn.ModuleDict)
    return {name: parts for name, parts in held.items() if isinstance(parts, nn.ModuleList)}
