"""Files and texts read into bundles, with the mistakes of all of them told at once. Runs where a run is submitted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from pipelex.errors import InputError, LanguageError, Problem
from pipelex.language.bundle import Bundle
from pipelex.language.parse import parse_bundle
from pipelex.language.pipes import PipeDocGen

SUFFIX = ".mthds"

_SKIPPED = frozenset({"node_modules", "results", "venv", "__pycache__"})


def find_bundles(paths: Sequence[Path]) -> list[Path]:
    """The `.mthds` files among the paths and, at any depth, in those that are directories; each once, sorted.

    Below a directory, hidden directories, virtual environments, `node_modules` and `results` are skipped.
    Raises InputError for a path that does not exist, is neither, or is a directory without any bundle.
    """
    found: dict[Path, Path] = {}
    for path in paths:
        for file in _bundles_at(path):
            found.setdefault(file.resolve(), file)
    return [found[resolved] for resolved in sorted(found)]


def load_bundles(paths: Sequence[Path], *, strict: bool = False) -> list[Bundle]:
    """Parse the bundles that `find_bundles` finds, and read the templates of documents beside them.

    Raises one LanguageError with the problems of every file; `strict` refuses old spellings.
    """
    found = find_bundles(paths)
    return _parsed(((str(path), _text(path)) for path in found), [path.parent for path in found], strict=strict)


def load_texts(texts: Mapping[str, str], *, strict: bool = False) -> list[Bundle]:
    """Parse texts by the name to show in messages. Raises one LanguageError with the problems of all of them."""
    return _parsed(texts.items(), [None] * len(texts), strict=strict)


def with_templates(bundle: Bundle, folder: Path | None) -> tuple[Bundle, list[Problem]]:
    """The bundle with the `template_file` of each pdf read into its `template`, and the files that cannot be read."""
    problems: list[Problem] = []
    pipes = dict(bundle.pipes)
    for code, pipe in bundle.pipes.items():
        if not isinstance(pipe, PipeDocGen) or pipe.template_file is None or pipe.format != "pdf":
            continue
        try:
            if folder is None:
                raise FileNotFoundError(0, "a bundle given as a text has no files beside it")
            template = _beside(folder, pipe.template_file).read_text(encoding="utf-8")
        except (OSError, RuntimeError, UnicodeDecodeError) as error:
            why = "not valid UTF-8" if isinstance(error, UnicodeDecodeError) else getattr(error, "strerror", error)
            message = f"pipe '{code}': cannot read the template '{pipe.template_file}': {why}"
            problems.append(bundle.problem("pipe_factory", message, "pipe", code, "template_file"))
        else:
            pipes[code] = pipe.model_copy(update={"template": template})
    return bundle.model_copy(update={"pipes": pipes}), problems


def _beside(folder: Path, name: str) -> Path:
    """The file of that name below the folder. A link may lead anywhere, and the bundle may come from anybody."""
    file = (folder / name).resolve()
    if not file.is_relative_to(folder.resolve()):
        raise PermissionError(0, "it is outside the folder of the bundle")
    return file


def _bundles_at(path: Path) -> list[Path]:
    if path.is_dir():
        files = sorted(_below(path))
        if not files:
            raise InputError(f"no bundle in {path}", hint=f"a bundle is a file whose name ends with {SUFFIX}")
        return files
    if not path.exists():
        raise InputError(f"no such file or directory: {path}", hint="check the path of the bundle")
    if path.suffix != SUFFIX:
        raise InputError(f"{path} is not a bundle", hint=f"a bundle is a file whose name ends with {SUFFIX}")
    return [path]


def _below(top: Path) -> Iterator[Path]:
    seen: set[Path] = set()
    waiting = [top]
    while waiting:
        directory = waiting.pop()
        # A link may lead back up: each real directory is read once.
        if directory.resolve() in seen:
            continue
        seen.add(directory.resolve())
        try:
            entries = sorted(directory.iterdir())
        except OSError as error:
            raise InputError(f"cannot read the directory {directory}: {error.strerror}") from error
        for entry in entries:
            if entry.is_dir():
                if not _is_skipped(entry):
                    waiting.append(entry)
            elif entry.suffix == SUFFIX and not entry.name.startswith("."):
                yield entry


def _is_skipped(directory: Path) -> bool:
    name = directory.name
    return name.startswith(".") or name in _SKIPPED or (directory / "pyvenv.cfg").exists()


def _text(path: Path) -> str | Problem:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = "not valid UTF-8"
        return Problem("toml_parse_error", message, str(path), line, hint="save the file with the encoding UTF-8")


def _parsed(
    texts: Iterable[tuple[str, str | Problem]], folders: Sequence[Path | None], *, strict: bool
) -> list[Bundle]:
    bundles: list[Bundle] = []
    failed: list[str] = []
    problems: list[Problem] = []
    for (source, text), folder in zip(texts, folders, strict=True):
        if isinstance(text, Problem):
            failed.append(source)
            problems.append(text)
            continue
        try:
            bundle, missing = with_templates(parse_bundle(text, source, strict=strict), folder)
        except LanguageError as error:
            failed.append(source)
            problems += error.found
            continue
        bundles.append(bundle)
        failed += [source] * bool(missing)
        problems += missing
    if problems:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise LanguageError(f"{count} in {', '.join(failed)}", problems=problems, where=problems[0].place)
    return bundles
