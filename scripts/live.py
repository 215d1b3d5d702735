"""`make live`: two short calls to each provider whose key is in the environment, for about two cents in all."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from pipelex.config.load import load_settings
from pipelex.errors import PipelexError
from pipelex.inference.deck import Deck
from pipelex.inference.performer import Performer
from pipelex.pipes.requests import ModelSetting, ObjectRequest, TextRequest, Usage
from pipelex.storage.local import LocalBlobs

CHEAP = {
    "openai": "gpt-4.1-nano",
    "anthropic": "claude-4.5-haiku",
    "google": "gemini-3.5-flash-lite",
    "bedrock": "bedrock-nova-lite",
    "openrouter": "openai/gpt-4o-mini",
    "mistral": "mistral-small-latest",
    "groq": "groq-general",
    "xai": "grok-3-mini",
}
"""A cheap handle of each backend. Azure has none: what it serves is named by its account."""
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "country": {"type": "string"}},
    "required": ["city", "country"],
    "additionalProperties": False,
}


async def ask(performer: Performer, backend: str, handle: str) -> str:
    """A text and an object, and what they took."""
    model = ModelSetting(handle=handle, backend=backend, max_tokens=500)
    began = time.perf_counter()
    text = await performer.perform(TextRequest(model=model, prompt="Answer with the one word: ready"))
    found = await performer.perform(
        ObjectRequest(model=model, prompt="The capital of France.", name="Capital", output_schema=SCHEMA)
    )
    used: Usage = text.usage + found.usage
    cost = "unknown" if used.cost_usd is None else f"{used.cost_usd:.5f} USD"
    seconds = time.perf_counter() - began
    replies = f"{text.text.strip()[:20]!r} and {found.data}"
    return f"ok, {replies}, {used.output_tokens} tokens out, {seconds:.1f} s, cost {cost}"


async def main() -> int:
    """Ask every provider that can be asked; 1 when one of them fails."""
    loaded = load_settings()
    blobs = LocalBlobs(Path(".pipelex/storage"))
    deck = Deck.load([], loaded.environ)
    performer = Performer(loaded.settings.inference, deck, blobs)
    failed = asked = 0
    for backend, handle in CHEAP.items():
        if not deck.backends.has_credentials(deck.backends.route(handle, backend, family="llm").backend):
            print(f"{backend:<11} {handle:<24} no key here", flush=True)
            continue
        asked += 1
        try:
            said = await ask(performer, backend, handle)
        except PipelexError as error:
            failed += 1
            said = f"FAILED\n{error.render()}"
        print(f"{backend:<11} {handle:<24} {said}", flush=True)
    await performer.aclose()
    if not asked:
        print("no provider was asked: export a key, such as OPENAI_API_KEY or ANTHROPIC_API_KEY", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
