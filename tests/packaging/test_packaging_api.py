"""The public Python API, in full: what is changed here is changed for every program that uses it."""

import inspect
import re
from importlib import import_module

from inline_snapshot import snapshot

import pipelex

FOR_TESTS = {
    "scripted": ["ScriptedPerformer"],
    "provider_stub": ["StubAnswer", "StubProvider", "prompt_of"],
    "replay": ["record", "replay"],
    "methods": ["Method", "methods"],
}


def signature(member):
    return re.sub(r"=? *<[\w.]+ object at 0x\w+>", "= ...", str(inspect.signature(member)).replace("'", ""))


def surface(thing):
    """The signature of a function; of a class, its own and those of its public methods, as they are written."""
    if not inspect.isclass(thing):
        return signature(thing)
    found = {"": signature(thing)}
    for name in dir(thing):
        member = inspect.getattr_static(thing, name)
        is_ours = any(name in vars(base) for base in thing.__mro__ if base.__module__.startswith("pipelex"))
        if name.startswith(("_", "model_")) or not is_ours:
            continue
        if isinstance(member, property):
            found[name] = "property"
        elif callable(getattr(thing, name)):
            found[name] = signature(getattr(thing, name))
    return found


def test_the_names_of_the_package():
    assert pipelex.__all__ == snapshot(
        [
            "DocumentContent",
            "HtmlContent",
            "ImageContent",
            "ListContent",
            "NumberContent",
            "PipelexError",
            "RunHandle",
            "RunResult",
            "Runtime",
            "StructuredContent",
            "TextContent",
            "WorkingMemory",
            "__version__",
            "pipe_func",
            "pipe_run",
            "pipe_run_sync",
            "start_pipe",
        ]
    )


def test_functions_and_what_they_return():
    names = ("pipe_run", "pipe_run_sync", "start_pipe", "pipe_func", "RunHandle", "RunResult", "Runtime")
    assert {name: surface(getattr(pipelex, name)) for name in names} == snapshot(
        {
            "pipe_run": "(pipe: str | None = None, **options: Unpack[RunOptions]) -> RunResult",
            "pipe_run_sync": "(pipe: str | None = None, **options: Unpack[RunOptions]) -> RunResult",
            "start_pipe": "(pipe: str | None = None, *, bundle: Path | str | None = None, library_dirs: Sequence[Path | str] | None = None, inputs: Mapping[str, object] | None = None, durable: bool | None = None, dry_run: bool = False, mock_inputs: bool = False, simulate: bool | Path = False, use_cache: bool | None = None, settings: Settings | None = None, functions: Sequence[FunctionSource] = ()) -> RunHandle",
            "pipe_func": "(function: FunctionT | None = None, /, *, name: str | None = None) -> Any",
            "RunHandle": {
                "": "(execution: LocalExecution | DurableRun, *, finish: Callable[[PipeResult], RunResult], run_id: str, workflow_id: str | None = None, ui_url: str | None = None, span: OpenSpan = ...) -> None",
                "cancel": "(self) -> None",
                "leave": "(self) -> None",
                "on_end": "(self, closing: Callable[[], Awaitable[None]]) -> None",
                "progress": "(self) -> Progress",
                "record": "(self) -> RunRecord",
                "result": "(self) -> RunResult",
                "waiting_reason": "(self) -> str | None",
            },
            "RunResult": {
                "": "(*, pipe: str, run: RunInfo, given: Memory, result: PipeResult, concepts: Concepts) -> None",
                "absence": "property",
                "data": "property",
                "is_simulated": "property",
                "main_stuff": "property",
                "main_stuff_as": "(self, content_type: type[ContentT]) -> ContentT",
                "main_stuff_as_list": "(self, item_type: type[ContentT]) -> ListContent[Any]",
                "main_stuff_as_text": "property",
            },
            "Runtime": {
                "": "(*, settings: Settings, library_dirs: tuple[Path, ...], environ: dict[str, str], deck: Deck, blobs: Blobs, temporal: TemporalAccess, functions: tuple[FunctionSource, ...] = (), _performer: Performer | None = None, _classes: dict[str, type[StructuredContent]] | None = None) -> None",
                "aclose": "(self) -> None",
                "load": "(self, target: Path | str | None = None, *, fetch: bool = False, strict: bool = False) -> Method",
                "open": "(settings: Settings | None = None, *, library_dirs: Sequence[Path | str] | None = None, environ: Mapping[str, str] | None = None, functions: Sequence[FunctionSource] = ()) -> Runtime",
                "performer": "(self) -> Performer",
                "rehearsal": "(self, simulate: bool | Path) -> SimulatedSettings | None",
                "run": "(self, pipe: str | None, inputs: Mapping[str, object] | None = None, **options: Any) -> RunResult",
                "start": "(self, pipe: str | None, inputs: Mapping[str, object] | None = None, *, method: Method | None = None, inputs_dir: Path | None = None, durable: bool | None = None, dry_run: bool = False, mock_inputs: bool = False, simulate: bool | Path = False, use_cache: bool | None = None, run_id: str | None = None, user_id: str = anonymous, session_id: str = , lane: str | None = None, on_warning: Callable[[str], None] | None = None) -> RunHandle",
                "supply": "(self, *, fetch: bool = False, strict: bool = False) -> Supply",
                "validate": "(self, paths: Sequence[Path], *, strict: bool = False, pipe: str | None = None) -> ValidationReport",
            },
        }
    )


def test_values():
    names = ("WorkingMemory", "TextContent", "NumberContent", "ListContent", "StructuredContent", "PipelexError")
    assert {name: surface(getattr(pipelex, name)) for name in names} == snapshot(
        {
            "WorkingMemory": {
                "": "(memory: Memory, concepts: Concepts) -> None",
                "get_optional_stuff": "(self, name: str) -> Stuff | None",
                "get_stuff": "(self, name: str) -> Stuff",
                "get_stuff_as": "(self, name: str, content_type: type[ModelT]) -> ModelT",
                "get_stuff_as_choice": "(self, name: str) -> ChoiceContent",
                "get_stuff_as_date": "(self, name: str) -> DateContent",
                "get_stuff_as_document": "(self, name: str) -> DocumentContent",
                "get_stuff_as_html": "(self, name: str) -> HtmlContent",
                "get_stuff_as_image": "(self, name: str) -> ImageContent",
                "get_stuff_as_list": "(self, name: str, item_type: type[ModelT]) -> ListContent[Any]",
                "get_stuff_as_number": "(self, name: str) -> NumberContent",
                "get_stuff_as_rating": "(self, name: str) -> RatingContent",
                "get_stuff_as_search_result": "(self, name: str) -> SearchResultContent",
                "get_stuff_as_str": "(self, name: str) -> str",
                "get_stuff_as_text": "(self, name: str) -> TextContent",
                "get_stuff_as_yes_no": "(self, name: str) -> YesNoContent",
                "list_keys": "(self) -> list[str]",
                "main_stuff": "property",
                "main_stuff_as": "(self, content_type: type[ModelT]) -> ModelT",
                "main_stuff_as_list": "(self, item_type: type[ModelT]) -> ListContent[Any]",
                "main_stuff_as_str": "property",
                "main_stuff_as_text": "property",
                "to_wire": "(self, run_id: str = ) -> dict[str, JsonValue]",
            },
            "TextContent": {"": "(*, text: str) -> None"},
            "NumberContent": {
                "": "(*, number: Union[Annotated[int, Strict(strict=True)], Annotated[float, Strict(strict=True)]]) -> None"
            },
            "ListContent": {"": "(*, items: list[typing.Annotated[~ContentT, SerializeAsAny()]]) -> None"},
            "StructuredContent": {"": "() -> None"},
            "PipelexError": {
                "": "(message: str, *, where: str | None = None, hint: str | None = None) -> None",
                "category": "property",
                "is_retryable": "property",
                "render": "(self) -> str",
                "report": "(self) -> dict[str, Any]",
            },
        }
    )


def test_what_tests_of_methods_use():
    found = {}
    for module, names in FOR_TESTS.items():
        home = import_module(f"pipelex.testing.{module}")
        found[module] = {name: surface(getattr(home, name)) for name in names}
    assert found == snapshot(
        {
            "scripted": {
                "ScriptedPerformer": {
                    "": "(script: Callable[[Request[Any]], Answer] | Iterable[Answer] = ()) -> None",
                    "aclose": "(self) -> None",
                    "perform": "(self, request: Request[ReplyT], *, key: str | None = None, checkpoint: Checkpoint | None = None) -> ReplyT",
                }
            },
            "provider_stub": {
                "StubAnswer": {
                    "": "(text: str | None = None, data: JsonValue = None, status: int = 200, headers: dict[str, str] = <factory>, body: JsonValue | bytes = None, finish_reason: str = stop, usage: dict[str, JsonValue] | None = None, drop: bool = False, delay: float | None = None) -> None"
                },
                "StubProvider": {
                    "": "(behaviour: Behaviour | None = None, *, latency: float = 0.0, port: int = 0, keep_requests: bool = True, honours_keys: bool = False) -> None",
                    "aclose": "(self) -> None",
                    "base_url": "property",
                    "content": "(self, answer: StubAnswer, asked: dict[str, Any], path: str) -> tuple[dict[str, str], bytes]",
                    "decoded": "(self, body: bytes) -> dict[str, Any]",
                    "default": "(self, asked: dict[str, Any], path: str) -> StubAnswer",
                    "knows": "(self, path: str) -> bool",
                    "prompt": "(self, asked: dict[str, Any], path: str) -> str",
                    "root_url": "property",
                    "start": "(self) -> None",
                },
                "prompt_of": "(asked: Asked) -> str",
            },
            "replay": {
                "record": "(client: Client, workflow_id: str, folder: Path) -> list[Path]",
                "replay": "(folder: Path, *, payload_root: Path | None = None, converter: DataConverter | None = None) -> int",
            },
            "methods": {
                "Method": {"": "(text: str, inputs: dict[str, JsonValue], main_pipe: str) -> None"},
                "methods": "(*, pipes: int = 7, operators: Sequence[str] = (PipeLLM, PipeStructure, PipeFunc, PipeImgGen, PipeExtract, PipeSearch, PipeJudge, PipeCompose, PipeDocGen)) -> SearchStrategy[Method]",
            },
        }
    )
