"""`pipelex validate`: check methods without running them for real. Exit 0 valid, 1 invalid, 2 no verdict."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from pipelex.cli import earlier
from pipelex.cli.completion import pipe_codes
from pipelex.cli.flags import Functions, Json, LibraryDirs

if TYPE_CHECKING:
    from pipelex.app import ValidationReport
    from pipelex.errors import Problem

VALID, INVALID, NO_VERDICT = 0, 1, 2

Strict = Annotated[bool, typer.Option("--strict", help="Refuse what only older versions of the language know.")]
AllowSignatures = Annotated[
    bool, typer.Option("--allow-signatures", help="Exit with 0 although pipes are declared that nothing implements.")
]
All = Annotated[bool, typer.Option("--all", "-a", help="Check every pipe of the library.")]


PipeFlag = Annotated[
    str | None,
    typer.Option("--pipe", metavar="CODE", autocompletion=pipe_codes, help="Check only this pipe."),
]


class BareCode(TyperGroup):
    """Reads `validate CODE` as `validate pipe CODE`, unless CODE looks like a command that is misspelled."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Leave out the flags of earlier versions, wherever they stand: the group is given the whole line."""
        return super().parse_args(ctx, earlier.today(ctx, args, earlier.IDLE_VALIDATE))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the first word names, or `pipe`."""
        from difflib import get_close_matches

        if args and args[0] not in self.commands and not get_close_matches(args[0], self.commands):
            args = ["pipe", *args]
        return super().resolve_command(ctx, args)


app = typer.Typer(help="Check a method.", cls=BareCode, rich_markup_mode=None)


@app.callback(invoke_without_command=True)
def group(
    context: typer.Context,
    all_pipes: All = False,
    library_dir: LibraryDirs = None,
    strict: Strict = False,
    json: Json = False,
    allow_signatures: AllowSignatures = False,
    functions: Functions = None,
) -> None:
    """Check a bundle, an installed method, a pipe of the library, or (--all) the whole library."""
    if context.invoked_subcommand is not None:
        # What stands before the name of the command holds for it.
        given = {name: value for name, value in context.params.items() if value}
        context.default_map = {context.invoked_subcommand: given}
        return
    if not all_pipes:
        raise typer.BadParameter("say what to check: bundle PATH, method NAME, pipe CODE, or --all")
    _check([], None, library_dir, functions, strict=strict, is_json=json, allow_signatures=allow_signatures)


@app.command("bundle", short_help="Check a file, or a directory of them.")
def bundle(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A .mthds file, or a directory of them.")],
    pipe: PipeFlag = None,
    library_dir: LibraryDirs = None,
    strict: Strict = False,
    json: Json = False,
    allow_signatures: AllowSignatures = False,
    functions: Functions = None,
) -> None:
    """Check a bundle: its language, its links, its models, and a dry run of each of its pipes.

    Exit code 0: valid and runnable (warnings do not count); 1: invalid, or signatures are left to implement; 2: no
    verdict, for instance because the file is missing.
    """
    _check([path], pipe, library_dir, functions, strict=strict, is_json=json, allow_signatures=allow_signatures)


@app.command("pipe", short_help="Check a pipe of the library.")
def pipe(
    code: Annotated[
        str | None,
        typer.Argument(metavar="CODE", autocompletion=pipe_codes, help="Code of the pipe, bare or with its domain."),
    ] = None,
    all_pipes: All = False,
    library_dir: LibraryDirs = None,
    strict: Strict = False,
    json: Json = False,
    allow_signatures: AllowSignatures = False,
    functions: Functions = None,
) -> None:
    """Check a pipe of the library: --library-dir, else PIPELEXPATH, else [library] dirs of the configuration.

    Exit codes as for a bundle.
    """
    if (code is None) != all_pipes:
        raise typer.BadParameter("give the code of a pipe, or --all")
    _check([], code, library_dir, functions, strict=strict, is_json=json, allow_signatures=allow_signatures)


@app.command("method", short_help="Check an installed method.")
def method(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of an installed method, or address of a package.")],
    pipe: PipeFlag = None,
    library_dir: LibraryDirs = None,
    strict: Strict = False,
    json: Json = False,
    allow_signatures: AllowSignatures = False,
    functions: Functions = None,
) -> None:
    """Check a method that is installed in .mthds/methods/, or a package that has been fetched.

    Exit codes as for a bundle.
    """
    from pipelex.cli.method import installed
    from pipelex.cli.session import EndedError

    try:
        place = installed(name)
    except Exception as error:
        raise EndedError(error, NO_VERDICT) from error
    _check([place], pipe, library_dir, functions, strict=strict, is_json=json, allow_signatures=allow_signatures)


def _check(
    paths: Sequence[Path],
    code: str | None,
    library_dirs: list[Path] | None,
    functions: list[str] | None,
    *,
    strict: bool,
    is_json: bool,
    allow_signatures: bool,
) -> None:
    import asyncio

    from pipelex.cli.session import EndedError, print_json
    from pipelex.errors import InputError

    async def report() -> "ValidationReport":
        from pipelex.cli.authoring import open_runtime

        async with open_runtime(library_dirs, functions) as runtime:
            if not paths and not runtime.library_dirs:
                hint = "give --library-dir DIR, or check a file with: pipelex validate bundle PATH"
                raise InputError("no directory of methods is known", hint=hint)
            return await runtime.validate(paths, strict=strict, pipe=code)

    try:
        found = asyncio.run(report())
    except Exception as error:
        # Whatever went wrong, it is no verdict on the method.
        raise EndedError(error, NO_VERDICT) from error
    if is_json:
        print_json(document(found))
    else:
        _show(str(paths[0]) if paths else code or "the library", found, is_allowed=allow_signatures)
    is_good = found.is_valid and (allow_signatures or not pending(found))
    raise typer.Exit(VALID if is_good else INVALID)


def _show(target: str, report: "ValidationReport", *, is_allowed: bool) -> None:
    from pipelex.cli.session import counted, say

    for problem in (*report.warnings, *report.problems):
        say(problem.render())
    missing = pending(report)
    if not report.is_valid:
        say(f"invalid: {target}: {counted(len(report.problems), 'error')}")
        return
    count = f", {counted(len(report.warnings), 'warning')}" if report.warnings else ""
    signatures = f", {counted(len(missing), 'signature')}" if missing else ""
    print(f"valid: {target}: {counted(len(report.pipes), 'pipe')}{signatures}{count}")
    if missing:
        say(f"not runnable: nothing implements {', '.join(missing)}")
        if not is_allowed:
            say("  hint: implement them, or accept them for now with --allow-signatures")


def pending(report: "ValidationReport") -> list[str]:
    """The signatures that nothing implements, among those that the checked pipes may reach."""
    from pipelex.library.graph import pending_signatures

    if report.library is None:
        return []
    pipes = report.library.crate.pipes
    found = [ref for start, _ in report.pipes for ref in pending_signatures(pipes, start)]
    return list(dict.fromkeys(found))


def document(report: "ValidationReport") -> dict[str, Any]:
    """The report with the keys of MTHDS section 16.2."""
    from pipelex.library.contracts import input_form, io_contract, liftable_pipes

    library, refs = report.library, [ref for ref, _ in report.pipes]
    missing = pending(report)
    form: list[Any] = []
    if library is not None:
        entry = report.main_pipe or (refs[0] if len(refs) == 1 else None)
        form = input_form(library, entry) if entry else []
    return {
        "is_valid": report.is_valid,
        "is_runnable": report.is_valid and not missing,
        "main_pipe": report.main_pipe,
        "validated_pipes": [{"pipe_ref": ref, "status": status} for ref, status in report.pipes],
        "pending_signatures": missing,
        "validation_errors": located(report.problems),
        "warnings": located(report.warnings),
        "liftable_pipes": liftable_pipes(library, refs) if library else [],
        "pipe_io_contracts": {ref: io_contract(library, ref) for ref in refs} if library else {},
        "input_form": form,
    }


# Problems in their published shape (MTHDS section 18.3).

_SHAPE = frozenset(
    {
        "toml_parse_error",
        "unknown_key",
        "missing_key",
        "domain_code_error",
        "reserved_domain",
        "invalid_pipe_code_syntax",
        "concept_code_error",
        "native_concept_redeclaration",
        "concept_structure_validation",
        "unknown_pipe_type",
        "missing_pipe_type",
        "invalid_input_name",
        "slot_syntax",
        "optional_marker_invalid",
        "blueprint_validation",
        "binding_step_invalid",
        "batch_item_name_collision",
        "construct_field_error",
        "legacy_spelling",
        "legacy_signature_type",
        "not_supported_yet",
    }
)
"""Codes of what the shape of one file alone proves wrong."""

_MAKING = frozenset({"pipe_factory", "unknown_model", "model-not-found", "structure_class_error"})


def located(problems: "Sequence[Problem]") -> list[dict[str, Any]]:
    """Problems as programs read them: what kind, which declaration, which field; locators not known are left out."""
    texts = {file: _text(file) for file in {problem.file for problem in problems if problem.file}}
    return [_located(problem, texts.get(problem.file or "", "")) for problem in problems]


def _text(file: str) -> str:
    try:
        return Path(file).read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _located(problem: "Problem", text: str) -> dict[str, Any]:
    found = {
        "category": _category(problem.code),
        "error_type": problem.code,
        "message": problem.message,
        **_declaration(problem, text),
        "source": problem.file,
        "code": problem.code,
        "line": problem.line,
        "column": problem.column,
        "excerpt": problem.excerpt,
        "hint": problem.hint,
    }
    return {key: value for key, value in found.items() if value is not None}


def _category(code: str) -> str:
    if code in _SHAPE:
        return "blueprint_validation"
    if code in _MAKING:
        return "pipe_factory"
    # Errors of a run have the codes of their classes: only a dry run can have met them.
    return "dry_run" if "-" in code else "pipe_validation"


def _declaration(problem: "Problem", text: str) -> dict[str, str | None]:
    """The declaration and the field that a problem points at, found from its place in the file."""
    import re

    from pipelex.language.positions import positions_of

    if problem.line is None or problem.column is None or not text:
        return {}
    found: dict[str, str | None] = {}
    if domain := re.search(r"""^domain\s*=\s*["']([^"']+)["']""", text, re.MULTILINE):
        found["domain_code"] = domain[1]
    path = positions_of(text.removeprefix("\ufeff")).path_at(problem.line, problem.column)
    if len(path) > 1 and path[0] in ("pipe", "concept"):
        found[f"{path[0]}_code"] = str(path[1])
        path = path[2:]
    if path:
        found["field_path"] = ".".join(str(part) for part in path)
        found["field_name"] = next((part for part in reversed(path) if isinstance(part, str)), None)
    return found
