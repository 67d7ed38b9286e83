"""Matchers by exact name: one table, options that are checked, and a way in for methods of one's own.

Knows where methods live, not what they do.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from landsift.errors import UsageError
from landsift.models.matcher import Matcher

__all__ = [
    "MATCHERS",
    "SOURCES",
    "MatcherSource",
    "MatcherSpec",
    "MethodCard",
    "build_matcher",
    "check_choices",
    "checked_options",
    "find_matcher",
    "fitting",
    "full_options",
    "list_change",
    "list_hashing",
    "list_matchers",
    "list_zoo",
    "one_of",
]

_METHODS = "landsift.models.methods."
_HASHING = f"{_METHODS}hashing."
_CHANGE = "landsift.models.change.methods:"

MATCHERS: Mapping[str, str] = {
    "dual": "landsift.models.dual_matcher:SPEC",
    "clip": "landsift.models.clip.matcher:SPEC",
    "pir-clip": "landsift.models.clip.instructed:SPEC",
    "pyramid": "landsift.models.pyramid_matcher:SPEC",
    "amfmn-fusion": f"{_METHODS}amfmn:FUSION",
    "amfmn-sim": f"{_METHODS}amfmn:SIM",
    "amfmn-soft": f"{_METHODS}amfmn:SOFT",
    "camp-bce": f"{_METHODS}camp:BCE",
    "camp-triplet": f"{_METHODS}camp:TRIPLET",
    "mtfn": f"{_METHODS}mtfn:SPEC",
    "scan-i2t": f"{_METHODS}scan:I2T",
    "scan-t2i": f"{_METHODS}scan:T2I",
    "lwmcr-b": f"{_METHODS}lwmcr:BASE",
    "lwmcr-d": f"{_METHODS}lwmcr:DISTILLED",
    "lwmcr-u": f"{_METHODS}lwmcr:UNSUPERVISED",
    "galr": f"{_METHODS}galr:SPEC",
    "swan": f"{_METHODS}swan:SPEC",
    "hvsa": f"{_METHODS}hvsa:SPEC",
    "kamcl": f"{_METHODS}kamcl:SPEC",
    "pir": f"{_METHODS}pir:SPEC",
    "faami": f"{_METHODS}faami:SPEC",
    "mcrn": f"{_METHODS}mcrn:SPEC",
    "msa": f"{_METHODS}msa:SPEC",
    "cmpagl": f"{_METHODS}cmpagl:SPEC",
    "remoteclip": f"{_METHODS}clip:REMOTECLIP",
    "georsclip": f"{_METHODS}clip:GEORSCLIP",
    "skyclip": f"{_METHODS}clip:SKYCLIP",
    "multilanguage": f"{_METHODS}clip:MULTILANGUAGE",
    "ebaker": f"{_METHODS}ebaker:EBAKER",
    "iebaker": f"{_METHODS}ebaker:IEBAKER",
    "ieft": f"{_METHODS}ieft:SPEC",
    "cfitr": f"{_METHODS}cfitr:SPEC",
    "sirs": f"{_METHODS}sirs:SPEC",
    "sarci": f"{_METHODS}sarci:SPEC",
    "pe-rsitr": f"{_METHODS}adapters:PE_RSITR",
    "harma": f"{_METHODS}adapters:HARMA",
    "ktir": f"{_METHODS}ktir:SPEC",
    "scat": f"{_METHODS}scat:SPEC",
    "miia": f"{_METHODS}miia:SPEC",
    "glisa": f"{_METHODS}glisa:SPEC",
    "textrs": f"{_METHODS}textrs:SPEC",
    "cup": f"{_METHODS}cup:SPEC",
    "geolangbind": f"{_METHODS}geolangbind:SPEC",
    "mgrm-el": f"{_METHODS}mgrm:SPEC",
    "texture-saliency": f"{_METHODS}texture:SPEC",
    "fgis": f"{_METHODS}fgis:SPEC",
    "cdman": f"{_METHODS}cdman:SPEC",
    "ccls2t": f"{_METHODS}ccls2t:SPEC",
    "fsisr": f"{_METHODS}fsisr:SPEC",
    "mff-sfe": f"{_METHODS}mffsfe:SPEC",
    "common-space": f"{_METHODS}commonspace:SPEC",
    "vsepp": f"{_METHODS}vsepp:SPEC",
    "agnet": f"{_HASHING}agnet:SPEC",
    "cach": f"{_HASHING}cach:SPEC",
    "category-contrast": f"{_HASHING}category:SPEC",
    "chnr": f"{_HASHING}chnr:SPEC",
    "cirh": f"{_HASHING}cirh:SPEC",
    "cmdvh": f"{_HASHING}cmdvh:SPEC",
    "dchmt": f"{_HASHING}dchmt:SPEC",
    "dcmh": f"{_HASHING}dcmh:SPEC",
    "djsrh": f"{_HASHING}djsrh:SPEC",
    "dmfh": f"{_HASHING}dmfh:SPEC",
    "dsph": f"{_HASHING}dsph:SPEC",
    "dtbh": f"{_HASHING}dtbh:SPEC",
    "duch": f"{_HASHING}duch:SPEC",
    "mith": f"{_HASHING}mith:SPEC",
    "mlcah": f"{_HASHING}mlcah:SPEC",
    "ssah": f"{_HASHING}ssah:SPEC",
    "ucch": f"{_HASHING}ucch:SPEC",
    "change-fusion": f"{_CHANGE}PAIR",
    "change-tau": f"{_CHANGE}UNIT",
    "change-tdn": f"{_CHANGE}GATES",
    "chg2cap": f"{_CHANGE}CHG2CAP",
    "mci-net": f"{_CHANGE}MCI",
    "rsiccformer": f"{_CHANGE}RSICC",
    "text-itsr": f"{_CHANGE}ITSR",
    "text-itsr-global": f"{_CHANGE}GLOBAL",
}
"""Exact name to ``module:attribute`` of a :class:`MatcherSpec`; imported when it is asked for."""


@dataclass(frozen=True)
class MatcherSource:
    """What a method is built from, beside its options.

    Attributes:
        captions: Captions of the training set, for a vocabulary; empty when a checkpoint is read.
        images: Number of training images, for memories of the whole set; 0 when a checkpoint is read.
        class_names: Scene classes of the training set.
        files: The files of the checkpoint that is read; empty when a method is built anew.
    """

    captions: Sequence[str] = ()
    images: int = 0
    class_names: Sequence[str] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)


SOURCES = ("code read", "paper", "abstract only", "title only")
"""What an implementation was written from. From an abstract the described idea is built; from a title, where
no text was reachable, an idea in its spirit. Neither is a reproduction."""


@dataclass(frozen=True)
class MethodCard:
    """What is known of a published method.

    Attributes:
        title: As its authors call it.
        year: Of publication.
        head: Kind of score: one of :data:`landsift.models.blocks.heads.HEADS`.
        source: One of ``SOURCES``.
        exact_index: Whether an index ranks as the method does; otherwise it re-ranks.
        published: Its name among the published scores; empty if none are known.
        backbone: Image tower of the published row to compare with; empty for any.
        stands_in: Inputs of the paper that are made from the image itself here.
    """

    title: str
    year: int
    head: str
    source: str
    exact_index: bool = True
    published: str = ""
    backbone: str = ""
    stands_in: str = ""

    def __post_init__(self) -> None:
        if self.source not in SOURCES:
            raise ValueError(f"source is one of {', '.join(SOURCES)}; got {self.source!r}")


@dataclass(frozen=True)
class MatcherSpec:
    """A row of the table.

    Attributes:
        options: A frozen dataclass with a default for every field.
        build: Makes the matcher from options and source.
        citation: Whom the method is from.
        card: What is known of it; None for what is no published method.
    """

    options: type[Any]
    build: Callable[[Any, MatcherSource], Matcher]
    citation: str = ""
    card: MethodCard | None = None


def list_matchers() -> list[str]:
    """The names that recipes may give, in alphabetical order."""
    return sorted(MATCHERS)


def list_zoo() -> list[str]:
    """Those of them that are published methods of retrieval by vectors or pairs."""
    return [
        name
        for name in list_matchers()
        if MATCHERS[name].startswith(_METHODS) and not MATCHERS[name].startswith(_HASHING)
    ]


def list_hashing() -> list[str]:
    """Those of them that are published hashing methods, whose vectors' signs are bits."""
    return [name for name in list_matchers() if MATCHERS[name].startswith(_HASHING)]


def list_change() -> list[str]:
    """Those of them that read two dates: six channels, the earlier picture first."""
    return [name for name in list_matchers() if MATCHERS[name].startswith(_CHANGE)]


def find_matcher(name: str) -> MatcherSpec:
    """Look a method up.

    Args:
        name: Of :func:`list_matchers`, or ``package.module:ATTRIBUTE`` of a method of one's own.

    Raises:
        UsageError: There is none; the message spells the nearest name.
    """
    place = name if ":" in name else MATCHERS.get(name)
    if place is None:
        raise UsageError(f"There is no method named {name!r}; {one_of(name, list_matchers())}")
    module, _, attribute = place.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UsageError(
            f"The method {name!r} cannot be imported ({error}); write it as package.module:ATTRIBUTE."
        ) from error
    if not isinstance(found, MatcherSpec):
        raise UsageError(f"{name} is a {type(found).__name__}, not a MatcherSpec; point to the spec.")
    return found


def build_matcher(
    name: str, options: Mapping[str, Any] | None = None, source: MatcherSource | None = None
) -> Matcher:
    """Build a method by name.

    Args:
        name: As for :func:`find_matcher`.
        options: By field name of the method's options; what is left out has its default.
        source: What it is built from.

    Raises:
        UsageError: No such method, or no such option.
    """
    spec = find_matcher(name)
    chosen = checked_options(spec.options, options or {}, f"[model.options] of {name}")
    return spec.build(chosen, source or MatcherSource())


def full_options(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Every option of a method by name, those that are left out with their defaults.

    Raises:
        UsageError: No such method, or no such option.
    """
    return asdict(checked_options(find_matcher(name).options, options, f"[model.options] of {name}"))


def checked_options(kind: type[Any], given: Mapping[str, Any], where: str) -> Any:
    """Make an options dataclass from plain values.

    Args:
        kind: The dataclass.
        given: Values by field name; lists become tuples where the field's default is one, whole numbers
            become floats where it is a float.
        where: How messages call the place.

    Raises:
        UsageError: An unknown name, or a value of the wrong kind; the message lists what is known.
    """
    known = {entry.name: entry for entry in fields(kind)}
    for name in given:
        if name not in known:
            raise UsageError(f"{where} has no {name!r}; {one_of(name, list(known))}")
    made = kind()
    values = {name: fitting(value, getattr(made, name), f"{where}: {name}") for name, value in given.items()}
    try:
        return kind(**values)
    except ValueError as error:
        raise UsageError(f"{where}: {error}") from error


def fitting(value: Any, default: Any, where: str) -> Any:
    """The value as the kind that its default has; a default of None takes anything.

    Raises:
        UsageError: It is of another kind.
    """
    if isinstance(default, bool) or isinstance(value, bool):
        fits = isinstance(value, bool) and isinstance(default, bool)
    elif isinstance(default, float):
        fits = isinstance(value, int | float)
        value = float(value) if fits else value
    elif isinstance(default, tuple):
        fits = isinstance(value, list | tuple)
        value = tuple(value) if fits else value
    else:
        fits = default is None or isinstance(value, type(default))
    if not fits:
        raise UsageError(f"{where} takes a value like {default!r}; got {value!r}.")
    return value


def check_choices(options: object, choices: Mapping[str, Sequence[str]]) -> None:
    """Refuse options that are not among those known.

    Args:
        options: Whose attributes are looked at.
        choices: Attribute to its known values.

    Raises:
        ValueError: One is unknown; the message ends in the remedy.
    """
    for name, known in choices.items():
        value = getattr(options, name)
        if value not in known:
            raise ValueError(f"there is no {name} {value!r}; {one_of(value, known)}")


def one_of(name: str, known: Sequence[str]) -> str:
    """The remedy for a name that is not in a table: the near one, or all of them."""
    close = difflib.get_close_matches(name, known, n=1)
    listed = ", ".join(known) or "none"
    return f"did you mean {close[0]}? (known: {listed})" if close else f"the known ones are: {listed}."
