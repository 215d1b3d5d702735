"""Composition root: the one room that knows every other. Temporal is imported only where a run is durable."""

from pipelex.app.durable import EMBEDDED as EMBEDDED
from pipelex.app.durable import need_sdk as need_sdk
from pipelex.app.handle import RunHandle as RunHandle
from pipelex.app.method import Method as Method
from pipelex.app.method import ValidationReport as ValidationReport
from pipelex.app.runtime import FunctionSource as FunctionSource
from pipelex.app.runtime import Runtime as Runtime
from pipelex.pipes.result import RunResult as RunResult
