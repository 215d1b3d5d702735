"""The `[concept]` table of a file, read into declarations as written (MTHDS section 4). Pure."""

from __future__ import annotations

import re
from keyword import iskeyword
from typing import Any

from pydantic import BaseModel

from pipelex.language.bundle import ConceptDeclaration, FieldDeclaration
from pipelex.language.findings import LEGACY, Findings, Path, did_you_mean, is_concept_ref, spoken
from pipelex.values.concepts import FieldType
from pipelex.values.natives import NATIVES

INVALID = "concept_structure_validation"

_CODE = re.compile(r"[A-Z][a-zA-Z0-9]*")
_CONCEPT_KEYS = ("description", "structure", "refines", "hints")
_FIELD_KEYS = (
    "description",
    "type",
    "required",
    "default_value",
    "choices",
    "item_type",
    "item_concept_ref",
    "concept_ref",
    "key_type",
    "value_type",
    "hints",
)
_TYPES = tuple(word.value for word in FieldType)
_ITEM_TYPES = tuple(word for word in _TYPES if word != "list")
_VALUE_TYPES = tuple(word for word in _TYPES if word != "concept")
_CHOICE_TYPES = ("text", "integer", "number")
_OTHER_WORDS = {
    "string": "text",
    "str": "text",
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "array": "list",
    "object": "dict",
    "enum": "text",
}


def read_concepts(table: object, findings: Findings) -> dict[str, ConceptDeclaration]:
    """Every concept of the file that is well formed; what is wrong with the others is in the findings."""
    concepts: dict[str, ConceptDeclaration] = {}
    for code, declared in (findings.table_at(table, ("concept",), INVALID, "'concept'") or {}).items():
        path: Path = ("concept", code)
        if not _CODE.fullmatch(code):
            hint = f"a concept code is PascalCase: '{_pascal(code)}'"
            findings.error(path, "concept_code_error", f"'{code}' cannot be a concept code", hint)
        elif f"native.{code}" in NATIVES:
            message = f"'{code}' is a native concept and cannot be declared again"
            findings.error(path, "native_concept_redeclaration", message, "use it as it is, or choose another code")
        if found := _concept(code, declared, path, findings):
            concepts[code] = found
    return concepts


def _pascal(code: str) -> str:
    return "".join(word[:1].upper() + word[1:] for word in re.split(r"[^A-Za-z0-9]+", code)).lstrip("0123456789") or "X"


def _concept(code: str, declared: object, path: Path, findings: Findings) -> ConceptDeclaration | None:
    if isinstance(declared, str):
        return ConceptDeclaration(description=declared)
    table = findings.table_at(declared, path, INVALID, f"concept '{code}'")
    if table is None:
        return None
    table = findings.close_keys(table, _CONCEPT_KEYS, path, f"concept '{code}'", INVALID)
    if "structure" in table and "refines" in table:
        message = f"concept '{code}' has both 'refines' and 'structure'"
        findings.error((*path, "structure"), INVALID, message, "a refinement inherits its parent's structure: drop one")
    description = _description(table, path, f"concept '{code}'", findings)
    refines = None
    if "refines" in table:
        refines = findings.concept_ref(table["refines"], (*path, "refines"), INVALID, "'refines'")
    structure = None
    structure_class = None
    if isinstance(table.get("structure"), str):
        structure_class = table["structure"]
        if not structure_class.strip():
            findings.error((*path, "structure"), INVALID, f"the structure of '{code}' names no class")
    elif "structure" in table:
        structure = _structure(code, table["structure"], (*path, "structure"), findings)
    return ConceptDeclaration(
        description=description,
        refines=refines,
        structure=structure,
        structure_class=structure_class,
        hints=findings.hints_at(table["hints"], (*path, "hints"), INVALID) if "hints" in table else {},
    )


def _description(table: dict[str, Any], path: Path, what: str, findings: Findings) -> str:
    if "description" not in table:
        findings.error(path, INVALID, f"{what} has no description", 'add `description = "…"`')
        return ""
    return findings.text_at(table["description"], (*path, "description"), INVALID, "'description'") or ""


def _structure(code: str, structure: object, path: Path, findings: Findings) -> dict[str, FieldDeclaration] | None:
    table = findings.table_at(structure, path, INVALID, f"the structure of '{code}'")
    if table is None:
        return None
    fields: dict[str, FieldDeclaration] = {}
    for name, declared in table.items():
        _check_field_name(name, (*path, name), findings)
        if isinstance(declared, str):
            # The language calls a shorthand field required, yet real methods leave it empty: never required here,
            # so that a decoder takes null for it (MTHDS section 24, item 1).
            fields[name] = FieldDeclaration(description=declared, is_shorthand=True)
        elif isinstance(declared, dict):
            fields[name] = _FieldReader(f"{code}.{name}", declared, (*path, name), findings).read()
        else:
            message = f"the field '{code}.{name}' must be a description or a table, not {spoken(declared)}"
            findings.error((*path, name), INVALID, message)
    return fields


def _check_field_name(name: str, path: Path, findings: Findings) -> None:
    if not name.isidentifier() or iskeyword(name) or name.startswith("_"):
        hint = "a field name is a Python identifier, not a keyword, without a leading underscore"
        findings.error(path, INVALID, f"'{name}' cannot be a field name", hint)
    elif name.startswith("model_") and hasattr(BaseModel, name):
        findings.error(path, INVALID, f"'{name}' cannot be a field name: content objects use it", "choose another name")


class _FieldReader:
    """Reads the table of one field (MTHDS section 4.2)."""

    def __init__(self, name: str, table: dict[str, Any], path: Path, findings: Findings) -> None:
        self.name = name
        self.path = path
        self.findings = findings
        self.table = findings.close_keys(table, _FIELD_KEYS, path, f"the field '{name}'", INVALID)

    def read(self) -> FieldDeclaration:
        """The field; what is wrong with it is noted and replaced by something harmless."""
        choices = self._choices()
        kind = self._type(has_choices="choices" in self.table)
        item_type, item_ref = self._items(kind)
        required = self.table.get("required", False)
        if not isinstance(required, bool):
            self._wrong("required", f"'required' must be true or false, not {spoken(required)}")
            required = False
        hints = self.table.get("hints")
        default = self.table.get("default_value")
        return FieldDeclaration(
            description=_description(self.table, self.path, f"the field '{self.name}'", self.findings),
            type=kind,
            required=required,
            default_value=None
            if default is None
            else self.findings.json_at(default, (*self.path, "default_value"), INVALID),
            choices=choices,
            item_type=item_type,
            item_concept_ref=item_ref,
            concept_ref=self._reference("concept_ref", wanted=kind is FieldType.CONCEPT),
            value_type=self._values(kind),
            hints={} if hints is None else self.findings.hints_at(hints, (*self.path, "hints"), INVALID),
        )

    def _wrong(self, key: str, message: str, hint: str | None = None) -> None:
        self.findings.error((*self.path, key), INVALID, message, hint)

    def _word(self, key: str, known: tuple[str, ...]) -> FieldType | None:
        """The value of `key` as a type among `known`; noted otherwise."""
        word = self.table[key]
        if isinstance(word, str) and word in known:
            return FieldType(word)
        if not isinstance(word, str):
            self._wrong(key, f"'{key}' must be a text, not {spoken(word)}")
            return None
        other = _OTHER_WORDS.get(word.lower())
        hint = f"did you mean '{other}'?" if other in known else did_you_mean(word, known)
        if hint is None and is_concept_ref(word) and "concept" in known:
            reference = "item_concept_ref" if key == "item_type" else "concept_ref"
            hint = f'for a concept, write {key} = "concept" and {reference} = "{word}"'
        message = f"'{word}' is not a type that '{key}' may be, in the field '{self.name}'"
        self._wrong(key, message, hint or f"the types are {', '.join(known)}")
        return None

    def _type(self, *, has_choices: bool) -> FieldType:
        if "type" not in self.table:
            if not has_choices:
                self._wrong("type", f"the field '{self.name}' has no type", f"add `type = …`: {', '.join(_TYPES)}")
            return FieldType.TEXT
        kind = self._word("type", _TYPES)
        if kind and has_choices and kind not in _CHOICE_TYPES:
            message = f"the field '{self.name}' is {kind.value} and has choices"
            self._wrong("choices", message, f"a field with choices is {', '.join(_CHOICE_TYPES[:-1])} or number")
        elif kind and has_choices and self.findings.strict:
            message = f"the field '{self.name}' has choices, which say its type"
            self.findings.warn((*self.path, "type"), INVALID, message, "drop 'type'")
        return kind or FieldType.TEXT

    def _choices(self) -> tuple[str, ...]:
        if "choices" not in self.table:
            return ()
        choices = self.table["choices"]
        if not isinstance(choices, list) or not choices or not all(isinstance(choice, str) for choice in choices):
            self._wrong("choices", f"the choices of '{self.name}' must be a non-empty array of texts")
            return ()
        for index, choice in enumerate(choices):
            if choice in choices[:index]:
                where = (*self.path, "choices", index)
                self.findings.error(where, INVALID, f"'{choice}' is twice among the choices of '{self.name}'")
        return tuple(choices)

    def _items(self, kind: FieldType) -> tuple[FieldType | None, str | None]:
        """The type of the items of a list, and the concept if they are contents."""
        if kind is not FieldType.LIST:
            if "item_type" in self.table:
                self._wrong("item_type", f"the field '{self.name}' is not a list and has no 'item_type'")
            self._reference("item_concept_ref", wanted=False)
            return None, None
        word = self.table.get("item_type")
        if word is None or word == "Any":
            if word is None:
                message = f"the list '{self.name}' does not say what its items are"
                self.findings.warn(self.path, INVALID, message, 'add `item_type = "text"`')
            return None, self._reference("item_concept_ref", wanted=False)
        if isinstance(word, str) and is_concept_ref(word) and "item_concept_ref" not in self.table:
            hint = f'write item_type = "concept" and item_concept_ref = "{word}"'
            self.findings.dated((*self.path, "item_type"), INVALID, "a concept in 'item_type' is an old spelling", hint)
            return FieldType.CONCEPT, self.findings.concept_ref(word, (*self.path, "item_type"), INVALID, "'item_type'")
        item_type = self._word("item_type", _ITEM_TYPES)
        return item_type, self._reference("item_concept_ref", wanted=item_type is FieldType.CONCEPT)

    def _reference(self, key: str, *, wanted: bool) -> str | None:
        of = {"concept_ref": 'type = "concept"', "item_concept_ref": 'item_type = "concept"'}[key]
        if key not in self.table:
            if wanted:
                self._wrong(key, f"the field '{self.name}' does not say which concept it is", f'add `{key} = "…"`')
            return None
        if not wanted:
            self._wrong(key, f"'{key}' goes only with {of}, in the field '{self.name}'")
            return None
        if key == "concept_ref" and "default_value" in self.table:
            self._wrong("default_value", f"the field '{self.name}' is a concept and cannot have a default")
        return self.findings.concept_ref(self.table[key], (*self.path, key), INVALID, f"'{key}'")

    def _values(self, kind: FieldType) -> FieldType | None:
        """The type of the values of a dict; None when they may be anything."""
        given = [key for key in ("key_type", "value_type") if key in self.table]
        if kind is not FieldType.DICT:
            for key in given:
                self._wrong(key, f"'{key}' goes only with a dict, in the field '{self.name}'")
            return None
        for key in ("key_type", "value_type"):
            if key not in given:
                self._wrong(key, f"the dict '{self.name}' has no '{key}'", f'add `{key} = "text"`')
        if "key_type" in given and self.table["key_type"] not in ("text", "str"):
            self._wrong("key_type", "the keys of a dict are texts", 'write `key_type = "text"`')
        elif self.table.get("key_type") == "str":
            self.findings.dated(
                (*self.path, "key_type"), LEGACY, "'str' is an old spelling", 'write `key_type = "text"`'
            )
        if "value_type" not in given or self.table["value_type"] == "Any":
            return None
        return self._word("value_type", _VALUE_TYPES)
