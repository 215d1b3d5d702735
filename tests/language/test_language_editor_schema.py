"""The schema that editors use says what the parser says, as far as a shape can say it."""

from __future__ import annotations

import json
import tomllib
from datetime import date, time
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelex.errors import LanguageError
from pipelex.language.checks import check_bundle
from pipelex.language.editor_schema import DIALECT, editor_schema
from pipelex.language.parse import parse_bundle
from pipelex.language.pipes import Pipe

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").rglob("*.mthds"))
VALIDATOR = jsonschema_rs.Draft202012Validator(editor_schema())

HEAD = 'domain = "tea"\n'
LLM = '[pipe.p]\ntype = "PipeLLM"\ndescription = "d"\noutput = "Text"\n'


def pipe(kind: str, body: str, output: str = "Text") -> str:
    return f'[pipe.p]\ntype = "{kind}"\ndescription = "d"\noutput = "{output}"\n{body}'


def concept(body: str) -> str:
    return f'[concept.Note]\ndescription = "d"\n{body}'


def field(body: str) -> str:
    return concept(f"structure = {{ f = {body} }}")


ACCEPTED = {
    "header": 'description = "d"\nsystem_prompt = "s"\nmain_pipe = "p"\n' + LLM,
    "one-line concept": '[concept]\nNote = "A note"\nTin = { description = "A tin", refines = "Text" }',
    "refinement": concept('refines = "tea.tasting.Note"\nhints = { intent = "prose" }'),
    "shorthand field": concept('structure = { aroma = "What it smells of" }'),
    "every type of field": concept(
        "[concept.Note.structure]\n"
        + "\n".join(
            f'{word} = {{ type = "{word}", description = "d" }}'
            for word in ("text", "integer", "number", "boolean", "date", "datetime", "time", "list")
        )
    ),
    "choices": field('{ choices = ["a", "b"], description = "d", required = true }'),
    "numeric choices": field('{ type = "integer", choices = ["1", "2"], description = "d" }'),
    "default": field('{ type = "date", description = "d", default_value = 2025-01-31 }'),
    "list of concepts": field('{ type = "list", item_type = "concept", item_concept_ref = "Leaf", description = "d" }'),
    "dict": field('{ type = "dict", key_type = "text", value_type = "Any", description = "d" }'),
    "concept field": field('{ type = "concept", concept_ref = "tea.Leaf", description = "d" }'),
    "slots": LLM + 'prompt = "$a"\ninputs = { a = "Text[]", b = "tea.Leaf[3]", c = "Leaf?", d = "native.Page!" }',
    "expanded slot": LLM + 'inputs = { a = { concept = "Text?", hints = { intent = "label" } } }',
    "model setting": LLM + 'model = { model = "$x", temperature = 0.5, max_tokens = "auto", description = "d" }',
    "style": LLM + 'templating_style = { tag_style = "ticks", text_format = "markdown" }',
    "short style": LLM + 'templating_style = "xml"',
    "preliminary text": pipe(
        "PipeLLM", 'structuring_method = "preliminary_text"\nmodel_to_structure = "@x"\nprompt = "p"', "Note"
    ),
    "structure": pipe("PipeStructure", 'inputs = { text = "Text" }', "Note[]"),
    "function": pipe("PipeFunc", 'function_name = "tea.pour"'),
    "image": pipe("PipeImgGen", 'prompt = "p"\nsize = "2k"\naspect_ratio = "square"\nseed = "auto"', "Image"),
    "image of a size": pipe("PipeImgGen", 'prompt = "p"\nsize = { width = 640, height = 480 }\nseed = 3', "Image[2]"),
    "image of a spelt size": pipe("PipeImgGen", 'prompt = "p"\nsize = "640x480"', "Image"),
    "extract": pipe("PipeExtract", 'inputs = { d = "Document" }\nmax_page_images = 0\npage_views = true', "Page[]"),
    "search": pipe("PipeSearch", 'prompt = "p"\nfrom_date = "2025-01-31"\nmax_results = 3', "SearchResult"),
    "yes or no": pipe(
        "PipeJudge", 'prompt = "p"\nquestion = "q"\nthreshold = 0.7\ncriteria = { yes = "a", no = "b" }', "YesNo"
    ),
    "choice": pipe("PipeJudge", 'prompt = "p"\nquestion = "q"\noptions = { a = "A", b = "" }', "Choice"),
    "rating": pipe("PipeJudge", 'prompt = "p"\nquestion = "q"\nlevels = ["low", "high"]', "Rating"),
    "labelled levels": pipe(
        "PipeJudge",
        'prompt = "p"\nquestion = "q"\n'
        'levels = [{ label = "l", description = "low" }, { label = "h", description = "high" }]',
        "Rating",
    ),
    "questions": pipe("PipeJudge", 'prompt = "p"\n[pipe.p.questions.is_fine]\nquestion = "q"', "Note"),
    "template": pipe("PipeCompose", 'template = "t"'),
    "template table": pipe(
        "PipeCompose", 'template = { template = "t", category = "html", extra_context = { x = 1 } }', "Html"
    ),
    "construct": pipe(
        "PipeCompose",
        'inputs = { a = "Leaf" }\n[pipe.p.construct]\nn = 1\nday = 2025-01-31\nwords = ["x"]\npath = { from = "a.b" }\n'
        'all = { from = "a", list_to_dict_keyed_by = "k" }\ntext = { template = "t" }\n'
        'deep = { inner = { from = "a" }, template = { x = 1 } }',
        "Note",
    ),
    "document": pipe("PipeDocGen", 'format = "pdf"\ntemplate = "<p></p>"', "Document"),
    "sequence": pipe(
        "PipeSequence",
        'inputs = { a = "Page" }\nsteps = [{ from = "a.page_view", result = "view" }, { pipe = "tea.q" }, '
        '{ pipe = "q", batch_over = "a.things", batch_as = "t", result = "r" }, { pipe = "q", nb_output = 3 }]',
    ),
    "parallel": pipe("PipeParallel", 'branches = [{ pipe = "q", result = "r" }]\nadd_each_output = true', "Composite"),
    "condition": pipe(
        "PipeCondition",
        'inputs = { a = "Leaf" }\nexpression = "a.b"\ndefault_outcome = "fail"\n'
        'outcomes = { True = "q", no = "continue" }',
    ),
    "batch": pipe(
        "PipeBatch",
        'inputs = { xs = "Text[]" }\nbranch_pipe_code = "q"\ninput_list_name = "xs"\ninput_item_name = "x"\n'
        "max_concurrency = 2",
        "Text[]",
    ),
    "signature": '[pipe.p]\ndescription = "d"\ninputs = { a = "Text" }\noutput = "Text"\nsignature_for = "PipeLLM"',
    "another package": LLM + 'inputs = { a = "kit->tea.Leaf" }',
}

WRONG = {
    "no domain": ('concept = { Note = "d" }', False),
    "domain": ('domain = "Tea"', False),
    "reserved domain": ('domain = "native.tea"', False),
    "header key": ('descripton = "d"', True),
    "concept code": ('[concept]\nnote = "d"', True),
    "concept key": (concept('refine = "Text"'), True),
    "concept without description": ("[concept.Note]\nstructure = {}", True),
    "refines and structure": (concept('refines = "Text"\nstructure = { a = "b" }'), True),
    "reference": (concept('refines = "text"'), True),
    "field name": (concept('structure = { _a = "b" }'), True),
    "field without type": (field('{ description = "d" }'), True),
    "type of field": (field('{ type = "string", description = "d" }'), True),
    "field key": (field('{ type = "text", description = "d", optional = true }'), True),
    "required": (field('{ type = "text", description = "d", required = "yes" }'), True),
    "dict without types": (field('{ type = "dict", description = "d" }'), True),
    "concept without reference": (field('{ type = "concept", description = "d" }'), True),
    "reference on a text": (field('{ type = "text", concept_ref = "Leaf", description = "d" }'), True),
    "default of a concept": (
        field('{ type = "concept", concept_ref = "Leaf", description = "d", default_value = {} }'),
        True,
    ),
    "items of a text": (field('{ type = "text", item_type = "text", description = "d" }'), True),
    "choices of a list": (field('{ type = "list", choices = ["a"], description = "d" }'), True),
    "no choices": (field('{ choices = [], description = "d" }'), True),
    "the same choice twice": (field('{ choices = ["a", "a"], description = "d" }'), True),
    "pipe code": ('[pipe.P]\ntype = "PipeLLM"\ndescription = "d"\noutput = "Text"', True),
    "type of pipe": (pipe("PipeLlm", ""), True),
    "no type": ('[pipe.p]\ndescription = "d"\noutput = "Text"\nprompt = "p"', True),
    "no output": ('[pipe.p]\ntype = "PipeLLM"\ndescription = "d"', True),
    "no description": ('[pipe.p]\ntype = "PipeLLM"\noutput = "Text"', True),
    "pipe key": (LLM + 'promt = "p"', True),
    "key of another pipe": (LLM + 'function_name = "f"', True),
    "input name": (LLM + 'inputs = { A = "Text" }', True),
    "slot": (LLM + 'inputs = { a = "Text[][]" }', True),
    "no items": (LLM + 'inputs = { a = "Text[0]" }', True),
    "optional list": (LLM + 'inputs = { a = "Text[]?" }', True),
    "slot key": (LLM + 'inputs = { a = { concept = "Text", hint = {} } }', True),
    "forced output": (pipe("PipeLLM", "", "Text!"), True),
    "model": (LLM + "model = 3", True),
    "model key": (LLM + 'model = { model = "$x", temprature = 0.5 }', True),
    "temperature": (LLM + 'model = { model = "$x", temperature = 3 }', True),
    "no function": (pipe("PipeFunc", ""), True),
    "image without prompt": (pipe("PipeImgGen", "", "Image"), True),
    "aspect ratio": (pipe("PipeImgGen", 'prompt = "p"\naspect_ratio = "16:9"', "Image"), True),
    "template and construct": (pipe("PipeCompose", 'template = "t"\nconstruct = { a = 1 }', "Note"), True),
    "neither template nor construct": (pipe("PipeCompose", ""), True),
    "template key": (
        pipe("PipeCompose", 'template = { template = "t", category = "basic", target_format = "x" }'),
        True,
    ),
    "no category": (pipe("PipeCompose", 'template = { template = "t" }'), True),
    "from and template": (pipe("PipeCompose", 'construct = { a = { from = "b", template = "c" } }', "Note"), True),
    "no steps": (pipe("PipeSequence", "steps = []"), True),
    "step key": (pipe("PipeSequence", 'steps = [{ pipe = "q", name = "r" }]'), True),
    "step without pipe": (pipe("PipeSequence", 'steps = [{ result = "r" }]'), True),
    "binding without result": (pipe("PipeSequence", 'steps = [{ from = "a.b" }]'), True),
    "half a batch": (pipe("PipeSequence", 'steps = [{ pipe = "q", batch_over = "xs" }]'), True),
    "binding in a branch": (pipe("PipeParallel", 'branches = [{ from = "a.b", result = "r" }]', "Composite"), True),
    "branch without result": (pipe("PipeParallel", 'branches = [{ pipe = "q" }]', "Composite"), True),
    "two expressions": (
        pipe(
            "PipeCondition",
            'expression = "a"\nexpression_template = "b"\ndefault_outcome = "q"\noutcomes = { a = "q" }',
        ),
        True,
    ),
    "no outcomes": (pipe("PipeCondition", 'expression = "a"\ndefault_outcome = "q"\noutcomes = {}'), True),
    "batch without branch": (pipe("PipeBatch", 'input_list_name = "xs"\ninput_item_name = "x"', "Text[]"), True),
    "two kinds of question": (
        pipe("PipeJudge", 'prompt = "p"\nquestion = "q"\noptions = { a = "", b = "" }\nlevels = ["a", "b"]', "Choice"),
        True,
    ),
    "no question": (pipe("PipeJudge", 'prompt = "p"', "YesNo"), True),
    "one option": (pipe("PipeJudge", 'prompt = "p"\nquestion = "q"\noptions = { a = "" }', "Choice"), True),
    "half the criteria": (pipe("PipeJudge", 'prompt = "p"\nquestion = "q"\ncriteria = { yes = "" }', "YesNo"), True),
    "format": (pipe("PipeDocGen", 'format = "odt"', "Document"), True),
}


def plain(value: Any) -> Any:
    """A TOML value as the JSON that an editor sees."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value.isoformat() if isinstance(value, date | time) else value


def fits(text: str) -> bool:
    return bool(VALIDATOR.is_valid(plain(tomllib.loads(text))))


def faults(text: str, *, strict: bool) -> list[str]:
    """What the parser and the checks of one file say is wrong."""
    try:
        bundle = parse_bundle(text, "x.mthds", strict=strict)
    except LanguageError as error:
        return [problem.message for problem in error.found]
    return [problem.message for problem in check_bundle(bundle, strict=strict) if not problem.is_warning]


def test_the_schema_is_a_schema() -> None:
    schema = editor_schema()
    assert schema["$schema"] == DIALECT
    assert jsonschema_rs.meta.is_valid(schema)
    assert json.loads(json.dumps(schema)) == schema


def test_it_has_a_table_for_every_kind_of_pipe() -> None:
    kinds = {kind.__name__ for kind in Pipe.__origin__.__args__}
    assert kinds <= set(editor_schema()["$defs"])


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.parent.name)
def test_the_examples_fit(file: Path) -> None:
    found = [error.message for error in VALIDATOR.iter_errors(plain(tomllib.loads(file.read_text())))]
    assert found == []


@pytest.mark.parametrize("text", ACCEPTED.values(), ids=ACCEPTED)
def test_what_the_parser_accepts_fits(text: str) -> None:
    parse_bundle(HEAD + text, "x.mthds", strict=True)
    assert [error.message for error in VALIDATOR.iter_errors(plain(tomllib.loads(HEAD + text)))] == []


@pytest.mark.parametrize(("text", "has_domain"), WRONG.values(), ids=WRONG)
def test_what_has_the_wrong_shape_fits_neither(text: str, has_domain: bool) -> None:
    text = HEAD + text if has_domain else text
    assert not fits(text)
    assert faults(text, strict=True)


VALUES = st.one_of(
    st.sampled_from(["t", "", "a.b", "Note", "Note[]", "Text?", "X[0]", "_x", "concept", "dict", "fail", "1k", "$m"]),
    st.integers(-1, 3),
    st.booleans(),
    st.just(0.5),
    st.sampled_from([[], ["a"], ["a", "a"], {}, {"from": "a"}, {"template": "t"}, {"pipe": "q", "result": "r"}]),
)
KEYS = st.sampled_from(["description", "result", "choices", "required", "from", "template", "levels", "x", "Y", "_z"])


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of everything inside a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, item in inner for found in ((*path, key), *places(item, (*path, key)))]


def toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(item)}" for key, item in value.items()) + "}"
    return "[" + ", ".join(map(toml, value)) + "]" if isinstance(value, list) else json.dumps(value)


@settings(max_examples=600, deadline=None, derandomize=True)
@given(data=st.data())
def test_whatever_the_strict_parser_accepts_fits(data: st.DataObject) -> None:
    document = plain(tomllib.loads(HEAD + data.draw(st.sampled_from(list(ACCEPTED.values())))))
    for _ in range(data.draw(st.integers(1, 2))):
        *path, key = data.draw(st.sampled_from(places(document)))
        holder = document
        for part in path:
            holder = holder[part]
        match data.draw(st.sampled_from(["drop", "replace", "add"])):
            case "drop" if len(document) > 1 or path:
                del holder[key]
            case "add" if isinstance(holder, dict):
                holder[data.draw(KEYS)] = plain(data.draw(VALUES))  # a copy: it may be changed in its turn
            case _:
                holder[key] = plain(data.draw(VALUES))  # a copy: it may be changed in its turn
    text = "".join(f"{key} = {toml(value)}\n" for key, value in document.items())
    if not faults(text, strict=True):
        found = [f"{error.message} at {list(error.instance_path)}" for error in VALIDATOR.iter_errors(document)]
        assert found == [], text
