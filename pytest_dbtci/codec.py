"""Frozen values as JSON and back, for what crosses a process's boundary or lies in a file between two runs."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")

Words = Annotated[str, "words"]
"""A text for people to read, not a name: whoever decodes it can take the secrets out."""

_Decode = Callable[[Any, Callable[[str], str]], Any]


def encode(value: Any) -> Any:
    """Return JSON-ready values; a field that holds its default is left out."""
    # Texts are most of what there is in the largest values, manifests: a call for each would take the longest.
    if is_dataclass(value):
        kind: Any = type(value)
        shown = ((name, getattr(value, name)) for name, default in _defaults(kind) if getattr(value, name) != default)
        return {name: part if type(part) is str else encode(part) for name, part in shown}
    if isinstance(value, Mapping):
        return {key: part if type(part) is str else encode(part) for key, part in value.items()}
    if isinstance(value, tuple | list):
        return [part if type(part) is str else encode(part) for part in value]
    return value


def decode(kind: type[T], data: Any, words: Callable[[str], str] = str) -> T:
    """Return the value of that type, its `Words` passed through `words`.

    Raises ValueError or TypeError where a field is unknown or missing, or the data has another shape.
    """
    wanted: Any = kind
    decoded: T = _decoder(wanted)(data, words)
    return decoded


@cache
def _defaults(kind: Any) -> tuple[tuple[str, Any], ...]:
    def default(field: Field[Any]) -> Any:
        return field.default if field.default_factory is MISSING else field.default_factory()

    return tuple((field.name, default(field)) for field in fields(kind))


@cache
def _decoder(kind: Any) -> _Decode:
    origin, arguments = get_origin(kind), get_args(kind)
    if is_dataclass(kind):
        return _class_decoder(kind)
    if kind == Words:
        return lambda data, words: words(data)
    if origin in (Union, types.UnionType):
        [inner] = [_decoder(a) for a in arguments if a is not types.NoneType]
        return lambda data, words: None if data is None else inner(data, words)
    if origin is Literal:
        return lambda data, words: data if data in arguments else _refuse(kind, data)
    if origin is tuple:
        return _tuple_decoder(kind, arguments)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _mapping_decoder(kind, _decoder(arguments[1]))
    return _as_it_is


def _class_decoder(kind: Any) -> _Decode:
    hints = get_type_hints(kind, include_extras=True)
    decoders = {field.name: _decoder(hints[field.name]) for field in fields(kind)}

    def decode_class(data: Any, words: Callable[[str], str]) -> Any:
        if not isinstance(data, dict) or data.keys() - decoders.keys():
            _refuse(kind, data)
        return kind(**{k: v if (part := decoders[k]) is _as_it_is else part(v, words) for k, v in data.items()})

    return decode_class


def _mapping_decoder(kind: Any, part: _Decode) -> _Decode:
    def decode_mapping(data: Any, words: Callable[[str], str]) -> dict[str, Any]:
        if not isinstance(data, dict):
            _refuse(kind, data)
        return data if part is _as_it_is else {key: part(value, words) for key, value in data.items()}

    return decode_mapping


def _tuple_decoder(kind: Any, arguments: tuple[Any, ...]) -> _Decode:
    if arguments[-1] is not Ellipsis:
        parts = [_decoder(a) for a in arguments]
        return lambda data, words: tuple(part(value, words) for part, value in zip(parts, data, strict=True))
    part = _decoder(arguments[0])

    def decode_tuple(data: Any, words: Callable[[str], str]) -> tuple[Any, ...]:
        if not isinstance(data, list):
            _refuse(kind, data)
        return tuple(data) if part is _as_it_is else tuple(part(value, words) for value in data)

    return decode_tuple


def _as_it_is(data: Any, words: Callable[[str], str]) -> Any:
    return data


def _refuse(kind: Any, data: Any) -> Any:
    raise ValueError(f"{getattr(kind, '__name__', kind)} can't be read from {str(data)[:200]!r}")
