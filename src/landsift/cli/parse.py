"""Option texts -> values, with an error that names the option."""

from __future__ import annotations

from landsift.errors import UsageError
from landsift.types import TimeSpan

__all__ = ["parse_box", "parse_date", "parse_numbers", "parse_place"]


def parse_numbers(text: str | None, option: str, example: str) -> tuple[float, ...] | None:
    """Numbers between commas; None stays None."""
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(
            f"{option} takes numbers between commas, got {text!r}; for example {option} {example}"
        ) from None


def parse_box(text: str | None) -> tuple[float, float, float, float] | None:
    """``W,S,E,N`` in degrees."""
    numbers = parse_numbers(text, "--bbox", "-74.1,40.6,-73.8,40.9")
    if numbers is None:
        return None
    if len(numbers) != 4:
        raise UsageError(
            f"--bbox takes four numbers W,S,E,N, got {len(numbers)}; for example --bbox -74.1,40.6,-73.8,40.9"
        )
    west, south, east, north = numbers
    return west, south, east, north


def parse_place(text: str | None) -> tuple[float, float] | None:
    """``LON,LAT`` in degrees."""
    numbers = parse_numbers(text, "--near", "4.5,51.9")
    if numbers is None:
        return None
    if len(numbers) != 2:
        raise UsageError(f"--near takes two numbers LON,LAT, got {len(numbers)}; for example --near 4.5,51.9")
    return numbers[0], numbers[1]


def parse_date(text: str | None, option: str) -> TimeSpan | None:
    """``YYYY``, ``YYYY-MM``, ``YYYY-MM-DD`` or an ISO date-time."""
    if text is None:
        return None
    try:
        return TimeSpan.parse(text)
    except ValueError:
        raise UsageError(f"{option} takes a date such as 2020, 2020-06 or 2020-06-30, got {text!r}") from None
