"""The page of encoders, written from their cards: what there is, where it comes from, what was printed for
it.

Knows cards; loads nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from landsift.encoders.cards import backend_of
from landsift.types import EncoderCard

__all__ = ["encoders_markdown"]

_ANCHORS = (
    ("remoteclip-vit-b-32", "rsitmd"),
    ("remoteclip-vit-b-32", "rsicd"),
    ("georsclip-vit-b-32", "rsitmd"),
    ("georsclip-vit-b-32", "rsicd"),
    ("georsclip-vit-b-32-ret-2", "rsitmd"),
    ("georsclip-vit-b-32-ret-2", "rsicd"),
)
"""Encoder and set of the published numbers that tell whether all of this is right."""
_TOLERANCE = 0.5
_SIX = ("i2t_R@1", "i2t_R@5", "i2t_R@10", "t2i_R@1", "t2i_R@5", "t2i_R@10")

_INTRODUCTION = """\
# Encoders

Written by `landsift list encoders --markdown`. `landsift-lite` comes with the package; the others are
fetched from where their authors published them when they are first used, and kept in the cache of the
Hugging Face hub:

```sh
pip install 'landsift[torch,hub]'
landsift index archive.gallery /data/scenes --encoder remoteclip-vit-b-32
```

Without a network, or with weights of one's own, say where they lie: `NAME@PLACE`, with a file, a folder or
an `hf-hub:` name as the place. Files of every layout in use are read: open_clip (bare, wrapped by a trainer,
with a timm or a Hugging Face tower), ITRA, Hugging Face, OpenAI's TorchScript archives; safetensors, in one
file or in several with their `model.safetensors.index.json`, or torch files, 32 or 16 bits. Nothing that lies
in a file is ever run.

```sh
landsift evaluate remoteclip-vit-b-32@/models/RemoteCLIP-ViT-B-32.pt rsitmd --root /data/RSITMD
landsift evaluate remoteclip-vit-b-32@hf-hub:MVRL/remote-clip-vit-base-patch32 rsitmd --root /data/RSITMD
landsift index archive.gallery /data/scenes --encoder hf-hub:laion/CLIP-ViT-B-32-laion2B-s34B-b79K
```

Weights do not tell the activation they were trained with, and the wrong one costs several points without any
error. It is part of the card; weights without a card need the `config.json` or `open_clip_config.json` of
their repository. CLIP's vocabulary is part of the package; SigLIP, XLM-RoBERTa and their kin need the
`tokenizer.json` of theirs beside the weights, where the hub puts it.

Texts are mended and cleaned exactly as open_clip cleans them, and an image that is no square becomes one as
the encoder knows it (squashed, cut to its middle, or set into a black square): in indexing, in training, and
in what is exported.

Any of them is tuned to captions of one's own, whole, by its last layers or by adapters; `pir-clip` adds an
instruction token and contrasts scenes beside pairs ([training.md](training.md) tells the rest):

```sh
landsift train clip-lora --set data.sets.0.root=photos --set data.sets.0.captions=captions.csv
landsift train pir-clip --set model.options.start=georsclip-vit-b-32
```

Exported encoders run without torch, on ONNX Runtime or on OpenVINO:

```sh
landsift export remoteclip-vit-b-32 --onnx remoteclip-onnx --int8 --check
landsift index archive.gallery /data/scenes --encoder remoteclip-onnx
pip install 'landsift[openvino]'
LANDSIFT_RUNTIME=openvino landsift index archive.gallery /data/scenes --encoder remoteclip-onnx
```

Which is quicker depends on the processor: 8-bit weights on ONNX Runtime where it multiplies 8-bit integers,
`load_encoder(FOLDER, runtime="openvino", precision="bfloat16")` where it has bfloat16.
[benchmarks.md](benchmarks.md) has both side by side.

Encoders of bands (`bands` below) read them from scenes while a gallery is indexed: Sentinel-2 bands by name,
by wavelength, or in the order of its products; GeoLangBind reads whatever bands have a known wavelength, and
else red, green and blue.
"""

_UNVERIFIED = """\
## Not verified here

No published weights could be had where this release was made, so the figures above are what their authors
printed, and not what was measured with this code. What was checked: towers of every architecture against
other implementations with random weights, image and text, to 1e-4; CLIP's tokenizer on captions of the real
sets; the preparation of pixels. With weights and data at hand, these commands verify the rest; each prints
the published number beside its own, which should lie within {tolerance} mR of it:
"""


def encoders_markdown(cards: Sequence[EncoderCard]) -> str:
    """The page, in Markdown.

    Args:
        cards: In the order they are to be listed.
    """
    parts = [
        _INTRODUCTION,
        *_table("## What there is", _HEADS, [_about(card) for card in cards]),
        *_table(
            "## Where weights come from, and their terms", _SOURCE_HEADS, [_source(card) for card in cards]
        ),
        *_table(
            "## Printed by their authors: retrieval, standard protocol", _RETRIEVAL_HEADS, _retrieval(cards)
        ),
        *_table("## Printed by their authors: classes without training", _CLASS_HEADS, _classes(cards)),
        _UNVERIFIED.format(tolerance=_TOLERANCE),
        "```sh",
        *_commands({card.name: card for card in cards}),
        "```",
        "",
        *_table("## Measured with this code", ("encoder", "set", "scores"), _measured(cards)),
    ]
    return "\n".join(parts).rstrip() + "\n"


_HEADS = (
    "encoder",
    "architecture",
    "activation",
    "px",
    "made square by",
    "bands",
    "tokens",
    "dim",
    "what it is",
)
_SOURCE_HEADS = ("encoder", "weights", "licence", "trained on", "cite")
_RETRIEVAL_HEADS = ("encoder", "set", "I2T R@1", "R@5", "R@10", "T2I R@1", "R@5", "R@10", "mR")
_CLASS_HEADS = ("encoder", "test", "accuracy")


def _table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"{title}\n"
    yield f"| {' | '.join(heads)} |"
    yield "|" + "---|" * len(heads)
    yield from (f"| {' | '.join(row)} |" for row in rows)
    yield ""


def _about(card: EncoderCard) -> list[str]:
    extra = card.extra
    spectral = extra.get("spectral")
    bands = "red, green, blue" if spectral is None else ", ".join(spectral.get("bands", ())) or "any"
    return [
        f"`{card.name}`",
        extra.get("architecture", "its own"),
        extra.get("activation", ""),
        str(card.input_size),
        extra.get("fit", "squash"),
        bands,
        str(card.context_length),
        str(card.dim),
        card.description,
    ]


def _source(card: EncoderCard) -> list[str]:
    source: Mapping[str, object] = card.extra.get("source", {})
    files = source.get("files")
    first = f", `{files[0]}`" if isinstance(files, list) and files else ""
    place = (
        f"hub: {source['hub']}{first}" if source.get("hub") else str(source.get("page", "with the package"))
    )
    trained = ", ".join(entry.removesuffix("/train") for entry in card.trained_on)
    return [f"`{card.name}`", place, f"{card.licence}. {card.licence_note}", trained, card.citation]


def _retrieval(cards: Sequence[EncoderCard]) -> list[list[str]]:
    return [
        [f"`{card.name}`", where.partition("/")[0], *(f"{row[name]:.2f}" for name in (*_SIX, "mR"))]
        for card in cards
        for where, row in card.extra.get("published", {}).items()
        if "mR" in row
    ]


def _classes(cards: Sequence[EncoderCard]) -> list[list[str]]:
    return [
        [f"`{card.name}`", where, f"{row['accuracy']:.2f}"]
        for card in cards
        for where, row in card.extra.get("published", {}).items()
        if "accuracy" in row
    ]


def _commands(cards: Mapping[str, EncoderCard]) -> Iterator[str]:
    for name, dataset in _ANCHORS:
        printed = cards[name].extra["published"][f"{dataset}/test"]["mR"] if name in cards else 0.0
        command = f"landsift evaluate {name} {dataset} --root /data/{dataset}"
        yield f"{command:<84}# {printed:.2f}"


def _measured(cards: Sequence[EncoderCard]) -> list[list[str]]:
    return [
        [f"`{card.name}`", where, ", ".join(f"{name} {value:g}" for name, value in row.items())]
        for card in cards
        for where, row in card.scores.items()
        if backend_of(card) != "clip"
    ]
