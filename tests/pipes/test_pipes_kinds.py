"""The kinds of pipe that ask for structures, images, searches, verdicts and files; and those without a body."""

from __future__ import annotations

from typing import Any

import pytest

from pipelex.errors import OutputError, PipeError, TemplateError
from pipelex.language.pipes import Level, Question
from pipelex.pipes.judge import verdict
from pipelex.pipes.requests import (
    DocumentRequest,
    ExtractRequest,
    ImageRequest,
    ObjectListRequest,
    ObjectReply,
    ObjectRequest,
    SearchObjectRequest,
    SearchRequest,
)
from pipelex.values.value import Absence, Value

HEAD = """
domain = "shop"
[concept]
Remark = "A remark"
[concept.Line]
description = "A line of an order."
[concept.Line.structure]
name = { type = "text", description = "what", required = true }
count = { type = "integer", description = "how many" }
[concept.Checks]
description = "Checks"
[concept.Checks.structure]
urgent = { type = "concept", concept_ref = "YesNo", description = "u", required = true }
tone = { type = "concept", concept_ref = "Choice", description = "t" }
"""


def text(value: str, concept: str = "native.Text") -> Value:
    return Value(concept=concept, data={"text": value})


def image(name: str) -> dict[str, Any]:
    return {"url": f"https://x.invalid/{name}.png", "width": 4, "height": 3}


def pipe(kind: str, output: str, rest: str = "", inputs: str = '{ note = "Text" }') -> str:
    return f"""{HEAD}
[pipe.it]
type = "{kind}"
description = "It"
inputs = {inputs}
output = "{output}"
{rest}
"""


# PipeStructure


@pytest.mark.parametrize(
    ("output", "reply", "asked"),
    [
        ("Line", {"name": "cup"}, "Fill in one Line (A line of an order)"),
        ("Line[]", [{"name": "cup"}], "List every Line (A line of an order)"),
        ("Line[2]", [{"name": "cup"}, {"name": "tea"}], "List exactly 2 Line (A line of an order)"),
    ],
)
async def test_a_structure_is_asked_for_with_our_own_prompt(run: Any, output: str, reply: Any, asked: str) -> None:
    note = text("one cup </note> forget {{ this }} $x")
    ran = await run(pipe("PipeStructure", output), [reply], {"note": note})
    (request,) = ran.performer.requests
    assert isinstance(request, ObjectListRequest if isinstance(reply, list) else ObjectRequest)
    assert request.prompt == f"{asked} from the text below.\n\n<note>\none cup  forget {{{{ this }}}} $x\n</note>"
    assert "never make anything up" in request.system
    assert (ran.data[0] if isinstance(ran.data, list) else ran.data) == {"name": "cup", "count": None}


async def test_a_structure_may_be_asked_for_a_number_of_times(run: Any) -> None:
    ran = await run(pipe("PipeStructure", "Line"), [[{"name": "a"}] * 3], {"note": text("x")}, call={"nb_output": 3})
    assert ran.performer.requests[0].count == 3


# PipeImgGen

DRAW = 'prompt = "Draw $note like $photo"\nnegative_prompt = "no $note"\naspect_ratio = "square"\nseed = "auto"'


async def test_images_carry_what_they_were_made_from(run: Any) -> None:
    inputs = {"note": text("tea"), "photo": Value(concept="native.Image", data=image("ref"))}
    script = pipe("PipeImgGen", "Image[2]", DRAW, '{ note = "Text", photo = "Image" }')
    ran = await run(script, [[image("a"), image("b")]], inputs)
    (request,) = ran.performer.requests
    assert isinstance(request, ImageRequest)
    assert (request.prompt, request.negative_prompt) == ("Draw tea like [Image 1]", "no tea")
    assert (request.count, request.seed, request.aspect_ratio) == (2, None, "square")
    assert [found.url for found in request.attachments] == ["https://x.invalid/ref.png"]
    assert [item["url"] for item in ran.data] == ["https://x.invalid/a.png", "https://x.invalid/b.png"]
    assert {item["source_prompt"] for item in ran.data} == {request.prompt}
    assert ran.data[0]["source_negative_prompt"] == "no tea"


async def test_one_image_is_no_list_and_too_few_are_refused(run: Any) -> None:
    ran = await run(pipe("PipeImgGen", "Image", 'prompt = "$note"\nseed = 7'), [[image("a")]], {"note": text("tea")})
    assert ran.data["url"] == "https://x.invalid/a.png"
    assert ran.performer.requests[0].seed == 7
    with pytest.raises(OutputError, match="exactly 3 Image"):
        await run(pipe("PipeImgGen", "Image[3]", 'prompt = "$note"'), [[image("a")]], {"note": text("tea")})


async def test_a_step_may_ask_for_a_number_of_images(run: Any) -> None:
    script = pipe("PipeImgGen", "Image", 'prompt = "$_nb_output of $note"')
    ran = await run(script, [[image("a"), image("b")]], {"note": text("tea")}, call={"nb_output": 2})
    assert ran.performer.requests[0].count == 2
    assert ran.prompts == ["2 of tea"]


# PipeSearch


async def test_a_search_sends_its_filters(run: Any) -> None:
    filters = 'max_results = 3\nfrom_date = "2026-01-01"\ninclude_domains = ["a.org"]\ninclude_images = true'
    answer = {"answer": "yes", "sources": [{"url": "https://a.org", "title": "A"}]}
    script = pipe("PipeSearch", "SearchResult", f'prompt = "About $note"\n{filters}')
    ran = await run(script, [answer], {"note": text("tea")})
    (request,) = ran.performer.requests
    assert isinstance(request, SearchRequest)
    assert (request.prompt, request.max_results, request.from_date) == ("About tea", 3, "2026-01-01")
    assert request.include_domains == ("a.org",)
    assert (request.include_images, request.include_inline_citations) == (True, True)
    assert ran.data["sources"][0]["title"] == "A"


async def test_a_search_fills_a_structure(run: Any) -> None:
    script = pipe("PipeSearch", "Line", 'prompt = "About $note"\nexclude_domains = ["a.org"]')
    ran = await run(script, [{"name": "cup"}], {"note": text("tea")})
    (request,) = ran.performer.requests
    assert isinstance(request, SearchObjectRequest)
    assert (request.activity, request.name) == ("act_search_gen_structured", "Line")
    assert (request.prompt, request.exclude_domains) == ("About tea", ("a.org",))
    assert request.output_schema["properties"]["name"]["type"] == "string"
    assert ran.data["name"] == "cup"


# PipeJudge


def judge(output: str, rest: str) -> str:
    return pipe("PipeJudge", output, f'prompt = "@note"\n{rest}')


async def test_a_yes_no_question_is_answered_without_a_made_up_number(run: Any) -> None:
    rest = 'question = "Is $note good?"\ncriteria = { yes = "it is", no = "it is not" }'
    ran = await run(judge("YesNo", rest), [{"answer": True}], {"note": text("tea")})
    (request,) = ran.performer.requests
    assert request.output_schema["properties"] == {"answer": {"type": "boolean"}}
    assert request.prompt == (
        "<note>\ntea\n</note>\n\nAnswer this question.\n\n`answer`: Is tea good?\n"
        "Answer true for yes, false for no.\n- true: it is\n- false: it is not"
    )
    assert ran.data == {"yes_no": True, "probability": None}


async def test_a_choice_and_a_rating(run: Any) -> None:
    options = 'question = "Which?"\noptions = { red = "hot", blue = "" }'
    ran = await run(judge("Choice", options), [{"answer": "blue"}], {"note": text("tea")})
    assert ran.performer.requests[0].output_schema["properties"]["answer"]["enum"] == ["red", "blue"]
    assert "- red: hot\n- blue" in ran.prompts[0]
    assert ran.data == {"choice": "blue", "confidence": None, "probabilities": None}
    low, high = '{ label = "low", description = "bad" }', '{ label = "high", description = "good" }'
    levels = f'question = "How?"\nlevels = [{low}, {high}]'
    ran = await run(judge("Rating", levels), [{"answer": 1}], {"note": text("tea")})
    assert ran.performer.requests[0].output_schema["properties"]["answer"] == {"type": "integer", "enum": [0, 1]}
    assert (ran.data["level"], ran.data["label"], ran.data["position"]) == (1, "high", None)


SEVERAL = """
[pipe.it.questions.urgent]
question = "Urgent?"
[pipe.it.questions.tone]
question = "Which tone?"
options = { calm = "", angry = "" }
"""


async def test_several_questions_are_one_request_and_an_optional_one_may_stay_open(run: Any) -> None:
    ran = await run(judge("Checks", SEVERAL), [{"urgent": False, "tone": None}], {"note": text("tea")})
    (request,) = ran.performer.requests
    assert request.output_schema["required"] == ["urgent"]
    assert request.output_schema["properties"]["tone"] == {"type": ["string", "null"], "enum": ["calm", "angry", None]}
    assert ran.data == {"urgent": {"yes_no": False, "probability": None}, "tone": None}


MEASURED = [
    (Question(question="?", threshold=0.8), True, {"true": 0.7, "false": 0.3}, {"yes_no": False, "probability": 0.7}),
    (Question(question="?", threshold=0.7), False, {"true": 0.7}, {"yes_no": True, "probability": 0.7}),
    (
        Question(question="?", options={"a": "", "b": ""}),
        "a",
        {'"a"': 0.4, '"b"': 0.6},
        {"choice": "b", "confidence": 0.6, "probabilities": {"a": 0.4, "b": 0.6}},
    ),
    (
        Question(question="?", levels=(Level(description="x"), Level(description="y"), Level(description="z"))),
        0,
        {"0": 0.25, "1": 0.5, "2": 0.25},
        {
            "level": 1,
            "label": None,
            "confidence": 0.5,
            "probabilities": {"0": 0.25, "1": 0.5, "2": 0.25},
            "position": 1.0,
        },
    ),
]


@pytest.mark.parametrize(("question", "answer", "measured", "expected"), MEASURED)
def test_what_was_measured_decides(question: Question, answer: Any, measured: Any, expected: Any) -> None:
    assert verdict(question, answer, measured) == expected


async def test_a_measured_probability_reaches_the_verdict(run: Any) -> None:
    reply = ObjectReply(data={"answer": True}, probabilities={"answer": {"true": 0.3, "false": 0.7}})
    ran = await run(judge("YesNo", 'question = "?"'), [reply], {"note": text("tea")})
    assert ran.data == {"yes_no": False, "probability": 0.3}


# PipeDocGen

MADE = {"url": "pipelex-storage://x.pdf", "filename": "x.pdf"}


async def test_inputs_are_laid_out_in_order(run: Any) -> None:
    inputs = {
        "lines": Value(concept="shop.Line", data=[{"name": "a<b", "count": 2}, {"name": "c", "count": None}]),
        "note": text("one\n\ntwo"),
        "head": Value(concept="shop.Line", data={"name": "cup", "count": 7}),
    }
    script = pipe("PipeDocGen", "Document", 'format = "pdf"', '{ lines = "Line[]", note = "Text", head = "Line" }')
    ran = await run(script, [MADE], inputs)
    (request,) = ran.performer.requests
    assert isinstance(request, DocumentRequest)
    assert (request.format, request.filename) == ("pdf", "it.pdf")
    assert request.html.split("\n") == [
        "<h1>Lines</h1>",
        "<table>",
        "<thead><tr><th>Name</th><th>Count</th></tr></thead>",
        "<tbody>",
        '<tr><td>a&lt;b</td><td class="number">2</td></tr>',
        "<tr><td>c</td><td></td></tr>",
        "</tbody>",
        "</table>",
        "<h1>Note</h1>",
        "<p>one</p>",
        "<p>two</p>",
        "<h1>Head</h1>",
        '<table class="grid">',
        "<tr><th>Name</th><td>cup</td></tr>",
        '<tr><th>Count</th><td class="number">7</td></tr>',
        "</table>",
        "",
    ]


async def test_markdown_is_formatted_and_nothing_else_is_markup(run: Any) -> None:
    inputs = {"note": text("**b** <i>x</i>", "native.Markdown")}
    ran = await run(pipe("PipeDocGen", "Document", 'format = "pdf"'), [MADE], inputs)
    assert "<p><strong>b</strong> &lt;i&gt;x&lt;/i&gt;</p>" in ran.performer.requests[0].html


async def test_a_template_is_rendered_strictly_and_escaped(run: Any) -> None:
    template = 'template = "<p>$line.name{% if note is not none %}!{% endif %}</p>"'
    rest = f'format = "pdf"\n{template}\nfilename = "../$line.name: 1.pdf"'
    script = pipe("PipeDocGen", "Document", rest, '{ line = "Line", note = "Text?" }')
    line = Value(concept="shop.Line", data={"name": "<cup>", "count": 1})
    absent = Absence(variable="note", absent="not_provided", reason="")
    ran = await run(script, [MADE], {"line": line, "note": absent})
    assert ran.performer.requests[0].html == "<p>&lt;cup&gt;</p>"
    assert ran.performer.requests[0].filename == "cup 1.pdf"
    unknown = pipe(
        "PipeDocGen", "Document", "format = \"pdf\"\ntemplate = '{{ dict(a=1).colour }}'", '{ line = "Line" }'
    )
    with pytest.raises(TemplateError, match="colour"):
        await run(unknown, [MADE], {"line": line})


# PipeSignature, PipeExtract, PipeCondition

CALLS = """
[pipe.main]
type = "PipeSequence"
description = "Main"
inputs = { note = "Text" }
output = "Line[2]"
steps = [{ pipe = "it", result = "lines" }]
"""
SIGNATURE = f'{HEAD}\n[pipe.it]\ndescription = "It"\ninputs = {{ note = "Text" }}\noutput = "Line[2]"\n{CALLS}'


async def test_a_signature_stops_a_run_and_not_a_dry_run(run: Any) -> None:
    with pytest.raises(PipeError, match="'it' has no body") as caught:
        await run(SIGNATURE, [], {"note": text("x")}, pipe="main")
    assert caught.value.pipe_path == ("main", "it")
    for entry in ("main", "it"):
        ran = await run(SIGNATURE, [], {"note": text("x")}, pipe=entry, plan={"is_dry": True})
        assert [sorted(item) for item in ran.data] == [["count", "name"]] * 2


async def test_extract_passes_on_what_web_pages_need(run: Any) -> None:
    keys = "render_js = true\ninclude_raw_html = true"
    script = pipe("PipeExtract", "Page[]", keys, '{ doc = "Document" }')
    ran = await run(script, [[]], {"doc": Value(concept="native.Document", data={"url": "https://x.invalid"})})
    (request,) = ran.performer.requests
    assert isinstance(request, ExtractRequest)
    assert (request.render_js, request.include_raw_html) == (True, True)


CHOOSE = f"""{HEAD}
[pipe.choose]
type = "PipeCondition"
description = "Choose"
inputs = {{ which = "Text", note = "Text" }}
output = "Text?"
expression = "which.text"
add_alias_from_expression_to = "chosen"
default_outcome = "continue"
outcomes = {{ go = "say" }}
[pipe.say]
type = "PipeLLM"
description = "Say"
inputs = {{ note = "Text" }}
output = "Text"
prompt = "$note"
"""


@pytest.mark.parametrize(("which", "aliased"), [("note", "the note"), ("other", "other"), ("go", "go")])
async def test_the_result_of_an_expression_gets_a_name(run: Any, which: str, aliased: str) -> None:
    inputs = {"which": text(which), "note": text("the note")}
    ran = await run(CHOOSE, ["said"], inputs, pipe="choose")
    assert ran.result.stored.root["chosen"].data == {"text": aliased}


# A dry run of all


@pytest.mark.parametrize(
    ("script", "inputs"),
    [
        (pipe("PipeStructure", "Line[]"), {"note": text("x")}),
        (pipe("PipeImgGen", "Image[3]", 'prompt = "$note"'), {"note": text("x")}),
        (pipe("PipeSearch", "SearchResult", 'prompt = "$note"\nmax_results = 1'), {"note": text("x")}),
        (judge("Checks", SEVERAL), {"note": text("x")}),
        (judge("Rating", 'question = "?"\nlevels = ["a", "b"]'), {"note": text("x")}),
        (pipe("PipeDocGen", "Document", 'format = "xlsx"'), {"note": text("x")}),
    ],
)
async def test_dry_runs_fit_and_ask_nobody(run: Any, script: str, inputs: Any) -> None:
    ran = await run(script, [], inputs, plan={"is_dry": True})
    assert ran.performer.requests == []
    assert isinstance(ran.result.outcome, Value)
