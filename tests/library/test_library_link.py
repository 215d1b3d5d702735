from __future__ import annotations

import pytest

from pipelex.errors import LibraryError, Problem
from pipelex.language.pipes import PipeBatch, PipeCondition, PipeLLM, PipeSequence
from pipelex.library.link import Linked, link
from pipelex.library.load import load_texts
from pipelex.values.slots import Slot


def linked(*texts: str) -> Linked:
    return link(load_texts({f"{index}.mthds": text for index, text in enumerate(texts)}))


def problems(*texts: str) -> list[Problem]:
    with pytest.raises(LibraryError) as caught:
        linked(*texts)
    return caught.value.found


def pipe(code: str, inputs: str = "", output: str = "Text", prompt: str | None = None) -> str:
    """A PipeLLM that reads all its inputs."""
    names = [part.split("=")[0].strip() for part in inputs.split(",") if part]
    shown = prompt if prompt is not None else " ".join(f"@{name}" for name in names) or "Write."
    return (
        f'[pipe.{code}]\ntype = "PipeLLM"\ndescription = "d"\ninputs = {{ {inputs} }}\n'
        f'output = "{output}"\nprompt = """\n{shown}\n"""\n'
    )


TEA = """
domain = "tea"
description = "Tea"
main_pipe = "judge"

[concept]
Cup = "A cup"
[concept.Leaf]
description = "A leaf"
refines = "Image"
[concept.Note]
description = "A note"
[concept.Note.structure]
cup = { type = "concept", concept_ref = "Cup", description = "the cup" }
leaves = { type = "list", item_type = "concept", item_concept_ref = "tea.Leaf", description = "the leaves" }
score = { type = "integer", description = "0 to 20", default_value = 10 }
"""


# References


def test_every_reference_becomes_absolute() -> None:
    steps = """
[pipe.judge]
type = "PipeSequence"
description = "d"
inputs = { cups = "Cup[]" }
output = "native.Text"
steps = [{ pipe = "taste", batch_over = "cups", batch_as = "cup", result = "notes" }, { pipe = "tea.route" }]
[pipe.route]
type = "PipeCondition"
description = "d"
inputs = { notes = "Note[]" }
output = "Text"
expression = "notes | length"
default_outcome = "fail"
outcomes = { 1 = "talk" }
[pipe.taste_all]
type = "PipeBatch"
description = "d"
inputs = { cups = "Cup[]" }
output = "Note[]"
branch_pipe_code = "taste"
input_list_name = "cups"
input_item_name = "cup"
"""
    crate = linked(TEA + steps + pipe("taste", 'cup = "Cup"', "Note") + pipe("talk", 'notes = "Note[]"')).crate
    assert list(crate.concepts) == ["tea.Cup", "tea.Leaf", "tea.Note"]
    assert crate.concepts["tea.Leaf"].refines == "native.Image"
    fields = crate.concepts["tea.Note"].fields
    assert fields is not None
    assert [field.concept for field in fields.values()] == ["tea.Cup", "tea.Leaf", None]
    assert fields["score"].default == 10
    sequence = crate.pipes["tea.judge"]
    assert isinstance(sequence, PipeSequence)
    assert [step.pipe for step in sequence.steps] == ["tea.taste", "tea.route"]
    assert sequence.inputs == {"cups": Slot("tea.Cup", is_list=True)}
    assert sequence.output == Slot("native.Text")
    condition, batch = crate.pipes["tea.route"], crate.pipes["tea.taste_all"]
    assert isinstance(condition, PipeCondition)
    assert (condition.outcomes, condition.default_outcome) == ({"1": "tea.talk"}, "fail")
    assert isinstance(batch, PipeBatch)
    assert batch.branch_pipe_code == "tea.taste"
    assert (crate.main_pipe, crate.domains, crate.source_map["tea.Cup"]) == ("tea.judge", {"tea": "Tea"}, "0.mthds")
    assert len(crate.fingerprint) == 64


def test_the_order_of_files_does_not_change_the_crate() -> None:
    texts = {"a.mthds": TEA + pipe("judge"), "b.mthds": 'domain = "pot"\n' + pipe("pour")}
    forwards = link(load_texts(texts)).crate
    backwards = link(load_texts(dict(reversed(texts.items())))).crate
    assert forwards == backwards
    assert list(forwards.pipes) == ["tea.judge", "pot.pour"]


def test_files_of_one_domain_are_one() -> None:
    other = 'domain = "tea"\n[concept.Tin]\ndescription = "A tin"\nrefines = "Cup"\n' + pipe("open", 'tin = "Tin"')
    found = linked(TEA + pipe("judge", 'tin = "Tin"'), other)
    assert found.crate.pipes["tea.judge"].inputs["tin"] == Slot("tea.Tin")
    assert not found.warnings


@pytest.mark.parametrize(
    ("written", "code", "hint"),
    [
        ("Cupp", "unresolved_concept", "did you mean 'Cup'?"),
        ("Imagee", "unresolved_concept", "did you mean 'Image'?"),
        ("pot.Cup", "unresolved_concept", "did you mean 'tea.Cup'?"),
        ("tea.Nota", "unresolved_concept", "did you mean 'tea.Note'?"),
        ("native.Txt", "unresolved_concept", "did you mean 'Text'?"),
        ("PDF", "unresolved_concept", "use 'Document'"),
        ("Xyzzy", "unresolved_concept", "declare it in a [concept] table"),
    ],
)
def test_unknown_concepts_have_a_place_and_a_suggestion(written: str, code: str, hint: str) -> None:
    text = TEA + pipe("judge", f'thing = "{written}"')
    (problem,) = problems(text)
    assert (problem.code, problem.hint) == (code, hint)
    assert written in problem.message
    line = text.splitlines()[(problem.line or 0) - 1]
    assert line[(problem.column or 0) - 1 :].startswith("thing")


def test_a_concept_of_another_domain_is_taken_with_a_warning() -> None:
    found = linked(TEA + pipe("judge"), 'domain = "pot"\n' + pipe("pour", 'cup = "Cup"'))
    assert found.crate.pipes["pot.pour"].inputs["cup"] == Slot("tea.Cup")
    assert [(warning.code, warning.file, warning.hint) for warning in found.warnings] == [
        ("nonlocal_reference", "1.mthds", "write 'tea.Cup'")
    ]


def test_a_concept_of_several_other_domains_is_ambiguous() -> None:
    found = problems(
        TEA + pipe("judge"), 'domain = "mug"\n[concept]\nCup = "c"', 'domain = "pot"\n' + pipe("p", 'c = "Cup"')
    )
    assert [(problem.code, problem.hint) for problem in found] == [
        ("unresolved_concept", "write one of tea.Cup, mug.Cup")
    ]


SEQUENCE = """
[pipe.judge]
type = "PipeSequence"
description = "d"
output = "Text"
steps = [{ pipe = "%s", result = "x" }]
"""


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("prase", "did you mean 'praise'?"),
        ("tea.prase", "did you mean 'tea.praise'?"),
        ("pot.praise", "did you mean 'tea.praise'?"),
        ("xyzzy", "no bundle of this library declares it"),
    ],
)
def test_unknown_pipes_have_a_place_and_a_suggestion(written: str, hint: str) -> None:
    (problem,) = problems(TEA + SEQUENCE % written + pipe("praise"))
    assert (problem.code, problem.hint) == ("unresolved_pipe_dependency", hint)
    assert "steps = " in (problem.excerpt or "")


def test_a_pipe_of_another_domain_is_taken_with_a_warning_or_refused_when_several_match() -> None:
    pot = 'domain = "pot"\n' + pipe("praise")
    found = linked(TEA + SEQUENCE % "praise", pot)
    assert [warning.code for warning in found.warnings] == ["nonlocal_reference"]
    (problem,) = problems(TEA + SEQUENCE % "praise", pot, pot.replace('"pot"', '"mug"'))
    assert (problem.code, problem.hint) == ("unresolved_pipe_dependency", "write one of pot.praise, mug.praise")


def test_a_native_of_older_versions_is_a_text() -> None:
    found = linked(TEA + pipe("judge", output="ImgGenPrompt"))
    assert found.crate.pipes["tea.judge"].output == Slot("native.Text")
    assert [warning.code for warning in found.warnings] == ["unresolved_concept"]


def test_all_problems_of_all_files_come_at_once_in_order() -> None:
    first = TEA + pipe("judge", 'a = "Nope", b = "Nada"') + SEQUENCE.replace("judge", "seq") % "gone"
    second = 'domain = "pot"\n[concept.Lid]\ndescription = "l"\nrefines = "Gone"\n' + pipe("pour", 'x = "Missing"')
    found = problems(first, second)
    assert [(problem.file, problem.code) for problem in found] == [
        ("0.mthds", "unresolved_concept"),
        ("0.mthds", "unresolved_concept"),
        ("0.mthds", "unresolved_pipe_dependency"),
        ("1.mthds", "unresolved_concept"),
        ("1.mthds", "unresolved_concept"),
    ]
    places = [(problem.file, problem.line, problem.column) for problem in found]
    assert places == sorted(places, key=str)


def test_the_rules_of_single_files_are_checked_too() -> None:
    (problem,) = problems(TEA + pipe("judge", 'cup = "Cup"', prompt="@cup and @leaf"))
    assert problem.code == "missing_input_variable"


# Declarations


def test_a_second_declaration_names_the_first() -> None:
    again = 'domain = "tea"\n[concept]\nCup = "Another cup"\n' + pipe("judge")
    found = problems(TEA + pipe("judge"), again)
    assert [(problem.code, problem.file) for problem in found] == [
        ("duplicate_concept", "1.mthds"),
        ("duplicate_pipe", "1.mthds"),
    ]
    assert all("0.mthds" in (problem.hint or "") for problem in found)


def test_texts_of_a_domain_that_differ_are_noted() -> None:
    found = linked(TEA + pipe("judge"), 'domain = "tea"\ndescription = "More tea"\n')
    assert [(warning.code, warning.file) for warning in found.warnings] == [("domain_metadata_conflict", "1.mthds")]
    assert found.crate.domains == {"tea": "Tea"}


CONCEPT_HEAD = 'domain = "d"\n'


@pytest.mark.parametrize(
    ("text", "shown", "key"),
    [
        (
            '[concept.A]\ndescription = "a"\nrefines = "B"\n[concept.B]\ndescription = "b"\nrefines = "A"',
            "A > B > A",
            "refines",
        ),
        ('[concept.A]\ndescription = "a"\nrefines = "A"', "A > A", "refines"),
        (
            '[concept.A]\ndescription = "a"\n[concept.A.structure]\n'
            'b = { type = "list", item_type = "concept", item_concept_ref = "A", description = "b" }',
            "A > A",
            "b = ",
        ),
        (
            '[concept.A]\ndescription = "a"\n[concept.A.structure]\n'
            'b = { type = "concept", concept_ref = "B", description = "b" }\n'
            '[concept.B]\ndescription = "b"\nrefines = "A"',
            "A > B > A",
            "refines",
        ),
    ],
)
def test_circles_of_concepts_are_refused_once(text: str, shown: str, key: str) -> None:
    (problem,) = problems(CONCEPT_HEAD + text + "\n" + pipe("p", 'a = "A"', "Text"))
    assert problem.code == "concept_cycle"
    assert shown in problem.message
    assert key in (problem.excerpt or "")


def test_a_concept_may_be_reached_twice_without_a_circle() -> None:
    field = '{{ type = "concept", concept_ref = "{}", description = "x" }}'
    text = CONCEPT_HEAD + '[concept]\nA = "a"\n[concept.B]\ndescription = "b"\n[concept.B.structure]\n'
    text += f"one = {field.format('A')}\ntwo = {field.format('A')}\n"
    assert list(linked(text).crate.concepts) == ["d.A", "d.B"]


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ('type = "integer", default_value = "x"', "is not a whole number"),
        ('type = "integer", default_value = true', "is not a whole number"),
        ('type = "number", default_value = "1"', "is not a number"),
        ('type = "text", default_value = 1', "is not a text"),
        ('type = "boolean", default_value = "yes"', "is not true or false"),
        ('type = "date", default_value = "soon"', "is not a date"),
        ('type = "time", default_value = "late"', "is not a time"),
        ('type = "list", item_type = "integer", default_value = ["a"]', "is not an array of the declared items"),
        ('choices = ["a", "b"], default_value = "c"', "is not one of its choices"),
        ('type = "integer", choices = ["1", "two"]', "the choice 'two'"),
    ],
)
def test_defaults_and_choices_fit_their_field(field: str, message: str) -> None:
    text = (
        f'{CONCEPT_HEAD}[concept.A]\ndescription = "a"\n[concept.A.structure]\nf = {{ description = "f", {field} }}\n'
    )
    (problem,) = problems(text)
    assert problem.code == "concept_structure_validation"
    assert message in problem.message


@pytest.mark.parametrize(
    "field",
    [
        'type = "integer", default_value = 3',
        'type = "number", default_value = 3',
        'type = "date", default_value = 2031-02-03',
        'type = "datetime", default_value = "2031-02-03T10:00:00"',
        'type = "list", item_type = "text", default_value = ["a"]',
        'type = "dict", key_type = "text", value_type = "integer", default_value = { a = 1 }',
        'choices = ["a", "b"], default_value = "b"',
        'type = "integer", choices = ["1", "2"], default_value = 2',
    ],
)
def test_defaults_that_fit_are_kept(field: str) -> None:
    text = (
        f'{CONCEPT_HEAD}[concept.A]\ndescription = "a"\n[concept.A.structure]\nf = {{ description = "f", {field} }}\n'
    )
    found = linked(text)
    fields = found.crate.concepts["d.A"].fields
    assert fields is not None
    assert fields["f"].default is not None
    assert not found.warnings


def test_a_required_field_with_a_default_is_noted() -> None:
    text = f'{CONCEPT_HEAD}[concept.A]\ndescription = "a"\n[concept.A.structure]\n'
    text += 'f = { type = "text", description = "f", required = true, default_value = "x" }\n'
    assert [warning.code for warning in linked(text).warnings] == ["concept_structure_validation"]


# System prompts


def test_the_system_prompt_of_the_file_is_given_to_pipes_without_one() -> None:
    text = TEA.replace("[concept]", 'system_prompt = "Be kind."\n[concept]', 1)
    own = pipe("mine").replace("prompt =", 'system_prompt = "Be mine."\nprompt =', 1)
    other = 'domain = "tea"\n' + pipe("elsewhere")
    crate = linked(text + pipe("judge") + own, other).crate
    prompts = {ref: found.system_prompt for ref, found in crate.pipes.items() if isinstance(found, PipeLLM)}
    assert prompts == {"tea.judge": "Be kind.", "tea.mine": "Be mine.", "tea.elsewhere": "Be kind."}


def test_a_system_prompt_taken_from_another_file_reads_declared_inputs_only() -> None:
    head = 'domain = "tea"\nsystem_prompt = "Speak $language."\n'
    (problem,) = problems(head, 'domain = "tea"\n' + pipe("talk"))
    assert (problem.code, problem.file) == ("missing_input_variable", "1.mthds")
    assert problem.message == (
        "the system prompt of the domain, used by pipe 'talk', reads 'language', which is not an input "
        "(line 1 of the system_prompt in 0.mthds)"
    )


@pytest.mark.parametrize("body", ["", 'structuring_method = "preliminary_text"\n'])
def test_an_input_that_only_a_system_prompt_of_another_file_reads_is_read(body: str) -> None:
    head = 'domain = "tea"\nsystem_prompt = "Speak $language."\n'
    talk = pipe("talk", 'language = "Text"', "Date" if body else "Text", "Talk.") + body
    assert not linked(head, 'domain = "tea"\n' + talk).warnings
    (problem,) = problems(head, 'domain = "tea"\nsystem_prompt = "Be brief."\n' + talk)
    assert (problem.code, problem.file) == ("extraneous_input_variable", "1.mthds")


# Intent hints


@pytest.mark.parametrize(
    ("slot", "is_noted"),
    [("Word", True), ("tea.Word", True), ("Count", False), ("shop.Price", False), ("shop.Tag", True)],
)
def test_an_intent_is_held_against_concepts_of_other_files(slot: str, is_noted: bool) -> None:
    concepts = 'domain = "tea"\n[concept]\nWord = "A word"\n[concept.Count]\ndescription = "n"\nrefines = "Number"\n'
    shop = (
        'domain = "shop"\n[concept]\nName = "n"\n[concept.Price]\ndescription = "p"\nrefines = "tea.Count"\n'
        '[concept.Tag]\ndescription = "t"\nrefines = "Name"\n'
    )
    taken = pipe("tell", f'x = {{ concept = "{slot}", hints = {{ intent = "rating" }} }}', prompt="@x")
    found = linked(concepts, shop, 'domain = "tea"\n' + taken).warnings
    assert [warning.code for warning in found] == ["hint_inapplicable_intent"] * is_noted


# Operators


def test_an_llm_makes_no_image() -> None:
    (problem,) = problems(TEA + pipe("judge", output="Leaf"))
    assert problem.code == "llm_output_cannot_be_image"


def test_paths_of_prompts_that_do_not_exist_are_noted_with_the_closest_field() -> None:
    found = linked(TEA + pipe("judge", 'note = "Note"', prompt="@note.cupp $note.score {{ note.cup.text.upper() }}"))
    (warning,) = [warning for warning in found.warnings if warning.code != "input_presence_vacuous"]
    assert (warning.code, warning.hint, warning.is_warning) == ("unknown_field", "did you mean 'cup'?", True)
    assert "note.cupp" in warning.message


def test_reading_a_field_of_a_list_is_noted() -> None:
    prompt = "{{ notes.cup }} {{ notes.items }} {{ notes[0].cup.text }}"
    (warning,) = linked(TEA + pipe("judge", 'notes = "Note[]"', prompt=prompt)).warnings
    assert "is read on a list of Note" in warning.message


EXTRACT = """
[pipe.judge]
type = "PipeExtract"
description = "d"
inputs = { x = "%s" }
output = "Page[]"
"""


@pytest.mark.parametrize(
    ("concept", "is_readable"), [("Document", True), ("Leaf", True), ("Cup", False), ("Page", False)]
)
def test_an_extract_reads_documents_and_images(concept: str, is_readable: bool) -> None:
    if is_readable:
        assert not linked(TEA + EXTRACT % concept).warnings
    else:
        assert [problem.code for problem in problems(TEA + EXTRACT % concept)] == ["input_stuff_spec_mismatch"]


COMPOSE = """
[concept.Card]
description = "A card"
[concept.Card.structure]
title = { type = "text", description = "t", required = true }
kind = { choices = ["big", "small"], description = "k" }
note = { type = "concept", concept_ref = "Note", description = "n" }
notes = { type = "list", item_type = "concept", item_concept_ref = "Note", description = "ns" }
by_name = { type = "dict", key_type = "text", value_type = "Any", description = "d" }

[pipe.judge]
type = "PipeCompose"
description = "d"
inputs = { note = "Note", cups = "Cup[]", all = "Note[]" }
output = "Card"
[pipe.judge.construct]
"""


@pytest.mark.parametrize(
    ("construct", "fault"),
    [
        ('title = "x"', None),
        ('title = { from = "note.cup" }', None),
        ('title = { from = "note.score" }', None),
        ('title = { template = "{{ note.score }}" }\nnote = { from = "note" }', None),
        ('title = "x"\nnotes = { from = "all" }', None),
        ('title = "x"\nnote = { cup = { from = "note.cup" }, score = 3 }', None),
        ('title = "x"\nby_name = { a = 1, b = { from = "note" } }', None),
        ('title = "x"\nby_name = { from = "all", list_to_dict_keyed_by = "score" }', None),
        ('kind = "big"', "requires the field 'title'"),
        ('title = "x"\ntitel = "y"', "has no field 'titel'"),
        ('title = "x"\nkind = "huge"', "'huge' is no choice"),
        ('title = { from = "note" }', "the field 'title' is text; 'note' is Note"),
        ('title = { from = "cups" }', "the field 'title' is a single value; 'cups' is a list of Cup"),
        ('title = "x"\nnotes = { from = "note" }', "the field 'notes' is a list; 'note' is Note"),
        ('title = "x"\nnotes = { from = "cups" }', "the field 'notes' is Note; 'cups' is a list of Cup"),
        ('title = "x"\nnote = { from = "note.cup" }', "the field 'note' is Note"),
        ('title = "x"\nnote = { score = 3, taste = 1 }', "Note has no field 'taste'"),
        ('title = "x"\nnotes = { a = 1 }', "a table is given"),
        ('title = "x"\nby_name = { from = "note", list_to_dict_keyed_by = "score" }', "needs a list to key by"),
    ],
)
def test_a_construct_fits_its_concept(construct: str, fault: str | None) -> None:
    text = TEA + COMPOSE + construct
    if fault is None:
        unread = {"extraneous_input_variable", "input_presence_vacuous"}
        assert {warning.code for warning in linked(text).warnings} <= unread
    else:
        (problem,) = [problem for problem in problems(text) if not problem.is_warning]
        assert problem.code == "construct_field_error"
        assert fault in problem.message


def test_paths_of_a_construct_that_do_not_exist_are_noted() -> None:
    found = linked(TEA + COMPOSE + 'title = { from = "note.scor" }')
    assert ("unknown_field", "did you mean 'score'?") in [(warning.code, warning.hint) for warning in found.warnings]


@pytest.mark.parametrize(("output", "is_fine"), [("Cup", True), ("Html", True), ("Text", True), ("Note", False)])
def test_a_template_makes_text_or_html(output: str, is_fine: bool) -> None:
    text = f'{TEA}\n[pipe.judge]\ntype = "PipeCompose"\ndescription = "d"\noutput = "{output}"\ntemplate = "hello"\n'
    if is_fine:
        assert linked(text).crate.pipes
    else:
        assert [problem.code for problem in problems(text)] == ["inadequate_output_concept"]


# Main pipes


def test_there_is_a_main_pipe_when_the_library_names_exactly_one() -> None:
    other = 'domain = "pot"\nmain_pipe = "pour"\n' + pipe("pour")
    assert linked(TEA + pipe("judge")).crate.main_pipe == "tea.judge"
    assert linked(TEA + pipe("judge"), other).crate.main_pipe is None
    assert linked('domain = "pot"\n' + pipe("pour")).crate.main_pipe is None


def test_a_large_library_links() -> None:
    fields = '{{ type = "concept", concept_ref = "C{}", description = "next" }}'
    concepts = "".join(
        f'[concept.C{n}]\ndescription = "c"\n[concept.C{n}.structure]\nnext = {fields.format(n + 1)}\n'
        for n in range(1500)
    )
    chain = "".join((SEQUENCE % f"s{n + 1}").replace("judge", f"s{n}") for n in range(1500))
    text = f'domain = "big"\n[concept]\nC1500 = "last"\n{concepts}{chain}{pipe("s1500")}'
    crate = linked(text).crate
    assert (len(crate.concepts), len(crate.pipes)) == (1501, 1501)
