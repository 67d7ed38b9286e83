"""The text tower against the reference implementation, and what padding must not change."""

from __future__ import annotations

import json

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from safetensors.torch import save_file  # noqa: E402

from landsift.errors import EncoderError  # noqa: E402
from landsift.models.text import BertTower, TextConfig, load_bert_folder, mean_pool  # noqa: E402

SMALL = {
    "vocab_size": 60,
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 40,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
    "hidden_act": "gelu",
    "position_embedding_type": "absolute",
}


@pytest.fixture(scope="module")
def reference():
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(3)
    fields = {key: value for key, value in SMALL.items() if key != "position_embedding_type"}
    model = transformers.BertModel(transformers.BertConfig(**fields), add_pooling_layer=False).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


@pytest.fixture(scope="module")
def folder(reference, tmp_path_factory):
    path = tmp_path_factory.mktemp("bert")
    (path / "config.json").write_text(json.dumps(SMALL))
    save_file(
        {key: value.contiguous() for key, value in reference.state_dict().items()}, path / "model.safetensors"
    )
    return path


@pytest.fixture
def batch():
    torch.manual_seed(5)
    tokens = torch.randint(1, 60, (6, 11))
    mask = torch.arange(11)[None, :] < torch.tensor([11, 3, 7, 2, 10, 5])[:, None]
    return tokens * mask, mask


def test_hidden_states_are_those_of_transformers(reference, folder, batch):
    tokens, mask = batch
    with torch.no_grad():
        expected = reference(tokens, attention_mask=mask.long()).last_hidden_state
        got = load_bert_folder(folder, context_length=20).hidden_states(tokens, mask)
    assert expected.std() > 0.1
    torch.testing.assert_close(got[mask], expected[mask], rtol=1e-4, atol=1e-5)


def test_kept_tokens_take_their_new_numbers(folder, batch):
    tokens, mask = batch
    kept = [*range(59, 9, -1)]
    tokens = tokens.clamp(min=10)
    with torch.no_grad():
        whole = load_bert_folder(folder)(tokens, mask)
        pruned = load_bert_folder(folder, keep_tokens=kept)(59 - tokens, mask)
    torch.testing.assert_close(pruned, whole)


def test_padding_does_not_change_a_row(batch):
    tokens, mask = batch
    torch.manual_seed(0)
    tower = BertTower(TextConfig(60, 24, 2, 4, 48, 40)).eval()
    with torch.no_grad():
        together = tower(tokens, mask)
        for row, length in enumerate(mask.sum(1)):
            alone = tower(tokens[row : row + 1, :length])
            torch.testing.assert_close(together[row : row + 1], alone, rtol=1e-4, atol=1e-5)


def test_mean_pool_of_a_slow_twin(batch):
    _, mask = batch
    x = torch.randn(6, 11, 4)
    expected = torch.stack([x[row][mask[row]].mean(0) for row in range(6)])
    torch.testing.assert_close(mean_pool(x, mask), expected)
    torch.testing.assert_close(mean_pool(x), x.mean(1))


def test_other_architectures_are_refused(folder, tmp_path):
    (tmp_path / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    (tmp_path / "config.json").write_text(json.dumps(SMALL | {"hidden_act": "relu"}))
    with pytest.raises(EncoderError, match="exact GELU"):
        load_bert_folder(tmp_path)


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
def test_a_folder_without_its_files_is_refused(folder, tmp_path, missing):
    for name in {"config.json", "model.safetensors"} - {missing}:
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    with pytest.raises(EncoderError, match=r"config\.json and model\.safetensors"):
        load_bert_folder(tmp_path)


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="5 heads"):
        TextConfig(heads=5)
