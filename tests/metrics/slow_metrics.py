"""Slow, obvious twins of the metrics: sort, walk, and average over every order of tied items."""

from itertools import pairwise, permutations

import numpy as np


def orders(scores):
    """Every ranking of the items that the scores allow."""
    return [
        order
        for order in permutations(range(len(scores)))
        if all(scores[a] >= scores[b] for a, b in pairwise(order))
    ]


def mean_over_orders(scores, measure):
    """Mean of ``measure(order)`` over every ranking that the scores allow."""
    return float(np.mean([measure(order) for order in orders(scores)]))


def first_hit(order, right):
    """Place from 0 of the first right item."""
    return next(place for place, item in enumerate(order) if item in right)


def sorted_hit_rate(scores, answers, k):
    """R@K in percent by sorting; only right where no scores tie."""
    hits = []
    for row, right in zip(scores, answers, strict=True):
        if right:
            order = sorted(range(len(row)), key=lambda item: -row[item])
            hits.append(first_hit(order, right) < k)
    return 100 * float(np.mean(hits))


def answers_both_ways(image_of, n_images, groups=None):
    """Right captions of each image and right images of each caption, by comparing every pair."""
    groups = image_of if groups is None else groups
    texts = [{groups[j] for j in range(len(image_of)) if image_of[j] == i} for i in range(n_images)]
    i2t = [{j for j in range(len(image_of)) if groups[j] in texts[i]} for i in range(n_images)]
    t2i = [{i for i in range(n_images) if groups[j] in texts[i]} for j in range(len(image_of))]
    return i2t, t2i


def average_precision_of(hits, kind, k):
    """One ranking's average precision, straight from the definitions; ``hits`` is 0 or 1 by place."""
    total = sum(hits)
    precision = [sum(hits[: place + 1]) / (place + 1) for place in range(len(hits))]
    places = [place for place, hit in enumerate(hits) if hit]
    within = [place for place in places if place < k]
    if kind == "map_all":
        return sum(precision[place] for place in places) / total
    if kind == "map_first_k_relevant":
        return float(np.mean([precision[place] for place in places[:k]]))
    if kind == "map_topk_hits":
        return float(np.mean([precision[place] for place in within])) if within else 0.0
    if kind == "map_topk_std":
        return sum(precision[place] for place in within) / min(k, total)
    return sum(precision[place] for place in places if place < total) / total
