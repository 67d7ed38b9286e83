"""The built-in encoder with what people type, and on sensors it was never trained on."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest

from landsift import Gallery, load_encoder
from landsift.data import load_dataset, read_images

HERE = Path(__file__).parent
QUERIES = tomllib.loads((HERE / "queries.toml").read_text(encoding="utf-8"))
GALLERIES = {"ucm-captions": "val", "nwpu-13": "train"}
AT, LEAST_OF_A_CLASS, LEAST = 10, 0.75, 0.9


@pytest.fixture(scope="module")
def data(real_data) -> Path:
    return real_data


def precisions(encoder, found) -> dict[str, float]:
    """Class to the mean share of right images among the first ten, or among as many as there are."""
    images = encoder.encode_images(list(read_images(found.images)))
    names = np.array([found.class_names[label] for label in found.labels])
    means = {}
    for name, queries in QUERIES[found.name].items():
        right = np.isin(names, [name, *QUERIES["also"].get(name, [])])
        depth = min(AT, int(right.sum()))
        order = np.argsort(-(encoder.encode_texts(queries) @ images.T), axis=1, kind="stable")
        means[name] = float(right[order[:, :depth]].mean())
    return means


def test_there_are_a_hundred_and_fifty_queries_and_none_twice():
    of_sets = [QUERIES[name] for name in GALLERIES]
    for queries in of_sets:
        listed = [text for texts in queries.values() for text in texts]
        assert len(set(listed)) == len(listed)
        assert all(len(texts) >= 4 for texts in queries.values())
    assert sum(len(texts) for queries in of_sets for texts in queries.values()) >= 150


@pytest.mark.slow
@pytest.mark.parametrize("name", GALLERIES)
def test_words_people_type_find_their_class(data, name):
    found = load_dataset(name, data, GALLERIES[name])
    assert set(QUERIES[name]) == set(found.class_names)
    means = precisions(load_encoder("landsift-lite"), found)
    weak = {label: mean for label, mean in means.items() if mean < LEAST_OF_A_CLASS}
    assert weak == {} and np.mean(list(means.values())) >= LEAST, means


@pytest.mark.slow
def test_other_sensors_do_not_collapse_to_one_answer(data, tmp_path):
    gallery = Gallery.create(tmp_path / "sensors.gallery", tile=256, overlap=0.0)
    gallery.add(data / "scenes")
    queries = ["a city", "clouds over the sea", "dense forest", "farm fields", "a winding river", "bare land"]
    rankings = [gallery.search(text, k=5, overlapping="keep") for text in queries]
    first = [result[0].tile for result in rankings]
    assert len(set(first)) >= 4, first
    assert len({match.scene for result in rankings for match in result}) >= 4
    by_query = np.array([[match.score for match in result] for result in rankings])
    assert by_query.max() - by_query.min() > 0.1
    clouds = rankings[queries.index("clouds over the sea")]
    assert "bahamas" in clouds[0].scene
