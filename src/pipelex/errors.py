"""Every error of the project. Pure; raised on both sides of every wire, and carried across as a plain report.

PipelexError
├── LanguageError            author   a .mthds text is wrong (carries every problem, with positions)
├── LibraryError             author   bundles do not link (carries every problem)
├── InputError               caller   what was given to a run does not fit
│   ├── PipeNotFoundError    caller   no such pipe, or several
│   └── DocumentError        caller   a file is missing, unreadable, encrypted, or of an unknown kind
├── ConfigError              operator a setting is wrong
│   ├── ModelNotFoundError   operator a model reference does not resolve
│   ├── CredentialError      operator a key is needed here and missing
│   └── UnreachableError     operator a server does not answer
├── InferenceError           provider a call failed (retryable or not)
│   ├── RateLimitError       provider 429: wait and retry
│   ├── ProviderDownError    provider timeouts, dropped connections, 5xx: retry
│   ├── AuthenticationError  operator the provider refuses the key
│   ├── RequestRefusedError  author   the provider refuses the request (400, quota, content policy)
│   └── ReplyError           provider the reply is cut, empty, or does not fit the schema
├── PipeError                author   a pipe failed while computing
│   ├── TemplateError        author   a template cannot be rendered
│   ├── RoutingError         author   a condition reached "fail", or an empty expression
│   ├── FunctionError        author   a Python function is unknown or raised
│   ├── AbsentValueError     author   a value asserted present is absent
│   └── OutputError          author   a result does not fit the declared output
├── RunCancelledError        caller   the run was cancelled or terminated
├── RunTimeoutError          operator the run exceeded its time
└── InternalError            us       a bug
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Final, Literal

Category = Literal["transient", "configuration", "content", "capacity", "unknown"]
"""What a failure calls for: asking again, a setting, other content, more room or time, or a look at the log."""
_CAPACITY: Final = (402, 429)


@dataclass(frozen=True)
class Problem:
    """One thing wrong in a method: what, where (1-based line and column), and how to mend it."""

    code: str
    message: str
    file: str | None = None
    line: int | None = None
    column: int | None = None
    excerpt: str | None = None
    hint: str | None = None
    is_warning: bool = False

    @property
    def place(self) -> str:
        """`file:line:column`, as much of it as is known."""
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)

    def render(self) -> str:
        """Several lines for a person: place, message, the source line with a caret, the hint."""
        level = "warning" if self.is_warning else "error"
        lines = [f"{self.place}: {level}: {self.message} [{self.code}]" if self.place else f"{level}: {self.message}"]
        if self.excerpt is not None:
            gutter = f"{self.line or ''} | "
            lines.append(f"  {gutter}{self.excerpt}")
            if self.column is not None:
                lines.append("  " + " " * (len(gutter) + self.column - 1) + "^")
        if self.hint:
            lines.append(f"  hint: {self.hint}")
        return "\n".join(lines)


class PipelexError(Exception):
    """What happened, where, and what to do about it. `code` is stable; the class says who can act."""

    code: ClassVar[str] = "pipelex-error"
    kind: ClassVar[Category] = "unknown"
    """The category of the errors of this class that are not worth another try."""
    fields: ClassVar[tuple[str, ...]] = ()
    """Names of the extra attributes that travel in the report, all JSON values."""

    def __init__(self, message: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint
        self.pipe_path: tuple[str, ...] = ()

    @property
    def is_retryable(self) -> bool:
        """Whether the same call may succeed if made again."""
        return False

    @property
    def category(self) -> Category:
        """What the failure calls for. It follows from the class, so it is told in reports and not read from them."""
        return "transient" if self.is_retryable else self.kind

    def render(self) -> str:
        """One screen for a person: message, place, hint. No colour."""
        lines = [f"error: {self.message} [{self.code}]"]
        if self.where:
            lines.append(f"  at: {self.where}")
        if self.pipe_path:
            lines.append(f"  in: {' > '.join(self.pipe_path)}")
        if self.hint:
            lines.append(f"  hint: {self.hint}")
        return "\n".join(lines)

    def report(self) -> dict[str, Any]:
        """The error as JSON data; `from_report` restores the same class."""
        report: dict[str, Any] = {"code": self.code, "category": self.category, "message": self.message}
        for name in ("where", "hint", *self.fields):
            if getattr(self, name) is not None:
                report[name] = getattr(self, name)
        if self.pipe_path:
            report["pipe_path"] = list(self.pipe_path)
        return report

    @classmethod
    def _arguments(cls, report: Mapping[str, Any]) -> dict[str, Any]:
        return {name: report[name] for name in ("where", "hint", *cls.fields) if name in report}


class _ProblemsError(PipelexError):
    """Carries every problem found, not just the first."""

    fields = ("problems",)

    def __init__(
        self,
        message: str,
        *,
        problems: list[Problem] | list[dict[str, Any]] | None = None,
        where: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, where=where, hint=hint)
        self.found = [item if isinstance(item, Problem) else Problem(**item) for item in problems or []]

    @property
    def problems(self) -> list[dict[str, Any]]:
        """The problems as JSON data, without the locators that are unknown."""
        return [{key: value for key, value in asdict(item).items() if value is not None} for item in self.found]

    def render(self) -> str:
        """All problems, then the count."""
        if not self.found:
            return super().render()
        return "\n".join([*(item.render() for item in self.found), f"error: {self.message} [{self.code}]"])


class LanguageError(_ProblemsError):
    """A `.mthds` text is wrong."""

    code = "language-error"
    kind = "content"


class LibraryError(_ProblemsError):
    """Bundles that are each well formed do not link."""

    code = "library-error"
    kind = "content"


class InputError(PipelexError):
    """What the caller gave to a run does not fit what the pipe declares."""

    code = "input-error"
    kind = "content"


class PipeNotFoundError(InputError):
    """No pipe answers to that name, or more than one."""

    code = "pipe-not-found"


class DocumentError(InputError):
    """A file is missing, unreadable, encrypted, or of a kind that cannot be read."""

    code = "document-error"


class ConfigError(_ProblemsError):
    """A setting is wrong; the operator can mend it. Carries every problem when files of settings were read."""

    code = "config-error"
    kind = "configuration"


class ModelNotFoundError(ConfigError):
    """A model reference does not resolve to a handle, or no backend serves the handle."""

    code = "model-not-found"


class CredentialError(ConfigError):
    """A key is needed by this process and is not set."""

    code = "credential-missing"


class UnreachableError(ConfigError):
    """A server does not answer at the configured address."""

    code = "unreachable"


class InferenceError(PipelexError):
    """A call to a provider failed. `retry_after` is in seconds, `request_id` is what the provider calls the request."""

    code = "inference-error"
    fields = ("retryable", "provider", "model", "status", "request_id", "retry_after")

    def __init__(
        self,
        message: str,
        *,
        retryable: bool = False,
        provider: str | None = None,
        model: str | None = None,
        status: int | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        where: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, where=where, hint=hint)
        self.retryable = retryable
        self.provider = provider
        self.model = model
        self.status = status
        self.request_id = request_id
        self.retry_after = retry_after

    @property
    def is_retryable(self) -> bool:
        """Whether the provider may answer if asked again."""
        return self.retryable

    @property
    def category(self) -> Category:
        """What the failure calls for; an account without credit is no matter of content."""
        return "capacity" if self.status in _CAPACITY and not self.retryable else super().category

    def render(self) -> str:
        """One screen for a person, with what the provider calls the request: its support asks for that."""
        text = super().render()
        return text if self.request_id is None else f"{text}\n  request id: {self.request_id}"


class RateLimitError(InferenceError):
    """The provider asks to slow down (429); `retry_after` says how long, when it does."""

    code = "rate-limited"
    kind = "capacity"


class ProviderDownError(InferenceError):
    """Timeout, dropped connection, or a 5xx answer."""

    code = "provider-down"


class AuthenticationError(InferenceError):
    """The provider refuses the key (401, 403)."""

    code = "key-refused"
    kind = "configuration"


class RequestRefusedError(InferenceError):
    """The provider refuses the request itself: malformed, over quota, or against its content policy."""

    code = "request-refused"
    kind = "content"


class ReplyError(InferenceError):
    """The reply is empty, cut short, or does not fit the schema after the allowed re-asks."""

    code = "bad-reply"
    kind = "content"


class PipeError(PipelexError):
    """A pipe failed while computing; `pipe_path` says which, from the entry pipe down."""

    code = "pipe-error"
    kind = "content"


class TemplateError(PipeError):
    """A template cannot be rendered, or tried something that is not allowed."""

    code = "template-error"


class RoutingError(PipeError):
    """A condition reached `fail`, or its expression gave nothing."""

    code = "routing-error"


class FunctionError(PipeError):
    """A Python function is not known here, or raised."""

    code = "function-error"


class AbsentValueError(PipeError):
    """A value that the pipe asserts present is absent."""

    code = "value-absent"


class OutputError(PipeError):
    """A result does not fit the declared output of its pipe."""

    code = "output-error"


class RunCancelledError(PipelexError):
    """The run was cancelled or terminated before it ended."""

    code = "run-cancelled"


class RunTimeoutError(PipelexError):
    """The run, or one of its calls, exceeded its time."""

    code = "run-timeout"
    kind = "capacity"


class InternalError(PipelexError):
    """A bug of ours. The message names the exception class, never its data."""

    code = "internal-error"


def _tree(root: type[PipelexError]) -> dict[str, type[PipelexError]]:
    classes = {root.code: root}
    for child in root.__subclasses__():
        classes.update(_tree(child))
    return classes


def from_report(report: Mapping[str, Any]) -> PipelexError:
    """Restore the error that `report()` described: same class, same fields. An unknown code gives an InternalError."""
    found = _tree(PipelexError).get(str(report.get("code")), InternalError)
    error = found(str(report.get("message", "unknown error")), **found._arguments(report))
    error.pipe_path = tuple(report.get("pipe_path", ()))
    return error
