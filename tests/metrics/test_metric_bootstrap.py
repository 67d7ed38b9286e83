import numpy as np
import pytest

from landsift.errors import UsageError
from landsift.metrics import bootstrap_intervals, paired_bootstrap, retrieval_ranks


def run(noise, seed=0, n_images=80):
    random = np.random.default_rng(seed)
    images = random.normal(size=(n_images, 32)).astype(np.float32)
    image_of = np.repeat(np.arange(n_images), random.integers(0, 4, n_images)).astype(np.int64)
    texts = images[image_of] + noise * random.normal(size=(len(image_of), 32)).astype(np.float32)
    return retrieval_ranks(images, texts, image_of), image_of


def test_intervals_equal_those_of_resampling_query_lists():
    (i2t, t2i), image_of = run(2.0)
    found = bootstrap_intervals(i2t, t2i, image_of, resamples=50, seed=7, ks=(1, 5))
    random, samples = np.random.default_rng(7), []
    hit_of_image = dict(zip(i2t.queries.tolist(), i2t.hits(1).tolist(), strict=True))
    hits_of_captions = {i: t2i.hits(5)[image_of == i] for i in range(80)}
    for _ in range(50):
        drawn = random.integers(0, 80, 80).tolist()
        images = [hit_of_image[i] for i in drawn if i in hit_of_image]
        captions = np.concatenate([hits_of_captions[i] for i in drawn])
        samples.append((100 * np.mean(images), 100 * captions.mean()))
    low, high = np.percentile(samples, [2.5, 97.5], axis=0)
    for column, name in enumerate(("i2t_R@1", "t2i_R@5")):
        assert (found[name].low, found[name].high) == pytest.approx((low[column], high[column]))
        assert low[column] <= found[name].value <= high[column]


def test_intervals_name_what_the_report_names():
    (i2t, t2i), image_of = run(1.0)
    found = bootstrap_intervals(i2t, t2i, image_of, resamples=20)
    assert list(found)[-3:] == ["mR_i2t", "mR_t2i", "mR"] and len(found) == 9
    six = [interval.value for interval in list(found.values())[:6]]
    assert found["mR"].value == pytest.approx(np.mean(six))


def test_a_run_does_not_differ_from_itself():
    first, image_of = run(2.0)
    difference = paired_bootstrap(first, first, image_of, resamples=100)["mR"]
    assert (difference.value, difference.low, difference.high, difference.p_value) == (0, 0, 0, 1)


def test_a_clearly_better_run_is_found_better():
    worse, image_of = run(4.0)
    better, _ = run(1.0)
    difference = paired_bootstrap(worse, better, image_of, resamples=200)["mR"]
    assert difference.low > 0 and difference.p_value < 0.05
    back = paired_bootstrap(better, worse, image_of, resamples=200)["mR"]
    assert (back.low, back.high) == pytest.approx((-difference.high, -difference.low))


def test_equal_seeds_give_equal_intervals():
    (i2t, t2i), image_of = run(2.0)
    intervals = [bootstrap_intervals(i2t, t2i, image_of, resamples=30, seed=s)["mR"] for s in (1, 1, 2)]
    assert intervals[0] == intervals[1] != intervals[2]


def test_runs_of_different_sets_are_not_compared():
    first, image_of = run(1.0)
    second, _ = run(1.0, n_images=70)
    with pytest.raises(UsageError, match="one set"):
        paired_bootstrap(first, second, image_of)
