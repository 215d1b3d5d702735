"""What one library makes of several declarations: signatures, elaborated pipes, Python classes, templates in files."""

from __future__ import annotations

from pathlib import Path

import pytest
from rule_cases_library import BARE, HEAD, concept, func, llm, pipe, run, sign, texts

from pipelex.errors import LanguageError, LibraryError
from pipelex.language.pipes import PipeDocGen, PipeFunc, PipeLLM, PipeSequence, PipeSignature, PipeStructure
from pipelex.library.graph import callees
from pipelex.library.library import library_from_texts, load_library
from pipelex.library.link import link
from pipelex.library.load import load_texts
from pipelex.library.slices import slice_of
from pipelex.values.concepts import Field, FieldType

MAKE = func("make", 'idea = "Idea"', "Note")

# Signatures


def test_a_pipe_takes_the_place_of_its_signatures_whatever_the_order() -> None:
    header = sign("make", 'idea = "d.Idea"', "d.Note")
    for files in (
        {"a.mthds": HEAD + header, "b.mthds": BARE + MAKE},
        {"a.mthds": HEAD + MAKE, "b.mthds": BARE + header},
        {"a.mthds": HEAD + header, "b.mthds": BARE + header, "c.mthds": BARE + MAKE},
    ):
        found = link(load_texts(files))
        assert isinstance(found.crate.pipes["d.make"], PipeFunc)
        assert not found.pending_signatures


def test_a_signature_that_nothing_implements_is_pending() -> None:
    whole = run("p", 'idea = "Idea"', "Note", 'pipe = "make"')
    found = link(load_texts(texts(sign("make", 'idea = "Idea"', "Note"), whole, func("alone"))))
    assert isinstance(found.crate.pipes["d.make"], PipeSignature)
    assert found.pending_signatures == ("d.make",)
    assert [warning.code for warning in found.warnings] == ["pending_signatures"]
    library, _ = library_from_texts(texts(sign("make", 'idea = "Idea"', "Note"), whole, func("alone")))
    assert library.pending("d.p") == ("d.make",)
    assert library.pending("d.alone") == ()


def test_a_mismatch_says_what_differs_and_from_which_file() -> None:
    files = {"a.mthds": HEAD + MAKE, "b.mthds": BARE + sign("make", 'idea = "Idea[]"', "Note")}
    with pytest.raises(LibraryError) as caught:
        link(load_texts(files))
    (problem,) = caught.value.found
    assert (problem.code, problem.file) == ("signature_mismatch", "b.mthds")
    assert problem.message == (
        "the signature of 'make' takes 'idea' as Idea[] and not Idea, unlike the pipe 'make' declared in a.mthds"
    )


# Preliminary texts

DRAFTED = llm(
    "p", 'idea = "Idea"', "Note[3]", "Write {{ _nb_output }} on $idea", 'structuring_method = "preliminary_text"'
)


def test_a_draft_need_not_assert_again_what_its_sequence_asserts() -> None:
    text = HEAD + DRAFTED.replace('"Idea"', '"Idea!"')
    text += run("main", 'idea = "Idea?"', "Note[3]", 'pipe = "p"')
    library, warnings = library_from_texts({"d.mthds": text})
    assert [str(library.pipe(f"d.{code}").inputs["idea"]) for code in ("p", "p__draft_text")] == ["d.Idea!", "d.Idea"]
    assert warnings == ()


def test_a_preliminary_text_becomes_three_pipes() -> None:
    text = HEAD.replace("\n", '\nsystem_prompt = "Be brief."\nmain_pipe = "p"\n', 1) + DRAFTED
    text += 'model = "writer"\nmodel_to_structure = "filler"\n'
    crate = library_from_texts({"d.mthds": text})[0].crate
    assert list(crate.pipes) == ["d.p", "d.p__draft_text", "d.p__structure"]
    whole, draft, structure = crate.pipes.values()
    assert isinstance(whole, PipeSequence)
    assert isinstance(draft, PipeLLM)
    assert isinstance(structure, PipeStructure)
    assert callees(whole) == ("d.p__draft_text", "d.p__structure")
    assert (str(whole.output), str(draft.output), str(structure.output)) == ("d.Note[3]", "native.Text", "d.Note[3]")
    assert (draft.model, structure.model, draft.system_prompt) == ("writer", "filler", "Be brief.")
    assert draft.prompt == "{% set _nb_output = 3 %}Write {{ _nb_output }} on $idea"
    assert list(structure.inputs) == ["draft_text"]
    assert crate.main_pipe == "d.p"
    assert set(slice_of(crate, "d.p").pipes) == set(crate.pipes)


def test_mistakes_of_an_elaborated_pipe_point_at_what_was_written() -> None:
    with pytest.raises(LibraryError) as caught:
        library_from_texts(texts(DRAFTED.replace("Note[3]", "Photo")))
    (problem,) = caught.value.found
    assert (problem.code, problem.excerpt) == ("llm_output_cannot_be_image", 'output = "Photo"')


def test_the_names_of_elaborated_pipes_are_taken() -> None:
    with pytest.raises(LibraryError) as caught:
        library_from_texts(texts(DRAFTED, func("p__draft_text")))
    assert [problem.code for problem in caught.value.found] == ["duplicate_pipe"]


# Structure classes


@pytest.mark.parametrize("declared", ['structure = "Ledger"', ""])
def test_a_known_class_gives_its_fields(declared: str) -> None:
    fields = {"total": Field(description="t", required=True)}
    text = BARE + concept("Ledger", declared) + func("f", 'x = "Ledger"')
    found = link(load_texts({"d.mthds": text}), structure_classes={"Ledger": fields}, strict=True)
    assert found.crate.concepts["d.Ledger"].fields == fields
    assert link(load_texts({"d.mthds": text})).crate.concepts["d.Ledger"].fields is None


def test_a_class_inside_a_class_is_a_concept_of_the_same_domain() -> None:
    ledger = {
        "lines": Field(description="Each line", type=FieldType.LIST, item_type=FieldType.CONCEPT, concept="Line"),
        "shop": Field(description="Who sold it", type=FieldType.CONCEPT, concept="Shop"),
        "photo": Field(description="p", type=FieldType.CONCEPT, concept="native.Image"),
    }
    line = {"shop": Field(description="Where", type=FieldType.CONCEPT, concept="Shop")}
    classes = {"Ledger": ledger, "Line": line, "Shop": {"name": Field(description="n")}}
    text = BARE + concept("Ledger") + concept("Shop", "[concept.Shop.structure]", 'street = "A street"')
    found = link(load_texts({"d.mthds": text + func("f", 'x = "Ledger"')}), structure_classes=classes).crate
    fields = found.concepts["d.Ledger"].fields or {}
    assert {name: field.concept for name, field in fields.items()} == {
        "lines": "d.Line",
        "shop": "d.Shop",
        "photo": "native.Image",
    }
    # What the file declares is what counts; the line, which it does not, is made from its class.
    assert list(found.concepts["d.Shop"].fields or {}) == ["street"]
    made = found.concepts["d.Line"]
    assert (made.description, made.structure_class, made.fields["shop"].concept if made.fields else "") == (
        "Each line",
        "Line",
        "d.Shop",
    )
    assert set(slice_of(found, "d.f").concepts) == {"d.Ledger", "d.Line", "d.Shop"}


def test_classes_that_contain_themselves_are_refused_where_they_are_used() -> None:
    node = {"next": Field(description="n", type=FieldType.CONCEPT, concept="Node")}
    tree = {"root": Field(description="r", type=FieldType.CONCEPT, concept="Node")}
    text = BARE + concept("Tree") + func("f", 'x = "Tree"')
    with pytest.raises(LibraryError) as caught:
        link(load_texts({"d.mthds": text}), structure_classes={"Tree": tree, "Node": node})
    assert [(problem.code, problem.file) for problem in caught.value.found] == [("concept_cycle", "d.mthds")]
    assert "Node > Node" in caught.value.found[0].message


def test_what_is_wrong_with_a_drafted_pipe_is_told_under_its_own_code() -> None:
    drafted = llm("p", 'idea = "Idea"', "Idea", "@idea", 'structuring_method = "preliminary_text"')
    with pytest.raises(LibraryError) as caught:
        link(load_texts(texts(drafted)))
    (problem,) = caught.value.found
    assert problem.message == "'p': a preliminary text is of no use for an output that is a text (Idea)"


# Documents

REPORT = pipe("p", "PipeDocGen", 'note = "Note"', "Document", 'format = "pdf"', 'template_file = "pages/p.html"')


def test_a_format_that_nothing_here_makes_is_refused() -> None:
    bundles = load_texts(texts(pipe("p", "PipeDocGen", 'note = "Note"', "Document", 'format = "docx"')))
    assert link(bundles).crate.pipes
    with pytest.raises(LibraryError) as caught:
        link(bundles, document_formats=("pdf",))
    assert [(problem.code, problem.hint) for problem in caught.value.found] == [
        ("pipe_factory", "the formats that can be made are pdf")
    ]


def test_the_template_of_a_document_is_read_beside_its_bundle(tmp_path: Path) -> None:
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "p.html").write_text("<p>{{ note.title }}</p>")
    (tmp_path / "d.mthds").write_text(HEAD + REPORT)
    library, warnings = load_library([tmp_path], strict=True)
    document = library.pipe("d.p")
    assert isinstance(document, PipeDocGen)
    assert document.template == "<p>{{ note.title }}</p>"
    assert not warnings


def test_a_template_that_is_not_there_is_told(tmp_path: Path) -> None:
    (tmp_path / "d.mthds").write_text(HEAD + REPORT)
    with pytest.raises(LanguageError) as caught:
        load_library([tmp_path])
    (problem,) = caught.value.found
    assert (problem.code, problem.excerpt) == ("pipe_factory", 'template_file = "pages/p.html"')
    with pytest.raises(LanguageError):
        library_from_texts(texts(REPORT))


@pytest.mark.parametrize("is_folder", [False, True])
def test_a_template_that_a_link_takes_out_of_the_folder_is_refused(tmp_path: Path, is_folder: bool) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "p.html").write_text("<p>{{ note.title }}</p>")
    (package / "d.mthds").write_text(HEAD + REPORT)
    if is_folder:
        (package / "pages").symlink_to(tmp_path / "secret")
    else:
        (package / "pages").mkdir()
        (package / "pages" / "p.html").symlink_to(tmp_path / "secret" / "p.html")
    with pytest.raises(LanguageError) as caught:
        load_library([package])
    (problem,) = caught.value.found
    assert problem.code == "pipe_factory"
    assert "it is outside the folder of the bundle" in problem.message


def test_a_template_may_be_a_link_inside_the_folder(tmp_path: Path) -> None:
    (tmp_path / "pages").mkdir()
    (tmp_path / "shared.html").write_text("<p>{{ note.title }}</p>")
    (tmp_path / "pages" / "p.html").symlink_to(tmp_path / "shared.html")
    (tmp_path / "d.mthds").write_text(HEAD + REPORT)
    document = load_library([tmp_path])[0].pipe("d.p")
    assert isinstance(document, PipeDocGen)
    assert document.template == "<p>{{ note.title }}</p>"


@pytest.mark.parametrize("installed", [(), ("xlsx",)])
def test_a_format_whose_engine_is_not_installed_is_told_with_the_way_to_get_it(installed: tuple[str, ...]) -> None:
    bundles = load_texts(texts(pipe("p", "PipeDocGen", 'note = "Note"', "Document", 'format = "pdf"')))
    (warning,) = link(bundles, document_formats=installed).warnings
    assert (warning.code, warning.excerpt, warning.message, warning.hint) == (
        "pipe_factory",
        'format = "pdf"',
        "'p': nothing is installed here that makes a pdf: only a worker that has it can",
        'pip install "pipelex[documents]"',
    )


def test_a_template_of_an_excel_file_is_refused() -> None:
    keys = ('format = "xlsx"', 'template_file = "p.xlsx"')
    with pytest.raises(LibraryError) as caught:
        link(load_texts(texts(pipe("p", "PipeDocGen", 'note = "Note"', "Document", *keys))))
    (problem,) = caught.value.found
    assert (problem.code, problem.excerpt) == ("pipe_factory", 'template_file = "p.xlsx"')
    assert problem.message == "'p': an Excel file is laid out from the inputs: no template of one is read"


# Extraction


def reading(key: str) -> dict[str, str]:
    return texts(pipe("p", "PipeExtract", 'file = "Document"', "Page[]", key))


def test_captions_that_nothing_writes_are_refused() -> None:
    with pytest.raises(LibraryError) as caught:
        link(load_texts(reading("page_image_captions = true")))
    (problem,) = caught.value.found
    assert (problem.code, problem.excerpt) == ("pipe_validation", "page_image_captions = true")
    assert problem.hint == "drop page_image_captions, and describe the images with a PipeLLM"
    assert not link(load_texts(reading("page_image_captions = false"))).warnings


@pytest.mark.parametrize("key", ["render_js", "include_raw_html"])
def test_what_only_web_pages_would_need_is_told(key: str) -> None:
    (warning,) = link(load_texts(reading(f"{key} = true"))).warnings
    assert (warning.code, warning.excerpt) == ("pipe_validation", f"{key} = true")
    assert not link(load_texts(reading(f"{key} = false"))).warnings
