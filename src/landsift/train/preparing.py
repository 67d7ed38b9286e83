"""Before the first step: sets gathered, a model built, images decoded and whatever losses ask for made ready.

Knows sets, stores and models; no losses and no optimiser.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch

from landsift.captions import style_captions
from landsift.encoders import load_encoder
from landsift.errors import UsageError
from landsift.files import cache_folder
from landsift.models.checkpoint import read_matcher
from landsift.models.matcher import Matcher
from landsift.models.registry import MatcherSource, build_matcher
from landsift.train.adapting import apply_tuning
from landsift.train.corpus import Corpus, carved, corpus_of, images_of
from landsift.train.extras import read_extras
from landsift.train.feeding import TrainingData
from landsift.train.gathering import Processes
from landsift.train.images import ImageFeed, PixelFeed, map_feed
from landsift.train.optimizing import freeze
from landsift.train.pixels import PixelStore, Progress, stored
from landsift.train.recipe import Recipe, SetRecipe
from landsift.train.sources import load_sets, training_sets
from landsift.train.teacher import teacher_vectors
from landsift.train.validating import ValidationSet
from landsift.types import IntArray, RetrievalSet

__all__ = ["Gathered", "built", "check_needs", "in_turn", "prepared", "teacher_dim"]


@dataclass(frozen=True, eq=False)
class Gathered:
    """What a run learns from and is judged by, before any image is opened.

    Attributes:
        corpus: To learn from.
        unpaired: Pictures whose captions, if any, are ignored; None if the recipe names none.
        validation: To choose the weights by.
        left_out: Images left out because a set to be scored shows them, by pair of sets.
        set_aside: Images that were taken from the corpus for validation.
    """

    corpus: Corpus
    unpaired: Corpus | None
    validation: tuple[RetrievalSet, ...]
    left_out: Mapping[str, int]
    set_aside: int

    @classmethod
    def by(
        cls, recipe: Recipe, train: Sequence[RetrievalSet] | None, validation: Sequence[RetrievalSet] | None
    ) -> Gathered:
        """Load what a recipe names.

        Args:
            recipe: What is wanted.
            train: Sets to train on instead.
            validation: Sets to choose the weights by instead.
        """
        left_out: dict[str, int] = {}
        if train is None:
            found, left_out = training_sets(recipe.data, recipe.data.sets)
            weights = [row.weight for row in recipe.data.sets]
        else:
            found, weights = list(train), _given_weights(recipe.data.sets, len(train))
        captioned = recipe.text.per_image > 0
        corpus = corpus_of(found, weights, captioned=captioned)
        judged = list(validation) if validation is not None else load_sets(recipe.validation.sets)
        aside = 0
        if not judged and captioned and recipe.validation.share:
            corpus, part = carved(corpus, recipe.validation.share, recipe.validation.seed)
            judged, aside = [part], len(part.images)
        for data in judged:
            if data.split == "test":
                raise UsageError(
                    f"Weights are not chosen on a test split ({data.name}); pass the val split instead."
                )
            if not len(data.captions):
                raise UsageError(
                    f"{data.name}/{data.split} has no captions to validate by; choose another set."
                )
        unpaired = None
        if recipe.data.unpaired:
            bare, more_left_out = training_sets(recipe.data, recipe.data.unpaired)
            unpaired, left_out = images_of(bare), {**left_out, **more_left_out}
        return cls(corpus, unpaired, tuple(judged), left_out, aside)


def _given_weights(rows: Sequence[SetRecipe], count: int) -> list[float]:
    return [row.weight for row in rows] if len(rows) == count else [1.0] * count


def built(recipe: Recipe, corpus: Corpus) -> Matcher:
    """The recipe's model, with the weights it starts from, its frozen parts frozen.

    Raises:
        UsageError: The checkpoint it is to start from has another shape, or nothing is called as
            ``model.freeze`` and ``model.tune`` say.
    """
    model = recipe.model
    captions = style_captions(corpus.captions, recipe.text.style)
    source = MatcherSource(captions, len(corpus), corpus.class_names)
    if model.start:
        # The vocabulary belongs to the weights, so it comes from the checkpoint too.
        started = read_matcher(model.start)
        source = replace(source, files=started.files())
    matcher = build_matcher(model.name, model.options, source)
    if model.start:
        try:
            matcher.load_state_dict(started.state_dict())
        except RuntimeError as error:
            raise UsageError(
                f"model.start {model.start} holds a model of another shape ({str(error).splitlines()[0]}); "
                f"give the options it was made with."
            ) from error
    freeze(matcher, model.freeze)
    apply_tuning(matcher, model.tune)
    return matcher


def teacher_dim(recipe: Recipe) -> int:
    """Length of the vectors of all teachers together; 0 without one."""
    return sum(load_encoder(name).card.dim for name in recipe.data.teacher)


def check_needs(needs: frozenset[str], recipe: Recipe) -> None:
    """Refuse a recipe whose loss terms ask for what it does not give.

    Raises:
        UsageError: The message names what to add.
    """
    given = {
        "text": (recipe.text.per_image > 0, "captions; set text.per_image to 1"),
        "unpaired": (
            bool(recipe.data.unpaired),
            "images without captions; name a set under [[data.unpaired]]",
        ),
        "teacher": (bool(recipe.data.teacher), "a teacher; name an encoder under data.teacher"),
        "ground": (
            "ground" in recipe.data.extras,
            "vectors of photographs from the ground; name their file as ground under [data.extras]",
        ),
    }
    for name, (there, remedy) in given.items():
        if name in needs and not there:
            raise UsageError(f"A loss term of the recipe needs {remedy}.")


@contextmanager
def in_turn(processes: Processes) -> Iterator[None]:
    """Let the first process prepare what all then find ready."""
    if not processes.first:
        processes.wait()
    try:
        yield
    finally:
        if processes.first:
            processes.wait()


def prepared(
    recipe: Recipe,
    gathered: Gathered,
    matcher: Matcher,
    needs: frozenset[str],
    device: torch.device,
    tell: Progress | None = None,
) -> tuple[TrainingData, list[ValidationSet]]:
    """Decode, or find decoded, everything that steps and validations read.

    Args:
        recipe: What is wanted.
        gathered: The sets.
        matcher: What will read it, on its device.
        needs: What the loss terms ask for beside images.
        device: Where frozen parts are computed.
        tell: Told how far it is.
    """
    cache, corpus, views = cache_folder(recipe.data.cache), gathered.corpus, recipe.data.views
    side = _side(recipe, matcher)
    store = PixelStore(cache, side, matcher.fit)
    plain = store if side == matcher.input_size else PixelStore(cache, matcher.input_size, matcher.fit)
    feed = _Feeds(recipe, matcher, device, tell)
    images = stored(store, corpus.images, corpus.names, tell)
    unpaired = None
    if gathered.unpaired is not None and "unpaired" in needs:
        rows = stored(store, gathered.unpaired.images, gathered.unpaired.names, tell)
        unpaired = feed.made(store, rows, views)
    judged = [(found, stored(plain, found.images, found.image_names, tell)) for found in gathered.validation]
    teacher_images = teacher_texts = None
    if recipe.data.teacher:
        teacher_images, teacher_texts = teacher_vectors(recipe.data.teacher, corpus, cache, tell)
    data = TrainingData(
        corpus,
        feed.made(store, images, views),
        unpaired,
        teacher_images,
        teacher_texts,
        read_extras(recipe.data.extras, corpus),
    )
    return data, [
        ValidationSet(found, feed.made(plain, rows, 1), recipe.text.style) for found, rows in judged
    ]


def _side(recipe: Recipe, matcher: Matcher) -> int:
    side, seen = recipe.data.size or matcher.input_size, matcher.input_size
    if side > 2 * seen:
        raise UsageError(
            f"data.size is {side}, more than twice the {seen} pixels the model sees, which would leave "
            f"pixels out between those that are read; set it to {2 * seen} or less."
        )
    return side


@dataclass(frozen=True, eq=False)
class _Feeds:
    """Makes feeds as a recipe wants them: of pixels, or of maps."""

    recipe: Recipe
    matcher: Matcher
    device: torch.device
    tell: Progress | None

    def made(self, store: PixelStore, rows: IntArray, views: int) -> ImageFeed:
        recipe = self.recipe
        found: ImageFeed
        found = pixels = PixelFeed(store, rows, self.matcher.input_size, recipe.augment)
        if recipe.data.maps:
            found = map_feed(
                self.matcher,
                pixels,
                cache_folder(recipe.data.cache),
                views=views,
                seed=recipe.loop.seed,
                device=self.device,
                progress=self.tell,
            )
        found.channels_last = recipe.loop.channels_last
        return found
