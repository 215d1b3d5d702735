"""Scopes: what a worker of each registers and polls, and what becomes of a call that none of them takes."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from temporal_bench import TEXT, Bench, Scripted, ask, call_function, crate, sequence, text
from temporalio import activity

from pipelex.errors import ConfigError
from pipelex.language.pipes import Step
from pipelex.pipes.requests import ModelSetting, TextRequest
from pipelex.temporal.activities import activities
from pipelex.temporal.failures import raised
from pipelex.temporal.queues import Work, needs_of_queues, polling
from pipelex.temporal.scopes import chosen_scope, smallest_scope
from pipelex.temporal.settings import ACTIVITIES, TemporalSettings
from pipelex.temporal.worker import chosen_duty, run_worker, taken_activities
from pipelex.temporal.worker_settings import BUILT_IN_SCOPES

LLM = {"act_llm_gen_text", "act_llm_gen_object", "act_llm_gen_object_list"}
EXPECTED: dict[str, tuple[bool, set[str]]] = {
    "full": (True, set(ACTIVITIES)),
    "router": (True, set()),
    "runner": (False, set(ACTIVITIES)),
    "runner-llm": (False, LLM),
    "runner-img-gen": (False, {"act_img_gen_images", "act_render_page_views"}),
    "runner-extract": (False, {"act_extract_gen_extract_pages", "act_render_page_views"}),
    "runner-search": (False, {"act_search_gen_sourced_answer", "act_search_gen_structured"}),
    "runner-jinja2": (False, {"act_jinja2_gen_text"}),
}


def read(**scopes: Any) -> TemporalSettings:
    return TemporalSettings.model_validate({"worker_scopes": {"scopes": scopes}})


def refusal(settings: TemporalSettings, name: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        chosen_scope(settings, name)
    return caught.value


@pytest.mark.parametrize("name", BUILT_IN_SCOPES)
def test_built_in_scopes_take_what_their_name_says(name: str) -> None:
    scope = chosen_scope(TemporalSettings(), name)
    assert (scope.has_workflows, set(scope.activities)) == EXPECTED[name]
    assert scope.is_full is (set(ACTIVITIES) <= EXPECTED[name][1])


def test_every_activity_has_the_name_of_its_type() -> None:
    for found in activities(Scripted()):
        definition = activity._Definition.must_from_callable(found)
        assert definition.name == found.__name__
        assert definition.name in ACTIVITIES


def test_tables_of_earlier_versions_mean_what_they_meant() -> None:
    earlier = {
        "required_tasks_packs": ["crafting", "pipe"],
        "required_workflows": ["WfPipeRouter", "WfPipeRun", "WfDryValidate"],
        "required_activities": ["act_flush_trace_events", "act_deliver", "act_assemble_tracing", "act_dry_validate"],
        "excluded_workflows": ["WfDryValidate"],
        "excluded_activities": ["act_img_gen_images", "act_deliver"],
        "disable_all_workflows": False,
        "disable_all_activities": False,
    }
    scope = chosen_scope(read(ours=earlier), "ours")
    assert scope.has_workflows
    assert set(scope.activities) == set(ACTIVITIES) - {"act_img_gen_images"}
    without = chosen_scope(read(ours=earlier | {"excluded_workflows": ["WfPipeRun", "WfPipeRouter"]}), "ours")
    assert not without.has_workflows


def test_a_table_changes_the_keys_it_gives_of_a_built_in_scope() -> None:
    settings = read(runner={"excluded_activities": ["act_func_call"]}, text={"required_activities": list(LLM)})
    assert set(chosen_scope(settings, "runner").activities) == set(ACTIVITIES) - {"act_func_call"}
    assert not chosen_scope(settings, "runner").has_workflows
    assert set(chosen_scope(settings, "text").activities) == LLM
    chosen = TemporalSettings.model_validate({"worker_scopes": {"default_scope": "runner-llm"}})
    assert chosen_scope(chosen).name == "runner-llm"
    assert TemporalSettings.model_validate(settings.model_dump()) == settings


@pytest.mark.parametrize(
    ("scope", "message", "hint"),
    [
        ({"required_tasks_packs": ["crafts"]}, "there is no tasks pack 'crafts'", "crafting, pipe"),
        ({"required_workflows": ["WfPipeRoute"]}, "Did you mean 'WfPipeRouter'?", "wf_pipe_run"),
        ({"required_activities": ["act_llm_gen_txt"]}, "Did you mean 'act_llm_gen_text'?", "act_func_call"),
        ({"excluded_activities": ["act_llm"]}, "there is no activity 'act_llm'", "act_func_call"),
        ({}, "leaves nothing to do", "required_tasks_packs"),
        ({"required_tasks_packs": ["pipe"], "disable_all_workflows": True}, "leaves nothing to do", "crafting"),
    ],
)
def test_unknown_names_and_empty_scopes_are_refused(scope: dict[str, Any], message: str, hint: str) -> None:
    error = refusal(read(ours=scope), "ours")
    assert message in error.message
    assert error.where is not None
    assert error.where.startswith("[temporal.worker_scopes.scopes.ours]")
    assert hint in (error.hint or "")


def test_an_unknown_scope_is_refused_with_the_known_ones() -> None:
    error = refusal(TemporalSettings(), "runer")
    assert "there is no worker scope 'runer'. Did you mean 'runner'?" in error.message
    assert "full, router, runner, runner-llm" in (error.hint or "")


def test_a_scope_and_a_profile_that_leave_nothing_are_refused() -> None:
    flows = {"profiles": {"flows": {"max_concurrent_activities": 0}}}
    settings = TemporalSettings.model_validate({"worker_runtime_profiles": flows})
    with pytest.raises(ConfigError, match="the scope 'runner' has no workflows, the profile 'flows' no activities"):
        chosen_duty(settings, scope_name="runner", profile_name="flows")
    assert taken_activities(Scripted(), chosen_duty(settings, profile_name="flows")) == []


def test_the_smallest_scope_that_serves() -> None:
    assert smallest_scope(["act_llm_gen_object"]) == "runner-llm"
    assert smallest_scope(["act_img_gen_images"]) == "runner-img-gen"
    assert smallest_scope(["act_llm_gen_object", "act_func_call"]) == "runner"


def test_the_queues_that_routing_names_must_be_polled() -> None:
    routed = {
        "act_llm_gen_text": {"default": "llm", "by_handle": {"gpt-4o": "gpt"}},
        "act_llm_gen_object": {"default": "llm"},
    }
    queues: dict[str, Any] = {"llm": {}, "gpt": {}}
    settings = TemporalSettings.model_validate({"activity_queues": routed, "queue_options": queues})
    told = [(need.queue, need.work, need.is_sure, need.sent) for need in needs_of_queues(settings)]
    assert told[0] == ("temporal_task_queue", "workflow", True, {})
    assert told[1][:3] == ("temporal_task_queue", "activity", False)
    assert "act_func_call" in told[1][3]
    assert not LLM - {"act_llm_gen_object_list"} & set(told[1][3])
    assert told[2:] == [
        ("llm", "activity", True, {"act_llm_gen_text": (), "act_llm_gen_object": ()}),
        ("gpt", "activity", True, {"act_llm_gen_text": ("gpt-4o",)}),
    ]
    plain = needs_of_queues(TemporalSettings())
    assert [(need.queue, need.work, need.is_sure) for need in plain] == [
        ("temporal_task_queue", "workflow", True),
        ("temporal_task_queue", "activity", True),
    ]


@contextlib.asynccontextmanager
async def serving(
    bench: Bench, performer: Scripted, settings: TemporalSettings | None = None, **options: Any
) -> AsyncIterator[None]:
    """A worker as `pipelex worker` would run it, ready; it has drained when the block ends."""
    stop, ready = asyncio.Event(), asyncio.Event()
    settings = settings or bench.settings()
    work = run_worker(
        client=bench.client, settings=settings, performer=performer, stop=stop, on_ready=ready.set, **options
    )
    running = asyncio.create_task(work)
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait([running, waiting], return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        waiting.cancel()
        await running
    try:
        yield
    finally:
        stop.set()
        await running


async def polled(bench: Bench, work: Work) -> bool:
    return (await polling(bench.client, bench.queue, work)).is_polled


@pytest.mark.server
@pytest.mark.parametrize("name", BUILT_IN_SCOPES)
async def test_a_worker_polls_for_what_its_scope_takes_and_for_nothing_else(bench: Bench, name: str) -> None:
    has_workflows, names = EXPECTED[name]
    there = {found.__name__ for found in activities(Scripted())} & names
    if not there and not has_workflows:
        with pytest.raises(ConfigError, match="this version has no activity act_"):
            async with serving(bench, Scripted(), scope_name=name):
                pass
        return
    async with serving(bench, Scripted(), scope_name=name):
        deadline = time.monotonic() + 30
        while (await polled(bench, "workflow"), await polled(bench, "activity")) != (has_workflows, bool(there)):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)


METHOD = crate(
    main=sequence(Step(pipe="d.one", result="a"), Step(pipe="d.two", result="b")), one=ask("1"), two=ask("2 $a", a=TEXT)
)


@pytest.mark.server
async def test_a_router_and_a_runner_run_a_method_together_on_one_queue(bench: Bench) -> None:
    router, runner = Scripted(), Scripted()
    async with serving(bench, router, scope_name="router"), serving(bench, runner, scope_name="runner"):
        result = await (await bench.start(METHOD, "main")).result()
    assert result.outcome == text("<2 <1>>")
    assert (len(router.asked), len(runner.asked)) == (0, 2)


@pytest.mark.server
async def test_a_router_leaves_calls_to_the_runners_of_another_queue(bench: Bench) -> None:
    calls = f"{bench.queue}-calls"
    routed = {"act_llm_gen_text": {"default": calls}}
    settings = bench.settings(activity_queues=routed, queue_options={calls: {}})
    runner = Scripted()
    async with (
        serving(bench, Scripted(), settings, scope_name="router"),
        serving(bench, runner, settings, scope_name="runner-llm", task_queues=[calls]),
    ):
        await (await bench.start(METHOD, "main", settings=settings)).result()
    assert len(runner.asked) == 2


@pytest.mark.server
async def test_a_resource_based_worker_runs_a_method(bench: Bench) -> None:
    tuned = {"tuning_mode": "resource_based", "target_memory_usage": 1.0, "target_cpu_usage": 1.0}
    settings = bench.settings(worker_runtime_profiles={"profiles": {"tuned": tuned}})
    performer = Scripted()
    async with serving(bench, performer, settings, profile_name="tuned"):
        await (await bench.start(METHOD, "main", settings=settings)).result()
    assert len(performer.asked) == 2


@pytest.mark.server
async def test_a_call_that_the_scope_leaves_out_fails_at_once_and_says_where(bench: Bench) -> None:
    unlimited = {"retry_policy_config": {"maximum_attempts": "unlimited"}}
    settings = bench.settings(worker_config={"default_task_queue": bench.queue, **unlimited})
    found = crate(main=call_function("count"))
    performer = Scripted()
    async with (
        serving(bench, performer, settings, scope_name="router"),
        serving(bench, performer, settings, scope_name="runner-llm"),
    ):
        run = await bench.start(found, "main", settings=settings)
        with pytest.raises(ConfigError) as caught:
            await asyncio.wait_for(run.result(), 30)
    told = f"act_func_call went to the queue {bench.queue!r}, to a worker of the scope 'runner-llm'"
    assert told in caught.value.message
    assert "activity_queues.act_func_call" in (caught.value.hint or "")
    assert performer.asked == []


@pytest.mark.server
async def test_a_call_of_another_version_is_handed_back_a_few_times_only(bench: Bench) -> None:
    async with serving(bench, Scripted()):
        handle = await bench.client.start_activity(
            "act_of_tomorrow",
            TextRequest(model=ModelSetting(handle="m"), prompt="?"),
            id=f"tomorrow-{bench.number}",
            task_queue=bench.queue,
            start_to_close_timeout=timedelta(seconds=20),
        )
        with pytest.raises(Exception, match=r"(?i)activity") as caught:
            await asyncio.wait_for(handle.result(), 30)
    assert "does not know it" in raised(caught.value).message
