"""Multi-scale blocks: what all of them owe a caller, and what sets each apart."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from torch.nn import functional  # noqa: E402

from landsift.errors import UsageError  # noqa: E402
from landsift.models.blocks import necks, pyramids, small_objects  # noqa: E402
from landsift.models.blocks.multiscale import NECKS, build_neck  # noqa: E402
from landsift.models.registry import SOURCES  # noqa: E402

CHANNELS = {"c2": 5, "c3": 6, "c4": 7}
LEVELS = ("c2", "c3", "c4")
WIDTH = 8
SIDES = {"c2": 12, "c3": 6, "c4": 3}


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def maps(count: int = 3, sides: dict[str, int] = SIDES) -> dict[str, torch.Tensor]:
    return {level: torch.randn(count, CHANNELS[level], sides[level], sides[level]) for level in LEVELS}


def close(a, b):
    torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", NECKS)
class TestEveryBlock:
    @pytest.mark.parametrize("sides", [SIDES, {"c2": 7, "c3": 4, "c4": 2}, dict.fromkeys(LEVELS, 5)])
    def test_maps_of_one_width_on_their_own_grids(self, name, sides):
        found = build_neck(name, CHANNELS, LEVELS, WIDTH)(maps(2, sides))
        assert {level: tuple(x.shape) for level, x in found.items()} == {
            level: (2, WIDTH, sides[level], sides[level]) for level in LEVELS
        }
        assert all(torch.isfinite(x).all() for x in found.values())

    def test_every_parameter_gets_a_finite_gradient(self, name):
        neck = build_neck(name, CHANNELS, LEVELS, WIDTH)
        found = neck(maps())
        sum((x * torch.randn_like(x)).sum() for x in found.values()).backward()
        for key, parameter in neck.named_parameters():
            assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), key
            assert parameter.grad.abs().max() > 0, key

    def test_an_image_does_not_depend_on_its_batch(self, name):
        neck = build_neck(name, CHANNELS, LEVELS, WIDTH).train()
        given, order = maps(4), torch.tensor([2, 0, 3, 1])
        whole = neck(given)
        moved = neck({level: x[order] for level, x in given.items()})
        alone = neck({level: x[1:2] for level, x in given.items()})
        for level in LEVELS:
            close(moved[level], whole[level][order])
            close(alone[level], whole[level][1:2])

    def test_every_level_counts(self, name):
        neck, given = build_neck(name, CHANNELS, LEVELS, WIDTH), maps(1)
        before = neck(given)
        for level in LEVELS:
            changed = neck(given | {level: given[level] + torch.randn_like(given[level])})
            assert any(not torch.allclose(changed[key], before[key], atol=1e-4) for key in LEVELS), level

    def test_it_says_whom_it_is_from(self, name):
        card = NECKS[name]
        assert card.paper and card.build.__doc__
        assert card.source in SOURCES if name != "plain" else card.source == ""
        assert ("abstract" in card.build.__doc__) == (card.source == "abstract only")


@pytest.mark.parametrize(
    "name", ["fpn", "panet", "libra", "bifpn", "nas-fpn", "efc", "pbt", "bafnet", "mwdpnet", "seb-yolo"]
)
def test_what_coarse_maps_know_reaches_the_fine_ones(name):
    neck, given = build_neck(name, CHANNELS, LEVELS, WIDTH), maps(1)
    before = neck(given)["c2"]
    changed = neck(given | {"c4": given["c4"] + torch.randn_like(given["c4"])})["c2"]
    assert not torch.allclose(changed, before, atol=1e-4)


@pytest.mark.parametrize("name", ["panet", "libra", "bifpn", "nas-fpn", "mwdpnet", "seb-yolo", "snip"])
def test_what_fine_maps_know_reaches_the_coarse_ones(name):
    neck, given = build_neck(name, CHANNELS, LEVELS, WIDTH), maps(1)
    before = neck(given)["c4"]
    changed = neck(given | {"c2": given["c2"] + torch.randn_like(given["c2"])})["c4"]
    assert not torch.allclose(changed, before, atol=1e-4)


def test_blocks_that_cannot_be_are_refused():
    with pytest.raises(UsageError, match="did you mean bifpn"):
        build_neck("bifp", CHANNELS, LEVELS, WIDTH)
    with pytest.raises(UsageError, match="multiple of 8"):
        build_neck("fpn", CHANNELS, LEVELS, 12)
    with pytest.raises(UsageError, match="two levels or more"):
        build_neck("fpn", CHANNELS, ("c4",), WIDTH)


def test_coarser_grids_take_the_maximum_finer_ones_repeat():
    x, like = torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 2, 2)
    x[0, 0, 3, 3] = 5.0
    assert necks.onto(x, like)[0, 0].tolist() == [[0, 0], [0, 5]], "a small thing survives"
    assert torch.equal(necks.onto(like + 1, x), torch.ones_like(x))


def test_a_feature_pyramid_step_by_step():
    neck, given = build_neck("fpn", CHANNELS, LEVELS, WIDTH), maps(1)
    side = [layer(given[level]) for layer, level in zip(neck.reduce, LEVELS, strict=True)]
    double = lambda x: x.repeat_interleave(2, 2).repeat_interleave(2, 3)  # noqa: E731
    middle = side[1] + double(side[2])
    found = neck(given)
    close(found["c4"], neck.smooth[2](side[2]))
    close(found["c3"], neck.smooth[1](middle))
    close(found["c2"], neck.smooth[0](side[0] + double(middle)))


def test_balanced_levels_get_equal_parts():
    neck = build_neck("libra", CHANNELS, LEVELS, WIDTH)
    torch.nn.init.zeros_(neck.out.weight), torch.nn.init.zeros_(neck.out.bias)
    given = maps(1)
    plain = pyramids.FeaturePyramid.mix(neck, [r(given[k]) for r, k in zip(neck.reduce, LEVELS, strict=True)])
    balanced = sum(necks.onto(x, plain[1]) for x in plain) / 3
    for level, x in zip(LEVELS, plain, strict=True):
        close(neck(given)[level], x + necks.onto(balanced, x))


def test_learned_shares_are_positive_and_sum_to_one():
    fuse = necks.FastFusion(3)
    fuse.weights.data = torch.tensor([1.0, -2.0, 3.0])
    a, b, c = torch.randn(3, 1, 2, 2, 2)
    close(fuse(a, b, c), (a + 3 * c) / 4.0001)


def test_branches_of_a_trident_share_their_weights():
    neck = build_neck("trident", CHANNELS, LEVELS, WIDTH)
    x = torch.randn(1, WIDTH, 6, 6)
    layer, norm = neck.shared[0], neck.norm[0]
    slow = [
        torch.relu(norm(functional.conv2d(functional.pad(x, (rate,) * 4), layer.weight, dilation=rate)))
        for rate in (1, 2, 3)
    ]
    close(neck.mix([x, x, x])[0], x + sum(slow) / 3)


def test_the_search_names_what_it_chose():
    neck = build_neck("nas-fpn", CHANNELS, LEVELS, WIDTH)
    neck.choice.data[0] = torch.tensor([0.0, 1.0])
    assert neck.chosen() == [
        ("c4", "c3", "attention"),
        ("c3", "c2", "sum"),
        ("c2", "c3", "sum"),
        ("c3", "c4", "sum"),
    ]
    given = maps(1)
    neck.choice.data[:] = torch.tensor([60.0, 0.0])
    side = [r(given[k]) for r, k in zip(neck.reduce, LEVELS, strict=True)]
    middle = neck.cells[0](side[1] + necks.onto(side[2], side[1]))
    low = neck.cells[1](side[0] + necks.onto(middle, side[0]))
    close(neck(given)["c2"], low)


def test_a_cell_is_answered_at_the_scale_that_fits():
    neck = build_neck("snip", CHANNELS, LEVELS, WIDTH)
    given = maps(1)
    found = neck(given)
    answers = [neck.head(r(given[k])) for r, k in zip(neck.reduce, LEVELS, strict=True)]
    logits = torch.cat([necks.onto(neck.fits(y), answers[0]) for y in answers], 1)
    close(found["c2"], answers[0] * torch.softmax(logits, 1)[:, :1])


def test_edges_are_where_the_foreground_begins():
    inside = torch.zeros(1, 1, 5, 5)
    inside[:, :, 2:, 2:] = 1
    edges = small_objects._edges(inside)[0, 0]
    assert edges[3, 3] == 0 and edges[0, 0] == 0, "far from the edge, inside and out"
    assert edges[1, 1] == edges[2, 2] == 1


def test_weak_cells_keep_a_way_of_their_own():
    neck = build_neck("efc", CHANNELS, LEVELS, WIDTH)
    torch.nn.init.zeros_(neck.strong[0].weight), torch.nn.init.zeros_(neck.strong[0].bias)
    x = torch.randn(1, WIDTH, 4, 4)
    x[:, :, 0, 0] = 50
    energy = x.abs().mean(1, keepdim=True)
    weak = x * (energy < energy.mean((2, 3), keepdim=True))
    close(neck._rebuilt(0, x), neck.weak[0](weak))
