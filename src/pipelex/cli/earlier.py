"""What was typed for earlier versions: flags that change nothing, flags and commands that are gone. User's machine."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from typer._click.exceptions import NoSuchOption

Sentences = Mapping[str, str]

_IN_SANDBOX: Final = "workflows always run in the sandbox"
_NO_SERVER: Final = "methods are checked without any server"

IDLE_RUN: Final[Sentences] = {
    "--graph-full-data": "index.html always holds what flowed, and execution_graph.html never does",
    "--graph-no-data": "execution_graph.html never holds what flowed; index.html does, --no-graph leaves it out",
    "--mock-usage": "a dry run consumes nothing; --simulate makes usage up",
    "--local": "a run is always made here, or with --temporal by your own workers",
}
IDLE_VALIDATE: Final[Sentences] = {"--temporal": _NO_SERVER, "--no-temporal": _NO_SERVER}
IDLE_WORKER: Final[Sentences] = {"--no-sandbox": _IN_SANDBOX, "--unit-testing": "workers of tests are like all others"}
"""Flags that are accepted and change nothing, by command; the sentences say what holds now."""

_HERE: Final = "run it in this process, or with --temporal on workers of your own"
_NO_KIT: Final = "nothing has to be done: built-in models and settings come with the package, yours are laid over them"

GONE: Final[Sentences] = {
    "--hosted": _HERE,
    "--base-url": _HERE,
    "pipelex update": _NO_KIT,
    "pipelex migrate": "nothing has to be done: settings of earlier versions are read; see pipelex doctor",
    "pipelex fix": "pipelex validate bundle PATH names older spellings, and what to write in their place",
    "pipelex login": "there is no account: put the key of a provider into .env; see pipelex doctor",
    "pipelex resolve": "see where a pipe is from with: pipelex which CODE",
    "pipelex codegen": "write a class for the results you want typed: result.main_stuff_as(YourClass)",
    "pipelex plugins": "there are none: Temporal comes with pipelex[temporal]",
    "pipelex usage-stats": "nothing is collected: what a run consumed is in its cost_report.json",
    "pipelex build runner": "a run takes three lines of Python: see pipelex.pipe_run",
    "pipelex build structures": "write a class for the results you want typed: result.main_stuff_as(YourClass)",
    "pipelex build pipe": "start a method with: pipelex new",
    "pipelex graph render": "draw a method with: pipelex graph BUNDLE, a run with: pipelex graph --run RUN_ID",
}
"""What is gone, and what to do instead."""


def today(ctx: Any, words: list[str], idle: Sentences) -> list[str]:
    """The words of a line without the flags that change nothing, with a warning for each."""
    end = words.index("--") if "--" in words else len(words)
    given = words[:end]
    if not ctx.resilient_parsing:
        warn([flag for flag in idle if flag in given], idle)
    return [*(word for word in given if word not in idle), *words[end:]]


def warn(flags: Iterable[str], idle: Sentences, say: Callable[[str], object] | None = None) -> None:
    """Say of each of those flags what holds now; `say` adds the word warning by itself."""
    from pipelex.cli import session

    for flag in flags:
        sentence = f"{flag} changes nothing: {idle[flag]}"
        say(sentence) if say else session.say(f"warning: {sentence}")


def orchestrated(ctx: Any, name: str) -> str:
    """The flag that `--orchestrator NAME` means."""
    if name != "temporal":
        raise NoSuchOption(
            "--orchestrator",
            message=f"there is no orchestrator {name!r}",
            possibilities=["--temporal", "--no-temporal"],
            ctx=ctx,
        )
    return "--temporal"
