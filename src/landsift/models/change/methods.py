"""The change models by name: which encoder of two dates each is, whom it is from, how it is known."""

from __future__ import annotations

from functools import partial

from landsift.models.change.encoders import (
    Chg2Cap,
    GlobalFusion,
    MciNet,
    PairEncoder,
    PairFusion,
    Rsiccformer,
    TemporalAttention,
    TemporalGates,
    TokenFusion,
)
from landsift.models.change.matcher import ChangeMatcher, ChangeOptions
from landsift.models.registry import MatcherSpec, MethodCard

__all__ = ["CHG2CAP", "GATES", "GLOBAL", "ITSR", "MCI", "PAIR", "RSICC", "UNIT"]

_HEAD = "dot"


def _spec(encoder: type[PairEncoder], citation: str, title: str, year: int, source: str) -> MatcherSpec:
    build = partial(ChangeMatcher, encoder=encoder)
    return MatcherSpec(ChangeOptions, build, citation, MethodCard(title, year, _HEAD, source))


RSICC = _spec(Rsiccformer, "Liu, Zhao, Chen, Zou, Shi: IEEE TGRS 60, 2022", "RSICCformer", 2022, "code read")
CHG2CAP = _spec(
    Chg2Cap, "Chang, Ghamisi: Changes to Captions. IEEE TIP 32, 2023", "Chg2Cap", 2023, "code read"
)
MCI = _spec(
    MciNet, "Liu et al.: Change-Agent. IEEE TGRS 62, 2024; arXiv:2403.19646", "MCI-Net", 2024, "code read"
)
ITSR = _spec(
    TokenFusion, "Hoxha, Angyal, Demir: text-ITSR. IEEE TGRS 2025", "text-ITSR (TFF)", 2025, "abstract only"
)
GLOBAL = _spec(
    GlobalFusion, "Hoxha, Angyal, Demir: text-ITSR. IEEE TGRS 2025", "text-ITSR (GFF)", 2025, "abstract only"
)
PAIR = MatcherSpec(ChangeOptions, partial(ChangeMatcher, encoder=PairFusion), "The least that can work")
GATES = _spec(TemporalGates, "Wang, Tong, Ji, Wu: TDN. CVPR 2021", "TDN's differences", 2021, "abstract only")
UNIT = _spec(
    TemporalAttention, "Tan et al.: Temporal Attention Unit. CVPR 2023", "TAU's units", 2023, "abstract only"
)
