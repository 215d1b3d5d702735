from __future__ import annotations

import pytest

from pipelex.errors import LibraryError, Problem
from pipelex.library.link import Linked, link
from pipelex.library.load import load_texts

HEAD = """
domain = "d"
[concept]
Idea = "An idea"
[concept.Photo]
description = "A photo"
refines = "Image"
[concept.Note]
description = "A note"
[concept.Note.structure]
title = { type = "text", description = "t", required = true }
[concept.Pair]
description = "Two things"
[concept.Pair.structure]
note = { type = "concept", concept_ref = "Note", description = "n", required = true }
idea = { type = "text", description = "i" }
"""


def leaf(code: str, inputs: str = "", output: str = "Text") -> str:
    """A PipeFunc: it reads what it likes and makes what it declares."""
    return (
        f'[pipe.{code}]\ntype = "PipeFunc"\ndescription = "d"\ninputs = {{ {inputs} }}\noutput = "{output}"\n'
        f'function_name = "{code}"\n'
    )


def sequence(code: str, inputs: str, output: str, *steps: str) -> str:
    listed = ",\n".join(f"  {{ {step} }}" for step in steps)
    return (
        f'[pipe.{code}]\ntype = "PipeSequence"\ndescription = "d"\ninputs = {{ {inputs} }}\noutput = "{output}"\n'
        f"steps = [\n{listed}\n]\n"
    )


def parallel(code: str, inputs: str, output: str, *branches: str, each: bool = False) -> str:
    text = (
        sequence(code, inputs, output, *branches)
        .replace("PipeSequence", "PipeParallel")
        .replace("steps =", "branches =")
    )
    return text + ("add_each_output = true\n" if each else "")


def condition(code: str, inputs: str, output: str, default: str, **outcomes: str) -> str:
    listed = ", ".join(f'{key} = "{target}"' for key, target in outcomes.items())
    return (
        f'[pipe.{code}]\ntype = "PipeCondition"\ndescription = "d"\ninputs = {{ {inputs} }}\noutput = "{output}"\n'
        f'expression_template = "a"\noutcomes = {{ {listed} }}\ndefault_outcome = "{default}"\n'
    )


def batch(code: str, inputs: str, output: str, branch: str, over: str, item: str) -> str:
    return (
        f'[pipe.{code}]\ntype = "PipeBatch"\ndescription = "d"\ninputs = {{ {inputs} }}\noutput = "{output}"\n'
        f'branch_pipe_code = "{branch}"\ninput_list_name = "{over}"\ninput_item_name = "{item}"\n'
    )


def linked(*pipes: str) -> Linked:
    return link(load_texts({"d.mthds": HEAD + "".join(pipes)}))


def problems(*pipes: str) -> list[Problem]:
    with pytest.raises(LibraryError) as caught:
        linked(*pipes)
    return caught.value.found


def codes(*pipes: str) -> list[str]:
    """The codes of what is found, a warning marked with `w:`."""
    try:
        return [f"w:{warning.code}" for warning in linked(*pipes).warnings]
    except LibraryError as error:
        return [problem.code for problem in error.found]


MAKE_NOTE = leaf("make", 'idea = "Idea"', "Note")
READ_NOTE = leaf("read", 'note = "Note"')


# Sequences


def test_a_step_reads_what_earlier_steps_stored() -> None:
    assert not codes(
        MAKE_NOTE,
        READ_NOTE,
        sequence("all", 'idea = "Idea"', "Text", 'pipe = "make", result = "note"', 'pipe = "read"'),
    )


def test_a_missing_input_names_the_step_the_pipe_and_what_is_there() -> None:
    (problem,) = problems(
        MAKE_NOTE,
        READ_NOTE,
        sequence("all", 'idea = "Idea"', "Text", 'pipe = "make", result = "notes"', 'pipe = "read"'),
    )
    assert problem.code == "missing_input_variable"
    assert problem.message == (
        "step 2 of 'all' calls 'read', which needs 'note' (Note); there is 'idea' (Idea), 'notes' (Note)"
    )
    assert problem.hint == "did you mean 'notes'?"
    assert problem.excerpt == '  { pipe = "read" }'


@pytest.mark.parametrize(
    ("steps", "hint"),
    [
        (('pipe = "read"', 'pipe = "make", result = "note"', 'pipe = "read"'), "step 2 makes it: move that step up"),
        (('pipe = "read"',), 'give an earlier step result = "note", or declare it: inputs = { note = "Note" }'),
        (
            ('pipe = "read", result = "note"',),
            'give an earlier step result = "note", or declare it: inputs = { note = "Note" }',
        ),
    ],
)
def test_a_missing_input_comes_with_the_way_to_have_it(steps: tuple[str, ...], hint: str) -> None:
    (problem,) = problems(MAKE_NOTE, READ_NOTE, sequence("all", 'idea = "Idea"', "Text", *steps))
    assert problem.hint == hint


def test_a_name_that_is_missing_is_told_once() -> None:
    steps = ['pipe = "read"'] * 5
    assert codes(READ_NOTE, sequence("all", "", "Text", *steps)) == ["missing_input_variable"]


def test_nothing_is_called_missing_after_a_pipe_that_does_not_exist() -> None:
    found = codes(READ_NOTE, sequence("all", "", "Text", 'pipe = "gone", result = "x"', 'pipe = "read"'))
    assert found == ["unresolved_pipe_dependency"]


def test_a_name_holds_what_the_last_step_stored_in_it() -> None:
    found = codes(
        MAKE_NOTE,
        READ_NOTE,
        sequence("all", 'idea = "Idea"', "Text", 'pipe = "make", result = "idea"', 'pipe = "make"', 'pipe = "read"'),
    )
    assert found == ["input_stuff_spec_mismatch", "missing_input_variable"]


def test_names_stored_by_nested_sequences_stay() -> None:
    inner = sequence("inner", 'idea = "Idea"', "Note", 'pipe = "make", result = "note"')
    outer = sequence("outer", 'idea = "Idea"', "Text", 'pipe = "inner"', 'pipe = "read"')
    # Whatever the order of declaration.
    assert not codes(outer, inner, MAKE_NOTE, READ_NOTE)
    assert not codes(READ_NOTE, MAKE_NOTE, inner, outer)


def test_names_stored_inside_a_batch_do_not_leak() -> None:
    inner = sequence("inner", 'idea = "Idea"', "Note", 'pipe = "make", result = "note"')
    step = 'pipe = "inner", batch_over = "ideas", batch_as = "idea"'
    assert codes(inner, MAKE_NOTE, READ_NOTE, sequence("outer", 'ideas = "Idea[]"', "Text", step, 'pipe = "read"')) == [
        "missing_input_variable"
    ]


def test_the_main_stuff_is_there_after_the_first_step() -> None:
    last = leaf("last", 'main_stuff = "Note"')
    assert not codes(MAKE_NOTE, last, sequence("all", 'idea = "Idea"', "Text", 'pipe = "make"', 'pipe = "last"'))


@pytest.mark.parametrize(
    ("wanted", "given", "found"),
    [
        ("Note", "Note", []),
        ("Text", "Idea", []),
        ("Image", "Photo", []),
        ("Photo", "Image", ["input_stuff_spec_mismatch"]),
        ("Note", "Idea", ["input_stuff_spec_mismatch"]),
        ("Anything", "Note[]", []),
        ("Note", "Anything", ["w:input_stuff_spec_mismatch"]),
        ("Note[]", "Dynamic", []),
        ("Note", "Note[]", ["w:input_stuff_spec_mismatch"]),
        ("Note[]", "Note", ["input_stuff_spec_mismatch"]),
        ("Note[]", "Note[3]", []),
        ("Note[3]", "Note[]", []),
        ("Note[3]", "Note[3]", []),
        ("Note[3]", "Note[4]", ["input_stuff_spec_mismatch"]),
        ("Note", "Note[1]", []),
    ],
)
def test_what_is_given_fits_what_is_taken(wanted: str, given: str, found: list[str]) -> None:
    make, take = leaf("make", "", given), leaf("take", f'x = "{wanted}"')
    assert codes(make, take, sequence("all", "", "Text", 'pipe = "make", result = "x"', 'pipe = "take"')) == found


def test_a_mismatch_says_what_is_there_and_who_made_it() -> None:
    make, take = leaf("make", "", "Idea"), leaf("take", 'x = "Note[]"')
    (problem,) = problems(make, take, sequence("all", "", "Text", 'pipe = "make", result = "x"', 'pipe = "take"'))
    assert problem.message == (
        "step 2 of 'all' calls 'take', which takes 'x' as Note[]; what is there is Idea (made by step 1 of 'all')"
    )


@pytest.mark.parametrize(
    ("declared", "given", "found"),
    [
        ("Note", "Note", []),
        ("Text", "Idea", []),
        ("Anything", "Note[]", []),
        ("Dynamic", "Note", []),
        ("Note[]", "Note[]", []),
        ("Note", "Anything", ["w:inadequate_output_concept"]),
        ("Idea", "Note", ["inadequate_output_concept"]),
        ("Photo", "Image", ["inadequate_output_concept"]),
        ("Note", "Note[]", ["inadequate_output_multiplicity"]),
        ("Note[]", "Note", ["inadequate_output_multiplicity"]),
        ("Note[2]", "Note[3]", ["inadequate_output_multiplicity"]),
        ("Note?", "Note", []),
        ("Note?", "Note?", []),
        ("Note", "Note?", ["optional_not_handled"]),
    ],
)
def test_a_sequence_gives_what_it_declares(declared: str, given: str, found: list[str]) -> None:
    assert codes(leaf("make", "", given), sequence("all", "", declared, 'pipe = "make"')) == found


@pytest.mark.parametrize(
    ("options", "declared"),
    [
        ("nb_output = 3", "Note[3]"),
        ("nb_output = 1", "Note"),
        ("multiple_output = true", "Note[]"),
        ("multiple_output = false", "Note"),
    ],
)
def test_a_step_may_change_how_many_are_made(options: str, declared: str) -> None:
    made = "Note" if declared != "Note" else "Note[]"
    assert not codes(leaf("make", "", made), sequence("all", "", declared, f'pipe = "make", {options}'))
    assert codes(leaf("make", "", made), sequence("all", "", made, f'pipe = "make", {options}')) == [
        "inadequate_output_multiplicity"
    ]


# Batches


def test_a_batched_step_makes_a_list() -> None:
    step = 'pipe = "make", batch_over = "ideas", batch_as = "idea", result = "notes"'
    assert not codes(MAKE_NOTE, sequence("all", 'ideas = "Idea[]"', "Note[]", step))
    assert not codes(MAKE_NOTE, sequence("all", 'ideas = "Idea[3]"', "Note[3]", step))
    assert codes(MAKE_NOTE, sequence("all", 'ideas = "Idea[3]"', "Note[2]", step)) == ["inadequate_output_multiplicity"]


@pytest.mark.parametrize(
    ("inputs", "found"),
    [
        ('ideas = "Idea"', ["input_stuff_spec_mismatch"]),
        ('idees = "Idea[]"', ["missing_input_variable"]),
        ('ideas = "Note[]"', ["input_stuff_spec_mismatch"]),
        ('ideas = "Anything"', ["w:input_stuff_spec_mismatch"]),
    ],
)
def test_a_batched_step_runs_over_a_list_that_is_there(inputs: str, found: list[str]) -> None:
    step = 'pipe = "make", batch_over = "ideas", batch_as = "idea"'
    assert codes(MAKE_NOTE, sequence("all", inputs, "Note[]", step)) == found


def test_batches_nest_and_nothing_is_flattened() -> None:
    split = leaf("split", 'idea = "Idea"', "Note[]")
    rank = leaf("rank", 'notes = "Note[]"', "Note")
    first = 'pipe = "split", batch_over = "ideas", batch_as = "idea", result = "nested"'
    second = 'pipe = "rank", batch_over = "nested", batch_as = "notes"'
    whole = sequence("all", 'ideas = "Idea[]"', "Note[]", first, second)
    assert not codes(split, rank, whole)
    flat = leaf("split", 'idea = "Idea"', "Note")
    assert codes(flat, rank, whole) == ["input_stuff_spec_mismatch"]


def test_the_depth_of_lists_is_seen_through_nested_pipes() -> None:
    split = leaf("split", 'idea = "Idea"', "Note[]")
    rank = leaf("rank", 'notes = "Note[]"', "Note")
    inner = batch("inner", 'ideas = "Idea[]"', "Note[]", "split", "ideas", "idea")
    wrap = sequence("wrap", 'ideas = "Idea[]"', "Note[]", 'pipe = "inner"')
    second = 'pipe = "rank", batch_over = "nested", batch_as = "notes"'
    assert not codes(
        split,
        rank,
        inner,
        wrap,
        sequence("all", 'ideas = "Idea[]"', "Note[]", 'pipe = "wrap", result = "nested"', second),
    )


def test_a_batch_whose_caller_must_give_a_list_of_lists_is_noted() -> None:
    rank = leaf("rank", 'notes = "Note[]"', "Note")
    (warning,) = linked(rank, batch("all", 'nested = "Note[]"', "Note[]", "rank", "nested", "notes")).warnings
    assert "it works only if that is a list of lists" in warning.message


@pytest.mark.parametrize(
    ("inputs", "output", "item", "found"),
    [
        ('ideas = "Idea[]"', "Note[]", "idea", []),
        ('ideas = "Idea[]"', "Anything", "idea", []),
        ('ideas = "Idea[]"', "Anything[]", "idea", []),
        ('ideas = "Idea[]"', "Idea[]", "idea", ["w:inadequate_output_concept"]),
        ('ideas = "Idea[]"', "Note", "idea", []),
        ('ideas = "Idea[3]"', "Note[2]", "idea", ["w:inadequate_output_multiplicity"]),
        ('ideas = "Idea[]"', "Note[]", "thing", ["missing_input_variable"]),
        ('ideas = "Photo[]"', "Note[]", "idea", ["input_stuff_spec_mismatch"]),
    ],
)
def test_a_batch_gives_its_item_to_its_branch(inputs: str, output: str, item: str, found: list[str]) -> None:
    assert codes(MAKE_NOTE, batch("all", inputs, output, "make", "ideas", item)) == found


# Parallels


def test_the_results_of_branches_make_a_composite_or_a_structure() -> None:
    branches = ('pipe = "make", result = "note"', 'pipe = "think", result = "idea"')
    think = leaf("think", "", "Idea")
    for output in ("Composite", "Pair"):
        found = linked(MAKE_NOTE, think, parallel("both", 'idea = "Idea"', output, *branches))
        assert not found.warnings
        assert found.crate.pipes["d.both"].output.concept.endswith(output)


@pytest.mark.parametrize("output", ["Anything", "Page[]", "Text", "Note"])
def test_other_outputs_of_a_parallel_are_an_old_form_that_makes_a_composite(output: str) -> None:
    both = parallel("both", 'idea = "Idea"', output, 'pipe = "make", result = "draft"')
    found = linked(MAKE_NOTE, both)
    assert [warning.code for warning in found.warnings] == ["inadequate_output_concept"]
    assert str(found.crate.pipes["d.both"].output) == "native.Composite"


def test_a_sequence_that_ends_in_an_old_parallel_gives_its_composite() -> None:
    both = parallel("both", 'idea = "Idea"', "Page[]", 'pipe = "make", result = "draft"')
    inner = sequence("inner", 'idea = "Idea"', "Page[]", 'pipe = "both"')
    outer = sequence("outer", 'idea = "Idea"', "Note", 'pipe = "inner"')
    open_end = sequence("open_end", 'idea = "Idea"', "Anything", 'pipe = "outer"')
    crate = linked(MAKE_NOTE, outer, inner, both, open_end).crate
    outputs = {ref: str(pipe.output) for ref, pipe in crate.pipes.items() if ref != "d.make"}
    assert outputs == {
        "d.outer": "native.Composite",
        "d.inner": "native.Composite",
        "d.both": "native.Composite",
        "d.open_end": "native.Anything",
    }


@pytest.mark.parametrize(
    ("made", "found"),
    [
        ("Note", []),
        ("Idea", ["inadequate_output_concept"]),
        ("Note[]", ["inadequate_output_concept"]),
        ("Note?", ["optional_branch_required_field"]),
    ],
)
def test_each_branch_fits_its_field(made: str, found: list[str]) -> None:
    assert codes(leaf("one", "", made), parallel("both", "", "Pair", 'pipe = "one", result = "note"')) == found


@pytest.mark.parametrize(("each", "found"), [(True, []), (False, ["missing_input_variable"])])
def test_results_of_branches_stay_only_if_asked(each: bool, found: list[str]) -> None:
    both = parallel("both", 'idea = "Idea"', "Composite", 'pipe = "make", result = "note"', each=each)
    assert (
        codes(MAKE_NOTE, READ_NOTE, both, sequence("all", 'idea = "Idea"', "Text", 'pipe = "both"', 'pipe = "read"'))
        == found
    )


def test_branches_do_not_see_each_other() -> None:
    both = parallel(
        "both", 'idea = "Idea"', "Composite", 'pipe = "make", result = "note"', 'pipe = "read", result = "text"'
    )
    (problem,) = problems(MAKE_NOTE, READ_NOTE, both)
    assert problem.message.startswith("branch 2 of 'both' calls 'read', which needs 'note'")


def test_a_branch_may_be_a_batch() -> None:
    branch = 'pipe = "make", batch_over = "ideas", batch_as = "idea", result = "notes"'
    rank = leaf("rank", 'notes = "Note[]"', "Note")
    both = parallel("both", 'ideas = "Idea[]"', "Composite", branch, each=True)
    assert not codes(
        MAKE_NOTE, rank, both, sequence("all", 'ideas = "Idea[]"', "Note", 'pipe = "both"', 'pipe = "rank"')
    )


# Conditions


def test_a_condition_declares_what_each_outcome_needs() -> None:
    (problem,) = problems(MAKE_NOTE, condition("pick", "", "Note", "fail", yes="make", no="make"))
    assert problem.message.startswith("the outcome 'yes' of 'pick' calls 'make', which needs 'idea' (Idea)")
    (problem,) = problems(MAKE_NOTE, condition("pick", "", "Note", "make", yes="fail"))
    assert problem.message.startswith("the default of 'pick' calls 'make'")


@pytest.mark.parametrize(
    ("output", "found"),
    [
        ("Note", ["inadequate_output_concept"]),
        ("Anything", []),
        ("Note[]", ["inadequate_output_multiplicity", "inadequate_output_concept"]),
    ],
)
def test_every_outcome_gives_what_the_condition_declares(output: str, found: list[str]) -> None:
    one, many = leaf("one", "", "Note"), leaf("many", "", "Idea[]")
    assert sorted(codes(one, many, condition("pick", "", output, "many", yes="one"))) == sorted(found)


def test_names_stay_after_a_condition_if_all_outcomes_store_them() -> None:
    one = sequence("one", 'idea = "Idea"', "Note", 'pipe = "make", result = "note"')
    two = sequence("two", 'idea = "Idea"', "Note", 'pipe = "make", result = "note"', 'pipe = "make", result = "other"')
    pick = condition("pick", 'idea = "Idea"', "Note", "two", yes="one", no="fail")
    base = (MAKE_NOTE, READ_NOTE, one, two, pick)
    assert not codes(*base, sequence("all", 'idea = "Idea"', "Text", 'pipe = "pick"', 'pipe = "read"'))
    other = leaf("other", 'other = "Note"')
    assert codes(*base, other, sequence("all", 'idea = "Idea"', "Text", 'pipe = "pick"', 'pipe = "other"')) == [
        "missing_input_variable"
    ]


def test_names_stored_differently_by_outcomes_hold_anything() -> None:
    one = sequence("one", 'idea = "Idea"', "Note", 'pipe = "make", result = "x"')
    two = sequence("two", 'idea = "Idea"', "Note", 'pipe = "think", result = "x"', 'pipe = "make"')
    pick = condition("pick", 'idea = "Idea"', "Note", "two", yes="one")
    take = leaf("take", 'x = "Note"')
    assert not codes(
        MAKE_NOTE,
        leaf("think", "", "Idea"),
        take,
        one,
        two,
        pick,
        sequence("all", 'idea = "Idea"', "Text", 'pipe = "pick"', 'pipe = "take"'),
    )


def test_a_condition_that_may_do_nothing_has_an_optional_output() -> None:
    pick = condition("pick", 'idea = "Idea"', "Note", "continue", yes="make")
    found = linked(MAKE_NOTE, pick, sequence("all", 'idea = "Idea"', "Note", 'pipe = "pick", result = "note"'))
    assert [(warning.code, warning.hint) for warning in found.warnings] == [
        ("optional_output_required", 'write output = "Note?"')
    ]
    assert str(found.crate.pipes["d.pick"].output) == "d.Note?"
    assert str(found.crate.pipes["d.all"].output) == "d.Note?"
    assert not codes(MAKE_NOTE, pick.replace('output = "Note"', 'output = "Note?"'))


def test_recursion_ends() -> None:
    again = sequence("again", 'idea = "Idea"', "Note", 'pipe = "make", result = "note"', 'pipe = "pick"')
    pick = condition("pick", 'idea = "Idea", note = "Note"', "Note", "again", yes="make")
    assert not codes(MAKE_NOTE, again, pick)


# Presence


def test_a_pipe_skipped_for_want_of_a_plain_input_gives_nothing() -> None:
    read = sequence("all", 'note = "Note?"', "Text", 'pipe = "read", result = "text"')
    assert codes(READ_NOTE, read) == ["optional_not_handled"]
    assert not codes(READ_NOTE, read.replace('output = "Text"', 'output = "Text?"'))


@pytest.mark.parametrize("mark", ["?", "!"])
def test_a_pipe_that_takes_absence_in_hand_gives_something(mark: str) -> None:
    handle = leaf("handle", f'text = "Text{mark}"', "Idea")
    whole = sequence("all", 'note = "Note?"', "Idea", 'pipe = "read", result = "text"', 'pipe = "handle"')
    assert not codes(READ_NOTE, handle, whole)


def test_a_skipped_pipe_that_gives_a_list_gives_an_empty_one() -> None:
    assert not codes(
        leaf("list", 'note = "Note?"', "Text[]"), sequence("all", 'note = "Note?"', "Text[]", 'pipe = "list"')
    )
    assert not codes(
        leaf("list", 'note = "Note"', "Text[]"), sequence("all", 'note = "Note?"', "Text[]", 'pipe = "list"')
    )


# Multiplicities that steps ask for, and pipes that may be skipped

IDEAS = leaf("ideas", 'note = "Note"', "Idea?")
THREE = leaf("three", 'note = "Note"', "Idea[3]")
LISTED = HEAD + (
    '[concept.Board]\ndescription = "b"\n[concept.Board.structure]\n'
    'ideas = { type = "list", item_type = "concept", item_concept_ref = "Idea", description = "i", required = true }\n'
)


def board(step: str) -> list[str]:
    """The codes of a parallel whose only branch fills a required list."""
    files = {"d.mthds": LISTED + IDEAS + THREE + parallel("all", 'note = "Note?"', "Board", step)}
    try:
        return [f"w:{warning.code}" for warning in link(load_texts(files)).warnings]
    except LibraryError as error:
        return [problem.code for problem in error.found]


def test_a_step_that_asks_for_a_list_gets_an_empty_one_when_it_is_skipped() -> None:
    assert not board('pipe = "ideas", multiple_output = true, result = "ideas"')
    assert not board('pipe = "ideas", nb_output = 3, result = "ideas"')


def test_a_step_that_asks_for_one_of_a_list_may_get_nothing() -> None:
    step = 'pipe = "three", nb_output = 1, result = "idea"'
    assert codes(THREE, sequence("all", 'note = "Note?"', "Idea", step)) == ["optional_not_handled"]


def test_a_list_that_may_be_empty_is_told_where_a_count_is_wanted() -> None:
    vote = leaf("vote", 'ideas = "Idea[3]"')
    steps = ('pipe = "three", result = "ideas"', 'pipe = "vote"')
    assert not codes(THREE, vote, sequence("all", 'note = "Note"', "Text", *steps))
    (warning,) = linked(THREE, vote, sequence("all", 'note = "Note?"', "Text", *steps)).warnings
    assert (warning.code, warning.message, warning.hint) == (
        "input_stuff_spec_mismatch",
        "step 2 of 'all' calls 'vote', which takes 'ideas' as Idea[3]; what is there is Idea[3] (made by step 1 of "
        "'all'): it is empty, and refused, when the pipe that makes it is skipped",
        'write "Idea[]" to take an empty list too',
    )


@pytest.mark.parametrize("output", ["Idea[3]", "Idea[]"])
def test_a_list_that_may_be_empty_is_told_through_the_pipes_that_hand_it_on(output: str) -> None:
    vote = leaf("vote", 'ideas = "Idea[3]"')
    inner = sequence("inner", 'note = "Note?"', output, 'pipe = "three"')
    outer = sequence("outer", 'note = "Note?"', "Text", 'pipe = "inner", result = "ideas"', 'pipe = "vote"')
    assert codes(THREE, vote, inner, outer) == ["w:input_stuff_spec_mismatch"]
    pick = condition("inner", 'a = "Text", note = "Note"', output, "continue", yes="three")
    outer = outer.replace('note = "Note?"', 'a = "Text", note = "Note"')
    assert codes(THREE, vote, pick, outer) == ["w:input_stuff_spec_mismatch"]
