"""The coverage checklist of MTHDS section 27: each item names tests that prove it; those without a home are here."""

from __future__ import annotations

import ast
import re
import shlex
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from checklist import CHECKLIST
from checklist_keys import HEAD, KEYS, OLD_KEYS

from pipelex.errors import InputError, LanguageError
from pipelex.inprocess.host import InProcessHost
from pipelex.language.editor_schema import editor_schema
from pipelex.language.parse import parse_bundle
from pipelex.library.library import library_from_texts
from pipelex.pipes.models import model_asks
from pipelex.pipes.port import PipeCall, PipeResult, Plan, RunInfo
from pipelex.pipes.requests import ModelSetting
from pipelex.testing.scripted import ScriptedPerformer
from pipelex.values.concepts import Concept, Concepts, Field, FieldType
from pipelex.values.contents import NATIVE_CLASSES
from pipelex.values.decode import decode
from pipelex.values.hydrate import dehydrate, hydrate
from pipelex.values.inputs import shape_inputs
from pipelex.values.slots import Slot
from pipelex.values.value import Absence, Value

TESTS = Path(__file__).parents[1]
PROOFS = [
    pytest.param(proof, id=f"{part}: {item}: {proof.partition(' ')[0].rpartition('::')[2]}")
    for part, items in CHECKLIST.items()
    for item, proofs in items.items()
    for proof in proofs
]


# The table itself.


@lru_cache
def functions_of(file: Path) -> dict[str, str]:
    """The test functions of a file, each with its text from the first decorator on, by name."""
    text = file.read_text("utf-8")
    found = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            found[node.name] = "\n".join(text.splitlines()[first - 1 : node.end_lineno])
    return found


def test_every_item_has_a_proof() -> None:
    items = {f"{part}: {item}": proofs for part, found in CHECKLIST.items() for item, proofs in found.items()}
    print(f"\n{len(items)} items, {sum(map(len, items.values()))} proofs")
    assert [item for item, proofs in items.items() if not proofs] == []
    assert list(CHECKLIST) == [
        "parser",
        "values",
        "slots",
        "templates",
        "controllers",
        "inputs: light values (14.3)",
        "inputs: envelopes (14.2)",
        "packages",
        "command line",
        "methods",
    ]


@pytest.mark.parametrize("proof", PROOFS)
def test_a_proof_is_a_test_that_is_there_with_its_cases(proof: str) -> None:
    named, _, cases = proof.partition(" ")
    file, _, function = named.partition("::")
    functions = functions_of(TESTS / file)
    assert function in functions
    assert function.startswith("test_")
    assert re.search(r"\b(skip|xfail)(if)?\(", functions[function]) is None
    assert [case for case in shlex.split(cases) if case not in functions[function]] == []


# Parser: every key.

ROWS = [(where, key, text) for where, rows in KEYS.items() for key, text in rows.items()]
OPEN = {("Construct", "from"), ("Construct", "template")}
"""Without these keys, a table of a construct is a nested object, of any keys."""
CLOSED = [row for row in ROWS if row[:2] not in OPEN]
ELSEWHERE = {"type", "description", "inputs", "output"}
"""The keys that all pipes have: they are in every document, and rows of the table for PipeLLM."""


@pytest.mark.parametrize(("where", "key", "text"), ROWS, ids=[f"{where}.{key}" for where, key, _ in ROWS])
def test_every_key_is_accepted(where: str, key: str, text: str) -> None:
    assert key in text
    assert parse_bundle(text, "tea.mthds", strict=True).warnings == ()


@pytest.mark.parametrize(("where", "key", "text"), CLOSED, ids=[f"{where}.{key}" for where, key, _ in CLOSED])
def test_a_key_that_is_nearly_right_is_refused(where: str, key: str, text: str) -> None:
    before, written, after = text.rpartition(f"{key} = ")
    if not written:
        before, written, after = text.rpartition(f"[{key}]" if where == "header" else f".{key}]")
    with pytest.raises(LanguageError) as caught:
        parse_bundle(f"{before}{written.replace(key, f'{key}x', 1)}{after}", "tea.mthds")
    told = {problem.code for problem in caught.value.found}
    assert "missing_pipe_type" in told or any(f"{key}x" in problem.message for problem in caught.value.found)


def test_the_table_of_keys_is_that_of_the_language() -> None:
    schema = editor_schema()
    known = {name: set(table["properties"]) for name, table in schema["$defs"].items() if "properties" in table}
    known["header"] = set(schema["properties"])
    common = {name: ELSEWHERE if name.startswith("Pipe") and name != "PipeLLM" else set() for name in known}
    assert {name: keys - common[name] for name, keys in known.items() if name in KEYS} == {
        name: set(rows) - common[name] for name, rows in KEYS.items() if name in known
    }
    # The others are no tables of keys, or tables that have no fixed ones.
    assert set(KEYS) - set(known) == {"Concept", "Construct"}
    assert {name for name in known if name not in KEYS} == set()


@pytest.mark.parametrize("text", OLD_KEYS.values(), ids=OLD_KEYS)
def test_old_keys_are_accepted_with_a_warning(text: str) -> None:
    assert [problem.is_warning for problem in parse_bundle(text, "tea.mthds").warnings] == [True]
    with pytest.raises(LanguageError):
        parse_bundle(text, "tea.mthds", strict=True)


# Values: the natives.

TEXT = {"text": "words"}
PICTURE = {
    "url": "https://example.org/a.png",
    "public_url": "https://example.org/public/a.png",
    "source_prompt": "a cup",
    "source_negative_prompt": "no tea",
    "caption": "A cup",
    "mime_type": "image/png",
    "width": 640,
    "height": 480,
    "filename": "a.png",
}
PAPER = {
    "url": "https://example.org/a.pdf",
    "public_url": None,
    "mime_type": "application/pdf",
    "filename": "a.pdf",
    "title": "A",
    "snippet": "a …",
}
PARTS = {"text": TEXT, "images": [PICTURE], "raw_html": "<p>words</p>"}
NATIVES: dict[str, list[Any]] = {
    "Text": [TEXT, {"text": ""}],
    "Markdown": [{"text": "# Words"}],
    "Number": [{"number": 4}, {"number": 2.5}, {"number": -1}],
    "YesNo": [{"yes_no": True, "probability": 0.75}, {"yes_no": False, "probability": None}],
    "Choice": [{"choice": "a", "confidence": 0.5, "probabilities": {"a": 0.75, "b": 0.25}}],
    "Rating": [
        {"level": 1, "label": "fair", "confidence": 1, "probabilities": {"0": 0.25, "1": 0.75}, "position": 0.75},
        {"level": 0, "label": None, "confidence": None, "probabilities": None, "position": None},
    ],
    "Date": [{"date": "2031-02-03", "time": "04:05:06"}, {"date": "2031-02-03", "time": None}],
    "Time": [{"time": "04:05:06"}],
    "Image": [PICTURE],
    "Document": [PAPER],
    "Html": [{"inner_html": "<b>x</b>", "css_class": "wide"}, {"inner_html": "", "css_class": None}],
    "TextAndImages": [PARTS, {"text": None, "images": None, "raw_html": None}],
    "Page": [{"text_and_images": PARTS, "page_view": PICTURE}],
    "JSON": [{"json_obj": {"a": [1, None, {"b": "c"}]}}],
    "SearchResult": [{"answer": "42", "sources": [PAPER]}, {"answer": "", "sources": []}],
    "Composite": [{"note": TEXT, "size": {"number": 4}, "notes": [TEXT]}],
    "Dynamic": [{"a": 1, "b": {"c": [True, None]}}],
    "Anything": [{"a": 1}, TEXT],
}


@pytest.mark.parametrize(("native", "data"), [(native, data) for native, rows in NATIVES.items() for data in rows])
def test_a_native_goes_from_json_to_a_content_and_back(native: str, data: Any) -> None:
    concepts = Concepts({})
    ref = f"native.{native}"
    decoded = decode(data, Slot(ref), concepts)
    assert decoded == data
    assert dehydrate(hydrate(Value(concept=ref, data=decoded), concepts)) == data
    wire = Value(concept=ref, data=[decoded]).model_dump_json()
    assert Value.model_validate_json(wire).data == [data]


def test_the_table_of_natives_is_that_of_the_language() -> None:
    assert {f"native.{native}" for native in NATIVES} == set(Concepts({}))
    assert set(NATIVE_CLASSES) <= set(Concepts({}))


# Controllers.


def pipe(code: str, kind: str, inputs: str, output: str, rest: str) -> str:
    head = f'[pipe.{code}]\ntype = "{kind}"\ndescription = "{code}"\n'
    return f'{head}inputs = {{ {inputs} }}\noutput = "{output}"\n{rest}\n'


def ask(code: str, name: str, output: str = "Text") -> str:
    return pipe(code, "PipeLLM", f'{name} = "Text"', output, f'prompt = "{code} ${name}"')


def steps(code: str, inputs: str, output: str, each: str) -> str:
    return pipe(code, "PipeSequence", inputs, output, f"steps = [ {each} ]")


async def run(text: str, answer: Any = lambda request: f"<{request.prompt}>", **inputs: Any) -> PipeResult:
    """Run the main pipe of a method; each prompt is answered with itself in brackets, or by `answer`."""
    library, _ = library_from_texts({"tea.mthds": f'{HEAD}main_pipe = "main"\n{text}'})
    entry = library.entry(None)
    memory, _ = shape_inputs(inputs, library.pipe(entry).inputs, library.concepts, domain="tea")
    models = {ask.key: ModelSetting(handle="scripted") for ask in model_asks(library.crate).values()}
    host = InProcessHost(library, Plan(models=models), ScriptedPerformer(answer))
    return await host.run_pipe(PipeCall(pipe=entry, run=RunInfo(run_id="run"), memory=memory))


async def test_what_a_branch_of_a_batch_stores_stays_there() -> None:
    batched = '{ pipe = "inner", batch_over = "cups", batch_as = "cup", result = "all" }'
    text = steps("main", 'cups = "Text[]", note = "Text"', "Text[]", batched)
    text += steps(
        "inner", 'cup = "Text"', "Text", '{ pipe = "one", result = "note" }, { pipe = "one", result = "cup" }'
    )
    result = await run(text + ask("one", "cup"), cups=["a", "b"], note="kept")
    assert list(result.stored.root) == ["all"]
    assert result.stored.root["all"].data == [{"text": "<one a>"}, {"text": "<one b>"}]


async def test_an_absence_is_told_through_three_steps() -> None:
    chain = '{ pipe = "one", result = "b" }, { pipe = "two", result = "c" }, { pipe = "three", result = "d" }'
    text = steps("main", 'a = "Text?"', "Text?", chain) + ask("one", "a") + ask("two", "b") + ask("three", "c")
    outcome = (await run(text)).outcome
    told = []
    while isinstance(outcome, Absence):
        told.append((outcome.variable, outcome.absent, outcome.producer))
        outcome = outcome.upstream  # type: ignore[assignment]
    skipped = [("d", "skipped", "three"), ("c", "skipped", "two"), ("b", "skipped", "one")]
    assert told == [*skipped, ("a", "not_provided", None)]
    given = (await run(text, a="A")).outcome
    assert isinstance(given, Value)
    assert given.data == {"text": "<three <two <one A>>>"}


@pytest.mark.parametrize(("which", "data"), [("many", [TEXT, TEXT]), ("one", TEXT)])
async def test_outcomes_under_anything_may_be_a_list_or_a_single_one(which: str, data: Any) -> None:
    rest = 'expression = "a.text"\noutcomes = { many = "several", one = "single" }\ndefault_outcome = "fail"'
    text = pipe("main", "PipeCondition", 'a = "Text"', "Anything", rest)
    text += ask("several", "a", "Text[]") + ask("single", "a")
    result = await run(text, lambda request: data if isinstance(data, list) else "words", a=which)
    assert isinstance(result.outcome, Value)
    assert result.outcome.data == data


@pytest.mark.parametrize("output", ["Anything", "Page[]", "SearchResult", "Text", "Note", "Text[]"])
@pytest.mark.parametrize("key", ["output", "combined_output"])
async def test_a_parallel_of_an_older_version_makes_a_composite(output: str, key: str) -> None:
    if key == "combined_output" and "[" in output:
        output = "Note"
    text = '[concept]\nNote = "A note"\n' + steps("main", 'a = "Text"', "Anything", '{ pipe = "both", result = "all" }')
    both = pipe("both", "PipeParallel", 'a = "Text"', output if key == "output" else "Text", "add_each_output = true")
    both += 'branches = [ { pipe = "one", result = "b" }, { pipe = "two", result = "c" } ]\n'
    if key == "combined_output":
        both += f'combined_output = "{output}"\n'
    result = await run(text + both + ask("one", "a") + ask("two", "a"), a="A")
    assert result.outcome == Value(
        concept="native.Composite",
        data={"b": {"text": "<one A>"}, "c": {"text": "<two A>"}},
        components={"b": "native.Text", "c": "native.Text"},
    )
    assert list(result.stored.root) == ["b", "c", "all"]


# Inputs.


def field(type: str, **more: Any) -> Field:
    return Field(description=type, type=FieldType(type), **more)


OWN = Concepts(
    {
        f"tea.{code}": Concept(ref=f"tea.{code}", description=code, fields=fields)
        for code, fields in {
            "Pair": {"concept": field("text", required=True), "content": field("text", required=True)},
            "Order": {
                "day": field("date"),
                "pair": field("concept", concept="tea.Pair"),
                "notes": field("list", item_type=FieldType.CONCEPT, concept="native.Text"),
                "photo": field("concept", concept="native.Image"),
            },
        }.items()
    }
)


def shaped(slot: str, given: Any) -> Value:
    memory, warnings = shape_inputs({"it": given}, {"it": Slot.parse(slot)}, OWN, domain="tea")
    assert warnings == []
    return memory.root["it"]


def parts_of(data: Any, part: Any) -> bool:
    """Whether data holds at least what is told."""
    return all(parts_of(data[key], part[key]) for key in part) if isinstance(part, dict) else data == part


@pytest.mark.parametrize(
    ("row", "slot", "taken", "refused"),
    [
        ("text", "Text", [("x", {"text": "x"}), (TEXT, TEXT)], [3, True, ["x"]]),
        ("number", "Number", [(4, {"number": 4}), (2.5, {"number": 2.5})], [True, "4", None]),
        ("yes_no", "YesNo", [(True, {"yes_no": True}), (False, {"yes_no": False})], ["yes", 1, 0]),
        ("date", "Date", [("2031-02-03", {"date": "2031-02-03"})], [20310203, "soon", 1.5]),
        ("date", "Time", [("14:30", {"time": "14:30:00"})], [1430, "soon"]),
        ("file", "Image", [("a/b.png", {"url": "a/b.png"}), (PICTURE, PICTURE)], [3, True]),
        ("file", "Document", [("https://example.org/a.pdf", {"title": None}), (PAPER, PAPER)], [3, []]),
        ("json", "JSON", [({"a": 1}, {"json_obj": {"a": 1}}), ({"json_obj": {"a": 1}}, {"json_obj": {"a": 1}})], [3]),
        ("html", "Html", [("<b>x</b>", {"inner_html": "<b>x</b>"}), ({"inner_html": "x"}, {"css_class": None})], [3]),
        (
            "structure",
            "tea.Order",
            [
                (
                    {"day": "2031-02-03", "notes": ["a", TEXT], "photo": "a.png"},
                    {"day": "2031-02-03", "notes": [{"text": "a"}, TEXT], "photo": {"url": "a.png"}, "pair": None},
                )
            ],
            ["x", 3, {"day": 3}],
        ),
        ("object", "Page", [({"text_and_images": {"text": "a"}}, {"text_and_images": {"text": {"text": "a"}}})], ["x"]),
        ("object", "TextAndImages", [({"text": TEXT, "images": ["a.png"]}, {"text": TEXT})], ["x"]),
        ("object", "SearchResult", [({"answer": "a", "sources": [PAPER]}, {"sources": [PAPER]})], [{"answer": "a"}]),
        ("object", "Composite", [({"a": TEXT, "b": {"number": 1}}, {"a": TEXT, "b": {"number": 1}})], ["x"]),
    ],
)
def test_a_light_value(row: str, slot: str, taken: list[tuple[Any, Any]], refused: list[Any]) -> None:
    ref = slot if "." in slot else f"native.{slot}"
    for given, expected in taken:
        found = shaped(ref, given)
        assert found.concept == ref
        assert parts_of(found.data, expected), found.data
    for given in refused:
        with pytest.raises(InputError):
            shaped(ref, given)


def test_fields_named_like_an_envelope_need_an_envelope() -> None:
    pair = {"concept": "Text", "content": "x"}
    with pytest.raises(InputError):
        shaped("tea.Pair", pair)
    assert shaped("tea.Pair", {"concept": "Pair", "content": pair}).data == pair


def test_a_bare_concept_of_an_envelope_is_a_native_first() -> None:
    assert shaped("native.Anything", {"concept": "Text", "content": "x"}) == Value(
        concept="native.Text", data={"text": "x"}
    )
    assert shaped("native.Anything", {"concept": "native.Text", "content": "x"}).concept == "native.Text"


def test_a_concept_with_a_count() -> None:
    assert shaped("native.Text[]", {"concept": "Text[2]", "content": ["a", "b"]}).data == [{"text": "a"}, {"text": "b"}]
