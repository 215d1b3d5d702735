"""The Jinja environment of templates: what they may reach, and how much work they may cause. Pure; replayed.

Nothing here looks at a clock: a budget of steps and characters bounds a rendering, the same on every replay.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache, partial, wraps
from typing import Any

from jinja2 import Undefined, nodes, pass_context
from jinja2.defaults import DEFAULT_NAMESPACE
from jinja2.exceptions import FilterArgumentError, SecurityError
from jinja2.filters import make_attrgetter
from jinja2.runtime import BlockReference, Context, LoopContext, Macro, TemplateReference, markup_join, str_join
from jinja2.sandbox import ImmutableSandboxedEnvironment, SandboxedEscapeFormatter, SandboxedFormatter
from jinja2.utils import Cycler, Joiner, Namespace
from jinja2.visitor import NodeTransformer
from markupsafe import Markup, escape

from pipelex.language.templates import FILTERS_BY_CATEGORY, GLOBALS, REFUSED_FILTERS
from pipelex.pipes.views import MISSING, ContentView, ListView, Printer, plain

MAX_STEPS = 1_000_000
"""Iterations, calls, filtered items and list cells that one rendering may cost."""
MAX_CHARACTERS = 64 * 1024 * 1024
"""Characters that one rendering may build on its way, all together."""
MAX_OUTPUT = 32 * 1024 * 1024
"""Characters of the text that a template may give."""
MAX_WIDTH = 10_000
"""Widest column, longest padding, largest count that a filter or a format may ask for."""
MAX_RANGE = 100_000
MAX_BITS = 64

RENDERING = "<rendering>"
"""The name of the `Rendering` in a context; no template can spell it."""

_WIDTHS = re.compile(r"%(?:\([^)]*\))?[#0\- +]*(\*|\d+)?(?:\.(\*|\d+))?")
_WIDEST = {"batch": 10_000, "center": 10_000, "indent": 200, "round": 300, "slice": 10_000, "tojson": 20, "wordwrap": 10_000}
"""The largest number, and the longest text, that the filters which multiply may be given."""
_SCRIPT_TAG = re.compile(r"<(?=/?script\b)", re.IGNORECASE)

_METHODS: tuple[tuple[type, frozenset[str]], ...] = (
    (
        str,
        frozenset(
            "capitalize casefold count endswith find format index isalnum isalpha isascii isdecimal isdigit islower"
            " isnumeric isspace istitle isupper join lower lstrip partition removeprefix removesuffix replace rfind"
            " rindex rpartition rsplit rstrip split splitlines startswith strip swapcase title upper"
            " center ljust rjust zfill".split()
        ),
    ),
    (
        datetime,
        frozenset(
            "year month day hour minute second microsecond date time isoformat strftime weekday isoweekday"
            " isocalendar toordinal fromordinal replace utcoffset tzname".split()
        ),
    ),
    (date, frozenset("year month day isoformat strftime weekday isoweekday isocalendar toordinal fromordinal replace".split())),
    (time, frozenset("hour minute second microsecond isoformat strftime replace utcoffset tzname".split())),
    (timedelta, frozenset({"days", "seconds", "microseconds", "total_seconds"})),
    (dict, frozenset({"get", "items", "keys", "values", "copy"})),
    (list, frozenset({"index", "count", "copy"})),
    (tuple, frozenset({"index", "count", "grouper", "list", "year", "week", "weekday"})),
    (range, frozenset({"index", "count"})),
    (int, frozenset({"is_integer", "bit_length"})),
    (float, frozenset({"is_integer"})),
)
"""The public attributes of plain values that a template may read; everything else is refused."""

_OF_JINJA = (LoopContext, Cycler, Joiner, Namespace, Macro, TemplateReference, BlockReference, Undefined)
_SUBSCRIPTED = (str, list, tuple, dict, range)


@dataclass
class Rendering:
    """One rendering: how it prints, and what is left of its budget."""

    printer: Printer
    steps: int = MAX_STEPS
    characters: int = MAX_CHARACTERS

    def step(self, count: int = 1) -> None:
        """Pay for work."""
        self.steps -= count
        if self.steps < 0:
            raise SecurityError(f"the template does too much work: more than {MAX_STEPS:,} steps")

    def build(self, count: int) -> None:
        """Pay for characters, before they are built where that can be known."""
        self.characters -= count
        if self.characters < 0:
            raise SecurityError(f"the template builds too much text: more than {MAX_CHARACTERS:,} characters")

    def weigh(self, value: object) -> None:
        """Pay for turning a value into text; containers are walked, since they may hold one text many times."""
        if isinstance(value, str):
            self.build(len(value))
        elif isinstance(value, ListView):
            self.step(len(value))
        elif isinstance(value, list | tuple):
            self.step(len(value))
            for item in value:
                self.weigh(item)
        elif isinstance(value, dict):
            self.step(len(value))
            for item in value.values():
                self.weigh(item)


def rendering_of(context: Context) -> Rendering:
    """The rendering that a context belongs to."""
    found = context.resolve_or_missing(RENDERING)
    assert isinstance(found, Rendering)
    return found


class Sandbox(ImmutableSandboxedEnvironment):
    """Templates see views and plain data; of these, fields and the methods named above."""

    intercepted_binops = frozenset({"*", "**", "%", "+"})

    def getattr(self, obj: Any, attribute: str) -> Any:
        """What `obj.attribute` gives: a field, an allowed method, or undefined. Refusals raise, they never print empty."""
        if isinstance(obj, ContentView):
            found = obj.read(attribute)
            return self._missing(obj, attribute) if found is MISSING else found
        if isinstance(obj, _OF_JINJA):
            return super().getattr(obj, attribute)
        if isinstance(obj, list) and attribute == "items":
            return obj
        for kind, names in _METHODS:
            if isinstance(obj, kind):
                if attribute in names and hasattr(obj, attribute):
                    return self._method(obj, attribute)
                break
        if isinstance(obj, dict) and attribute in obj:
            return obj[attribute]
        if hasattr(obj, attribute) or attribute.startswith("_"):
            raise SecurityError(f"{attribute!r} of a {type(obj).__name__} cannot be used in a template")
        return self._missing(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """What `obj[argument]` gives."""
        if isinstance(obj, Undefined):
            return super().getitem(obj, argument)
        if isinstance(argument, str) and not isinstance(obj, dict):
            return self.getattr(obj, argument)
        if isinstance(obj, ContentView):
            return self._missing(obj, argument)
        if not isinstance(obj, _SUBSCRIPTED):
            raise SecurityError(f"a {type(obj).__name__} has no items that a template can read")
        try:
            return obj[argument]
        except (TypeError, LookupError):
            return self._missing(obj, argument)

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        """Call something, at the cost of one step and of what it makes."""
        rendering = rendering_of(context)
        rendering.step()
        made = super().call(context, obj, *args, **kwargs)
        if isinstance(made, str):
            rendering.build(len(made))
        elif isinstance(made, range | list | tuple | dict):
            rendering.step(len(made))
        return made

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Compute `*`, `**`, `%` and `+` once their result is known to be of a bearable size."""
        rendering = rendering_of(context)
        if operator == "%" and isinstance(left, str):
            _check_widths(left)
            rendering.weigh(right)
        elif operator == "*":
            _weigh_product(rendering, left, right)
        elif operator == "**" and isinstance(left, int) and isinstance(right, int):
            if right > 0 and left.bit_length() * right > MAX_BITS * 2:
                raise SecurityError("the result of ** is too large a number")
        made = super().call_binop(context, operator, left, right)
        if isinstance(made, int) and made.bit_length() > MAX_BITS:
            raise SecurityError(f"the result of {operator} is too large a number")
        rendering.build(len(made)) if isinstance(made, str) else rendering.step()
        if isinstance(made, list | tuple):
            rendering.step(len(made))
        return made

    def unsafe_undefined(self, obj: Any, attribute: str) -> Undefined:
        """Refuse outright what Jinja would print as empty."""
        raise SecurityError(f"{attribute!r} of a {type(obj).__name__} cannot be used in a template")

    def _missing(self, obj: Any, name: object) -> Undefined:
        what = obj.concept.rpartition(".")[2] if isinstance(obj, ContentView | ListView) else type(obj).__name__
        return self.undefined(f"a {what} has no {name!r}", obj=obj, name=str(name))

    def _method(self, obj: Any, name: str) -> Any:
        found = getattr(obj, name)
        if not isinstance(obj, str):
            return found
        if name == "format":
            return pass_context(partial(_format_text, self, obj))
        if name in ("center", "ljust", "rjust", "zfill"):
            return partial(_narrow, found)
        if name == "replace":
            return partial(_replace, obj)
        return partial(_join_text, obj) if name == "join" else found


class _Counted(NodeTransformer):
    """Writes into a parsed template the steps it must pay for: loops, macros, and what `~` joins."""

    def visit_For(self, node: nodes.For) -> nodes.Node:
        self.generic_visit(node)
        node.body.insert(0, nodes.ExprStmt(_paid(node), lineno=node.lineno))
        if node.test is not None:
            node.test = nodes.Or(_paid(None, node.lineno), node.test, lineno=node.lineno)
        return node

    def visit_Macro(self, node: nodes.Macro) -> nodes.Node:
        self.generic_visit(node)
        node.body.insert(0, nodes.ExprStmt(_paid(node), lineno=node.lineno))
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        items = nodes.List(node.nodes, lineno=node.lineno)
        return nodes.Filter(items, "<concat>", [], [], None, None, lineno=node.lineno)


def counted(tree: nodes.Template, environment: Sandbox) -> nodes.Template:
    """The same template, which pays for its loops and its joined texts."""
    _Counted().visit(tree)
    tree.set_environment(environment)
    return tree


def _paid(body: nodes.For | nodes.Macro | None, lineno: int | None = None) -> nodes.Filter:
    """One step, and the constant text that the body prints."""
    static = sum(len(data.data) for data in body.find_all(nodes.TemplateData)) if body is not None else 0
    line = body.lineno if body is not None else lineno
    return nodes.Filter(nodes.Const(static), "<step>", [], [], None, None, lineno=line)


@pass_context
def _step(context: Context, static: int) -> str:
    rendering = rendering_of(context)
    rendering.step()
    rendering.build(static)
    return ""


@pass_context
def _concat(context: Context, parts: Sequence[Any]) -> str:
    rendering = rendering_of(context)
    rendering.weigh(parts)
    return markup_join(parts) if context.eval_ctx.autoescape else str_join(parts)


def _charged(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A filter of Jinja that pays for its work, and keeps to bearable widths."""
    passed = getattr(function, "jinja_pass_arg", None)
    kind = None if passed is None else passed.name

    @pass_context
    @wraps(function)
    def run(context: Context, value: Any, *args: Any, **kwargs: Any) -> Any:
        rendering = rendering_of(context)
        rendering.step()
        rendering.weigh(value)
        if name in _WIDEST:
            _check_arguments(name, (*args, *kwargs.values()))
        elif name == "format":
            _check_widths(str(value))
            rendering.weigh([*args, *kwargs.values()])
        first = {"context": context, "eval_context": context.eval_ctx, "environment": context.environment}
        made = function(*([first[kind]] if kind else []), value, *args, **kwargs)
        if isinstance(made, str):
            rendering.build(len(made))
        return made

    return run


def _check_arguments(name: str, arguments: Sequence[Any]) -> None:
    for argument in arguments:
        size = argument if isinstance(argument, int) else len(argument) if isinstance(argument, str) else 0
        if abs(size) > min(_WIDEST[name], 200 if isinstance(argument, str) else MAX_WIDTH):
            raise SecurityError(f"the filter {name!r} is asked for too large a size")


def _check_widths(template: str) -> None:
    for found in _WIDTHS.finditer(template):
        for width in found.groups():
            if width is not None and (width == "*" or len(width) > 5 or int(width) > MAX_WIDTH):
                raise SecurityError("a width in a % format is too large, or is not written in the template")


def _weigh_product(rendering: Rendering, left: Any, right: Any) -> None:
    if isinstance(left, int) and isinstance(right, int):
        if left.bit_length() + right.bit_length() > MAX_BITS * 2:
            raise SecurityError("the result of * is too large a number")
        return
    repeated, count = (right, left) if isinstance(left, int) else (left, right)
    if isinstance(repeated, str | list | tuple) and isinstance(count, int) and count > 0:
        alone = Rendering(rendering.printer)
        alone.weigh(repeated)
        rendering.step((MAX_STEPS - alone.steps) * count)
        rendering.build((MAX_CHARACTERS - alone.characters) * count)


def _narrow(method: Callable[..., str], width: Any, *args: Any) -> str:
    if isinstance(width, int) and width > MAX_WIDTH:
        raise SecurityError(f"a width of {width} is too large")
    return method(width, *args)


def _replace(text: str, old: str, new: str, count: int = -1) -> str:
    growth = text.count(old) * max(0, len(new) - len(old))
    if len(text) + growth > MAX_OUTPUT:
        raise SecurityError("the result of 'replace' is too large a text")
    return text.replace(old, new, count)


def _join_text(separator: str, items: Any) -> str:
    parts = [str(item) if isinstance(item, ContentView | ListView) else item for item in items]
    if sum(len(part) + len(separator) for part in parts if isinstance(part, str)) > MAX_OUTPUT:
        raise SecurityError("the result of 'join' is too large a text")
    return separator.join(parts)


class _Narrow(SandboxedFormatter):
    def format_field(self, value: Any, format_spec: str) -> Any:
        if any(len(width) > 5 or int(width) > MAX_WIDTH for width in re.findall(r"\d+", format_spec)):
            raise SecurityError("a width in a format is too large")
        return super().format_field(value, format_spec)


class _NarrowEscaping(_Narrow, SandboxedEscapeFormatter):
    pass


def _format_text(environment: Sandbox, text: str, context: Context, /, *args: Any, **kwargs: Any) -> str:
    rendering_of(context).weigh([*args, *kwargs.values()])
    if isinstance(text, Markup):
        return Markup(_NarrowEscaping(environment, escape=text.escape).vformat(text, args, kwargs))  # noqa: S704
    return _Narrow(environment).vformat(text, args, kwargs)


@pass_context
def _join(context: Context, value: Any, d: str = "", attribute: str | int | None = None) -> str:
    rendering = rendering_of(context)
    getter = None if attribute is None else make_attrgetter(context.environment, attribute)
    items = [item if getter is None else getter(item) for item in value]
    rendering.weigh(items)
    rendering.build(len(str(d)) * len(items))
    if not context.eval_ctx.autoescape:
        return str(d).join(map(str, items))
    return escape(d).join(items)


@pass_context
def _replace_filter(context: Context, value: Any, old: str, new: str, count: int | None = None) -> str:
    rendering = rendering_of(context)
    rendering.weigh(value)
    text = escape(value) if context.eval_ctx.autoescape else str(value)
    return _replace(text, str(old), escape(new) if isinstance(text, Markup) else str(new), -1 if count is None else count)


@pass_context
def _attr(context: Context, value: Any, name: str) -> Any:
    return context.environment.getattr(value, str(name))


@pass_context
def _format(context: Context, value: Any, text_format: str | None = None) -> str:
    """The filter `format`: a value as text (MTHDS section 10.3)."""
    if isinstance(value, Undefined):
        value._fail_with_undefined_error()
    rendering = rendering_of(context)
    if value is None:
        return ""
    text = rendering.printer.text(value, text_format)
    rendering.build(len(text))
    return text


@pass_context
def _tag(context: Context, value: Any, name: str | None = None) -> str:
    """The filter `tag`: a value as text inside its tag (MTHDS section 11.2)."""
    text = _format(context, value)
    is_html = context.eval_ctx.autoescape
    found = name or getattr(value, "name", None)
    label, inside = (escape(found or "data"), escape(text)) if is_html else (found or "data", text)
    match rendering_of(context).printer.style.tag_style:
        case "xml":
            made = f"<{label}>\n{inside}\n</{label}>"
        case "square_brackets":
            made = f"[{label}]\n{inside}\n[/{label}]"
        case "ticks":
            made = f"{label + ': ' if found else ''}```\n{inside}\n```"
        case "no_tag":
            made = inside
    return Markup(made) if is_html else made  # noqa: S704 - both parts are escaped


@pass_context
def _with_images(context: Context, value: Any) -> str:
    """The filter `with_images`: a value as text with the images inside it attached (MTHDS section 11.3)."""
    if isinstance(value, Undefined):
        value._fail_with_undefined_error()
    if not isinstance(value, ContentView | ListView):
        raise FilterArgumentError("'with_images' is for values that hold images")
    return rendering_of(context).printer.with_images(value)


def _escape_script_tag(value: Any) -> str:
    text = value if isinstance(value, str) else str(value)
    return type(text)(_SCRIPT_TAG.sub("&lt;", text))


_OURS: Mapping[str, Callable[..., Any]] = {
    "format": _format,
    "tag": _tag,
    "with_images": _with_images,
    "escape_script_tag": _escape_script_tag,
}
_REPLACED: Mapping[str, Callable[..., Any]] = {
    "attr": _attr,
    "join": _join,
    "replace": _replace_filter,
    "<step>": _step,
    "<concat>": _concat,
}


@pass_context
def _printed(context: Context, value: Any) -> Any:
    """What `{{ value }}` prints, paid for."""
    rendering = rendering_of(context)
    if isinstance(value, ContentView | ListView):
        value = rendering.printer.text(value)
    rendering.weigh(value)
    return value


def _range(*bounds: int) -> range:
    made = range(*bounds)
    if len(made) > MAX_RANGE:
        raise SecurityError(f"a range of more than {MAX_RANGE:,} numbers is refused")
    return made


def _dumps(data: object, **options: Any) -> str:
    return json.dumps(plain(data), **options)


@lru_cache(maxsize=16)
def sandbox(category: str) -> Sandbox:
    """The environment of a category of templates (MTHDS section 10.3)."""
    trims = category in ("html", "markdown")
    environment = Sandbox(
        autoescape=category == "html", trim_blocks=trims, lstrip_blocks=trims, finalize=_printed, cache_size=0
    )
    environment.globals = {name: DEFAULT_NAMESPACE[name] for name in GLOBALS} | {"range": _range}
    environment.policies["json.dumps_function"] = _dumps
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False}
    environment.filters = {
        name: _charged(name, function) for name, function in environment.filters.items() if name not in REFUSED_FILTERS
    }
    environment.filters |= _REPLACED
    environment.filters |= {name: _OURS[name] for name in FILTERS_BY_CATEGORY[category]}
    return environment
