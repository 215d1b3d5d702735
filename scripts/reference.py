"""`make docs`: write docs/reference/*.md from the code. Here: commands, errors, activities, metrics, rules.

`pages()` gives the same text on every machine, so that a test can compare it with what is committed.
"""

from __future__ import annotations

import importlib.util
import inspect
import re
import sys
import typing
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from reference_python import python_page
from reference_settings import configuration_page
from reference_text import paragraph, quoted, shown, table

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
        "metrics.md": metrics_page(),
        "python.md": python_page(),
    }
    return {name: "\n".join([NOTE, "", *lines]).strip() + "\n" for name, lines in found.items()}


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
        command = group.get_command(None, name)
        if hasattr(command, "commands"):
            yield from commands(command, f"{prefix} {name}")
        else:
            yield f"{prefix} {name}", command


def usage(name: str, command: Any) -> str:
    """The line that shows how a command is written."""
    return " ".join([name, *(argument_name(param) for param in command.params if is_argument(param)), "[OPTIONS]"])


def argument_name(param: Any) -> str:
    """What an argument is called."""
    return param.metavar or str(param.name).upper()


def is_argument(param: Any) -> bool:
    """Whether a parameter stands by its place, without a dash."""
    return not param.opts[0].startswith("-")


def options(command: Any) -> Iterator[str]:
    """The table of the arguments and flags of a command."""
    rows = []
    for param in command.params:
        if getattr(param, "hidden", False):
            continue
        names = [argument_name(param)] if is_argument(param) else [*param.opts, *param.secondary_opts]
        value = "" if is_argument(param) or param.is_flag else f" {param.metavar or value_name(param)}"
        default = "" if param.default in (None, False) or param.required else f" Default: `{param.default}`."
        rows.append([", ".join(f"`{name}{value}`" for name in names), " ".join((param.help or "").split()) + default])
    return table(("argument or flag", "meaning"), rows)


def value_name(param: Any) -> str:
    """What stands for the value of a flag that gives it no name."""
    annotation = param.type_descriptor.annotation
    return {int: "N", Path: "PATH"}.get(annotation, str(param.name).upper())


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


# --- Metrics ----------------------------------------------------------------------------------------------------------

METRICS = """
What a worker counts and measures. `pipelex worker --metrics-address HOST:PORT` serves it to Prometheus at `/metrics`.
Durations are in seconds. The SDK adds the labels `namespace`, `task_queue`, `activity_type`, `workflow_type` and
`service_name` where they apply. Each worker counts for itself: add them up by label. What is worth an alert is in
[Workers](../guides/workers.md#metrics).
"""
SDK_METRICS = {
    "temporal_activity_schedule_to_start_latency_seconds": (
        "histogram",
        "How long calls waited for a worker. It grows where there are too few workers or slots.",
    ),
    "temporal_activity_execution_latency_seconds": ("histogram", "How long one attempt of a call took."),
    "temporal_activity_succeed_endtoend_latency_seconds": (
        "histogram",
        "How long a call took that succeeded, with its waits and its earlier attempts.",
    ),
    "temporal_workflow_task_schedule_to_start_latency_seconds": (
        "histogram",
        "How long the next step of a run waited for a worker.",
    ),
    "temporal_workflow_endtoend_latency_seconds": ("histogram", "How long a workflow took, from start to end."),
    "temporal_workflow_completed_total": ("counter", "Workflows that ended well: one for each pipe that is a child."),
    "temporal_workflow_failed_total": ("counter", "Workflows that failed."),
    "temporal_workflow_task_execution_failed_total": (
        "counter",
        "Steps that a worker could not compute. Other than 0, some run cannot be replayed.",
    ),
    "temporal_worker_task_slots_available": ("gauge", "How much more a worker would take, by `worker_type`."),
    "temporal_worker_task_slots_used": ("gauge", "How much it holds, by `worker_type`."),
    "temporal_num_pollers": ("gauge", "Open polls, by `poller_type`. 0 for a queue: nobody serves it here."),
    "temporal_sticky_cache_size": ("gauge", "Workflows whose state is kept in memory."),
    "temporal_request_failure_total": ("counter", "Requests to the server that failed, by `operation`."),
}
"""Names of the SDK, as a worker of ours serves them."""


def metrics_page() -> Iterator[str]:
    """The page on what a worker tells those who watch it: our counters, and the SDK's metrics worth a look."""
    from pipelex.temporal.telemetry import COUNTERS, LABELS

    yield from ("# Metrics", "", METRICS.strip(), "", "## What calls consumed", "")
    yield "Counters of `pipelex`. One is there once it is not 0. All have these labels:"
    yield ""
    yield from table(("label", "says"), ([f"`{name}`", meaning] for name, meaning in LABELS.items()))
    rows = (
        (
            f"`{counter.name}_total`",
            counter.counts,
            "; ".join(f"`{name}`: {meaning}" for name, meaning in counter.labels.items()),
        )
        for counter in COUNTERS
    )
    yield from table(("counter", "counts", "more labels"), rows)
    yield from ("The codes of errors are in the [list of errors](errors.md).", "", "## What the SDK measures", "")
    yield from ("The Temporal SDK has many more. These are the ones to look at first.", "")
    yield from table(("metric", "type", "tells"), ([f"`{name}`", *told] for name, told in SDK_METRICS.items()))


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
