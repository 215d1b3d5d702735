"""The user's Python functions, marked with `@pipe_func`, and structure classes: collected only where named.

Functions are called on workers, by name.
"""

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
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

from pipelex.errors import ConfigError, FunctionError, PipelexError
from pipelex.pipes.requests import FunctionReply, FunctionRequest

if TYPE_CHECKING:
    from pipelex.values.contents import StructuredContent

_MARK: Final = "__pipe_func__"
_PARENT: Final = "StructuredContent"
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
        for module in _modules(source, "pipe_func"):
            for value in _held(module):
                name = getattr(value, _MARK, None) if inspect.isfunction(value) else None
                if name is None or found.get(name) is value:
                    continue
                if name in found:
                    places = " and ".join(_place(function) for function in (found[name], value))
                    raise ConfigError(f"two functions are named {name!r}: {places}", hint="give one of them a name=")
                found[name] = value
    return found


def collect_classes(sources: Iterable[ModuleType | str | Path | type]) -> dict[str, type[StructuredContent]]:
    """The subclasses of StructuredContent among classes, and in modules, Python files and folders, by name.

    As with functions, what is named is imported; in folders only the files that mention StructuredContent are. Raises
    ConfigError when something cannot be imported, or when two classes have one name.
    """
    from pipelex.values.contents import StructuredContent

    found: dict[str, type[StructuredContent]] = {}
    for source in sources:
        modules = [] if isinstance(source, type) else _modules(source, _PARENT)
        for value in [source] if isinstance(source, type) else [item for module in modules for item in _held(module)]:
            if not isinstance(value, type) or not issubclass(value, StructuredContent) or value is StructuredContent:
                continue
            if found.setdefault(value.__name__, value) is not value:
                places = " and ".join(f"{cls.__module__}.{cls.__qualname__}" for cls in (found[value.__name__], value))
                message = f"two structure classes are named {value.__name__!r}: {places}"
                raise ConfigError(message, hint="give one of them another name")
    return found


async def call_function(
    functions: Mapping[str, Function],
    request: FunctionRequest,
    classes: Mapping[str, type[StructuredContent]] | None = None,
) -> FunctionReply:
    """Call a function with the working memory; a plain function runs in a thread. Raises FunctionError.

    Contents of a concept that names one of `classes` are objects of that class.
    """
    from pipelex.values.hydrate import dehydrate, with_classes
    from pipelex.values.working_memory import WorkingMemory

    function = functions.get(request.function_name)
    if function is None:
        raise _unknown(request.function_name, functions)
    memory = WorkingMemory(request.memory, with_classes(request.concepts, classes or {}))
    try:
        if inspect.iscoroutinefunction(function):
            result = await function(working_memory=memory)
        else:
            result = await asyncio.to_thread(function, working_memory=memory)
            if inspect.isawaitable(result):
                result = await result
    except PipelexError:
        raise
    except Exception as error:
        raise FunctionError(
            f"the function {request.function_name!r} raised {type(error).__name__}: {str(error)[:500]}",
            where=_place(function),
        ) from error
    try:
        return FunctionReply(data=dehydrate(result))
    except Exception as error:
        message = f"what the function {request.function_name!r} returned cannot be taken: {str(error)[:500]}"
        raise FunctionError(message, where=_place(function)) from error


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


def _held(module: ModuleType) -> list[Any]:
    return list(vars(module).values())


def _modules(source: ModuleType | str | Path, mark: str) -> list[ModuleType]:
    if isinstance(source, ModuleType):
        return [source]
    if isinstance(source, str):
        try:
            return [importlib.import_module(source)]
        except Exception as error:
            raise _not_imported(source, error) from error
    if source.is_dir():
        return [_import_file(file) for file in _python_files(source, mark)]
    return [_import_file(source)]


def _python_files(folder: Path, mark: str) -> list[Path]:
    """The files of a folder that mention the mark or the parent, without hidden folders, environments and results."""
    found = []
    for file in sorted(folder.rglob("*.py")):
        parents = file.relative_to(folder).parts[:-1]
        if any(part.startswith(".") or part in _SKIPPED for part in parents):
            continue
        if mark in file.read_text(encoding="utf-8", errors="ignore"):
            found.append(file)
    return found


def _import_file(file: Path) -> ModuleType:
    path = file.resolve()
    # The same file gives the same module, so that its classes are the same however often it is named.
    name = f"pipe_functions_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if not path.is_file():
        raise ConfigError("there is no file to take functions from", where=str(file), hint="check its path")
    if spec is None or spec.loader is None:
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
