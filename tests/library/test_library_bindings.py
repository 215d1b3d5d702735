from __future__ import annotations

import pytest
from rule_cases_library import HEAD, READ, fan, func, pick, run, take, texts

from pipelex.errors import LibraryError, Problem
from pipelex.language.pipes import Binding, PipeSequence, Step
from pipelex.library.crate import LibraryCrate
from pipelex.library.library import Library, library_from_texts
from pipelex.library.slices import slice_of


def linked(*pipes: str) -> LibraryCrate:
    return library_from_texts(texts(*pipes))[0].crate


def problems(*pipes: str) -> list[Problem]:
    with pytest.raises(LibraryError) as caught:
        linked(*pipes)
    return caught.value.found


def steps(crate: LibraryCrate, ref: str = "d.p") -> tuple[Step | Binding, ...]:
    found = crate.pipes[ref]
    assert isinstance(found, PipeSequence)
    return found.steps


@pytest.mark.parametrize(
    ("path", "slot"),
    [
        ("book", "d.Book"),
        ("book.notes", "d.Note[]"),
        ("book.notes.title", "native.Text[]"),
        ("book.cover", "d.Photo?"),
        ("book.cover.width", "native.Number?"),
        ("book.pages", "native.Number"),
        ("book.loose", "native.JSON"),
        ("book.shop", "native.Text?"),
        ("books.pages", "native.Number[]"),
        ("books.cover", "d.Photo[]"),
        ("many", "d.Book[3]"),
        ("maybe.pages", "native.Number?"),
        ("sure.yes_no", "native.YesNo"),
        ("sheet.text_and_images.images", "native.Image[]"),
        ("day.date", "native.Date"),
        ("day.time", "native.Time?"),
    ],
)
def test_a_binding_carries_what_its_path_gives(path: str, slot: str) -> None:
    inputs = 'book = "Book", books = "Book[]", many = "Book[3]", maybe = "Book?", sure = "YesNo", sheet = "Page", '
    crate = linked(run("p", inputs + 'day = "Date"', "Anything", f'from = "{path}", result = "x"'))
    (binding,) = steps(crate)
    assert isinstance(binding, Binding)
    assert str(binding.slot) == slot
    assert LibraryCrate.model_validate_json(crate.model_dump_json(exclude_defaults=True, by_alias=True)) == crate


def test_a_path_in_batch_over_becomes_a_binding_before_its_step() -> None:
    crate = library_from_texts(take("book.notes", "Note", batch=True))[0].crate
    binding, step = steps(crate)
    assert isinstance(binding, Binding)
    assert isinstance(step, Step)
    assert (binding.from_, binding.result, str(binding.slot)) == ("book.notes", "_bound_book_notes", "d.Note[]")
    assert (step.pipe, step.batch_over, step.batch_as) == ("d.use", "_bound_book_notes", "x")


def test_later_steps_keep_their_places_in_messages() -> None:
    over = 'pipe = "read", batch_over = "book.notes", batch_as = "note"'
    (problem,) = problems(READ, run("p", 'book = "Book"', "Text", over, 'pipe = "read"'))
    assert problem.message.startswith("step 2 of 'p' calls 'read', which needs 'note'")


def test_a_field_written_as_a_description_only_is_not_a_reason_to_refuse() -> None:
    crate = library_from_texts(take("book.shop", "Text"))[0].crate
    assert str(crate.pipes["d.p"].output) == "native.Text?"


def test_the_results_of_a_parallel_can_be_reached_by_name() -> None:
    make = func("make", "", "Note[]")
    both = fan("both", "", "Composite", 'pipe = "make", result = "notes"')
    over = 'pipe = "read", batch_over = "all.notes", batch_as = "note"'
    crate = linked(make, READ, both, run("p", "", "Text[]", 'pipe = "both", result = "all"', over))
    binding = steps(crate)[1]
    assert isinstance(binding, Binding)
    assert str(binding.slot) == "d.Note[]"


def test_a_last_step_that_binds_gives_what_it_binds() -> None:
    (problem,) = problems(run("p", 'book = "Book"', "Text", 'from = "book.notes", result = "x"'))
    assert problem.code == "inadequate_output_concept"
    assert "its last step, 'book.notes', gives Note[]" in problem.message


def test_what_does_not_resolve_is_not_told_again_by_its_bindings() -> None:
    found = problems(run("p", 'book = "Boook"', "Anything", 'from = "book.notes", result = "x"'))
    assert [problem.code for problem in found] == ["unresolved_concept"]


def test_a_slice_holds_what_bindings_give() -> None:
    crate = linked(
        func("get", 'x = "Anything"', "Book"),
        run("p", 'x = "Anything"', "Anything", 'pipe = "get", result = "book"', 'from = "book.cover", result = "y"'),
    )
    assert {"d.Photo", "d.Book", "d.Note"} <= set(slice_of(crate, "d.p").concepts)


def test_a_name_given_by_an_expression_can_be_read_later() -> None:
    alias = 'add_alias_from_expression_to = "chosen"\n'
    route = pick("route", 'note = "Note"', "Text", "fail", yes="read") + alias
    use = func("use", 'chosen = "Note"')
    assert linked(READ, route, use, run("p", 'note = "Note"', "Text", 'pipe = "route"', 'pipe = "use"')).pipes
    needs = func("needs", 'chosen = "Text"')
    assert linked(needs, pick("route", 'note = "Note"', "Text", "needs", yes="needs") + alias).pipes


def test_a_batch_of_an_old_file_gives_what_its_branch_gives() -> None:
    text = (
        HEAD
        + func("make", 'idea = "Idea"', "Note")
        + '[pipe.p]\ntype = "PipeBatch"\ndescription = "d"\ninputs = { ideas = "Idea[2]" }\noutput = "Book[]"\n'
        + 'branch_pipe_code = "make"\ninput_list_name = "ideas"\ninput_item_name = "idea"\n'
    )
    library, warnings = library_from_texts({"d.mthds": text})
    assert isinstance(library, Library)
    assert str(library.produced("d.p")) == "d.Note[2]"
    assert [warning.code for warning in warnings] == ["inadequate_output_concept"]
