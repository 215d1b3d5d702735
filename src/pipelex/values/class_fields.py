"""The fields that Python structure classes stand for (MTHDS section 4.7). Runs where a method is loaded; pure."""

from __future__ import annotations

import datetime as dt
import types
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import JsonValue
from pydantic.fields import FieldInfo

from pipelex.errors import ConfigError
from pipelex.values.concepts import Field, FieldType
from pipelex.values.contents import NATIVE_CLASSES, DynamicContent, StructuredContent
from pipelex.values.hydrate import dehydrate

_SCALARS: Final[dict[object, FieldType]] = {
    str: FieldType.TEXT,
    bool: FieldType.BOOLEAN,
    int: FieldType.INTEGER,
    float: FieldType.NUMBER,
    dt.date: FieldType.DATE,
    dt.datetime: FieldType.DATETIME,
    dt.time: FieldType.TIME,
}
_NATIVES: Final = {cls: ref for ref, cls in NATIVE_CLASSES.items() if cls is not DynamicContent}
_KNOWN: Final = (
    "a field is a str, int, float, bool, date, datetime or time, a Literal or an Enum, a StructuredContent, a native "
    "content, a list of these, a dict[str, ...] of plain values, or one of these or None"
)


class ClassFields(Mapping[str, Mapping[str, Field]]):
    """Structure classes by name, as the fields they stand for. A class is only read when a concept names it.

    A field that holds another class names that class, without a domain, as its concept. Reading raises ConfigError for
    a type that has no counterpart in the language.
    """

    def __init__(self, classes: Mapping[str, type[StructuredContent]]) -> None:
        self._classes = dict(classes)

    def __getitem__(self, name: str) -> Mapping[str, Field]:
        cls = self._classes[name]
        for nested in _nested(cls):
            if self._classes.setdefault(nested.__name__, nested) is not nested:
                message = f"two structure classes are named {nested.__name__!r}"
                raise ConfigError(message, where=place_of(cls), hint="give one of them another name")
        return class_fields(cls)

    def __iter__(self) -> Iterator[str]:
        return iter(self._classes)

    def __len__(self) -> int:
        return len(self._classes)


def class_fields(cls: type[StructuredContent]) -> dict[str, Field]:
    """The fields of a class, inherited ones included. Raises ConfigError for a type that has no counterpart."""
    return {info.alias or name: _field(cls, name, info) for name, info in cls.model_fields.items()}


def place_of(cls: type) -> str:
    """A class as people find it: its module and its name."""
    return f"{cls.__module__}.{cls.__qualname__}"


def _field(cls: type, name: str, info: FieldInfo) -> Field:
    kind, is_nullable = _not_none(info.annotation)
    declared = _declared(kind)
    if declared is None:
        message = f"the type of {cls.__name__}.{name} has no counterpart in a structure: {_spelled(info.annotation)}"
        raise ConfigError(message, where=place_of(cls), hint=_KNOWN)
    description = info.description or name.replace("_", " ")
    is_required = info.is_required() and not is_nullable
    return Field(description=description, required=is_required, default=_default(cls, name, info), **declared)


def _declared(kind: Any) -> dict[str, Any] | None:
    """What a type says of a field; None when there is no such field."""
    origin, inside = get_origin(kind) or kind, get_args(kind)
    if origin is list:
        item = None if inside in ((), (Any,)) else _plain(inside[0])
        return None if item == {} else {"type": FieldType.LIST, **_renamed(item or {}, "item_type")}
    if origin is dict:
        return _dict(inside)
    choices = _choices(kind)
    if choices:
        types = {type(choice) for choice in choices}
        scalar = _SCALARS.get(types.pop()) if len(types) == 1 else None
        is_fit = scalar in (FieldType.TEXT, FieldType.INTEGER, FieldType.NUMBER)
        return {"type": scalar, "choices": tuple(map(str, choices))} if is_fit else None
    return _plain(kind) or None


def _dict(inside: tuple[Any, ...]) -> dict[str, Any] | None:
    if inside and inside[0] is not str:
        return None
    if not inside or inside[1] is Any:
        return {"type": FieldType.DICT}
    value = _plain(inside[1])
    if value.get("type") in (None, FieldType.CONCEPT):
        return None
    return {"type": FieldType.DICT, **_renamed(value, "value_type")}


def _plain(kind: Any) -> dict[str, Any]:
    """A scalar, a content, or a dict of anything; empty for any other type."""
    kind, is_nullable = _not_none(kind)
    if isinstance(kind, types.UnionType) or get_origin(kind) is Union:
        return {"type": FieldType.NUMBER} if set(get_args(kind)) == {int, float} else {}
    if is_nullable and kind in (None, Any):
        return {}
    if (get_origin(kind) or kind) is dict and get_args(kind) in ((), (str, Any)):
        return {"type": FieldType.DICT}
    if isinstance(kind, type) and kind in _SCALARS:
        return {"type": _SCALARS[kind]}
    if isinstance(kind, type) and kind in _NATIVES:
        return {"type": FieldType.CONCEPT, "concept": _NATIVES[kind]}
    if isinstance(kind, type) and issubclass(kind, StructuredContent) and kind is not StructuredContent:
        return {"type": FieldType.CONCEPT, "concept": kind.__name__}
    return {}


def _renamed(declared: dict[str, Any], key: str) -> dict[str, Any]:
    return {key if name == "type" else name: value for name, value in declared.items()}


def _choices(kind: Any) -> tuple[Any, ...]:
    if get_origin(kind) is Literal:
        return get_args(kind)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return tuple(member.value for member in kind)
    return ()


def _not_none(kind: Any) -> tuple[Any, bool]:
    """The type without the remarks on it and without None, and whether None was allowed."""
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if not isinstance(kind, types.UnionType) and get_origin(kind) is not Union:
        return kind, False
    left = [member for member in get_args(kind) if member is not type(None)]
    is_nullable = len(left) < len(get_args(kind))
    return (_not_none(left[0])[0] if len(left) == 1 else Union[tuple(left)]), is_nullable  # noqa: UP007


def _default(cls: type, name: str, info: FieldInfo) -> JsonValue:
    if info.is_required():
        return None
    if info.default_factory is not None:
        # Others may give another value each time: what they give is left to the class.
        return {list: [], dict: {}}.get(info.default_factory)  # type: ignore[call-overload,no-any-return]
    try:
        return dehydrate(info.default)
    except TypeError as error:
        message = f"the default of {cls.__name__}.{name} cannot be a default of a structure: {error}"
        raise ConfigError(message, where=place_of(cls)) from None


def _nested(cls: type[StructuredContent]) -> Iterator[type[StructuredContent]]:
    """The structure classes that the fields of a class hold."""
    waiting: list[Any] = [info.annotation for info in cls.model_fields.values()]
    while waiting:
        kind = waiting.pop()
        waiting += get_args(kind)
        if isinstance(kind, type) and issubclass(kind, StructuredContent) and kind is not StructuredContent:
            yield kind


def _spelled(kind: Any) -> str:
    return kind.__qualname__ if isinstance(kind, type) else str(kind)
