from __future__ import annotations

from typing import Any

import pytest

from pipelex.errors import AbsentValueError, InputError, OutputError, PipeError, RoutingError
from pipelex.values.value import Absence, Value


def text(value: str, concept: str = "native.Text") -> Value:
    return Value(concept=concept, data={"text": value})


def prompt_of(request: Any) -> str:
    """A reply that shows what was asked."""
    return f"<{request.prompt}>"


def llm(code: str, prompt: str, inputs: str = '{ topic = "Text" }', output: str = "Text") -> str:
    return f"""
[pipe.{code}]
type = "PipeLLM"
description = "Ask"
inputs = {inputs}
output = "{output}"
prompt = "{prompt}"
"""


def sequence(code: str, steps: str, inputs: str = '{ topic = "Text" }', output: str = "Text") -> str:
    return f"""
[pipe.{code}]
type = "PipeSequence"
description = "Steps"
inputs = {inputs}
output = "{output}"
steps = [{steps}]
"""


DOMAIN = 'domain = "t"\nmain_pipe = "main"\n'


async def test_steps_see_what_earlier_steps_stored(run: Any) -> None:
    source = (
        DOMAIN
        + sequence("main", '{ pipe = "one", result = "a" }, { pipe = "two", result = "b" }')
        + llm("one", "1 $topic")
        + llm("two", "2 $a $topic", '{ a = "Text", topic = "Text" }')
    )
    ran = await run(source, prompt_of, {"topic": text("T")})
    assert ran.prompts == ["1 T", "2 <1 T> T"]
    assert ran.data == {"text": "<2 <1 T> T>"}
    assert list(ran.result.stored.root) == ["a", "b"]
    assert ran.result.stored.main == "b"
    assert ran.result.usage.calls == 2


async def test_a_pipe_is_given_its_declared_inputs_and_nothing_else(run: Any) -> None:
    source = (
        DOMAIN
        + sequence("main", '{ pipe = "f", result = "a" }', '{ topic = "Text", secret = "Text" }')
        + """
[pipe.f]
type = "PipeFunc"
description = "f"
inputs = { topic = "Text" }
output = "Text"
function_name = "f"
"""
    )
    ran = await run(source, ["x"], {"topic": text("T"), "secret": text("S")})
    assert list(ran.performer.requests[0].memory.root) == ["topic"]


async def test_an_output_without_a_name_is_main_stuff_until_the_next(run: Any) -> None:
    source = (
        DOMAIN
        + sequence("main", '{ pipe = "one" }, { pipe = "two", result = "b" }')
        + llm("one", "1 $topic")
        + llm("two", "2 $topic")
    )
    stored = (await run(source, prompt_of, {"topic": text("T")})).result.stored
    assert (list(stored.root), stored.main) == (["b"], "b")
    source = DOMAIN + sequence("main", '{ pipe = "one" }') + llm("one", "1 $topic")
    stored = (await run(source, prompt_of, {"topic": text("T")})).result.stored
    assert (list(stored.root), stored.main) == (["main_stuff"], "main_stuff")


async def test_a_nested_sequence_shares_the_memory_of_its_caller(run: Any) -> None:
    source = (
        DOMAIN
        + sequence("main", '{ pipe = "inner", result = "r" }, { pipe = "two", result = "b" }')
        + sequence("inner", '{ pipe = "one", result = "inside" }, { pipe = "one", result = "again" }')
        + llm("one", "1 $topic")
        + llm("two", "2 $inside", '{ inside = "Text" }')
    )
    ran = await run(source, prompt_of, {"topic": text("T")})
    assert ran.prompts[-1] == "2 <1 T>"
    assert list(ran.result.stored.root) == ["inside", "again", "r", "b"]


async def test_an_unnamed_nested_sequence_leaves_its_last_name_as_main(run: Any) -> None:
    source = (
        DOMAIN
        + sequence("main", '{ pipe = "inner" }')
        + sequence("inner", '{ pipe = "one", result = "x" }')
        + llm("one", "1 $topic")
    )
    stored = (await run(source, prompt_of, {"topic": text("T")})).result.stored
    assert (list(stored.root), stored.main) == (["x"], "x")


async def test_a_step_replaces_an_input(run: Any) -> None:
    source = (
        DOMAIN
        + sequence("main", '{ pipe = "one", result = "topic" }, { pipe = "one", result = "topic" }')
        + llm("one", "$topic!")
    )
    ran = await run(source, prompt_of, {"topic": text("T")})
    assert ran.prompts == ["T!", "<T!>!"]
    assert ran.result.stored.root["topic"] == ran.result.outcome


async def test_a_step_overrides_the_number_of_results(run: Any) -> None:
    source = (
        DOMAIN
        + sequence("main", '{ pipe = "one", result = "a", nb_output = 2 }', output="Text[]")
        + llm("one", "$_nb_output $topic")
    )
    ran = await run(source, [["a", "b"]], {"topic": text("T")})
    assert ran.prompts == ["2 T"]
    assert ran.data == [{"text": "a"}, {"text": "b"}]


async def test_a_failure_names_the_whole_path(run: Any) -> None:
    source = (
        DOMAIN + sequence("main", '{ pipe = "inner" }') + sequence("inner", '{ pipe = "one" }') + llm("one", "x $topic")
    )
    with pytest.raises(PipeError) as caught:
        await run(source, [PipeError("no")], {"topic": text("T")})
    assert caught.value.pipe_path == ("main", "inner", "one")


async def test_endless_calls_are_stopped(run: Any) -> None:
    source = (
        DOMAIN
        + """
[pipe.main]
type = "PipeCondition"
description = "again"
inputs = { topic = "Text" }
output = "Text"
expression = "topic.text"
outcomes = { T = "main" }
default_outcome = "fail"
"""
    )
    with pytest.raises(PipeError, match="10 deep") as caught:
        await run(source, (), {"topic": text("T")}, plan={"depth_limit": 10})
    assert len(caught.value.pipe_path) == 11


# Presence (MTHDS section 7.4).


def presence(mark: str, output: str = "Text", inputs: str = '{ topic = "Text?" }') -> str:
    return (
        DOMAIN
        + sequence("main", '{ pipe = "one", result = "a" }, { pipe = "two", result = "b" }', inputs, f"{output}")
        + llm("one", "1 {{ topic }}", f'{{ topic = "Text{mark}" }}', "Text" if output.endswith("[]") else output)
        + llm("two", "2 {% if a %}{{ a }}{% else %}none{% endif %}", '{ a = "Text?" }', output)
    )


MISSING = Absence(variable="topic", absent="not_provided", reason="not given")


async def test_a_plain_input_that_is_absent_skips_the_pipe(run: Any) -> None:
    source = (
        DOMAIN
        + sequence(
            "main", '{ pipe = "one", result = "a" }, { pipe = "two", result = "b" }', '{ topic = "Text?" }', "Text?"
        )
        + llm("one", "1 $topic")
        + llm("two", "2 $a", '{ a = "Text" }')
    )
    ran = await run(source, (), {"topic": MISSING})
    assert ran.performer.requests == []
    outcome = ran.result.outcome
    assert (outcome.variable, outcome.absent, outcome.producer) == ("b", "skipped", "two")
    assert (outcome.upstream.variable, outcome.upstream.absent, outcome.upstream.producer) == ("a", "skipped", "one")
    assert outcome.upstream.upstream == MISSING
    assert ran.result.stored.absences["b"] == outcome


async def test_a_skipped_pipe_with_a_plural_output_gives_an_empty_list(run: Any) -> None:
    source = (
        DOMAIN
        + sequence("main", '{ pipe = "one", result = "a" }', '{ topic = "Text?" }', "Text[]")
        + llm("one", "1 $topic", output="Text[]")
    )
    outcome = (await run(source, (), {"topic": MISSING})).result.outcome
    assert (outcome.concept, outcome.data) == ("native.Text", [])
    assert (outcome.note.absent, outcome.note.producer, outcome.note.upstream) == ("skipped", "one", MISSING)


async def test_a_skipped_pipe_that_declares_a_count_gives_an_empty_list_that_its_callers_hand_on(run: Any) -> None:
    source = (
        DOMAIN
        + sequence("main", '{ pipe = "inner", result = "a" }', '{ topic = "Text?" }', "Text[3]")
        + sequence("inner", '{ pipe = "one" }', '{ topic = "Text?" }', "Text[3]")
        + llm("one", "1 $topic", output="Text[3]")
    )
    ran = await run(source, (), {"topic": MISSING})
    assert (ran.data, ran.result.outcome.note.producer) == ([], "one")


async def test_an_empty_list_of_a_skipped_pipe_is_no_list_of_three(run: Any) -> None:
    source = (
        DOMAIN
        + sequence("main", '{ pipe = "one", result = "a" }, { pipe = "two" }', '{ topic = "Text?" }')
        + llm("one", "1 $topic", output="Text[3]")
        + llm("two", "2 $a", '{ a = "Text[3]" }')
    )
    with pytest.raises(
        PipeError, match=r"exactly 3 Text, and has 0 \('one' was skipped: .*'topic'.*; because not given"
    ):
        await run(source, (), {"topic": MISSING})


async def test_an_empty_list_that_a_pipe_did_make_is_counted(run: Any) -> None:
    source = DOMAIN + sequence("main", '{ pipe = "one" }', output="Text[3]") + llm("one", "1 $topic", output="Text[]")
    with pytest.raises(OutputError, match="has 0 items"):
        await run(source, lambda request: {"items": []}, {"topic": text("T")})


async def test_a_batch_over_the_empty_list_of_a_skipped_pipe_is_empty_too(run: Any) -> None:
    steps = '{ pipe = "one", result = "a" }, { pipe = "two", batch_over = "a", batch_as = "item" }'
    source = (
        DOMAIN
        + sequence("main", steps, '{ topic = "Text?" }', "Text[3]")
        + llm("one", "1 $topic", output="Text[3]")
        + llm("two", "2 $item", '{ item = "Text" }')
    )
    ran = await run(source, (), {"topic": MISSING})
    assert (ran.data, ran.result.outcome.note.producer) == ([], "one")


async def test_a_condition_that_does_nothing_gives_an_empty_list_where_it_declares_one(run: Any) -> None:
    source = DOMAIN + llm("one", "1 $topic", output="Text[]")
    source += condition("main", "topic.text", '{ X = "one" }', "continue", "Text[]")
    ran = await run(source, (), {"topic": text("Y")})
    assert (ran.data, ran.result.outcome.note.absent) == ([], "declared_absent")


async def test_an_optional_input_that_is_absent_lets_the_pipe_run(run: Any) -> None:
    ran = await run(presence("", "Text?"), prompt_of, {"topic": MISSING})
    assert ran.prompts == ["2 none"]
    assert ran.data == {"text": "<2 none>"}


async def test_an_input_asserted_present_fails_with_the_chain(run: Any) -> None:
    source = (
        DOMAIN
        + sequence("main", '{ pipe = "one", result = "a" }, { pipe = "two", result = "b" }', '{ topic = "Text?" }')
        + llm("one", "1 $topic")
        + llm("two", "2 $a", '{ a = "Text!" }')
    )
    with pytest.raises(AbsentValueError, match=r"'a'.*skipped.*not given") as caught:
        await run(source, (), {"topic": MISSING})
    assert caught.value.pipe_path == ("main", "two")


async def test_inputs_of_the_entry_pipe_are_checked(run: Any) -> None:
    source = DOMAIN + llm("main", "1 $topic")
    with pytest.raises(InputError, match="not there"):
        await run(source, ())
    with pytest.raises(InputError, match="is a Number"):
        await run(source, (), {"topic": Value(concept="native.Number", data={"number": 1})})
    source = DOMAIN + llm("main", "1 $topic", '{ topic = "Text[2]" }')
    with pytest.raises(InputError, match="exactly 2"):
        await run(source, (), {"topic": Value(concept="native.Text", data=[{"text": "a"}])})
    with pytest.raises(InputError, match="a single one"):
        await run(source, (), {"topic": text("a")})


# Parallels.


def parallel(output: str, branches: str, rest: str = "") -> str:
    return (
        f"""domain = "t"
[concept.Report]
description = "A report"
[concept.Report.structure]
a = {{ type = "text", description = "a", required = true }}
b = {{ type = "concept", concept_ref = "Text", description = "b" }}
c = {{ type = "text", description = "c", default_value = "none" }}
[pipe.both]
type = "PipeParallel"
description = "Both"
inputs = {{ topic = "Text" }}
output = "{output}"
branches = [{branches}]
{rest}
"""
        + llm("one", "1 $topic")
        + llm("two", "2 $topic")
        + llm("bad", "3 $topic")
    )


TWO = '{ pipe = "one", result = "a" }, { pipe = "two", result = "b" }'


async def test_branches_make_a_composite(run: Any) -> None:
    ran = await run(parallel("Composite", TWO), prompt_of, {"topic": text("T")}, pipe="both")
    assert ran.result.outcome == Value(
        concept="native.Composite",
        data={"a": {"text": "<1 T>"}, "b": {"text": "<2 T>"}},
        components={"a": "native.Text", "b": "native.Text"},
    )
    assert ran.result.stored.root == {}


async def test_branches_fill_the_fields_of_a_structure(run: Any) -> None:
    ran = await run(parallel("Report", TWO), prompt_of, {"topic": text("T")}, pipe="both")
    assert ran.result.outcome == Value(concept="t.Report", data={"a": "<1 T>", "b": {"text": "<2 T>"}, "c": "none"})


async def test_branches_that_are_no_fields_make_a_composite_and_may_be_stored(run: Any) -> None:
    source = parallel("Report", TWO.replace('"a"', '"x"'), "add_each_output = true")
    source += sequence("main", '{ pipe = "both", result = "all" }, { pipe = "use", result = "u" }')
    source += llm("use", "$x and $b", '{ x = "Text", b = "Text" }')
    ran = await run(source, prompt_of, {"topic": text("T")}, pipe="main")
    assert ran.prompts[-1] == "<1 T> and <2 T>"
    assert list(ran.result.stored.root) == ["x", "b", "all", "u"]
    assert ran.result.stored.root["all"].concept == "native.Composite"


async def test_branches_do_not_see_each_other(run: Any) -> None:
    source = parallel("Composite", '{ pipe = "seq", result = "a" }, { pipe = "two", result = "b" }')
    source += sequence("seq", '{ pipe = "one", result = "topic" }')
    ran = await run(source, prompt_of, {"topic": text("T")}, pipe="both")
    assert sorted(ran.prompts) == ["1 T", "2 T"]
    assert ran.result.stored.root == {}


async def test_an_absent_branch_is_left_out(run: Any) -> None:
    source = parallel("Composite", '{ pipe = "maybe", result = "a" }, { pipe = "two", result = "b" }')
    source += condition("maybe", "topic.text", '{ X = "one" }', "continue", "Text?")
    ran = await run(source, prompt_of, {"topic": text("T")}, pipe="both")
    assert list(ran.data) == ["b"]


async def test_the_first_branch_that_fails_fails_the_pipe(run: Any) -> None:
    def script(request: Any) -> Any:
        return PipeError(request.prompt) if request.prompt[0] in "23" else "fine"

    source = parallel("Composite", TWO + ', { pipe = "bad", result = "c" }')
    with pytest.raises(PipeError, match="2 T") as caught:
        await run(source, script, {"topic": text("T")}, pipe="both")
    assert caught.value.pipe_path == ("both", "two")


# Conditions.


def condition(code: str, expression: str, outcomes: str, default: str, output: str = "Text") -> str:
    return f"""
[pipe.{code}]
type = "PipeCondition"
description = "Choose"
inputs = {{ topic = "Text" }}
output = "{output}"
expression = "{expression}"
outcomes = {outcomes}
default_outcome = "{default}"
"""


ROUTES = DOMAIN + llm("one", "1 $topic") + llm("two", "2 $topic")


@pytest.mark.parametrize(
    ("expression", "outcomes", "default", "prompt"),
    [
        ("topic.text", '{ T = "one" }', "two", "1 T"),
        ("topic", '{ T = "one" }', "two", "1 T"),
        ("topic.text | lower", '{ T = "one" }', "two", "2 T"),
        ("topic.text == 'T'", '{ True = "one", False = "two" }', "fail", "1 T"),
        ("'  ' ~ topic.text ~ '  '", '{ T = "one" }', "fail", "1 T"),
        ("topic.text | length", '{ 1 = "two" }', "fail", "2 T"),
    ],
)
async def test_a_condition_chooses(run: Any, expression: str, outcomes: str, default: str, prompt: str) -> None:
    ran = await run(ROUTES + condition("main", expression, outcomes, default), prompt_of, {"topic": text("T")})
    assert ran.prompts == [prompt]


async def test_a_condition_that_fails_names_the_value(run: Any) -> None:
    with pytest.raises(RoutingError, match="'T'") as caught:
        await run(ROUTES + condition("main", "topic.text", '{ X = "one" }', "fail"), (), {"topic": text("T")})
    assert caught.value.pipe_path == ("main",)


async def test_an_empty_result_is_never_the_default(run: Any) -> None:
    with pytest.raises(RoutingError, match="gave nothing"):
        await run(ROUTES + condition("main", "topic.text", '{ X = "one" }', "two"), (), {"topic": text("  ")})


async def test_continue_gives_nothing(run: Any) -> None:
    source = ROUTES + condition("choose", "topic.text", '{ X = "one" }', "continue", "Text?")
    source += sequence("main", '{ pipe = "choose", result = "a" }', output="Text?")
    outcome = (await run(source, (), {"topic": text("T")})).result.outcome
    assert isinstance(outcome, Absence)
    assert (outcome.variable, outcome.absent, outcome.producer) == ("a", "declared_absent", "choose")


async def test_what_the_chosen_pipe_stores_stays_visible(run: Any) -> None:
    source = ROUTES + condition("choose", "topic.text", '{ T = "seq" }', "fail")
    source += sequence("seq", '{ pipe = "one", result = "inside" }')
    source += sequence("main", '{ pipe = "choose", result = "a" }, { pipe = "use" }')
    source += llm("use", "use $inside", '{ inside = "Text" }')
    ran = await run(source, prompt_of, {"topic": text("T")})
    assert ran.prompts[-1] == "use <1 T>"


async def test_a_result_of_another_concept_is_refused(run: Any) -> None:
    source = ROUTES + sequence("main", '{ pipe = "any", result = "a" }', output="Number")
    source += """
[pipe.any]
type = "PipeFunc"
description = "f"
inputs = { topic = "Text" }
output = "Anything"
function_name = "f"
"""
    with pytest.raises(OutputError, match="'main' is a Anything; it declares a Number"):
        await run(source, ["x"], {"topic": text("T")})
