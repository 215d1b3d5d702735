from __future__ import annotations

from typing import Any

import pytest

from pipelex.errors import PipeError
from pipelex.inprocess.host import InProcessHost
from pipelex.library.library import library_from_texts
from pipelex.pipes.models import model_asks
from pipelex.pipes.port import PipeCall, Plan, RunInfo
from pipelex.pipes.requests import ModelSetting
from pipelex.testing.scripted import ScriptedPerformer
from pipelex.values.decode import decode
from pipelex.values.value import Memory, Value

SOURCE = """
domain = "t"
main_pipe = "main"
[concept.Card]
description = "A card"
[concept.Card.structure]
title = { type = "text", description = "title", required = true }
day = { type = "date", description = "day" }
kind = { choices = ["red", "blue"], description = "kind" }

[pipe.read]
type = "PipeExtract"
description = "Read"
inputs = { scan = "Document" }
output = "Page[]"
[pipe.card]
type = "PipeLLM"
description = "Card"
inputs = { page = "Page" }
output = "Card"
prompt = "@page"
[pipe.more]
type = "PipeLLM"
description = "Cards"
output = "Card[3]"
prompt = "more"
[pipe.call]
type = "PipeFunc"
description = "f"
inputs = { cards = "Card[]" }
output = "Card[]"
function_name = "f"
[pipe.choose]
type = "PipeCondition"
description = "Never right for a mock"
inputs = { cards = "Card[]" }
output = "Text?"
expression = "cards[0].title"
outcomes = { nothing_like_a_mock = "say" }
default_outcome = "fail"
[pipe.say]
type = "PipeLLM"
description = "Say"
inputs = { cards = "Card[]" }
output = "Text"
prompt = "{{ cards }}"
[pipe.print]
type = "PipeCompose"
description = "Print"
inputs = { cards = "Card[]", said = "Text" }
output = "Text"
template = "{% for card in cards %}{{ card.title }} {{ card.day.year }}. {% endfor %}$said"
[pipe.main]
type = "PipeSequence"
description = "All"
inputs = { scan = "Document" }
output = "Text"
steps = [
  { pipe = "read", result = "pages" },
  { pipe = "card", batch_over = "pages", batch_as = "page", result = "cards" },
  { pipe = "more", result = "extra" },
  { pipe = "call", result = "cards" },
  { pipe = "choose", result = "chosen" },
  { pipe = "say", result = "said" },
  { pipe = "print", result = "printed" },
]
"""


async def dry_run() -> Any:
    library, _ = library_from_texts({"t.mthds": SOURCE})
    models = {ask.key: ModelSetting(handle="m") for ask in model_asks(library.crate).values()}
    performer = ScriptedPerformer()
    host = InProcessHost(library, Plan(models=models, is_dry=True), performer)
    scan = Value(concept="native.Document", data={"url": "x"})
    call = PipeCall(pipe=library.entry(None), run=RunInfo(run_id="r"), memory=Memory(root={"scan": scan}))
    return library, performer, await host.run_pipe(call)


async def test_a_dry_run_calls_nobody_and_fits_everywhere() -> None:
    library, performer, result = await dry_run()
    assert performer.requests == []
    assert (result.usage.calls, result.usage.cost_usd) == (0, 0.0)
    stored = result.stored.root
    assert len(stored["pages"].data) == 2
    assert len(stored["extra"].data) == 3
    for card in stored["cards"].data:
        assert card["kind"] in ("red", "blue")
        assert decode(card, library.pipe("t.card").output, library.concepts) == card
    assert stored["printed"].data["text"].endswith("This is a mock text.")
    # Where the author lets a run fail, a dry one goes on with what the pipe declares.
    assert list(stored["chosen"].data) == ["text"]


async def test_two_dry_runs_are_equal() -> None:
    assert (await dry_run())[2] == (await dry_run())[2]


READER = """
domain = "t"
[pipe.show]
type = "PipeCompose"
description = "Show"
inputs = { it = "%s" }
output = "Text"
template = "{{ it.%s.number + 1 }}"
[pipe.choose]
type = "PipeCondition"
description = "Choose"
inputs = { it = "%s" }
output = "Text"
expression = "it.%s.word"
outcomes = { a = "show" }
default_outcome = "show"
"""


@pytest.mark.parametrize("entry", ["show", "choose"])
@pytest.mark.parametrize(
    ("concept", "path", "data"), [("Composite", "x", {"key": {"text": "m"}}), ("JSON", "json_obj.x", {"json_obj": {}})]
)
async def test_a_dry_run_goes_on_where_made_up_data_lacks_what_no_declaration_tells(
    run: Any, entry: str, concept: str, path: str, data: Any
) -> None:
    source, given = READER % (concept, path, concept, path), Value(concept=f"native.{concept}", data=data)
    ran = await run(source, (), {"it": given}, pipe=entry, plan={"is_dry": True})
    assert isinstance(ran.data["text"], str)
    with pytest.raises(PipeError):
        await run(source, (), {"it": given}, pipe=entry)


async def test_a_dry_run_knows_the_components_that_branches_made(run: Any) -> None:
    source = READER % ("Composite", "x", "Composite", "x")
    given = Value(concept="native.Composite", data={"y": {"text": "m"}}, components={"y": "native.Text"})
    with pytest.raises(PipeError):
        await run(source, (), {"it": given}, pipe="show", plan={"is_dry": True})


VERDICT = """
domain = "t"
[concept.Ruling]
description = "What a choice comes to"
[concept.Ruling.structure]
word = { choices = ["go", "stop"], description = "The choice", required = true }
[pipe.rule]
type = "PipeCompose"
description = "Rule"
inputs = { verdict = "Choice" }
output = "Ruling"
construct = { word = %s }
"""


@pytest.mark.parametrize("word", ['{ from = "verdict.choice" }', '{ template = "{{ verdict.choice }}" }'])
async def test_a_dry_run_knows_no_key_of_a_choice_and_takes_one_that_fits(run: Any, word: str) -> None:
    given = Value(concept="native.Choice", data={"choice": "mock choice"})
    ran = await run(VERDICT % word, (), {"verdict": given}, pipe="rule", plan={"is_dry": True})
    assert ran.data == {"word": "go"}
    with pytest.raises(PipeError, match="expected one of go, stop"):
        await run(VERDICT % word, (), {"verdict": given}, pipe="rule")


async def test_a_dry_run_refuses_a_choice_that_is_written_wrong(run: Any) -> None:
    given = Value(concept="native.Choice", data={"choice": "mock choice"})
    with pytest.raises(PipeError, match="expected one of go, stop"):
        await run(VERDICT % '{ template = "halt" }', (), {"verdict": given}, pipe="rule", plan={"is_dry": True})
