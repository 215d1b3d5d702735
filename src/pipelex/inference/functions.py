"""The user's Python functions: marked with `@pipe_func`, collected explicitly, called by name. Runs on workers."""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any, Final, TypeVar, overload

from pipelex.errors import ConfigError, FunctionError, PipelexError
from pipelex.pipes.requests import FunctionReply, FunctionRequest

_MARK: Final = "__pipe_func__"
_SKIPPED: Final = ("__pycache__", "node_modules", "results", "site-packages", "venv")

Function = Callable[..., Any]
FunctionT = TypeVar("FunctionT", bound=Function)


@overload
def pipe_func(function: FunctionT, /) -> FunctionT: ...
@overload
def pipe_func(*, name: str | None = None) -> Callable[[FunctionT], FunctionT]: ...
def pipe_func(function: FunctionT | None = None, /, *, name: str | None = None) -> Any:
    """Mark a function as callable by a PipeFunc, under its own name or `name`.

    It takes one keyword argument, `working_memory`, and may be async. Marking registers nothing: the functions of a
    run are those of the modules that the configuration or the caller names.
    """

    def mark(marked: FunctionT) -> FunctionT:
        setattr(marked, _MARK, name or marked.__name__)
        return marked

    return mark if function is None else mark(function)


def collect_functions(sources: Iterable[ModuleType | str | Path]) -> dict[str, Function]:
    """The marked functions of modules, dotted module names, Python files and folders, by name.

    Files are imported, so only name what you trust. In folders only the files that mention `pipe_func` are. Raises
    ConfigError when something cannot be imported, or when two functions have one name.
    """
    found: dict[str, Function] = {}
    for source in sources:
        for module in _modules(source):
            for value in list(vars(module).values()):
                name = getattr(value, _MARK, None) if inspect.isfunction(value) else None
                if name is None or found.get(name) is value:
                    continue
                if name in found:
                    places = " and ".join(_place(function) for function in (found[name], value))
                    raise ConfigError(f"two functions are named {name!r}: {places}", hint="give one of them a name=")
                found[name] = value
    return found


async def call_function(functions: Mapping[str, Function], request: FunctionRequest) -> FunctionReply:
    """Call a function with the working memory; a plain function runs in a thread. Raises FunctionError."""
    from pipelex.values.concepts import Concepts
    from pipelex.values.hydrate import dehydrate
    from pipelex.values.working_memory import WorkingMemory

    function = functions.get(request.function_name)
    if function is None:
        raise _unknown(request.function_name, functions)
    memory = WorkingMemory(request.memory, Concepts(request.concepts))
    try:
        if inspect.iscoroutinefunction(function):
            result = await function(working_memory=memory)
        else:
            result = await asyncio.to_thread(function, working_memory=memory)
            if inspect.isawaitable(result):
                result = await result
        return FunctionReply(data=dehydrate(result))
    except PipelexError:
        raise
    except Exception as error:
        raise FunctionError(
            f"the function {request.function_name!r} raised {type(error).__name__}: {str(error)[:500]}",
            where=_place(function),
        ) from error


def _unknown(name: str, functions: Mapping[str, Function]) -> FunctionError:
    close = get_close_matches(name, functions, n=1)
    known = ", ".join(sorted(functions)) or "none"
    guess = f"did you mean {close[0]!r}? " if close else ""
    return FunctionError(
        f"there is no function {name!r} here; known functions: {known}",
        hint=f"{guess}mark it with @pipe_func, and name its module or file: --functions on the command line, functions "
        "under [library] in .pipelex/pipelex.toml, or functions=[...] from Python; workers need it, too",
    )


def _place(function: Function) -> str:
    code = getattr(inspect.unwrap(function), "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else repr(function)


def _modules(source: ModuleType | str | Path) -> list[ModuleType]:
    if isinstance(source, ModuleType):
        return [source]
    if isinstance(source, str):
        try:
            return [importlib.import_module(source)]
        except Exception as error:
            raise _not_imported(source, error) from error
    if source.is_dir():
        return [_import_file(file) for file in _python_files(source)]
    return [_import_file(source)]


def _python_files(folder: Path) -> list[Path]:
    """The files of a folder that mention the mark, without hidden folders, environments and results."""
    found = []
    for file in sorted(folder.rglob("*.py")):
        parents = file.relative_to(folder).parts[:-1]
        if any(part.startswith(".") or part in _SKIPPED for part in parents):
            continue
        if "pipe_func" in file.read_text(encoding="utf-8", errors="ignore"):
            found.append(file)
    return found


def _import_file(file: Path) -> ModuleType:
    path = file.resolve()
    # The same file gives the same module, so that its classes are the same however often it is named.
    name = f"pipe_functions_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ConfigError("this is not a Python file", where=str(file))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if not isinstance(error, Exception):
            raise
        raise _not_imported(str(file), error) from error
    return module


def _not_imported(source: str, error: Exception) -> ConfigError:
    return ConfigError(f"cannot import the functions: {type(error).__name__}: {error}", where=source)
