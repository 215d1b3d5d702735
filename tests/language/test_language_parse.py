"""Parsing: what is read, what is refused and where, what is accepted with a warning."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot
from language_marks import assert_only_problem, problems_of

from pipelex.errors import LanguageError, from_report
from pipelex.language.parse import parse_bundle
from pipelex.language.pipes import (
    FromPath,
    FromTemplate,
    Literally,
    Nested,
    PipeBatch,
    PipeCompose,
    PipeCondition,
    PipeExtract,
    PipeLLM,
    PipeParallel,
    PipeSequence,
    Step,
    TemplatingStyle,
)
from pipelex.language.read_pipes import KINDS
from pipelex.values.concepts import FieldType
from pipelex.values.slots import Slot

HEAD = 'domain = "tea"\n'
LLM = HEAD + '[pipe.p]\ntype = "PipeLLM"\ndescription = "d"\noutput = "Text"\n'
NOTE = HEAD + '[concept.Note]\ndescription = "d"\n[concept.Note.structure]\n'
EXTRACT = HEAD + '[pipe.p]\ntype = "PipeExtract"\ndescription = "d"\ninputs = { d = "Document" }\n'
COMPOSE = HEAD + '[pipe.p]\ntype = "PipeCompose"\ndescription = "d"\ninputs = { d = "Text" }\noutput = "Note"\n'
SEQUENCE = HEAD + '[pipe.p]\ntype = "PipeSequence"\ndescription = "d"\noutput = "Text"\n'
PARALLEL = HEAD + '[pipe.p]\ntype = "PipeParallel"\ndescription = "d"\n'
CONDITION = HEAD + '[pipe.p]\ntype = "PipeCondition"\ndescription = "d"\noutput = "Text"\nexpression = "\'a\'"\n'
BATCH = HEAD + '[pipe.p]\ntype = "PipeBatch"\ndescription = "d"\ninputs = { xs = "Text[]" }\n'
FUNC = HEAD + '[pipe.p]\ntype = "PipeFunc"\ndescription = "d"\noutput = "Text"\n'


@pytest.mark.parametrize(
    ("code", "marked"),
    [
        # Document and header: rules 1 to 6.
        ("toml_parse_error", 'domain = «tea\n[pipe.p]\npromt = "x"'),
        ("unknown_key", HEAD + '«descripton = "d"'),
        ("domain_code_error", '«description = "d"'),
        ("domain_code_error", '«domain = "Tea"'),
        ("domain_code_error", "«domain = 3"),
        ("reserved_domain", '«domain = "native.tea"'),
        ("blueprint_validation", HEAD + "«system_prompt = 3"),
        ("invalid_pipe_code_syntax", HEAD + '«main_pipe = "Rate"'),
        ("unresolved_pipe_dependency", HEAD + '«main_pipe = "rate"'),
        ("blueprint_validation", HEAD + "«pipe = 3"),
        # Concepts: rules 8 to 11.
        ("concept_code_error", HEAD + '[concept]\n«note = "d"'),
        ("native_concept_redeclaration", HEAD + '[concept]\n«Image = "d"'),
        ("native_concept_redeclaration", HEAD + '[concept]\n«Rating = "d"'),
        ("concept_structure_validation", HEAD + "[concept]\n«Note = 3"),
        ("concept_structure_validation", HEAD + '[«concept.Note]\nrefines = "Text"'.replace("«concept.", "concept.«")),
        ("unknown_key", HEAD + '[concept.Note]\ndescription = "d"\n«refine = "Text"'),
        ("concept_structure_validation", HEAD + '[concept.Note]\ndescription = "d"\n«refines = "text"'),
        (
            "concept_structure_validation",
            HEAD + '[concept.Note]\ndescription = "d"\nrefines = "Text"\n«structure = { a = "d" }',
        ),
        # Fields: rules 15 to 22.
        ("concept_structure_validation", NOTE + '«class = "d"'),
        ("concept_structure_validation", NOTE + '«_a = "d"'),
        ("concept_structure_validation", NOTE + '«model_dump = "d"'),
        ("concept_structure_validation", NOTE + "«a = 3"),
        ("concept_structure_validation", NOTE + '«a = { type = "text" }'),
        ("concept_structure_validation", NOTE + '«a = { description = "d" }'),
        ("concept_structure_validation", NOTE + 'a = { description = "d", «type = "string" }'),
        ("unknown_key", NOTE + 'a = { description = "d", type = "text", «requird = true }'),
        ("concept_structure_validation", NOTE + 'a = { description = "d", type = "text", «required = "yes" }'),
        ("concept_structure_validation", NOTE + 'a = { description = "d", «choices = [] }'),
        ("concept_structure_validation", NOTE + 'a = { description = "d", choices = ["x", «"x"] }'),
        ("concept_structure_validation", NOTE + 'a = { description = "d", type = "date", «choices = ["x"] }'),
        ("concept_structure_validation", NOTE + 'a = { description = "d", type = "list", «item_type = "txt" }'),
        ("concept_structure_validation", NOTE + '«a = { description = "d", type = "list", item_type = "concept" }'),
        ("concept_structure_validation", NOTE + 'a = { description = "d", type = "text", «item_type = "text" }'),
        ("concept_structure_validation", NOTE + '«a = { description = "d", type = "dict", key_type = "text" }'),
        ("concept_structure_validation", NOTE + 'a = { description = "d", type = "text", «value_type = "text" }'),
        (
            "concept_structure_validation",
            NOTE + 'a = { description = "d", type = "dict", «key_type = "integer", value_type = "text" }',
        ),
        ("concept_structure_validation", NOTE + '«a = { description = "d", type = "concept" }'),
        (
            "concept_structure_validation",
            NOTE + 'a = { description = "d", type = "concept", concept_ref = "X", «default_value = 1 }',
        ),
        ("concept_structure_validation", NOTE + 'a = { description = "d", type = "text", «concept_ref = "X" }'),
        ("concept_structure_validation", NOTE + 'a = { description = "d", type = "number", «default_value = nan }'),
        ("concept_structure_validation", NOTE + 'a = { description = "d", type = "text", «hints = { intent = 3 } }'),
        ("not_supported_yet", HEAD + '[concept.Note]\ndescription = "d"\n«structure = "NoteContent"'),
        # Pipes: rules 27 to 29, and 33 to 38.
        ("invalid_pipe_code_syntax", LLM.replace("pipe.p]", "pipe.«RateCup]")),
        ("unknown_pipe_type", LLM.replace('type = "PipeLLM"', '«type = "PipeLlm"')),
        ("missing_pipe_type", HEAD + '[pipe.«p]\ntyp = "PipeLLM"\ndescription = "d"\noutput = "Text"'),
        ("unknown_key", LLM + '«promt = "x"'),
        ("unknown_key", LLM + '«target_format = "x"'),
        ("missing_key", HEAD + '[pipe.«p]\ntype = "PipeLLM"\ndescription = "d"'),
        ("missing_key", HEAD + '[pipe.«p]\ntype = "PipeLLM"\noutput = "Text"'),
        ("blueprint_validation", LLM + "«prompt = 3"),
        ("blueprint_validation", LLM + "«inputs = 3"),
        ("invalid_input_name", LLM + 'inputs = { «Cup = "Text" }'),
        ("invalid_input_name", LLM + 'inputs = { «_bound_x = "Text" }'),
        ("slot_syntax", LLM + "inputs = { «cup = 3 }"),
        ("slot_syntax", LLM + 'inputs = { «cup = "Text[0]" }'),
        ("slot_syntax", LLM + 'inputs = { «cup = "Text[][]" }'),
        ("slot_syntax", LLM + 'inputs = { «cup = "text" }'),
        ("optional_marker_invalid", LLM + 'inputs = { «cup = "Text[]?" }'),
        ("optional_marker_invalid", LLM.replace('output = "Text"', '«output = "Text!"')),
        ("optional_marker_invalid", LLM.replace('output = "Text"', '«output = "Text[3]?"')),
        ("slot_syntax", LLM.replace('output = "Text"', "«output = {}")),
        ("unknown_key", LLM + 'inputs = { cup = { concept = "Text", «hint = {} } }'),
        ("missing_key", LLM + "inputs = { «cup = { hints = {} } }"),
        ("blueprint_validation", LLM + 'inputs = { cup = { concept = "Text", «hints = "prose" } }'),
        # Settings: rule 50.
        ("blueprint_validation", LLM + "«model = 3"),
        ("blueprint_validation", LLM + '«model = "$"'),
        ("missing_key", LLM + "«model = { temperature = 0.5 }"),
        ("blueprint_validation", LLM + 'model = { model = "m", «temperature = 3 }'),
        ("blueprint_validation", LLM + 'model = { model = "m", «temprature = 1 }'),
        ("blueprint_validation", LLM + 'model = { model = "m", reasoning_effort = "low", «reasoning_budget = 9 }'),
        ("blueprint_validation", LLM + '«templating_style = "xlm"'),
        ("missing_key", LLM + '«templating_style = { text_format = "json" }'),
        ("blueprint_validation", LLM + '«structuring_method = "indirect"'),
        # Shapes of each kind.
        ("missing_key", FUNC.replace("pipe.p]", "pipe.«p]")),
        ("pipe_factory", FUNC + '«function_name = ""'),
        ("blueprint_validation", EXTRACT + 'output = "Page[]"\n«max_page_images = -1'),
        ("blueprint_validation", EXTRACT + 'output = "Page[]"\n«page_views = "yes"'),
        ("missing_key", COMPOSE + '«template = { template = "$d" }'),
        ("blueprint_validation", COMPOSE + 'template = { template = "$d", «category = "htm" }'),
        ("unknown_key", COMPOSE + 'template = { template = "$d", category = "html", «format = "x" }'),
        ("construct_field_error", COMPOSE + "«construct = 3"),
        ("construct_field_error", COMPOSE + 'construct = { «a = { from = "d", template = "$d" } }'),
        ("construct_field_error", COMPOSE + 'construct = { b = { from = "d" }, a = { «from = "d[0]" } }'),
        ("construct_field_error", COMPOSE + 'construct = { a = { from = "d", «list_to_dict = "k" } }'),
        ("construct_field_error", COMPOSE + 'construct = { b = { from = "d" }, «a = [{ from = "d" }] }'),
        ("blueprint_validation", SEQUENCE + "«steps = 3"),
        ("blueprint_validation", SEQUENCE + "steps = [«3]"),
        ("missing_key", SEQUENCE + 'steps = [{ pipe = "a" }, «{ result = "x" }]'),
        ("blueprint_validation", SEQUENCE + 'steps = [{ pipe = "a", «resul = "x" }]'),
        ("blueprint_validation", SEQUENCE + 'steps = [{ pipe = "a", «nb_output = 0 }]'),
        ("invalid_input_name", SEQUENCE + 'steps = [{ pipe = "a", «result = "_bound_x" }]'),
        ("invalid_pipe_code_syntax", SEQUENCE + 'steps = [{ «pipe = "A" }]'),
        ("binding_step_invalid", PARALLEL + 'output = "Composite"\nbranches = [{ «from = "a.b", result = "c" }]'),
        ("missing_key", CONDITION.replace("pipe.p]", "pipe.«p]") + 'outcomes = { a = "x" }'),
        ("invalid_pipe_code_syntax", CONDITION + 'outcomes = { «a = "X" }\ndefault_outcome = "fail"'),
        ("blueprint_validation", CONDITION + 'outcomes = { «a = 3 }\ndefault_outcome = "fail"'),
    ],
)
def test_a_mistake_has_its_code_and_its_place(code: str, marked: str) -> None:
    assert_only_problem(marked, code)


@pytest.mark.parametrize(
    ("feature", "marked"),
    [
        ("PipeSearch", HEAD + '[pipe.p]\n«type = "PipeSearch"\nprompt = "x"'),
        ("PipeImgGen", HEAD + '[pipe.p]\n«type = "PipeImgGen"'),
        ("PipeStructure", HEAD + '[pipe.p]\n«type = "PipeStructure"'),
        ("PipeJudge", HEAD + '[pipe.p]\n«type = "PipeJudge"'),
        ("PipeDocGen", HEAD + '[pipe.p]\n«type = "PipeDocGen"'),
        ("PipeSignature", HEAD + '[pipe.p]\n«type = "PipeSignature"'),
        ("signature", HEAD + '[pipe.«p]\ndescription = "d"\noutput = "Text"'),
        ("preliminary_text", LLM + '«structuring_method = "preliminary_text"'),
        ("model_to_structure", LLM + '«model_to_structure = "m"'),
        ("another package", LLM + 'inputs = { «cup = "kit->tea.Cup" }'),
        ("another package", SEQUENCE + 'steps = [{ «pipe = "kit->tea.rate" }]'),
        ("SearchResult", LLM.replace('output = "Text"', '«output = "SearchResult"')),
        ("page_image_captions", EXTRACT + 'output = "Page[]"\n«page_image_captions = true'),
        ("render_js", EXTRACT + 'output = "Page[]"\n«render_js = true'),
        ("include_raw_html", EXTRACT + 'output = "Page[]"\n«include_raw_html = true'),
        ("max_nb_images", EXTRACT + 'output = "Page[]"\nmodel = { model = "m", «max_nb_images = 3 }'),
        ("binding step", SEQUENCE + 'steps = [{ «from = "a.b", result = "c" }]'),
        ("batch_over", SEQUENCE + 'steps = [{ pipe = "a", «batch_over = "b.c", batch_as = "d" }]'),
        (
            "add_alias_from_expression_to",
            CONDITION + 'outcomes = { a = "x" }\ndefault_outcome = "fail"\n«add_alias_from_expression_to = "z"',
        ),
        (
            "max_concurrency",
            BATCH + 'output = "Text[]"\nbranch_pipe_code = "b"\ninput_list_name = "xs"\n'
            'input_item_name = "x"\n«max_concurrency = 3',
        ),
    ],
)
def test_what_this_version_lacks_is_refused_by_name(feature: str, marked: str) -> None:
    problem = assert_only_problem(marked, "not_supported_yet")
    assert feature in problem.message
    assert "not supported by this version" in problem.message


@pytest.mark.parametrize(
    ("code", "marked"),
    [
        ("legacy_spelling", LLM + '«prompt_template = "x"'),
        ("legacy_spelling", LLM + '«prompting_target = "openai"'),
        ("legacy_spelling", LLM + 'model = { model = "m", «prompting_target = "openai" }'),
        ("legacy_spelling", PARALLEL + '«combined_output = "Note"\nbranches = [{ pipe = "a", result = "r" }]'),
        (
            "legacy_spelling",
            BATCH + 'output = "Text[]"\nbranch_pipe_code = "b"\n'
            '«batch_params = { input_list_stuff_name = "xs", input_item_stuff_name = "x" }',
        ),
        ("legacy_spelling", CONDITION + '«pipe_map = { a = "x" }'),
        ("legacy_spelling", CONDITION + 'outcomes = { a = "x" }\n«default_pipe_code = "x"'),
        ("invalid_input_name", SEQUENCE + 'steps = [{ pipe = "a", «result = "..." }]'),
        ("invalid_input_name", LLM + 'prompt = "$page.view"\ninputs = { page = "Page", «"page.view" = "Image" }'),
        ("inadequate_output_multiplicity", EXTRACT + '«output = "Page"'),
        ("hint_unknown_intent", LLM + 'prompt = "$a"\ninputs.a = { concept = "Text", hints = { «intent = "proze" } }'),
        ("hint_unknown_key", NOTE + 'a = { description = "d", type = "text", hints = { «colour = "red" } }'),
        ("concept_structure_validation", NOTE + '«a = { description = "d", type = "list" }'),
        ("concept_structure_validation", NOTE + 'a = { description = "d", type = "list", «item_type = "Leaf" }'),
    ],
)
def test_old_spellings_are_accepted_with_a_warning(code: str, marked: str) -> None:
    assert_only_problem(marked, code, is_warning=True)


def test_old_spellings_mean_what_the_new_ones_mean() -> None:
    text = (
        LLM.replace("pipe.p]", "pipe.llm]")
        + 'prompt_template = "$page.view"\ninputs = { "page.view" = "Image" }\n'
        + CONDITION.removeprefix(HEAD).replace("pipe.p]", "pipe.choose]")
        + 'pipe_map = { a = "x" }\n'
        + BATCH.removeprefix(HEAD).replace("pipe.p]", "pipe.each]")
        + 'output = "Text"\nbranch_pipe_code = "b"\ninput_item_name = "x"\n'
        + PARALLEL.removeprefix(HEAD).replace("pipe.p]", "pipe.both]")
        + 'output = "Text"\ncombined_output = "Note"\nbranches = [{ pipe = "a", result = "r" }]\n'
    )
    pipes = parse_bundle(text, "x").pipes
    llm, choose, each, both = (pipes[code] for code in ("llm", "choose", "each", "both"))
    assert isinstance(llm, PipeLLM)
    assert isinstance(choose, PipeCondition)
    assert isinstance(each, PipeBatch)
    assert isinstance(both, PipeParallel)
    assert (llm.prompt, llm.inputs) == ("$page.view", {"page": Slot("Anything")})
    assert (choose.outcomes, choose.default_outcome) == ({"a": "x"}, "fail")
    assert (each.input_list_name, each.output) == ("xs", Slot("Text", is_list=True))
    assert both.output == Slot("Note")


FULL = '''
domain = "tea.tasting"
description = "Judging cups"
system_prompt = "Be fair"
main_pipe = "rate_cup"

[concept]
Cup = "One cup of tea"
Tin = { description = "A tin", refines = "Text" }

[concept.Note]
description = "A tasting note"
hints = { intent = "prose" }
[concept.Note.structure]
aroma = "What it smells of"
score = { type = "integer", description = "0 to 20", required = true }
kind = { description = "k", choices = ["green", "black"] }
day = { type = "date", description = "d", default_value = 2031-02-03 }
leaves = { type = "list", item_type = "concept", item_concept_ref = "tea.Leaf", description = "d" }
cup = { type = "concept", concept_ref = "Cup", description = "d" }
extra = { type = "dict", key_type = "text", value_type = "Any", description = "d" }
items = { type = "list", item_type = "text", description = "d" }
format = "f"
model_number = "m"

[pipe.rate_cup]
type = "PipeLLM"
description = "Rate"
inputs = { zeta = "Cup", photos = "Image[2]", remark = { concept = "Text?", hints = { intent = "prose" } } }
output = "Note[]"
model = { model = "$x", temperature = 0, max_tokens = "auto", description = "why" }
templating_style = "ticks"
prompt = """
$zeta @photos
@?remark
"""

[pipe.write]
type = "PipeCompose"
description = "Write"
inputs = { note = "Note" }
output = "Html"
template = "<b>$note.aroma</b>"

[pipe.build]
type = "PipeCompose"
description = "Build"
inputs = { note = "Note", xs = "Note[]" }
output = "Note"
[pipe.build.construct]
aroma = { from = "note.aroma" }
score = 3
day = 2031-02-03
tags = ["a", "b"]
by_kind = { from = "xs", list_to_dict_keyed_by = "kind" }
[pipe.build.construct.cup]
text = { template = "$note.kind" }

[pipe.read]
type = "PipeExtract"
description = "Read"
inputs = { doc = "Document" }
output = "Page[]"
page_views = true
render_js = false

[pipe.all]
type = "PipeSequence"
description = "All"
inputs = { doc = "Document" }
output = "Note"
[[pipe.all.steps]]
pipe = "read"
result = "pages"
[[pipe.all.steps]]
pipe = "tea.rate"
batch_over = "pages"
batch_as = "page"
'''


def test_a_full_file_is_read_as_written() -> None:
    bundle = parse_bundle(FULL, "tea.mthds")
    assert bundle.warnings == ()
    assert problems_of(FULL) == []
    assert (bundle.domain, bundle.main_pipe, bundle.system_prompt) == ("tea.tasting", "rate_cup", "Be fair")
    assert bundle.concepts["Cup"].structure is None
    assert bundle.concepts["Tin"].refines == "Text"
    fields = bundle.concepts["Note"].structure
    assert fields is not None
    assert list(fields) == [
        "aroma", "score", "kind", "day", "leaves", "cup", "extra", "items", "format", "model_number",
    ]  # fmt: skip
    assert (fields["aroma"].type, fields["aroma"].required) == (FieldType.TEXT, False)
    assert (fields["kind"].type, fields["kind"].choices) == (FieldType.TEXT, ("green", "black"))
    assert fields["day"].default_value == "2031-02-03"
    assert (fields["leaves"].item_type, fields["leaves"].item_concept_ref) == (FieldType.CONCEPT, "tea.Leaf")
    assert (fields["extra"].type, fields["extra"].value_type) == (FieldType.DICT, None)


def test_the_pipes_of_a_full_file() -> None:
    pipes = parse_bundle(FULL, "tea.mthds").pipes
    rate, write, build, read, everything = pipes.values()
    assert isinstance(rate, PipeLLM)
    assert list(rate.inputs.items()) == [
        ("zeta", Slot("Cup")),
        ("photos", Slot("Image", is_list=True, count=2)),
        ("remark", Slot("Text", presence="optional")),
    ]
    assert rate.input_hints == {"remark": {"intent": "prose"}}
    assert rate.model == {"model": "$x", "temperature": 0}
    assert rate.templating_style == TemplatingStyle(tag_style="ticks")
    assert isinstance(write, PipeCompose)
    assert write.template is not None
    assert write.template.category == "html"
    assert isinstance(build, PipeCompose)
    assert build.construct_fields == {
        "aroma": FromPath.model_validate({"from": "note.aroma"}),
        "score": Literally(value=3),
        "day": Literally(value="2031-02-03"),
        "tags": Literally(value=["a", "b"]),
        "by_kind": FromPath.model_validate({"from": "xs", "list_to_dict_keyed_by": "kind"}),
        "cup": Nested(fields={"text": FromTemplate(template="$note.kind")}),
    }
    assert isinstance(read, PipeExtract)
    assert read.page_views
    assert isinstance(everything, PipeSequence)
    assert everything.steps == (
        Step(pipe="read", result="pages"),
        Step(pipe="tea.rate", batch_over="pages", batch_as="page"),
    )


def test_a_bundle_survives_its_wire_form() -> None:
    bundle = parse_bundle(FULL, "tea.mthds")
    wire = bundle.model_dump_json(exclude_defaults=True)
    assert type(bundle).model_validate_json(wire) == bundle


def test_all_the_problems_of_a_file_are_told_at_once_in_its_order() -> None:
    text = '''domain = "tea"
main_pipe = "rate_cop"

[concept.Note]
description = "A note"
[concept.Note.structure]
score = { type = "int", description = "0 to 20" }

[pipe.rate_cup]
type = "PipeLLM"
description = "Rate"
inputs = { cup = "Cup[0]" }
output = "Note"
promt = """
Hello @cup
"""

[pipe.find]
type = "PipeSearch"

[pipe.all]
type = "PipeSequnce"
'''
    with pytest.raises(LanguageError) as caught:
        parse_bundle(text, "tea.mthds")
    assert caught.value.render() == snapshot('''\
tea.mthds:2:1: error: the main pipe 'rate_cop' is not in this file [unresolved_pipe_dependency]
  2 | main_pipe = "rate_cop"
      ^
  hint: did you mean 'rate_cup'?
tea.mthds:7:11: error: 'int' is not a type that 'type' may be, in the field 'Note.score' [concept_structure_validation]
  7 | score = { type = "int", description = "0 to 20" }
                ^
  hint: did you mean 'integer'?
tea.mthds:12:12: error: the input 'cup': 'Cup[0]': a list of exactly 0 items is not a slot [slot_syntax]
  12 | inputs = { cup = "Cup[0]" }
                  ^
tea.mthds:14:1: error: a PipeLLM has no key 'promt' [unknown_key]
  14 | promt = """
       ^
  hint: did you mean 'prompt'?
tea.mthds:19:1: error: PipeSearch is not supported by this version [not_supported_yet]
  19 | type = "PipeSearch"
       ^
tea.mthds:22:1: error: 'PipeSequnce' is not a type of pipe [unknown_pipe_type]
  22 | type = "PipeSequnce"
       ^
  hint: did you mean 'PipeSequence'?
error: tea.mthds has 6 problems [language-error]\
''')
    assert isinstance(from_report(caught.value.report()), LanguageError)


WORDS = [
    *("type", "description", "inputs", "output", "prompt", "model", "steps", "branches", "outcomes", "template"),
    *("construct", "templating_style", "pipe", "result", "batch_over", "from", "concept", "hints", "structure"),
    *("choices", "item_type", "batch_params", "structuring_method", "pipe_map", "x"),
]
VALUES = st.recursive(
    st.one_of(st.sampled_from([*KINDS, *WORDS, "Text[]", "a.b", "{{ a"]), st.integers(), st.booleans(), st.just([])),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.sampled_from(WORDS), inner, max_size=4)),
    max_leaves=6,
)


def spelled(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {spelled(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(spelled(item) for item in value) + "]"
    return str(value).lower() if isinstance(value, bool) else repr(value)


@given(
    st.sampled_from(list(KINDS)),
    st.dictionaries(st.sampled_from([key for key in WORDS if key != "type"]), VALUES, max_size=6),
    st.dictionaries(st.sampled_from(["description", "structure", "refines", "hints"]), VALUES),
)
def test_whatever_a_file_holds_is_told_as_problems_in_the_file(
    kind: str, pipe: dict[str, object], concept: dict[str, object]
) -> None:
    body = [f"{key} = {spelled(value)}" for key, value in pipe.items()]
    notes = [f"{key} = {spelled(value)}" for key, value in concept.items()]
    text = "\n".join([HEAD, "[concept.Note]", *notes, "[pipe.p]", f"type = '{kind}'", *body])
    for problem in problems_of(text):
        assert problem.line is not None
        assert problem.excerpt is not None


def test_the_hint_names_what_was_meant() -> None:
    for text, hint in (
        (LLM + 'promt = "x"', "did you mean 'prompt'?"),
        (LLM.replace('"PipeLLM"', '"PipeLlm"'), "did you mean 'PipeLLM'?"),
        (NOTE + 'a = { description = "d", type = "string" }', "did you mean 'text'?"),
        (HEAD + 'main_pipe = "rat"\n[pipe.rate]\n' + LLM.partition("[pipe.p]\n")[2], "did you mean 'rate'?"),
        (LLM.replace('output = "Text"', 'output = "text"'), "did you mean 'Text'?"),
    ):
        (problem,) = problems_of(text)
        assert problem.hint is not None
        assert problem.hint.endswith(hint)
