"""Files that keep or break each rule of MTHDS that takes a whole library to judge: at least one of each for every rule.

Every case is a set of whole files, so that other suites can load them too.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RuleCase:
    """Some files, by name. Valid with a code: linked with exactly that warning. Valid without one: nothing is said.

    Not valid: refused for exactly that error, and no other error is told.
    """

    rule: int
    code: str
    texts: dict[str, str]
    is_valid: bool
    strict: bool = False


HEAD = """domain = "d"
[concept]
Idea = "An idea"
[concept.Photo]
description = "A photo"
refines = "Image"
[concept.Note]
description = "A note"
[concept.Note.structure]
title = { type = "text", description = "t", required = true }
[concept.Book]
description = "A book"
[concept.Book.structure]
notes = { type = "list", item_type = "concept", item_concept_ref = "Note", description = "n", required = true }
cover = { type = "concept", concept_ref = "Photo", description = "c" }
pages = { type = "integer", description = "p", required = true }
shop = "Where it was bought"
loose = { type = "dict", key_type = "text", value_type = "Any", description = "l", required = true }
"""


def texts(*pipes: str, head: str = HEAD) -> dict[str, str]:
    return {"d.mthds": head + "".join(pipes)}


def keep(rule: int, files: dict[str, str], code: str = "", *, strict: bool = False) -> RuleCase:
    return RuleCase(rule, code, files, is_valid=True, strict=strict)


def breach(rule: int, code: str, files: dict[str, str], *, strict: bool = False) -> RuleCase:
    return RuleCase(rule, code, files, is_valid=False, strict=strict)


def both(rule: int, files: dict[str, str]) -> list[RuleCase]:
    """Kept in both profiles."""
    return [keep(rule, files), keep(rule, files, strict=True)]


def dated(rule: int, code: str, files: dict[str, str]) -> list[RuleCase]:
    """A warning in the standard profile, an error in the strict one."""
    return [keep(rule, files, code), breach(rule, code, files, strict=True)]


def pipe(code: str, kind: str, inputs: str, output: str, *lines: str) -> str:
    body = "".join(f"{line}\n" for line in lines)
    type_line = f'type = "{kind}"\n' if kind else ""
    return f'[pipe.{code}]\n{type_line}description = "d"\ninputs = {{ {inputs} }}\noutput = "{output}"\n{body}'


def func(code: str, inputs: str = "", output: str = "Text") -> str:
    return pipe(code, "PipeFunc", inputs, output, f'function_name = "{code}"')


def sign(code: str, inputs: str = "", output: str = "Text") -> str:
    return pipe(code, "", inputs, output)


def run(code: str, inputs: str, output: str, *steps: str) -> str:
    return pipe(code, "PipeSequence", inputs, output, "steps = [" + ", ".join(f"{{ {step} }}" for step in steps) + "]")


def fan(code: str, inputs: str, output: str, *branches: str) -> str:
    listed = ", ".join(f"{{ {branch} }}" for branch in branches)
    return pipe(code, "PipeParallel", inputs, output, f"branches = [{listed}]")


def pick(code: str, inputs: str, output: str, default: str, **outcomes: str) -> str:
    listed = ", ".join(f'{key} = "{target}"' for key, target in outcomes.items())
    lines = ('expression_template = "a"', f"outcomes = {{ {listed} }}", f'default_outcome = "{default}"')
    return pipe(code, "PipeCondition", inputs, output, *lines)


def each(code: str, inputs: str, output: str, branch: str, over: str, item: str) -> str:
    lines = (f'branch_pipe_code = "{branch}"', f'input_list_name = "{over}"', f'input_item_name = "{item}"')
    return pipe(code, "PipeBatch", inputs, output, *lines)


def llm(code: str, inputs: str, output: str, prompt: str, *lines: str) -> str:
    return pipe(code, "PipeLLM", inputs, output, f'prompt = "{prompt}"', *lines)


def concept(code: str, *lines: str) -> str:
    return f'[concept.{code}]\ndescription = "d"\n' + "".join(f"{line}\n" for line in lines)


def field(kind: str) -> str:
    return concept("A", "[concept.A.structure]", f'f = {{ description = "f", {kind} }}')


BARE = 'domain = "d"\n'
MAKE = func("make", 'idea = "Idea"', "Note")
READ = func("read", 'note = "Note"')
NOTES = func("list", 'idea = "Idea"', "Note[]")

HEADERS = [
    keep(7, {"a.mthds": 'domain = "d"\ndescription = "x"\n', "b.mthds": 'domain = "d"\ndescription = "x"\n'}),
    keep(
        7,
        {"a.mthds": 'domain = "d"\ndescription = "x"\n', "b.mthds": 'domain = "d"\ndescription = "y"\n'},
        "domain_metadata_conflict",
    ),
]

CONCEPTS = [
    keep(12, {"a.mthds": BARE + concept("A"), "b.mthds": 'domain = "e"\n' + concept("A")}),
    breach(12, "duplicate_concept", {"a.mthds": BARE + concept("A"), "b.mthds": BARE + concept("A")}),
    *both(13, {"a.mthds": BARE + concept("A", 'refines = "B"'), "b.mthds": BARE + concept("B")}),
    breach(13, "unresolved_concept", texts(concept("A", 'refines = "Nope"'), head=BARE)),
    keep(14, texts(concept("A", 'refines = "B"'), concept("B", 'refines = "Text"'), head=BARE)),
    breach(14, "concept_cycle", texts(concept("A", 'refines = "B"'), concept("B", 'refines = "A"'), head=BARE)),
    keep(18, texts(field('type = "integer", choices = ["1", "2"]'), head=BARE)),
    breach(18, "concept_structure_validation", texts(field('type = "integer", choices = ["1", "b"]'), head=BARE)),
    keep(23, texts(field('type = "integer", default_value = 1'), head=BARE)),
    breach(23, "concept_structure_validation", texts(field('type = "integer", default_value = "x"'), head=BARE)),
    breach(23, "concept_structure_validation", texts(field('choices = ["a"], default_value = "x"'), head=BARE)),
    *both(24, texts(field('type = "text", required = true'), head=BARE)),
    *dated(
        24,
        "concept_structure_validation",
        texts(field('type = "text", required = true, default_value = "x"'), head=BARE),
    ),
    keep(25, texts(field('type = "concept", concept_ref = "B"'), concept("B"), head=BARE)),
    breach(25, "unresolved_concept", texts(field('type = "concept", concept_ref = "B"'), head=BARE)),
    breach(25, "concept_cycle", texts(field('type = "concept", concept_ref = "A"'), head=BARE)),
    *both(26, texts(concept("A"), head=BARE)),
    *dated(26, "structure_class_error", texts(concept("A", 'structure = "Ledger"'), head=BARE)),
]

CONTRACTS = [
    *both(30, {"a.mthds": HEAD + MAKE, "b.mthds": BARE + sign("make", 'idea = "d.Idea"', "Note")}),
    breach(30, "duplicate_pipe", {"a.mthds": HEAD + MAKE, "b.mthds": BARE + MAKE}),
    keep(31, {"a.mthds": HEAD + sign("make", 'idea = "Idea"', "Note"), "b.mthds": BARE + MAKE}),
    *[
        breach(31, "signature_mismatch", {"a.mthds": HEAD + MAKE, "b.mthds": BARE + sign("make", inputs, output)})
        for inputs, output in [
            ('idea = "Idea"', "Idea"),
            ('idea = "Idea"', "Note[]"),
            ('idea = "Idea?"', "Note"),
            ('idea = "Text"', "Note"),
            ('idee = "Idea", idea = "Idea"', "Note"),
            ("", "Note"),
        ]
    ],
    *dated(37, "nonlocal_reference", {"a.mthds": HEAD, "b.mthds": 'domain = "e"\n' + func("f", 'x = "Note"')}),
    *both(37, {"a.mthds": HEAD, "b.mthds": 'domain = "e"\n' + func("f", 'x = "d.Note"')}),
    breach(37, "unresolved_concept", texts(func("f", 'x = "Nope"'))),
    keep(87, texts(func("f"))),
    keep(87, texts(sign("f")), "pending_signatures"),
]

OPERATORS = [
    *both(46, texts(llm("p", 'note = "Note"', "Text", "$note.title"))),
    keep(46, texts(llm("p", 'note = "Note"', "Text", "$note.titel")), "unknown_field"),
    breach(
        46,
        "unknown_field",
        texts(pipe("p", "PipeDocGen", 'note = "Note"', "Document", 'format = "pdf"', 'template = "$note.titel"')),
    ),
    keep(47, texts(llm("p", "", "Note", "Write."))),
    breach(47, "llm_output_cannot_be_image", texts(llm("p", "", "Photo", "Write."))),
    breach(47, "llm_output_cannot_be_image", texts(pipe("p", "PipeStructure", 't = "Text"', "Image"))),
    *both(48, texts(llm("p", "", "Note[]", "Write.", 'structuring_method = "preliminary_text"'))),
    breach(48, "pipe_validation", texts(llm("p", "", "Idea", "Write.", 'structuring_method = "preliminary_text"'))),
    *both(52, texts(pipe("p", "PipeStructure", 't = "Idea"', "Note[3]"))),
    breach(52, "input_stuff_spec_mismatch", texts(pipe("p", "PipeStructure", 't = "Note"', "Note"))),
    breach(52, "input_stuff_spec_mismatch", texts(pipe("p", "PipeStructure", 't = "Text[]"', "Note"))),
    breach(52, "inadequate_output_concept", texts(pipe("p", "PipeStructure", 't = "Text"', "Idea"))),
    *both(54, texts(pipe("p", "PipeImgGen", "", "Photo[2]", 'prompt = "A cat"'))),
    breach(54, "inadequate_output_concept", texts(pipe("p", "PipeImgGen", "", "Text", 'prompt = "A cat"'))),
    *both(56, texts(pipe("p", "PipeExtract", 'x = "Photo"', "Page[]"))),
    breach(56, "input_stuff_spec_mismatch", texts(pipe("p", "PipeExtract", 'x = "Note"', "Page[]"))),
    *both(57, texts(pipe("p", "PipeSearch", "", "SearchResult", 'prompt = "cats"'))),
    breach(57, "inadequate_output_concept", texts(pipe("p", "PipeSearch", "", "Text", 'prompt = "cats"'))),
    breach(57, "inadequate_output_concept", texts(pipe("p", "PipeSearch", "", "Photo", 'prompt = "cats"'))),
    *dated(57, "inadequate_output_concept", texts(pipe("p", "PipeSearch", "", "Note", 'prompt = "cats"'))),
    *both(59, texts(pipe("p", "PipeCompose", "", "Idea", 'template = "x"'))),
    breach(59, "inadequate_output_concept", texts(pipe("p", "PipeCompose", "", "Note", 'template = "x"'))),
    *both(60, texts(pipe("p", "PipeCompose", 'i = "Idea"', "Note", 'construct = { title = { from = "i" } }'))),
    breach(60, "construct_field_error", texts(pipe("p", "PipeCompose", "", "Note", "construct = { }"))),
    breach(
        60, "construct_field_error", texts(pipe("p", "PipeCompose", "", "Note", 'construct = { title = "a", b = 1 }'))
    ),
    *both(61, texts(pipe("p", "PipeDocGen", 'note = "Note"', "Document", 'format = "pdf"'))),
    breach(61, "inadequate_output_concept", texts(pipe("p", "PipeDocGen", 'note = "Note"', "Text", 'format = "pdf"'))),
]

ASK = ('prompt = "@text"', 'question = "Is it good?"')
VERDICTS = concept(
    "Verdicts",
    "[concept.Verdicts.structure]",
    'good = { type = "concept", concept_ref = "YesNo", description = "g" }',
    'mood = { type = "concept", concept_ref = "Choice", description = "m" }',
)
ASK_BOTH = (
    'prompt = "@text"',
    "[pipe.p.questions]",
    'good = { question = "Is it good?" }',
    'mood = { question = "Which mood?", options = { gay = "Gay", sad = "Sad" } }',
)

JUDGES = [
    *both(58, texts(pipe("p", "PipeJudge", 'text = "Text"', "YesNo", *ASK))),
    *both(58, texts(pipe("p", "PipeJudge", 'text = "Text"', "Choice", *ASK, 'options = { a = "A", b = "B" }'))),
    *both(58, texts(pipe("p", "PipeJudge", 'text = "Text"', "Rating", *ASK, 'levels = ["low", "high"]'))),
    *both(58, texts(VERDICTS, pipe("p", "PipeJudge", 'text = "Text"', "Verdicts", *ASK_BOTH))),
    breach(58, "pipe_validation", texts(pipe("p", "PipeJudge", 'text = "Text"', "Choice", *ASK))),
    breach(58, "pipe_validation", texts(pipe("p", "PipeJudge", 'text = "Text"', "Text", *ASK))),
    breach(58, "pipe_validation", texts(pipe("p", "PipeJudge", 'text = "Text"', "Note", *ASK_BOTH[:-1]))),
    breach(
        58,
        "pipe_validation",
        texts(VERDICTS.replace('"Choice"', '"Rating"'), pipe("p", "PipeJudge", 'text = "Text"', "Verdicts", *ASK_BOTH)),
    ),
    breach(58, "pipe_validation", texts(VERDICTS, pipe("p", "PipeJudge", 'text = "Text"', "Verdicts", *ASK_BOTH[:-1]))),
    breach(
        58,
        "pipe_validation",
        texts(pipe("p", "PipeJudge", 'x = "Photo"', "YesNo", 'prompt = "$x"', 'question = "Is $x good?"')),
    ),
]


def take(path: str, declared: str, *, batch: bool = False) -> dict[str, str]:
    """A sequence that binds a path of a book, or runs over it, and hands it on."""
    use = func("use", f'x = "{declared}"')
    if batch:
        return texts(use, run("p", 'book = "Book"', "Text[]", f'pipe = "use", batch_over = "{path}", batch_as = "x"'))
    return texts(use, run("p", 'book = "Book"', "Text", f'from = "{path}", result = "x"', 'pipe = "use"'))


REFERENCES = [
    *both(66, take("book.notes.title", "Text[]")),
    *both(66, take("book.notes", "Note[]")),
    *both(66, take("book.pages", "Number")),
    *both(66, take("book.loose", "JSON")),
    *both(66, take("book.cover.url", "Text?")),
    *both(66, take("book", "Book")),
    *both(66, take("book.notes", "Note", batch=True)),
    breach(66, "binding_path_unresolved", take("book.title", "Text")),
    breach(66, "binding_path_unresolved", take("book.pages.number", "Number")),
    breach(66, "binding_path_unresolved", take("book.loose.a", "Text")),
    breach(66, "binding_path_unresolved", take("book.notes.titel", "Text[]", batch=True)),
    breach(70, "missing_input_variable", take("books.notes", "Note[]")),
    breach(73, "input_stuff_spec_mismatch", take("book.pages", "Number", batch=True)),
    *both(67, texts(READ, run("p", 'note = "Note"', "Text", 'pipe = "read"'))),
    breach(67, "unresolved_pipe_dependency", texts(READ, run("p", 'note = "Note"', "Text", 'pipe = "reed"'))),
    breach(
        68, "unresolved_package_dependency", texts(READ, run("p", 'note = "Note"', "Text", 'pipe = "kit->tea.read"'))
    ),
    *both(68, texts(READ, run("p", 'note = "Note"', "Text", 'pipe = "d.read"'))),
    *both(
        69,
        {"a.mthds": HEAD + READ, "b.mthds": 'domain = "e"\n' + run("p", 'note = "d.Note"', "Text", 'pipe = "d.read"')},
    ),
    *dated(
        69,
        "nonlocal_reference",
        {"a.mthds": HEAD + READ, "b.mthds": 'domain = "e"\n' + run("p", 'note = "d.Note"', "Text", 'pipe = "read"')},
    ),
]


def feed(given: str, wanted: str) -> dict[str, str]:
    """A sequence that makes one thing and hands it to a pipe that wants another."""
    make, use = func("make", "", given), func("use", f'x = "{wanted}"')
    return texts(make, use, run("p", "", "Text", 'pipe = "make", result = "x"', 'pipe = "use"'))


FLOW = [
    *both(70, feed("Note", "Note")),
    breach(70, "missing_input_variable", texts(READ, run("p", "", "Text", 'pipe = "read"'))),
    *both(71, feed("Photo", "Image")),
    breach(71, "input_stuff_spec_mismatch", feed("Image", "Photo")),
    *dated(71, "input_stuff_spec_mismatch", feed("Anything", "Note")),
    *both(72, feed("Note[]", "Note[]")),
    *dated(72, "input_stuff_spec_mismatch", feed("Note[]", "Note")),
    *both(73, feed("Note[3]", "Note[3]")),
    breach(73, "input_stuff_spec_mismatch", feed("Note", "Note[]")),
    breach(73, "input_stuff_spec_mismatch", feed("Note[2]", "Note[3]")),
    *both(74, texts(MAKE, run("p", 'idea = "Idea"', "Note", 'pipe = "make"'))),
    *both(74, texts(MAKE, run("p", 'idea = "Idea"', "Note[3]", 'pipe = "make", nb_output = 3'))),
    *both(74, texts(MAKE, run("p", 'idea = "Idea"', "Note[]", 'pipe = "make", multiple_output = true'))),
    breach(74, "inadequate_output_concept", texts(MAKE, run("p", 'idea = "Idea"', "Book", 'pipe = "make"'))),
    breach(74, "inadequate_output_multiplicity", texts(MAKE, run("p", 'idea = "Idea"', "Note[]", 'pipe = "make"'))),
    *both(75, texts(MAKE, fan("p", 'idea = "Idea"', "Composite", 'pipe = "make", result = "note"'))),
    *dated(
        75,
        "inadequate_output_concept",
        texts(MAKE, fan("p", 'idea = "Idea"', "Page[]", 'pipe = "make", result = "note"')),
    ),
    keep(76, texts(func("t", "", "Text"), fan("p", "", "Note", 'pipe = "t", result = "title"'))),
    breach(
        76,
        "optional_branch_required_field",
        texts(func("t", "", "Text?"), fan("p", "", "Note", 'pipe = "t", result = "title"')),
    ),
    *both(78, texts(MAKE, pick("p", 'idea = "Idea"', "Note", "fail", yes="make"))),
    breach(78, "inadequate_output_concept", texts(MAKE, pick("p", 'idea = "Idea"', "Book", "fail", yes="make"))),
    *both(79, texts(MAKE, pick("p", 'idea = "Idea"', "Note?", "continue", yes="make"))),
    *dated(79, "optional_output_required", texts(MAKE, pick("p", 'idea = "Idea"', "Note", "continue", yes="make"))),
    *both(81, texts(MAKE, each("p", 'ideas = "Idea[]"', "Note[]", "make", "ideas", "idea"))),
    *dated(
        81, "inadequate_output_concept", texts(MAKE, each("p", 'ideas = "Idea[]"', "Book[]", "make", "ideas", "idea"))
    ),
    *dated(
        81,
        "inadequate_output_multiplicity",
        texts(MAKE, each("p", 'ideas = "Idea[3]"', "Note[2]", "make", "ideas", "idea")),
    ),
    *both(82, texts(READ, run("p", 'note = "Note?"', "Text?", 'pipe = "read"'))),
    breach(82, "optional_not_handled", texts(READ, run("p", 'note = "Note?"', "Text", 'pipe = "read"'))),
    breach(82, "optional_not_handled", take("book.cover", "Photo")),
    keep(84, texts(func("use", 'x = "Note!"'), run("p", 'x = "Note?"', "Text", 'pipe = "use"'))),
    keep(
        84,
        texts(func("use", 'x = "Note!"'), run("p", 'x = "Note"', "Text", 'pipe = "use"')),
        "optional_force_redundant",
    ),
    keep(85, texts(func("p", 'x = "Note"'), head=HEAD.replace("\n", '\nmain_pipe = "p"\n', 1))),
    keep(
        85,
        texts(func("p", 'x = "A"'), head='domain = "d"\nmain_pipe = "p"\n' + field('type = "text"')),
        "input_presence_vacuous",
    ),
]

CASES = [*HEADERS, *CONCEPTS, *CONTRACTS, *OPERATORS, *JUDGES, *REFERENCES, *FLOW]
