from __future__ import annotations

from typing import Any

import pytest

from pipelex.errors import InternalError, OutputError, PipeError, ReplyError
from pipelex.pipes.requests import (
    Attachment,
    ExtractRequest,
    FunctionRequest,
    ObjectListRequest,
    ObjectRequest,
    TextRequest,
)
from pipelex.values.slots import Slot
from pipelex.values.value import Absence, Value

HEAD = """
domain = "shop"
[concept]
Remark = "A remark"
[concept.Line]
description = "A line of an order"
[concept.Line.structure]
name = { type = "text", description = "what", required = true }
count = { type = "integer", description = "how many" }
price = { type = "number", description = "each" }
due = { type = "date", description = "when" }
is_urgent = { type = "boolean", description = "now" }
size = { choices = ["small", "large"], description = "how big" }
remark = { type = "concept", concept_ref = "Remark", description = "a remark" }
parts = { type = "list", item_type = "text", description = "parts" }
"""


def text(value: str, concept: str = "native.Text") -> Value:
    return Value(concept=concept, data={"text": value})


def llm(output: str, rest: str = 'prompt = "Say $topic"', inputs: str = '{ topic = "Text" }') -> str:
    return f"""{HEAD}
[pipe.ask]
type = "PipeLLM"
description = "Ask"
inputs = {inputs}
output = "{output}"
{rest}
"""


async def test_a_text_is_asked_as_text_and_kept_but_for_one_newline(run: Any) -> None:
    ran = await run(llm("Remark"), ["  kept \n\n"], {"topic": text("tea")})
    (request,) = ran.performer.requests
    assert isinstance(request, TextRequest)
    assert (request.prompt, request.system, request.model.handle) == ("Say tea", None, "scripted")
    assert ran.result.outcome == text("  kept \n", "shop.Remark")
    assert ran.result.usage.calls == 1


async def test_an_object_is_asked_with_its_schema(run: Any) -> None:
    ran = await run(llm("Line"), [{"name": "cup", "count": 2}], {"topic": text("tea")})
    (request,) = ran.performer.requests
    assert isinstance(request, ObjectRequest)
    assert request.name == "Line"
    assert list(request.output_schema["properties"]) == [  # type: ignore[arg-type]
        "name", "count", "price", "due", "is_urgent", "size", "remark", "parts",
    ]  # fmt: skip
    assert ran.data["name"] == "cup"
    assert ran.data["price"] is None


@pytest.mark.parametrize(("output", "count"), [("Line[]", None), ("Line[2]", 2)])
async def test_a_list_is_asked_as_a_list(run: Any, output: str, count: int | None) -> None:
    prompt = 'prompt = "List $_nb_output of $topic{% if _nb_output %}!{% endif %}"'
    ran = await run(llm(output, prompt), [[{"name": "a"}, {"name": "b"}]], {"topic": text("tea")})
    (request,) = ran.performer.requests
    assert isinstance(request, ObjectListRequest)
    assert request.count == count
    assert request.prompt == ("List 2 of tea!" if count else "List  of tea")
    assert [item["name"] for item in ran.data] == ["a", "b"]


async def test_a_list_of_texts_may_come_back_bare(run: Any) -> None:
    ran = await run(llm("Remark[]"), [["one", {"text": "two"}]], {"topic": text("tea")})
    assert list(ran.performer.requests[0].output_schema["properties"]) == ["text"]
    assert ran.result.outcome == Value(concept="shop.Remark", data=[{"text": "one"}, {"text": "two"}])


@pytest.mark.parametrize("output", ["Anything", "Dynamic"])
async def test_without_a_concept_to_aim_at_a_text_is_kept(run: Any, output: str) -> None:
    ran = await run(llm(output), ["said"], {"topic": text("tea")})
    assert ran.result.outcome == text("said")


async def test_the_caller_may_ask_for_a_number_of_results(run: Any) -> None:
    script = llm("Line", 'prompt = "List $_nb_output of $topic"')
    ran = await run(script, [[{"name": "a"}, {"name": "b"}]], {"topic": text("tea")}, call={"nb_output": 2})
    assert ran.prompts == ["List 2 of tea"]
    ran = await run(script, [[]], {"topic": text("tea")}, call={"multiple_output": True})
    assert ran.data == []


async def test_a_result_that_does_not_fit_names_the_pipe_and_the_field(run: Any) -> None:
    with pytest.raises(OutputError, match=r"'ask'.*count") as caught:
        await run(llm("Line"), [{"name": "cup", "count": "many"}], {"topic": text("tea")})
    assert caught.value.pipe_path == ("ask",)


async def test_a_failure_of_the_provider_carries_the_path(run: Any) -> None:
    with pytest.raises(ReplyError) as caught:
        await run(llm("Text"), [ReplyError("cut short")], {"topic": text("tea")})
    assert caught.value.pipe_path == ("ask",)


async def test_an_unforeseen_error_is_told_without_its_data(run: Any) -> None:
    with pytest.raises(InternalError) as caught:
        await run(llm("Text"), [KeyError("SECRET")], {"topic": text("tea")})
    assert "KeyError" in caught.value.message
    assert "SECRET" not in caught.value.render()
    assert isinstance(caught.value.__cause__, KeyError)
    assert caught.value.pipe_path == ("ask",)


async def test_files_are_numbered_from_the_system_prompt_on(run: Any) -> None:
    prompts = 'system_prompt = "Look at $cover"\nprompt = "Compare $pictures with $cover and $scan"'
    inputs = '{ pictures = "Image[]", cover = "Image", scan = "Document" }'
    given = {
        "pictures": Value(concept="native.Image", data=[{"url": "u1"}, {"url": "u2"}]),
        "cover": Value(concept="native.Image", data={"url": "u2"}),
        "scan": Value(concept="native.Document", data={"url": "d1", "mime_type": "application/pdf"}),
    }
    ran = await run(llm("Text", prompts, inputs), ["done"], given)
    (request,) = ran.performer.requests
    assert request.system == "Look at [Image 1]"
    assert request.prompt == "Compare [Image 2]\n[Image 1] with [Image 1] and [Document 1]"
    assert request.attachments == (
        Attachment(kind="image", url="u2"),
        Attachment(kind="image", url="u1"),
        Attachment(kind="document", url="d1", mime_type="application/pdf"),
    )


async def test_an_absent_optional_input_is_undefined(run: Any) -> None:
    source = llm("Text", 'prompt = "{% if topic is defined %}a{% else %}b{% endif %}@?topic"', '{ topic = "Text?" }')
    absent = Absence(variable="topic", absent="not_provided", reason="left out")
    assert (await run(source, ["x"], {"topic": absent})).prompts == ["b"]
    assert (await run(source, ["x"], {"topic": text("T")})).prompts == ["a<topic>\nT\n</topic>"]


EXTRACT = """
domain = "scan"
[pipe.read]
type = "PipeExtract"
description = "Read"
inputs = { anything_at_all = "%s" }
output = "Page[]"
max_page_images = 3
page_views = true
page_views_dpi = 72
"""
PAGE = {"text_and_images": {"text": {"text": "words"}}}


@pytest.mark.parametrize("kind", ["Document", "Image"])
async def test_extract_reads_the_one_input_whatever_its_name(run: Any, kind: str) -> None:
    given = Value(concept=f"native.{kind}", data={"url": "file-1", "mime_type": "x/y"})
    ran = await run(EXTRACT % kind, [[PAGE, PAGE]], {"anything_at_all": given})
    (request,) = ran.performer.requests
    assert isinstance(request, ExtractRequest)
    assert (request.url, request.mime_type, request.max_page_images) == ("file-1", "x/y", 3)
    assert (request.page_views, request.page_views_dpi) == (True, 72)
    assert ran.result.outcome.concept == "native.Page"
    assert [page["text_and_images"]["text"] for page in ran.data] == [{"text": "words"}] * 2


async def test_extract_refuses_a_list(run: Any) -> None:
    given = Value(concept="native.Document", data=[{"url": "a"}, {"url": "b"}])
    with pytest.raises(PipeError, match="one document"):
        await run(EXTRACT % "Document", [[PAGE]], {"anything_at_all": given})


FUNC = (
    HEAD
    + """
[pipe.call]
type = "PipeFunc"
description = "Call"
inputs = { line = "Line", why = "Text?" }
output = "%s"
function_name = "shop.rework"
"""
)
LINE: dict[str, Any] = {"name": "cup", "count": 2, "price": 3.5, "remark": {"text": "nice"}}


async def test_a_function_gets_the_inputs_and_the_concepts_it_needs(run: Any) -> None:
    given = {"line": Value(concept="shop.Line", data=LINE)}
    given["why"] = Absence(variable="why", absent="not_provided", reason="left out")  # type: ignore[assignment]
    ran = await run(FUNC % "Remark[]", [["a", "b"]], given)
    (request,) = ran.performer.requests
    assert isinstance(request, FunctionRequest)
    assert request.function_name == "shop.rework"
    assert list(request.memory.root) == ["line"]
    assert request.output == Slot("shop.Remark", is_list=True)
    assert set(request.concepts) == {"shop.Line", "shop.Remark"}
    assert ran.data == [{"text": "a"}, {"text": "b"}]


async def test_a_function_may_give_nothing_where_the_output_is_optional(run: Any) -> None:
    given = {"line": Value(concept="shop.Line", data=LINE), "why": text("x")}
    outcome = (await run(FUNC % "Remark?", [None], given)).result.outcome
    assert isinstance(outcome, Absence)
    assert outcome.absent == "declared_absent"
    with pytest.raises(OutputError):
        await run(FUNC % "Remark", [None], given)


def compose(output: str, rest: str, inputs: str = '{ line = "Line", note = "Text" }') -> str:
    return f"""{HEAD}
[pipe.make]
type = "PipeCompose"
description = "Make"
inputs = {inputs}
output = "{output}"
{rest}
"""


GIVEN = {"line": Value(concept="shop.Line", data=LINE), "note": text("<b>")}


@pytest.mark.parametrize(
    ("output", "rest", "expected"),
    [
        ("Text", 'template = """\n\n  {{ line.name }}: $note\n\n"""', {"text": "  cup: <b>"}),
        (
            "Html",
            'template = "<p>{{ note }} {{ line.name }}</p>"',
            {"inner_html": "<p>&lt;b&gt; cup</p>", "css_class": None},
        ),
        (
            "Text",
            '[pipe.make.template]\ntemplate = "{{ shop }} $line.name $note"\ncategory = "markdown"\n'
            'extra_context = { shop = "S" }',
            {"text": "S cup <b>"},
        ),
    ],
)
async def test_compose_renders(run: Any, output: str, rest: str, expected: Any) -> None:
    ran = await run(compose(output, rest), (), GIVEN)
    assert ran.data == expected
    assert ran.performer.requests == []


async def test_compose_constructs_and_coerces(run: Any) -> None:
    construct = """
[pipe.make.construct]
name = { template = "  {{ line.name }} set " }
count = { template = " {{ line.count * 2 }} " }
price = { template = '{{ "%.2f" % (line.count * line.price) }}' }
due = "2031-02-03"
is_urgent = { template = "{{ line.count > 1 }}" }
size = "large"
remark = { from = "line.remark" }
parts = ["a", "b"]
"""
    ran = await run(compose("Line", construct, '{ line = "Line" }'), (), {"line": GIVEN["line"]})
    assert ran.data == {
        "name": "  cup set ",
        "count": 4,
        "price": 7.0,
        "due": "2031-02-03",
        "is_urgent": True,
        "size": "large",
        "remark": {"text": "nice"},
        "parts": ["a", "b"],
    }


async def test_contents_give_their_scalar_to_plain_fields(run: Any) -> None:
    inputs = '{ note = "Text", n = "Number", yes = "YesNo", day = "Date", notes = "Text[]" }'
    construct = """
[pipe.make.construct]
name = { from = "note" }
count = { from = "n.number" }
price = { from = "n" }
due = { from = "day" }
is_urgent = { from = "yes" }
remark = { from = "note" }
parts = { from = "notes" }
"""
    given = {
        "note": text("T", "shop.Remark"),
        "n": Value(concept="native.Number", data={"number": 3}),
        "yes": Value(concept="native.YesNo", data={"yes_no": True, "probability": 0.9}),
        "day": Value(concept="native.Date", data={"date": "2031-02-03", "time": "10:00:00"}),
        "notes": Value(concept="native.Text", data=[{"text": "a"}, {"text": "b"}]),
    }
    inputs = inputs.replace('note = "Text"', 'note = "Remark"')
    ran = await run(compose("Line", construct, inputs), (), given)
    assert ran.data == {
        "name": "T", "count": 3, "price": 3, "due": "2031-02-03", "is_urgent": True, "size": None,
        "remark": {"text": "T"}, "parts": ["a", "b"],
    }  # fmt: skip


async def test_a_construct_reads_null_as_null_and_blank_as_nothing(run: Any) -> None:
    construct = """
[pipe.make.construct]
name = { from = "line.name" }
price = { from = "line.price" }
due = { template = " " }
remark = { from = "line.remark.text" }
"""
    bare = Value(concept="shop.Line", data={**dict.fromkeys(LINE), "name": "x"})
    ran = await run(compose("Line", construct, '{ line = "Line" }'), (), {"line": bare})
    assert (ran.data["name"], ran.data["price"], ran.data["due"], ran.data["remark"]) == ("x", None, None, None)


async def test_a_construct_that_does_not_fit_names_the_fields(run: Any) -> None:
    construct = """
[pipe.make.construct]
name = { from = "line.remark" }
count = { template = "many" }
due = { template = "soon" }
"""
    with pytest.raises(OutputError) as caught:
        await run(compose("Line", construct, '{ line = "Line" }'), (), {"line": GIVEN["line"]})
    assert "count" in caught.value.message
    assert "due" in caught.value.message


KEYED = """
domain = "shop"
[concept.Line]
description = "A line"
[concept.Line.structure]
name = { type = "text", description = "what", required = true }
[concept.Index]
description = "Lines by name"
[concept.Index.structure]
lines = { type = "dict", key_type = "text", value_type = "text", description = "all" }
first = { type = "concept", concept_ref = "Line", description = "one" }
[pipe.make]
type = "PipeCompose"
description = "Make"
inputs = { order = "Anything", lines = "Line[]" }
output = "JSON"
[pipe.make.construct.json_obj]
by_name = { from = "lines", list_to_dict_keyed_by = "name" }
static = { deep = { value = 3 } }
o = { from = "order" }
"""


async def test_a_list_becomes_an_object_keyed_by_a_field(run: Any) -> None:
    lines = Value(concept="shop.Line", data=[{"name": "a"}, {"name": "b"}])
    ran = await run(KEYED, (), {"order": text("o"), "lines": lines})
    assert ran.data == {
        "json_obj": {
            "by_name": {"a": {"name": "a"}, "b": {"name": "b"}},
            "static": {"deep": {"value": 3}},
            "o": {"text": "o"},
        }
    }


async def test_two_items_with_one_key_are_refused(run: Any) -> None:
    lines = Value(concept="shop.Line", data=[{"name": "a"}, {"name": "a"}])
    with pytest.raises(PipeError, match="the same for two items"):
        await run(KEYED, (), {"order": text("o"), "lines": lines})


async def test_items_that_a_dry_run_made_up_may_have_one_key(run: Any) -> None:
    lines = Value(concept="shop.Line", data=[{"name": "a"}, {"name": "a"}])
    ran = await run(KEYED, (), {"order": text("o"), "lines": lines}, plan={"is_dry": True})
    assert list(ran.data["json_obj"]["by_name"]) == ["a", "a 2"]
