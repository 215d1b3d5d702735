"""Declared concepts made into linked ones: references, cycles, defaults (MTHDS sections 4.2 to 4.4). Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, time

from pydantic import JsonValue

from pipelex.language.bundle import ConceptDeclaration, FieldDeclaration
from pipelex.language.findings import Path, did_you_mean
from pipelex.library.scope import Scope, Site
from pipelex.values.concepts import Concept, Concepts, Field, FieldType

_INVALID = "concept_structure_validation"


def link_concepts(
    homes: Mapping[str, Site], scope: Scope, classes: Mapping[str, Mapping[str, Field]] | None = None
) -> tuple[dict[str, Concept], frozenset[str]]:
    """The concepts by absolute reference, and those whose structure cannot be told because of a mistake noted.

    `classes` are the Python structure classes that are known, by name, as the fields they stand for.
    """
    concepts: dict[str, Concept] = {}
    broken: set[str] = set()
    for ref, site in homes.items():
        concepts[ref], is_whole = _linked(ref, site, scope, classes or {})
        if not is_whole:
            broken.add(ref)
    _add_nested(concepts, classes or {})
    broken |= _note_cycles(concepts, homes)
    known = Concepts(concepts)
    lost = frozenset(ref for ref in concepts if any(parent in broken for parent in known.ancestry(ref)))
    for ref in concepts:
        if ref in lost:
            # Nothing more can be said about it: it holds anything, so that no second mistake is made of the first.
            concepts[ref] = Concept(ref=ref, description=concepts[ref].description, is_open=True)
    return concepts, lost


def shorthands(homes: Mapping[str, Site]) -> frozenset[tuple[str, str]]:
    """The fields written as a description only, by concept and name."""
    return frozenset(
        (ref, name)
        for ref, site in homes.items()
        for name, field in (site.bundle.concepts[ref.rpartition(".")[2]].structure or {}).items()
        if field.is_shorthand
    )


def _linked(ref: str, site: Site, scope: Scope, classes: Mapping[str, Mapping[str, Field]]) -> tuple[Concept, bool]:
    code = ref.rpartition(".")[2]
    declared: ConceptDeclaration = site.bundle.concepts[code]
    path: Path = ("concept", code)
    refines = None
    if declared.refines is not None:
        refines = scope.concept(declared.refines, site, (*path, "refines"))
    fields = None
    structure_class = None
    if declared.structure is not None:
        fields = {
            name: _field(f"{code}.{name}", field, site, (*path, "structure", name), scope)
            for name, field in declared.structure.items()
        }
    elif declared.refines is None:
        structure_class = declared.structure_class or code
        fields = _fields_of_class(code, declared, site, classes)
    concept = Concept(
        ref=ref,
        description=declared.description,
        refines=refines,
        fields=fields,
        hints=declared.hints,
        structure_class=None if fields is None else structure_class,
    )
    return concept, (refines is None) == (declared.refines is None)


def _fields_of_class(
    code: str, declared: ConceptDeclaration, site: Site, classes: Mapping[str, Mapping[str, Field]]
) -> dict[str, Field] | None:
    """Rule 26: the fields of the class that the concept names, or that has its code; without one it is a text."""
    found = classes.get(code if declared.structure_class is None else declared.structure_class)
    if found is None and declared.structure_class is not None:
        message = f"no Python class known here is called '{declared.structure_class}': '{code}' is taken as a text"
        hint = did_you_mean(declared.structure_class, classes) or "write the fields as a table, or drop 'structure'"
        site.findings.dated(("concept", code, "structure"), "structure_class_error", message, hint)
    return None if found is None else dict(found)


def _add_nested(concepts: dict[str, Concept], classes: Mapping[str, Mapping[str, Field]]) -> None:
    """Make the references of classes to each other absolute: to the concept of that code and the same domain.

    One that is not declared is added, with the fields of the class.
    """
    waiting = [ref for ref, concept in concepts.items() if concept.structure_class is not None]
    for ref in waiting:  # grows on the way
        fields = dict(concepts[ref].fields or {})
        for name, field in fields.items():
            if field.concept is None or "." in field.concept:
                continue
            nested = f"{ref.rpartition('.')[0]}.{field.concept}"
            fields[name] = field.model_copy(update={"concept": nested})
            if nested not in concepts:
                inner = dict(classes[field.concept])
                concepts[nested] = Concept(
                    ref=nested, description=field.description, fields=inner, structure_class=field.concept
                )
                waiting.append(nested)
        concepts[ref] = concepts[ref].model_copy(update={"fields": fields})


def _field(name: str, declared: FieldDeclaration, site: Site, path: Path, scope: Scope) -> Field:
    concept = None
    for key in ("concept_ref", "item_concept_ref"):
        written = getattr(declared, key)
        if written is not None:
            concept = scope.concept(written, site, (*path, key)) or "native.Dynamic"
    _check_default(name, declared, site, path)
    return Field(
        description=declared.description,
        type=declared.type,
        required=declared.required,
        default=declared.default_value,
        choices=declared.choices,
        item_type=declared.item_type,
        value_type=declared.value_type,
        concept=concept,
        hints=declared.hints,
    )


def _check_default(name: str, field: FieldDeclaration, site: Site, path: Path) -> None:
    """Rules 18, 23 and 24: numeric choices are numbers, and a default has the type of its field."""
    if field.type in (FieldType.INTEGER, FieldType.NUMBER):
        for index, choice in enumerate(field.choices):
            if not _is_numeral(choice, field.type):
                message = f"the choice '{choice}' of '{name}' is not {_SPOKEN[field.type]}"
                site.findings.error((*path, "choices", index), _INVALID, message, 'drop the type, or write "1", "2"…')
    default = field.default_value
    if default is None:
        return
    where = (*path, "default_value")
    if field.required:
        message = f"the field '{name}' is required and has a default, which never applies"
        site.findings.dated(where, _INVALID, message, "drop one of the two")
    if field.choices:
        if str(default) not in field.choices:
            hint = did_you_mean(str(default), field.choices) or f"the choices are {', '.join(field.choices)}"
            site.findings.error(where, _INVALID, f"the default of '{name}' is not one of its choices", hint)
    elif not _fits(default, field):
        site.findings.error(where, _INVALID, f"the default of '{name}' is not {_SPOKEN[field.type]}")


def _is_numeral(choice: str, kind: FieldType) -> bool:
    try:
        int(choice) if kind is FieldType.INTEGER else float(choice)
    except ValueError:
        return False
    return True


def _is_iso(read: Callable[[str], object]) -> Callable[[JsonValue], bool]:
    def check(value: JsonValue) -> bool:
        if not isinstance(value, str):
            return False
        try:
            read(value)
        except ValueError:
            return False
        return True

    return check


def _is_number(value: JsonValue) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_FITS: dict[FieldType, Callable[[JsonValue], bool]] = {
    FieldType.TEXT: lambda value: isinstance(value, str),
    FieldType.INTEGER: lambda value: isinstance(value, int) and not isinstance(value, bool),
    FieldType.NUMBER: _is_number,
    FieldType.BOOLEAN: lambda value: isinstance(value, bool),
    FieldType.DATE: _is_iso(date.fromisoformat),
    FieldType.DATETIME: _is_iso(datetime.fromisoformat),
    FieldType.TIME: _is_iso(time.fromisoformat),
    FieldType.LIST: lambda value: isinstance(value, list),
    FieldType.DICT: lambda value: isinstance(value, dict),
    FieldType.CONCEPT: lambda value: True,
}

_SPOKEN = {
    FieldType.TEXT: "a text",
    FieldType.INTEGER: "a whole number",
    FieldType.NUMBER: "a number",
    FieldType.BOOLEAN: "true or false",
    FieldType.DATE: "a date",
    FieldType.DATETIME: "a date with a time",
    FieldType.TIME: "a time",
    FieldType.LIST: "an array of the declared items",
    FieldType.DICT: "a table of the declared values",
}


def _fits(value: JsonValue, field: FieldDeclaration) -> bool:
    if not _FITS[field.type](value):
        return False
    if isinstance(value, list) and field.item_type is not None:
        return all(_FITS[field.item_type](item) for item in value)
    if isinstance(value, dict) and field.value_type is not None:
        return all(_FITS[field.value_type](item) for item in value.values())
    return True


def _needs(concept: Concept) -> Iterator[tuple[Path, str]]:
    """What a concept is made of: the path of each reference inside its declaration, and the concept it names."""
    if concept.refines is not None:
        yield ("refines",), concept.refines
    for name, field in (concept.fields or {}).items():
        if field.concept is not None:
            key = "concept_ref" if field.type is FieldType.CONCEPT else "item_concept_ref"
            yield ("structure", name, key), field.concept


def _note_cycles(concepts: Mapping[str, Concept], homes: Mapping[str, Site]) -> set[str]:
    """Note every reference that closes a circle of refinements and fields; the concepts in the circles."""
    circular: set[str] = set()
    done: set[str] = set()
    for start in concepts:
        trail: dict[str, Iterator[tuple[Path, str]]] = {} if start in done else {start: _needs(concepts[start])}
        while trail:
            ref = next(reversed(trail))
            step = next((need for need in trail[ref] if need[1] in concepts and need[1] not in done), None)
            if step is None:
                done.add(ref)
                del trail[ref]
            elif step[1] in trail:
                circle = list(trail)[list(trail).index(step[1]) :]
                circular.update(circle)
                holder = next(member for member in reversed(trail) if member in homes)
                site = homes[holder]
                shown = " > ".join(site.short(member) for member in (*circle, circle[0]))
                message = f"the concepts go round in a circle: {shown}"
                hint = "a concept cannot contain or refine itself: make one of these fields a text or a dict"
                path = step[0] if holder == ref else ()
                site.findings.error(("concept", concepts[holder].code, *path), "concept_cycle", message, hint)
            else:
                trail[step[1]] = _needs(concepts[step[1]])
    return circular
