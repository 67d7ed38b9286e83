import json

import numpy as np
import pytest
from PIL import Image

from landsift.captions import near_captions, normalise_caption
from landsift.data import (
    exclusions_of,
    find_overlap,
    load_dataset,
    locate_dataset,
    read_exclusions,
    without,
    write_exclusions,
)
from landsift.data.overlap import picture_hashes, similar_hashes
from landsift.errors import DatasetError, UsageError
from landsift.types import RetrievalSet


def scene(seed, size=(96, 96)):
    small = np.random.default_rng(seed).integers(0, 255, (6, 6, 3)).astype(np.uint8)
    return np.asarray(Image.fromarray(small).resize(size, Image.Resampling.BICUBIC))


def make_set(name, seeds, captions, sizes=None, labels=False):
    image_of = np.array([i for i, texts in enumerate(captions) for _ in texts], np.int64)
    images = [scene(seed, (sizes or {}).get(seed, (96, 96))) for seed in seeds]
    names = [f"{name}{number}.png" for number in range(len(seeds))]
    classes = np.arange(len(seeds)) % 2 if labels else None
    texts = [text for row in captions for text in row]
    return RetrievalSet(name, "test", images, names, texts, image_of, classes, ("a", "b") if labels else ())


EVALUATED = [["A pond.", "a green pond near a road"], ["two ships in a port"], ["bare land"]]
TRAINED = [
    ["many houses"],
    ["a pond", "A green pond, near a road!"],
    ["two ships in the port", "ships"],
    ["A pond"],
]


def sets():
    evaluated = make_set("e", [1, 2, 3], EVALUATED)
    trained = make_set("t", [7, 8, 2, 9], TRAINED, sizes={2: (64, 64)}, labels=True)
    return evaluated, trained


def test_captions_and_pictures_in_common_are_found():
    pytest.importorskip("imagehash")
    found = find_overlap(*sets(), similarity=0.6)
    assert (found.captions, found.exact_captions, found.near_captions) == (4, 2, 3)
    assert [(pair.evaluated, pair.trained, pair.captions) for pair in found.shared] == [
        ("e0.png", "t1.png", 2),
        ("e0.png", "t3.png", 1),
    ]
    assert [(picture.evaluated, picture.trained) for picture in found.pictures] == [("e1.png", "t2.png")]
    assert (found.images_sharing(1), found.images_sharing(2), found.images_sharing(3)) == (1, 1, 0)


def test_captions_alone_need_no_image():
    found = find_overlap(*sets(), distance=None)
    assert found.pictures is None and found.exact_captions == 2


def test_near_captions_equal_comparing_every_pair():
    random = np.random.default_rng(0)
    words = [f"w{number}" for number in range(12)]
    texts = [" ".join(random.choice(words, random.integers(0, 7))) for _ in range(120)]
    for similarity in (0.5, 0.75, 1.0):
        expected = []
        for a, first in enumerate(texts[:60]):
            for b, second in enumerate(texts[60:]):
                x, y = set(first.split()), set(second.split())
                if x | y and len(x & y) / len(x | y) >= similarity:
                    expected.append((a, b, len(x & y) / len(x | y)))
        assert near_captions(texts[:60], texts[60:], similarity) == expected
    with pytest.raises(UsageError):
        near_captions(["a"], ["a"], 0)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("  Two Ships .", "two ships"),
        ("well-built; houses!", "well built houses"),
        (" .", ""),
        ("ﬁeld", "field"),
    ],
)
def test_normalised_captions(text, plain):
    assert normalise_caption(text) == plain


def test_golden_codes():
    first, second = "+-++-+--", "+++--+-+"
    packed = [np.packbits([sign == "+" for sign in code])[0] for code in (first, second)]
    assert packed == [180, 229]
    ((_, _, bits),) = similar_hashes(*(np.array([code], np.uint64) for code in packed), 64)
    inner = sum((a == b) - (a != b) for a, b in zip(first, second, strict=True))
    assert (bits, inner) == (3, 2) and inner == 8 - 2 * bits


def test_hash_distances_equal_counting_bits():
    random = np.random.default_rng(0)
    first, second = (random.integers(0, 2**64, n, dtype=np.uint64) for n in (300, 40))
    second[:5] = first[:5] ^ np.uint64(0b101)
    found = {(a, b): bits for a, b, bits in similar_hashes(first, second, 26)}
    for a in range(300):
        for b in range(40):
            bits = (int(first[a]) ^ int(second[b])).bit_count()
            assert found.get((a, b)) == (bits if bits <= 26 else None)
    with pytest.raises(UsageError):
        similar_hashes(first, second, 65)


def test_exclusions_are_written_read_and_applied(tmp_path):
    pytest.importorskip("imagehash")
    evaluated, trained = sets()
    exclusions = exclusions_of(find_overlap(evaluated, trained), evaluated, trained)
    assert set(exclusions.images) == {"t1.png", "t2.png"}
    assert "e1.png" in exclusions.images["t2.png"] and "2 captions of e0.png" in exclusions.images["t1.png"]
    write_exclusions(tmp_path / "list.json", exclusions)
    again = read_exclusions(tmp_path / "list.json")
    assert again == exclusions
    rest = without(trained, again)
    assert rest.name == "t without e/test"
    assert list(rest.image_names) == ["t0.png", "t3.png"]
    assert list(rest.captions) == ["many houses", "A pond"] and rest.image_of.tolist() == [0, 1]
    assert rest.labels.tolist() == [0, 1] and (rest.images[1] == trained.images[3]).all()


def test_exclusions_of_another_set_are_refused(tmp_path):
    evaluated, trained = sets()
    exclusions = exclusions_of(find_overlap(evaluated, trained, distance=None), evaluated, trained)
    with pytest.raises(DatasetError, match="anew"):
        without(evaluated, exclusions)


def test_exclusions_that_leave_nothing_are_refused():
    evaluated, _ = sets()
    found = find_overlap(evaluated, evaluated, distance=None)
    exclusions = exclusions_of(found, evaluated, evaluated, captions=1)
    with pytest.raises(DatasetError, match="leave no image"):
        without(evaluated, exclusions)


@pytest.mark.parametrize("content", ["[]", "{}", '{"format": "landsift-exclusions/1", "images": {}}', "{"])
def test_other_files_are_no_exclusions(tmp_path, content):
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(DatasetError):
        read_exclusions(tmp_path / "x.json")


def test_one_picture_at_two_resolutions_is_recognised(real_data):
    pytest.importorskip("imagehash")
    original = real_data / "formats/rsicd_original_224/stadium_1.jpg"
    data = load_dataset("rsicd-aid150", real_data / "rsicd_aid150", "all")
    stadiums = [number for number, name in enumerate(data.image_names) if name.startswith("stadium")]
    hashes = picture_hashes([data.images[number] for number in stadiums])
    ((_, row, bits),) = similar_hashes(picture_hashes([original]), hashes, 6)
    assert data.image_names[stadiums[row]] == "stadium_1.jpg" and bits <= 2


def test_ucm_test_captions_recur_in_its_other_splits(real_data):
    splits = {
        split: load_dataset("ucm", real_data / "ucm_captions", split) for split in ("train", "val", "test")
    }
    found = [find_overlap(splits["test"], splits[split], distance=None) for split in ("train", "val")]
    assert [overlap.exact_captions for overlap in found] == [576, 538]
    for captions, images in ((1, 183), (2, 148), (5, 43)):
        sharing = {p.evaluated for overlap in found for p in overlap.shared if p.captions >= captions}
        assert len(sharing) == images


def test_rsitmd_and_rsicd_share_captions(real_data):
    records = locate_dataset("rsitmd", real_data / "rsitmd").of_split("test")
    texts = [text for record in records for text in record.captions]
    rsicd = locate_dataset("rsicd-aid150", real_data / "rsicd_aid150").of_split("train")
    known = {normalise_caption(text) for record in rsicd for text in record.captions}
    share = np.mean([normalise_caption(text) in known for text in texts])
    assert 0.08 < share < 0.15


def test_the_list_is_plain_json_in_order_of_name(tmp_path):
    evaluated, trained = sets()
    found = find_overlap(evaluated, trained, distance=None)
    write_exclusions(tmp_path / "x.json", exclusions_of(found, evaluated, trained, captions=1))
    content = json.loads((tmp_path / "x.json").read_text())
    assert content["format"] == "landsift-exclusions/1" and len(content["trained_sha256"]) == 64
    assert list(content["images"]) == ["t1.png", "t3.png"]
