import pytest

from landsift.data import published_scores
from landsift.data.published import PUBLISHED_FLAGS
from landsift.errors import UsageError

SETS = ("rsicd", "rsitmd", "ucm", "sydney", "nwpu", "textrs")
ROWS = [row for name in SETS for row in published_scores(name)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.dataset}-{row.method}-{row.backbone}")
def test_rows_are_sound(row):
    assert set(row.flags) <= set(PUBLISHED_FLAGS)
    assert row.source and row.backbone
    for recalls in (row.i2t, row.t2i):
        assert list(recalls) == sorted(recalls) and all(0 < value < 100 for value in recalls)
    assert row.i2t or row.t2i or row.mR or row.mR_i2t


def test_printed_means_are_those_of_the_printed_recalls_save_for_three():
    known = {("rsicd", "AMFMN-soft"), ("rsicd", "KAMCL"), ("rsicd", "CLIP-CL")}
    wrong = {
        (row.dataset, row.method)
        for row in ROWS
        if row.mR and row.recomputed_mR and abs(row.mR - row.recomputed_mR) > 0.0101
    }
    assert wrong == known
    assert all(row.note for row in ROWS if (row.dataset, row.method) in known and "ResNet-18" in row.backbone)


def test_rows_from_memory_and_odd_protocols_are_marked():
    marked = {(row.dataset, row.method) for row in ROWS if "unverified" in row.flags}
    assert marked == {("rsicd", "MCRN"), ("rsitmd", "MCRN"), ("textrs", "DBTN")}
    assert all("test-selected" in row.flags for row in ROWS if row.method.startswith("PIR"))
    assert all("merged-captions" in row.flags for row in ROWS if "FarSLIP" in row.method)
    assert all("transductive" in row.flags for row in ROWS if "with MR" in row.method)


def test_well_known_rows():
    rows = {(row.method, row.backbone): row for row in published_scores("rsitmd") if len(row.i2t) == 3}
    assert rows["RemoteCLIP", "ViT-B/32"].mR == 49.38
    assert rows["RemoteCLIP", "ViT-B/32"].recomputed_mR == pytest.approx(49.38, abs=0.005)
    assert rows["GeoRSCLIP-FT (RET-2)", "ViT-B/32"].i2t == (32.30, 53.32, 67.92)


def test_sets_nobody_reports_on_and_unknown_names():
    assert published_scores("rsicap") == ()
    with pytest.raises(UsageError):
        published_scores("nope")
