"""What the tests of pipes share: run a method written in the test, with scripted replies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from pipelex.inprocess.host import InProcessHost
from pipelex.inprocess.settings import InProcessSettings
from pipelex.library.library import Library, library_from_texts
from pipelex.pipes.models import model_asks
from pipelex.pipes.port import PipeCall, PipeResult, Plan, RunInfo
from pipelex.pipes.requests import ModelSetting
from pipelex.testing.scripted import ScriptedPerformer
from pipelex.values.value import Memory, Outcome, Value


@dataclass
class Ran:
    """A run that ended: its result, what was asked of the performer, and the library."""

    result: PipeResult
    performer: ScriptedPerformer
    host: InProcessHost
    library: Library

    @property
    def data(self) -> Any:
        assert isinstance(self.result.outcome, Value), self.result.outcome
        return self.result.outcome.data

    @property
    def prompts(self) -> list[str]:
        return [getattr(request, "prompt", "") for request in self.performer.requests]


async def run_method(
    text: str,
    script: Any = (),
    inputs: Mapping[str, Outcome] | None = None,
    *,
    pipe: str | None = None,
    plan: Mapping[str, Any] | None = None,
    call: Mapping[str, Any] | None = None,
) -> Ran:
    """Run the entry pipe of a method (or `pipe`) in process, every request answered by the script."""
    library, _ = library_from_texts({"method.mthds": text})
    models = {ask.key: ModelSetting(handle="scripted") for ask in model_asks(library.crate).values()}
    memory = Memory()
    for name, outcome in (inputs or {}).items():
        memory = memory.with_entry(name, outcome)
    performer = ScriptedPerformer(script)
    host = InProcessHost(library, Plan(models=models, **(plan or {})), performer, InProcessSettings(attempts=1))
    entry = PipeCall(pipe=library.entry(pipe), run=RunInfo(run_id="run"), memory=memory, **(call or {}))
    return Ran(await host.run_pipe(entry), performer, host, library)


@pytest.fixture
def run() -> Any:
    return run_method
