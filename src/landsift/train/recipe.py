"""A recipe: every choice that decides what a run's weights become, as frozen values with a name each.

Knows defaults and ranges; reading files is :mod:`landsift.train.reading`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = [
    "AugmentRecipe",
    "DataRecipe",
    "LoopRecipe",
    "ModelRecipe",
    "OptimizerRecipe",
    "OutputRecipe",
    "Recipe",
    "ScheduleRecipe",
    "SetRecipe",
    "TextRecipe",
    "TuneRecipe",
    "ValidationRecipe",
]


def _check(good: bool, message: str) -> None:
    if not good:
        raise ValueError(message)


def _share(name: str, value: float) -> None:
    _check(0 <= value <= 1, f"{name} is a share from 0 to 1; got {value}")


@dataclass(frozen=True)
class SetRecipe:
    """One set of images, mostly with captions.

    Attributes:
        name: A set of the table (``landsift list datasets``), or any name for files of one's own.
        root: Its folder. Empty: the folder under LANDSIFT_DATA that carries its name.
        split: Its split; ``hashing-train``, ``hashing-query`` and ``hashing-database`` are parts of the whole
            set, with one caption for each image, as the hashing papers split it.
        captions: Caption file of one's own (CSV, TSV, JSON, JSONL); ``root`` is then the folder of images.
        templates: Sentences with ``{}`` for the class name, as captions of a folder of class folders.
        weight: How often each of its images is drawn in a pass; 0.5 draws every other one.
        exclude: Files of images to leave out, as ``landsift datasets overlap --write`` makes them.
        partial: Accept a copy that is short of the published counts.
    """

    name: str = ""
    root: str = ""
    split: str = "train"
    captions: str = ""
    templates: tuple[str, ...] = ()
    weight: float = 1.0
    exclude: tuple[str, ...] = ()
    partial: bool = False

    def __post_init__(self) -> None:
        _check(bool(self.name or self.root), "a set needs a name or a root")
        _check(self.weight >= 0, f"weight must be 0 or more; got {self.weight}")


@dataclass(frozen=True)
class DataRecipe:
    """What is learnt from.

    Attributes:
        sets: Sets with captions; a picture file in several of them is one image with all its captions.
        unpaired: Sets whose captions, if any, are ignored; for pseudo-captions.
        unpaired_per_step: Images of those in each step.
        keep_out: Sets to be scored later, as ``name/split``: training images that look like one of theirs are
            left out.
        size: Side in pixels of the squares that are kept ready; 0 for the model's input size. Random crops
            are sharper from larger ones, up to twice the input size.
        cache: Folder for what is computed once; empty for LANDSIFT_CACHE, or ~/.cache/landsift.
        maps: Compute the frozen lower part of the image tower once, for a fixed number of views of an image.
        views: How many of them; the first is the image as it is.
        sampling: ``shuffle``; ``scenes`` gives each scene class equal turns; ``hard`` fills batches with
            images that the model of the last pass took for each other.
        neighbours: Of each image that ``hard`` puts beside it.
        teacher: Encoders (names or folders) to learn from; several are averaged.
        extras: Values for images that a method reads, by name: ``.npz`` files with ``names`` and ``values``.
    """

    sets: tuple[SetRecipe, ...] = field(default=(), metadata={"of": SetRecipe})
    unpaired: tuple[SetRecipe, ...] = field(default=(), metadata={"of": SetRecipe})
    unpaired_per_step: int = 64
    keep_out: tuple[str, ...] = ()
    size: int = 0
    cache: str = ""
    maps: bool = False
    views: int = 5
    sampling: str = "shuffle"
    neighbours: int = 7
    teacher: tuple[str, ...] = ()
    extras: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check(self.size >= 0, f"size must be 0 or more pixels; got {self.size}")
        _check(self.views >= 1, f"views must be 1 or more; got {self.views}")
        _check(self.neighbours >= 1, f"neighbours must be 1 or more; got {self.neighbours}")
        _check(self.unpaired_per_step >= 1, "unpaired_per_step must be 1 or more")


@dataclass(frozen=True)
class AugmentRecipe:
    """How images are changed each time they are drawn; zeros change nothing.

    Attributes:
        quarter_turns: Turn by 0, 90, 180 or 270 degrees: there is no up in an image from above.
        flips: Mirror every other one.
        smallest_crop: Least share of the area that is kept; 1 keeps all.
        stretch: Largest aspect ratio of a crop.
        coarse: Share of images that are reduced and enlarged again, as if from a coarser sensor.
        coarsest: Least scale of those; 0.25 makes 0.3 m pixels of 1.2 m.
        brightness: Largest relative change.
        contrast: Largest relative change.
        saturation: Largest relative change.
        cutout: Share of images with a square painted over by their mean colour.
        cutout_share: Largest share of the area it covers.
        noise: Share of images with Gaussian noise (Rusak et al., ECCV 2020, section 3.1).
        noisiest: Largest standard deviation of it, as a share of white.
    """

    quarter_turns: bool = True
    flips: bool = True
    smallest_crop: float = 0.6
    stretch: float = 1.25
    coarse: float = 0.0
    coarsest: float = 0.25
    brightness: float = 0.2
    contrast: float = 0.2
    saturation: float = 0.2
    cutout: float = 0.0
    cutout_share: float = 0.15
    noise: float = 0.0
    noisiest: float = 0.2

    def __post_init__(self) -> None:
        shares = (
            "coarse",
            "cutout",
            "cutout_share",
            "brightness",
            "contrast",
            "saturation",
            "noise",
            "noisiest",
        )
        for name in shares:
            _share(name, getattr(self, name))
        _check(
            0 < self.smallest_crop <= 1,
            f"smallest_crop must be above 0 and at most 1; got {self.smallest_crop}",
        )
        _check(0 < self.coarsest <= 1, f"coarsest must be above 0 and at most 1; got {self.coarsest}")
        _check(self.stretch >= 1, f"stretch must be 1 or more; got {self.stretch}")

    def told(self) -> list[tuple[str, float]]:
        """All that shows in the images, by name: what is kept of images is kept under this."""
        silent = () if self.noise else ("noise", "noisiest")  # caches from before there was noise stay good
        return sorted((name, value) for name, value in asdict(self).items() if name not in silent)


@dataclass(frozen=True)
class TextRecipe:
    """Which captions a step sees, and how they are changed.

    Attributes:
        per_image: Captions drawn for each image; 0 trains on images alone.
        style: How captions are altered first, as in ``landsift evaluate --captions``.
        word_drop: Probability that a word is left out.
        synonym_share: Probability that a word of the list is replaced by one of its synonyms.
        synonyms: TOML file with a table ``[synonyms]`` of word to words; empty for the list that ships.
        class_share: Probability that a caption is replaced by a phrase for the image's scene class, which is
            then right for every image of that class.
        class_phrases: TOML file with a table ``[phrases]`` of class in words to phrases; empty for the class
            names themselves.
        class_templates: Sentences with ``{}`` for the phrase.
    """

    per_image: int = 1
    style: str = "raw"
    word_drop: float = 0.0
    synonym_share: float = 0.0
    synonyms: str = ""
    class_share: float = 0.0
    class_phrases: str = ""
    class_templates: tuple[str, ...] = ("{}",)

    def __post_init__(self) -> None:
        for name in ("word_drop", "synonym_share", "class_share"):
            _share(name, getattr(self, name))
        _check(self.per_image >= 0, f"per_image must be 0 or more; got {self.per_image}")
        _check(
            bool(self.class_templates) and all("{}" in text for text in self.class_templates),
            "every one of class_templates needs {} for the phrase",
        )


@dataclass(frozen=True)
class TuneRecipe:
    """How much of the model trains.

    Attributes:
        name: ``full``; ``last-layers`` trains the layers next to the output; ``linear-probe`` only what lies
            at the output; ``lora`` low-rank adapters, which are folded into the weights that are kept.
        layers: How many steps from the output ``last-layers`` goes, in each tower.
        rank: Of an adapter's two matrices.
        scale: Factor on an adapter's part, times its rank; the paper's alpha.
        targets: Parts of names of the weights that get an adapter; none for all that take one.
        also: Prefixes of parameter names that train whole beside the layers or adapters, such as a
            temperature.
    """

    name: str = "full"
    layers: int = 1
    rank: int = 8
    scale: float = 16.0
    targets: tuple[str, ...] = ()
    also: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check(self.layers >= 0, f"layers must be 0 or more; got {self.layers}")
        _check(self.rank >= 1, f"rank must be 1 or more; got {self.rank}")
        _check(self.scale > 0, f"scale must be above 0; got {self.scale}")


@dataclass(frozen=True)
class ModelRecipe:
    """What is trained.

    Attributes:
        name: A method (``landsift list methods``), or ``package.module:ATTRIBUTE`` of one's own.
        start: Folder of a checkpoint of the same method to take the weights from; empty to start as the
            options say.
        freeze: Prefixes of parameter names that stay as they are; batch norms in a frozen part do too.
        tune: How much of the rest trains.
        options: Of the method.
    """

    name: str = "dual"
    start: str = ""
    freeze: tuple[str, ...] = ()
    tune: TuneRecipe = field(default_factory=TuneRecipe)
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class OptimizerRecipe:
    """How gradients move weights.

    Attributes:
        name: ``adamw``, ``adam`` or ``sgd``.
        rate: Peak learning rate.
        rates: Peak rates of parts, by prefix of parameter names; the longest prefix counts.
        layer_decay: Factor on the rate for each step away from the output; 1 trains all layers alike.
        weight_decay: Of matrices and kernels; biases, norms and single numbers have none.
        betas: Of Adam.
        momentum: Of SGD.
        clip: Largest norm of the gradient; 0 does not clip.
        critic_rate: Rate of an adversarial method's critic.
    """

    name: str = "adamw"
    rate: float = 1e-3
    rates: Mapping[str, float] = field(default_factory=dict)
    layer_decay: float = 1.0
    weight_decay: float = 0.05
    betas: tuple[float, ...] = (0.9, 0.98)
    momentum: float = 0.9
    clip: float = 1.0
    critic_rate: float = 1e-4

    def __post_init__(self) -> None:
        _check(self.rate > 0, f"rate must be above 0; got {self.rate}")
        _check(
            0 < self.layer_decay <= 1, f"layer_decay must be above 0 and at most 1; got {self.layer_decay}"
        )
        _check(len(self.betas) == 2, f"betas are two numbers; got {len(self.betas)}")
        _check(self.clip >= 0, f"clip must be 0 or more; got {self.clip}")
        wrong = [
            name for name, value in self.rates.items() if not isinstance(value, int | float) or value < 0
        ]
        _check(not wrong, f"rates must be numbers of 0 or more; {', '.join(wrong)} is not")


@dataclass(frozen=True)
class ScheduleRecipe:
    """How the learning rate goes over a run.

    Attributes:
        name: ``cosine``, ``linear``, ``constant`` or ``step``.
        warm_up: Share of the steps in which it rises from 0.
        least: Share of the peak it ends at; cosine and linear.
        milestones: Passes after which ``step`` multiplies the rate.
        factor: What it multiplies by.
    """

    name: str = "cosine"
    warm_up: float = 0.1
    least: float = 0.0
    milestones: tuple[int, ...] = ()
    factor: float = 0.1

    def __post_init__(self) -> None:
        _share("warm_up", self.warm_up)
        _share("least", self.least)


@dataclass(frozen=True)
class LoopRecipe:
    """How long, how much at once, and in which arithmetic.

    Attributes:
        epochs: Passes over the training images.
        steps_per_epoch: Steps in a pass; 0 for as many as show each image once, by its weight.
        batch: Images in a batch, of all processes together; the negatives of a contrastive loss.
        chunk: Encode a batch in chunks of this many images, at the memory of one chunk and with the gradient
            of the whole batch; 0 encodes it at once.
        accumulate: Batches whose gradients are averaged into one step, each with its own negatives.
        precision: ``float32``, ``bfloat16`` or ``float16``, of the towers; losses are always float32.
        average: Decay per step of the averaged weights that are validated and kept; 0 keeps the last ones.
        channels_last: Keep image maps with channels last; quicker for convolutions on most hardware.
        device: ``cpu``, ``cuda``, ...; empty for an accelerator where there is one.
        threads: Of torch on the CPU; 0 for its own choice.
        deterministic: Choose kernels that repeat to the bit on an accelerator, where there are such.
        seed: Of every random choice.
    """

    epochs: int = 10
    steps_per_epoch: int = 0
    batch: int = 128
    chunk: int = 0
    accumulate: int = 1
    precision: str = "float32"
    average: float = 0.0
    channels_last: bool = False
    device: str = ""
    threads: int = 0
    deterministic: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        _check(self.epochs >= 1, f"epochs must be 1 or more; got {self.epochs}")
        _check(self.batch >= 1, f"batch must be 1 or more; got {self.batch}")
        _check(self.accumulate >= 1, f"accumulate must be 1 or more; got {self.accumulate}")
        _check(self.chunk >= 0 and self.steps_per_epoch >= 0, "chunk and steps_per_epoch must be 0 or more")
        _check(0 <= self.average < 1, f"average must be 0 or more and below 1; got {self.average}")


@dataclass(frozen=True)
class ValidationRecipe:
    """What the best weights are chosen by; never a test split.

    Attributes:
        sets: Sets with captions; the score is the mean over them.
        share: Without sets, the share of the training images set aside, the same of each scene class; 0 for
            no validation, and then the last weights are kept.
        seed: Of that choice; apart from the run's seed, so that runs with different seeds compare.
        every: Passes between validations.
        patience: Stop after this many validations without a better one; 0 never stops early.
    """

    sets: tuple[SetRecipe, ...] = field(default=(), metadata={"of": SetRecipe})
    share: float = 0.1
    seed: int = 0
    every: int = 1
    patience: int = 0

    def __post_init__(self) -> None:
        _check(0 <= self.share < 1, f"share must be 0 or more and below 1; got {self.share}")
        _check(self.every >= 1, f"every must be 1 or more; got {self.every}")
        wrong = [found.name for found in self.sets if found.split == "test"]
        _check(not wrong, f"weights are not chosen on a test split ({', '.join(wrong)}); use val")


@dataclass(frozen=True)
class OutputRecipe:
    """What is written, and where; changes nothing in the weights.

    Attributes:
        folder: Of the run; empty for ``runs/<name>``.
        every_minutes: Between checkpoints within a pass; one is written after each pass anyway.
        tensorboard: Also write TensorBoard events.
        licence: SPDX name of the weights' licence, for the card.
        licence_note: Terms of the training data that a user must know.
        citation: Whom to cite.
    """

    folder: str = ""
    every_minutes: float = 10.0
    tensorboard: bool = False
    licence: str = "not stated"
    licence_note: str = ""
    citation: str = ""


@dataclass(frozen=True)
class Recipe:
    """One run.

    Attributes:
        name: Of the run and of the encoder it makes.
        description: One or two sentences.
        data: What is learnt from.
        augment: How images are changed.
        text: How captions are drawn and changed.
        model: What is trained.
        loss: Options and weight of each loss term by the term's name; ``own`` holds weights of terms that
            belong to the method.
        optimizer: How gradients move weights.
        schedule: How the rate goes.
        loop: How long and how much at once.
        validation: What the best weights are chosen by.
        output: What is written.
    """

    name: str = "run"
    description: str = ""
    data: DataRecipe = field(default_factory=DataRecipe)
    augment: AugmentRecipe = field(default_factory=AugmentRecipe)
    text: TextRecipe = field(default_factory=TextRecipe)
    model: ModelRecipe = field(default_factory=ModelRecipe)
    loss: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: {"info-nce": {}})
    optimizer: OptimizerRecipe = field(default_factory=OptimizerRecipe)
    schedule: ScheduleRecipe = field(default_factory=ScheduleRecipe)
    loop: LoopRecipe = field(default_factory=LoopRecipe)
    validation: ValidationRecipe = field(default_factory=ValidationRecipe)
    output: OutputRecipe = field(default_factory=OutputRecipe)

    def __post_init__(self) -> None:
        named = self.name and not set(self.name) & set("/\\ \t\n")
        _check(bool(named), f"a recipe's name is a word without blanks and slashes; got {self.name!r}")
