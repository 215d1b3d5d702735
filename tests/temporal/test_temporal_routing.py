"""Routes: what travels in the call is exactly what the configuration says for the pipes of the crate."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from pipelex.language.pipes import PipeDocGen, PipeFunc, PipeLLM
from pipelex.library.crate import LibraryCrate
from pipelex.pipes.requests import (
    ExtractRequest,
    FunctionRequest,
    ModelSetting,
    Request,
    TextRequest,
    handle_of,
)
from pipelex.temporal.routing import REPLIES, Retry, Route, Routes, dispatched, needs, resolve, route, routes_for
from pipelex.temporal.settings import TemporalSettings
from pipelex.values.slots import Slot
from pipelex.values.value import Memory

TEXT = Slot("native.Text")
CRATE = LibraryCrate(
    pipes={
        "d.ask": PipeLLM(type="PipeLLM", description="", output=TEXT, prompt="x"),
        "d.call": PipeFunc(type="PipeFunc", description="", output=TEXT, function_name="clean"),
    }
)
MODELS = {"llm:for_text": ModelSetting(handle="gpt"), "extract:default": ModelSetting(handle="pdf")}


def routes(models: dict[str, ModelSetting] = MODELS, **temporal: Any) -> Routes:
    return routes_for(TemporalSettings.model_validate(temporal), CRATE, models)


def test_defaults_take_no_room_on_the_wire() -> None:
    found = routes()
    assert found.model_dump_json(exclude_defaults=True) == "{}"
    assert route(found, "act_llm_gen_text", "gpt") == Route(
        task_queue=None,
        start_to_close=timedelta(minutes=10),
        heartbeat=timedelta(seconds=15),
        retry=Retry(initial_interval=timedelta(seconds=3), backoff_coefficient=2.0, maximum_attempts=3),
    )


LAYERED: dict[str, Any] = {
    "worker_config": {
        "default_activity_start_to_close_timeout": "5m",
        "retry_policy_config": {"maximum_attempts": 4, "non_retryable_error_types": ["A", "B"]},
        "activity_queues": {
            "act_llm_gen_text": {
                "default": "llm",
                "by_handle": {"gpt": "openai"},
                "handle_options": {
                    "gpt": {
                        "start_to_close_timeout": "30m",
                        "retry_policy_config": {"maximum_attempts": 9, "non_retryable_error_types_extra": ["B", "D"]},
                    },
                },
            },
            "act_func_call": {"handle_options": {"clean": {"start_to_close_timeout": "7s"}}},
        },
    },
    "queue_options": {
        "llm": {"heartbeat_timeout": "20s"},
        "openai": {
            "start_to_close_timeout": "20m",
            "schedule_to_start_timeout": "1h",
            "schedule_to_close_timeout": "2h",
            "heartbeat_timeout": "45s",
            "retry_policy_config": {
                "initial_interval": "1s",
                "maximum_interval": "1m",
                "non_retryable_error_types_extra": ["C"],
            },
        },
    },
}


def test_layers_from_the_baseline_to_the_handle() -> None:
    found = routes(**LAYERED)
    assert route(found, "act_llm_gen_text", "gpt") == Route(
        task_queue="openai",
        start_to_close=timedelta(minutes=30),
        schedule_to_start=timedelta(hours=1),
        schedule_to_close=timedelta(hours=2),
        heartbeat=timedelta(seconds=45),
        retry=Retry(
            initial_interval=timedelta(seconds=1),
            maximum_interval=timedelta(minutes=1),
            maximum_attempts=9,
            non_retryable_error_types=("A", "B", "C", "D"),
        ),
    )


@pytest.mark.parametrize(
    ("activity", "handle", "queue", "start_to_close", "heartbeat"),
    [
        ("act_llm_gen_text", "other", "llm", 300, 20),
        ("act_llm_gen_object", "gpt", None, 300, 15),
        ("act_extract_gen_extract_pages", "pdf", None, 300, 15),
        ("act_func_call", "clean", None, 7, 15),
        ("act_func_call", "dirty", None, 300, 15),
    ],
)
def test_who_goes_where(activity: str, handle: str, queue: str | None, start_to_close: int, heartbeat: int) -> None:
    found = route(routes(**LAYERED), activity, handle)
    assert found.task_queue == queue
    assert found.start_to_close == timedelta(seconds=start_to_close)
    assert found.heartbeat == timedelta(seconds=heartbeat)


def test_default_queue_options_hold_for_what_is_not_routed() -> None:
    found = routes(queue_options={"temporal_task_queue": {"start_to_close_timeout": "42s"}})
    assert route(found, "act_llm_gen_text", "gpt").start_to_close == timedelta(seconds=42)
    assert route(found, "act_llm_gen_text", "gpt").task_queue is None


def test_unlimited() -> None:
    found = routes(worker_config={"retry_policy_config": {"maximum_attempts": "unlimited"}})
    assert route(found, "act_llm_gen_text", "gpt").retry == Retry(maximum_attempts=None)


def test_only_what_a_slice_needs_travels() -> None:
    found = routes(**LAYERED)
    assert set(found.by_handle) == {"act_llm_gen_text gpt", "act_func_call clean"}
    kept = found.only(frozenset({"act_func_call"}), frozenset({"clean"}))
    assert set(kept.by_handle) == {"act_func_call clean"}
    assert not kept.by_activity
    assert Routes.model_validate_json(found.model_dump_json(exclude_defaults=True)) == found


def test_execution_and_search_attributes_travel() -> None:
    assert routes().search_attributes == ()
    found = routes(search_attributes={"enabled": True}, execution={"child_workflows": "fan_out"})
    assert found.child_workflows == "fan_out"
    assert set(found.search_attributes) == {"PipeCode", "DomainCode", "PipelineRunId", "UserId", "SessionId"}


def test_needs() -> None:
    assert needs(CRATE, MODELS) == {
        "act_llm_gen_text": ("gpt",),
        "act_llm_gen_object": ("gpt",),
        "act_llm_gen_object_list": ("gpt",),
        "act_extract_gen_extract_pages": ("pdf",),
        "act_func_call": ("clean",),
    }


def test_handles() -> None:
    model = ModelSetting(handle="gpt")
    assert handle_of(TextRequest(model=model, prompt="x")) == "gpt"
    assert handle_of(ExtractRequest(model=model, url="x")) == "gpt"
    assert handle_of(FunctionRequest(function_name="clean", memory=Memory(), output=TEXT, concepts={})) == "clean"


def test_every_request_has_its_reply() -> None:
    def leaves(kind: type[Any]) -> set[type[Any]]:
        return {leaf for child in kind.__subclasses__() for leaf in leaves(child)} or {kind}

    requests = {found for found in leaves(Request) if "activity" in vars(found)}
    assert requests == set(REPLIES)
    for request, reply in REPLIES.items():
        generic = next(base for base in request.__mro__ if base.__pydantic_generic_metadata__["args"])
        assert generic.__pydantic_generic_metadata__["args"] == (reply,)


def test_documents_are_routed_by_their_activity_alone() -> None:
    printer = PipeDocGen(type="PipeDocGen", description="", output=Slot("native.Document"), format="pdf")
    judged = {"judgment:default": ModelSetting(handle="gpt"), "img_gen:default": ModelSetting(handle="draw")}
    found = LibraryCrate(pipes={"d.print": printer})
    assert needs(found, judged) == {
        "act_llm_gen_object": ("gpt",),
        "act_img_gen_images": ("draw",),
        "act_doc_gen_document": (),
    }
    queues = {"activity_queues": {"act_doc_gen_document": {"default": "printers"}}}
    settings = TemporalSettings.model_validate({"worker_config": queues, "queue_options": {"printers": {}}})
    assert route(routes_for(settings, found, judged), "act_doc_gen_document", None).task_queue == "printers"


GPT = "activity_queues.act_llm_gen_text.handle_options.gpt"


def test_each_value_says_which_layer_it_came_from() -> None:
    settings = TemporalSettings.model_validate(LAYERED)
    assert resolve(settings, "act_llm_gen_text", "gpt").layers == {
        "task_queue": "activity_queues.act_llm_gen_text.by_handle.gpt",
        "start_to_close_timeout": GPT,
        "schedule_to_close_timeout": "queue_options.openai",
        "schedule_to_start_timeout": "queue_options.openai",
        "heartbeat_timeout": "queue_options.openai",
        "initial_interval": "queue_options.openai",
        "backoff_coefficient": "default",
        "maximum_interval": "queue_options.openai",
        "maximum_attempts": GPT,
        "non_retryable_error_types": f"baseline + queue_options.openai + {GPT}",
    }
    other = resolve(settings, "act_llm_gen_text", "other").layers
    assert other["task_queue"] == "activity_queues.act_llm_gen_text.default"
    assert other["start_to_close_timeout"] == other["maximum_attempts"] == "baseline"
    assert other["heartbeat_timeout"] == "queue_options.llm"
    assert resolve(settings, "act_jinja2_gen_text").layers["task_queue"] == "default"


def test_layers_travel_only_when_dispatch_is_traced() -> None:
    quiet = routes(**LAYERED)
    assert not any(found.layers for found in (quiet.default, *quiet.by_activity.values(), *quiet.by_handle.values()))
    log = {"temporal_log_config": {"is_dispatch_resolution_traced": True}}
    traced = routes(**LAYERED, temporal_config=log)
    for activity, handles in needs(CRATE, MODELS).items():
        for handle in (*handles, None):
            found = route(traced, activity, handle)
            assert found.layers
            assert found.model_copy(update={"layers": {}}) == route(quiet, activity, handle)
    assert Routes.model_validate_json(traced.model_dump_json(exclude_defaults=True)) == traced


def test_a_dispatch_is_told_on_one_line() -> None:
    found = resolve(TemporalSettings.model_validate(LAYERED), "act_llm_gen_text", "gpt")
    assert dispatched("act_llm_gen_text", "gpt", found) == (
        "dispatch act_llm_gen_text, handle gpt: queue openai (activity_queues.act_llm_gen_text.by_handle.gpt),"
        f" start_to_close 0:30:00 ({GPT}), attempts 9 ({GPT}), heartbeat 0:00:45 (queue_options.openai)"
    )
