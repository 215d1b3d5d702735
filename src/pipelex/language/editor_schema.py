"""JSON Schema of a `.mthds` document, for editors and generators of methods. Pure; never used to read a document.

What the classes of `pipes` and `bundle` say is taken from them; the forms that are rewritten before these classes are
written here by hand. Today's spellings only. A document that `parse_bundle` accepts when strict fits the schema.
"""

from __future__ import annotations

import re
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from pipelex.language.bundle import ConceptDeclaration, FieldDeclaration
from pipelex.language.pipes import (
    OUTCOME_WORDS,
    BasePipe,
    Binding,
    Pipe,
    PipeSignature,
    Question,
    Step,
    TagStyle,
    TemplateCategory,
    TemplatingStyle,
)
from pipelex.language.read_model import _EXCLUSIVE, _SETTINGS
from pipelex.values.concepts import FieldType

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_SEGMENT = "[a-z][a-z0-9_]*"
_PACKAGE = r"(?:[^\s>]+->)?"
_CONCEPT = rf"{_PACKAGE}(?:{_SEGMENT}\.)*[A-Z][a-zA-Z0-9]*"
_MANY = r"\[(?:[0-9]*[1-9][0-9]*)?\]"
_FIELD = r"^[^_0-9\s.-][^\s.-]*$"
_TEXT: Schema = {"type": "string"}

_MEANINGS = {
    "type": "What the pipe does, or what kind of value the field holds",
    "description": "What it is, in a sentence: models and people read it",
    "inputs": "The values the pipe reads, by name",
    "output": "The concept the pipe gives: X, X[] (a list), X[3] (exactly three), X? (one, or absent)",
    "prompt": "A template: $name puts an input in a sentence, @name puts it in a block of its own",
    "system_prompt": "A template that says who the model is; without it, the one of the bundle is used",
    "negative_prompt": "A template that says what the image must not show",
    "model": "$preset, @alias, ~waterfall, the handle of a model, or a table of settings",
    "model_to_structure": "The model that fills the structure, with structuring_method = preliminary_text",
    "structuring_method": "Ask for the structure at once, or for a text first that a second call structures",
    "templating_style": "How values are printed into the prompt",
    "steps": "The pipes to run, one after the other",
    "branches": "The pipes to run at the same time; each has a result",
    "result": "The name under which later steps find the value",
    "batch_over": "The list whose items the pipe runs on, one by one; a dotted path reaches into a value",
    "batch_as": "The name of one item while the pipe runs on it",
    "nb_output": "How many items the pipe must give this time",
    "multiple_output": "Whether the pipe gives a list this time",
    "from": "A name, or a dotted path into a value",
    "outcomes": "The pipe to run for each value of the expression; `fail` and `continue` are words of their own",
    "default_outcome": "The pipe to run for any other value, or `fail`, or `continue`",
    "expression": "A Jinja expression without braces, such as triage.topic",
    "expression_template": "A Jinja template whose text is the value to look up",
    "branch_pipe_code": "The pipe to run on each item",
    "input_list_name": "The input that is the list",
    "input_item_name": "The name of one item while the branch runs on it",
    "max_concurrency": "How many items at a time",
    "function_name": "The name of the Python function to call",
    "template": "The text to fill in, as a string or as a table that says its category too",
    "construct": "How each field of the output is made",
    "question": "What to ask about the evidence",
    "questions": "Several questions at once, by field of the output",
    "options": "The answers to choose from, with what each means",
    "levels": "The levels of a rating, from the lowest",
    "criteria": "When the answer is yes, and when it is no",
    "threshold": "The probability from which the answer is yes",
    "refines": "The concept that this one is a special case of; its structure is inherited",
    "structure": "The fields of the concept",
    "hints": "Words for those who make forms, such as intent = prose",
    "choices": "The values to choose from",
    "required": "Whether the field must have a value",
    "signature_for": "The type of pipe that is meant to implement the signature",
}


def editor_schema() -> Schema:
    """The schema of one `.mthds` document as JSON data; dates of TOML count as their ISO texts."""
    definitions = _definitions()
    kinds = [kind for kind in _kinds() if kind is not PipeSignature]
    definitions |= {kind.__name__: _kind(kind) for kind in kinds}
    definitions["PipeSignature"] = _signature(kinds)
    by_type = {"oneOf": [{"$ref": f"#/$defs/{kind.__name__}"} for kind in kinds]}
    definitions["Pipe"] = {
        "if": {"type": "object", "required": ["type"]},
        "then": by_type,
        "else": {"$ref": "#/$defs/PipeSignature"},
    }
    properties = {
        "domain": {
            "type": "string",
            "pattern": rf"^(?!(?:native|mthds|pipelex)(?:\.|$)){_SEGMENT}(?:\.{_SEGMENT})*$",
            "description": "The namespace of everything declared in the file",
        },
        "description": {**_TEXT, "description": "What the methods of the file are about"},
        "system_prompt": {**_TEXT, "description": "The system prompt of every PipeLLM of the file that has none"},
        "main_pipe": {"type": "string", "pattern": f"^{_SEGMENT}$", "description": "The pipe to start with"},
        "concept": _table({"$ref": "#/$defs/Concept"}, "^[A-Z][a-zA-Z0-9]*$", "The concepts, by code"),
        "pipe": _table({"$ref": "#/$defs/Pipe"}, f"^{_SEGMENT}$", "The pipes, by code"),
    }
    return {
        "$schema": DIALECT,
        "title": "MTHDS File Schema",
        "description": "One .mthds file: typed concepts, and the pipes that make them",
        **_object(properties, ["domain"]),
        "$defs": dict(sorted(definitions.items())),
        "x-taplo": {"initKeys": ["domain"]},
    }


def _kinds() -> tuple[type[BasePipe], ...]:
    union = get_args(Pipe)[0]
    return get_args(union)


def _object(properties: Schema, required: list[str] | None = None, **more: Any) -> Schema:
    """A closed table."""
    required_keys = {"required": required} if required else {}
    return {"type": "object", "additionalProperties": False, "properties": properties, **required_keys, **more}


def _table(values: Schema, names: str | None = None, description: str | None = None, **more: Any) -> Schema:
    """A table with names of the author's choice."""
    named = {"propertyNames": {"pattern": names}} if names else {}
    about = {"description": description} if description else {}
    return {"type": "object", **about, **named, "additionalProperties": values, **more}


def _either(*keys: str) -> list[Schema]:
    """Exactly one of the keys."""
    return [{"required": [key]} for key in keys]


def _without(*keys: str) -> Schema:
    """None of the keys."""
    return {"properties": {key: {"not": {}} for key in keys}}


# What the classes say.


class _FromClasses(GenerateJsonSchema):
    """A slot is a text in the file."""

    def is_instance_schema(self, schema: core_schema.IsInstanceSchema) -> JsonSchemaValue:
        return {"type": "string"}


def _of(model: type[BaseModel]) -> tuple[Schema, list[str]]:
    """The properties of a class as the file spells them, and those that are required."""
    generated = model.model_json_schema(by_alias=True, schema_generator=_FromClasses)
    properties = {name: _tidy(value) for name, value in generated["properties"].items()}
    for name, value in properties.items():
        if name in _MEANINGS and "$ref" not in value:
            value["description"] = _MEANINGS[name]
    return properties, list(generated.get("required", []))


def _tidy(value: Any) -> Any:
    """Without nulls, which TOML does not have, and without what only Python needs."""
    if isinstance(value, list):
        return [_tidy(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {key: _tidy(item) for key, item in value.items() if key != "title" and not _is_empty_default(key, item)}
    branches = kept.get("anyOf")
    if isinstance(branches, list):
        full = [branch for branch in branches if branch != {"type": "null"}]
        kept["anyOf"] = full
        if len(full) == 1:
            del kept["anyOf"]
            kept = {**full[0], **kept}
    return kept


def _is_empty_default(key: str, value: object) -> bool:
    return key == "default" and value in (None, [], {})


def _about(model: type[BaseModel]) -> str:
    """The first sentence of a class's docstring, without the place in the reference."""
    first = (model.__doc__ or "").strip().split("\n\n")[0]
    return re.sub(r"\s*\(MTHDS section [^)]*\)", "", first).rstrip(".")


def _kind(kind: type[BasePipe]) -> Schema:
    """The table of one kind of pipe."""
    properties, required = _of(kind)
    properties.pop("input_hints", None)
    properties |= _COMMON | _OWN_KEYS.get(kind.__name__, {})
    family = _FAMILIES.get(kind.__name__)
    if family is not None:
        properties["model"] = {"$ref": f"#/$defs/{family}_model"}
    properties["type"] = {"const": kind.__name__, "description": _about(kind)}
    more = _OWN_RULES.get(kind.__name__, {})
    return {**_object(properties, required), "title": kind.__name__, "description": _about(kind), **more}


def _signature(kinds: list[type[BasePipe]]) -> Schema:
    properties = {**_COMMON, "description": _of(PipeSignature)[0]["description"]}
    meaning = _MEANINGS["signature_for"]
    properties["signature_for"] = {"enum": [kind.__name__ for kind in kinds], "description": meaning}
    return _object(properties, ["description", "output"], title="PipeSignature", description=_about(PipeSignature))


# What is rewritten before the classes see it.

_COMMON: Schema = {
    "inputs": _table(
        {"anyOf": [{"$ref": "#/$defs/InputSlot"}, {"$ref": "#/$defs/InputTable"}]},
        rf"^(?!_bound_){_SEGMENT}$",
        _MEANINGS["inputs"],
    ),
    "output": {"$ref": "#/$defs/OutputSlot"},
}

_FAMILIES = {
    "PipeLLM": "llm",
    "PipeStructure": "llm",
    "PipeImgGen": "img_gen",
    "PipeExtract": "extract",
    "PipeSearch": "search",
    "PipeJudge": "judgment",
}

_DATE: Schema = {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"}
_STEP: Schema = {"if": {"required": ["from"]}, "then": {"$ref": "#/$defs/Binding"}, "else": {"$ref": "#/$defs/Step"}}
_BRANCH: Schema = {"allOf": [{"$ref": "#/$defs/Step"}, {"required": ["result"]}]}
_OUTCOME: Schema = {"anyOf": [{"enum": sorted(OUTCOME_WORDS)}, {"$ref": "#/$defs/PipeRef"}]}
_SIZE: Schema = {
    "description": "A tier, WIDTHxHEIGHT, or a table of both",
    "anyOf": [
        {"enum": ["1k", "2k", "4k"]},
        {"type": "string", "pattern": "^[0-9]+x[0-9]+$"},
        _object({name: {"type": "integer", "minimum": 1} for name in ("width", "height")}, ["width", "height"]),
    ],
}


def _question_keys() -> Schema:
    """The keys of one question."""
    properties, _ = _of(Question)
    properties["options"] = _table(_TEXT, None, _MEANINGS["options"], minProperties=2)
    level = {"anyOf": [_TEXT, _object({"label": _TEXT, "description": _TEXT}, ["description"])]}
    properties["levels"] = {"type": "array", "minItems": 2, "items": level, "description": _MEANINGS["levels"]}
    properties["criteria"] = _object({"yes": _TEXT, "no": _TEXT}, ["yes", "no"], description=_MEANINGS["criteria"])
    return properties


_KIND_KEYS = ("options", "levels", "criteria", "threshold")
_ONE_SORT: Schema = {"not": {"required": ["options", "levels"]}}

_OWN_KEYS: dict[str, Schema] = {
    "PipeLLM": {
        "model_to_structure": {"$ref": "#/$defs/llm_model"},
        "templating_style": {"$ref": "#/$defs/TemplatingStyle"},
    },
    "PipeImgGen": {
        "size": _SIZE,
        "seed": {"anyOf": [{"type": "integer", "minimum": 0}, {"const": "auto"}], "description": "For repeatability"},
    },
    "PipeSearch": {"from_date": _DATE, "to_date": _DATE},
    "PipeJudge": {
        **_question_keys(),
        "questions": _table({"$ref": "#/$defs/Question"}, _FIELD, _MEANINGS["questions"], minProperties=1),
    },
    "PipeDocGen": {"template_file": {**_TEXT, "description": "A template beside the bundle; it excludes `template`"}},
    "PipeCompose": {
        "template": {
            "description": _MEANINGS["template"],
            "anyOf": [_TEXT, {"$ref": "#/$defs/TemplateTable"}],
        },
        "construct": {"$ref": "#/$defs/Construct"},
    },
    "PipeSequence": {
        "steps": {"type": "array", "minItems": 1, "items": _STEP, "description": _MEANINGS["steps"]},
    },
    "PipeParallel": {
        "branches": {"type": "array", "minItems": 1, "items": _BRANCH, "description": _MEANINGS["branches"]},
    },
    "PipeCondition": {
        "outcomes": _table(_OUTCOME, None, _MEANINGS["outcomes"], minProperties=1),
        "default_outcome": {**_OUTCOME, "description": _MEANINGS["default_outcome"]},
        "add_alias_from_expression_to": {"$ref": "#/$defs/StoredName"},
    },
    "PipeBatch": {
        "branch_pipe_code": {"$ref": "#/$defs/PipeRef"},
        "input_item_name": {"$ref": "#/$defs/StoredName"},
    },
}

_OWN_RULES: dict[str, Schema] = {
    "PipeJudge": {
        "required": ["type", "description", "output", "prompt"],
        "oneOf": [{"required": ["question"]}, {"required": ["questions"], **_without(*_KIND_KEYS)}],
        **_ONE_SORT,
    },
    "PipeCompose": {"oneOf": _either("template", "construct")},
    "PipeCondition": {"oneOf": _either("expression", "expression_template")},
    "PipeDocGen": {"not": {"required": ["template", "template_file"]}},
}


def _definitions() -> Schema:
    """The parts that several tables share."""
    style = _of(TemplatingStyle)[0]
    category = {"enum": list(get_args(TemplateCategory)), "description": "What the text is, and so what is escaped"}
    template = {"template": _TEXT, "category": category, "templating_style": {"$ref": "#/$defs/TemplatingStyle"}}
    template["extra_context"] = {"type": "object", "description": "Constants that the template may read"}
    hints = _table(_TEXT, None, _MEANINGS["hints"])
    return {
        "InputSlot": _slot(f"(?:{_MANY}|[?!])?", "X, X[] (a list), X[3] (three), X? (may be left out), X! (must be)"),
        "InputTable": _object({"concept": {"$ref": "#/$defs/InputSlot"}, "hints": hints}, ["concept"]),
        "OutputSlot": _slot(rf"(?:{_MANY}|\?)?", _MEANINGS["output"]),
        "ConceptRef": {"type": "string", "pattern": f"^{_CONCEPT}$"},
        "PipeRef": {"type": "string", "pattern": rf"^{_PACKAGE}(?:{_SEGMENT}\.)*{_SEGMENT}$"},
        "StoredName": {"type": "string", "pattern": rf"^(?!_bound_){_SEGMENT}$"},
        "TemplatingStyle": {"anyOf": [{"enum": list(get_args(TagStyle))}, _object(style, ["tag_style"])]},
        "TemplateTable": _object(template, ["template", "category"]),
        "Question": _object(_question_keys(), ["question"], **_ONE_SORT),
        "Concept": _concept(),
        "Field": _field(),
        **_steps(),
        **_construct(),
        **_models(),
    }


def _slot(suffix: str, description: str) -> Schema:
    return {"type": "string", "pattern": rf"^\s*{_CONCEPT}{suffix}\s*$", "description": description}


def _steps() -> Schema:
    step, required = _of(Step)
    step["pipe"] = {"$ref": "#/$defs/PipeRef"}
    step["result"] = step["batch_as"] = {"$ref": "#/$defs/StoredName"}
    binding, both = _of(Binding)
    binding.pop("slot", None)  # found while linking
    binding["result"] = {"$ref": "#/$defs/StoredName"}
    binding["from"]["pattern"] = r"^[A-Za-z][A-Za-z0-9_]*(?:\.[A-Za-z][A-Za-z0-9_]*)*$"
    paired = {"batch_over": ["batch_as"], "batch_as": ["batch_over"]}
    exclusive = {"not": {"required": ["nb_output", "multiple_output"]}}
    return {
        "Step": _object(step, required, description=_about(Step), dependentRequired=paired, **exclusive),
        "Binding": _object(binding, both, description=_about(Binding)),
    }


def _construct() -> Schema:
    """Values made from inputs, from templates, or written down; any other table is a nested object."""
    path = _object({"from": {**_TEXT, "description": _MEANINGS["from"]}, "list_to_dict_keyed_by": _TEXT}, ["from"])
    is_template = {"required": ["template"], "properties": {"template": _TEXT}}
    table = {
        "if": {"required": ["from"]},
        "then": path,
        "else": {"if": is_template, "then": _object({"template": _TEXT}), "else": {"$ref": "#/$defs/Construct"}},
    }
    return {
        "Construct": _table({"$ref": "#/$defs/ConstructValue"}, None, _MEANINGS["construct"]),
        "ConstructValue": {
            "if": {"type": "object"},
            "then": table,
            "else": {"type": ["string", "number", "boolean", "array"]},
        },
    }


def _concept() -> Schema:
    """A concept is one line that describes it, or a table."""
    properties, required = _of(ConceptDeclaration)
    properties.pop("structure_class", None)  # the name of a class, written as the structure
    properties["refines"] = {"$ref": "#/$defs/ConceptRef"}
    field = {"anyOf": [{**_TEXT, "description": "What the field holds, a text"}, {"$ref": "#/$defs/Field"}]}
    named = {**_TEXT, "description": "The name of a Python class that is known where the method runs"}
    table = _table(field, _FIELD)
    properties["structure"] = {"anyOf": [table, named], "description": _MEANINGS["structure"]}
    exclusive = {"not": {"required": ["refines", "structure"]}}
    return {"anyOf": [_TEXT, _object(properties, required, **exclusive)]}


def _when(key: str, word: str, then: Schema, otherwise: Schema) -> Schema:
    return {"if": {"required": [key], "properties": {key: {"const": word}}}, "then": then, "else": otherwise}


def _field() -> Schema:
    """The table of one field of a structure."""
    properties, _ = _of(FieldDeclaration)
    del properties["is_shorthand"]  # no key: how the field was spelled
    words = [word.value for word in FieldType]
    reference = {"$ref": "#/$defs/ConceptRef"}
    properties |= {
        "type": {"enum": words, "description": _MEANINGS["type"]},
        "choices": {"type": "array", "items": _TEXT, "minItems": 1, "uniqueItems": True},
        "default_value": {"description": "The value of the field when nobody gives one"},
        "item_type": {"enum": [*(word for word in words if word != "list"), "Any"]},
        "key_type": {"enum": ["text", "str"]},
        "value_type": {"enum": [*(word for word in words if word != "concept"), "Any"]},
        "concept_ref": reference,
        "item_concept_ref": reference,
    }
    concept = {"required": ["concept_ref"], **_without("default_value")}
    rules = [
        {"anyOf": [{"required": ["type"]}, {"required": ["choices"]}]},
        _when("type", "concept", concept, _without("concept_ref")),
        _when("type", "list", {}, _without("item_type", "item_concept_ref")),
        _when("type", "dict", {"required": ["key_type", "value_type"]}, _without("key_type", "value_type")),
        _when("item_type", "concept", {"required": ["item_concept_ref"]}, _without("item_concept_ref")),
        {
            "if": {"required": ["choices"]},
            "then": {"properties": {"type": {"enum": ["text", "integer", "number"]}}},
        },
    ]
    return _object(properties, ["description"], allOf=rules)


# The settings of models (MTHDS section 12.2).


def _models() -> Schema:
    """What `model` may be, by family."""
    named = {"type": "string", "pattern": r"[^$@~ ]"}
    models: Schema = {}
    for family, setting in _SETTINGS.items():
        keys, required = _of(setting)
        keys["description"] = _TEXT
        if "max_tokens" in keys:
            keys["max_tokens"] = {"anyOf": [keys["max_tokens"], {"const": "auto"}]}
        rules = [{"not": {"required": list(pair)}} for pair in _EXCLUSIVE if set(pair) <= set(keys)]
        table = _object(keys, required, **({"allOf": rules} if rules else {}))
        models[f"{family}_model"] = {"anyOf": [named, table], "description": _MEANINGS["model"]}
    return models
