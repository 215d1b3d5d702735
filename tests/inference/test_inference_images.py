"""Makers of images over their own APIs: what is sent, what comes back, how jobs last over attempts, every fault."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest

from pipelex.errors import (
    AuthenticationError,
    ConfigError,
    InferenceError,
    ProviderDownError,
    RateLimitError,
    ReplyError,
    RequestRefusedError,
)
from pipelex.inference.checkpoint import KeptCheckpoint
from pipelex.inference.deck import Deck
from pipelex.inference.performer import Performer
from pipelex.inference.settings import InferenceSettings
from pipelex.inprocess.host import InProcessHost
from pipelex.inprocess.recording import NotedCall
from pipelex.inprocess.settings import InProcessSettings
from pipelex.pipes.models import ModelAsk
from pipelex.pipes.port import Plan
from pipelex.pipes.requests import Attachment, ImageRequest, ImagesReply, ModelSetting
from pipelex.pipes.tracing import OFF
from pipelex.storage.local import LocalBlobs
from pipelex.testing.provider_stub import PIXEL, StubAnswer, StubProvider
from pipelex.testing.stub_images import FalStub, GeminiImageStub, ReplicateStub

PNG = base64.b64decode(PIXEL)
KEY = "the-key-of-this-test"
KEYS = dict.fromkeys(("FAL_API_KEY", "REPLICATE_API_TOKEN", "GOOGLE_API_KEY", "XAI_API_KEY"), KEY)
STUBS: dict[str, Any] = {
    "flux-pro": FalStub,
    "replicate-flux-schnell": ReplicateStub,
    "nano-banana-2": GeminiImageStub,
    "grok-imagine-image": StubProvider,
}
BACKENDS = {
    "flux-pro": "fal",
    "replicate-flux-schnell": "replicate",
    "nano-banana-2": "google",
    "grok-imagine-image": "xai",
}
SLOW = [handle for handle in STUBS if issubclass(STUBS[handle], (FalStub, ReplicateStub))]


def make(tmp_path: Path, stub: Any, **settings: Any) -> Performer:
    lines = (f'[{name}]\nendpoint = "{stub.base_url}"\n' for name in BACKENDS.values())
    (tmp_path / "backends.toml").write_text("".join(lines))
    return Performer(InferenceSettings(**settings), Deck.load([tmp_path], KEYS), LocalBlobs(tmp_path / "blobs"))


@pytest.fixture
async def stubs():
    """Starts the stub of a handle."""
    started = []

    async def start(handle: str) -> Any:
        stub = STUBS[handle]()
        await stub.start()
        started.append(stub)
        return stub

    yield start
    for stub in started:
        await stub.aclose()


@pytest.fixture
async def draw(tmp_path, stubs):
    """Asks the maker of a handle, behind its stub, for images."""
    made = []

    async def ask(handle: str, stub: Any, checkpoint: Any = None, settings: Any = None, **more: Any) -> ImagesReply:
        performer = make(tmp_path, stub, **(settings or {}))
        made.append(performer)
        return await performer.perform(image(handle, **more), checkpoint=checkpoint)

    yield ask
    for performer in made:
        await performer.aclose()


def image(handle: str, setting: Any = None, **more: Any) -> ImageRequest:
    return ImageRequest(model=ModelSetting(handle=handle, **(setting or {})), prompt="a cup", **more)


@pytest.mark.parametrize("key", list(KEYS))
def test_one_key_is_all_that_the_presets_need(key):
    deck = Deck.load([], {key: KEY})
    for preset in ("$gen-image", "$gen-image-fast", "$gen-image-high-quality", None):
        handle = deck.setting(ModelAsk("img_gen", preset, "default")).handle
        route = deck.backends.route(handle, family="img_gen")
        assert deck.backends.access(route.backend).api_key == KEY


@pytest.mark.parametrize("handle", list(STUBS))
async def test_images_are_made_stored_and_counted(handle, stubs, draw, tmp_path):
    reply = await draw(handle, await stubs(handle), count=2)
    assert [(item["mime_type"], item["width"], item["height"]) for item in reply.images] == [("image/png", 1, 1)] * 2
    assert await LocalBlobs(tmp_path / "blobs").get(reply.images[0]["url"]) == PNG
    assert reply.usage.images == 2


COSTS = [
    ("flux-pro", None),
    ("replicate-flux-schnell", 0.003),
    ("nano-banana-2", (10 * 0.5 + 10 * 3.0 + 1290 * 60.0) / 1e6),
    ("grok-imagine-image", 0.02),
]


@pytest.mark.parametrize(("handle", "cost"), COSTS)
async def test_what_an_image_costs(handle, cost, stubs, draw):
    usage = (await draw(handle, await stubs(handle))).usage
    assert usage.cost_usd == (None if cost is None else pytest.approx(cost))


SHAPED: dict[str, Any] = {"aspect_ratio": "landscape_16_9", "seed": 7, "output_format": "jpeg"}
SENT: list[Any] = [
    (
        "flux-pro",
        {**SHAPED, "count": 2, "setting": {"safety_tolerance": 3, "is_moderated": True}},
        "/fal-ai/flux-pro/v1.1",
        {
            "prompt": "a cup",
            "seed": 7,
            "output_format": "jpeg",
            "safety_tolerance": "3",
            "enable_safety_checker": True,
            "num_images": 2,
            "image_size": {"width": 1360, "height": 768},
        },
    ),
    (
        "replicate-flux-schnell",
        {**SHAPED, "count": 2, "setting": {"nb_steps": 4, "is_moderated": True}},
        "/models/black-forest-labs/flux-schnell/predictions",
        {
            "input": {
                "prompt": "a cup",
                "seed": 7,
                "output_format": "jpg",
                "num_inference_steps": 4,
                "disable_safety_checker": False,
                "num_outputs": 2,
                "aspect_ratio": "16:9",
            }
        },
    ),
    (
        "nano-banana-2",
        {"aspect_ratio": "portrait_2_3", "size": "2k", "seed": 7},
        "/v1beta/models/gemini-3.1-flash-image:generateContent",
        {
            "contents": [{"role": "user", "parts": [{"text": "a cup"}]}],
            "generationConfig": {
                "responseModalities": ["TEXT", "IMAGE"],
                "seed": 7,
                "imageConfig": {"aspectRatio": "2:3", "imageSize": "2K"},
            },
        },
    ),
    (
        "grok-imagine-image",
        {"aspect_ratio": "square", "size": "2k", "count": 2},
        "/v1/images/generations",
        {
            "model": "grok-imagine-image",
            "prompt": "a cup",
            "response_format": "b64_json",
            "n": 2,
            "resolution": "2k",
            "aspect_ratio": "1:1",
        },
    ),
]


@pytest.mark.parametrize(("handle", "asked", "path", "body"), SENT, ids=[case[0] for case in SENT])
async def test_what_is_asked_goes_under_the_names_of_the_provider(handle, asked, path, body, stubs, draw):
    stub = await stubs(handle)
    await draw(handle, stub, **asked)
    sent = stub.requests[0]
    assert (sent.path, sent.body) == (path, body)
    shown = {key: value for key, value in sent.headers.items() if KEY in value}
    assert shown == {
        "flux-pro": {"authorization": f"Key {KEY}"},
        "nano-banana-2": {"x-goog-api-key": KEY},
    }.get(handle, {"authorization": f"Bearer {KEY}"})


async def test_the_size_is_given_in_pixels_where_the_model_takes_them(stubs, draw):
    stub = await stubs("flux-pro")
    await draw("flux-pro", stub, size="640x480")
    assert stub.jobs[0]["image_size"] == {"width": 640, "height": 480}


@pytest.mark.parametrize(
    ("handle", "more", "words"),
    [
        ("flux-pro", {"negative_prompt": "no"}, "negative prompt"),
        ("flux-pro", {"is_raw": True}, "leave the prompt as it is"),
        ("flux-pro", {"background": "transparent"}, "background"),
        ("replicate-flux-schnell", {"size": "640x480"}, "size"),
        ("nano-banana-2", {"output_format": "webp"}, "output format"),
        ("nano-banana", {"size": "4k"}, "size"),
        ("grok-imagine-image", {"seed": 1}, "seed"),
    ],
)
async def test_what_the_model_cannot_do_is_refused_before_it_is_paid_for(handle, more, words, stubs, draw):
    stub = await stubs(handle if handle in STUBS else "nano-banana-2")
    with pytest.raises(ConfigError, match=words) as caught:
        await draw(handle, stub, **more)
    assert caught.value.hint
    assert stub.calls == 0


async def test_a_setting_that_the_model_lacks_is_left_out(stubs, draw, caplog):
    await draw("nano-banana-2", await stubs("nano-banana-2"), setting={"quality": "high"})
    assert "nano-banana-2 takes no quality" in caplog.text


@pytest.mark.parametrize(
    ("handle", "of", "place"),
    [
        ("flux-kontext", "flux-pro", lambda body: body["image_url"]),
        ("replicate-flux-kontext", "replicate-flux-schnell", lambda body: body["input"]["input_image"]),
        ("nano-banana-2", "nano-banana-2", lambda body: body["contents"][0]["parts"][1]["inlineData"]["data"]),
        ("grok-imagine-image", "grok-imagine-image", lambda body: body["image"]["url"]),
    ],
)
async def test_reference_images_are_sent(handle, of, place, stubs, draw, tmp_path):
    url = await LocalBlobs(tmp_path / "blobs").put(PNG, mime_type="image/png")
    stub = await stubs(of)
    await draw(handle, stub, attachments=(Attachment(kind="image", url=url),))
    assert place(stub.requests[0].body).endswith(PIXEL)


async def test_a_model_that_takes_no_images_to_start_from_says_so(stubs, draw, tmp_path):
    url = await LocalBlobs(tmp_path / "blobs").put(PNG, mime_type="image/png")
    with pytest.raises(ConfigError, match="no images"):
        await draw("flux-pro", await stubs("flux-pro"), attachments=(Attachment(kind="image", url=url),))


# Faults


SAID = [
    (StubAnswer(status=429, headers={"retry-after": "7"}), RateLimitError, True),
    (StubAnswer(status=401, text=f"bad key {KEY}"), AuthenticationError, False),
    (StubAnswer(status=400, text="wrong"), RequestRefusedError, False),
    (StubAnswer(status=404), RequestRefusedError, False),
    (StubAnswer(status=500), ProviderDownError, True),
    (StubAnswer(drop=True), ProviderDownError, True),
    (StubAnswer(body=b"<html>"), ReplyError, True),
    (StubAnswer(body={"odd": 1}), ReplyError, True),
    (StubAnswer(body=b"x" * 5000), ReplyError, False),
]


@pytest.mark.parametrize("handle", list(STUBS))
@pytest.mark.parametrize(("answer", "kind", "is_retryable"), SAID)
async def test_faults_say_who_can_act(handle, answer, kind, is_retryable, stubs, draw):
    stub = await stubs(handle)
    stub.behaviour = lambda asked, n: answer
    with pytest.raises(InferenceError) as caught:
        await draw(handle, stub, settings={"max_reply_bytes": 4096})
    assert (type(caught.value), caught.value.is_retryable) == (kind, is_retryable)
    assert caught.value.retry_after == (7 if kind is RateLimitError else None)
    assert KEY not in json.dumps(caught.value.report())
    assert stub.calls == 1


async def test_a_slow_provider_is_left(stubs, draw):
    stub = await stubs("grok-imagine-image")
    stub.latency = 60
    with pytest.raises(ProviderDownError, match=r"did not answer in 0\.2 s"):
        await draw("grok-imagine-image", stub, settings={"request_timeout": 0.2})


GEMINI_FAULTS: list[Any] = [
    ({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}, RequestRefusedError, "PROHIBITED_CONTENT"),
    ({"candidates": [{"finishReason": "IMAGE_SAFETY"}]}, RequestRefusedError, "IMAGE_SAFETY"),
    (
        {"candidates": [{"finishReason": "STOP", "content": {"parts": [{"text": "I would rather not."}]}}]},
        ReplyError,
        "I would rather not",
    ),
    ({"candidates": [{"finishReason": "MAX_TOKENS"}]}, ReplyError, "MAX_TOKENS"),
]


@pytest.mark.parametrize(("body", "kind", "words"), GEMINI_FAULTS)
async def test_a_drawing_that_is_withheld(body, kind, words, stubs, draw):
    stub = await stubs("nano-banana-2")
    stub.behaviour = lambda asked, n: StubAnswer(body=body)
    with pytest.raises(kind, match=words):
        await draw("nano-banana-2", stub)


# Jobs


@pytest.mark.parametrize("handle", SLOW)
async def test_a_job_is_submitted_once_and_found_again(handle, stubs, draw):
    stub, kept = await stubs(handle), KeptCheckpoint()
    stub.behaviour = lambda asked, n: StubAnswer(drop=True) if n == 2 else None
    with pytest.raises(ProviderDownError):
        await draw(handle, stub, kept)
    assert kept.last == {"provider": BACKENDS[handle], "jobs": ["job-1"]}
    assert len((await draw(handle, stub, kept)).images) == 1
    assert len(stub.jobs) == 1


@pytest.mark.parametrize("handle", SLOW)
async def test_retries_in_process_wait_for_the_same_job(handle, stubs, tmp_path):
    stub = await stubs(handle)
    stub.behaviour = lambda asked, n: StubAnswer(status=503) if n in (1, 3) else None
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    performer = make(tmp_path, stub)
    host = InProcessHost(None, Plan(), performer, InProcessSettings(attempts=3), sleep=pause)
    noted = NotedCall("act_img_gen_images", handle, scheduled=0.0, excerpts=None, given={})
    assert len((await host.perform(image(handle), noted, OFF)).images) == 1
    assert noted.attempts == 3
    await performer.aclose()
    assert (len(pauses), len(stub.jobs)) == (2, 1)


async def test_a_model_that_makes_one_image_a_job_gets_several_jobs(stubs, draw):
    stub, kept = await stubs("flux-pro"), KeptCheckpoint()
    stub.behaviour = lambda asked, n: StubAnswer(status=503) if n == 1 else None
    with pytest.raises(ProviderDownError):
        await draw("flux-2-pro", stub, kept, count=3)
    reply = await draw("flux-2-pro", stub, kept, count=3)
    assert len(reply.images) == len(stub.jobs) == reply.usage.calls == 3


@pytest.mark.parametrize("handle", SLOW)
async def test_a_job_against_the_content_policy_is_not_tried_again(handle, stubs, draw):
    stub, kept = await stubs(handle), KeptCheckpoint()
    stub.failure = "NSFW content detected"
    with pytest.raises(RequestRefusedError, match="NSFW content detected") as caught:
        await draw(handle, stub, kept)
    assert "content policy" in (caught.value.hint or "")
    assert kept.last is None


async def test_a_job_that_failed_is_followed_by_another(stubs, draw):
    stub, kept = await stubs("replicate-flux-schnell"), KeptCheckpoint()
    stub.failure = f"CUDA out of memory for {KEY}"
    with pytest.raises(ProviderDownError, match=r"CUDA out of memory for \[key\]"):
        await draw("replicate-flux-schnell", stub, kept)
    stub.failure = None
    await draw("replicate-flux-schnell", stub, kept)
    assert len(stub.jobs) == 2


@pytest.mark.parametrize("handle", SLOW)
async def test_a_job_that_never_ends_is_left_and_not_forgotten(handle, stubs, draw):
    stub, kept = await stubs(handle), KeptCheckpoint()
    stub.polls = None
    with pytest.raises(ProviderDownError, match=r"job-1 of \w+ is not done after 0\.4 s") as caught:
        await draw(handle, stub, kept, settings={"request_timeout": 0.4})
    assert caught.value.is_retryable
    assert "request_timeout" in (caught.value.hint or "")
    assert kept.last is not None


@pytest.mark.parametrize("handle", SLOW)
async def test_a_job_that_is_gone_is_submitted_anew_by_the_next_attempt(handle, stubs, draw):
    stub, kept = await stubs(handle), KeptCheckpoint({"provider": BACKENDS[handle], "jobs": ["job-9"]})
    stub.behaviour = lambda asked, n: StubAnswer(status=404) if n == 0 else None
    with pytest.raises(ProviderDownError, match="gone"):
        await draw(handle, stub, kept)
    await draw(handle, stub, kept)
    assert len(stub.jobs) == 1


async def polled(stub: Any) -> None:
    async with asyncio.timeout(20):
        while not stub.polled:  # noqa: ASYNC110 - the stub has no event for it
            await asyncio.sleep(0.01)


class Leaving(KeptCheckpoint):
    """What a worker that stops has: others go on with its jobs."""

    is_over = False


@pytest.mark.parametrize("handle", SLOW)
@pytest.mark.parametrize(("kept", "cancelled"), [(KeptCheckpoint, ["job-1"]), (Leaving, [])])
async def test_a_job_is_cancelled_with_its_run_but_not_with_its_worker(handle, kept, cancelled, stubs, draw):
    stub = await stubs(handle)
    stub.polls = None
    drawing = asyncio.create_task(draw(handle, stub, kept()))
    await polled(stub)
    drawing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await drawing
    assert stub.cancelled == cancelled


@pytest.mark.parametrize("answer", [StubAnswer(status=500), StubAnswer(drop=True), StubAnswer(delay=60)])
async def test_a_provider_that_does_not_cancel_keeps_nobody_waiting(answer, stubs, draw, monkeypatch):
    monkeypatch.setattr("pipelex.inference.providers.jobs._CANCEL_SECONDS", 0.2)
    stub = await stubs("flux-pro")
    stub.polls = None
    drawing = asyncio.create_task(draw("flux-pro", stub))
    await polled(stub)
    stub.behaviour = lambda asked, n: answer
    drawing.cancel()
    async with asyncio.timeout(20):
        with pytest.raises(asyncio.CancelledError):
            await drawing


@pytest.mark.parametrize("last", [{"provider": "elsewhere", "jobs": ["x"]}, {"jobs": 1}, "odd", None])
async def test_what_another_provider_left_is_not_taken(last, stubs, draw):
    stub = await stubs("flux-pro")
    await draw("flux-pro", stub, KeptCheckpoint(last))
    assert len(stub.jobs) == 1


FAL_FAILURES: list[Any] = [
    (1, StubAnswer(body={"status": "COMPLETED", "error": "runner died"}), ProviderDownError, "runner died", False),
    (2, StubAnswer(status=500, text="runner died"), ProviderDownError, "runner died", False),
    (2, StubAnswer(status=503), ProviderDownError, "scripted 503", True),
    (2, StubAnswer(status=429), RateLimitError, "slow down", True),
    (
        2,
        StubAnswer(body={"images": [{"url": "https://x.invalid"}], "has_nsfw_concepts": [True]}),
        RequestRefusedError,
        "NSFW",
        False,
    ),
    (2, StubAnswer(body={"odd": 1}), ReplyError, "not a job", True),
]


@pytest.mark.parametrize(("at", "answer", "kind", "words", "is_kept"), FAL_FAILURES)
async def test_a_job_is_kept_unless_it_has_failed_itself(at, answer, kind, words, is_kept, stubs, draw):
    stub, kept = await stubs("flux-pro"), KeptCheckpoint()
    stub.polls = 0
    stub.behaviour = lambda asked, n: answer if n == at else None
    with pytest.raises(kind, match=words):
        await draw("flux-pro", stub, kept)
    assert (kept.last is not None) == is_kept


async def test_a_version_of_a_model_of_replicate(stubs, draw, tmp_path):
    (tmp_path / "backends").mkdir()
    table = 'model_type = "img_gen"\nmodel_id = "ada/cups:abc123"\nparameters = { size = "width height" }\n'
    (tmp_path / "backends" / "replicate.toml").write_text(f"[cups]\n{table}")
    stub = await stubs("replicate-flux-schnell")
    assert len((await draw("cups", stub, size="640x480", count=2)).images) == 2
    sent = stub.requests[0]
    given = {"prompt": "a cup", "width": 640, "height": 480}
    assert (sent.path, sent.body) == ("/predictions", {"version": "abc123", "input": given})
    assert len(stub.jobs) == 2


@pytest.mark.parametrize(
    ("model_id", "app"),
    [
        ("fal-ai/flux/dev", "fal-ai/flux"),
        ("fal-ai/flux-2-pro", "fal-ai/flux-2-pro"),
        ("workflows/ada/cups", "workflows/ada/cups"),
    ],
)
async def test_where_a_job_of_fal_is_asked_for(model_id, app, stubs, draw, tmp_path):
    (tmp_path / "backends").mkdir()
    (tmp_path / "backends" / "fal.toml").write_text(f'[cups]\nmodel_type = "img_gen"\nmodel_id = "{model_id}"\n')
    stub = await stubs("flux-pro")
    await draw("cups", stub)
    assert [item.path for item in stub.requests[:2]] == [f"/{model_id}", f"/{app}/requests/job-1/status"]


async def test_only_the_own_host_of_the_backend_may_be_private(stubs, draw):
    stub, other = await stubs("flux-pro"), await stubs("flux-pro")
    stub.polls = 0
    stub.behaviour = lambda asked, n: (
        StubAnswer(body={"images": [{"url": f"{other.base_url}/files/x.png"}]}) if n == 2 else None
    )
    with pytest.raises(Exception, match="not on the public internet"):
        await draw("flux-pro", stub)
    assert other.calls == 0
