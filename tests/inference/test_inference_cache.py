"""The reply cache: what is asked again is answered from files, and only what was paid for is kept there."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from pipelex.errors import PipelexError
from pipelex.inference.deck import Deck
from pipelex.inference.performer import Performer
from pipelex.inference.settings import CacheSettings, InferenceSettings
from pipelex.pipes.requests import (
    Attachment,
    FunctionRequest,
    ImageRequest,
    ModelSetting,
    ObjectRequest,
    TextRequest,
    Usage,
)
from pipelex.storage.local import LocalBlobs
from pipelex.testing.provider_stub import PIXEL, StubAnswer, StubProvider
from pipelex.values.slots import Slot

CITY = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}


class Bench:
    """A performer with a cache, over a stub that counts."""

    def __init__(self, tmp_path: Path, stub: StubProvider, *, is_enabled: bool = True, ttl: str = "7d") -> None:
        self.folder = tmp_path / "cache"
        self.blobs = LocalBlobs(tmp_path / "blobs")
        self.stub = stub
        environ = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": stub.base_url}
        settings = InferenceSettings(cache=CacheSettings(is_enabled=is_enabled, ttl=ttl, path=self.folder))
        self.performer = Performer(
            settings, Deck.load([], environ), self.blobs, functions={"f": lambda working_memory: "x"}
        )

    async def text(self, prompt="hi", attachments=(), **setting):
        model = ModelSetting(handle="gpt-4o", **setting)
        return await self.performer.perform(TextRequest(model=model, prompt=prompt, attachments=attachments))

    @property
    def calls(self) -> int:
        return len(self.stub.requests)

    @property
    def kept(self) -> list[Path]:
        return sorted(self.folder.rglob("*.json"))


@pytest.fixture
async def stub():
    async with StubProvider() as stub:
        yield stub


async def test_a_second_call_is_answered_from_the_cache_for_nothing_and_says_so(tmp_path, stub):
    bench = Bench(tmp_path, stub)
    first, second = await bench.text(), await bench.text()
    assert (bench.calls, first.text) == (1, second.text)
    assert (first.usage.calls, first.usage.cached_calls) == (1, 0)
    assert second.usage == Usage(cached_calls=1)
    # Another process finds it, too; nothing but replies and a .gitignore is there.
    assert (await Bench(tmp_path, stub).text()).usage.cached_calls == 1
    assert {file.suffix for file in bench.folder.rglob("*") if file.is_file()} == {".json", ""}
    assert bench.folder.stat().st_mode & 0o77 == 0


async def test_objects_lists_of_parameters_and_files_are_told_apart(tmp_path, stub):
    bench = Bench(tmp_path, stub)
    png = f"data:image/png;base64,{PIXEL}"
    different = [
        {"prompt": "a"},
        {"prompt": "b"},
        {"prompt": "a", "temperature": 0.5},
        {"prompt": "a", "attachments": (Attachment(kind="image", url=png),)},
    ]
    for asked in [*different, *different]:
        await bench.text(**asked)
    assert (bench.calls, len(bench.kept)) == (4, 4)
    made = ObjectRequest(model=ModelSetting(handle="gpt-4o"), prompt="a", name="City", output_schema=CITY)
    replies = [await bench.performer.perform(made) for _ in range(2)]
    assert replies[0].data == replies[1].data
    assert [reply.usage.cached_calls for reply in replies] == [0, 1]
    assert bench.calls == 5


async def test_it_is_off_unless_the_settings_or_the_request_ask_for_it(tmp_path, stub):
    bench = Bench(tmp_path, stub, is_enabled=False)
    await bench.text()
    await bench.text()
    assert (bench.calls, bench.kept) == (2, [])
    await bench.text(use_cache=True)
    assert (await bench.text(use_cache=True)).usage.cached_calls == 1
    on = Bench(tmp_path, stub)
    assert (await on.text(use_cache=False)).usage.calls == 1
    assert (await on.text()).usage.cached_calls == 1


async def test_another_endpoint_is_another_model(tmp_path, stub):
    await Bench(tmp_path, stub).text()
    async with StubProvider() as other:
        assert (await Bench(tmp_path, other).text()).usage.calls == 1


async def test_an_old_or_a_broken_entry_is_as_if_it_were_not_there(tmp_path, stub):
    bench = Bench(tmp_path, stub)
    await bench.text()
    (file,) = bench.kept
    whole = file.read_text()
    old = json.loads(whole) | {"time": json.loads(whole)["time"] - timedelta(days=8).total_seconds()}
    for number, broken in enumerate((whole[:40], "[]", "", "\x00", json.dumps(old), whole.replace("TextReply", "X"))):
        file.write_text(broken)
        assert (await bench.text()).usage.calls == 1, broken
        assert bench.calls == number + 2
        assert (await bench.text()).usage.cached_calls == 1


async def test_failures_functions_and_simulated_replies_are_never_kept(tmp_path, stub):
    bench = Bench(tmp_path, stub)
    for answer in (StubAnswer(status=500), StubAnswer(text="")):
        stub.behaviour = lambda asked, before, answer=answer: answer
        with pytest.raises(PipelexError):
            await bench.text()
    await bench.text(backend="simulated")
    function = FunctionRequest(function_name="f", memory={}, output=Slot("native.Text"), concepts={})
    await bench.performer.perform(function)
    assert bench.kept == []


async def test_an_image_that_is_no_longer_stored_is_made_again(tmp_path, stub):
    bench = Bench(tmp_path, stub)
    request = ImageRequest(model=ModelSetting(handle="gpt-image-1"), prompt="a cat")
    first = await bench.performer.perform(request)
    again = await bench.performer.perform(request)
    assert (again.images, again.usage.cached_calls) == (first.images, 1)
    for blob in (tmp_path / "blobs").rglob("*.*"):
        blob.unlink()
    assert (await bench.performer.perform(request)).usage.calls == 1


async def test_a_folder_that_cannot_be_written_costs_no_reply(tmp_path, stub):
    (tmp_path / "cache").write_text("in the way")
    assert (await Bench(tmp_path, stub).text()).usage.calls == 1
