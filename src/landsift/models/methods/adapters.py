"""Small trained parts on frozen towers: PE-RSITR's shared adapter and HarMA's gated one.

PE-RSITR (Yuan et al., TGRS 2023): one adapter for all layers of both towers, with a part of its own for
each; compare with the row PE-RSITR (ViT-B/32). HarMA (Huang et al., 2024): gated adapters with attention;
compare with the row HarMA (GeoRSCLIP), which others could not reproduce. Written after released code.
Deviates: the towers are a frozen CNN, whose cells pass the adapter once, and MiniLM, not CLIP's; HarMA's
bottleneck is shared between both sides, as in its paper, and attends over tokens; PE-RSITR's second views
are made by hiding numbers of the vectors, as there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from landsift.errors import UsageError
from landsift.models.batch import Batch
from landsift.models.blocks.attention import Attention
from landsift.models.blocks.heads import unit
from landsift.models.blocks.pooling import masked_mean
from landsift.models.blocks.trunk import grid_tokens
from landsift.models.blocks.words import BertTextTower, TextStates
from landsift.models.features import Features, TextInput
from landsift.models.methods.base import TowerMatcher, TowerOptions
from landsift.models.objectives.info_nce import info_nce
from landsift.models.registry import MatcherSource, MatcherSpec, MethodCard

__all__ = ["HARMA", "PE_RSITR", "AdapterOptions", "Harma", "PeRsitr"]


@dataclass(frozen=True)
class AdapterOptions(TowerOptions):
    """Frozen towers and adapters.

    Attributes:
        bottleneck: Width inside an adapter.
        temperature: The trained one starts at.
    """

    text: str = "minilm"
    cut: str = "c4"
    bottleneck: int = 64
    temperature: float = 0.07


class _Adapted(TowerMatcher):
    """Cells and word states with something added at each layer."""

    needs_words = True

    def __init__(self, options: AdapterOptions, source: MatcherSource) -> None:
        super().__init__(options, source)
        if not isinstance(self.texts, BertTextTower):
            raise UsageError("Adapters sit between transformer layers; set model.options.text to minilm.")
        self.head = nn.Linear(self.images.channels["c4"], options.dim)
        self.log_scale = nn.Parameter(torch.tensor(-math.log(options.temperature)))

    @property
    def scale(self) -> Tensor:
        """One over the temperature, at most 100."""
        return self.log_scale.clamp(max=math.log(100.0)).exp()

    def adapted_cells(self, cells: Tensor) -> Tensor:
        """Cells ``(n, a, channels)`` with the adapter's part."""
        raise NotImplementedError

    def adapted_words(self, words: Tensor, mask: Tensor, number: int) -> Tensor:
        """Word states ``(n, b, width)`` after a layer with the adapter's part."""
        raise NotImplementedError

    def image_head(self, maps: Mapping[str, Tensor]) -> Features:
        """Unit rows."""
        return Features(unit(self.head(self.adapted_cells(grid_tokens(maps["c4"])).mean(dim=1))))

    def text_features(self, text: TextInput) -> Features:
        """The frozen layers, each with the adapter behind it."""
        assert isinstance(self.texts, BertTextTower)
        tower = self.texts.tower
        x = tower.embeddings(text.tokens)
        for number, layer in enumerate(tower.layers):
            x = self.adapted_words(layer(x, text.mask), text.mask, number)
        words = self.texts.head(x)
        sentence = masked_mean(words, text.mask)
        return self.text_head(TextStates(words, text.mask, sentence, text.tokens))

    def text_head(self, states: TextStates) -> Features:
        """Unit rows."""
        return Features(unit(states.sentence))


class PeRsitr(_Adapted):
    """One adapter for everything: 64 numbers of its output are shared by both sides."""

    def __init__(self, options: AdapterOptions, source: MatcherSource) -> None:
        super().__init__(options, source)
        assert isinstance(self.texts, BertTextTower)
        widths = {"image": self.images.channels["c4"], "text": self.texts.tower.config.width}
        shared = min(options.bottleneck, *(width // 2 for width in widths.values()))
        self.down = nn.ModuleDict(
            {side: nn.Linear(width, options.bottleneck) for side, width in widths.items()}
        )
        self.up = nn.ModuleDict(
            {side: nn.Linear(options.bottleneck, width - shared) for side, width in widths.items()}
        )
        self.shared_up, self.dropout = nn.Linear(options.bottleneck, shared), nn.Dropout(options.dropout)
        for layer in (*self.up.values(), self.shared_up):
            assert isinstance(layer, nn.Linear)
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def _added(self, x: Tensor, side: str) -> Tensor:
        hidden = self.dropout(torch.relu(self.down[side](x)))
        return x + torch.cat([self.up[side](hidden), self.shared_up(hidden)], dim=-1)

    def adapted_cells(self, cells: Tensor) -> Tensor:
        """Cells and the adapter's part."""
        return self._added(cells, "image")

    def adapted_words(self, words: Tensor, mask: Tensor, number: int) -> Tensor:
        """Words and the adapter's part."""
        return self._added(words, "text")

    def own_losses(
        self, batch: Batch, image: Features, text: Features, similarity: Tensor
    ) -> dict[str, Tensor]:
        """Contrast of each vector with a view of itself in which a fifth of the numbers is hidden."""
        total = similarity.new_zeros(())
        for side, ids in ((image, batch.image_ids), (text, batch.caption_ids)):
            view = unit(functional.dropout(side.pooled, 0.2))
            same = (ids[:, None] == ids[None]) & (ids >= 0)[:, None]
            same = same | torch.eye(len(ids), dtype=torch.bool, device=ids.device)
            total = total + info_nce(self.scale * side.pooled @ view.T, same)
        return {"views": total / 2}


class _Bottleneck(nn.Module):
    """HarMA's adapter: down, attention twice with one set of weights, gates, up."""

    def __init__(self, width: int, shared: nn.Module, attention: Attention) -> None:
        super().__init__()
        inner = attention.out.in_features
        self.down, self.up = nn.Linear(width, inner), nn.Linear(inner, width)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)
        self.outer_gate, self.inner_gate = nn.Parameter(torch.tensor(0.6)), nn.Parameter(torch.tensor(0.6))
        # Lists hold parts of others without owning them twice.
        self._parts = [shared, attention]

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        shared, attention = self._parts
        first = functional.gelu(self.down(x))
        second = attention(shared(attention(first, mask=mask)), mask=mask)
        gate = torch.sigmoid(self.inner_gate)
        adapted = x + self.up(gate * first + (1 - gate) * second)
        outer = torch.sigmoid(self.outer_gate)
        return outer * adapted + (1 - outer) * x


class _Shared(nn.Module):
    """The bridge between both sides: a smaller bottleneck, added."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.down, self.up = nn.Linear(width, width // 2), nn.Linear(width // 2, width)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.up(functional.gelu(self.down(x)))


class Harma(_Adapted):
    """An adapter behind each layer, with one bridge between both sides."""

    def __init__(self, options: AdapterOptions, source: MatcherSource) -> None:
        super().__init__(options, source)
        assert isinstance(self.texts, BertTextTower)
        inner, config = options.bottleneck, self.texts.tower.config
        self.bridge = _Shared(inner)
        self.image_attention, self.text_attention = Attention(inner), Attention(inner)
        self.cells = _Bottleneck(self.images.channels["c4"], self.bridge, self.image_attention)
        self.words = nn.ModuleList(
            _Bottleneck(config.width, self.bridge, self.text_attention) for _ in range(config.layers)
        )

    def adapted_cells(self, cells: Tensor) -> Tensor:
        """Cells through the adapter."""
        return self.cells(cells)

    def adapted_words(self, words: Tensor, mask: Tensor, number: int) -> Tensor:
        """Words through the layer's adapter."""
        return self.words[number](words, mask)


PE_RSITR = MatcherSpec(
    AdapterOptions,
    PeRsitr,
    "Yuan et al.: PE-RSITR. IEEE TGRS 61, 2023",
    MethodCard("PE-RSITR", 2023, "dot", "code read", published="PE-RSITR", backbone="ViT-B/32"),
)
HARMA = MatcherSpec(
    AdapterOptions,
    Harma,
    "Huang et al.: HarMA. ICLR workshop 2024",
    MethodCard("HarMA", 2024, "dot", "code read", published="HarMA (GeoRSCLIP)", backbone="ViT-B/32"),
)
