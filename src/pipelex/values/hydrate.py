"""Between JSON data and content objects: classes are built from concepts, inside one library. Never crosses a wire."""

from __future__ import annotations

import dataclasses
import datetime as dt
import math
import warnings
from collections.abc import Mapping
from enum import Enum
from pathlib import PurePath
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError, create_model
from pydantic import Field as ModelField

from pipelex.values.concepts import Concept, Concepts, Field, FieldType
from pipelex.values.contents import NATIVE_CLASSES, DynamicContent, ListContent, StructuredContent, StuffContent
from pipelex.values.depth import DEEPEST, TooDeep
from pipelex.values.value import Value

_PYTHON_TYPES: dict[FieldType, Any] = {
    FieldType.TEXT: str,
    FieldType.INTEGER: int,
    FieldType.NUMBER: int | float,
    FieldType.BOOLEAN: bool,
    FieldType.DATE: dt.date,
    FieldType.DATETIME: dt.datetime,
    FieldType.TIME: dt.time,
    FieldType.LIST: list[Any],
    FieldType.DICT: dict[str, Any],
}
_LIST: Any = list
_DICT: Any = dict
_OPEN: Any = DynamicContent | list[Any]
_ALIASED = ConfigDict(validate_by_name=True, validate_by_alias=True)


def content_class(concept: str, concepts: Concepts) -> type[StuffContent]:
    """The class of the contents of a concept; the same one each time for the same Concepts object.

    Natives and what refines them use the classes of `contents`; a structured concept gets a class of its own, whose
    fields hold real dates and times. A refinement of a structured concept is a subclass of its parent's class.
    """
    classes: dict[str, type[StuffContent]] = concepts._classes
    if concept not in classes:
        # setdefault: if two threads build the same class, both use the first.
        classes.setdefault(concept, _build_class(concept, concepts))
    return classes[concept]


def with_classes(own: Mapping[str, Concept], classes: Mapping[str, type[StructuredContent]]) -> Concepts:
    """Concepts whose contents are objects of the Python classes that they name, where these are known."""
    concepts = Concepts(own)
    named = {ref: classes.get(concept.structure_class or "") for ref, concept in own.items()}
    concepts._classes.update({ref: cls for ref, cls in named.items() if cls is not None})
    return concepts


def hydrate(value: Value, concepts: Concepts) -> StuffContent:
    """The content object of a value whose data has been decoded; a list becomes a ListContent, nested lists too."""
    return _hydrate(value.data, value.concept, concepts)


def dehydrate(result: object) -> JsonValue:
    """The JSON data of what a Python function or a caller gives: contents, pydantic models, dataclasses, plain values.

    Raises TypeError, naming the class, for anything that has no JSON form, and TooDeep.
    """
    return _dehydrate(result, 0)


def _dehydrate(result: object, depth: int) -> JsonValue:
    """The JSON data of what stands inside that many objects and lists."""
    if isinstance(result, Enum):
        return _dehydrate(result.value, depth)
    if isinstance(result, str):
        return _encodable(result)
    if result is None or isinstance(result, bool | int):
        return result
    if isinstance(result, float):
        if not math.isfinite(result):
            raise TypeError(f"{result} is not a number that JSON can hold")
        return result
    if isinstance(result, Value):
        return _dehydrate(result.data, depth)
    if isinstance(result, BaseModel) and not isinstance(result, ListContent):
        return _dehydrate(_dumped(result), depth)
    return _dehydrate_inside(result, depth + 1)


def _encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise TypeError("a text holds half a character (a lone surrogate), which UTF-8 cannot") from None
    return text


def _dumped(content: BaseModel) -> object:
    try:
        return content.model_dump(mode="json", by_alias=True, serialize_as_any=True)
    except ValueError as error:
        if "depth exceeded" in str(error):  # pydantic stops at about twice our limit
            raise TooDeep from None
        raise


def _dehydrate_inside(result: object, depth: int) -> JsonValue:
    if isinstance(result, dt.date | dt.time):
        return result.isoformat()
    if isinstance(result, PurePath):
        return str(result)
    if depth > DEEPEST:
        raise TooDeep
    if isinstance(result, ListContent | list | tuple):
        return [_dehydrate(item, depth) for item in result]
    if dataclasses.is_dataclass(result) and not isinstance(result, type):
        return {field.name: _dehydrate(getattr(result, field.name), depth) for field in dataclasses.fields(result)}
    if isinstance(result, Mapping):
        if wrong := next((key for key in result if not isinstance(key, str)), None):
            raise TypeError(f"a key of an object must be a text, found {wrong!r}")
        return {key: _dehydrate(item, depth) for key, item in result.items()}
    kind = type(result)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    raise TypeError(f"an object of class {name} has no JSON form")


def _hydrate(data: JsonValue, concept: str, concepts: Concepts) -> StuffContent:
    if isinstance(data, list):
        return ListContent(items=[_hydrate(item, concept, concepts) for item in data])
    cls = content_class(concept, concepts)
    if concepts[concept].structure_class is None:
        return cls.model_validate(data)
    try:
        return cls.model_validate(data)
    except ValidationError:
        # In our data an optional field is there, and null; a class may have a default that is neither.
        return cls.model_validate(_without_nulls(data))


def _without_nulls(data: JsonValue) -> JsonValue:
    if isinstance(data, list):
        return [_without_nulls(item) for item in data]
    if not isinstance(data, dict):
        return data
    return {name: _without_nulls(item) for name, item in data.items() if item is not None}


def _build_class(ref: str, concepts: Concepts) -> type[StuffContent]:
    root = concepts.root(ref)
    if root in NATIVE_CLASSES:
        return NATIVE_CLASSES[root]
    concept = concepts[ref]
    if concept.refines is not None:
        parent = content_class(concept.refines, concepts)
        return create_model(concept.code, __base__=parent, __doc__=concept.description, __module__=__name__)
    return _structured_class(concept.code, concept.description, concepts.structure(ref), concepts)


def _structured_class(
    code: str, description: str, fields: dict[str, Field], concepts: Concepts
) -> type[StructuredContent]:
    declared = dict(_declared(name, field, concepts) for name, field in fields.items())
    # A field wins over a method of the same name (`copy`, `json`); pydantic agrees, but says so with a warning.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Field name .* shadows an attribute", category=UserWarning)
        return create_model(
            code,
            __base__=(_Aliased if any(name not in fields for name in declared) else StructuredContent),
            __doc__=description,
            __module__=__name__,
            **declared,
        )


class _Aliased(StructuredContent):
    """The parent of structures with a field whose name pydantic keeps for itself."""

    model_config = _ALIASED


def _declared(name: str, field: Field, concepts: Concepts) -> tuple[str, Any]:
    annotation = _annotation(field, concepts)
    default = ... if field.required else field.default
    # pydantic works by its own `model_...` attributes: such a field is reached as `model_dump_` and so on.
    is_kept = name.startswith("model_") and hasattr(BaseModel, name)
    info = ModelField(default=default, description=field.description, alias=name if is_kept else None)
    return (f"{name}_" if is_kept else name), (annotation if field.required else annotation | None, info)


def _annotation(field: Field, concepts: Concepts) -> Any:
    if field.choices and field.type is FieldType.TEXT:
        return Literal[field.choices]
    if field.type is FieldType.CONCEPT and field.concept is not None:
        return _nested(field.concept, concepts)
    if field.type is FieldType.LIST and field.item_type is not None:
        return _LIST[_item(field, concepts)]
    if field.type is FieldType.DICT and field.value_type is not None:
        return _DICT[str, _PYTHON_TYPES[field.value_type]]
    return _PYTHON_TYPES[field.type]


def _item(field: Field, concepts: Concepts) -> Any:
    if field.item_type is FieldType.CONCEPT and field.concept is not None:
        return _nested(field.concept, concepts)
    return _PYTHON_TYPES[field.item_type or FieldType.TEXT]


def _nested(concept: str, concepts: Concepts) -> Any:
    return _OPEN if concepts.is_open(concept) else content_class(concept, concepts)
