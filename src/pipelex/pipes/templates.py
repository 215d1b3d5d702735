"""Render the templates and expressions of pipes, within bounds (MTHDS section 10). Pure; replayed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import jinja2
from jinja2.exceptions import SecurityError
from pydantic import JsonValue

from pipelex.errors import TemplateError
from pipelex.language.pipes import TemplatingStyle
from pipelex.language.templates import expand_sigils
from pipelex.pipes.budget import MAX_OUTPUT, RENDERING, Rendering
from pipelex.pipes.sandbox import counted, sandbox
from pipelex.pipes.views import Attachments, Printer, view_of
from pipelex.values.concepts import Concepts
from pipelex.values.value import Memory

__all__ = ["Attachments", "printer_for", "render_template"]

_PLAIN_STYLE = TemplatingStyle()


def render_template(
    source: str,
    category: str,
    memory: Memory,
    concepts: Concepts,
    *,
    what: str = "template",
    style: TemplatingStyle | None = None,
    extra: Mapping[str, JsonValue] | None = None,
    attachments: Attachments | None = None,
    is_strict: bool = False,
) -> str:
    """Render a template as written, sigils included, with the values of a memory; absent ones are undefined.

    `extra` adds constants. With `attachments`, files that the template mentions are attached and print as tokens.
    `what` names the template in messages. With `is_strict`, printing what does not exist is an error too.
    Raises TemplateError with the line of the template.
    """
    printer = Printer(concepts, style or _PLAIN_STYLE, attachments)
    variables: dict[str, Any] = {name: view_of(value, printer, name) for name, value in memory.root.items()}
    variables |= extra or {}
    variables[RENDERING] = Rendering(printer)
    try:
        template = _compiled(source, category, is_strict)
        return "".join(_bounded(template.root_render_func(template.new_context(variables))))
    except Exception as error:  # whatever a template causes is told as a fault of the template
        line = error.lineno if isinstance(error, jinja2.TemplateSyntaxError) else _line_of(error)
        place = f"{what}, line {line}" if line is not None else what
        raise TemplateError(f"{place}: {_sentence(error)}", hint=_hint(error)) from error


def printer_for(concepts: Concepts) -> Printer:
    """A printer for values read outside a template: plain style, nothing attached."""
    return Printer(concepts, _PLAIN_STYLE)


@lru_cache(maxsize=512)
def _compiled(source: str, category: str, is_strict: bool) -> jinja2.Template:
    environment = sandbox(category, is_strict=is_strict)
    expanded = source if category == "expression" else expand_sigils(source)
    tree = counted(environment.parse(expanded), environment)
    code = environment.compile(tree, filename="<template>")
    return jinja2.Template.from_code(environment, code, environment.globals)


def _bounded(parts: Iterable[str]) -> Iterator[str]:
    total = 0
    for part in parts:
        total += len(part)
        if total > MAX_OUTPUT:
            raise SecurityError(f"the text is longer than {MAX_OUTPUT:,} characters")
        yield part


def _line_of(error: Exception) -> int | None:
    """The line of the template where an error arose: that of the innermost frame that Jinja compiled."""
    line, trace = None, error.__traceback__
    while trace is not None:
        template = trace.tb_frame.f_globals.get("__jinja_template__")
        if template is not None:
            line = template.get_corresponding_lineno(trace.tb_lineno)
        trace = trace.tb_next
    return line


def _sentence(error: Exception) -> str:
    """What went wrong, without the data: the texts of other errors may quote it."""
    if isinstance(error, jinja2.TemplateError):
        return str(error.message or "the template cannot be rendered").rstrip(".")
    if isinstance(error, RecursionError):
        return "it calls itself too deeply"
    if isinstance(error, TypeError | ZeroDivisionError):
        return str(error)
    return f"{type(error).__name__} while rendering"


def _hint(error: Exception) -> str | None:
    if isinstance(error, jinja2.UndefinedError):
        return "guard what may be absent: {% if x %}...{% endif %}, or @?x"
    return None
