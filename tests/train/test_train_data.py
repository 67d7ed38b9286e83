"""From sets to batches: what is joined, left out, set aside, decoded, changed, worded and ordered."""

from __future__ import annotations

import errno
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from PIL import Image  # noqa: E402
from small import PLACES, SIDE, SmallMatcher, SmallOptions, coloured_set  # noqa: E402

import landsift.train.pixels as pixels_module  # noqa: E402
from landsift.data import exclusions_of, find_overlap, write_exclusions  # noqa: E402
from landsift.encoders.pixels import resize_square  # noqa: E402
from landsift.errors import DatasetError, DiskFull, UsageError  # noqa: E402
from landsift.train.augment import changed, draw, plain  # noqa: E402
from landsift.train.corpus import carved, corpus_of, images_of  # noqa: E402
from landsift.train.extras import read_extras  # noqa: E402
from landsift.train.images import PixelFeed, map_feed  # noqa: E402
from landsift.train.optimizing import freeze  # noqa: E402
from landsift.train.pixels import PixelStore  # noqa: E402
from landsift.train.reading import differences, read_recipe, recipe_hash  # noqa: E402
from landsift.train.recipe import AugmentRecipe, DataRecipe, SetRecipe, TextRecipe  # noqa: E402
from landsift.train.sampling import beside_neighbours, by_scene, nearest, shuffled  # noqa: E402
from landsift.train.sources import load_set, training_sets  # noqa: E402
from landsift.train.wording import Wording, caption_prior  # noqa: E402
from landsift.types import RetrievalSet  # noqa: E402


def written(folder: Path, count: int, seed: int = 0, *, size: int = 20) -> list[Path]:
    """PNG files of noise."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    files = [folder / f"{number}.png" for number in range(count)]
    for file in files:
        Image.fromarray(rng.integers(0, 256, (size, size, 3), dtype=np.uint8)).save(file)
    return files


def of_files(files: list[Path], captions: list[list[str]], name: str = "own", labels=None) -> RetrievalSet:
    image_of = np.repeat(np.arange(len(files)), [len(own) for own in captions]).astype(np.int64)
    texts = [text for own in captions for text in own]
    return RetrievalSet(name, "train", files, [file.name for file in files], texts, image_of, labels, PLACES)


# --- corpus


def test_one_picture_in_two_sets_becomes_one_image(tmp_path):
    files = written(tmp_path / "a", 3)
    first = of_files(files, [["x"], ["y", " - "], []], "first", np.array([0, 1, -1]))
    again = tmp_path / ".." / tmp_path.name / "a" / "0.png"
    second = of_files([again], [["z  z"]], "second without third")
    corpus = corpus_of([first, second], [1.0, 0.5])
    assert corpus.captions == ("x", "z z", "y"), "blank captions and images without any are left out"
    assert corpus.start.tolist() == [0, 2, 3]
    assert corpus.weights.tolist() == [1.5, 1.0]
    assert corpus.names == ("first/0.png", "first/1.png")
    assert corpus.sets == ("first/train", "second/train")
    assert [corpus.class_names[label] for label in corpus.labels] == ["field", "roof"]
    assert len(images_of([first, second])) == 3
    with pytest.raises(DatasetError, match="nothing to train on in first/train"):
        corpus_of([of_files(files, [[], [], []], "first")], [1.0])


def test_some_rows_of_a_corpus_keep_what_belongs_to_them():
    corpus = corpus_of([coloured_set(10)], [1.0])
    part = corpus.rows(np.array([7, 2]))
    for new, old in enumerate((7, 2)):
        own = [part.captions[n] for n in part.captions_of(new)]
        assert own == [corpus.captions[n] for n in corpus.captions_of(old)]
        assert part.names[new] == corpus.names[old] and part.labels[new] == corpus.labels[old]


def test_a_share_of_each_scene_is_set_aside_the_same_every_time():
    corpus = corpus_of([coloured_set(90)], [1.0])
    rest, aside = carved(corpus, 0.2, seed=3)
    counts = np.bincount(corpus.labels)
    assert np.bincount(aside.labels).tolist() == [round(0.2 * n) for n in counts]
    assert not set(aside.image_names) & set(rest.names) and len(aside.images) + len(rest) == 90
    assert len(aside.captions) == 2 * len(aside.images)
    order = np.random.default_rng(0).permutation(90)
    _, again = carved(corpus.rows(order), 0.2, seed=3)
    assert set(again.image_names) == set(aside.image_names), "whatever the order of the images"
    assert set(carved(corpus, 0.2, seed=4)[1].image_names) != set(aside.image_names)
    with pytest.raises(DatasetError, match="too small to set a share"):
        carved(corpus.rows(np.arange(2)), 0.1, seed=0)


def test_sets_are_named_by_table_folder_or_caption_file(tmp_path, monkeypatch):
    monkeypatch.delenv("LANDSIFT_DATA", raising=False)
    written(tmp_path / "images" / "roof", 2)
    found = load_set(SetRecipe(name="mine", root=str(tmp_path / "images"), templates=("a {} from above",)))
    assert list(found.captions) == ["a roof from above"] * 2
    (tmp_path / "c.csv").write_text("filename,caption,split\nroof/0.png,red,train\nroof/1.png,blue,val\n")
    row = SetRecipe(root=str(tmp_path / "images"), captions=str(tmp_path / "c.csv"), split="train")
    assert list(load_set(row).captions) == ["red"]
    for row, said in (
        (SetRecipe(name="nowhere"), "'nowhere', which is no set of the table"),
        (SetRecipe(name="ucm-captions"), "The recipe needs UCM-Captions; set LANDSIFT_DATA"),
    ):
        with pytest.raises(UsageError, match=said):
            load_set(row)
    with pytest.raises(DatasetError, match="is not a folder"):
        load_set(SetRecipe(name="ucm-captions", root=str(tmp_path / "absent")))


def test_written_exclusions_are_honoured(tmp_path):
    files = written(tmp_path / "images", 4)
    (tmp_path / "c.csv").write_text("filename,caption\n" + "".join(f"{n}.png,text {n}\n" for n in range(4)))
    row = SetRecipe(name="own", root=str(tmp_path / "images"), captions=str(tmp_path / "c.csv"), split="all")
    trained = load_set(row)
    scored = of_files(files[1:2], [["something"]], "scored")
    pytest.importorskip("imagehash")
    listed = exclusions_of(find_overlap(scored, trained), scored, trained)
    write_exclusions(tmp_path / "out.json", listed)
    kept = load_set(replace(row, exclude=(str(tmp_path / "out.json"),)))
    assert list(kept.image_names) == ["0.png", "2.png", "3.png"]


def test_pictures_of_sets_to_be_scored_are_kept_out(tmp_path, monkeypatch):
    pytest.importorskip("imagehash")
    import landsift.train.sources as sources

    files = written(tmp_path / "images", 5)
    own = of_files(files, [[f"text {n}"] for n in range(5)])
    scored = of_files([files[3]], [["other"]], "scored")
    calls = []
    monkeypatch.setattr(sources, "load_set", lambda row: scored if row.name == "scored" else own)
    real = sources.find_overlap
    monkeypatch.setattr(sources, "find_overlap", lambda *sets: calls.append(1) or real(*sets))
    recipe = DataRecipe(
        sets=(SetRecipe(name="own"),), keep_out=("scored/train",), cache=str(tmp_path / "cache")
    )
    for _ in range(2):
        (found,), left_out = training_sets(recipe, recipe.sets)
        assert list(found.image_names) == ["0.png", "1.png", "2.png", "4.png"]
        assert left_out == {"own/train | scored/train": 1}
    assert len(calls) == 1, "the second time the list is read"


def test_values_for_images_are_found_by_name(tmp_path):
    corpus = corpus_of([coloured_set(4)], [1.0])
    np.savez(
        tmp_path / "e.npz",
        names=["003.png", "colours/001.png", "000.png", "002.png"],
        values=np.arange(4) * 10,
    )
    assert read_extras({"x": str(tmp_path / "e.npz")}, corpus)["x"].tolist() == [20, 10, 30, 0]
    np.savez(tmp_path / "e.npz", names=["003.png"], values=np.arange(1))
    with pytest.raises(DatasetError, match="no value for 3 images"):
        read_extras({"x": str(tmp_path / "e.npz")}, corpus)
    with pytest.raises(DatasetError, match="no arrays names and values"):
        read_extras({"x": str(tmp_path / "absent.npz")}, corpus)


# --- decoded squares


def test_squares_are_those_the_encoders_see_and_are_decoded_once(tmp_path, monkeypatch):
    files = written(tmp_path / "a", 5, size=33)
    store = PixelStore(tmp_path / "cache", SIDE)
    rows = store.rows(files, [file.name for file in files])
    expected = np.stack([resize_square(np.asarray(Image.open(file)), SIDE) for file in files])
    np.testing.assert_array_equal(store.read(rows), expected)
    np.testing.assert_array_equal(store.read(rows[[3, 0, 3]]), expected[[3, 0, 3]])
    monkeypatch.setattr(pixels_module, "read_image", lambda source: pytest.fail("decoded again"))
    again = PixelStore(tmp_path / "cache", SIDE)
    assert again.rows(files[::-1], [""] * 5).tolist() == rows[::-1].tolist()
    files[2].touch()
    assert again.rows(files, [""] * 5).tolist() == rows.tolist(), "touched, but the same bytes"


def test_a_changed_file_is_decoded_again_and_arrays_are_known_by_content(tmp_path):
    files = written(tmp_path / "a", 3)
    store = PixelStore(tmp_path / "cache", SIDE)
    before = store.rows(files, [""] * 3)
    signed = store.signature(before)
    Image.fromarray(np.full((9, 9, 3), 77, np.uint8)).save(files[1])
    after = store.rows(files, [""] * 3)
    assert (after == before).tolist() == [True, False, True]
    assert (store.read(after[1:2]) == 77).all()
    array = np.full((7, 7, 3), 5, np.uint8)
    assert store.rows([array.copy()], [""]) == store.rows([array], [""])
    assert store.signature(after) != signed


def test_every_broken_image_is_named_and_the_others_are_kept(tmp_path):
    files = written(tmp_path / "a", 6)
    files[1].write_bytes(b"no image")
    files[4].write_bytes(files[4].read_bytes()[:60])
    store = PixelStore(tmp_path / "cache", SIDE)
    with pytest.raises(
        DatasetError, match=r"2 images \(b, e\) of the training data cannot be read.*replace the files"
    ):
        store.rows(files, list("abcdef"))
    there = json.loads((tmp_path / "cache" / f"pixels-{SIDE}" / "columns.json").read_text())
    assert there["count"] == 4
    good = [file for number, file in enumerate(files) if number not in (1, 4)]
    decoded: list[object] = []
    real = pixels_module.read_image
    pixels_module.read_image = lambda source: decoded.append(source) or real(source)
    try:
        store.rows(good, [""] * 4)
    finally:
        pixels_module.read_image = real
    assert not decoded, "a build that was stopped goes on where it was"


def test_a_full_disk_is_said_so(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pixels_module.ColumnFolder, "write", full)
    with pytest.raises(DiskFull, match=r"no space left for decoded images.*data\.cache"):
        PixelStore(tmp_path, SIDE).rows([np.zeros((4, 4, 3), np.uint8)], ["a"])


def test_progress_of_decoding_is_told(tmp_path):
    told: list[tuple[str, int, int]] = []
    PixelStore(tmp_path, 8).rows(coloured_set(9).images, [""] * 9, lambda *moment: told.append(moment))
    assert told[-1] == ("decoding images", 9, 9)


# --- changes


def test_without_changes_pixels_stay_as_they_are():
    pixels = torch.randint(0, 256, (3, 3, 8, 8), dtype=torch.uint8)
    torch.testing.assert_close(changed(pixels, plain(3), 8), pixels.float(), atol=0, rtol=0)


@pytest.mark.parametrize("quarters", range(4))
@pytest.mark.parametrize("flipped", [False, True])
def test_turns_and_flips_move_pixels_exactly(quarters, flipped):
    pixels = torch.randint(0, 256, (2, 3, 6, 6), dtype=torch.uint8)
    draws = replace(plain(2), quarters=np.array([quarters, 0]), flipped=np.array([flipped, False]))
    got = changed(pixels, draws, 6).numpy()
    expected = pixels.numpy()[0, :, :, ::-1] if flipped else pixels.numpy()[0]
    np.testing.assert_allclose(got[0], np.rot90(expected, quarters, axes=(1, 2)), atol=1e-3)
    np.testing.assert_allclose(got[1], pixels.numpy()[1], atol=1e-3)


def slow_crop(image: np.ndarray, box: np.ndarray, size: int) -> np.ndarray:
    """Bilinear, pixel by pixel."""
    side = image.shape[1]
    out = np.empty((3, size, size))
    for row in range(size):
        for column in range(size):
            y = (box[1] + box[3] * (row + 0.5) / size) * side - 0.5
            x = (box[0] + box[2] * (column + 0.5) / size) * side - 0.5
            y, x = np.clip(y, 0, side - 1), np.clip(x, 0, side - 1)
            top, left = int(y), int(x)
            bottom, right = min(top + 1, side - 1), min(left + 1, side - 1)
            dy, dx = y - top, x - left
            upper = image[:, top, left] * (1 - dx) + image[:, top, right] * dx
            lower = image[:, bottom, left] * (1 - dx) + image[:, bottom, right] * dx
            out[:, row, column] = upper * (1 - dy) + lower * dy
    return out


def test_crops_are_those_of_a_slow_twin():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (3, 3, 12, 12), dtype=np.uint8)
    recipe = AugmentRecipe(False, False, 0.3, 1.5, brightness=0, contrast=0, saturation=0)
    draws = draw(3, recipe, rng)
    got = changed(torch.from_numpy(pixels), draws, 7).numpy()
    for n in range(3):
        np.testing.assert_allclose(got[n], slow_crop(pixels[n].astype(float), draws.box[n], 7), atol=0.02)


def test_colours_are_those_of_a_slow_twin():
    rng = np.random.default_rng(0)
    pixels = rng.integers(40, 200, (2, 3, 4, 4), dtype=np.uint8)
    draws = replace(plain(2), colour=np.array([[1.1, 0.8, 1.2], [0.9, 1.3, 0.7]]))
    got = changed(torch.from_numpy(pixels), draws, 4).numpy()
    for n, (bright, contrast, saturation) in enumerate(draws.colour):
        x = pixels[n] * bright
        grey = np.tensordot([0.299, 0.587, 0.114], x, 1)
        x = (x - grey.mean()) * contrast + grey.mean()
        grey = np.tensordot([0.299, 0.587, 0.114], x, 1)
        x = ((x - grey) * saturation + grey).clip(0, 255)
        np.testing.assert_allclose(got[n], x, atol=0.01)


def test_draws_keep_within_the_recipe_and_follow_the_generator():
    recipe = AugmentRecipe(
        smallest_crop=0.4, stretch=1.3, coarse=0.5, coarsest=0.25, cutout=0.5, cutout_share=0.1
    )
    draws = draw(2000, recipe, np.random.default_rng(0))
    left, top, width, height = draws.box.T
    assert ((left >= 0) & (top >= 0) & (left + width <= 1 + 1e-9) & (top + height <= 1 + 1e-9)).all()
    assert (width * height >= 0.4 / 1.3 - 1e-9).all() and (width / height <= 1.3 / 0.4).all()
    assert set(draws.quarters) == {0, 1, 2, 3} and 0.4 < draws.flipped.mean() < 0.6
    assert 0.4 < (draws.scale < 1).mean() < 0.6 and draws.scale.min() == 0.25
    side = draws.hidden[:, 2] - draws.hidden[:, 0]
    assert 0.4 < (side > 0).mean() < 0.6 and (side**2 <= 0.1 + 1e-9).all()
    again = draw(2000, recipe, np.random.default_rng(0))
    np.testing.assert_array_equal(again.box, draws.box)
    np.testing.assert_array_equal(
        draw(5, AugmentRecipe(), np.random.default_rng(1)).rows(slice(2, 4)).box,
        draw(5, AugmentRecipe(), np.random.default_rng(1)).box[2:4],
    )


def test_a_coarser_sensor_loses_detail_and_a_cut_out_covers_its_square():
    stripes = torch.zeros(2, 3, 16, 16, dtype=torch.uint8)
    stripes[:, :, ::2] = 200
    draws = replace(plain(2), scale=np.array([0.25, 1.0]))
    got = changed(stripes, draws, 16)
    assert got[0].std() < 20 < got[1].std()
    hidden = replace(plain(2), hidden=np.array([[0.25, 0.5, 0.5, 0.75], [0, 0, 0, 0]]))
    got = changed(stripes, hidden, 16)
    assert (got[0, :, 8:12, 4:8] == 100).all() and (got[0] == 100).sum() == 3 * 16
    torch.testing.assert_close(got[1], stripes[1].float())


def test_noise_is_drawn_for_its_share_of_images_as_strong_as_was_drawn():
    grey = torch.full((3, 3, 64, 64), 128, dtype=torch.uint8)
    draws = replace(plain(3), noise=np.array([0.1, 0.0, 0.1]), seed=np.array([1, 0, 2]))
    got = changed(grey, draws, 64)
    assert abs(got[0].std() - 25.5) < 1 and abs(got[0].mean() - 128) < 1
    torch.testing.assert_close(got[1], grey[1].float())
    assert not torch.equal(got[0], got[2])
    white = changed(torch.full((1, 3, 64, 64), 250, dtype=torch.uint8), draws.rows(slice(1)), 64)
    assert white.max() == 255 and white.min() >= 0
    recipe = AugmentRecipe(noise=0.3, noisiest=0.15)
    many = draw(2000, recipe, np.random.default_rng(0))
    assert 0.25 < (many.noise > 0).mean() < 0.35 and 0.14 < many.noise.max() <= 0.15
    assert len(set(many.seed)) == 2000


def test_without_noise_images_and_what_is_kept_of_them_are_those_of_old_recipes():
    one, other = (np.random.default_rng(3) for _ in range(2))
    draw(7, AugmentRecipe(), one), draw(7, AugmentRecipe(noisiest=0.5), other)
    assert one.random() == other.random()
    assert AugmentRecipe(noisiest=0.5).told() == AugmentRecipe().told()
    assert AugmentRecipe(noise=0.1).told() != AugmentRecipe(noise=0.1, noisiest=0.5).told()
    assert "noise" not in dict(AugmentRecipe().told()) and dict(AugmentRecipe().told())["flips"] is True
    quiet, other, noisy = (
        read_recipe("ucm-captions", changes)
        for changes in ((), ("augment.noisiest=0.5",), ("augment.noise=0.1",))
    )
    assert recipe_hash(quiet) == recipe_hash(other) != recipe_hash(noisy)
    assert differences(quiet, noisy) == ["augment.noise", "augment.noisiest"]


def test_a_part_of_a_batch_is_changed_as_the_whole_would_be(tmp_path):
    data = coloured_set(12)
    store = PixelStore(tmp_path, 20)
    feed = PixelFeed(
        store,
        store.rows(data.images, data.image_names),
        SIDE,
        AugmentRecipe(coarse=0.5, cutout=0.5, noise=0.5),
    )
    rows, device = np.arange(12)[::-1].copy(), torch.device("cpu")
    whole = feed.finish(feed.fetch(rows, slice(0, 12), np.random.default_rng(5)), device)
    part = feed.finish(feed.fetch(rows, slice(4, 8), np.random.default_rng(5)), device)
    torch.testing.assert_close(part, whole[4:8], atol=1e-3, rtol=0)


# --- captions


def worded(recipe: TextRecipe | None = None) -> tuple[Wording, np.ndarray]:
    texts = [["Some boats.", "water"], ["some boats", "a dock"], ["a lake"], ["trees"]]
    files = [np.full((2, 2, 3), n, np.uint8) for n in range(4)]
    data = RetrievalSet(
        "w",
        "train",
        files,
        list("abcd"),
        [t for own in texts for t in own],
        np.array([0, 0, 1, 1, 2, 3]),
        np.array([0, 1, 2, -1]),
        ("port", "harbor", "lake"),
    )
    return Wording(corpus_of([data], [1.0]), recipe or TextRecipe(per_image=2)), np.arange(4)


def test_a_caption_is_right_for_every_image_it_is_true_of():
    wording, rows = worded()
    drawn = wording.draw(rows, np.random.default_rng(0))
    assert len(drawn.texts) == 8 and drawn.image_row.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    right = wording.positive(rows, drawn)
    assert right[drawn.image_row, np.arange(8)].all()
    assert right[:, drawn.texts.index("Some boats.")].tolist() == [True, True, False, False]
    assert right[:, drawn.texts.index("water")].tolist() == [True, False, False, False]
    twice = np.array([2, 3, 2])
    drawn = wording.draw(twice, np.random.default_rng(0))
    assert wording.positive(twice, drawn)[:, 0].tolist() == [True, False, True], "the picture itself, twice"


def test_a_phrase_for_a_scene_is_right_for_every_image_of_it(tmp_path):
    path = tmp_path / "p.toml"
    path.write_text('[phrases]\nport = ["dock"]\nharbor = ["dock"]\nlake = ["pond"]\n')
    recipe = TextRecipe(class_share=1.0, class_phrases=str(path), class_templates=("a photo of {}",))
    wording, rows = worded(recipe)
    drawn = wording.draw(rows, np.random.default_rng(0))
    assert drawn.texts == ("a photo of dock", "a photo of dock", "a photo of pond", "trees")
    assert drawn.caption_ids.tolist()[:3] == [-1, -1, -1] and drawn.caption_ids[3] >= 0
    right = wording.positive(rows, drawn)
    assert right[:, 0].tolist() == [True, True, False, False], "two names of one scene"
    assert right[:, 3].tolist() == [False, False, False, True]
    with pytest.raises(UsageError, match=r"holds no table \[phrases\]"):
        worded(replace(recipe, class_phrases=str(tmp_path / "absent.toml")))


def test_dropped_words_leave_some_and_change_nothing_about_what_is_right():
    wording, rows = worded(TextRecipe(per_image=2, word_drop=0.9))
    for seed in range(20):
        drawn = wording.draw(rows, np.random.default_rng(seed))
        assert all(text.split() for text in drawn.texts)
        own = [wording._texts[number] for number in drawn.caption_ids]
        assert all(
            set(text.split()) <= set(whole.split()) for text, whole in zip(drawn.texts, own, strict=True)
        )
        for place, whole in enumerate(own):
            if whole.lower().startswith("some boats"):
                assert wording.positive(rows, drawn)[:2, place].all()


def test_synonyms_replace_whole_words_only():
    wording, rows = worded(TextRecipe(synonym_share=1.0))
    texts = {text for seed in range(20) for text in wording.draw(rows, np.random.default_rng(seed)).texts}
    assert {"Some ships.", "Some vessels."} & texts or {"some ships", "some vessels"} & texts
    assert not any("boats" in text for text in texts) and "a lake" in texts


def test_the_prior_is_the_share_of_words_in_common():
    prior = caption_prior(
        ["two red planes", "a lake"], [["a red plane", "red planes on a runway"], ["a lake", "trees"]]
    )
    assert prior.dtype == np.float32
    np.testing.assert_allclose(prior, [[2 / 3, 0], [0, 0.5]], atol=1e-6)


# --- order


def test_weights_say_how_often_an_image_is_drawn():
    weights = np.array([0.0, 1.0, 2.0, 0.25])
    counts = (
        sum(np.bincount(shuffled(weights, np.random.default_rng(seed)), minlength=4) for seed in range(400))
        / 400
    )
    assert counts[:3].tolist() == [0, 1, 2] and 0.15 < counts[3] < 0.35


def test_scenes_get_equal_turns_and_small_ones_begin_again():
    labels = np.array([0] * 20 + [1] * 2 + [-1] * 5)
    order = by_scene(labels, np.ones(27), np.random.default_rng(0))
    assert len(order) == 27
    assert np.bincount(labels[order] + 1).tolist() == [9, 9, 9]
    small = order[labels[order] == 1]
    assert set(small[:2].tolist()) == set(small[2:4].tolist()) == {20, 21}, "all before any comes again"
    assert len(set(order[labels[order] == 0].tolist())) == 9


def test_neighbours_are_found_as_a_slow_twin_finds_them():
    rng = np.random.default_rng(0)
    image, text = rng.normal(size=(2, 30, 5)).astype(np.float32)
    got = nearest(image, text, 4)
    for row in range(30):
        scores = [image[row] @ text[other] + text[row] @ image[other] for other in range(30)]
        expected = sorted((other for other in range(30) if other != row), key=lambda other: -scores[other])[
            :4
        ]
        assert got[row].tolist() == expected
    assert nearest(image[:2], text[:2], 4).tolist() == [[1], [0]]
    assert nearest(image[:1], text[:1], 4).shape == (1, 0)


def test_images_stand_beside_those_they_are_taken_for():
    near = np.array([[3], [2], [1], [0], [5], [4]])
    arranged = beside_neighbours(np.array([4, 0, 1, 2, 3, 5, 0]), near)
    assert sorted(arranged.tolist()) == [0, 0, 1, 2, 3, 4, 5]
    assert arranged.tolist() == [4, 5, 0, 3, 1, 2, 0]


# --- maps of the frozen part


def frozen_matcher() -> SmallMatcher:
    torch.manual_seed(0)
    matcher = SmallMatcher(SmallOptions(norm=True), ["a"])
    freeze(matcher, ["patches", "norm"])
    return matcher


def test_maps_are_kept_until_something_they_depend_on_changes(tmp_path, monkeypatch):
    data, store = coloured_set(40), PixelStore(tmp_path, SIDE)
    feed = PixelFeed(store, store.rows(data.images, data.image_names), SIDE, AugmentRecipe())
    matcher, calls = frozen_matcher(), []
    real = SmallMatcher.lower

    def lower(self, pixels):
        calls.append(len(pixels))
        return {name: self.factor * maps for name, maps in real(self, pixels).items()}

    monkeypatch.setattr(SmallMatcher, "lower", lower)
    monkeypatch.setattr(SmallMatcher, "factor", 1.0, raising=False)

    def maps(views: int = 1, seed: int = 0):
        calls.clear()
        place, device = tmp_path / "maps", torch.device("cpu")
        found = map_feed(matcher, feed, place, views=views, seed=seed, device=device)
        return np.array(found.columns["patches"]), sum(calls) > 1  # one probe is always made

    first, computed = maps()
    assert computed and first.shape[:2] == (40, 1)
    for same in ({}, {"seed": 5}):
        again, computed = maps(**same)
        assert not computed and np.array_equal(again, first), "one view, so the seed changes nothing"
    monkeypatch.setattr(SmallMatcher, "factor", 2.0)
    other, computed = maps()
    assert computed and np.allclose(other, 2 * first.astype(np.float32), rtol=1e-2)
    assert all(maps(views=3, seed=seed)[1] for seed in (0, 1)) and not maps(views=3, seed=1)[1]
    matcher.text_head.requires_grad_(False)
    assert not maps(views=3, seed=1)[1], "what the maps are not made with does not count"
    matcher.norm.running_mean += 1
    shifted, computed = maps()
    assert computed and not np.allclose(shifted, first)


def test_computing_maps_leaves_the_statistics_of_batch_norms(tmp_path):
    data, store, matcher = coloured_set(8), PixelStore(tmp_path, SIDE), frozen_matcher()
    feed = PixelFeed(store, store.rows(data.images, data.image_names), SIDE, AugmentRecipe())
    before = matcher.norm.running_mean.clone()
    found = map_feed(matcher.train(), feed, tmp_path, views=1, seed=0, device=torch.device("cpu"))
    assert torch.equal(matcher.norm.running_mean, before)
    pixels = torch.from_numpy(np.stack(data.images)).permute(0, 3, 1, 2)
    expected = matcher.eval().lower(pixels)["patches"].numpy()
    np.testing.assert_allclose(found.columns["patches"][:, 0], expected, atol=2e-3)


def test_a_full_disk_while_maps_are_written_is_said_so(tmp_path, monkeypatch):
    import landsift.train.images as images_module

    data, store, matcher = coloured_set(8), PixelStore(tmp_path, SIDE), frozen_matcher()
    feed = PixelFeed(store, store.rows(data.images, data.image_names), SIDE, AugmentRecipe())

    def full(*values: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(images_module.ColumnFolder, "write", full)
    with pytest.raises(DiskFull, match=r"no space left for maps in .*set data.cache to a folder"):
        map_feed(matcher, feed, tmp_path, views=1, seed=0, device=torch.device("cpu"))
