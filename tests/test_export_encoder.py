"""Encoders exported into folders: close to what they came from, run without torch, refused where need be."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
for _package in ("safetensors", "onnx", "onnxscript"):
    pytest.importorskip(_package)

import onnx  # noqa: E402
from PIL import Image  # noqa: E402
from tokenizers import Tokenizer  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from landsift import load_encoder  # noqa: E402
from landsift.encoders.cards import verify_weights  # noqa: E402
from landsift.errors import EncoderError, UsageError  # noqa: E402
from landsift.export import (  # noqa: E402
    export_encoder,
    integer_products,
    measure_parity,
    store_small,
    write_graph,
)
from landsift.export.parity import PARITY_TEXTS, pictures_in, sample_pictures  # noqa: E402
from landsift.models.blocks.lora import adapt, folded, matrices  # noqa: E402
from landsift.models.checkpoint import write_matcher  # noqa: E402
from landsift.models.features import Features, TextInput  # noqa: E402
from landsift.models.matcher import Matcher  # noqa: E402
from landsift.models.registry import MatcherSource, MatcherSpec  # noqa: E402
from landsift.models.starting import word_tokenizer  # noqa: E402
from landsift.train.cards import write_card  # noqa: E402
from toys import COLOURS, coloured, write_scene  # noqa: E402

CAPTIONS = ("a red roof beside a river", "two planes on a long runway", "green fields and a road", "a river")
WIDTH = 64


@dataclass(frozen=True)
class TinyOptions:
    """What the tiny method does that others may."""

    pads: bool = False
    shouts: bool = False
    counts: bool = False
    branches: bool = False
    exact: bool = True
    wordless: bool = False


class Tiny(Matcher):
    """Patches and words through one linear map each; enough of a transformer for an exporter."""

    input_size, context_length, dim = 32, 12, 24

    def __init__(self, options: TinyOptions, tokenizer: Tokenizer) -> None:
        super().__init__()
        self.options, self.tokenizer, self.exact_index = options, tokenizer, options.exact
        self.patches, self.hidden = nn.Conv2d(3, WIDTH, 8, 8), nn.Linear(WIDTH, WIDTH)
        self.image_head = nn.Linear(WIDTH, self.dim)
        self.words = nn.Embedding(tokenizer.get_vocab_size(), WIDTH)
        self.mixed, self.text_head = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, self.dim)

    def prepare(self, captions: Sequence[str]) -> TextInput:
        texts = [text.replace("river", "road") if self.options.shouts else text for text in captions]
        rows = [encoding.ids[: self.context_length] for encoding in self.tokenizer.encode_batch(texts)]
        length = self.context_length if self.options.pads else max(map(len, rows))
        tokens = torch.full((len(rows), length), 3 if self.options.pads else 0)
        mask = torch.zeros(len(rows), length, dtype=torch.bool)
        for row, ids in enumerate(rows):
            tokens[row, : len(ids)], mask[row, : len(ids)] = torch.tensor(ids), True
        return TextInput(tokens, mask, {"count": mask.sum(1)} if self.options.counts else {})

    def image_features(self, pixels: Tensor) -> Features:
        x = self.patches(pixels.float() / 255 - 0.5).flatten(2).transpose(1, 2)
        x = functional.gelu(self.hidden(x)).mean(dim=1)
        if self.options.branches and bool(pixels.float().mean() > 128):
            x = x.flip(1)
        return Features(functional.normalize(self.image_head(x), dim=1))

    def text_features(self, text: TextInput) -> Features:
        x = functional.gelu(self.mixed(self.words(text.tokens)))
        weight = torch.ones_like(text.mask) if self.options.pads else text.mask
        x = (x * weight[:, :, None]).sum(1) / weight.sum(1, keepdim=True)
        if self.options.counts:
            x = x * text.extras["count"][:, None] if text.extras else x * 2 + 1
        return Features(functional.normalize(self.text_head(x), dim=1))

    def files(self) -> dict[str, bytes]:
        name = "words.json" if self.options.wordless else "tokenizer.json"
        return {name: self.tokenizer.to_str().encode()}


def build(options: TinyOptions, source: MatcherSource) -> Tiny:
    known = next(iter(source.files.values()), None)
    return Tiny(options, Tokenizer.from_str(known.decode()) if known else word_tokenizer(source.captions))


SPEC = MatcherSpec(TinyOptions, build, "nobody")
NAME = "test_export_encoder:SPEC"


def tiny(**options: bool) -> Tiny:
    torch.manual_seed(4)
    matcher = build(TinyOptions(**options), MatcherSource(captions=(*CAPTIONS, *PARITY_TEXTS))).eval()
    for parameter in matcher.parameters():
        nn.init.normal_(parameter, std=0.3)
    return matcher


def written(folder: Path, matcher: Tiny, **options: bool) -> Path:
    """A checkpoint's folder, as a run writes it."""
    folder.mkdir(parents=True)
    table = write_matcher(folder, matcher, NAME, options)
    fields = {
        "name": "tiny",
        "backend": "torch",
        "dim": matcher.dim,
        "input_size": matcher.input_size,
        "context_length": matcher.context_length,
        "exact_index": matcher.exact_index,
        "licence": "Apache-2.0",
        "licence_note": "None but for tests.",
        "trained_on": ["nothing"],
    }
    write_card(folder, fields, table)
    return folder


def pictures(count: int = 12) -> list[np.ndarray]:
    names = list(COLOURS)
    return [coloured(names[n % len(names)], n, 40 + n, 50) for n in range(count)]


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    return written(tmp_path_factory.mktemp("source") / "tiny", tiny())


@pytest.fixture(scope="module")
def exported(source, tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("exported")
    storages = ("float32", "float16", "int8")
    return {storage: export_encoder(source, folder / storage, storage).folder for storage in storages}


@pytest.mark.parametrize(("storage", "least"), [("float32", 0.999999), ("float16", 0.9999), ("int8", 0.99)])
def test_an_export_is_close_to_what_it_came_from(source, exported, storage, least):
    parity = measure_parity(load_encoder(source), load_encoder(exported[storage]), pictures(), CAPTIONS)
    assert parity.image_cosine > least and parity.text_cosine > least
    assert parity.top10 > (0.999 if storage == "float32" else 0.8)
    if storage == "float32":
        assert max(parity.image_difference, parity.text_difference) < 1e-5
    else:
        assert parity.image_difference > 1e-7, "else nothing was rounded"
    rows = load_encoder(exported[storage]).encode_images(pictures())
    assert (rows @ rows.T).min() < 0.99, "else any answer would pass"


def test_the_card_says_what_it_is(source, exported):
    card = load_encoder(exported["int8"]).card
    assert (card.name, card.dim, card.licence) == ("tiny-int8", 24, "Apache-2.0")
    assert card.trained_on == ("nothing",) and card.licence_note == "None but for tests."
    assert card.extra["exported"]["encoder"] == "tiny" and card.extra["exported"]["storage"] == "int8"
    assert card.extra["exported"]["weights_sha256"] == load_encoder(source).card.weights_sha256
    verify_weights(card)
    sizes = {name: sum(f.stat().st_size for f in path.glob("*.onnx")) for name, path in exported.items()}
    assert sizes["int8"] < sizes["float16"] < sizes["float32"]


def test_integer_products_multiply_integers(exported):
    kinds = [node.op_type for node in onnx.load(exported["int8"] / "image.onnx").graph.node]
    assert kinds.count("MatMulInteger") == kinds.count("DynamicQuantizeLinear") == 1
    plain = onnx.load(exported["float32"] / "image.onnx")
    names = {tensor.name for tensor in plain.graph.initializer}
    changed = integer_products(plain)
    left = {tensor.name for tensor in changed.graph.initializer}
    assert any(name.endswith(".integers") for name in left - names)
    used = {name for node in changed.graph.node for name in node.input}
    assert left <= used, "the float weights are gone"


def test_exported_folders_run_without_torch_and_make_a_gallery(exported, tmp_path):
    scene = write_scene(tmp_path / "red_20200101.tif", coloured("red", 1))
    code = """
import json, sys
import numpy as np
from landsift import Gallery, load_encoder
scene, folder, *encoders = sys.argv[1:]
answer = {}
for number, path in enumerate(encoders):
    encoder = load_encoder(path)
    with Gallery.create(f"{folder}/{number}", path, tile=64) as gallery:
        gallery.add(scene)
        matches = gallery.search("a red roof", k=3)
        answer[path] = [len(gallery), len(matches), encoder.encode_texts(["a red roof"])[0].tolist()]
answer["torch"] = "torch" in sys.modules
print(json.dumps(answer))
"""
    command = [sys.executable, "-c", code, str(scene), str(tmp_path), *map(str, exported.values())]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    answer = json.loads(printed.splitlines()[-1])
    assert answer.pop("torch") is False
    own = load_encoder(exported["float32"]).encode_texts(["a red roof"])[0]
    for tiles, found, row in answer.values():
        assert tiles >= 6 and found > 0
        assert float(np.dot(row, own)) > 0.99


def test_a_tower_that_reads_padding_gets_it(tmp_path):
    folder = written(tmp_path / "pads", tiny(pads=True), pads=True)
    done = export_encoder(folder, tmp_path / "onnx")
    one, other = (load_encoder(path).encode_texts(CAPTIONS) for path in (folder, done.folder))
    np.testing.assert_allclose(one, other, atol=1e-5)
    plain = Tiny.text_features(tiny(), tiny().prepare([CAPTIONS[0]])).pooled.detach().numpy()
    assert np.abs(plain - one[0]).max() > 1e-3, "else padding did not count"


def test_adapters_fold_into_an_export(tmp_path):
    matcher = tiny()
    adapt(matcher, 4, 8.0, [name for name, _, _ in matrices(matcher)])
    for name, parameter in matcher.named_parameters():
        if name.endswith(".up"):
            nn.init.normal_(parameter, std=0.2)
    done = export_encoder(written(tmp_path / "lora", folded(matcher)), tmp_path / "onnx")
    with torch.no_grad():
        expected = matcher.text_features(matcher.prepare(CAPTIONS)).pooled.numpy()
        before = tiny().text_features(tiny().prepare(CAPTIONS)).pooled.numpy()
    got = load_encoder(done.folder).encode_texts(CAPTIONS)
    np.testing.assert_allclose(got, expected, atol=1e-5)
    assert np.abs(got - before).max() > 1e-3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shouts": True}, "it changes texts by itself"),
        ({"counts": True}, "read more of a text than its tokens"),
        ({"branches": True}, "Torch cannot export the tower that takes pixels|give other vectors"),
        ({"exact": False}, "scores each pair anew"),
        ({"wordless": True}, "no tokenizer that the core could run"),
    ],
)
def test_what_cannot_be_exported_is_refused_and_leaves_nothing(tmp_path, options, message):
    folder = written(tmp_path / "source", tiny(**options), **options)
    with pytest.raises(EncoderError, match=message):
        export_encoder(folder, tmp_path / "onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_bad_input_is_refused(source, exported, tmp_path, monkeypatch):
    with pytest.raises(UsageError, match="is taken"):
        export_encoder(source, exported["int8"])
    with pytest.raises(UsageError, match="no storage 'int4'"):
        export_encoder(source, tmp_path / "new", "int4")  # type: ignore[arg-type]
    with pytest.raises(EncoderError, match="no folder called"):
        export_encoder(tmp_path / "nowhere", tmp_path / "new")
    with pytest.raises(UsageError, match="two pictures"):
        measure_parity(load_encoder(source), load_encoder(source), pictures(1))
    with pytest.raises(UsageError, match="holds no pictures"):
        pictures_in(tmp_path)
    graph = onnx.load(exported["float32"] / "text.onnx")
    monkeypatch.setattr("landsift.export.storage._MOST_BYTES", 1000)
    with pytest.raises(EncoderError, match="more than the 2 GB"):
        write_graph(store_small(graph, "float32"), tmp_path / "large.onnx")


def test_pictures_to_compare_on(tmp_path):
    for number, size in enumerate([(40, 30), (520, 512)]):
        Image.fromarray(np.full((*size, 3), number, np.uint8)).save(tmp_path / f"{number}.png")
    assert [picture.shape[:2] for picture in pictures_in(tmp_path)] == [(40, 30), *[(256, 256)] * 4]
    assert len(pictures_in(tmp_path, most=3)) == 3
    found = sample_pictures()
    assert len(found) > 40 and all(picture.shape[2] == 3 for picture in found)


def test_the_command(source, tmp_path, landsift_command):
    out = tmp_path / "out"
    code, printed, err = landsift_command("export", source, "--onnx", out, "--int8", "--check", "--json")
    assert code == 0 and "least cosine" in err and "tiny-int8" in err
    facts = json.loads(printed)
    assert facts["parity"]["images"] > 40 and facts["parity"]["text_cosine"] > 0.98
    assert facts["bytes"] == sum(path.stat().st_size for path in out.iterdir())
    for arguments, message in (
        (["--onnx", tmp_path / "b", "--int8", "--fp16"], "one way"),
        (["--onnx", tmp_path / "b", "--bbox", "0,0,1,1"], "no --bbox"),
        (["tiles.geojson", "--onnx", tmp_path / "b"], "no FILE"),
        ([], "--onnx for an encoder"),
        (["tiles.geojson", "--fp16"], "--onnx for an encoder"),
    ):
        code, _, err = landsift_command("export", source, *arguments)
        assert code == 2 and message in err, arguments
    code, _, err = landsift_command("export", "no-such-encoder", "--onnx", tmp_path / "b")
    assert code == 1 and "no-such-encoder" in err


def test_a_clip_model_exports(tmp_path):
    clip = pytest.importorskip("landsift.models.clip.matcher")
    sizes = {"layers": 1, "width": 64, "heads": 2}
    changes = {f"{tower}.{name}": value for tower in ("image", "text") for name, value in sizes.items()}
    options = clip.ClipOptions(changes=changes | {"dim": 24, "image.size": 64})
    torch.manual_seed(0)
    matcher = clip.SPEC.build(options, MatcherSource()).eval()
    folder = tmp_path / "clip"
    folder.mkdir()
    table = write_matcher(folder, matcher, "landsift.models.clip.matcher:SPEC", {"changes": options.changes})
    fields = {"name": "small-clip", "backend": "torch", "dim": 24, "input_size": 64, "licence": "none"}
    write_card(folder, fields | {"context_length": matcher.context_length}, table)
    done = export_encoder(folder, tmp_path / "onnx", "float16")
    squares = [np.ascontiguousarray(picture[:40, :40]) for picture in pictures()]
    parity = measure_parity(load_encoder(folder), load_encoder(done.folder), squares, CAPTIONS)
    assert parity.image_cosine > 0.9999 and parity.text_cosine > 0.9999
    assert done.card.extra["fit"] == matcher.fit
