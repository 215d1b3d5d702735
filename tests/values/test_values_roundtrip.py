"""For any concepts: a mock of the schema is valid, decodes, decodes to itself, and survives content objects."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelex.values.clock import read_date, read_datetime, read_time
from pipelex.values.concepts import Concept, Concepts, Field, FieldType
from pipelex.values.decode import Mismatch, decode
from pipelex.values.hydrate import dehydrate, hydrate
from pipelex.values.mock import mock
from pipelex.values.render import render, render_markdown_report
from pipelex.values.schema import json_schema, slot_schema
from pipelex.values.slots import Slot
from pipelex.values.value import Value

SCALARS = [
    FieldType.TEXT,
    FieldType.INTEGER,
    FieldType.NUMBER,
    FieldType.BOOLEAN,
    FieldType.DATE,
    FieldType.DATETIME,
    FieldType.TIME,
]
DEFAULTS: dict[FieldType, Any] = {FieldType.TEXT: "d", FieldType.INTEGER: 3, FieldType.BOOLEAN: False}
FIELD_NAMES = (
    "title text items number date time type format json copy schema dict model_name model_dump url caption a b c"
)
FORMATS = {
    "date": lambda text: read_date(text) == text,
    "date-time": lambda text: read_datetime(text) is not None,
    "time": lambda text: read_time(text) is not None,
}
"""A time without a zone is a time of MTHDS, though not of JSON Schema."""
NAMES = st.sampled_from(FIELD_NAMES.split())


@st.composite
def fields(draw: st.DrawFn, known: list[str]) -> Field:
    type = draw(st.sampled_from(list(FieldType)))
    if type is FieldType.CONCEPT:
        more: dict[str, Any] = {"concept": draw(st.sampled_from(known))}
    elif type is FieldType.LIST:
        item_type = draw(st.sampled_from([None, FieldType.CONCEPT, FieldType.DICT, *SCALARS]))
        more = {"item_type": item_type}
        if item_type is FieldType.CONCEPT:
            more["concept"] = draw(st.sampled_from(known))
    elif type is FieldType.DICT:
        more = {"value_type": draw(st.sampled_from([None, FieldType.LIST, FieldType.DICT, *SCALARS]))}
    elif type in (FieldType.TEXT, FieldType.INTEGER, FieldType.NUMBER) and draw(st.booleans()):
        more = {"choices": ("x", "y") if type is FieldType.TEXT else ("2", "7")}
    else:
        more = {}
    required = draw(st.booleans())
    if not required and not more and draw(st.booleans()):
        more["default"] = DEFAULTS.get(type)
    return Field(description="d", type=type, required=required, **more)


@st.composite
def libraries(draw: st.DrawFn) -> Concepts:
    own: dict[str, Concept] = {}
    for index in range(draw(st.integers(1, 5))):
        # Only what exists already is named, so that nothing nests itself.
        known = [*Concepts({}), *own]
        ref = f"{draw(st.sampled_from(['one', 'two.deep']))}.C{index}"
        form = draw(st.sampled_from(["text", "refines", "fields", "fields"]))
        if form == "fields":
            structure = draw(st.dictionaries(NAMES, fields(known), min_size=1, max_size=6))
            own[ref] = Concept(ref=ref, description="d", fields=structure)
        else:
            own[ref] = Concept(
                ref=ref, description="d", refines=draw(st.sampled_from(known)) if form == "refines" else None
            )
    return Concepts(own)


@settings(max_examples=150, deadline=None)
@given(
    concepts=libraries(), seed=st.sampled_from(["", "a", "b"]), items=st.integers(0, 3), fills_optional=st.booleans()
)
def test_a_mock_goes_all_the_way_round(concepts: Concepts, seed: str, items: int, fills_optional: bool) -> None:
    for ref in concepts:
        schema = json_schema(ref, concepts)
        jsonschema_rs.meta.validate(schema)
        made = mock(schema, seed=seed, items=items, fills_optional=fills_optional)
        validator = jsonschema_rs.validator_for(schema, validate_formats=True, formats=FORMATS)
        validator.validate(made)
        decoded = decode(made, Slot(ref), concepts)
        assert decode(decoded, Slot(ref), concepts) == decoded
        content = hydrate(Value(concept=ref, data=decoded), concepts)
        assert dehydrate(content) == decoded
        assert all(
            isinstance(render(decoded, ref, concepts, style), str) for style in ("plain", "markdown", "html", "json")
        )
        assert isinstance(render_markdown_report(Value(concept=ref, data=[decoded]), concepts), str)


@settings(max_examples=60, deadline=None)
@given(concepts=libraries(), count=st.sampled_from([None, 2, 3]))
def test_lists_go_all_the_way_round(concepts: Concepts, count: int | None) -> None:
    for ref in concepts:
        slot = Slot(ref, is_list=True, count=count)
        schema = slot_schema(slot, concepts)
        made = mock(schema)
        jsonschema_rs.validator_for(schema, validate_formats=True, formats=FORMATS).validate(made)
        decoded = decode(made, slot, concepts)
        assert dehydrate(hydrate(Value(concept=ref, data=decoded), concepts)) == decoded


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(concepts=libraries(), data=JSON)
def test_any_data_fits_or_is_refused_and_what_fits_is_stable(concepts: Concepts, data: Any) -> None:
    for ref in concepts:
        for slot in (Slot(ref), Slot(ref, is_list=True)):
            try:
                tolerated = decode(data, slot, concepts, notes=[])
            except Mismatch:
                pass
            else:
                assert decode(tolerated, slot, concepts) == tolerated
            try:
                decoded = decode(data, slot, concepts)
            except Mismatch:
                continue
            assert decode(decoded, slot, concepts) == decoded
            value = Value(concept=ref, data=decoded)
            if isinstance(decoded, dict):
                assert dehydrate(hydrate(value, concepts)) == decoded
            render(decoded, ref, concepts)
