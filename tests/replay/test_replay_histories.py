"""Recorded runs, one per kind of pipe and of ending, replay against the code of today: it issues the same commands.

The histories in `histories/` stand for runs that are under way while a new version is installed. When one of these
tests fails, such runs would break: mend the change. If the change is meant, record again, on purpose, with
`python scripts/record_histories.py [CASE …]`, and say so in the changelog.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from pathlib import Path

import pytest
from replay_cases import CASES, ended
from temporalio.client import Client

from pipelex.testing.replay import record, replay

HISTORIES = Path(__file__).parent / "histories"

# The SDK may abort while the interpreter exits.
SCRIPT = """
import asyncio, os, sys
from pathlib import Path
from pipelex.testing.replay import replay
async def main():
    return sum([await replay(folder) for folder in sorted(Path(sys.argv[1]).iterdir())])
print(asyncio.run(main()), flush=True)
os._exit(0)
"""


def test_every_case_is_recorded() -> None:
    assert {folder.name for folder in HISTORIES.iterdir()} == set(CASES)


@pytest.mark.parametrize("name", CASES)
async def test_a_recorded_run_replays(name: str) -> None:
    assert await replay(HISTORIES / name) == len(list((HISTORIES / name).glob("*.json")))


async def test_they_replay_whatever_the_order_of_sets() -> None:
    async def told(seed: str) -> tuple[str, str]:
        command = [sys.executable, "-c", SCRIPT, str(HISTORIES)]
        pipe = asyncio.subprocess.PIPE
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=pipe, stderr=pipe)
        out, err = await process.communicate()
        return out.decode().strip(), err.decode()

    expected = str(len(list(HISTORIES.glob("*/*.json"))))
    for out, err in await asyncio.gather(told("1"), told("2")):
        assert out == expected, err


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("llm_text", "act_llm_gen_text", "act_llm_gen_object"),
        ("sequence", '"workflowType":{"name":"wf_pipe_run"}', '"workflowType":{"name":"wf_other"}'),
        ("sequence_inline", '"activityId":"2"', '"activityId":"7"'),
        ("batch_tree", "START_CHILD_WORKFLOW_EXECUTION_INITIATED", "MARKER_RECORDED"),
    ],
)
async def test_a_changed_command_does_not_replay(tmp_path: Path, name: str, old: str, new: str) -> None:
    shutil.copytree(HISTORIES / name, tmp_path / name)
    root = min((tmp_path / name).iterdir())
    head, *events = root.read_text().splitlines(keepends=True)
    # The first event says what the workflow itself is; the others what it commanded.
    first, rest = events[0], "".join(events[1:])
    assert old in rest
    root.write_text(head + first + rest.replace(old, new))
    with pytest.raises(Exception, match=r"(?i)nondeterminism|history"):
        await replay(tmp_path / name)


@pytest.mark.server
@pytest.mark.parametrize("name", CASES)
async def test_a_live_run_that_replays_at_every_step_ends_as_recorded(
    client: Client, payload_root: Path, tmp_path: Path, name: str
) -> None:
    run, end = await ended(client, name, max_cached_workflows=0)
    error = CASES[name].error
    assert (type(end).__name__ == error) if error else not isinstance(end, Exception)
    paths = await record(client, run.workflow_id, tmp_path)
    if error is None:
        assert len(paths) == len(list((HISTORIES / name).glob("*.json")))
    assert await replay(tmp_path, payload_root=payload_root) == len(paths)
