"""Contrast of pairs and of pseudo-categories (category-level contrastive hashing, DSE 2024).

No row of remote-sensing sets is known. Written from what is told of the paper, not from its text: the shares
of categories and their contrast follow contrastive clustering (Li et al., AAAI 2021). Frozen towers.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from landsift.models.batch import Batch
from landsift.models.features import Features
from landsift.models.methods.hashing.base import HashMatcher, HashOptions
from landsift.models.objectives.hashing_codes import quantisation
from landsift.models.objectives.hashing_contrast import cluster_contrast, code_contrast
from landsift.models.registry import MatcherSource, MatcherSpec, MethodCard

__all__ = ["SPEC", "CategoryContrast", "CategoryOptions"]


@dataclass(frozen=True)
class CategoryOptions(HashOptions):
    """Categories and weights.

    Attributes:
        categories: How many are supposed.
        temperature: Of the contrast of pairs.
        category: Weight of the contrast of categories.
        quantisation: Weight of the distance from bits.
    """

    categories: int = 32
    temperature: float = 0.3
    category: float = 0.5
    quantisation: float = 0.01


class CategoryContrast(HashMatcher):
    """Codes, and shares of categories made from them."""

    def __init__(self, options: CategoryOptions, source: MatcherSource) -> None:
        super().__init__(options, source)
        self.categorise = nn.Sequential(nn.Linear(options.bits, options.categories), nn.Softmax(dim=1))

    def own_losses(
        self, batch: Batch, image: Features, text: Features, similarity: Tensor
    ) -> dict[str, Tensor]:
        """Both contrasts and bits."""
        found, options = self.pairs(batch, image, text), self.options
        same = batch.positive[batch.image_row]
        categories = (self.categorise(found.image), self.categorise(found.text))
        return {
            "pairs": code_contrast(found.image, found.text, temperature=options.temperature, same=same),
            "categories": options.category * cluster_contrast(*categories),
            "quantisation": options.quantisation
            * self.total(quantisation(found.image), quantisation(found.text)),
        }


SPEC = MatcherSpec(
    CategoryOptions,
    CategoryContrast,
    "Category-level contrastive unsupervised hashing. Data Science and Engineering, 2024",
    MethodCard("Category-level contrast", 2024, "dot", "abstract only"),
)
