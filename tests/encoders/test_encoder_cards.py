"""Cards and files: what is read, what is checked, and what each broken folder is told."""

from __future__ import annotations

import dataclasses
import hashlib

import pytest

from landsift.encoders import list_encoders, load_encoder, verify_weights
from landsift.encoders.cards import combined_hash, read_card, sha256_of
from landsift.errors import EncoderError


def test_a_folder_with_a_card_loads_by_path(tiny):
    card = load_encoder(tiny).card
    assert (card.name, card.dim, card.trained_on) == ("tiny", 6, ("nothing/train",))
    assert card.extra["remark"] == "kept as it is"
    assert load_encoder(str(tiny)).card == card
    verify_weights(card)


def test_an_unknown_name_is_answered_with_the_right_one():
    with pytest.raises(EncoderError, match=r"'Landsift_lite'; did you mean landsift-lite\?"):
        load_encoder("Landsift_lite")


def test_a_name_like_none_is_answered_with_all():
    with pytest.raises(EncoderError, match=r"the encoders here are: .*landsift-lite"):
        load_encoder("resnet")


def test_a_folder_without_card_is_no_encoder(tmp_path):
    with pytest.raises(EncoderError, match=r"holds no card\.toml"):
        load_encoder(tmp_path)


@pytest.mark.parametrize("name", ["image.onnx", "text.onnx", "tokenizer.json"])
def test_an_absent_file_is_named_at_loading(tiny, name):
    (tiny / name).unlink()
    with pytest.raises(EncoderError, match=f"lacks its file .*{name}"):
        load_encoder(tiny)


@pytest.mark.parametrize("name", ["image.onnx", "text.onnx", "tokenizer.json"])
def test_a_cut_file_is_named_at_loading(tiny, name):
    (tiny / name).write_bytes((tiny / name).read_bytes()[:-10])
    with pytest.raises(EncoderError, match=f"{name} .*cut short"):
        load_encoder(tiny)


def test_a_changed_byte_is_found_by_verifying(tiny):
    data = bytearray((tiny / "text.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (tiny / "text.onnx").write_bytes(data)
    card = load_encoder(tiny).card
    with pytest.raises(EncoderError, match=r"text\.onnx .*not the one"):
        verify_weights(card)


def test_a_card_with_another_combined_hash_contradicts_itself(tiny, rewrite_card):
    rewrite_card(weights_sha256='"0000"')
    with pytest.raises(EncoderError, match="contradicts itself"):
        verify_weights(read_card(tiny / "card.toml"))


@pytest.mark.parametrize(
    "field", ["name", "dim", "weights_sha256", "input_size", "context_length", "licence"]
)
def test_a_card_without_a_field_is_told_which(tiny, rewrite_card, field):
    rewrite_card(**{field: None})
    with pytest.raises(EncoderError, match=f"has no {field} of type"):
        load_encoder(tiny)


def test_a_field_of_the_wrong_kind_is_told(tiny, rewrite_card):
    rewrite_card(dim='"six"')
    with pytest.raises(EncoderError, match="has no dim of type int"):
        load_encoder(tiny)


def test_a_card_that_is_no_toml_is_told(tiny):
    (tiny / "card.toml").write_text("<html>")
    with pytest.raises(EncoderError, match="cannot be read"):
        load_encoder(tiny)


def test_the_combined_hash_depends_on_every_name_and_hash():
    base = combined_hash({"a": "1", "b": "2"})
    assert combined_hash({"b": "2", "a": "1"}) == base
    assert len({base, combined_hash({"a": "1", "b": "3"}), combined_hash({"a": "2", "b": "1"})}) == 3


def test_every_builtin_card_states_what_a_user_must_know():
    cards = list_encoders()
    assert [card.name for card in cards] == sorted(card.name for card in cards)
    for card in cards:
        assert card.description and card.citation and card.licence_note and card.trained_on
        assert all(name.endswith("/train") for name in card.trained_on)
        if card.weights_sha256:
            assert {"command", "seed", "date"} <= set(card.extra["provenance"])
        else:
            assert card.extra["source"].get("hub") or card.extra["source"]["page"].startswith("https://")
        printed = card.extra.get("published", {})
        assert all("mR" in row or "accuracy" in row for row in (*card.scores.values(), *printed.values()))


def test_builtin_weights_are_those_of_their_cards():
    for card in list_encoders():
        if not card.weights_sha256:
            with pytest.raises(EncoderError, match="have not been loaded"):
                verify_weights(card)
            continue
        verify_weights(card)
        total = sum(entry["bytes"] for entry in card.extra["files"].values())
        assert total <= 45e6


def test_sha256_of_a_known_file(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256_of(tmp_path / "abc").startswith("ba7816bf8f01cfea414140de5dae2223b00361a3")


def test_cards_are_plain_values(tiny):
    card = load_encoder(tiny).card
    assert dataclasses.replace(card, name="other").name == "other"


@pytest.mark.parametrize("size", [0, 1, 70_001])
def test_the_hash_of_a_file_is_that_of_its_bytes(tmp_path, size):
    data = bytes(n % 251 for n in range(size))
    (tmp_path / "weights").write_bytes(data)
    assert sha256_of(tmp_path / "weights") == hashlib.sha256(data).hexdigest()
