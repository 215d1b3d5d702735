"""What an operator reads when a name or a setting is wrong: the real commands, all that they say, and the exit code.

What a server refuses (TLS, certificates, keys, rights on search attributes) is in test_e2e_tls.py.
"""

from __future__ import annotations

import base64
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from e2e_project import NOTE, Project, new_namespace, steps, workflow_of
from inline_snapshot import snapshot

NOWHERE = """[temporal.temporal_config.temporal_server_configs.local]
target_host = "127.0.0.1:1"
"""


@pytest.fixture
async def work(tmp_path: Path) -> AsyncIterator[Project]:
    async with Project(tmp_path) as opened:
        yield opened


async def told(work: Project, *arguments: str) -> str:
    """What a command that fails says, on stderr alone."""
    command = await work.run(*arguments)
    assert (command.process.returncode, command.out) == (1, "")
    assert "Traceback" not in command.err
    return command.err


NAMES = [
    (
        ("worker", "--task-queue", "temporal_task_queu"),
        snapshot("""\
error: there is no task queue 'temporal_task_queu'. Did you mean 'temporal_task_queue'? [config-error]
  hint: known queues: temporal_task_queue; a new one needs a route under [temporal.activity_queues] and a table [temporal.queue_options.temporal_task_queu]
"""),
    ),
    (
        ("worker", "--scope", "ruter"),
        snapshot("""\
error: there is no worker scope 'ruter'. Did you mean 'router'? [config-error]
  hint: known scopes: full, router, runner, runner-llm, runner-img-gen, runner-extract, runner-search, runner-jinja2; add [temporal.worker_scopes.scopes.ruter]
"""),
    ),
    (
        ("worker", "--profile", "defalt"),
        snapshot("""\
error: there is no worker profile 'defalt'. Did you mean 'default'? [config-error]
  hint: known profiles: default; add [temporal.worker_runtime_profiles.profiles.defalt]
"""),
    ),
    (
        ("worker", "--server", "loca"),
        snapshot("""\
error: there is no Temporal server profile 'loca'. Did you mean 'local'? [config-error]
  hint: known profiles: local; add [temporal.temporal_config.temporal_server_configs.loca]
"""),
    ),
    (
        ("setup-temporal-namespace", "--server", "prod"),
        snapshot("""\
error: there is no Temporal server profile 'prod'. [config-error]
  hint: known profiles: local; add [temporal.temporal_config.temporal_server_configs.prod]
"""),
    ),
    (
        ("runs", "list", "--server", "prod"),
        snapshot("""\
error: there is no Temporal server profile 'prod'. [config-error]
  hint: known profiles: local; add [temporal.temporal_config.temporal_server_configs.prod]
"""),
    ),
    (
        ("worker",),
        snapshot("""\
error: no Temporal server answers at 127.0.0.1:1 [unreachable]
  hint: start a server on this machine with `pipelex dev`, or correct target_host of the selected server under [temporal.temporal_config]
"""),
    ),
]


@pytest.mark.parametrize(("arguments", "said"), NAMES, ids=[" ".join(arguments) for arguments, _ in NAMES])
async def test_a_name_on_the_command_line(work: Project, arguments: tuple[str, ...], said: str) -> None:
    work.configure(NOWHERE)
    assert await told(work, *arguments) == said


SETTINGS = [
    (
        "activity",
        '[temporal.activity_queues.act_llm_gen_txt]\ndefault = "llm"\n[temporal.queue_options.llm]',
        snapshot("""\
.pipelex/pipelex.toml:1:27: error: temporal: activity_queues.act_llm_gen_txt: no such activity. Did you mean 'act_llm_gen_text'? Known: act_llm_gen_text, act_llm_gen_object, act_llm_gen_object_list, act_img_gen_images, act_extract_gen_extract_pages, act_search_gen_sourced_answer, act_search_gen_structured, act_func_call, act_doc_gen_document, act_render_page_views, act_jinja2_gen_text [wrong_value]
  1 | [temporal.activity_queues.act_llm_gen_txt]
                                ^
error: one setting is wrong [config-error]
"""),
    ),
    (
        "queue",
        '[temporal.activity_queues.act_llm_gen_text]\ndefault = "opnai_q"\n[temporal.queue_options.openai_q]',
        snapshot("""\
.pipelex/pipelex.toml:2:1: error: temporal: activity_queues.act_llm_gen_text.default names the queue 'opnai_q', which no table describes. Did you mean 'openai_q'? Add [temporal.queue_options.opnai_q] (it may be empty) [wrong_value]
  2 | default = "opnai_q"
      ^
error: one setting is wrong [config-error]
"""),
    ),
    (
        "unrouted",
        "[temporal.queue_options.openai_q]",
        snapshot("""\
.pipelex/pipelex.toml:1:25: error: temporal: queue_options.openai_q describes a queue that nothing is sent to. Remove the table, or route an activity to it [wrong_value]
  1 | [temporal.queue_options.openai_q]
                              ^
error: one setting is wrong [config-error]
"""),
    ),
    (
        "two places",
        '[temporal.worker_config.activity_queues.act_llm_gen_text.by_handle]\n"gpt-4o" = "opnai_q"',
        snapshot("""\
.pipelex/pipelex.toml:2:1: error: temporal: activity_queues.act_llm_gen_text.by_handle.gpt-4o names the queue 'opnai_q', which no table describes. Add [temporal.queue_options.opnai_q] (it may be empty) [wrong_value]
  2 | "gpt-4o" = "opnai_q"
      ^
error: one setting is wrong [config-error]
"""),
    ),
    (
        "scope",
        '[temporal.worker_scopes]\ndefault_scope = "ruter"',
        snapshot("""\
.pipelex/pipelex.toml:2:1: error: temporal.worker_scopes: default_scope 'ruter' is not among the scopes. Did you mean 'router'? Known: full, router, runner, runner-llm, runner-img-gen, runner-extract, runner-search, runner-jinja2 [wrong_value]
  2 | default_scope = "ruter"
      ^
error: one setting is wrong [config-error]
"""),
    ),
    (
        "scope activity",
        '[temporal.worker_scopes.scopes.full]\nexcluded_activities = ["act_func_cal"]',
        snapshot("""\
error: there is no activity 'act_func_cal'. Did you mean 'act_func_call'? [config-error]
  at: [temporal.worker_scopes.scopes.full] excluded_activities
  hint: known: act_llm_gen_text, act_llm_gen_object, act_llm_gen_object_list, act_img_gen_images, act_extract_gen_extract_pages, act_search_gen_sourced_answer, act_search_gen_structured, act_func_call, act_doc_gen_document, act_render_page_views, act_jinja2_gen_text, act_flush_trace_events, act_deliver, act_assemble_tracing, act_dry_validate
"""),
    ),
    (
        "profile",
        '[temporal.worker_runtime_profiles]\ndefault_profile = "busy"',
        snapshot("""\
.pipelex/pipelex.toml:2:1: error: temporal.worker_runtime_profiles: default_profile 'busy' is not among the profiles. Known: default [wrong_value]
  2 | default_profile = "busy"
      ^
error: one setting is wrong [config-error]
"""),
    ),
    (
        "server",
        '[temporal.temporal_config]\nselected_server = "locl"',
        snapshot("""\
.pipelex/pipelex.toml:2:1: error: temporal.temporal_config: selected_server 'locl' is not among the servers. Did you mean 'local'? Known: local [wrong_value]
  2 | selected_server = "locl"
      ^
error: one setting is wrong [config-error]
"""),
    ),
    (
        "former key",
        '[temporal.worker_config]\ntask_queue = "mine"',
        snapshot("""\
.pipelex/pipelex.toml:2:1: error: unknown key 'task_queue' in [temporal.worker_config] [unknown_key]
  2 | task_queue = "mine"
      ^
  hint: did you mean 'default_task_queue'?
error: one setting is wrong [config-error]
"""),
    ),
    (
        "duration",
        '[temporal.worker_config]\nrun_timeout = "10 minutes"',
        snapshot("""\
.pipelex/pipelex.toml:2:1: error: temporal.worker_config.run_timeout: should be a duration, such as '90s', '10m', '1h30m' or '0:10:00' (it is '10 minutes') [wrong_value]
  2 | run_timeout = "10 minutes"
      ^
error: one setting is wrong [config-error]
"""),
    ),
    (
        "port",
        '[temporal.temporal_config.temporal_server_configs.local]\ntarget_host = "localhost"',
        snapshot("""\
error: no Temporal server answers at localhost [unreachable]
  hint: give target_host of the selected server under [temporal.temporal_config] its port: localhost:7233 is usual
"""),
    ),
]


@pytest.mark.parametrize(("text", "said"), [case[1:] for case in SETTINGS], ids=[case[0] for case in SETTINGS])
async def test_a_mistake_in_the_settings(work: Project, text: str, said: str) -> None:
    work.configure(text)
    assert await told(work, "worker") == said


async def test_doctor_tells_the_same_mistakes(work: Project) -> None:
    work.configure(NOWHERE)
    unknown = await work.run("doctor", "--server", "prod")
    assert (unknown.process.returncode, unknown.err) == (1, "")
    assert mistakes_in(unknown.out) == snapshot("""\
error    configuration: there is no Temporal server profile 'prod'.
         fix: known profiles: local; add [temporal.temporal_config.temporal_server_configs.prod]
""")
    work.configure(SETTINGS[0][1])
    wrong = await work.run("doctor")
    assert (wrong.process.returncode, wrong.err) == (1, "")
    assert mistakes_in(wrong.out) == snapshot("""\
error    configuration: .pipelex/pipelex.toml:1:27: temporal: activity_queues.act_llm_gen_txt: no such activity. Did you mean 'act_llm_gen_text'? Known: act_llm_gen_text, act_llm_gen_object, act_llm_gen_object_list, act_img_gen_images, act_extract_gen_extract_pages, act_search_gen_sourced_answer, act_search_gen_structured, act_func_call, act_doc_gen_document, act_render_page_views, act_jinja2_gen_text
         fix: correct .pipelex/pipelex.toml:1:27
""")


def mistakes_in(said: str) -> str:
    """What doctor says after the versions and the extras, which are those of the machine."""
    return "".join(line for line in said.splitlines(keepends=True) if not line.startswith("ok "))


async def test_a_set_up_without_search_attributes(work: Project) -> None:
    for arguments in (("setup-temporal-namespace",), ("setup-temporal-namespace", "--dry-run")):
        command = await work.run(*arguments)
        assert (command.process.returncode, command.out) == (0, "")
        assert command.err == snapshot(
            "search attributes are off: nothing to register (enabled under [temporal.search_attributes])\n"
        )


@pytest.mark.server
async def test_a_namespace_that_lacks_search_attributes(work: Project, address: str) -> None:
    """From the worker that refuses to start, through the commands it prints, to the one that starts."""
    name = f"bare-{work.folder.parent.name}"
    await new_namespace(address, name)
    work.use(
        address,
        f"""
[temporal.temporal_config]
selected_server = "bare"
[temporal.temporal_config.temporal_server_configs.bare]
target_host = "{address}"
namespace = "{name}"
[temporal.search_attributes]
enabled = true
attributes = ["UserId", "PipelexCostUsd"]
""",
    )

    def bare_of(text: str) -> str:
        return text.replace(address, "ADDRESS").replace(name, "NAMESPACE")

    assert bare_of(await told(work, "worker")) == snapshot("""\
error: the namespace 'NAMESPACE' lacks the search attributes UserId, PipelexCostUsd [config-error]
  hint: run `pipelex setup-temporal-namespace`, with the --server of this command if any, or one of:
temporal operator search-attribute create --address ADDRESS --namespace NAMESPACE --name UserId --type Keyword --name PipelexCostUsd --type Double
tcld namespace search-attributes add --namespace NAMESPACE --search-attribute UserId=Keyword --search-attribute PipelexCostUsd=Double
""")
    doctor = await work.run("doctor", "--temporal")
    lines = bare_of(doctor.out).splitlines()
    assert [line for line in lines if "search attributes" in line] == snapshot(
        ["error    search attributes: the namespace 'NAMESPACE' lacks the search attributes UserId, PipelexCostUsd"]
    )
    dry = await work.run("setup-temporal-namespace", "--dry-run")
    assert (dry.process.returncode, dry.err) == (0, "")
    assert bare_of(dry.out) == snapshot("""\
temporal operator search-attribute create --address ADDRESS --namespace NAMESPACE --name UserId --type Keyword --name PipelexCostUsd --type Double
tcld namespace search-attributes add --namespace NAMESPACE --search-attribute UserId=Keyword --search-attribute PipelexCostUsd=Double
""")
    done = await work.run("setup-temporal-namespace")
    assert (done.process.returncode, done.out) == snapshot((0, "registered: UserId, PipelexCostUsd\n"))
    worker = await work.start("worker")
    await worker.says("worker ready")


@pytest.mark.server
async def test_whoever_lacks_a_key_can_list_and_stop_runs_but_not_read_them(work: Project, address: str) -> None:
    work.environment["THE_KEY"] = base64.b64encode(bytes(32)).decode()
    work.use(address, '[temporal.payloads.encryption]\nactive_key = "ours"\nkeys.ours.env = "THE_KEY"')
    work.write("method.mthds", steps(1))
    run = await work.method("--simulate", *NOTE, wait=False)
    await run.says("workflow: ")
    run_id = workflow_of(run)
    run.signal(signal.SIGINT)
    assert await run.ended() == 130
    work.use(address)

    listed = await work.run("runs", "list", "--status", "running", "--json")
    assert (listed.process.returncode, run_id in listed.out) == (0, True), listed.err
    assert await told(work, "runs", "show", run_id) == snapshot("""\
error: a payload is encrypted with the key 'ours', which this process does not have [config-error]
  hint: add [temporal.payloads.encryption.keys.ours] with `env` or `file` to the configuration of every worker, submitter and codec server
""")
    terminated = await work.run("runs", "terminate", run_id)
    assert terminated.process.returncode == 0, terminated.err
