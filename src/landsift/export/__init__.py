"""From a trained encoder to a folder that a core install runs: two ONNX graphs, a tokenizer, a card.

Knows models and graphs; no data sets and no galleries.
"""

from __future__ import annotations

from landsift.export.folder import Exported, export_encoder
from landsift.export.graphs import image_graph, text_graph
from landsift.export.parity import Parity, measure_parity
from landsift.export.storage import Storage, integer_products, store_small, to_integers, write_graph

__all__ = [
    "Exported",
    "Parity",
    "Storage",
    "export_encoder",
    "image_graph",
    "integer_products",
    "measure_parity",
    "store_small",
    "text_graph",
    "to_integers",
    "write_graph",
]
