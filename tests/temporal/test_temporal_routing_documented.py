"""The routing tables that people copied from the documentation of earlier releases load, and mean what was said."""

from __future__ import annotations

import tomllib
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from pipelex.temporal.routing import Retry, Route, resolve
from pipelex.temporal.settings import TemporalSettings

QUEUES = """
[temporal.activity_queues.act_llm_gen_text]
default = "openai_q"
by_handle.anthropic-default = "anthropic_q"
by_handle.gemini-pro = "gemini_q"

[temporal.activity_queues.act_llm_gen_object]
default = "openai_q"
by_handle.anthropic-default = "anthropic_q"

[temporal.activity_queues.act_img_gen_images]
default = "imggen_q"

[temporal.activity_queues.act_extract_gen_extract_pages]
default = "extract_q"
"""
OPTIONS = """
[temporal.queue_options.openai_q]
start_to_close_timeout = "0:05:00"
heartbeat_timeout = "0:01:00"
max_task_queue_activities_per_second = 500

[temporal.queue_options.openai_q.retry_policy_config]
initial_interval = "0:00:01"
maximum_attempts = 4
non_retryable_error_types_extra = ["OpenAIBadRequestError"]

[temporal.queue_options.anthropic_q]
start_to_close_timeout = "0:10:00"
max_task_queue_activities_per_second = 50

[temporal.queue_options.extract_q]
start_to_close_timeout = "0:30:00"
heartbeat_timeout = "0:05:00"

[temporal.queue_options.gemini_q]
[temporal.queue_options.imggen_q]
"""
LONG = "anthropic-claude-3-5-sonnet-long-context"
HANDLE = f"""
[temporal.activity_queues.act_llm_gen_text]
default = "openai_q"
by_handle.anthropic-default = "anthropic_q"
by_handle.{LONG} = "anthropic_q"

[temporal.activity_queues.act_llm_gen_text.handle_options.{LONG}]
start_to_close_timeout = "0:30:00"

[temporal.activity_queues.act_llm_gen_text.handle_options.{LONG}.retry_policy_config]
maximum_attempts = 2
non_retryable_error_types_extra = ["AnthropicLongContextOverflow"]

[temporal.queue_options.openai_q]
[temporal.queue_options.anthropic_q]
start_to_close_timeout = "0:10:00"
"""


def read(text: str) -> TemporalSettings:
    return TemporalSettings.model_validate(tomllib.loads(text)["temporal"])


def test_queues_by_activity_and_handle() -> None:
    settings = read(QUEUES + OPTIONS)
    calls = {
        ("act_llm_gen_text", "gpt-4o"): "openai_q",
        ("act_llm_gen_text", "anthropic-default"): "anthropic_q",
        ("act_llm_gen_text", "gemini-pro"): "gemini_q",
        ("act_llm_gen_object", "gemini-pro"): "openai_q",
        ("act_img_gen_images", "any"): "imggen_q",
        ("act_extract_gen_extract_pages", "any"): "extract_q",
        ("act_llm_gen_object_list", "anthropic-default"): None,
    }
    assert {call: resolve(settings, *call).task_queue for call in calls} == calls


def test_what_a_queue_changes() -> None:
    settings = read(QUEUES + OPTIONS)
    found = resolve(settings, "act_llm_gen_text", "gpt-4o")
    assert found.model_copy(update={"layers": {}}) == Route(
        task_queue="openai_q",
        start_to_close=timedelta(minutes=5),
        heartbeat=timedelta(minutes=1),
        retry=Retry(
            initial_interval=timedelta(seconds=1),
            maximum_attempts=4,
            non_retryable_error_types=("OpenAIBadRequestError",),
        ),
    )
    assert settings.queue_options["anthropic_q"].max_task_queue_activities_per_second == 50
    assert resolve(settings, "act_extract_gen_extract_pages", "x").heartbeat == timedelta(minutes=5)


def test_what_a_handle_changes() -> None:
    settings = read(HANDLE)
    long, usual = (resolve(settings, "act_llm_gen_text", handle) for handle in (LONG, "anthropic-default"))
    assert (long.task_queue, usual.task_queue) == ("anthropic_q", "anthropic_q")
    assert (long.start_to_close, usual.start_to_close) == (timedelta(minutes=30), timedelta(minutes=10))
    assert (long.retry.maximum_attempts, usual.retry.maximum_attempts) == (2, 3)
    assert long.retry.non_retryable_error_types == ("AnthropicLongContextOverflow",)


def test_the_default_queue_may_be_described_without_a_route() -> None:
    capped = read("[temporal.queue_options.temporal_task_queue]\nmax_task_queue_activities_per_second = 1000")
    assert capped.queue_options["temporal_task_queue"].max_task_queue_activities_per_second == 1000


ORPHANS = [
    (QUEUES, "activity_queues.act_llm_gen_text.default names the queue 'openai_q', which no table describes"),
    (OPTIONS, "queue_options.openai_q describes a queue that nothing is sent to"),
    (
        OPTIONS + QUEUES.replace('default = "extract_q"', 'default = "extrat_q"'),
        "names the queue 'extrat_q', which no table describes. Did you mean 'extract_q'?",
    ),
    (
        OPTIONS + QUEUES.replace("act_img_gen_images", "act_img_gen_image"),
        "activity_queues.act_img_gen_image: no such activity. Did you mean 'act_img_gen_images'?",
    ),
]


@pytest.mark.parametrize(("text", "said"), ORPHANS, ids=["no-table", "no-route", "queue-typo", "activity-typo"])
def test_names_that_lead_nowhere_are_told_with_the_table_to_write(text: str, said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        read(text)
    assert said in str(caught.value)


@pytest.mark.parametrize("place", ["temporal", "temporal.worker_config"])
def test_both_places_of_the_tables_mean_the_same(place: str) -> None:
    moved = (QUEUES + OPTIONS).replace("temporal.activity_queues", f"{place}.activity_queues")
    assert read(moved) == read(QUEUES + OPTIONS)


BASELINE: list[tuple[str, Any]] = [
    ("default_task_queue", "temporal_task_queue"),
    ("workflow_execution_timeout", timedelta(hours=1)),
    ("run_timeout", timedelta(hours=1)),
    ("task_timeout", timedelta(seconds=10)),
    ("start_delay", timedelta(0)),
    ("rpc_timeout", timedelta(hours=1)),
    ("default_activity_start_to_close_timeout", timedelta(minutes=10)),
]


@pytest.mark.parametrize(("key", "value"), BASELINE)
def test_the_documented_baseline(key: str, value: object) -> None:
    assert getattr(TemporalSettings().worker_config, key) == value
