"""Every layout is written from a random model and loaded back; every broken file is told what it is."""

from __future__ import annotations

import argparse
import json
import zipfile

import pytest

torch = pytest.importorskip("torch")

from clip_files import (  # noqa: E402
    custom_text,
    open_clip,
    outputs,
    random_model,
    roberta,
    save,
    shrunk,
    timm,
)
from torch import nn  # noqa: E402

from landsift.errors import EncoderError  # noqa: E402
from landsift.models.clip.shapes import ARCHITECTURES  # noqa: E402
from landsift.models.clip.sniffing import sniff_checkpoint  # noqa: E402

B32 = shrunk(ARCHITECTURES["vit-b-32"])


def loads_back(model, path, layout, shape=B32, tolerance=0.0):
    found = sniff_checkpoint(path)
    assert found.layout.startswith(layout), found.layout
    assert found.architecture.image == shape.image and found.architecture.text == shape.text
    assert found.architecture.dim == shape.dim and found.architecture.offset == shape.offset
    again = found.model("gelu")
    for ours, theirs in zip(outputs(again, shape), outputs(model, shape), strict=True):
        torch.testing.assert_close(ours, theirs, atol=max(tolerance, 1e-6), rtol=tolerance)
    return found


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
@pytest.mark.parametrize("name", ["vit-b-32", "vit-b-16", "vit-l-14", "long-vit-b-16", "rn50", "ms-vit-b-16"])
def test_open_clip(tmp_path, name, suffix):
    shape = shrunk(ARCHITECTURES[name])
    model = random_model(shape)
    loads_back(model, save(open_clip(model), tmp_path / f"model{suffix}"), "open_clip", shape)


def test_twelve_bands_are_told_by_the_stem(tmp_path):
    shape = shrunk(ARCHITECTURES["ms12-vit-b-16"])
    model = random_model(shape)
    found = loads_back(model, save(open_clip(model), tmp_path / "model.pt"), "open_clip", shape)
    assert "12 bands" in found.describe()


def test_a_text_tower_of_its_own(tmp_path):
    model = random_model(B32)
    loads_back(model, save(custom_text(model), tmp_path / "model.safetensors"), "open_clip with a text tower")


def test_a_training_checkpoint_is_unwrapped(tmp_path):
    model = random_model(B32)
    inside = {f"module.{name}": tensor for name, tensor in open_clip(model).items()}
    content = {
        "epoch": 20,
        "name": "run",
        "state_dict": inside,
        "optimizer": {"state": {}, "param_groups": []},
    }
    torch.save(content, tmp_path / "epoch_20.pt")
    found = loads_back(model, tmp_path / "epoch_20.pt", "open_clip")
    assert "training checkpoint" in found.layout


def test_itra(tmp_path):
    model = random_model(B32)
    named = {
        name.replace("visual.", "image_backbone.", 1)
        if name.startswith("visual.")
        else f"text_backbone.{name}": t
        for name, t in open_clip(model).items()
        if not name.startswith("logit_")
    }
    named["logit_scale"] = model.log_scale.detach()
    loads_back(model, save(named, tmp_path / "model.pt"), "ITRA")


def test_a_lightning_module_that_holds_the_model_three_times(tmp_path):
    shape = shrunk(ARCHITECTURES["ms-vit-b-16"])
    model = random_model(shape)
    named = {}
    for prefix in ("clip_base_model.model.", "text_encoder.model.", "image_encoder.model."):
        named |= {prefix + name: tensor for name, tensor in open_clip(model).items()}
    named["temperature"] = torch.tensor(0.07)
    loads_back(model, save(named, tmp_path / "Llama3.pt"), "open_clip (clip_base_model", shape)


@pytest.mark.parametrize("name", ["siglip-b-16", "siglip-so400m-14-384", "dofa-b-16"])
def test_a_timm_image_tower(tmp_path, name):
    shape = shrunk(ARCHITECTURES[name])
    model = random_model(shape)
    found = loads_back(model, save(timm(model), tmp_path / "m.safetensors"), "open_clip with a timm", shape)
    assert ("bands by wavelength" in found.describe()) == name.startswith("dofa")


def test_a_hugging_face_text_tower(tmp_path):
    shape = shrunk(ARCHITECTURES["xlm-roberta-vit-b-32"])
    model = random_model(shape)
    path = save(roberta(model), tmp_path / "model.safetensors")
    loads_back(model, path, "open_clip with a Hugging Face text tower", shape, tolerance=1e-5)


def test_sixteen_bits_become_thirty_two(tmp_path):
    model = random_model(B32)
    half = {name: tensor.half() for name, tensor in open_clip(model).items()}
    again = sniff_checkpoint(save(half, tmp_path / "half.safetensors")).model("gelu")
    assert all(p.dtype == torch.float32 for p in again.parameters())
    assert all(
        torch.allclose(a, b, atol=0.02) for a, b in zip(outputs(again, B32), outputs(model, B32), strict=True)
    )


class _Branch(nn.Module):
    """Names with dots as modules, as the published archives have them."""

    def forward(self, x):
        return x


def as_script(tensors, path):
    root = _Branch()
    for name, tensor in tensors.items():
        *parts, last = name.split(".")
        here = root
        for part in parts:
            if part not in dict(here.named_children()):
                here.add_module(part, _Branch())
            here = here.get_submodule(part)
        here.register_parameter(last, nn.Parameter(tensor, requires_grad=False))
    root.register_buffer("input_resolution", torch.tensor(64))
    torch.jit.trace(root, torch.zeros(1)).save(str(path))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_torchscript_archive_is_read_as_data(tmp_path, monkeypatch):
    model = random_model(B32)
    as_script({name: t.half() for name, t in open_clip(model).items()}, tmp_path / "ViT-B-32.pt")
    monkeypatch.setattr(torch.jit, "load", lambda *_, **__: pytest.fail("its code must not be loaded"))
    found = sniff_checkpoint(tmp_path / "ViT-B-32.pt")
    assert found.container == "TorchScript archive" and found.architecture.image == B32.image
    again = found.model("gelu")
    for ours, theirs in zip(outputs(again, B32), outputs(model, B32), strict=True):
        torch.testing.assert_close(ours, theirs, atol=0.02, rtol=0)


def test_weights_lie_where_the_file_is_mapped(tmp_path):
    """The tensors of the model are those of the file: no second copy is made."""
    found = sniff_checkpoint(save(open_clip(random_model(B32)), tmp_path / "model.safetensors"))
    model = found.model("gelu")
    for name in ("text.words.weight", "image.layers.0.widen.weight"):
        assert model.state_dict()[name].data_ptr() == found.tensors[name].data_ptr()


# -- in several files ----------------------------------------------------------------------------------------


def sharded(tensors, folder, count=3):
    """As Hugging Face writes large models."""
    table = {}
    for number in range(count):
        file = f"model-{number + 1:05d}-of-{count:05d}.safetensors"
        part = {name: tensors[name] for name in sorted(tensors)[number::count]}
        save(part, folder / file)
        table |= dict.fromkeys(part, file)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": table}))
    return index


def test_weights_in_several_files_are_one(tmp_path):
    from landsift.encoders.cards import combined_hash, sha256_of, weights_sha256
    from landsift.encoders.fetching import hash_of, weights_in

    model = random_model(B32)
    index = sharded(open_clip(model), tmp_path)
    found = loads_back(model, index, "open_clip")
    assert "safetensors in several files" in found.describe()
    assert weights_in(tmp_path) == index
    files = [index, *tmp_path.glob("*.safetensors")]
    assert hash_of(index) == weights_sha256(index) == combined_hash({f.name: sha256_of(f) for f in files})


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder, table: (folder / table["logit_scale"]).unlink(), "cannot be read"),
        (lambda folder, table: table.update({"more": table["logit_scale"]}), "lacks more, which"),
        (
            lambda folder, table: table.update({"more": "../elsewhere.safetensors"}),
            "names no files beside it",
        ),
        (lambda folder, table: table.clear(), "names no files beside it"),
        (lambda folder, table: table.update({"more": "index.json"}), "is no weight file"),
        (lambda folder, table: torch.save({}, folder / table["logit_scale"]), "is no safetensors file"),
        (lambda folder, table: (folder / table["logit_scale"]).write_bytes(b"\xff" * 9), "no weight file"),
    ],
)
def test_broken_shards_are_told(tmp_path, spoil, said):
    index = sharded(open_clip(random_model(B32)), tmp_path)
    (tmp_path / "index.json").write_text("{}")
    content = json.loads(index.read_text())
    spoil(tmp_path, content["weight_map"])
    index.write_text(json.dumps(content))
    with pytest.raises(EncoderError, match=said):
        sniff_checkpoint(index)


def test_an_index_of_nothing_is_told(tmp_path):
    (tmp_path / "model.safetensors.index.json").write_text("[]")
    with pytest.raises(EncoderError, match="cannot be read"):
        sniff_checkpoint(tmp_path / "model.safetensors.index.json")


# -- what is refused -----------------------------------------------------------------------------------------


class Trap:
    """A pickle that would act when it is read."""

    def __init__(self, witness):
        self.witness = witness

    def __reduce__(self):
        return (open, (self.witness, "w"))


@pytest.mark.parametrize("old", [False, True])
def test_a_pickle_with_code_in_it_is_refused_and_never_run(tmp_path, old):
    witness = tmp_path / "witness"
    content = open_clip(random_model(B32)) | {"extra": Trap(str(witness))}
    torch.save(content, tmp_path / "bad.pt", _use_new_zipfile_serialization=not old)
    with pytest.raises(EncoderError, match=r"would run code.*refused.*safetensors"):
        sniff_checkpoint(tmp_path / "bad.pt")
    assert not witness.exists()


def test_a_script_archive_that_names_code_is_refused(tmp_path):
    import pickle

    witness = tmp_path / "witness"
    with zipfile.ZipFile(tmp_path / "bad.pt", "w") as archive:
        archive.writestr("m/data.pkl", pickle.dumps(Trap(str(witness))))
        archive.writestr("m/code/__torch__.py", "")
    with pytest.raises(EncoderError, match="would run code"):
        sniff_checkpoint(tmp_path / "bad.pt")
    assert not witness.exists()


def test_objects_beside_weights_are_refused(tmp_path):
    torch.save({"state_dict": {}, "args": argparse.Namespace(lr=1)}, tmp_path / "run.pt")
    with pytest.raises(EncoderError, match="save its state_dict alone"):
        sniff_checkpoint(tmp_path / "run.pt")


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
def test_a_cut_file_is_told(tmp_path, suffix, share):
    path = save(open_clip(random_model(B32)), tmp_path / f"model{suffix}")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(EncoderError, match=r"cut short.*download it again"):
        sniff_checkpoint(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer"),
        (b"<!doctype html><html>not found</html>", "no weight file"),
        (b"", "no weight file"),
    ],
)
def test_what_is_no_weight_file_is_told(tmp_path, content, said):
    (tmp_path / "model.pt").write_bytes(content)
    with pytest.raises(EncoderError, match=said):
        sniff_checkpoint(tmp_path / "model.pt")


def test_an_archive_of_files_is_told(tmp_path):
    with zipfile.ZipFile(tmp_path / "SkyCLIP.zip", "w") as archive:
        archive.writestr("epoch_20.pt", b"x")
    with pytest.raises(EncoderError, match="unpack it"):
        sniff_checkpoint(tmp_path / "SkyCLIP.zip")


def test_an_absent_file_is_told(tmp_path):
    with pytest.raises(EncoderError, match="give a file that exists"):
        sniff_checkpoint(tmp_path / "none.pt")


def test_another_kind_of_model_is_told_by_its_names(tmp_path):
    save({"backbone.stem.weight": torch.zeros(3), "head.bias": torch.zeros(1)}, tmp_path / "resnet.pt")
    with pytest.raises(EncoderError, match=r"no CLIP-like model.*backbone\.stem\.weight"):
        sniff_checkpoint(tmp_path / "resnet.pt")


def test_half_a_model_is_told(tmp_path):
    half = {n: t for n, t in open_clip(random_model(B32)).items() if "positional_embedding" not in n}
    with pytest.raises(EncoderError, match=r"looks like a part of a CLIP-like model.*image\.positions"):
        sniff_checkpoint(save(half, tmp_path / "model.pt"))


def test_a_list_of_tensors_is_told(tmp_path):
    torch.save([torch.zeros(3)], tmp_path / "list.pt")
    with pytest.raises(EncoderError, match="holds a list"):
        sniff_checkpoint(tmp_path / "list.pt")


def test_another_architecture_is_said_with_what_was_expected(tmp_path):
    model = random_model(shrunk(ARCHITECTURES["vit-b-16"]))
    found = sniff_checkpoint(save(open_clip(model), tmp_path / "model.safetensors"))
    with pytest.raises(
        EncoderError, match=r"looks like .*, but CLIP ViT-B/32 was expected \(\d+ tensors differ"
    ):
        found.model("gelu", B32)


def test_full_sizes_are_known_by_name():
    """Shapes alone tell which row of the table a checkpoint is."""
    from landsift.models.clip import sniffing

    for shape in ARCHITECTURES.values():
        known, found = sniffing._named(shape)
        assert found.image == shape.image and found.text == shape.text
        assert ARCHITECTURES[known].title == shape.title
