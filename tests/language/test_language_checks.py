"""The rules of one file: for each, files that break it and files that keep it."""

from __future__ import annotations

import pytest
from language_marks import assert_only_problem, problems_of

from pipelex.language.checks import check_bundle
from pipelex.language.parse import parse_bundle

HEAD = 'domain = "tea"\n'
LLM = HEAD + '[pipe.p]\ntype = "PipeLLM"\ndescription = "d"\noutput = "Text"\n'
COMPOSE = HEAD + '[pipe.p]\ntype = "PipeCompose"\ndescription = "d"\n'
EXTRACT = HEAD + '[pipe.p]\ntype = "PipeExtract"\ndescription = "d"\n'
SEQUENCE = HEAD + '[pipe.p]\ntype = "PipeSequence"\ndescription = "d"\noutput = "Text"\n'
PARALLEL = HEAD + '[pipe.p]\ntype = "PipeParallel"\ndescription = "d"\noutput = "Composite"\n'
CONDITION = (
    HEAD + '[pipe.p]\ntype = "PipeCondition"\ndescription = "d"\noutput = "Text"\n'
    'inputs = { a = "Text", b = "Text?" }\ndefault_outcome = "fail"\n'
)
BATCH = (
    HEAD + '[pipe.p]\ntype = "PipeBatch"\ndescription = "d"\noutput = "Text[]"\nbranch_pipe_code = "b"\n'
    'inputs = { xs = "Text[]", one = "Text" }\n'
)


@pytest.mark.parametrize(
    ("code", "marked"),
    [
        # 39: templates parse.
        ("template_syntax", LLM + 'prompt = «"{{ a"'),
        ("template_syntax", LLM + 'prompt = """\nhello\n  «{% endif %}\n"""'),
        ("template_syntax", LLM + 'prompt = """\nhello\n«{{ \'a\' | uper }}\n"""'),
        ("template_syntax", COMPOSE + 'output = "Note"\nconstruct.a = { template = «"{{" }'),
        ("template_syntax", COMPOSE + 'output = "Text"\ntemplate = { category = "basic", template = «"{{" }'),
        ("template_syntax", HEAD + 'system_prompt = «"{{"\n' + LLM.removeprefix(HEAD)),
        ("template_syntax", CONDITION + 'expression = «"{{ a }}"\noutcomes = { x = "y" }'),
        ("template_syntax", CONDITION + 'expression = «"a b"\noutcomes = { x = "y" }'),
        # 40: what is read is declared.
        ("missing_input_variable", LLM + 'prompt = "hello $«name"'),
        ("missing_input_variable", LLM + 'prompt = """\nhello\n@«page.text\n"""'),
        ("missing_input_variable", LLM + 'system_prompt = "$«name"'),
        ("missing_input_variable", HEAD + 'system_prompt = "$«name"\n' + LLM.removeprefix(HEAD)),
        ("missing_input_variable", COMPOSE + 'output = "Text"\ntemplate = "$«name"'),
        ("missing_input_variable", COMPOSE + 'output = "Note"\nconstruct = { x.y = { template = "$«name" } }'),
        ("missing_input_variable", CONDITION + 'expression_template = "{{ «c }}"\noutcomes = { x = "y" }'),
        # 41 and 43, 44.
        ("extraneous_input_variable", LLM + 'inputs = { a = "Text", «b = "Text" }\nprompt = "$a"'),
        ("extraneous_input_variable", LLM + 'inputs = { «a = "Text" }'),
        ("template_private_name", LLM + 'inputs = { a = "Text" }\nprompt = "{{ a.«_secret }}"'),
        ("optional_input_unguarded", LLM + 'inputs = { a = "Text?" }\nprompt = """\n@?a\n$«a\n"""'),
        ("optional_input_unguarded", CONDITION + 'expression = "a.x ~ «b.x"\noutcomes = { x = "y" }'),
        # 45: paths of constructs.
        ("missing_input_variable", COMPOSE + 'output = "Note"\nconstruct = { a = { «from = "b.c" } }'),
        (
            "template_private_name",
            COMPOSE + 'inputs = { b = "Note" }\noutput = "Note"\nconstruct = { a = { «from = "b._c" } }',
        ),
        # 56: extraction.
        ("input_stuff_spec_mismatch", EXTRACT.replace("pipe.p]", "pipe.«p]") + 'output = "Page[]"'),
        ("input_stuff_spec_mismatch", EXTRACT + '«inputs = { a = "Document", b = "Image" }\noutput = "Page[]"'),
        ("input_stuff_spec_mismatch", EXTRACT + 'inputs = { «a = "Document[]" }\noutput = "Page[]"'),
        ("inadequate_output_concept", EXTRACT + 'inputs = { a = "Document" }\n«output = "Text[]"'),
        ("inadequate_output_multiplicity", EXTRACT + 'inputs = { a = "Document" }\n«output = "Page[3]"'),
        # 59: composition.
        ("pipe_factory", COMPOSE.replace("pipe.p]", "pipe.«p]") + 'output = "Text"'),
        (
            "pipe_factory",
            COMPOSE.replace("pipe.p]", "pipe.«p]") + 'output = "Text"\ntemplate = "x"\nconstruct = { a = 1 }',
        ),
        ("inadequate_output_multiplicity", COMPOSE + '«output = "Text[]"\ntemplate = "x"'),
        # 62 and 63: steps.
        ("blueprint_validation", SEQUENCE + "«steps = []"),
        ("blueprint_validation", PARALLEL + "«branches = []"),
        ("blueprint_validation", SEQUENCE + 'steps = [{ pipe = "a", nb_output = 2, «multiple_output = true }]'),
        ("blueprint_validation", SEQUENCE + 'steps = [{ pipe = "a", «batch_over = "xs" }]'),
        ("blueprint_validation", SEQUENCE + 'steps = [{ pipe = "a", «batch_as = "x" }]'),
        # 64: names of items.
        ("batch_item_name_collision", SEQUENCE + 'steps = [{ pipe = "a", batch_over = "xs", «batch_as = "xs" }]'),
        ("batch_item_name_collision", BATCH + 'input_list_name = "xs"\n«input_item_name = "xs"'),
        ("batch_item_name_collision", BATCH + 'input_list_name = "xs"\n«input_item_name = "one"'),
        # 75: results of branches.
        ("missing_key", PARALLEL + 'branches = [{ pipe = "a", result = "r" }, «{ pipe = "b" }]'),
        (
            "inadequate_output_concept",
            PARALLEL + 'branches = [{ pipe = "a", result = "r" }, { pipe = "b", «result = "r" }]',
        ),
        # 77: conditions.
        ("blueprint_validation", CONDITION.replace("pipe.p]", "pipe.«p]") + 'outcomes = { x = "y" }'),
        (
            "blueprint_validation",
            CONDITION.replace("pipe.p]", "pipe.«p]")
            + 'outcomes = { x = "y" }\nexpression = "a"\nexpression_template = "a"',
        ),
        ("blueprint_validation", CONDITION + 'expression = "a.x"\n«outcomes = {}'),
        # 80: batches.
        ("input_stuff_spec_mismatch", BATCH + '«input_list_name = "xz"\ninput_item_name = "x"'),
        (
            "input_stuff_spec_mismatch",
            BATCH.replace("one =", "«one =") + 'input_list_name = "one"\ninput_item_name = "x"',
        ),
    ],
)
def test_a_breach_has_its_code_and_its_place(code: str, marked: str) -> None:
    assert_only_problem(marked, code)


def test_an_input_that_a_compose_never_prints_is_only_a_warning() -> None:
    text = COMPOSE + 'inputs = { «a = "Text" }\noutput = "Text"\ntemplate = "x"'
    assert_only_problem(text, "extraneous_input_variable", is_warning=True)


@pytest.mark.parametrize(
    "text",
    [
        LLM,
        LLM + 'prompt = "bob@example.org pays $5, $_nb_output times"',
        LLM
        + 'inputs = { a = "Text", b = "Page[]" }\nprompt = "$a"\nsystem_prompt = "{% for p in b %}$p.text{% endfor %}"',
        HEAD + 'system_prompt = "$a"\n' + LLM.removeprefix(HEAD) + 'inputs = { a = "Text" }',
        HEAD + 'system_prompt = "$a"\n' + LLM.removeprefix(HEAD) + 'system_prompt = "own"',
        LLM + 'inputs = { a = "Text?" }\nprompt = "@?a {{ a.text if a else 1 }} {{ a is defined }}"',
        LLM + 'inputs = { a = "Text!" }\nprompt = "$a"',
        LLM + 'inputs = { dict = "Text" }\nprompt = "{{ dict }}"',
        LLM + 'inputs = { a = "Text" }\nprompt = "{{ a._concept_code }}"',
        COMPOSE + 'inputs = { a = "Text" }\noutput = "Text"\ntemplate = "$a"',
        COMPOSE + 'output = "Text"\ntemplate = { template = "$k", category = "markdown", extra_context = { k = 1 } }',
        COMPOSE + 'inputs = { a = "Note" }\noutput = "Note"\nconstruct = { x = { from = "a.x" }, y = { z = 1 } }',
        EXTRACT + 'inputs = { a = "Photo" }\noutput = "native.Page[]"',
        SEQUENCE + 'steps = [{ pipe = "a", batch_over = "xs", batch_as = "x", nb_output = 2 }]',
        PARALLEL + 'branches = [{ pipe = "a", result = "r" }, { pipe = "a", result = "s" }]',
        CONDITION + "expression = \"a.x if b is defined else ''\"\noutcomes = { x = 'y', True = 'continue' }",
        CONDITION + "expression_template = \"{% if b %}{{ b.x }}{% endif %}\"\noutcomes = { x = 'tea.y' }",
        BATCH + 'input_list_name = "xs"\ninput_item_name = "x"',
        LLM.replace("PipeLLM", "PipeFunc") + 'inputs = { a = "Text" }\nfunction_name = "f"',
    ],
)
def test_what_keeps_the_rules_has_no_problem(text: str) -> None:
    assert [item.render() for item in problems_of(text)] == []


def test_a_bundle_prompt_is_judged_for_each_pipe_that_inherits_it() -> None:
    second = LLM.removeprefix(HEAD).replace("pipe.p]", "pipe.q]")
    found = problems_of(HEAD + 'system_prompt = "$a"\n' + LLM.removeprefix(HEAD) + second)
    assert [item.message for item in found] == [
        "the bundle's system prompt, used by pipe 'p', reads 'a', which is not an input",
        "the bundle's system prompt, used by pipe 'q', reads 'a', which is not an input",
    ]


def test_close_names_are_suggested() -> None:
    hints = {item.code: item.hint for item in problems_of(LLM + 'inputs = { letter = "Text" }\nprompt = "$leter"')}
    assert list(hints) == ["extraneous_input_variable", "missing_input_variable"]
    assert hints["missing_input_variable"] == "did you mean 'letter'?"


def test_a_template_read_from_its_file_is_judged_where_the_file_is_named() -> None:
    head = HEAD + '[pipe.p]\ntype = "PipeDocGen"\ndescription = "d"\noutput = "Document"\n'
    bundle = parse_bundle(head + 'format = "pdf"\ntemplate_file = "a.html"\n', "tea.mthds")
    assert check_bundle(bundle) == []
    pipe = bundle.pipes["p"].model_copy(update={"template": "<b>x</b>\n$name"})
    (found,) = check_bundle(bundle.model_copy(update={"pipes": {"p": pipe}}))
    assert (found.code, found.line, found.column) == ("missing_input_variable", 7, 1)
    assert found.message.endswith("(line 2 of a.html)")


def test_strict_makes_errors_of_what_is_only_dated() -> None:
    bundle = parse_bundle(COMPOSE + 'inputs = { a = "Text" }\noutput = "Text"\ntemplate = "x"', "tea.mthds")
    assert [item.is_warning for item in check_bundle(bundle)] == [True]
    assert [item.is_warning for item in check_bundle(bundle, strict=True)] == [False]
