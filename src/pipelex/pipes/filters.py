"""The filters of templates: ours (MTHDS section 10.3), and those of Jinja at their price. Pure; replayed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import wraps
from typing import Any

from jinja2 import Undefined, pass_context
from jinja2.exceptions import FilterArgumentError, SecurityError
from jinja2.filters import FILTERS, make_attrgetter
from jinja2.runtime import Context, markup_join, str_join
from markupsafe import Markup, escape

from pipelex.language.templates import FILTERS_BY_CATEGORY, REFUSED_FILTERS
from pipelex.pipes.budget import MAX_WIDTH, check_widths, rendering_of, replaced
from pipelex.pipes.markdown import formatted
from pipelex.pipes.views import ContentView, ListView, plain

_WIDEST = {
    "batch": 10_000,
    "center": 10_000,
    "indent": 200,
    "round": 300,
    "slice": 10_000,
    "tojson": 20,
    "wordwrap": 10_000,
}
"""The largest number, and the longest text, that the filters which multiply may be given."""
_ITERATING = frozenset(
    [
        *("batch", "count", "first", "groupby", "items", "last", "length", "list", "map", "max", "min", "reject"),
        *("rejectattr", "reverse", "select", "selectattr", "slice", "sort", "sum", "unique"),
    ]
)
"""The filters that go through what they are given, and make no text of it."""
_SCRIPT_TAG = re.compile(r"<(?=/?script\b)", re.IGNORECASE)


def filters_of(category: str) -> dict[str, Callable[..., Any]]:
    """Every filter that templates of a category may use, by name."""
    filters = {name: _charged(name, each) for name, each in FILTERS.items() if name not in REFUSED_FILTERS}
    return {**filters, **_REPLACED} | {name: _OURS[name] for name in FILTERS_BY_CATEGORY[category]}


def dumps(data: object, **options: Any) -> str:
    """What the filter `tojson` writes."""
    return json.dumps(plain(data), **options)


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
        if not (name in _ITERATING and isinstance(value, Iterator)):
            rendering.weigh(value)
        if name in _WIDEST:
            _check_arguments(name, (*args, *kwargs.values()))
        elif name == "format":
            check_widths(str(value))
            rendering.weigh_each([*args, *kwargs.values()], str(value).count("%"))
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
def _replace(context: Context, value: Any, old: str, new: str, count: int | None = None) -> str:
    rendering_of(context).weigh(value)
    text = value if isinstance(value, str) else str(value)
    if context.eval_ctx.autoescape and (isinstance(old, Markup) or isinstance(new, Markup)):
        text = escape(text)
    by = escape(new) if isinstance(text, Markup) else str(new)
    return replaced(text, str(old), by, -1 if count is None else count)


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
    if not isinstance(value, ContentView | ListView):
        rendering.weigh(value)
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
    return Markup(made) if is_html else made


@pass_context
def _with_images(context: Context, value: Any) -> str:
    """The filter `with_images`: a value as text with the images inside it attached (MTHDS section 11.3)."""
    if isinstance(value, Undefined):
        value._fail_with_undefined_error()
    if not isinstance(value, ContentView | ListView):
        raise FilterArgumentError("'with_images' is for values that hold images")
    return rendering_of(context).printer.with_images(value)


@pass_context
def _markdown(context: Context, value: Any) -> str:
    """The filter `markdown`: a text written in Markdown as HTML, safe to print (MTHDS section 10.3)."""
    text = value if isinstance(value, str) and not isinstance(value, Markup) else _format(context, value, "plain")
    rendering = rendering_of(context)
    rendering.step(1 + len(text) // 16)
    rendering.weigh(text)
    made = formatted(text)
    rendering.build(len(made))
    return Markup(made)


@pass_context
def _escape_script_tag(context: Context, value: Any) -> str:
    rendering_of(context).weigh(value)
    text = value if isinstance(value, str) else str(value)
    return type(text)(_SCRIPT_TAG.sub("&lt;", text))


_OURS: Mapping[str, Callable[..., Any]] = {
    "format": _format,
    "tag": _tag,
    "with_images": _with_images,
    "escape_script_tag": _escape_script_tag,
    "markdown": _markdown,
}
_REPLACED: Mapping[str, Callable[..., Any]] = {
    "attr": _attr,
    "join": _join,
    "replace": _replace,
    "<step>": _step,
    "<concat>": _concat,
}
