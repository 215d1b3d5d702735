"""`pipelex pkg`: packages of methods, what they depend on, and the lock."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelex.cli.flags import Json

if TYPE_CHECKING:
    from pipelex.library.lock import Locked
    from pipelex.storage.package_supply import Supply

app = typer.Typer(
    help="Packages of methods: METHODS.toml and methods.lock.", no_args_is_help=True, rich_markup_mode=None
)

Directory = Annotated[
    Path, typer.Option("--dir", metavar="DIR", help="The package, or a directory in it.  [default: here]")
]


@app.callback()
def group() -> None:
    """Packages of methods: METHODS.toml and methods.lock."""


@app.command("init", short_help="Write a METHODS.toml.")
def init(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Directory of the package.")] = Path(),
    name: Annotated[str | None, typer.Option("--name", help="Its name; default: after the directory.")] = None,
    address: Annotated[str | None, typer.Option("--address", help="Where it will live: host/owner/repository.")] = None,
    json: Json = False,
) -> None:
    """Write a METHODS.toml that exports the main pipes of the bundles there."""
    from pipelex.cli import session
    from pipelex.storage.package_locking import begin

    file = begin(directory, name=name, address=address)
    if json:
        session.print_json({"manifest": str(file)})
    else:
        print(file)
    if address is None:
        session.say("note: the address is a placeholder: write host/owner/repository before others depend on it")


@app.command("list", short_help="Show the dependencies of a package.")
def list_(directory: Directory = Path(), json: Json = False) -> None:
    """Show the dependencies of a package: what is asked for, what is locked, and where it is."""
    from pipelex.cli import session
    from pipelex.storage.package_locking import entries, home_for
    from pipelex.storage.package_supply import near

    manifest, found = entries(home_for(directory), _supply())
    if json:
        listed = [
            {
                "alias": entry.dependency.alias,
                "address": entry.dependency.address,
                "version": str(entry.dependency.version),
                "locked": None if entry.locked is None else str(entry.locked),
                "path": entry.dependency.path,
                "place": str(near(entry.place)) if entry.place else None,
            }
            for entry in found
        ]
        session.print_json({"package": manifest.identity, "version": str(manifest.version), "dependencies": listed})
        return
    print(f"{manifest.identity} {manifest.version}")
    for entry in found:
        dependency = entry.dependency
        version = f"{dependency.version}{f' = {entry.locked}' if entry.locked else ''}"
        place = f"path {dependency.path}" if dependency.path else near(entry.place) if entry.place else "not installed"
        print(f"  {dependency.alias} -> {dependency.address} {version} ({place})")


@app.command("add")
def add(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="Such as example.org/acme/tea.")],
    alias: Annotated[str | None, typer.Option("--alias", help="Its name in references; default: after it.")] = None,
    version: Annotated[str | None, typer.Option("--version", help="Such as ^1.2; default: ^ the latest.")] = None,
    path: Annotated[str | None, typer.Option("--path", help="Take it from there, relative to the manifest.")] = None,
    directory: Directory = Path(),
    json: Json = False,
) -> None:
    """Add a dependency, fetch it, and lock it."""
    from pipelex.cli import session
    from pipelex.storage import package_locking

    home = package_locking.home_for(directory)
    added = package_locking.add(home, _supply(fetch=True), address, alias=alias, version=version, path=path)
    if json:
        session.print_json({"alias": added.alias, "address": added.address, "version": str(added.version)})
    else:
        print(f"{added.alias} -> {added.address} {added.version}")


@app.command("lock", short_help="Choose versions, fetch them, write methods.lock.")
def lock(directory: Directory = Path(), json: Json = False) -> None:
    """Choose a version of each dependency, fetch it, and write methods.lock."""
    from pipelex.storage import package_locking

    _show(package_locking.lock(package_locking.home_for(directory), _supply(fetch=True)), as_json=json)


@app.command("install", short_help="Fetch and verify what methods.lock names.")
def install(directory: Directory = Path(), json: Json = False) -> None:
    """Fetch what methods.lock names and is not here, and verify all of it."""
    from pipelex.storage import package_locking

    _show(package_locking.install(package_locking.home_for(directory), _supply(fetch=True)), as_json=json)


@app.command("update", short_help="Fetch everything again, write methods.lock.")
def update(directory: Directory = Path(), json: Json = False) -> None:
    """Fetch every dependency again, and write methods.lock after what comes."""
    from pipelex.storage import package_locking

    _show(package_locking.lock(package_locking.home_for(directory), _supply(fetch=True, again=True)), as_json=json)


@app.command("validate", short_help="Check manifest, lock and dependencies.")
def validate(
    directory: Directory = Path(),
    strict: Annotated[bool, typer.Option("--strict", help="Take what is only tolerated as an error.")] = False,
    json: Json = False,
) -> None:
    """Check the manifest, the lock and the dependencies of a package; nothing is fetched."""
    from pipelex.cli import session
    from pipelex.storage import package_locking

    home = package_locking.home_for(directory)
    problems = package_locking.check(home, _supply(strict=strict))
    errors = [problem for problem in problems if not problem.is_warning]
    if json:
        from pipelex.cli.validate import located

        warnings = located([problem for problem in problems if problem.is_warning])
        session.print_json({"is_valid": not errors, "validation_errors": located(errors), "warnings": warnings})
        raise typer.Exit(1 if errors else 0)
    for problem in problems:
        session.say(problem.render())
    if errors:
        session.say(f"invalid: {home}: {session.counted(len(errors), 'error')}")
        raise typer.Exit(1)
    count = f", {session.counted(len(problems), 'warning')}" if problems else ""
    print(f"valid: {home}{count}")


def _supply(*, fetch: bool = False, again: bool = False, strict: bool = False) -> "Supply":
    from pipelex.cli import session
    from pipelex.storage.package_supply import Supply

    loaded = session.load()
    settings = loaded.settings
    return Supply.of(settings.packages, settings.root, loaded.environ, may_fetch=fetch, again=again, strict=strict)


def _show(locked: "dict[str, Locked]", *, as_json: bool) -> None:
    from pipelex.cli import session

    versions = {address: str(locked[address].version) for address in sorted(locked)}
    if as_json:
        session.print_json({"locked": versions})
        return
    for address, version in versions.items():
        print(f"{address} {version}")
    if not versions:
        session.say("no dependency is fetched from elsewhere: there is nothing to lock")
