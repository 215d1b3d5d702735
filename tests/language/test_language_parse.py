"""Parsing: what is read, what is refused and where, what is accepted with a warning."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inline_snapshot import snapshot
from language_marks import assert_only_problem, problems_of

from pipelex.errors import LanguageError, from_report
from pipelex.language.parse import parse_bundle
from pipelex.language.pipes import (
    Binding,
    FromPath,
    FromTemplate,
    Level,
    Literally,
    Nested,
    PipeBatch,
    PipeCompose,
    PipeCondition,
    PipeExtract,
    PipeLLM,
    PipeParallel,
    PipeSequence,
    PipeSignature,
    Question,
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
IMAGE = HEAD + '[pipe.p]\ntype = "PipeImgGen"\ndescription = "d"\noutput = "Image"\nprompt = "x"\n'
SEARCH = HEAD + '[pipe.p]\ntype = "PipeSearch"\ndescription = "d"\noutput = "SearchResult"\nprompt = "x"\n'
JUDGES = HEAD + '[pipe.p]\ntype = "PipeJudge"\ndescription = "d"\noutput = "YesNo"\nprompt = "x"\n'
JUDGE = JUDGES + 'question = "x"\n'
DOCUMENT = HEAD + '[pipe.p]\ntype = "PipeDocGen"\ndescription = "d"\noutput = "Document"\n'
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
        ("concept_structure_validation", HEAD + '[concept.Note]\ndescription = "d"\n«refine = "Text"'),
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
        ("concept_structure_validation", NOTE + 'a = { description = "d", type = "text", «requird = true }'),
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
        ("concept_structure_validation", HEAD + '[concept.Note]\ndescription = "d"\n«structure = ""'),
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
        ("blueprint_validation", LLM + 'model = { «model = "@" }'),
        ("blueprint_validation", LLM + 'model = { model = "m", «description = 3 }'),
        ("missing_key", LLM + "«model_to_structure = {}"),
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
        ("binding_step_invalid", SEQUENCE + 'steps = [{ «from = "a[0]", result = "c" }]'),
        ("binding_step_invalid", SEQUENCE + 'steps = [{ from = "a", «result = "c.d" }]'),
        ("binding_step_invalid", SEQUENCE + 'steps = [{ from = "a", result = "c", «pipe = "b" }]'),
        ("binding_step_invalid", SEQUENCE + 'steps = [{ pipe = "b" }, «{ from = "a" }]'),
        ("binding_step_invalid", SEQUENCE + 'steps = [{ pipe = "a", «batch_over = "b._c", batch_as = "d" }]'),
        # The other kinds.
        ("unknown_pipe_type", HEAD + '[pipe.p]\ndescription = "d"\noutput = "Text"\n«signature_for = "PipeSignature"'),
        ("unknown_pipe_type", HEAD + '[pipe.p]\ndescription = "d"\noutput = "Text"\n«signature_for = 3'),
        ("blueprint_validation", IMAGE + '«size = "0.5k"'),
        ("blueprint_validation", IMAGE + "size = { width = 3, height = 4, «depth = 5 }"),
        ("blueprint_validation", IMAGE + 'size = "3x4"\n«aspect_ratio = "square"'),
        ("blueprint_validation", IMAGE + "«seed = true"),
        ("blueprint_validation", SEARCH + 'from_date = "2030-01-02"\n«to_date = "2030-01-01"'),
        ("blueprint_validation", SEARCH + 'include_domains = ["tea.org", «"http://x.org"]'),
        ("pipe_validation", JUDGE + 'options = { a = "" }\n'.replace("options", "«options")),
        ("pipe_validation", JUDGE + 'levels = ["a", «"a"]'),
        ("pipe_validation", JUDGE + 'criteria = { yes = "x", no = "y", «maybe = "z" }'),
        ("pipe_validation", JUDGE + 'options = { a = "", b = "" }\n«threshold = 0.4'),
        ("unknown_key", JUDGE + '«question_kind = "x"'),
        ("unknown_key", JUDGES + '[pipe.p.questions.fresh]\nquestion = "x"\n«option = { a = "" }'),
        ("missing_key", JUDGES + "[pipe.p.questions.«fresh]\nthreshold = 0.4"),
        (
            "missing_key",
            JUDGES.replace("pipe.p]", "pipe.«p]").replace('prompt = "x"\n', "") + 'questions.a.question = "x"',
        ),
        ("pipe_factory", DOCUMENT + '«format = "html"'),
        ("pipe_factory", DOCUMENT + 'format = "xlsx"\n«template = "x"'),
        ("pipe_factory", DOCUMENT + 'format = "pdf"\n«template_file = "C:/x.html"'),
        ("missing_key", CONDITION.replace("pipe.p]", "pipe.«p]") + 'outcomes = { a = "x" }'),
        ("invalid_pipe_code_syntax", CONDITION + 'outcomes = { «a = "X" }\ndefault_outcome = "fail"'),
        ("blueprint_validation", CONDITION + 'outcomes = { «a = 3 }\ndefault_outcome = "fail"'),
    ],
)
def test_a_mistake_has_its_code_and_its_place(code: str, marked: str) -> None:
    assert_only_problem(marked, code)


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
        ("hint_inapplicable_intent", NOTE + 'a = { description = "d", type = "date", hints = { «intent = "label" } }'),
        ("concept_structure_validation", NOTE + '«a = { description = "d", type = "list" }'),
        ("concept_structure_validation", NOTE + 'a = { description = "d", type = "list", «item_type = "Leaf" }'),
        ("legacy_signature_type", HEAD + '[pipe.p]\n«type = "PipeSignature"\ndescription = "d"\noutput = "Text"'),
        ("legacy_spelling", JUDGES.replace('prompt = "x"\n', "") + '«question = "x"'),
        ("extraneous_input_variable", DOCUMENT + 'inputs = { «a = "Text" }\nformat = "pdf"\ntemplate = "x"'),
    ],
)
def test_old_spellings_are_accepted_with_a_warning(code: str, marked: str) -> None:
    assert_only_problem(marked, code, is_warning=True)


def test_the_strict_profile_refuses_old_spellings() -> None:
    text = LLM + 'prompt_template = "$a"\ninputs = { a = "Text" }'
    assert [item.is_warning for item in parse_bundle(text, "x").warnings] == [True]
    with pytest.raises(LanguageError) as caught:
        parse_bundle(text, "x", strict=True)
    assert [(item.code, item.is_warning) for item in caught.value.found] == [("legacy_spelling", False)]


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


EVERY = """
domain = "tea"
[concept.Tin]
description = "A tin"
structure = "TinContent"

[pipe.promise]
description = "A contract"
inputs = { tin = "kit->tea.Tin", cup = "tea.org/Some/kit->tea.tasting.Cup[]" }
output = "SearchResult?"
signature_for = "PipeSearch"

[pipe.draft]
type = "PipeLLM"
description = "d"
output = "Tin"
structuring_method = "preliminary_text"
model_to_structure = { model = "@x", temperature = 0.5 }

[pipe.fill]
type = "PipeStructure"
description = "d"
inputs = { draft_text = "Text" }
output = "Tin"
model = "$x"

[pipe.paint]
type = "PipeImgGen"
description = "d"
output = "Image"
prompt = "a cup"
size = { width = 640, height = 480 }
seed = "auto"
model = { model = "m", quality = "high", description = "why" }

[pipe.find]
type = "PipeSearch"
description = "d"
output = "SearchResult"
prompt = "tea"
from_date = 2030-01-31
to_date = "2030-02-01"
include_domains = ["tea.org"]

[pipe.judge]
type = "PipeJudge"
description = "d"
output = "Rating"
prompt = "a cup"
question = "How good?"
levels = [{ label = "bad", description = "b" }, { label = "good", description = "g" }]

[pipe.judge_all]
type = "PipeJudge"
description = "d"
output = "Tin"
prompt = "a cup"
questions.fresh = { question = "Fresh?", threshold = 0.7, criteria = { yes = "y", no = "n" } }
questions.kind = { question = "Which?", options = { green = "", black = "b" } }

[pipe.print]
type = "PipeDocGen"
description = "d"
output = "Document"
format = "pptx"
template_file = "slides/tea.pptx"

[pipe.read]
type = "PipeExtract"
description = "d"
inputs = { doc = "Document" }
output = "Page[]"
page_image_captions = true
render_js = false
include_raw_html = true
model = { model = "m", max_nb_images = 3, image_min_size = 50 }

[pipe.all]
type = "PipeSequence"
description = "d"
output = "Text"
steps = [
  { from = "page.text_and_images", result = "body" },
  { pipe = "kit->tea.rate", batch_over = "body.images", batch_as = "image" },
]

[pipe.choose]
type = "PipeCondition"
description = "d"
output = "Text"
expression = "1"
outcomes = { 1 = "tea.org/kit->tea.rate" }
default_outcome = "fail"
add_alias_from_expression_to = "chosen"

[pipe.each]
type = "PipeBatch"
description = "d"
inputs = { cups = "Text[]" }
output = "Text[]"
branch_pipe_code = "kit->rate"
input_list_name = "cups"
input_item_name = "cup"
max_concurrency = 3
"""


def test_every_kind_of_pipe_is_read() -> None:
    bundle = parse_bundle(EVERY, "tea.mthds", strict=True)
    assert bundle.warnings == ()
    assert bundle.concepts["Tin"].structure_class == "TinContent"
    pipes = bundle.pipes
    assert pipes["promise"] == PipeSignature(
        type="PipeSignature",
        description="A contract",
        inputs={"tin": Slot("kit->tea.Tin"), "cup": Slot("tea.org/Some/kit->tea.tasting.Cup", is_list=True)},
        output=Slot("SearchResult", presence="optional"),
        signature_for="PipeSearch",
    )
    expected: dict[str, dict[str, object]] = {
        "draft": {"structuring_method": "preliminary_text", "model_to_structure": {"model": "@x", "temperature": 0.5}},
        "fill": {"model": "$x"},
        "paint": {"size": "640x480", "seed": "auto", "model": {"model": "m", "quality": "high"}},
        "find": {"from_date": "2030-01-31", "to_date": "2030-02-01", "include_domains": ("tea.org",)},
        "judge": {
            "question": Question(
                question="How good?",
                levels=(Level(label="bad", description="b"), Level(label="good", description="g")),
            )
        },
        "judge_all": {
            "question": None,
            "questions": {
                "fresh": Question(question="Fresh?", threshold=0.7, criteria={"yes": "y", "no": "n"}),
                "kind": Question(question="Which?", options={"green": "", "black": "b"}),
            },
        },
        "print": {"format": "pptx", "template": None, "template_file": "slides/tea.pptx"},
        "read": {"page_image_captions": True, "render_js": False, "include_raw_html": True},
        "all": {
            "steps": (
                Binding.model_validate({"from": "page.text_and_images", "result": "body"}),
                Step(pipe="kit->tea.rate", batch_over="body.images", batch_as="image"),
            )
        },
        "choose": {"outcomes": {"1": "tea.org/kit->tea.rate"}, "add_alias_from_expression_to": "chosen"},
        "each": {"branch_pipe_code": "kit->rate", "max_concurrency": 3},
    }
    for code, fields in expected.items():
        assert {name: getattr(pipes[code], name) for name in fields} == fields


@pytest.mark.parametrize("text", [FULL, EVERY], ids=["full", "every kind"])
def test_a_bundle_survives_its_wire_form(text: str) -> None:
    bundle = parse_bundle(text, "tea.mthds")
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
description = "Find"
output = "SearchResult"

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
tea.mthds:18:7: error: pipe 'find' has no 'prompt' [missing_key]
  18 | [pipe.find]
             ^
  hint: add `prompt = …`
tea.mthds:24:1: error: 'PipeSequnce' is not a type of pipe [unknown_pipe_type]
  24 | type = "PipeSequnce"
       ^
  hint: did you mean 'PipeSequence'?
error: tea.mthds has 6 problems [language-error]\
''')
    assert isinstance(from_report(caught.value.report()), LanguageError)


WORDS = [
    *("type", "description", "inputs", "output", "prompt", "model", "steps", "branches", "outcomes", "template"),
    *("construct", "templating_style", "pipe", "result", "batch_over", "from", "concept", "hints", "structure"),
    *("choices", "item_type", "batch_params", "structuring_method", "pipe_map", "question", "questions", "levels"),
    *("options", "criteria", "size", "seed", "format", "template_file", "from_date", "include_domains", "x"),
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


@settings(deadline=None)
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
