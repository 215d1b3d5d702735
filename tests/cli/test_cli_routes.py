from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from inline_snapshot import snapshot

Cli = Callable[..., Any]

SETTINGS = """
[temporal.worker_config]
default_activity_start_to_close_timeout = "8m"

[temporal.worker_config.retry_policy_config]
non_retryable_error_types = ["Broken"]

[temporal.activity_queues.act_llm_gen_text]
default = "llm_q"
by_handle."gpt-4o" = "openai_q"

[temporal.activity_queues.act_llm_gen_text.handle_options."gpt-4o"]
start_to_close_timeout = "20m"

[temporal.queue_options.llm_q]
[temporal.queue_options.openai_q]
heartbeat_timeout = "40s"
max_task_queue_activities_per_second = 2.5
retry_policy_config = { maximum_attempts = "unlimited", non_retryable_error_types_extra = ["TooLong"] }
"""


@pytest.fixture
def configured(work: Path) -> Path:
    (work / ".pipelex" / "pipelex.toml").write_text(SETTINGS)
    return work


def shown(text: str, heading: str) -> list[str]:
    """The rows under a heading, spaces squeezed."""
    block = next(part for part in text.split("\n\n") if heading in part.splitlines())
    return [" ".join(row.split()) for row in block.splitlines() if row.startswith(" ")]


def test_every_value_is_shown_with_its_layer_and_its_file(cli: Cli, configured: Path) -> None:
    done = cli("routes")
    assert (done.code, done.err) == (0, "")
    assert shown(done.out, "act_llm_gen_text  gpt-4o") == snapshot(
        [
            "task_queue openai_q activity_queues.act_llm_gen_text.by_handle.gpt-4o (.pipelex/pipelex.toml)",
            "start_to_close_timeout 0:20:00 activity_queues.act_llm_gen_text.handle_options.gpt-4o"
            " (.pipelex/pipelex.toml)",
            "schedule_to_close_timeout none default",
            "schedule_to_start_timeout none default",
            "heartbeat_timeout 0:00:40 queue_options.openai_q (.pipelex/pipelex.toml)",
            "maximum_attempts unlimited queue_options.openai_q (.pipelex/pipelex.toml)",
            "initial_interval 0:00:03 default",
            "backoff_coefficient 2 default",
            "maximum_interval unlimited default",
            "non_retryable_error_types Broken, TooLong baseline + queue_options.openai_q (.pipelex/pipelex.toml)",
            "max_task_queue_activities_per_second 2.5 queue_options.openai_q (.pipelex/pipelex.toml)",
        ]
    )
    assert shown(done.out, "act_llm_gen_text")[0] == (
        "task_queue llm_q activity_queues.act_llm_gen_text.default (.pipelex/pipelex.toml)"
    )


def test_activities_that_nothing_routes_are_shown_together(cli: Cli, configured: Path) -> None:
    block = cli("routes").out.split("\n\n")[-1]
    assert [row for row in block.splitlines() if row.startswith("act_")] == [
        "act_llm_gen_object",
        "act_llm_gen_object_list",
        "act_img_gen_images",
        "act_extract_gen_extract_pages",
        "act_search_gen_sourced_answer",
        "act_search_gen_structured",
        "act_func_call",
        "act_doc_gen_document",
        "act_render_page_views",
        "act_jinja2_gen_text",
    ]
    assert "task_queue temporal_task_queue default" in shown(block, "act_func_call")


def test_a_pipe_shows_what_it_may_call_with_the_model_it_would_use(cli: Cli, configured: Path, greet: Path) -> None:
    done = cli("routes", str(greet), "--json")
    assert done.code == 0
    calls = {(entry["activity"], entry["handle"]) for entry in json.loads(done.out)}
    assert {activity for activity, _ in calls} == {
        "act_llm_gen_text",
        "act_llm_gen_object",
        "act_llm_gen_object_list",
    }
    assert len({handle for _, handle in calls}) == 1
    by_code = cli("routes", "--pipe", "greet", "-L", str(greet.parent), "--json")
    assert json.loads(by_code.out) == json.loads(done.out)


def test_a_handle_shows_where_its_calls_would_go(cli: Cli, configured: Path) -> None:
    found = {entry["activity"]: entry for entry in json.loads(cli("routes", "--handle", "gpt-4o", "--json").out)}
    assert found["act_llm_gen_text"]["values"]["task_queue"] == {
        "value": "openai_q",
        "layer": "activity_queues.act_llm_gen_text.by_handle.gpt-4o",
        "source": ".pipelex/pipelex.toml",
    }
    assert found["act_llm_gen_object"]["values"]["task_queue"]["value"] == "temporal_task_queue"
    assert "act_render_page_views" not in found
    other = json.loads(cli("routes", "--handle", "unheard-of", "--json").out)
    assert other[0]["values"]["task_queue"]["value"] == "llm_q"


def test_a_pipe_that_does_not_call_a_handle_says_so(cli: Cli, configured: Path, greet: Path) -> None:
    done = cli("routes", str(greet), "--handle", "unheard-of")
    assert (done.code, done.out.strip()) == (0, "")
    assert "no call goes to 'unheard-of'" in done.err


def test_a_variable_that_sets_a_value_is_named(cli: Cli, configured: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "PIPELEX__TEMPORAL__QUEUE_OPTIONS__OPENAI_Q__START_TO_CLOSE_TIMEOUT"
    monkeypatch.setenv("PIPELEX__TEMPORAL__WORKER_CONFIG__DEFAULT_ACTIVITY_HEARTBEAT_TIMEOUT", "33s")
    monkeypatch.setenv(name, "9m")
    rows = shown(cli("routes").out, "act_func_call")
    said = "environment variable PIPELEX__TEMPORAL__WORKER_CONFIG__DEFAULT_ACTIVITY_HEARTBEAT_TIMEOUT"
    assert f"heartbeat_timeout 0:00:33 baseline ({said})" in rows


UNKNOWN = """
[temporal.activity_queues.act_llm_gen_text]
by_handle = { "gpt-4oo" = "q", "no-such-thing" = "q" }
handle_options.small_talk = { start_to_close_timeout = "1m" }
[temporal.activity_queues.act_func_call]
by_handle = { my_function = "q" }
[temporal.queue_options.q]
"""


def test_handles_that_no_model_has_are_told(cli: Cli, work: Path) -> None:
    (work / ".pipelex" / "pipelex.toml").write_text(UNKNOWN)
    deck = work / ".pipelex" / "inference" / "deck"
    deck.mkdir(parents=True)
    (deck / "own.toml").write_text('[llm.presets]\nsmall_talk = { model = "gpt-4o", temperature = 0.5 }\n')
    done = cli("routes")
    assert done.code == 0
    assert done.err.splitlines() == snapshot(
        [
            "warning: activity_queues.act_llm_gen_text.by_handle.gpt-4oo:"
            " no model here has the handle 'gpt-4oo'. Did you mean 'gpt-4o'?",
            "warning: activity_queues.act_llm_gen_text.by_handle.no-such-thing:"
            " no model here has the handle 'no-such-thing'.",
            "warning: activity_queues.act_llm_gen_text.handle_options.small_talk:"
            " no model here has the handle 'small_talk'. $small_talk of the deck stands for 'gpt-4o': write that",
        ]
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[temporal.activity_queues.act_llm_gen_txt]\ndefault = "q"\n', "Did you mean 'act_llm_gen_text'?"),
        ('[temporal.activity_queues.act_llm_gen_text]\ndefault = "q"\n', "Add [temporal.queue_options.q]"),
        (
            '[temporal.activity_queues.act_llm_gen_text]\nby_handle.gpt-4.1 = "q"\n',
            'quote a name that has a dot: by_handle."gpt-4.1"',
        ),
        (
            '[temporal.activity_queues.act_llm_gen_text.handle_options.gpt-4.1]\nstart_to_close_timeout = "1m"\n',
            'handle_options."gpt-4.1"',
        ),
        ("[temporal.queue_options.q]\n", "Remove the table, or route an activity to it"),
        ("[temporal.lanes]\nurgent = 9\n", "temporal.lanes.urgent"),
        ('[temporal.lanes]\ndefault_lane = "urgent"\n', "Known: interactive, normal, batch"),
    ],
)
def test_a_mistake_in_the_settings_is_told_where_it_is(cli: Cli, work: Path, text: str, said: str) -> None:
    (work / ".pipelex" / "pipelex.toml").write_text(text)
    done = cli("routes")
    assert done.code == 1
    assert said in done.err
    assert ".pipelex/pipelex.toml:" in done.err


def test_an_unknown_lane_is_refused_before_anything_runs(cli: Cli, greet: Path) -> None:
    given = ("run", "bundle", str(greet), "--simulate", "-i", '{"name": "Ada"}')
    done = cli(*given, "--lane", "bacth")
    assert done.code == 1
    assert done.err == snapshot("""\
error: there is no lane 'bacth'. Did you mean 'batch'? [config-error]
  hint: known lanes: interactive, normal, batch; add bacth = 1 (first) to 5 (last) under [temporal.lanes]
""")
    assert cli(*given, "--lane", "batch").code == 0
