"""What is known of providers without any file of the user's: one key is enough, and the guide says the truth."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipelex.inference.backends import CHAT_SDKS, EXTRA_OF_SDK
from pipelex.inference.deck import Deck
from pipelex.inference.tables import defaults, read_table
from pipelex.pipes.models import ModelAsk
from pipelex.testing.provider_stub import StubProvider

ROOT = Path(__file__).parents[2]


def test_nothing_of_an_sdk_is_imported_before_it_is_needed():
    code = (
        "import sys, pipelex.inference.performer, pipelex.inference.providers.openai_compatible; "
        "sdks = 'pydantic_ai', 'anthropic', 'openai', 'boto3', 'google.genai'; "
        "print([name for name in sdks if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown == "[]\n"


ONE_KEY = {
    "OPENAI_API_KEY": "gpt-4o",
    "ANTHROPIC_API_KEY": "claude-4.6-sonnet",
    "GOOGLE_API_KEY": "gemini-3.8-flash",
    "GEMINI_API_KEY": "gemini-3.8-flash",
    "OPENROUTER_API_KEY": "openai/gpt-4o",
}


@pytest.mark.parametrize("variable", ONE_KEY)
def test_one_key_is_enough_for_every_preset(variable):
    deck = Deck.load([], {variable: "k"})
    assert deck.setting(ModelAsk(family="llm", choice="$default", default="for_text")).handle == ONE_KEY[variable]
    for preset in deck._tables["llm"]["presets"]:
        handle = deck.setting(ModelAsk(family="llm", choice=f"${preset}", default="for_text")).handle
        assert deck.backends.has_credentials(deck.backends.route(handle, family="llm").backend), preset
    judge = deck.setting(ModelAsk(family="judgment", choice=None, default="for_object"))
    assert judge.handle == ONE_KEY[variable]


def test_the_table_of_providers_says_what_the_defaults_say():
    backends = read_table(defaults() / "backends.toml")
    page = (ROOT / "docs" / "guides" / "providers.md").read_text("utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if "| `" in line]
    told = {row[1].strip("`"): row for row in rows}
    callable_sdks = {*EXTRA_OF_SDK, *CHAT_SDKS}
    assert set(told) == {name for name, table in backends.items() if table.get("sdk") in callable_sdks}
    for name, (_, _, variables, extra, played) in told.items():
        table = backends[name]
        assert extra.strip("`") == EXTRA_OF_SDK.get(table["sdk"], ""), name
        for variable in variables.replace("`", "").replace(",", " ").split():
            if variable.isupper() and variable != "AWS":
                assert variable in json.dumps(table), f"{name}: {variable}"
        assert StubProvider().knows("/v1" + played.split("`")[1]), name


def test_every_extra_is_in_pyproject_and_in_all():
    import tomllib

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for extra in set(EXTRA_OF_SDK.values()):
        assert extras[extra][0].startswith(f"pydantic-ai-slim[{extra}]")
        assert extra in extras["all"][0]


async def test_the_live_check_asks_those_whose_key_is_here(tmp_path):
    async with StubProvider() as stub:
        environ = {
            "PATH": "/usr/bin",
            "HOME": str(tmp_path),
            "ANTHROPIC_API_KEY": "k",
            "ANTHROPIC_BASE_URL": stub.root_url,
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(ROOT / "scripts" / "live.py"),
            cwd=tmp_path,
            env=environ,
            stdout=asyncio.subprocess.PIPE,
        )
        shown = (await process.communicate())[0].decode()
        assert process.returncode == 0
        assert "anthropic   claude-4.5-haiku         ok, 'ok' and {'city':" in shown
        assert "openai      gpt-4.1-nano             no key here" in shown
        assert stub.calls == 2
