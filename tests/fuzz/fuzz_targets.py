"""What is fuzzed, and what must hold: every answer is a value or one of our errors, in bounded time.

Each target is a function of one generated case that raises AssertionError, or anything foreign, when it breaks.
"""

from __future__ import annotations

import contextlib
import json
import re
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import FrameType
from typing import Any

import jsonschema_rs
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from pipelex.errors import InputError, InternalError, LanguageError, LibraryError, PipelexError, Problem, TemplateError
from pipelex.language.checks import check_bundle
from pipelex.language.parse import parse_bundle
from pipelex.language.templates import analyse, check_template, expand_sigils, guards_missing
from pipelex.library.crate import LibraryCrate
from pipelex.library.library import Library
from pipelex.library.link import link
from pipelex.library.lock import parse_lock, render_lock
from pipelex.library.manifest import parse_manifest
from pipelex.pipes.outcomes import SHAPELESS
from pipelex.pipes.templates import render_template
from pipelex.testing.methods import Method, methods
from pipelex.values.concepts import Concepts
from pipelex.values.decode import Mismatch, decode
from pipelex.values.hydrate import dehydrate, hydrate
from pipelex.values.inputs import shape_inputs
from pipelex.values.render import render
from pipelex.values.schema import slot_schema
from pipelex.values.slots import Slot
from pipelex.values.value import Memory, Value

ROOT = Path(__file__).parents[2]
LONGEST_SECONDS = 30
"""No case takes a hundredth of this; one that takes longer counts as a hang."""


@dataclass(frozen=True)
class Target:
    """Cases of one kind and what must hold for each; `count` is how many a run of all tests makes."""

    cases: SearchStrategy[Any]
    check: Callable[[Any], None]
    count: int


class Hang(BaseException):
    """A case takes too long. Not an Exception, so that nobody under test takes it for one of theirs."""


@contextlib.contextmanager
def no_hang() -> Iterator[None]:
    """Raise Hang in the main thread after a while; elsewhere do nothing."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Hang(f"more than {LONGEST_SECONDS} s")

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, LONGEST_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# Texts that are almost right


@lru_cache(maxsize=1)
def examples() -> tuple[str, ...]:
    """The bundles of the examples, and small ones that use what those do not."""
    return (*(file.read_text() for file in sorted((ROOT / "examples").glob("*/*.mthds"))), KITCHEN)


KITCHEN = """domain = "tea.tasting"
description = "Everything at once"
system_prompt = "Judge $cup kindly"
main_pipe = "all"
[concept]
Cup = "One cup"
Tin = { description = "A tin", refines = "Text", hints = { intent = "label" } }
[concept.Note]
description = "A note"
[concept.Note.structure]
aroma = "The smell"
score = { type = "integer", description = "0 to 20", required = true }
day = { type = "date", description = "When", default_value = 2031-02-03 }
kind = { choices = ["green", "black"], description = "Kind" }
tins = { type = "list", item_type = "concept", item_concept_ref = "Tin", description = "Tins" }
more = { type = "dict", key_type = "text", value_type = "number", description = "More" }
[pipe.all]
type = "PipeSequence"
description = "All"
inputs = { cup = "Cup?", scans = "Document[]", notes = { concept = "Note[]", hints = { intent = "prose" } } }
output = "Text?"
steps = [
  { pipe = "read", batch_over = "scans", batch_as = "scan", result = "pages" },
  { from = "notes.tins", result = "tins" },
  { pipe = "write", nb_output = 2, result = "drafts" },
  { pipe = "both", result = "pair" },
  { pipe = "choose" },
]
[pipe.read]
type = "PipeExtract"
description = "Read"
inputs = { scan = "Document" }
output = "Page[]"
max_page_images = 3
[pipe.write]
type = "PipeLLM"
description = "Write"
inputs = { cup = "Cup?", notes = "Note[]" }
output = "Note[]"
prompt = \"\"\"
@?cup
{% for note in notes %}$note.aroma {{ note.day.isoformat() }}{% endfor %}
\"\"\"
system_prompt = "Be $_nb_output kind"
model = { model = "$writing-factual", temperature = 0.3, max_tokens = "auto" }
structuring_method = "preliminary_text"
templating_style = { tag_style = "ticks", text_format = "markdown" }
[pipe.both]
type = "PipeParallel"
description = "Both"
inputs = { notes = "Note[]", cup = "Cup?" }
output = "Composite"
add_each_output = true
branches = [ { pipe = "build", result = "built" }, { pipe = "each", result = "all_of_them" } ]
[pipe.each]
type = "PipeBatch"
description = "Each"
inputs = { notes = "Note[]" }
output = "YesNo[]"
branch_pipe_code = "judge"
input_list_name = "notes"
input_item_name = "note"
[pipe.judge]
type = "PipeJudge"
description = "Judge"
inputs = { note = "Note" }
output = "YesNo"
prompt = "@note"
question = "Is it good?"
criteria = { yes = "good", no = "bad" }
threshold = 0.7
[pipe.build]
type = "PipeCompose"
description = "Build"
inputs = { notes = "Note[]" }
output = "Note"
[pipe.build.construct]
score = { template = "{{ notes | length }}" }
kind = "green"
day = 2031-02-03
more = { a = 1.5 }
tins = []
[pipe.choose]
type = "PipeCondition"
description = "Choose"
inputs = { pair = "Composite", cup = "Cup?" }
output = "Text?"
expression = "pair.built.score > 3"
default_outcome = "continue"
[pipe.choose.outcomes]
True = "print"
[pipe.print]
type = "PipeCompose"
description = "Print"
inputs = { cup = "Cup?" }
output = "Text"
template = { template = "{% if cup %}{{ cup | upper }}{% endif %}", category = "markdown", extra_context = { a = 1 } }
[pipe.look]
type = "PipeSearch"
description = "Look"
inputs = { cup = "Cup" }
output = "SearchResult"
prompt = "About $cup"
from_date = "2030-01-01"
include_domains = ["example.org"]
[pipe.paint]
type = "PipeImgGen"
description = "Paint"
inputs = { cup = "Cup" }
output = "Image[2]"
prompt = "Paint @cup"
size = "1024x768"
seed = 7
[pipe.print_out]
type = "PipeDocGen"
description = "Lay out"
inputs = { notes = "Note[]" }
output = "Document"
format = "pdf"
filename = "notes"
[pipe.later]
description = "Later"
inputs = { cup = "Cup" }
output = "Text"
signature_for = "PipeLLM"
[pipe.call]
type = "PipeFunc"
description = "Call"
inputs = { cup = "Cup!" }
output = "Text"
function_name = "call"
"""

MANIFEST = """[package]
name = "tea_kit"
display_name = "Tea kit"
address = "example.org/acme/tea-kit"
version = "1.2.3"
description = "Tea"
authors = ["A <a@example.org>"]
license = "MIT"
mthds_version = ">=1.0.0"
main_pipe = "all"
[dependencies]
texts = { address = "example.org/acme/texts", version = "^1.0.0" }
near = { address = "example.org/acme/near", version = "~2.1", path = "../near" }
[exports."tea.tasting"]
pipes = ["all", "read"]
[exports.tea.other]
pipes = ["x"]
"""
LOCK = """["example.org/acme/texts"]
version = "1.4.0"
hash = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
source = "https://example.org/acme/texts"
"""

TOKENS = (
    *('"', "'", '"""', "'''", "[", "]", "[[", "]]", "{", "}", "=", ",", ".", "\n", "#", "\\", "\\u0000", "\\x", "\0"),
    *("[]", "[0]", "[1]", "[-1]", "[99999999999999999999]", "?", "!", "->", "$", "@", "@?", "$$", "{{", "}}", "{%"),
    *("true", "nan", "inf", "-inf", "1e999", "0x1F", "9" * 400, "9" * 5000, "2031-02-30", "2031-02-03T04:05:06Z"),
    *("0001-01-01", "9999-12-31", "04:05:06.999999999", "{}", "[{}]", "[[]]", '""', '" "', "type", "Text", "Anything"),
    *("native.", "native.Text", "Dynamic", "Composite", "PipeLLM", "PipeSequence", "PipeCondition", "PipeBatch"),
    *("PipeParallel", "PipeCompose", "PipeSignature", "inputs", "output", "steps", "refines", "structure", "concept"),
    *(
        "description",
        "_bound_x",
        "main_stuff",
        "model_",
        "__class__",
        "fail",
        "continue",
        "é",
        "\u202e",
        "\ud7ff",
        "🙂",
    ),
    *("a.b.c", "a" * 3000, "[" * 300, "{a=" * 200, "(" * 200, "\r", "\t", "\ufeff", "\x7f", "choices", "batch_over"),
    *("PipeJudge", "PipeImgGen", "PipeDocGen", "PipeSearch", "levels", "options", "questions", "construct", "template"),
)


@st.composite
def mutated(draw: Any, texts: Callable[[], tuple[str, ...]]) -> str:
    """One of some texts, with a few lines, words or characters taken out, put in, doubled or exchanged."""
    text = draw(st.sampled_from(texts()))
    for _ in range(draw(st.integers(1, 4))):
        how = draw(st.sampled_from(("swap", "swap", "drop_line", "double_line", "insert", "cut", "move_line", "value")))
        if how in ("drop_line", "double_line", "move_line"):
            text = _with_lines(draw, text, how)
        elif how == "swap":
            # Words are exchanged for words of the text: what is well formed and wrong is most often met.
            words = sorted(set(_WORD.findall(text))) or ["x"]
            text = _replaced(draw, text, _WORD, st.sampled_from(words) | st.sampled_from(TOKENS))
        elif how == "value":
            text = _replaced(draw, text, _VALUE, st.sampled_from(TOKENS).map(lambda token: f"= {token}"))
        else:
            at = draw(st.integers(0, len(text)))
            end = at if how == "insert" else min(len(text), at + draw(st.integers(1, 40)))
            text = text[:at] + (draw(st.sampled_from(TOKENS)) if how == "insert" else "") + text[end:]
    return text


_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_VALUE = re.compile(r"= .+")


def _replaced(draw: Any, text: str, what: re.Pattern[str], by: SearchStrategy[str]) -> str:
    found = list(what.finditer(text))
    if not found:
        return text
    place = draw(st.sampled_from(found))
    return text[: place.start()] + draw(by) + text[place.end() :]


def _with_lines(draw: Any, text: str, how: str) -> str:
    lines = text.split("\n")
    at = draw(st.integers(0, len(lines) - 1))
    if how == "double_line":
        lines.insert(at, lines[at])
    else:
        line = lines.pop(at)
        if how == "move_line":
            lines.insert(draw(st.integers(0, len(lines))), line)
    return "\n".join(lines)


_NAMES = """domain description main_pipe system_prompt concept pipe a B type inputs output prompt steps result from
template
structure refines choices required default_value outcomes expression branches construct package dependencies exports
version address pipes"""
_KEYS = st.sampled_from(_NAMES.split())
_SCALARS = st.sampled_from(TOKENS).filter(lambda token: "\n" not in token) | st.text(max_size=5)
_TREES: SearchStrategy[Any] = st.recursive(
    st.booleans() | st.integers(-3, 9) | st.floats() | _SCALARS | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=12,
)


def _toml(data: Any) -> str:
    if isinstance(data, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_toml(value)}" for key, value in data.items()) + " }"
    if isinstance(data, list):
        return "[" + ", ".join(map(_toml, data)) + "]"
    if isinstance(data, str | bool):
        return json.dumps(data).replace("\\ud7ff", "x")
    return repr(data) if isinstance(data, int | float) else str(data)


documents = st.dictionaries(_KEYS, _TREES, max_size=6).map(
    lambda data: "\n".join(f"{key} = {_toml(value)}" for key, value in data.items())
)
"""Documents that are TOML and little else."""
method_texts = mutated(examples) | documents | methods().flatmap(lambda made: mutated(lambda: (made.text,)))


# Methods


def check_method(text: str) -> None:
    """Parse, check and link in both profiles; what links can be cut up and sent."""
    strict_error, linked = None, None
    for strict in (True, False):
        try:
            bundle = parse_bundle(text, "fuzz.mthds", strict=strict)
            _check_problems([*bundle.warnings, *check_bundle(bundle, strict=strict)], text)
            linked = link([bundle], strict=strict)
        except (LanguageError, LibraryError) as error:
            _check_error(error, text)
            strict_error = strict_error or strict
            linked = None
        else:
            _check_problems(list(linked.warnings), text)
            assert not any(problem.is_warning is False for problem in linked.warnings)
    if linked is None:
        assert strict_error, "what the strict profile accepts, the other refuses"
        return
    crate = linked.crate
    assert LibraryCrate.model_validate_json(crate.model_dump_json(exclude_defaults=True)).sealed() == crate
    library = Library.of(crate)
    for pipe in crate.pipes:
        part = library.slice(pipe)
        assert pipe in part.pipes
        for slot in (*part.pipes[pipe].inputs.values(), part.pipes[pipe].output):
            slot_schema(slot, Concepts(part.concepts))


def _check_error(error: LanguageError | LibraryError, text: str) -> None:
    assert error.found, "an error without problems"
    error.render()
    _check_problems(error.found, text)


def _check_problems(problems: list[Problem], text: str) -> None:
    lines = text.removeprefix("\ufeff").split("\n")
    for problem in problems:
        assert problem.message
        assert problem.code
        assert "Traceback" not in problem.render()
        assert problem.line is None or 1 <= problem.line <= len(lines), problem


# Templates

_PIECES = (
    *("$cup", "@cup", "@?cup", "$note.aroma", "$note.day.", "{{ cup }}", "{{ note }}", "{{ notes }}", "$$", "@@", "$9"),
    *("{% if cup %}", "{% else %}", "{% endif %}", "{% for n in notes %}", "{% endfor %}", "{% set a = note %}"),
    *("{% macro m(a) %}", "{% endmacro %}", "{{ m(1) }}", "{% raw %}", "{% endraw %}", "{#", "#}", "{{", "}}", "{%"),
    *("{{ note.__class__ }}", "{{ note['__class__'] }}", "{{ note | attr('__class__') }}", "{{ ''.__class__ }}"),
    *("{{ cup._stuff_name }}", "{{ note._concept_code }}", "{{ note.model_dump() }}", "{{ notes.append(1) }}"),
    *("{{ self }}", "{{ self.__init__ }}", "{{ loop }}", "{{ cycler('a').next }}", "{{ namespace() }}", "{{ joiner }}"),
    *("{{ note.get }}", "{{ note.get('score', 3) }}", "{{ notes.items }}", "{{ notes[0] }}", "{{ notes[9] }}"),
    *("{{ range(99999) | list }}", "{{ range(10**9) }}", "{% for a in range(99999) %}", "{{ 'a' * 10**9 }}"),
    *("{{ 'a' * 99999 * 99999 }}", "{{ 9 ** 9 ** 9 }}", "{{ [0] * 10**9 }}", "{{ '%999999999d' % 1 }}"),
    *("{{ '{:>999999999}'.format(1) }}", "{{ '{0.__class__}'.format(note) }}", "{{ 'x'.ljust(10**9) }}"),
    *("{{ notes | map(attribute='__class__') | list }}", "{{ notes | selectattr('score') | list }}", "{{ lipsum(9) }}"),
    *("{{ notes | sort(attribute='score') }}", "{{ notes | groupby('kind') }}", "{{ cup | replace('', 'aaaa') }}"),
    *("{{ cup | center(10**9) }}", "{{ cup | indent(10**9) }}", "{{ cup | wordwrap(1) }}", "{{ dict(a=note) }}"),
    *("{{ note | tojson }}", "{{ note | pprint }}", "{{ note | xmlattr }}", "{{ note | urlize }}", "{{ note | e }}"),
    *("{{ note | format('json') }}", "{{ note | tag('x') }}", "{{ notes | with_images }}", "{{ photo | with_images }}"),
    *("{{ note.day.strftime('%Y') }}", "{{ note.day.replace(year=1) }}", "{{ note.day.__reduce__() }}", "$photo"),
    *("{{ note.day + 1 }}", "{{ note.day.max }}", "{{ note.day.fromordinal(1) }}", "{{ note.more['a'] }}", "@photo"),
    *(
        "{% filter upper %}",
        "{% endfilter %}",
        "{% call m(1) %}",
        "{% endcall %}",
        "{% include 'x' %}",
        "{% block b %}",
    ),
    *(
        "{% endblock %}",
        "{% extends 'x' %}",
        "{% import 'x' as y %}",
        "{{ x }}",
        "{{ x.y }}",
        "{{ x.y.z }}",
        "{{ 1/0 }}",
    ),
    *("{{ note | batch(2) | list }}", "{{ notes | batch(0) | list }}", "{{ notes | slice(0) | list }}", " ", "\n", "a"),
    *(
        "{{ ('a' ~ 'b') * 3 }}",
        "{{ cup | truncate(-1) }}",
        "{{ 'é' | urlencode }}",
        "{{ none | int }}",
        "{{ cup | int }}",
    ),
    *(
        "{{ '%s' | format(note) }}",
        "{{ '%c' % 1114112 }}",
        "{{ cup.text.encode() }}",
        "{{ cup.text.format_map(note) }}",
    ),
    *(
        "{{ note.score.to_bytes(1) }}",
        "{{ note.score.__add__ }}",
        "{{ 10**400 }}",
        "{{ 1e308 * 10 }}",
        "{{ -1 ** 0.5 }}",
    ),
    *("{{ m.__globals__ }}", "{{ caller }}", "{{ varargs }}", "{{ ''.join(notes) }}", "{{ notes | join(note) }}"),
    *("{{ notes | sum(attribute='score') }}", "{{ notes | first | last }}", "{{ note == notes }}", "{{ note < cup }}"),
    *(
        "{{ cup | escape_script_tag }}",
        "{{ cup | markdown }}",
        "{{ note | random }}",
        "{{ cup is mapping }}",
        "{{ 1 if }}",
    ),
)
_INNER = re.compile(r"\{\{(.*)\}\}")
_EXPRESSIONS = tuple(found[1].strip() for piece in _PIECES if (found := _INNER.fullmatch(piece)))
templates = st.tuples(
    st.lists(st.sampled_from(_PIECES) | st.sampled_from(_EXPRESSIONS).map("{{{{ {} }}}}".format), max_size=8).map(
        "".join
    )
    | st.tuples(
        *[st.sampled_from(_EXPRESSIONS)] * 2, st.sampled_from(("|", ".", "[", "+", "*", "%", "(", "~", "**", " in "))
    ).map(lambda parts: f"{{{{ ({parts[0]}) {parts[2]} {parts[1]} }}}}")
    | st.text(alphabet="{}%$@?.()[]|'\"# \nabe1_", max_size=30),
    st.sampled_from(("basic", "html", "markdown", "mermaid", "llm_prompt", "img_gen_prompt", "expression")),
    st.booleans(),
)
"""A template, its category, and whether it renders strictly."""
_LEAKS = re.compile(
    r"<(class|function|bound method|built-in|module|generator|slot wrapper|method-wrapper)|object at 0x"
)


@lru_cache(maxsize=1)
def kitchen() -> Library:
    """The library of the text with everything."""
    return Library.of(link([parse_bundle(KITCHEN, "kitchen.mthds")]).crate)


@lru_cache(maxsize=1)
def pantry() -> Memory:
    """Values for templates."""
    note = {"aroma": "<hay>", "score": 12, "day": "2031-02-03", "kind": "green", "tins": [], "more": {"a": 1.5}}
    values = {
        "cup": Value(concept="tea.tasting.Cup", data={"text": "a <b>cup</b> {{ x }}"}),
        "note": Value(concept="tea.tasting.Note", data=note),
        "notes": Value(concept="tea.tasting.Note", data=[note, {**note, "score": 3, "kind": None}]),
        "photo": Value(concept="native.Image", data={"url": "https://example.org/a.png"}),
    }
    return Memory(root=values)


def check_template_case(case: tuple[str, str, bool]) -> None:
    """Analyse and render; nothing but data comes out."""
    text, category, is_strict = case
    expand_sigils(text)
    message = check_template(text, category)
    assert message is None or message
    if message is None:
        analyse(text, category)
        guards_missing(text, category, {"cup", "note"})
    try:
        found = render_template(text, category, pantry(), kitchen().concepts, is_strict=is_strict)
    except TemplateError as error:
        error.render()
        return
    # What the author writes is not a leak.
    assert not _LEAKS.search(found) or _LEAKS.search(text), found[:500]


# Inputs and values

_FIELDS = """text aroma score day kind tins more url items concept content number json_obj stuff_name stuff_code
yes_no date time answer sources width height base_64 size choice level a"""
_JSON: SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(
        (
            "2031-02-03",
            "2031-02-30",
            "04:05",
            "a.csv",
            "data:,x",
            "https://x/y.png",
            "green",
            "12",
            "1e5",
            "~/x",
            "\0",
            "\ud83d",
        )
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(_FIELDS.split()),
            inner,
            max_size=5,
        )
        | st.fixed_dictionaries(
            {
                "concept": st.sampled_from(
                    (
                        "Cup",
                        "Text",
                        "tea.tasting.Note[]",
                        "Note[2]",
                        "X",
                        "",
                        "[]",
                        "native.Image",
                        "Anything",
                        "Tin?",
                        3,
                    )
                ),
                "content": inner,
            }
        )
    ),
    max_leaves=8,
)
_SLOTS = tuple(
    f"{concept}{mark}"
    for concept in (
        *("tea.tasting.Cup", "tea.tasting.Note", "tea.tasting.Tin", "native.Text", "native.Number", "native.Date"),
        *("native.Image", "native.Document", "native.JSON", "native.Anything", "native.Dynamic", "native.Composite"),
        *("native.Page", "native.SearchResult", "native.YesNo", "native.Choice", "native.Rating", "native.Html"),
        *("native.Time", "native.TextAndImages"),
    )
    for mark in ("", "[]", "[2]", "?")
)
documents_of_inputs = st.tuples(
    st.dictionaries(st.sampled_from(("a", "b", "c", "unknown")), _JSON, max_size=3)
    | methods().map(lambda made: made.inputs),
    st.dictionaries(st.sampled_from(("a", "b", "c", "given2")), st.sampled_from(_SLOTS), max_size=3),
)
"""An inputs document, and slots for it."""


def check_inputs_case(case: tuple[dict[str, Any], dict[str, str]]) -> None:
    """Shape inputs; what is taken fits its slot, again and again, and can be shown."""
    given, written = case
    declared = {name: Slot.parse(slot) for name, slot in written.items()}
    concepts = kitchen().concepts
    try:
        memory, _ = shape_inputs(given, declared, concepts, domain="tea.tasting")
    except InputError as error:
        error.render()
        return
    assert Memory.model_validate_json(memory.model_dump_json()) == memory
    for value in memory.root.values():
        slot = Slot(value.concept, is_list=value.is_list)
        assert decode(value.data, slot, concepts) == value.data
        render(value.data, value.concept, concepts, "markdown")
        assert decode(dehydrate(hydrate(value, concepts)), slot, concepts) == value.data


def check_values_case(case: tuple[Any, str]) -> None:
    """Decode; what fits a slot fits its schema too."""
    data, written = case
    slot, concepts = Slot.parse(written), kitchen().concepts
    try:
        found = decode(data, slot, concepts)
    except Mismatch as error:
        _check_mismatch(error)
        return
    json.dumps(found, allow_nan=False, ensure_ascii=False).encode()
    if (found is None and slot.presence == "optional") or slot.concept in SHAPELESS:
        return
    # A slot tells one level of lists, and takes lists of lists.
    for item in _flat(found) if isinstance(found, list) else [found]:
        _validator(slot.concept).validate(item)


def _check_mismatch(error: Mismatch) -> None:
    assert error.problems


def _flat(data: Any) -> list[Any]:
    return [deep for item in data for deep in (_flat(item) if isinstance(item, list) else [item])]


@lru_cache(maxsize=len(_SLOTS))
def _validator(concept: str) -> Any:
    return jsonschema_rs.validator_for(slot_schema(Slot(concept), kitchen().concepts))


# Packages


def check_manifest_case(text: str) -> None:
    """Parse a manifest and a lock."""
    for strict in (True, False):
        try:
            found = parse_manifest(text, "METHODS.toml", directory="tea_kit", strict=strict)
            _check_problems(list(found.warnings), text)
        except LanguageError as error:
            _check_error(error, text)
    try:
        lock = parse_lock(text, "methods.lock")
    except LanguageError as error:
        _check_error(error, text)
    else:
        assert parse_lock(render_lock(lock.packages), "methods.lock").packages == lock.packages


def check_valid(method: Method) -> None:
    """A generated method links without an error, and takes its own inputs."""
    library = Library.of(link([parse_bundle(method.text, "made.mthds")]).crate)
    pipe = library.pipe(library.entry(method.main_pipe))
    shape_inputs(method.inputs, pipe.inputs, library.concepts, domain="made")


TARGETS = {
    "methods": Target(method_texts, check_method, 1500),
    "templates": Target(templates, check_template_case, 1500),
    "inputs": Target(documents_of_inputs, check_inputs_case, 600),
    "values": Target(st.tuples(_JSON, st.sampled_from(_SLOTS)), check_values_case, 600),
    "manifests": Target(mutated(lambda: (MANIFEST, LOCK)) | documents, check_manifest_case, 500),
    "valid methods": Target(methods(), check_valid, 200),
}


def run_case(target: Target, case: Any) -> None:
    """Check one case. Our own InternalError is no answer either."""
    with no_hang():
        try:
            target.check(case)
        except InternalError as error:
            raise AssertionError(f"an internal error: {error.message}") from error
        except PipelexError as error:
            raise AssertionError(f"an error nobody expects here: {error.render()}") from error
