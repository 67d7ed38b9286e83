"""Two terms that look beyond the batch: photographs from the ground, and one's own past weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from PIL import Image  # noqa: E402
from safetensors.torch import load_file  # noqa: E402
from small import COLOURS, coloured_set, recipe  # noqa: E402
from torch.nn import functional  # noqa: E402

from landsift.errors import DatasetError, UsageError  # noqa: E402
from landsift.models import objectives  # noqa: E402
from landsift.models.batch import Batch, Moment  # noqa: E402
from landsift.models.features import Features  # noqa: E402
from landsift.models.registry import MatcherSource, build_matcher  # noqa: E402
from landsift.train import fit, write_ground_photos  # noqa: E402
from landsift.train.ground import GroundPhotos, GroundPhotosOptions  # noqa: E402
from landsift.train.self_distilling import SelfDistil, SelfDistilOptions  # noqa: E402
from landsift.train.term import Encoded, Sizes  # noqa: E402
from toys import ToyEncoder  # noqa: E402

TRAIN, VAL = coloured_set(36), coloured_set(18, 1, split="val")


def rows(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def slow_contrast(rows_: torch.Tensor, photos: torch.Tensor, own: torch.Tensor, temperature: float) -> float:
    values = []
    for row, mine in zip(functional.normalize(rows_, dim=1), own, strict=True):
        if mine.any():
            scores = [float(row @ photo) / temperature for photo in functional.normalize(photos, dim=1)]
            total = np.log(np.sum(np.exp(scores)))
            values.append(np.mean([total - score for score, its in zip(scores, mine, strict=True) if its]))
    return float(np.mean(values))


def test_the_ground_loss_is_written_out():
    own = torch.tensor([[1, 1, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 1, 0, 1], [0, 0, 0, 1, 0]], dtype=torch.bool)
    images, photos = rows(4, 6).requires_grad_(), rows(5, 6, seed=1).requires_grad_()
    value = objectives.ground_contrast(images, photos, own, temperature=0.2)
    assert float(value) == pytest.approx(slow_contrast(images.detach(), photos.detach(), own, 0.2), rel=1e-5)
    value.backward()
    assert photos.grad is None and images.grad[1].abs().sum() == 0 and images.grad[0].abs().sum() > 0
    nothing = objectives.ground_contrast(images, photos, torch.zeros_like(own))
    assert float(nothing) == 0 and nothing.requires_grad


def test_cells_are_those_in_which_places_lie():
    tokens = torch.arange(2 * 9).reshape(2, 9, 1).float()
    places = torch.tensor([[0.0, 0.0], [0.99, 0.0], [0.5, 0.5], [1.0, 1.0], [0.0, 0.4]])
    found = objectives.cells_at(tokens, torch.tensor([0, 0, 1, 1, 1]), places)
    assert found.flatten().tolist() == [0, 2, 13, 17, 12]


def batch_of(count: int, **extras: torch.Tensor) -> Batch:
    numbers = torch.arange(count)
    return Batch(
        torch.zeros(count, 3, 16, 16), numbers, numbers, None, (), numbers, numbers,
        torch.eye(count, dtype=torch.bool), extras=extras,
    )  # fmt: skip


def encoded(image: Features, batch: Batch) -> Encoded:
    return Encoded(batch, image, None, None, None, torch.zeros(0, 0))


def test_the_term_reads_photographs_and_their_places():
    photos = rows(3, 2, 6)
    photos[1] = 0
    photos[2, 1] = 0
    image, cells = rows(3, 6, seed=2), rows(3, 4, 6, seed=3)
    places = torch.full((3, 2, 2), 0.9)
    found = encoded(Features(image, cells), batch_of(3, **{"ground": photos, "ground-places": places}))
    own = torch.tensor([[1, 1, 0], [0, 0, 0], [0, 0, 1]], dtype=torch.bool)
    flat = torch.stack([photos[0, 0], photos[0, 1], photos[2, 0]])
    expected = slow_contrast(image, flat, own, 0.07)
    term = GroundPhotos(GroundPhotosOptions(), Sizes(6))
    assert float(term(found)) == pytest.approx(expected, rel=1e-4)
    chosen = torch.stack([cells[0, 3], cells[0, 3], cells[2, 3]])
    of_cells = slow_contrast(chosen, flat, torch.eye(3).bool(), 0.07)
    both = GroundPhotos(GroundPhotosOptions(cells=0.5), Sizes(6))
    assert float(both(found)) == pytest.approx(expected + 0.5 * of_cells, rel=1e-4)
    with pytest.raises(UsageError, match="shows no cells"):
        both(encoded(Features(image), batch_of(3, ground=photos)))
    with pytest.raises(UsageError, match="6 numbers, those of the photographs 5"):
        term(encoded(Features(image), batch_of(3, ground=photos[:, :, :5])))


def test_the_file_of_photographs(tmp_path):
    for colour, value in COLOURS.items():
        Image.new("RGB", (20, 20), value).save(tmp_path / f"{colour}.png")
    listing = tmp_path / "photos.csv"
    listing.write_text(
        "image,photo,x,y\na.jpg,red.png,0.1,0.2\nb.jpg,blue.png,0.5,0.5\na.jpg,green.png,1,0\n"
    )
    encoder = ToyEncoder()
    assert write_ground_photos(listing, encoder, tmp_path / "ground.npz") == 3
    with np.load(tmp_path / "ground.npz") as found:
        assert found["names"].tolist() == ["a.jpg", "b.jpg"] and found["values"].shape == (2, 2, 16)
        expected = encoder.encode_images([np.full((20, 20, 3), COLOURS["green"], np.uint8)])[0]
        np.testing.assert_allclose(found["values"][0, 1], expected, atol=1e-6)
        assert not found["values"][1, 1].any()
    with np.load(tmp_path / "ground-places.npz") as found:
        np.testing.assert_allclose(found["values"][0], [[0.1, 0.2], [1, 0]], atol=1e-6)
    for text, message in (
        ("image,photo\n", "no image in some line"),
        ("image,x\na,1\n", "no photo in some line"),
    ):
        listing.write_text(text)
        with pytest.raises(DatasetError, match=message):
            write_ground_photos(listing, encoder, tmp_path / "none")
    listing.write_text("image,photo,x,y\na.jpg,red.png,1.5,0\n")
    with pytest.raises(DatasetError, match="no place x,y from 0 to 1"):
        write_ground_photos(listing, encoder, tmp_path / "none")
    listing.write_text("image,photo\na.jpg,none.png\n")
    with pytest.raises(DatasetError, match="does not exist"):
        write_ground_photos(listing, encoder, tmp_path / "none")
    with pytest.raises(DatasetError, match="cannot be read"):
        write_ground_photos(tmp_path / "absent.csv", encoder, tmp_path / "none")


def ground_of(folder: Path) -> Path:
    """Vectors by colour, as if photographs of each colour lay in each picture."""
    kinds = {colour: rows(16, seed=number) for number, colour in enumerate(COLOURS)}
    values = [kinds[next(c for c in COLOURS if c in text)] for text in first_captions()]
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "ground.npz", names=np.array(TRAIN.image_names), values=torch.stack(values)[:, None])
    return folder / "ground.npz"


def first_captions() -> list[str]:
    first = {int(image): text for image, text in zip(TRAIN.image_of[::-1], TRAIN.captions[::-1], strict=True)}
    return [first[number] for number in range(len(TRAIN.images))]


def test_a_run_learns_to_see_what_photographs_show_without_a_caption(tmp_path):
    tables = {
        "data__extras": {"ground": str(ground_of(tmp_path))},
        "text": {"per_image": 0},
        "loss": {"ground-photos": {}},
        "model__freeze": ["embedding", "text_head"],
        "validation": {"share": 0.0},
        "loop__epochs": 6,
    }
    result = fit(recipe(tmp_path, **tables), train=[TRAIN])
    assert result.history[-1]["loss"] < 0.8 * result.history[0]["loss"]
    assert result.trained_parameters < result.parameters
    tables["data__extras"] = {}
    with pytest.raises(UsageError, match="photographs from the ground"):
        fit(recipe(tmp_path / "other", **tables), train=[TRAIN])


# --- one's own past


def matcher_of():
    torch.manual_seed(1)
    return build_matcher("small:SPEC", {}, MatcherSource(captions=TRAIN.captions)).eval()


def test_the_teacher_is_the_mean_of_the_weights_at_the_beginning_of_each_pass():
    matcher, term = matcher_of(), SelfDistil(SelfDistilOptions(), Sizes(16))
    term.attach(matcher)
    seen = []
    for epoch in range(4):
        with torch.no_grad():
            matcher.text_head.weight += rows(16, 24, seed=epoch)
        seen.append(matcher.text_head.weight.detach().clone())
        term.begin_epoch(Moment(epoch=epoch, epochs=4))
    kept = dict(term.past.named_buffers())["text_head__weight"]
    torch.testing.assert_close(kept, torch.stack(seen).mean(dim=0))
    assert not list(term.parameters()) and "past.text_head__weight" in term.state_dict()


def test_the_divergence_is_written_out():
    matcher, term = matcher_of(), SelfDistil(SelfDistilOptions(temperature=0.1), Sizes(16))
    term.attach(matcher)
    text = matcher.prepare(["a red field", "a blue lake", "a green roof"])
    plain = batch_of(3)
    batch = Batch(**{**vars(plain), "text": text, "images": 99 * rows(3, 3, 16, 16).abs()})
    with torch.no_grad():
        old = [matcher.image_features(batch.images).pooled, matcher.text_features(text).pooled]
        matcher.text_head.weight += 0.5 * rows(16, 24, seed=5)
    image, words = matcher.image_features(batch.images), matcher.text_features(text)
    value = term(Encoded(batch, image, words, None, None, torch.zeros(0, 0)))
    new = [image.pooled, words.pooled]

    def divergence(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        p, q = (teacher / 0.1).softmax(dim=1), (student / 0.1).softmax(dim=1)
        return (p * (p.log() - q.log())).sum(dim=1).mean()

    pairs = [(0, 1), (1, 0), (0, 0), (1, 1)]
    expected = sum(divergence(new[a] @ new[b].T, old[a] @ old[b].T) for a, b in pairs) / 4
    # Within a side both directions are one, so the mean of the two is the divergence itself.
    torch.testing.assert_close(value, expected, rtol=1e-4, atol=1e-6)
    value.backward()
    assert matcher.text_head.weight.grad.abs().sum() > 0 and float(value) > 1e-4
    part = Encoded(batch, image.rows(slice(0, 2)), words, None, None, torch.zeros(0, 0))
    with pytest.raises(UsageError, match="one process"):
        term(part)


def test_a_self_distilled_run_resumes_to_the_same_weights(tmp_path):
    tables = {
        "loss": {"info-nce": {}, "self-distil": {"weight": 5.0, "from_epoch": 1, "ramp_epochs": 3}},
        "loop__epochs": 3,
    }
    whole = fit(recipe(tmp_path / "whole", **tables), train=[TRAIN], validation=[VAL])
    assert whole.history[0].get("self-distil", 0) == 0 < whole.history[2]["self-distil"]

    class Stopped(Exception):
        pass

    def stop(moment) -> None:
        if moment.epoch == 3 and moment.phase == "training":
            raise Stopped

    with pytest.raises(Stopped):
        fit(recipe(tmp_path / "cut", **tables), train=[TRAIN], validation=[VAL], progress=stop)
    again = fit(recipe(tmp_path / "cut", **tables), train=[TRAIN], validation=[VAL], resume=True)
    one, other = (load_file(part.folder / "last" / "model.safetensors") for part in (whole, again))
    assert all(torch.equal(one[name], other[name]) for name in one)
