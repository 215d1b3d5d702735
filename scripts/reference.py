"""`make docs`: write docs/reference/*.md from the code: commands, settings, errors, activities, rules of the language.

`pages()` gives the same text on every machine, so that a test can compare it with what is committed.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import re
import sys
import textwrap
import types
import typing
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

TESTS = Path(__file__).parent.parent / "tests"
FOLDER = Path(__file__).parent.parent / "docs" / "reference"
NOTE = "<!-- Generated from the code by scripts/reference.py. Do not edit: change the code and run `make docs`. -->"
GLOBAL_FLAGS = "`--traceback` may stand anywhere on the line: it adds a stack trace to an error."


def pages() -> dict[str, str]:
    """Every page of the reference: file name -> text."""
    found = {
        "cli.md": cli_page(),
        "configuration.md": configuration_page(),
        "errors.md": errors_page(),
        "activities.md": activities_page(),
        "language.md": language_page(),
    }
    return {name: "\n".join([NOTE, "", *lines]).strip() + "\n" for name, lines in found.items()}


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """The lines of a Markdown table, and an empty one."""
    names = list(head)
    for row in (names, ["---"] * len(names), *rows):
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
    yield ""


def paragraph(text: str | None) -> str:
    """A docstring on one line per paragraph, which is how Markdown is written here."""
    blocks = inspect.cleandoc(text or "").split("\n\n")
    return "\n\n".join(" ".join(block.split()) for block in blocks)


# --- Commands ---------------------------------------------------------------------------------------------------------


def cli_page() -> Iterator[str]:
    """The page on the command line."""
    from typer.main import get_command

    from pipelex.cli.main import FAILURE, INTERRUPTED, SUCCESS, USAGE, app
    from pipelex.cli.validate import INVALID, NO_VERDICT, VALID

    root: Any = get_command(app)
    yield from ("# Command line", "", paragraph(root.help), "", GLOBAL_FLAGS, "")
    yield from ("Results go to stdout, everything else to stderr.", "", "## Exit codes", "")
    codes = [
        (SUCCESS, "done"),
        (FAILURE, "it failed; the message on stderr says why"),
        (USAGE, "the command line is wrong: nothing was attempted"),
        (INTERRUPTED, "interrupted with Ctrl-C"),
    ]
    verdicts = (
        f"`pipelex validate`: {VALID} valid, {INVALID} invalid, {NO_VERDICT} no verdict (a file is missing, say)."
    )
    yield from table(("code", "meaning"), ([str(code), meaning] for code, meaning in codes))
    yield from (verdicts, "A second signal makes `pipelex worker` leave at once, with 128 + the signal's number.", "")
    for name, command in commands(root, "pipelex"):
        yield from (f"## {name}", "", paragraph(command.help), "", "```text", usage(name, command), "```", "")
        yield from options(command)


def commands(group: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    """Every command that does something, with its whole name, in the order of `--help`."""
    for name in group.list_commands(None):
        command = group.commands[name]
        if hasattr(command, "commands"):
            yield from commands(command, f"{prefix} {name}")
        else:
            yield f"{prefix} {name}", command


def usage(name: str, command: Any) -> str:
    """The line that shows how a command is written."""
    return " ".join([name, *(param.metavar for param in command.params if is_argument(param)), "[OPTIONS]"])


def is_argument(param: Any) -> bool:
    """Whether a parameter stands by its place, without a dash."""
    return not param.opts[0].startswith("-")


def options(command: Any) -> Iterator[str]:
    """The table of the arguments and flags of a command."""
    rows = []
    for param in command.params:
        if getattr(param, "hidden", False):
            continue
        names = [param.metavar] if is_argument(param) else [*param.opts, *param.secondary_opts]
        value = "" if is_argument(param) or param.is_flag else f" {param.metavar or value_name(param)}"
        default = "" if param.default in (None, False) or param.required else f" Default: `{param.default}`."
        rows.append([", ".join(f"`{name}{value}`" for name in names), " ".join((param.help or "").split()) + default])
    return table(("argument or flag", "meaning"), rows)


def value_name(param: Any) -> str:
    """What stands for the value of a flag that gives it no name."""
    annotation = param.type_descriptor.annotation
    return {int: "N", Path: "PATH"}.get(annotation, str(param.name).upper())


# --- Settings ---------------------------------------------------------------------------------------------------------

LAYERS = """
Settings are read from TOML files and the environment. Each layer wins over the one before it:

1. the defaults below;
2. `~/.pipelex/pipelex.toml`, then its variants ({home} replaces `~/.pipelex`);
3. `.pipelex/pipelex.toml` of the project, then its variants;
4. environment variables: `{prefix}SECTION__KEY`, for instance `{prefix}TEMPORAL__IS_ENABLED=true`;
5. what the command line or the program says.

The variants of a folder are `pipelex_local.toml`, `pipelex_<environment>.toml`, `pipelex_<mode>.toml`,
`pipelex_override.toml`, `pipelex_temporary_override.toml`, in this order. The environment is `PIPELEX_ENV`
({environments}; `dev` unless set) and the mode is `RUN_MODE` (`normal` unless set).

The project is the first folder, from the current one upwards, that holds one of {marks}; the home folder is left out.
Relative paths start there.

`${{NAME}}`, `${{env:NAME}}` and `${{env:A|secret:B}}` are replaced by environment variables. `.env` files of
`~/.pipelex` and of the current folder complete the environment and never override it. Keys of APIs stay variables until
they are needed. `PIPELEXPATH` holds folders of methods, separated as in `PATH`, and replaces `dirs` of `[library]`.

A duration is `"90s"`, `"10m"`, `"1h30m"`, `"0:10:00"`, or a number of seconds. An unknown key is an error that names
the file, the line and the closest known key.
"""


NAMED = {
    "activity_queues": "activity",
    "handle_options": "handle",
    "handles": "handle",
    "keys": "key",
    "namespaces": "namespace",
    "profiles": "profile",
    "queue_options": "queue",
    "scopes": "scope",
    "temporal_server_configs": "server",
}
"""What the names of the tables inside a table are names of."""


def configuration_page() -> Iterator[str]:
    """The page on settings: how they are found, then every table."""
    from pipelex.config.load import ENVIRONMENTS, PREFIX
    from pipelex.config.project import MARKS
    from pipelex.config.settings import PLACES, Settings

    facts = {
        "home": "`PIPELEX_HOME`",
        "prefix": PREFIX,
        "environments": quoted(ENVIRONMENTS),
        "marks": quoted(MARKS),
    }
    yield from ("# Configuration", LAYERS.format(**facts))
    for name, field in Settings.model_fields.items():
        if name not in PLACES:
            yield from section((name,), field.annotation)
    yield from models_known()


def quoted(words: Iterable[str]) -> str:
    """Words as code, with commas."""
    return ", ".join(f"`{word}`" for word in words)


def section(path: tuple[str, ...], model: Any) -> Iterator[str]:
    """One table of settings, then the tables inside it."""
    about = paragraph(model.__doc__)
    # The docstring names the table, which is the heading here.
    about = re.sub(r"^`[^`]*`[:.] (.)", lambda found: found[1].upper(), about)
    yield from (f"## `[{'.'.join(path)}]`", "", about, "")
    rows: list[list[str]] = []
    below: list[tuple[tuple[str, ...], Any]] = []
    notes = field_notes(model)
    for name, field in model.model_fields.items():
        inner, is_named = table_of(field.annotation)
        if inner is not None:
            named = (f"<{NAMED[name]}>",) if is_named else ()
            below.append(((*path, name, *named), inner))
        else:
            default = "required" if field.is_required() else f"`{shown(field.default)}`"
            rows.append([f"`{name}`", kind_of(field), default, notes[name]])
    if rows:
        has_notes = any(row[3] for row in rows)
        head = ("key", "type", "default", "note")
        yield from table(head if has_notes else head[:3], rows if has_notes else (row[:3] for row in rows))
    for place, inner in below:
        yield from section(place, inner)


def table_of(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """The settings inside a field, when it is a table; and whether it is a table of named tables."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) is dict:
        return table_of(arguments[1])[0], True
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return next((found for found in (table_of(item)[0] for item in arguments) if found), None), False
    return None, False


def kind_of(field: FieldInfo) -> str:
    """The type of a key in words, with its bounds."""
    return ", ".join([words(field.annotation), *bounds(field.metadata)])


def words(annotation: Any) -> str:
    """A type in the words of TOML."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return ", ".join([words(arguments[0]), *bounds(arguments[1:])])
    if origin is typing.Literal:
        return " or ".join(f'`"{item}"`' for item in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(words(item) for item in arguments if item is not type(None))
    if origin is tuple:
        return f"list of {words(arguments[0])}"
    if origin is dict:
        return f"table of {words(arguments[1])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "table of " + ", ".join(f"`{name}`" for name in annotation.model_fields)
    names = {bool: "boolean", int: "integer", float: "number", str: "text", timedelta: "duration", Path: "path"}
    return names.get(annotation, "anything")


def bounds(metadata: Iterable[Any]) -> Iterator[str]:
    """The limits that pydantic checks, as far as a reader cares."""
    signs = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
    for item in metadata:
        if isinstance(item, FieldInfo):
            yield from bounds(item.metadata)
        for name, sign in signs.items():
            limit = getattr(item, name, None)
            if limit is not None:
                yield f"{sign} {shown(limit).strip(chr(34))}"


def shown(value: Any) -> str:
    """A default as one would write it in TOML."""
    if value is None or value is PydanticUndefined:
        return "unset"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, timedelta):
        return f'"{duration(value)}"'
    if isinstance(value, str | Path):
        return f'"{value}"'
    if isinstance(value, tuple | list):
        return f"[{', '.join(shown(item) for item in value)}]"
    return "{}" if isinstance(value, Mapping) and not value else str(value)


def duration(value: timedelta) -> str:
    """A duration in its largest whole unit."""
    seconds = int(value.total_seconds())
    for size, unit in ((3600, "h"), (60, "m")):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


@cache
def field_notes(model: type[BaseModel]) -> dict[str, str]:
    """What the source says of each field: the text under it, else the comment above it."""
    source = textwrap.dedent(inspect.getsource(model))
    lines = source.splitlines()
    body = typing.cast(ast.ClassDef, ast.parse(source).body[0]).body
    notes = dict.fromkeys(model.model_fields, "")
    for base in model.__bases__:
        if issubclass(base, BaseModel) and base.model_fields:
            notes |= field_notes(base)
    for at, node in enumerate(body):
        if not (isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id in notes):
            continue
        following = body[at + 1] if at + 1 < len(body) else None
        if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            notes[node.target.id] = " ".join(str(following.value.value).split())
            continue
        above: list[str] = []
        for line in reversed(lines[: node.lineno - 1]):
            if not line.strip().startswith("#"):
                break
            above.insert(0, line.strip(" #"))
        notes[node.target.id] = " ".join(above)
    return notes


def models_known() -> Iterator[str]:
    """What is known of models without any file of the user's."""
    from pipelex.inference.backends import ALL_SDKS, SIMULATED
    from pipelex.inference.tables import defaults, read_table, toml_files

    folder = defaults()
    yield from ("## Models known out of the box", "")
    yield from ("The guide [Models](../guides/models.md) says how to add to these.", "", "### Backends", "")
    callable_sdks = (*ALL_SDKS, SIMULATED)
    rows = []
    for name, backend in read_table(folder / "backends.toml").items():
        endpoint = backend.get("endpoint", "")
        variable = backend.get("endpoint_variable")
        endpoint = f"`{endpoint}`" + (f" or `{variable}`" if variable else "") if endpoint else ""
        key = backend.get("api_key", "")
        is_called = "yes" if backend["sdk"] in callable_sdks else "not by this version"
        keys = " or ".join(f"`{variable}`" for variable in key.strip("${}").split("|") if variable)
        rows.append([f"`{name}`", is_called, endpoint.replace("|", " or "), keys])
    yield from table(("backend", "can be called", "endpoint", "key"), rows)
    yield from ("### Handles with known prices or limits", "")
    handles = []
    for file in toml_files(folder / "backends"):
        backend_name = file.name.removesuffix(".toml")
        for handle, model in read_table(file).items():
            if handle != "defaults":
                costs = ", ".join(f"{name} {price}" for name, price in model.get("costs", {}).items())
                handles.append([f"`{handle}`", f"`{backend_name}`", costs])
    yield from table(("handle", "backend", "USD per million tokens"), handles)
    yield from ("Any other handle is routed by its shape; the first pattern that fits counts.", "")
    routes = read_table(folder / "routing_profiles.toml")["profiles"]["built_in"]["routes"]
    yield from table(("pattern", "backend"), ([f"`{pattern}`", f"`{name}`"] for pattern, name in routes.items()))
    for file in toml_files(folder / "deck"):
        for family, tables in read_table(file).items():
            yield from deck_tables(family, tables)


def deck_tables(family: str, tables: Mapping[str, Any]) -> Iterator[str]:
    """The names of one family of the built-in deck."""
    sigils = {"presets": "$", "aliases": "@", "waterfalls": "~"}
    rows = []
    for kind, sigil in sigils.items():
        for name, found in tables.get(kind, {}).items():
            if isinstance(found, list):
                meaning = "the first of " + quoted(found)
            elif isinstance(found, dict):
                others = ", ".join(f"{key} {value}" for key, value in found.items() if key != "model")
                meaning = f"`{found['model']}`" + (f", {others}" if others else "")
            else:
                meaning = f"`{found}`"
            rows.append([f"`{sigil}{name}`", meaning])
    given = tables.get("choice_defaults") or {"documents": tables.get("choice_default")}
    yield from (f"### Names of `{family}` models", "")
    yield "Without a model in the pipe: " + ", ".join(f"{key}: `{value}`" for key, value in given.items()) + "."
    yield ""
    yield from table(("name", "stands for"), rows)


# --- Errors -----------------------------------------------------------------------------------------------------------


def errors_page() -> Iterator[str]:
    """The page on errors: the tree, then each class."""
    from pipelex import errors

    lines = inspect.cleandoc(errors.__doc__ or "").splitlines()
    tree = lines[lines.index("PipelexError") :]
    yield from (
        "# Errors",
        "",
        "Every error is a `pipelex.errors.PipelexError` and says what is wrong, where, and what",
    )
    yield from ("to do. `code` is stable: programs may rely on it. The middle column says who can act.", "")
    yield from ("```text", *tree, "```", "")
    yield from ("A durable run raises the same class as a run in one process, with the same fields.", "")
    rows = []
    for found in vars(errors).values():
        if inspect.isclass(found) and issubclass(found, errors.PipelexError) and not found.__name__.startswith("_"):
            extra = [name for name in found.fields if name != "problems"]
            about = paragraph(found.__doc__) + (f" Fields: {quoted(extra)}." if extra else "")
            rows.append([f"`{found.__name__}`", f"`{found.code}`", about])
    yield from table(("class", "code", "meaning"), rows)
    yield "`LanguageError`, `LibraryError` and `ConfigError` carry `problems`: all that was found, not just the first."
    yield f"The fields of a problem: {quoted(errors.Problem.__dataclass_fields__)}."


# --- Activities -------------------------------------------------------------------------------------------------------


def activities_page() -> Iterator[str]:
    """The page on what a run is in Temporal: the workflow, and each activity with its request and reply."""
    from pipelex.temporal.observability import PipeProgress
    from pipelex.temporal.routing import REPLIES
    from pipelex.temporal.settings import ACTIVITIES, KEYED_ACTIVITIES, SEARCH_ATTRIBUTE_TYPES, SEARCH_ATTRIBUTES
    from pipelex.temporal.workflow import PROGRESS, WORKFLOW

    yield from (
        "# Workflows and activities",
        "",
        "These names are durable: they are in histories and never change.",
        "",
    )
    yield from (f"One workflow type, `{WORKFLOW}`, runs every pipe. It answers the query `{PROGRESS}`:", "")
    yield from fields(PipeProgress)
    more = [name for name in SEARCH_ATTRIBUTE_TYPES if name not in SEARCH_ATTRIBUTES]
    yield from (f"Search attributes, all of type Keyword: {quoted(SEARCH_ATTRIBUTES)}.", "")
    typed = ", ".join(f"`{name}` ({SEARCH_ATTRIBUTE_TYPES[name]})" for name in more)
    yield from (f"Search attributes on demand: {typed}.", "")
    for request, reply in REPLIES.items():
        name = request.activity
        key = "the name of the function" if "function_name" in request.model_fields else "the handle of the model"
        routed = f" Routes may tell calls apart by {key}." if name in KEYED_ACTIVITIES else ""
        yield from (f"## {name}", "", paragraph(request.__doc__) + routed, "")
        yield from (f"Request, `{request.__name__}`:", "")
        yield from fields(request)
        yield from (f"Reply, `{reply.__name__}`: {paragraph(reply.__doc__)}", "")
        yield from fields(reply)
    others = [name for name in ACTIVITIES if name not in {request.activity for request in REPLIES}]
    yield from ("## Names for later", "", "Routes may name these activities; this version calls none of them:")
    yield from (quoted(others) + ".", "")


def fields(model: type[BaseModel]) -> Iterator[str]:
    """The table of the fields of a model that crosses the wire."""
    rows = []
    for name, field in model.model_fields.items():
        annotation = field.annotation
        kind = (
            annotation.__name__ if isinstance(annotation, type) and not typing.get_args(annotation) else str(annotation)
        )
        kind = re.sub(r"[a-z_0-9.]+\.(?=[A-Z])", "", kind)
        default = "required" if field.is_required() else f"`{shown(field.default)}`"
        default = "empty" if isinstance(field.default, BaseModel) else default
        rows.append([f"`{name}`", f"`{kind}`", default])
    return table(("field", "type", "default"), rows)


# --- Language ---------------------------------------------------------------------------------------------------------


def language_page() -> Iterator[str]:
    """The numbered rules, each with its codes and the cases that test it."""
    from pipelex.language.rules import RULES

    cases = Counter(
        (case.rule, case.is_valid and not case.code)
        for file in sorted(TESTS.glob("*/rule_cases_*.py"))
        for case in rule_cases(file)
    )
    runtime = load(TESTS / "rules" / "test_rules_coverage.py").IN_A_RUNTIME
    cases.update((number, not code) for number, code, _ in runtime)
    yield "# The rules of the language"
    yield ""
    yield "What `pipelex validate` checks. *Warning or error*: a warning as a rule, an error with `--strict`."
    yield "Warnings never block. *Kept* and *broken* count the cases that test a rule: files that are accepted without"
    yield "a word, and files that are told the code."
    yield ""
    for group in dict.fromkeys(rule.group for rule in RULES):
        yield f"## {group}"
        yield ""
        rows = (
            (
                str(rule.number),
                rule.text,
                rule.level,
                ", ".join(f"`{code}`" for code in rule.codes),
                str(cases[rule.number, True]),
                str(cases[rule.number, False]),
            )
            for rule in RULES
            if rule.group == group
        )
        yield from table(("rule", "asks that", "else", "code", "kept", "broken"), rows)


def rule_cases(file: Path) -> list[Any]:
    """The table of rule cases of a suite."""
    module = load(file)
    return list(getattr(module, "RULES", None) or module.CASES)


def load(file: Path) -> Any:
    """Import a file of the tests by its path."""
    spec = importlib.util.spec_from_file_location(f"reference_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    """Write the pages."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, "utf-8")
        print(f"wrote docs/reference/{name}")


if __name__ == "__main__":
    main()
