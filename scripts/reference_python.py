"""The page on the Python API: every public name with its declaration, as it stands in the source, and what it says."""

from __future__ import annotations

import ast
import inspect
import itertools
import sys
import textwrap
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import Any, cast

from reference_text import paragraph, table

import pipelex

MODULES = {
    "pipelex": "",
    "pipelex.app": "What a `Runtime` loads, and its verdict.",
    "pipelex.values.working_memory": "What a working memory holds.",
    "pipelex.pipes.requests": "What a run consumed: the `usage` of a result.",
    "pipelex.pipes.progress": "How far a run is: the `progress()` of a handle.",
    "pipelex.pipes.record": "What a run did: the `record()` of a handle, or of a result.",
    "pipelex.testing.scripted": "",
    "pipelex.testing.provider_stub": "",
    "pipelex.testing.stub_http": "What all stand-ins for providers have in common.",
    "pipelex.testing.stub_search": "",
    "pipelex.testing.stub_images": "",
    "pipelex.testing.stub_mistral_ocr": "",
    "pipelex.testing.stub_azure_document": "",
    "pipelex.testing.replay": "",
    "pipelex.testing.methods": "",
}
"""The modules that users import, and what is said of them where their own docstring is about something else."""
NAMES = {
    "pipelex": tuple(sorted(pipelex.__all__, key=lambda name: (not name.islower(), name.endswith("Content"), name))),
    "pipelex.app": ("Method", "ValidationReport"),
    "pipelex.values.working_memory": ("Stuff",),
    "pipelex.pipes.requests": ("Usage", "ModelUsage"),
    "pipelex.pipes.progress": ("Progress", "Spent"),
    "pipelex.pipes.record": ("RunRecord", "PipeRecord", "CallRecord", "CallError"),
    "pipelex.testing.stub_http": ("HttpStub",),
}
"""What is told of modules that also have names for us, and of those where another order reads better."""
GIVEN = frozenset({"Method", "Received", "RunHandle", "RunResult", "Runtime", "ValidationReport", "WorkingMemory"})
"""Classes whose objects are made by us: how, is nobody's matter."""
INTRODUCTION = """# Python

Every name that programs and tests may rely on, as the source declares it. What no list here names may change with any
version. The guides show them at work: [From Python](../guides/python.md) and [Test a method](../guides/testing.md).

`import pipelex` costs nothing: a name is loaded when it is first used. `...` stands for what a declaration leaves out.
"""
Function = ast.FunctionDef | ast.AsyncFunctionDef
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def python_page() -> Iterator[str]:
    """The page: one section for each module, one for each name in it."""
    yield INTRODUCTION
    told: set[str] = set()
    for name, about in MODULES.items():
        module = import_module(name)
        names = [found for found in public(module) if found not in told]
        told.update(names)
        yield from (f"## {name}", "", about or paragraph(module.__doc__), "")
        for found in names:
            yield from entry(module, found)


def public(module: ModuleType) -> list[str]:
    """The names that a module offers, in the order of its source or of its list."""
    if module.__name__ in NAMES:
        return [name for name in NAMES[module.__name__] if not name.startswith("__")]
    given = getattr(module, "__all__", None)
    if given is not None:
        return list(given)
    found = [node.name for node in tree(module).body if isinstance(node, (*FUNCTIONS, ast.ClassDef))]
    return [name for name in found if not name.startswith("_") and name != "main"]


def tree(module: ModuleType) -> ast.Module:
    """The source of a module, parsed."""
    return ast.parse(inspect.getsource(module))


def entry(module: ModuleType, name: str) -> Iterator[str]:
    """What is told of one name."""
    value = getattr(module, name)
    yield from (f"### {name}", "")
    if inspect.isclass(value):
        yield from class_entry(value)
    elif inspect.isfunction(value):
        node = cast(Function, parsed(value))
        yield from block([declaration(value, node)])
        yield from (paragraph(value.__doc__), "")
    else:
        yield from constant(module, name)


def parsed(value: Any) -> ast.AST:
    """The definition of a class or of a function."""
    return ast.parse(source(value)).body[0]


def source(value: Any) -> str:
    """The text of a definition."""
    return textwrap.dedent(inspect.getsource(value))


def block(lines: list[str]) -> Iterator[str]:
    """Declarations as one fenced block."""
    yield from ("```py", *lines, "```", "")


def declaration(owner: Any, node: Function) -> str:
    """The head of a function, word for word, without its body."""
    lines = source(owner).splitlines()
    first = node.body[0].lineno
    head = "\n".join(lines[node.lineno - 1 : first - 1])
    return textwrap.dedent(head) + " ..."


def constant(module: ModuleType, name: str) -> Iterator[str]:
    """A name that stands for a value or for a type."""
    for home in (module, *(value for value in list(sys.modules.values()) if is_ours(value))):
        body = tree(home).body if hasattr(home, name) else []
        for at, node in enumerate(body):
            targets = [node.target] if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [])
            if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                following = body[at + 1] if at + 1 < len(body) else None
                is_text = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
                text = str(cast(Any, following).value.value) if is_text else ""
                is_type = not isinstance(node, ast.AnnAssign)
                yield from block([ast.unparse(node) if is_type else f"{name}: {type(getattr(home, name)).__name__}"])
                yield from (paragraph(text), "") if text else ()
                return


def is_ours(value: Any) -> bool:
    """Whether something is a module of the test kit."""
    return isinstance(value, ModuleType) and value.__name__.startswith("pipelex.testing.")


def class_entry(owner: type) -> Iterator[str]:
    """A class: what it is, its declarations, and what each of its members does."""
    parts = [owner, *itertools.takewhile(is_private, owner.__mro__[1:])]
    parents = [base for part in parts for base in part.__bases__ if base is not object and not is_private(base)]
    inherited = {name for base in parents for parent in base.__mro__[:-1] for name in vars(parent)}
    attributes, methods, rows = [], [], []
    for part in parts:
        node = cast(ast.ClassDef, parsed(part))
        attributes += [f"    {line}" for name, line in fields(node, source(part)) if name not in inherited]
        for item in node.body:
            if isinstance(item, FUNCTIONS) and is_told(owner, item, inherited):
                methods += [f"    @{ast.unparse(found).split('(')[0]}" for found in item.decorator_list]
                methods += textwrap.indent(declaration(part, item), "    ").splitlines()
                rows.append((f"`{item.name}`", paragraph(ast.get_docstring(item)).replace("\n\n", " ")))
    names = ", ".join(base.__name__ for base in dict.fromkeys(parents))
    head = f"class {owner.__name__}({names}):" if names else f"class {owner.__name__}:"
    yield from (paragraph(owner.__doc__), "")
    # A blank line between the two, as `make fmt` wants it.
    gap = [""] if attributes and methods else []
    yield from block([head, *attributes, *gap, *methods] if attributes or methods else [head + " ..."])
    if any(about for _, about in rows):
        yield from table(("member", "does"), (row for row in rows if row[1]))


def is_private(owner: type) -> bool:
    """Whether a class is only there for others of its module: what it has, those who inherit from it have."""
    return owner.__name__.startswith("_")


def is_told(owner: type, node: Function, inherited: set[str]) -> bool:
    """Whether a method is part of what a user sees of a class."""
    if node.name == "__init__":
        return owner.__name__ not in GIVEN
    return not node.name.startswith("_") and node.name not in inherited


def fields(node: ast.ClassDef, text: str) -> Iterator[tuple[str, str]]:
    """The attributes of a class that have a type: those it declares, and those it keeps of what it was made with."""
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name) and not item.target.id.startswith("_"):
            is_plain = isinstance(item.value, ast.Constant | ast.Tuple | ast.Dict | ast.List | None)
            shown = item if is_plain else item.annotation
            line = ast.get_source_segment(text, shown) or ""
            yield item.target.id, line if is_plain else f"{item.target.id}: {line} = ..."
    for method in node.body:
        if isinstance(method, ast.FunctionDef) and method.name == "__init__":
            yield from kept(method, text)


def kept(init: ast.FunctionDef, text: str) -> Iterator[tuple[str, str]]:
    """What an object keeps under a public name."""
    arguments = {item.arg: item.annotation for item in (*init.args.args, *init.args.kwonlyargs)}
    for item in ast.walk(init):
        target = item.target if isinstance(item, ast.AnnAssign) else None
        if isinstance(item, ast.Assign) and len(item.targets) == 1:
            target = item.targets[0]
        if not (isinstance(target, ast.Attribute) and ast.unparse(target.value) == "self"):
            continue
        given = item.annotation if isinstance(item, ast.AnnAssign) else arguments.get(target.attr)
        if given is not None and not target.attr.startswith("_"):
            yield target.attr, f"{target.attr}: {ast.get_source_segment(text, given)}"
