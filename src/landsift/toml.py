"""Plain values -> TOML text. The standard library reads TOML but does not write it.

Knows strings, numbers, booleans, lists, tables and lists of tables; no dates and no comments.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["toml_text"]


def toml_text(fields: Mapping[str, Any]) -> str:
    """A mapping as TOML: plain values first, then one table for each nested mapping.

    Args:
        fields: Values that are None are left out, since TOML has no word for them.
    """
    return "\n".join(_lines((), fields)).strip("\n") + "\n"


def _lines(path: tuple[str, ...], fields: Mapping[str, Any]) -> list[str]:
    plain = {key: value for key, value in fields.items() if not _is_table(value) and value is not None}
    lines = [f"{_key(key)} = {_value(value)}" for key, value in plain.items()]
    for key, value in fields.items():
        here = (*path, _key(key))
        if isinstance(value, Mapping):
            body = _lines(here, value)
            # A table that holds nothing but tables needs no heading of its own.
            bare = bool(body) and all(_is_table(inner) for inner in value.values())
            lines += body if bare else ["", f"[{'.'.join(here)}]", *body]
        elif _is_table(value):
            for row in value:
                lines += ["", f"[[{'.'.join(here)}]]", *_lines(here, row)]
    return lines


def _is_table(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return bool(value) and all(isinstance(row, Mapping) for row in value)
    return isinstance(value, Mapping)


def _key(name: str) -> str:
    bare = name.replace("_", "").replace("-", "")
    return name if bare.isalnum() and name.isascii() else _string(name)


def _value(value: Any) -> str:
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, Sequence):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else ("inf" if value > 0 else "-inf")
    if isinstance(value, bool | int | float):
        # JSON's numbers and booleans are also TOML's.
        return json.dumps(value)
    raise TypeError(f"TOML has no word for a {type(value).__name__}")


def _string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
