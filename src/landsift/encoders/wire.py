"""The little of protobuf's wire format that it takes to look into an ONNX file and to add to it.

A message is a list of numbered fields, and two messages one after the other are one message with the fields
of both: what is added to a graph is bytes behind its file. Knows no ONNX and needs no protobuf.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

__all__ = ["Field", "fields", "integers", "message"]

Field: TypeAlias = tuple[int, "int | memoryview"]
"""A field's number, and its value: an integer, or the bytes of whatever else."""

_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5
_FIXED = {_EIGHT: 8, _FOUR: 4}
_WRAP = 1 << 64


def fields(content: memoryview) -> Iterator[Field]:
    """The fields of a message, in order. Fixed-width numbers come as their bytes.

    Raises:
        ValueError: The bytes are no such message.
    """
    place = 0
    while place < len(content):
        key, place = _varint(content, place)
        kind = key & 7
        if kind == _VARINT:
            value, place = _varint(content, place)
            yield key >> 3, value
            continue
        if kind == _BYTES:
            length, place = _varint(content, place)
        elif kind in _FIXED:
            length = _FIXED[kind]
        else:
            raise ValueError(f"there is no wire type {kind}")
        if place + length > len(content):
            raise ValueError("the message is cut short")
        yield key >> 3, content[place : place + length]
        place += length


def integers(value: int | memoryview) -> list[int]:
    """The signed 64-bit integers of a field: one, or several packed together."""
    if isinstance(value, int):
        return [_signed(value)]
    found, place = [], 0
    while place < len(value):
        number, place = _varint(value, place)
        found.append(_signed(number))
    return found


def message(*given: tuple[int, int | str | bytes | memoryview]) -> bytes:
    """A message of these fields; integers must not be negative, text is written as UTF-8."""
    out = bytearray()
    for number, value in given:
        if isinstance(value, int):
            out += _written(number << 3 | _VARINT) + _written(value)
        else:
            content = value.encode() if isinstance(value, str) else bytes(value)
            out += _written(number << 3 | _BYTES) + _written(len(content)) + content
    return bytes(out)


def _varint(content: memoryview, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if place >= len(content) or shift > 63:
            raise ValueError("the message is cut short")
        byte = content[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value, place


def _written(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes((*out, value))


def _signed(value: int) -> int:
    return value - _WRAP if value >> 63 else value
