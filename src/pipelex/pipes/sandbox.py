"""The Jinja environment of templates: which names and methods of which values they may reach. Pure; replayed."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from functools import lru_cache, partial
from typing import Any

from jinja2 import StrictUndefined, Undefined, nodes, pass_context
from jinja2.defaults import DEFAULT_NAMESPACE
from jinja2.exceptions import SecurityError
from jinja2.runtime import BlockReference, Context, LoopContext, Macro, TemplateReference
from jinja2.sandbox import ImmutableSandboxedEnvironment, SandboxedEscapeFormatter, SandboxedFormatter
from jinja2.utils import Cycler, Joiner, Namespace
from jinja2.visitor import NodeTransformer
from markupsafe import Markup

from pipelex.language.templates import GLOBALS
from pipelex.pipes.budget import (
    CALL_STEPS,
    MAX_BITS,
    MAX_OUTPUT,
    MAX_RANGE,
    MAX_WIDTH,
    check_widths,
    rendering_of,
    replaced,
    weigh_product,
)
from pipelex.pipes.filters import dumps, filters_of
from pipelex.pipes.views import MISSING, ContentView, ListView


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_METHODS: tuple[tuple[type, frozenset[str]], ...] = (
    (
        str,
        _names(
            "capitalize casefold center count endswith find format index isalnum isalpha isascii isdecimal isdigit"
            " islower isnumeric isspace istitle isupper join ljust lower lstrip partition removeprefix removesuffix"
            " replace rfind rindex rjust rpartition rsplit rstrip split splitlines startswith strip swapcase title"
            " upper zfill"
        ),
    ),
    (
        datetime,
        _names(
            "year month day hour minute second microsecond date time isoformat strftime weekday isoweekday"
            " isocalendar toordinal fromordinal replace utcoffset tzname"
        ),
    ),
    (
        date,
        _names("year month day isoformat strftime weekday isoweekday isocalendar toordinal fromordinal replace"),
    ),
    (time, _names("hour minute second microsecond isoformat strftime replace utcoffset tzname")),
    (timedelta, _names("days seconds microseconds total_seconds")),
    (dict, _names("get items keys values copy")),
    (list, _names("index count copy")),
    (tuple, _names("index count grouper list year week weekday")),
    (range, _names("index count")),
    (int, _names("is_integer bit_length")),
    (float, _names("is_integer")),
)
"""The public attributes of plain values that a template may read; everything else is refused."""

_OF_JINJA = (LoopContext, Cycler, Joiner, Namespace, Macro, TemplateReference, BlockReference, Undefined)
_SUBSCRIPTED = (str, list, tuple, dict, range)


class Sandbox(ImmutableSandboxedEnvironment):
    """Templates see views and plain data; of these, fields and the methods named above."""

    intercepted_binops = frozenset({"*", "**", "%", "+"})

    def getattr(self, obj: Any, attribute: str) -> Any:
        """What `obj.attribute` gives: a field, an allowed method, or undefined. What is refused raises."""
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

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call something, at the cost of a few steps and of what it makes."""
        rendering = rendering_of(context)
        rendering.step(CALL_STEPS)
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
            check_widths(left)
            rendering.weigh_each(right, left.count("%"))
        elif operator == "*":
            weigh_product(rendering, left, right)
        elif operator == "**":
            _check_power(left, right)
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
            return partial(replaced, obj)
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


def _check_power(left: Any, right: Any) -> None:
    if isinstance(left, int) and isinstance(right, int) and right > 0 and left.bit_length() * right > MAX_BITS * 2:
        raise SecurityError("the result of ** is too large a number")


def _narrow(method: Callable[..., str], width: Any, *args: Any) -> str:
    if isinstance(width, int) and width > MAX_WIDTH:
        raise SecurityError(f"a width of {width} is too large")
    return method(width, *args)


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
    rendering_of(context).weigh_each([*args, *kwargs.values()], text.count("{"))
    if isinstance(text, Markup):
        return Markup(_NarrowEscaping(environment, escape=text.escape).vformat(text, args, kwargs))
    return _Narrow(environment).vformat(text, args, kwargs)


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


@lru_cache(maxsize=16)
def sandbox(category: str, *, is_strict: bool = False) -> Sandbox:
    """The environment of a category of templates (MTHDS section 10.3). A strict one refuses what is not defined."""
    trims = category in ("html", "markdown")
    environment = Sandbox(
        autoescape=category == "html",
        trim_blocks=trims,
        lstrip_blocks=trims,
        finalize=_printed,
        cache_size=0,
        undefined=StrictUndefined if is_strict else Undefined,
    )
    environment.globals = {name: DEFAULT_NAMESPACE[name] for name in GLOBALS} | {"range": _range}
    environment.policies["json.dumps_function"] = dumps
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False}
    environment.filters = filters_of(category)
    return environment
