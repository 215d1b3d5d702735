from __future__ import annotations

from pathlib import Path

import pytest
from packages_repositories import Origin, bundle, manifest, supply_of, write

from pipelex.app import Runtime
from pipelex.errors import ConfigError, LibraryError, UnreachableError
from pipelex.library.lock import render_lock
from pipelex.library.versions import Version
from pipelex.storage.package_cache import PackageCache, hash_of
from pipelex.storage.package_loading import LoadedPackages, load_packages
from pipelex.storage.package_locking import add, install, lock
from pipelex.storage.package_supply import home_of, lock_in

KIT = "example.org/acme/kit"
TEA = "example.org/acme/tea"
NEEDS_KIT = f'[dependencies]\nkit = {{ address = "{KIT}", version = "^1.0" }}\n'


def kit(version: str = "1.0.0", more: str = "", *pipes: str) -> dict[str, str]:
    files = {"METHODS.toml": manifest(KIT, version, more)}
    return files | {"texts.mthds": bundle("texts", "join", *pipes, main="join", concept="Leaf")}


def tea(more: str = NEEDS_KIT, calls: str = "kit->texts.join") -> dict[str, str]:
    files = {"METHODS.toml": manifest(TEA, more=more)}
    return files | {"bundle.mthds": bundle("tea", "start", main="start", calls=calls)}


def places(loaded: LoadedPackages) -> dict[str, str]:
    """Where each package came from, by key."""
    return {package.key: str(package.manifest.source) for package in loaded.packages if package.manifest}


def code_of(caught: pytest.ExceptionInfo[LibraryError]) -> list[str]:
    return [problem.code for problem in caught.value.found]


def test_a_manifest_is_found_upwards_as_far_as_the_repository(tmp_path: Path) -> None:
    write(tmp_path, {"METHODS.toml": "", "a/b/c.mthds": "", "repo/.git/HEAD": "", "repo/d/e.mthds": ""})
    assert home_of(tmp_path / "a/b/c.mthds") == tmp_path
    assert home_of(tmp_path / "repo/d/e.mthds") is None
    write(tmp_path, {"repo/METHODS.toml": ""})
    assert home_of(tmp_path / "repo/d/e.mthds") == tmp_path / "repo"


def test_a_bundle_without_manifest_is_public_and_needs_no_git(project: Path) -> None:
    write(project, {"tea.mthds": bundle("tea", "start", main="start")})
    loaded = load_packages(supply_of(project), [project / "tea.mthds"])
    assert loaded.main == "tea.start"
    assert loaded.table.exports == {"": None}
    assert not (project.parent / "home" / ".mthds").exists()


def test_the_order_of_places(project: Path, origin: Origin) -> None:
    """Path, then the project's methods, then the cache, then the repository."""
    write(project / "tea", tea())
    file = project / "tea" / "bundle.mthds"
    with pytest.raises(LibraryError) as caught:
        load_packages(supply_of(project), [file])
    assert code_of(caught) == ["unresolved_package_dependency"]
    origin.release(KIT, "1.0.0", kit())
    cached = f"home/.mthds/packages/{KIT}/1.0.0/METHODS.toml"
    assert places(load_packages(supply_of(project, origin), [file]))[KIT].endswith(cached)
    assert places(load_packages(supply_of(project), [file]))[KIT].endswith(cached)
    write(project / ".mthds" / "methods" / "kit", kit("1.5.0"))
    assert places(load_packages(supply_of(project), [file]))[KIT] == ".mthds/methods/kit/METHODS.toml"
    write(project / "here", kit("9.0.0"))
    write(project / "tea", tea(NEEDS_KIT.replace(" }", ', path = "../here" }')))
    assert places(load_packages(supply_of(project), [file]))[KIT] == "here/METHODS.toml"


def test_the_lowest_version_is_taken_and_warned_about_until_locked(project: Path, origin: Origin) -> None:
    for version in ("0.9.0", "1.1.0", "1.0.0", "1.2.0", "2.0.0"):
        origin.release(KIT, version, kit(version))
    write(project, tea())
    loaded = load_packages(supply_of(project, origin), home=project)
    assert [str(remote.version) for remote in loaded.remotes] == ["1.0.0"]
    assert [warning.code for warning in loaded.warnings] == ["lock_missing"]
    lock(project, supply_of(project, origin))
    assert load_packages(supply_of(project), home=project).warnings == ()


def test_dependencies_of_dependencies(project: Path, origin: Origin) -> None:
    box = "example.org/acme/box"
    needs_box = f'[dependencies]\nbox = {{ address = "{box}", version = ">=1.1" }}\n'
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        files = {"METHODS.toml": manifest(box, version), "box.mthds": bundle("box", "open", main="open")}
        origin.release(box, version, files)
    files = {"METHODS.toml": manifest(KIT, "1.0.0", needs_box)}
    files["texts.mthds"] = bundle("texts", "join", main="join", calls="box->box.open")
    origin.release(KIT, "1.0.0", files)
    write(project, tea())
    locked = lock(project, supply_of(project, origin))
    assert {address: entry.version for address, entry in locked.items()} == {KIT: "1.0.0", box: "1.1.0"}
    method = Runtime.open(environ={"HOME": str(project.parent / "home")}).load(project / "bundle.mthds")
    assert set(method.library.crate.pipes) == {"tea.start", f"{KIT}->texts.join", f"{box}->box.open"}


async def test_a_pipe_of_another_package_runs(project: Path, origin: Origin) -> None:
    origin.release(KIT, "1.0.0", kit())
    write(project, tea())
    lock(project, supply_of(project, origin))
    async with Runtime.open(environ={"HOME": str(project.parent / "home")}) as runtime:
        result = await runtime.run(None, {"cup": "green"}, method=runtime.load(project))
    assert result.main_stuff_as_text.text == "join of texts: green"


def test_two_packages_may_have_the_same_domain_and_codes(project: Path) -> None:
    write(project / "kit", kit() | {"tea.mthds": bundle("tea", "start", main="start")})
    write(project / "tea", tea(NEEDS_KIT.replace(" }", ', path = "../kit" }')))
    method = Runtime.open(environ={"HOME": str(project.parent / "home")}).load(project / "tea")
    assert {"tea.start", f"{KIT}->tea.start"} <= set(method.library.crate.pipes)
    assert method.pipe() == "tea.start"


def test_an_address_needs_no_declaration_when_the_package_is_a_sibling(project: Path) -> None:
    """Several packages of one repository, at the repository's address, told apart by their domains."""
    shared = "example.org/Acme/kit"
    texts = {"METHODS.toml": manifest(shared, name="texts"), "t.mthds": bundle("texts", "join", main="join")}
    boxes = {"METHODS.toml": manifest(shared, name="boxes"), "b.mthds": bundle("boxes", "open", main="open")}
    write(project / "methods" / "texts", texts)
    write(project / "methods" / "boxes", boxes)
    write(project / ".git", {"HEAD": "ref: refs/heads/main\n"})
    write(project / "methods" / "tea", tea("", calls=f"{shared.lower()}->boxes.open"))
    loaded = load_packages(supply_of(project), home=project / "methods" / "tea")
    assert f"{shared}/boxes" in {package.key for package in loaded.packages}
    method = Runtime.open(environ={"HOME": str(project.parent / "home")}).load(project / "methods" / "tea")
    assert f"{shared}/boxes->boxes.open" in method.library.crate.pipes


def test_an_undeclared_address_is_fetched_only_when_that_is_allowed(project: Path, origin: Origin) -> None:
    origin.release(KIT, "1.0.0", kit())
    write(project, {"tea.mthds": bundle("tea", "start", calls=f"{KIT}->texts.join")})
    runtime = Runtime.open(environ={"HOME": str(project.parent / "home")})
    with pytest.raises(LibraryError) as caught:
        runtime.load(project / "tea.mthds")
    assert code_of(caught) == ["unresolved_package_dependency"]
    loaded = load_packages(supply_of(project, origin), [project / "tea.mthds"])
    assert [package.key for package in loaded.packages] == ["", KIT]
    assert f"{KIT}->texts.join" in runtime.load(project / "tea.mthds").library.crate.pipes


def test_a_package_in_a_folder_of_its_repository(project: Path, origin: Origin) -> None:
    texts = {"methods/texts/METHODS.toml": manifest(KIT, name="texts")}
    texts["methods/texts/texts.mthds"] = bundle("texts", "join", main="join")
    boxes = {"methods/boxes/METHODS.toml": manifest(KIT, name="boxes")}
    boxes["methods/boxes/boxes.mthds"] = bundle("boxes", "open", main="open")
    origin.release(KIT, "1.0.0", texts | boxes)
    for address in (f"{KIT}/texts", f"{KIT}/methods/texts"):
        write(project, tea(NEEDS_KIT.replace(KIT, address)))
        loaded = load_packages(supply_of(project, origin), home=project)
        assert [package.key for package in loaded.packages] == ["", f"{KIT}/texts"]
    write(project, tea())
    with pytest.raises(LibraryError, match="several packages are at the address") as caught:
        load_packages(supply_of(project, origin), home=project)
    assert caught.value.hint is not None
    assert f"{KIT}/boxes" in caught.value.hint


def test_what_is_locked_is_never_fetched_by_a_run(project: Path, origin: Origin) -> None:
    origin.release(KIT, "1.0.0", kit())
    write(project, tea())
    lock(project, supply_of(project, origin))
    checkout = PackageCache(project.parent / "home/.mthds/packages").find(KIT, Version.parse("1.0.0"))
    assert checkout is not None
    (checkout / "METHODS.toml").unlink()
    (checkout / "texts.mthds").unlink()
    checkout.rmdir()
    with pytest.raises(LibraryError) as caught:
        load_packages(supply_of(project), home=project)
    assert code_of(caught) == ["unresolved_package_dependency"]
    assert "pkg install" in (caught.value.hint or "")
    assert install(project, supply_of(project, origin)).keys() == {KIT}
    assert load_packages(supply_of(project), home=project).warnings == ()


def test_a_changed_checkout_is_refused(project: Path, origin: Origin) -> None:
    origin.release(KIT, "1.0.0", kit())
    write(project, tea())
    lock(project, supply_of(project, origin))
    write(project.parent / "home/.mthds/packages" / KIT / "1.0.0", {"more.mthds": bundle("more", "open")})
    for attempt in (
        lambda: load_packages(supply_of(project), home=project),
        lambda: install(project, supply_of(project)),
    ):
        with pytest.raises(LibraryError) as caught:
            attempt()
        assert code_of(caught) == ["lock_hash_mismatch"]


def test_a_moved_tag_is_refused_and_nothing_of_it_kept(project: Path, origin: Origin) -> None:
    origin.release(KIT, "1.0.0", kit())
    write(project, tea())
    before = lock(project, supply_of(project, origin))
    cache = project.parent / "home/.mthds/packages"
    folder = cache / KIT / "1.0.0"
    folder.rename(project / "aside")
    commit = origin.release(KIT, "1.0.0", kit("1.0.0", "", "another"))
    with pytest.raises(LibraryError, match="not what was locked"):
        install(project, supply_of(project, origin))
    assert not folder.exists()
    assert not list(cache.glob(".fetch-*"))
    after = lock(project, supply_of(project, origin, again=True))
    assert after[KIT].hash != before[KIT].hash
    assert after[KIT].commit == commit
    assert lock_in(project) is not None
    assert after[KIT].hash == hash_of(folder)


def test_locking_anew_does_not_accept_a_change_silently(project: Path, origin: Origin) -> None:
    origin.release(KIT, "1.0.0", kit())
    write(project, tea())
    locked = lock(project, supply_of(project, origin))
    write(project, {"methods.lock": render_lock({KIT: locked[KIT].model_copy(update={"hash": f"sha256:{'0' * 64}"})})})
    before = (project / "methods.lock").read_text()
    with pytest.raises(LibraryError) as caught:
        lock(project, supply_of(project, origin))
    assert code_of(caught) == ["lock_hash_mismatch"]
    assert (project / "methods.lock").read_text() == before


def test_a_dependency_that_cannot_be_had_is_not_added(project: Path, origin: Origin) -> None:
    origin.release(KIT, "1.0.0", kit())
    write(project, tea("", calls="start_2") | {"more.mthds": bundle("tea", "start_2")})
    before = (project / "METHODS.toml").read_text()
    with pytest.raises(LibraryError):
        add(project, supply_of(project, origin), KIT, alias=None, version="^7.0", path=None)
    with pytest.raises(UnreachableError):
        add(project, supply_of(project, origin), "example.org/acme/none", alias=None, version=None, path=None)
    assert (project / "METHODS.toml").read_text() == before
    assert not (project / "methods.lock").exists()
    origin.release(KIT, "1.4.0", kit("1.4.0"))
    origin.release(KIT, "2.0.0-beta", kit("2.0.0-beta"))
    added = add(project, supply_of(project, origin), KIT, alias=None, version=None, path=None)
    assert (added.alias, added.version) == ("kit", "^1.4.0")
    assert lock_in(project) is not None


def test_links_and_hooks_do_not_come_along(project: Path, origin: Origin) -> None:
    work = origin.root / f"{KIT}.git"
    origin.release(KIT, "1.0.0", kit())
    (work / "out.mthds").symlink_to("/etc/hostname")
    (work / "away").symlink_to("/etc")
    origin.git(work, "add", "--all")
    origin.git(work, "commit", "--quiet", "--message", "links")
    origin.git(work, "tag", "v1.1.0")
    supply = supply_of(project, origin)
    checkout = supply.cache.fetch(KIT, Version.parse("1.1.0"))
    assert sorted(path.name for path in checkout.iterdir()) == ["METHODS.toml", "texts.mthds"]


def test_what_git_cannot_do_is_said(project: Path, origin: Origin, tmp_path: Path) -> None:
    origin.release(KIT, "1.0.0", kit())
    cache = supply_of(project, origin).cache
    with pytest.raises(LibraryError, match="no tag for the version 3") as caught:
        cache.fetch(KIT, Version.parse("3.0.0"))
    assert caught.value.hint == "the versions it has: 1.0.0"
    with pytest.raises(UnreachableError, match="git cannot read"):
        cache.fetch("example.org/acme/none", Version.parse("1.0.0"))
    bare = PackageCache(tmp_path / "cache", mirrors=origin.mirrors, environ={"PATH": str(tmp_path / "nothing")})
    with pytest.raises(ConfigError, match="git is not installed"):
        bare.fetch(KIT, Version.parse("1.0.0"))
    assert not (tmp_path / "cache" / KIT).exists()


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("github.test/acme/kit", "https://github.test/acme/kit.git"),
        ("github.test/acme/kit/methods/texts", "https://github.test/acme/kit.git"),
        ("github.test/kit", "https://github.test/kit.git"),
        ("example.org/acme/kit", "file:///mirror/kit.git"),
        ("example.org/acme/box/texts", "file:///box"),
        ("example.org/acmes/kit", "https://example.org/acmes/kit.git"),
    ],
)
def test_urls(address: str, url: str) -> None:
    mirrors = {"example.org/acme": "file:///mirror/", "example.org/acme/box": "file:///box"}
    assert PackageCache(Path(), mirrors=mirrors).url(address) == url


def test_a_cycle_is_told_by_its_names(project: Path) -> None:
    back = f'[dependencies]\ntea = {{ address = "{TEA}", version = "*" }}\n'
    write(project / "kit", kit("1.0.0", back))
    write(project / "tea", tea(NEEDS_KIT.replace(" }", ', path = "../kit" }')))
    with pytest.raises(LibraryError) as caught:
        load_packages(supply_of(project), home=project / "tea")
    assert code_of(caught) == ["dependency_cycle"]
    assert f"{TEA} -> {KIT} -> {TEA}" in caught.value.found[0].message


def test_the_same_package_twice(project: Path) -> None:
    write(project / "one", kit())
    write(project / "two", kit())
    with pytest.raises(LibraryError, match="is here twice"):
        load_packages(supply_of(project), dirs=[project])


def test_a_directory_of_packages_is_a_library_of_them(project: Path) -> None:
    write(project / "kit", kit())
    write(project / "tea", tea("", calls=f"{KIT}->texts.join"))
    loaded = load_packages(supply_of(project), [project])
    assert {package.key for package in loaded.packages if package.bundles} == {KIT, TEA}
    assert len(loaded.own) == 2
