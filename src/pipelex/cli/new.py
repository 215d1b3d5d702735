"""`pipelex new`: a directory with a method that works, its inputs, and a test that runs it without a model."""

import re
from pathlib import Path
from typing import Annotated

import typer

BUNDLE = '''\
domain      = "NAME"
description = "Summarize a text"
main_pipe   = "summarize"

# What flows. A concept with a structure is an object: replies of models are checked against it.
[concept.Summary]
description = "What a text says, in short"

[concept.Summary.structure]
title  = { type = "text", description = "A title of ten words at most", required = true }
points = { type = "list", item_type = "text", description = "The main points, a sentence each", required = true }

# What is done. `@text` puts the input into the prompt, between tags; `model` may name another model than the default.
[pipe.summarize]
type        = "PipeLLM"
description = "Summarize a text"
inputs      = { text = "Text" }
output      = "Summary"
prompt      = """
Summarize this text.

@text
"""
'''
INPUTS = """\
{
  "text": "The bridge was closed on Monday for repairs. It opens again on Friday; until then, a ferry runs every hour."
}
"""
TEST = '''\
"""Runs the method with a simulated model: no key, no network. Answers of your own: the guide on testing methods."""

import json
from pathlib import Path

from pipelex import pipe_run_sync

HERE = Path(__file__).parent


def test_NAME_gives_a_summary():
    inputs = json.loads((HERE / "inputs.json").read_text(encoding="utf-8"))
    result = pipe_run_sync(bundle=HERE, inputs=inputs, simulate=True, durable=False)
    summary = result.main_stuff.content
    assert summary.title
    assert summary.points
'''


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name: snake_case, also the domain of the method.")],
) -> None:
    """Start a method: a directory NAME with bundle.mthds, inputs.json, and a test that needs no key."""
    from pipelex.cli import session
    from pipelex.errors import ConfigError

    if (reason := _refused(name)) is not None:
        close = _close(name)
        raise typer.BadParameter(f"{reason}. Did you mean {close}?" if close else reason, param_hint="NAME")
    folder = Path(name)
    texts = {"bundle.mthds": BUNDLE, "inputs.json": INPUTS, f"test_{name}.py": TEST}
    try:
        folder.mkdir()
        for file, text in texts.items():
            (folder / file).write_text(text.replace("NAME", name), encoding="utf-8")
            print(folder / file)
    except FileExistsError:
        hint = "choose another name, or move it away: nothing in it was changed"
        raise ConfigError(f"{name} is there already", where=str(folder.absolute()), hint=hint) from None
    except OSError as error:
        hint = "make the current directory writable for this user"
        raise ConfigError(f"{name} cannot be made: {error.strerror}", where=str(Path.cwd()), hint=hint) from None
    session.say(f"next: pipelex run bundle {name} --simulate   (without a model; leave --simulate out to call one)")
    session.say(f"      pytest {name}   (its test, after pip install pytest)")


def _refused(name: str) -> str | None:
    """Why this cannot be the domain of a method; which are reserved, the language says."""
    from pipelex.errors import LanguageError
    from pipelex.language.findings import SNAKE
    from pipelex.language.parse import parse_bundle

    if not SNAKE.fullmatch(name):
        return f"{name!r} cannot name a method: a name is lower-case letters, digits and underscores, a letter first"
    try:
        parse_bundle(BUNDLE.replace("NAME", name), "bundle.mthds")
    except LanguageError as error:
        return error.found[0].message
    return None


def _close(name: str) -> str | None:
    """The nearest name that can be one."""
    import unicodedata

    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", unicodedata.normalize("NFKD", name))
    words = words.encode("ascii", "ignore").decode()
    plain = re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")
    return next((close for close in (plain, f"my_{plain}") if plain and _refused(close) is None), None)
