"""Towers against other people's and against slow twins: random weights, 32 bits, 1e-4 at most, 1e-5
relative."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from clip_files import inputs, open_clip, random_model, save, shrunk  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from landsift.models.clip.shapes import ARCHITECTURES  # noqa: E402
from landsift.models.clip.sniffing import sniff_checkpoint  # noqa: E402

ABSOLUTE, RELATIVE = 1e-4, 1e-5


def same(ours, theirs):
    assert theirs.abs().max() > 0.1, "an oracle of noughts proves nothing"
    torch.testing.assert_close(ours, theirs, atol=ABSOLUTE, rtol=RELATIVE)


def drawn(model):
    torch.manual_seed(3)
    for parameter in model.parameters():
        if parameter.ndim:
            nn.init.normal_(parameter, std=0.12)
    return model.eval()


def features(found):
    return getattr(found, "pooler_output", found)


@pytest.mark.parametrize("act", [("quick_gelu", "quickgelu"), ("gelu", "gelu")])
def test_clip_is_that_of_transformers(tmp_path, act):
    transformers = pytest.importorskip("transformers")
    text = {"hidden_size": 64, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 1}
    vision = text | {"hidden_size": 128, "intermediate_size": 512, "num_attention_heads": 2}
    text |= {"vocab_size": 60, "max_position_embeddings": 24, "bos_token_id": 58, "eos_token_id": 59}
    config = transformers.CLIPConfig(
        text_config=text | {"hidden_act": act[0]},
        vision_config=vision | {"image_size": 48, "patch_size": 16, "hidden_act": act[0]},
        projection_dim=32,
    )
    theirs = drawn(transformers.CLIPModel(config))
    found = sniff_checkpoint(save(theirs.state_dict(), tmp_path / "model.safetensors"))
    assert found.layout == "Hugging Face"
    ours = found.model(act[1])
    pixels, tokens = torch.randn(3, 3, 48, 48), torch.randint(0, 58, (3, 24))
    mask = torch.ones_like(tokens, dtype=torch.bool)
    for row, end in enumerate((9, 23, 15)):
        tokens[row, end], mask[row, end + 1 :] = 59, False
    with torch.inference_mode():
        same(ours.image(pixels), features(theirs.get_image_features(pixel_values=pixels)))
        same(ours.text(tokens, mask), features(theirs.get_text_features(input_ids=tokens)))
        short = tokens[:1, :10]
        same(ours.text(short, mask[:1, :10]), features(theirs.get_text_features(input_ids=tokens[:1])))


def test_siglip_is_that_of_transformers(tmp_path):
    transformers = pytest.importorskip("transformers")
    sizes = {"hidden_size": 64, "intermediate_size": 200, "num_hidden_layers": 2, "num_attention_heads": 1}
    config = transformers.SiglipConfig(
        text_config=sizes
        | {"vocab_size": 60, "max_position_embeddings": 64, "projection_size": 64}
        | {"bos_token_id": 1, "eos_token_id": 1, "pad_token_id": 1},
        vision_config=sizes | {"image_size": 48, "patch_size": 16},
    )
    theirs = drawn(transformers.SiglipModel(config))
    found = sniff_checkpoint(save(theirs.state_dict(), tmp_path / "model.safetensors"))
    ours = found.model("gelu-tanh")
    pixels, tokens = torch.randn(3, 3, 48, 48), torch.randint(2, 60, (3, 64))
    tokens[:, 20:] = 1
    with torch.inference_mode():
        same(ours.image(pixels), features(theirs.get_image_features(pixel_values=pixels)))
        same(ours.text(tokens, tokens != 1), features(theirs.get_text_features(input_ids=tokens)))
        logits = ours.log_scale.exp() * ours.encode_texts(tokens, tokens != 1) @ ours.encode_images(pixels).T
        both = theirs(input_ids=tokens, pixel_values=pixels).logits_per_text
        torch.testing.assert_close(logits + ours.offset, both, atol=1e-3, rtol=1e-4)


def test_xlm_roberta_is_that_of_transformers(tmp_path):
    transformers = pytest.importorskip("transformers")
    config = transformers.XLMRobertaConfig(
        vocab_size=60,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=1,
        intermediate_size=256,
        max_position_embeddings=514,
        type_vocab_size=1,
        pad_token_id=1,
        layer_norm_eps=1e-5,
    )
    theirs = drawn(transformers.XLMRobertaModel(config, add_pooling_layer=False))
    head = drawn(nn.Sequential(nn.Linear(64, 48, bias=False), nn.GELU(), nn.Linear(48, 32, bias=False)))
    image = random_model(shrunk(ARCHITECTURES["vit-b-32"]))
    named = {name: t for name, t in open_clip(image).items() if name.startswith(("visual.", "logit_"))}
    named |= {f"text.transformer.{name}": tensor for name, tensor in theirs.state_dict().items()}
    named |= {f"text.proj.{name}": tensor for name, tensor in head.state_dict().items()}
    ours = sniff_checkpoint(save(named, tmp_path / "model.safetensors")).model("gelu")
    tokens = torch.randint(4, 60, (3, 18))
    tokens[0, 9:], tokens[2, 15:] = 1, 1
    mask = tokens != 1
    with torch.inference_mode():
        states = theirs(input_ids=tokens, attention_mask=mask.long()).last_hidden_state
        mean = (states * mask[:, :, None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)
        same(ours.text(tokens, mask), head(mean))


def slow_layers(model, prefix, x, causal):
    """Pre-norm layers by torch's own attention module."""
    state = model.state_dict()
    for number in range(model.architecture.text.layers):
        get = {
            name.removeprefix(f"{prefix}.{number}."): tensor
            for name, tensor in state.items()
            if name.startswith(f"{prefix}.{number}.")
        }
        width = x.shape[2]
        attention = nn.MultiheadAttention(width, 1, batch_first=True)
        attention.load_state_dict(
            {
                "in_proj_weight": get["query_key_value.weight"],
                "in_proj_bias": get["query_key_value.bias"],
                "out_proj.weight": get["attended.weight"],
                "out_proj.bias": get["attended.bias"],
            }
        )
        length = x.shape[1]
        hidden = torch.full((length, length), -math.inf).triu(1) if causal else None
        y = functional.layer_norm(x, (width,), get["norm1.weight"], get["norm1.bias"])
        x = x + attention(y, y, y, attn_mask=hidden, need_weights=False)[0]
        y = functional.layer_norm(x, (width,), get["norm2.weight"], get["norm2.bias"])
        y = functional.linear(y, get["widen.weight"], get["widen.bias"])
        y = y * torch.sigmoid(1.702 * y)
        x = x + functional.linear(y, get["narrow.weight"], get["narrow.bias"])
    return functional.layer_norm(
        x, (x.shape[2],), state["text.norm_after.weight"], state["text.norm_after.bias"]
    )


def test_long_clip_reads_its_second_table_from_the_twenty_first_position():
    shape = shrunk(ARCHITECTURES["long-vit-b-16"])
    model = random_model(shape, "quickgelu")
    _, tokens, mask = inputs(shape)
    state = model.state_dict()
    table = torch.cat([state["text.positions"][:20], state["text.stretched"][20:]])
    with torch.inference_mode():
        x = state["text.words.weight"][tokens] + table[: tokens.shape[1]]
        x = slow_layers(model, "text.layers", x, causal=True)
        rows = x[torch.arange(3), mask.sum(dim=1) - 1]
        same(model.text(tokens, mask), rows @ state["text.projection.weight"].T)


def test_the_pooling_of_the_resnet_is_one_question_to_all_cells():
    model = random_model(shrunk(ARCHITECTURES["rn50"]))
    image, pixels = model.image, torch.randn(2, 3, 64, 64)
    pool = image.attnpool
    with torch.inference_mode():
        grid = image.grid(pixels)
        x = grid.flatten(2).permute(2, 0, 1)
        x = torch.cat([x.mean(dim=0, keepdim=True), x]) + pool.positional_embedding[:, None]
        theirs, _ = functional.multi_head_attention_forward(
            x[:1], x, x, x.shape[2], pool.heads,
            in_proj_weight=None,
            in_proj_bias=torch.cat([pool.q_proj.bias, pool.k_proj.bias, pool.v_proj.bias]),
            bias_k=None, bias_v=None, add_zero_attn=False, dropout_p=0.0,
            out_proj_weight=pool.c_proj.weight, out_proj_bias=pool.c_proj.bias,
            training=False, need_weights=False, use_separate_proj_weight=True,
            q_proj_weight=pool.q_proj.weight, k_proj_weight=pool.k_proj.weight,
            v_proj_weight=pool.v_proj.weight,
        )  # fmt: skip
        same(image(pixels), theirs[0])


def test_the_resnet_averages_before_its_strides():
    """A block that strides, written out."""
    image = random_model(shrunk(ARCHITECTURES["rn50"])).image
    block, x = image.layer2[0], torch.randn(2, 64, 8, 8)
    with torch.inference_mode():
        y = torch.relu(block.bn1(block.conv1(x)))
        y = torch.relu(block.bn2(block.conv2(y)))
        y = block.bn3(block.conv3(functional.avg_pool2d(y, 2)))
        kept = block.downsample[1](block.downsample[0](functional.avg_pool2d(x, 2)))
        same(block(x), torch.relu(y + kept))
    assert image.layer2[1].downsample is None


def test_wavelengths_become_kernels_as_written():
    """Every step of the dynamic patch embedding, band by band."""
    shape = shrunk(ARCHITECTURES["dofa-b-16"])
    patches = random_model(shape).image.patches
    waves = torch.tensor([0.665, 0.49, 2.19, 5.405])
    pixels = torch.randn(2, 4, 32, 32)
    maker = patches.weight_generator
    with torch.inference_mode():
        steps = torch.tensor([10000 ** (-k / 64) for k in range(64)])
        angles = 1000 * waves[:, None] * steps
        bands = torch.cat([angles.sin(), angles.cos()], dim=1)
        refine = patches.fclayer
        bands = bands + refine.w2(refine.w1(bands).relu()).relu()
        sequence = torch.cat([maker.weight_tokens, bands, maker.bias_token])
        states = maker.transformer_encoder.layers[0](sequence[:, None])[:, 0]
        total = 0.01 * maker.fc_bias(states[-1])[None, :, None, None]
        for band in range(4):
            kernel = 0.01 * maker.fc_weight(states[128 + band] + bands[band])
            kernel = kernel.view(16, 16, 64).permute(2, 0, 1)[:, None]
            total = total + functional.conv2d(pixels[:, band : band + 1], kernel, stride=16)
        same(patches(pixels, waves), total)


def test_bands_may_come_in_any_order_and_noughts_mean_red_green_blue():
    shape = shrunk(ARCHITECTURES["dofa-b-16"])
    model = random_model(shape)
    pixels, waves = torch.randn(2, 3, 32, 32), torch.tensor([0.665, 0.56, 0.49])
    with torch.inference_mode():
        rows = model.encode_images(pixels, waves)
        turned = model.encode_images(pixels[:, [2, 0, 1]], waves[[2, 0, 1]])
        torch.testing.assert_close(rows, turned, atol=1e-5, rtol=0)
        assert torch.equal(rows, model.encode_images(pixels, torch.zeros(3)))
        assert not torch.allclose(rows, model.encode_images(pixels, torch.tensor([0.665, 0.56, 0.842])))


@pytest.mark.parametrize("name", ["vit-b-32", "siglip-b-16"])
def test_another_image_size_bends_the_positions(name):
    shape = shrunk(ARCHITECTURES[name])
    model = random_model(shape)
    side = shape.image.size
    with torch.inference_mode():
        larger = model.encode_images(torch.randn(1, 3, 2 * side, side))
        assert larger.shape == (1, shape.dim) and bool(torch.isfinite(larger).all())
        square = model.image._positions((2, 2))
        assert torch.equal(square, model.image.positions)


def test_a_text_does_not_depend_on_its_padding():
    for name in ("vit-b-32", "long-vit-b-16", "xlm-roberta-vit-b-32"):
        shape = shrunk(ARCHITECTURES[name])
        model = random_model(shape)
        _, tokens, mask = inputs(shape)
        with torch.inference_mode():
            alone = model.encode_texts(tokens[:1, :7], mask[:1, :7])
            torch.testing.assert_close(alone, model.encode_texts(tokens, mask)[:1], atol=1e-5, rtol=0)


def test_random_starts_are_neither_flat_nor_wild():
    """A fresh model tells images apart, and its gradients reach every weight."""
    for name in ("vit-b-32", "rn50", "siglip-b-16", "xlm-roberta-vit-b-32", "dofa-b-16", "long-vit-b-16"):
        shape = shrunk(ARCHITECTURES[name])
        torch.manual_seed(0)
        from landsift.models.clip.model import ClipModel

        model = ClipModel(shape, "gelu").initialise().train()
        pixels, tokens, mask = inputs(shape)
        waves = torch.tensor([0.665, 0.56, 0.49, 0.842]) if shape.image.channels == 0 else None
        images, texts = model.encode_images(pixels, waves), model.encode_texts(tokens, mask)
        assert (images @ images.T)[0, 1] < 0.9999 and (texts @ texts.T)[0, 1] < 0.9999
        (images * texts).sum().backward()
        unreached = {
            n for n, p in model.named_parameters() if p.grad is None and n not in ("log_scale", "offset")
        }
        assert unreached == set(), name
