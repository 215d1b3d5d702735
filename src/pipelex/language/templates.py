"""What a template reads, found without rendering it (MTHDS section 10). Pure; replayed."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, NoReturn

from jinja2 import TemplateSyntaxError, nodes
from jinja2.defaults import DEFAULT_NAMESPACE
from jinja2.meta import TrackingCodeGenerator
from jinja2.sandbox import ImmutableSandboxedEnvironment

from pipelex.language.pipes import PipeCondition
from pipelex.language.template_reads import METADATA_NAMES, Read, Reader

FILTERS_BY_CATEGORY: dict[str, tuple[str, ...]] = {
    "basic": ("format", "tag"),
    "expression": (),
    "html": ("format", "tag", "escape_script_tag", "markdown"),
    "markdown": ("format", "tag", "escape_script_tag"),
    "mermaid": (),
    "llm_prompt": ("format", "tag", "with_images"),
    "img_gen_prompt": ("format", "tag", "with_images"),
}
"""Our filters, by category; Jinja's own come on top, except those that ours shadow and those that are refused."""

REFUSED_FILTERS = ("random",)
"""Filters that would make two renderings of the same values differ."""

GLOBALS = ("range", "dict", "cycler", "joiner", "namespace")
"""The Jinja globals a template may call; `lipsum` is random and is left out."""

RESERVED_NAMES = ("preliminary_text", "place_holder")
"""Variables that are never reported as missing, with every name that starts with `_`."""

_JINJA = re.compile(r"\{[{%#]|\r")
_KEYWORDS = ("and", "else", "elif", "if", "in", "is", "not", "or", "true", "false", "none", "True", "False", "None")
_SPECIAL_NAMES = frozenset((*_KEYWORDS, "loop", "self", "super", "caller", "varargs", "kwargs", *GLOBALS))
"""Names that mean something to Jinja: what they are depends on where they stand."""

_LARGE = 300
"""A template of more nodes than this is compiled, so that what is too deep for Jinja is told early."""

_NO_SIGILS = ("expression",)
_LOADING = {nodes.Include: "include", nodes.Import: "import", nodes.FromImport: "from", nodes.Extends: "extends"}

_SIGILS = re.compile(
    r"""
      (?P<jinja>
          \{\%[-+]?\s*raw\s*[-+]?\%\} (?:(?!\{\%[-+]?\s*endraw)[\s\S])*+ (?:\{\%|\Z)
        | \{\{ (?:"(?:[^"\\]|\\[\s\S])*+"|'(?:[^'\\]|\\[\s\S])*+'|(?!\}\})[\s\S])*+ (?:\}\}|\Z)
        | \{\% (?:"(?:[^"\\]|\\[\s\S])*+"|'(?:[^'\\]|\\[\s\S])*+'|(?!\%\})[\s\S])*+ (?:\%\}|\Z)
        | \{\# (?:(?!\#\})[\s\S])*+ (?:\#\}|\Z)
      )
    | (?P<literal>\$\$|@@)
    | (?P<brace>\{)? (?<!\w) (?P<mark>@\?|@|\$) (?P<path>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)
    """,
    re.VERBOSE,
)


def expand_sigils(text: str) -> str:
    """Write `$p`, `@p`, `@?p`, `$$` and `@@` as plain Jinja (MTHDS section 10.1), in one pass, adding no line.

    Nothing is expanded inside Jinja's own braces, in a raw block, or after a word character (`bob@example.org`).
    """
    return _SIGILS.sub(_expanded, text)


def _expanded(found: re.Match[str]) -> str:
    if found["jinja"]:
        return found[0]
    if found["literal"]:
        return found[0][0]
    path = found["path"]
    # A brace just before a sigil would join its own braces.
    brace = "{{ '{' }}" if found["brace"] else ""
    if found["mark"] == "$":
        return f"{brace}{{{{ {path} | format() }}}}"
    block = f'{{{{ {path} | tag("{path}") }}}}'
    return brace + (block if found["mark"] == "@" else f"{{% if {path} %}}{block}{{% endif %}}")


@dataclass(frozen=True)
class TemplateUse:
    """What a template reads from outside, each tuple in order of first appearance.

    `roots` are the free variables, without Jinja globals and reserved names; `paths` the dotted paths below them
    (`page`, `page.text`); `private` the underscore names reached with a dot; `globals` the Jinja globals it reads,
    which an input of the same name would shadow. `lines` says on which line a root or private name first appears.
    """

    roots: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    private: tuple[str, ...] = ()
    globals: tuple[str, ...] = ()
    lines: Mapping[str, int] | None = None

    def line_of(self, name: str) -> int:
        """The line of the template, from 1, on which that root or private name first appears."""
        return (self.lines or {}).get(name, 1)


@dataclass(frozen=True)
class Fault:
    """Why a template cannot be used, and on which of its lines."""

    line: int
    message: str


def condition_template(pipe: PipeCondition) -> str:
    """The whole template of a condition, whichever of its two spellings it uses."""
    if pipe.expression_template is not None:
        return pipe.expression_template
    return "{{ " + (pipe.expression or "") + " }}"


def parse(text: str, category: str) -> nodes.Template:
    """Parse a template after expanding its sigils. Raises jinja2.TemplateSyntaxError with the line of the template."""
    source = text if category in _NO_SIGILS else expand_sigils(text)
    try:
        return _environment(category).parse(source)
    except RecursionError:
        raise TemplateSyntaxError("the template is nested too deeply", 1) from None
    except ValueError as error:
        raise TemplateSyntaxError(f"a number cannot be read: {error}", 1) from None


def template_fault(text: str, category: str) -> Fault | None:
    """What keeps a template from being used: syntax, an unknown filter or test, or a tag that loads templates."""
    found = _examined(text, category)
    return found if isinstance(found, Fault) else None


def check_template(text: str, category: str) -> str | None:
    """The sentence that says why a template cannot be used, or None."""
    fault = template_fault(text, category)
    return f"line {fault.line} of the template: {fault.message}" if fault else None


def analyse(text: str, category: str) -> TemplateUse:
    """What the template reads from outside. Raises jinja2.TemplateSyntaxError when `check_template` finds a fault."""
    found = _examined(text, category)
    if isinstance(found, Fault):
        raise TemplateSyntaxError(found.message, found.line)
    return found[0]


def guards_missing(text: str, category: str, optional: Collection[str]) -> list[str]:
    """The optional inputs that the template reads somewhere without a guard (MTHDS section 10.6), in order."""
    found = _examined(text, category)
    if isinstance(found, Fault):
        raise TemplateSyntaxError(found.message, found.line)
    return [name for name in found[1] if name in optional]


def unguarded_line(text: str, category: str, name: str) -> int:
    """The line of the first reading of that name without a guard."""
    found = _examined(text, category)
    return 1 if isinstance(found, Fault) else found[1].get(name, 1)


_Examined = tuple[TemplateUse, dict[str, int]]


@lru_cache(maxsize=2048)
def _examined(text: str, category: str) -> _Examined | Fault:
    """The use of a template, and the line where each root is first read without a guard; or what is wrong with it."""
    if (reads := _sigil_reads(text, category)) is not None:
        return _summed(reads, [])
    try:
        tree = parse(text, category)
        is_plain = _refuse_unknown(tree, category)
        reader = Reader()
        reader.read_template(tree)
        reads = reader.reads
        if not is_plain or any(read.root in _SPECIAL_NAMES for read in reads):
            # Both must agree: Jinja alone lists names that one branch assigns and nobody reads; the walk alone knows
            # no blocks.
            free = _free_names(tree)
            reads = [read for read in reads if read.root in free or read.root in GLOBALS]
    except TemplateSyntaxError as error:
        return Fault(error.lineno or 1, _sentence(error.message or "the template cannot be read"))
    except RecursionError:
        return Fault(1, "the template is nested too deeply")
    return _summed(reads, reader.private)


def _summed(reads: Iterable[Read], private: list[tuple[str, int]]) -> _Examined:
    outside: list[Read] = []
    shadowed: dict[str, None] = {}
    for read in reads:
        if read.root in GLOBALS:
            shadowed[read.root] = None
        elif not _is_reserved(read.root):
            outside.append(read)
    lines: dict[str, int] = {}
    for name, line in [*((read.root, read.line) for read in outside), *private]:
        lines.setdefault(name, line)
    use = TemplateUse(
        roots=tuple(dict.fromkeys(read.root for read in outside)),
        paths=tuple(dict.fromkeys(read.path for read in outside)),
        private=tuple(dict.fromkeys(name for name, _ in private)),
        globals=tuple(shadowed),
        lines=lines,
    )
    unguarded: dict[str, int] = {}
    for read in outside:
        if not read.is_safe:
            unguarded.setdefault(read.root, read.line)
    return use, unguarded


def _sigil_reads(text: str, category: str) -> list[Read] | None:
    """What a template without Jinja of its own reads: most prompts are such. None when Jinja must tell."""
    if _JINJA.search(text) or not {"format", "tag"} <= set(FILTERS_BY_CATEGORY[category]):
        return None
    reads: list[Read] = []
    line, at = 1, 0
    for found in _SIGILS.finditer(text):
        path = found["path"]
        if path is None:
            continue
        root, dot, _ = path.partition(".")
        if not path.isascii() or root in _SPECIAL_NAMES or "._" in path:
            return None
        line, at = line + text.count("\n", at, found.start()), found.start()
        reads.append(Read(root, path, line, is_safe=found["mark"] == "@?" and not dot))
    return reads


def _is_reserved(name: str) -> bool:
    return name.startswith("_") or name in RESERVED_NAMES


def _sentence(message: str) -> str:
    return message[:1].lower() + message[1:].rstrip(".")


def _stub(value: Any, *arguments: Any, **options: Any) -> NoReturn:
    raise NotImplementedError("this environment analyses templates, it does not render them")


@lru_cache(maxsize=16)
def _environment(category: str) -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(optimized=False)
    # Never compute a constant while analysing: `{{ 10 ** 10 ** 10 }}` must cost nothing here.
    environment.intercepted_binops = frozenset(environment.default_binop_table)
    environment.globals = {name: DEFAULT_NAMESPACE[name] for name in GLOBALS}
    for name in REFUSED_FILTERS:
        environment.filters.pop(name, None)
    for name in FILTERS_BY_CATEGORY[category]:
        environment.filters[name] = _stub
    return environment


class _FreeNames(TrackingCodeGenerator):
    """Jinja's own search for undeclared variables, without folding constants on the way."""

    def _output_child_to_const(self, node: nodes.Expr, frame: Any, finalize: Any) -> str:
        if isinstance(node, nodes.TemplateData):
            return super()._output_child_to_const(node, frame, finalize)
        raise nodes.Impossible


def _free_names(tree: nodes.Template) -> frozenset[str]:
    assert tree.environment is not None
    generator = _FreeNames(tree.environment)
    generator.visit(tree)
    return frozenset(generator.undeclared_identifiers)


def _refuse_unknown(tree: nodes.Template, category: str) -> bool:
    """Refuse what no template of this category may hold; whether it binds names only by plain loops."""
    environment = _environment(category)
    is_plain, count = True, 0
    waiting: list[nodes.Node] = [tree]
    while waiting:
        node = waiting.pop()
        count += 1
        match node:
            case nodes.Name() | nodes.Const() | nodes.TemplateData():
                continue
            case nodes.Filter():
                _refuse_filter(node, environment.filters)
            case nodes.Test():
                _refuse_name("test", node, environment.tests)
            case nodes.EvalContextModifier():
                if not all(isinstance(option.value, nodes.Const) for option in node.options):
                    raise TemplateSyntaxError("{% autoescape %} takes true or false only", node.lineno)
            case nodes.For():
                is_plain = is_plain and isinstance(node.target, nodes.Name) and node.target.name != "loop"
            case nodes.Template() | nodes.Output() | nodes.If():
                pass
            case nodes.Stmt():
                if type(node) in _LOADING:
                    message = f"{{% {_LOADING[type(node)]} %}} is refused: templates load no others"
                    raise TemplateSyntaxError(message, node.lineno)
                is_plain = False
        waiting.extend(reversed(list(node.iter_child_nodes())))
    return is_plain and count <= _LARGE


def _refuse_filter(node: nodes.Filter, known: Mapping[str, Any]) -> None:
    if node.name in REFUSED_FILTERS:
        message = f"the filter '{node.name}' is refused: its results cannot be replayed"
        raise TemplateSyntaxError(message, node.lineno)
    _refuse_name("filter", node, known)


def _refuse_name(what: str, node: nodes.Filter | nodes.Test, known: Mapping[str, Any]) -> None:
    if node.name in known:
        return
    close = get_close_matches(node.name, list(known), n=1)
    suggestion = f"; did you mean '{close[0]}'?" if close else ""
    raise TemplateSyntaxError(f"there is no {what} called '{node.name}' here{suggestion}", node.lineno)


__all__ = [
    "FILTERS_BY_CATEGORY",
    "GLOBALS",
    "METADATA_NAMES",
    "REFUSED_FILTERS",
    "RESERVED_NAMES",
    "Fault",
    "TemplateUse",
    "analyse",
    "check_template",
    "condition_template",
    "expand_sigils",
    "guards_missing",
    "parse",
    "template_fault",
    "unguarded_line",
]
