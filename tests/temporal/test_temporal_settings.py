from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from pipelex.errors import ConfigError
from pipelex.temporal.settings import RetryPolicyConfig, TemporalSettings, chosen_task_queues


def read(data: dict[str, Any]) -> TemporalSettings:
    return TemporalSettings.model_validate(data)


def refusal(data: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as caught:
        read(data)
    return str(caught.value)


def test_empty_tables_give_the_documented_defaults() -> None:
    settings = read({})
    assert not settings.is_enabled
    assert not settings.search_attributes.enabled
    assert settings.worker_config.default_task_queue == "temporal_task_queue"
    assert settings.worker_config.workflow_execution_timeout == timedelta(hours=1)
    assert settings.worker_config.retry_policy_config.maximum_attempts == 3
    assert settings.known_task_queues() == ("temporal_task_queue",)
    assert settings.server_profile().target_host == "localhost:7233"
    assert settings.runtime_profile().sticky_queue_schedule_to_start_timeout == timedelta(seconds=3)
    assert read(settings.model_dump(mode="json", exclude_defaults=True)) == settings
    assert read(settings.model_dump()) == settings


def test_reading_settings_needs_no_sdk() -> None:
    code = "import sys, pipelex.temporal.settings; sys.exit('temporalio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("spelling", ["10m", "0:10:00", "PT10M", 600])
def test_durations_are_read_as_people_write_them(spelling: object) -> None:
    settings = read({"worker_config": {"run_timeout": spelling}})
    assert settings.worker_config.run_timeout == timedelta(minutes=10)


ROUTED = {"act_llm_gen_text": {"default": "llm", "by_handle": {"gpt-4o": "gpt"}}}
OPTIONS: dict[str, Any] = {"llm": {}, "gpt": {"max_task_queue_activities_per_second": 2}}


@pytest.mark.parametrize(
    "data",
    [
        {"worker_config": {"activity_queues": ROUTED}, "queue_options": OPTIONS},
        {"activity_queues": ROUTED, "queue_options": OPTIONS},
        {"activity_queues": ROUTED, "worker_config": {"queue_options": OPTIONS}},
        {
            "worker_config": {"activity_queues": ROUTED, "queue_options": {"llm": {}}},
            "queue_options": {"gpt": OPTIONS["gpt"]},
        },
    ],
)
def test_both_documented_places_of_the_routing_tables_mean_the_same(data: dict[str, Any]) -> None:
    settings = read(data)
    assert settings.worker_config.activity_queues["act_llm_gen_text"].by_handle == {"gpt-4o": "gpt"}
    assert settings.queue_options["gpt"].max_task_queue_activities_per_second == 2
    assert set(settings.known_task_queues()) == {"temporal_task_queue", "llm", "gpt"}


def with_routes(activities: dict[str, Any], **queues: Any) -> dict[str, Any]:
    return {"worker_config": {"activity_queues": activities}, "queue_options": queues}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"is_enabld": True}, "is_enabld"),
        ({"search_attributes": {"attributes": ["Colour"]}}, "PipeCode"),
        ({"worker_config": {"run_timeout": "soon"}}, "run_timeout"),
        ({"worker_config": {"run_timeout": 0}}, "run_timeout"),
        ({"worker_config": {"task_queue": "q"}}, "task_queue"),
        (with_routes({"act_llm_gen_txt": {"default": "llm"}}, llm={}), "Did you mean 'act_llm_gen_text'?"),
        (with_routes({"act_render_page_views": {"by_handle": {"x": "q"}}}, q={}), "no handle to route by"),
        (with_routes({"act_func_call": {"default": "llmq"}}, llm_q={}), "Did you mean 'llm_q'?"),
        (with_routes({}, llm={}), "queue_options.llm describes a queue that nothing is sent to"),
        ({**with_routes(ROUTED, **OPTIONS), "activity_queues": ROUTED}, "given both under [temporal] and under"),
        (
            {"queue_options": {"temporal_task_queue": {"retry_policy_config": {"non_retryable_error_types": ["X"]}}}},
            "Extra",
        ),
        ({"queue_options": {"temporal_task_queue": {"retry_policy_config": {"maximum_interval": "1s"}}}}, "is below"),
        ({"worker_config": {"retry_policy_config": {"maximum_attempts": 0}}}, "maximum_attempts"),
        ({"worker_runtime_profiles": {"default_profile": "bigg", "profiles": {"big": {}}}}, "Did you mean 'big'?"),
        ({"worker_runtime_profiles": {"profiles": {"big": {"tuning_mode": "resource"}}}}, "resource_based"),
        ({"worker_runtime_profiles": {"profiles": {"big": {"target_cpu_usage": 80}}}}, "target_cpu_usage"),
        (
            {"temporal_config": {"selected_server": "prd", "temporal_server_configs": {"prod": {}}}},
            "Did you mean 'prod'?",
        ),
        (
            {"temporal_config": {"temporal_server_configs": {"prod": {"api_key_method": "env_var"}}}},
            "api_key_id is empty",
        ),
        ({"worker_scopes": {"default_scope": "runer"}}, "Did you mean 'runner'?"),
        ({"worker_scopes": {"scopes": {"full": {"disable_activities": True}}}}, "disable_activities"),
        ({"execution": {"child_workflows": "never"}}, "fan_out"),
        ({"payloads": {"threshold_bytes": 3_000_000}}, "threshold_bytes"),
    ],
)
def test_what_does_not_fit_is_refused(data: dict[str, Any], said: str) -> None:
    assert said in refusal(data)


def test_documented_tables_are_accepted_while_they_change_nothing() -> None:
    settings = read(
        {
            "payload_codec_config": {
                "is_enabled": False,
                "size_threshold": 1048576,
                "storage_prefix": "temporal-payloads/",
                "storage_provider_config": {"method": "local", "local": {"uri_format": "{hash}"}},
            },
            "temporal_config": {"temporal_log_config": {"is_prefix_enabled": True}},
            "worker_scopes": {"default_scope": "full", "scopes": {"runner": {"disable_all_workflows": True}}},
        }
    )
    assert settings.worker_scopes.scopes["runner"].disable_all_workflows


def test_profiles_inherit_from_the_default_one() -> None:
    profiles = {
        "default": {"max_cached_workflows": 7, "graceful_shutdown_timeout": "5s"},
        "big": {"max_cached_workflows": 9},
    }
    settings = read({"worker_runtime_profiles": {"profiles": profiles}})
    big = settings.runtime_profile("big")
    assert (big.max_cached_workflows, big.graceful_shutdown_timeout) == (9, timedelta(seconds=5))
    assert big.max_heartbeat_throttle_interval == timedelta(seconds=3)
    assert settings.runtime_profile().max_cached_workflows == 7


def test_servers_are_partial_and_local_stays() -> None:
    configs = {"prod": {"target_host": "t.example:7233", "api_key_method": "env_var", "api_key_id": "TEMPORAL_KEY"}}
    settings = read({"temporal_config": {"selected_server": "prod", "temporal_server_configs": configs}})
    assert settings.server_profile().namespace == "default"
    assert settings.server_profile("local").target_host == "localhost:7233"


def test_unknown_names_given_on_the_command_line_are_explained() -> None:
    settings = read(with_routes(ROUTED, **OPTIONS))
    with pytest.raises(ConfigError, match="Did you mean 'local'"):
        settings.server_profile("locla")
    with pytest.raises(ConfigError, match="no worker profile 'big'"):
        settings.runtime_profile("big")
    with pytest.raises(ConfigError, match="Did you mean 'temporal_task_queue'") as caught:
        chosen_task_queues(settings, ["temporal_task_queu"])
    assert caught.value.hint is not None
    assert "temporal_task_queue, llm, gpt" in caught.value.hint


def test_queues_to_poll_default_to_the_first_and_are_named_once() -> None:
    settings = read(with_routes(ROUTED, **OPTIONS))
    assert chosen_task_queues(settings, []) == ("temporal_task_queue",)
    assert chosen_task_queues(settings, ["gpt", "llm", "gpt"]) == ("gpt", "llm")


def test_retry_overlays_change_what_they_set() -> None:
    options = {
        "q": {"retry_policy_config": {"maximum_attempts": "unlimited", "non_retryable_error_types_extra": ["A", "B"]}}
    }
    settings = read(with_routes({"act_func_call": {"default": "q"}}, **options))
    base = RetryPolicyConfig(non_retryable_error_types=("B", "C"), maximum_interval=timedelta(minutes=1))
    merged = base.overlaid(settings.queue_options["q"].retry_policy_config)
    assert merged.non_retryable_error_types == ("B", "C", "A")
    assert (merged.maximum_attempts, merged.maximum_interval) == ("unlimited", timedelta(minutes=1))
    assert base.overlaid(None) is base
