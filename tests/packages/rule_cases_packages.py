"""What the numbered rules on packages accept and refuse (MTHDS section 22: 67-69 and 89-100), as trees of files.

`.cache/` of a tree is the cache of packages. With a METHODS.toml at the top, the package there is what is checked.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pipelex.library.lock import tree_hash


@dataclass(frozen=True)
class RuleCase:
    """A tree of files that a rule accepts or refuses; refused with that code."""

    rule: int
    code: str
    files: dict[str, str] = field(repr=False)
    is_valid: bool
    strict: bool = False


TEA = """\
[package]
name = "tea"
address = "example.org/acme/tea"
version = "1.0.0"
description = "Methods about tea"
"""

CUP = """\
domain = "tea"
[concept]
Cup = "A cup of tea"
[pipe.rate]
type = "PipeCompose"
description = "Rate a cup"
inputs = { cup = "Text" }
output = "Text"
template = "A fine cup: $cup"
"""

KIT = """\
[package]
name = "kit"
address = "example.org/acme/kit"
version = "1.2.0"
description = "Methods for all"
"""

PAGES = """\
domain = "texts"
main_pipe = "first"
[concept]
Sheet = "A sheet"
[pipe.first]
type = "PipeCompose"
description = "The first"
inputs = { cup = "Text" }
output = "Text"
template = "first $cup"
[pipe.second]
type = "PipeCompose"
description = "The second"
inputs = { cup = "Text" }
output = "Text"
template = "second $cup"
"""

CALL = """
[pipe.call]
type = "PipeSequence"
description = "Call another pipe"
inputs = {{ cup = "Text" }}
output = "Text"
steps = [{{ pipe = "{}" }}]
"""

BY_PATH = '[dependencies]\nkit = { address = "example.org/acme/kit", version = "^1.0", path = "../kit" }\n'
REMOTE = '[dependencies]\nkit = { address = "example.org/acme/kit", version = "^1.0" }\n'
EXPORTS_SECOND = '[exports.texts]\npipes = ["second"]\n'


def calling(target: str, *, domain: str = "tea") -> str:
    return CUP.replace('"tea"', f'"{domain}"') + CALL.format(target)


def packaged(manifest: str, bundle: str = CUP) -> dict[str, str]:
    return {"METHODS.toml": manifest, "tea.mthds": bundle}


def with_kit(call: str, kit: str = KIT) -> dict[str, str]:
    """The tea package beside the one it depends on by path."""
    tea = {"METHODS.toml": TEA + BY_PATH, "tea.mthds": calling(call)}
    return {**{f"tea/{name}": text for name, text in tea.items()}, "kit/METHODS.toml": kit, "kit/texts.mthds": PAGES}


def cached(
    version: str, manifest: str, bundle: str = PAGES, repository: str = "example.org/acme/kit"
) -> dict[str, str]:
    top = f".cache/{repository}/{version}"
    return {f"{top}/METHODS.toml": manifest, f"{top}/texts.mthds": bundle}


def two_domains(exports: str = "", call: str = "brew.boil", main: str = "") -> dict[str, str]:
    other = main + calling("rate", domain="brew").replace("pipe.call", "pipe.boil").replace(
        'pipe = "rate"', 'pipe = "pour"'
    )
    other = other.replace("pipe.rate", "pipe.pour").replace("domain", "domain", 1)
    return {"METHODS.toml": TEA + exports, "tea.mthds": calling(call), "brew.mthds": other}


def package(replaced: str = "", by: str = "", more: str = "") -> dict[str, str]:
    return packaged(TEA.replace(replaced, by) + more if replaced else TEA + more)


def depends(entry: str) -> dict[str, str]:
    return package(more=f"[dependencies]\n{entry}\n")


LANGUAGE = "mthds_version_unsatisfied"
SATISFIED = (">=1.0.0", "^5", "~5.0", "5.*", "*", ">=4.2, <6", "!=5.1.0")
OLDER = ("^1", "<5", "==4.0.0", "!=5.0.0", ">=1.0, <3")
NEWER = (">=5.1", ">5", "^6", "==99.0.0", ">=5.0.1, <6", ">=6.0.0-beta.1")

HASH = tree_hash([("METHODS.toml", KIT.encode()), ("texts.mthds", PAGES.encode())])


def locked(
    *, version: str = "1.2.0", sha: str = HASH, more: str = "", source: str = "https://example.org/acme/kit.git"
) -> dict[str, str]:
    lock = f'["example.org/acme/kit"]\nversion = "{version}"\nhash = "{sha}"\nsource = "{source}"\n{more}'
    return packaged(TEA + REMOTE, calling("kit->texts.first")) | {"methods.lock": lock} | cached("1.2.0", KIT)


def circle() -> dict[str, str]:
    back = '[dependencies]\ntea = { address = "example.org/acme/tea", version = "*" }\n'
    return with_kit("kit->texts.first", KIT + back)


def accepted(rule: int, code: str, *trees: dict[str, str], strict: bool = False) -> list[RuleCase]:
    return [RuleCase(rule, code, files, is_valid=True, strict=strict) for files in trees]


def refused(rule: int, code: str, *trees: dict[str, str], strict: bool = False) -> list[RuleCase]:
    return [RuleCase(rule, code, files, is_valid=False, strict=strict) for files in trees]


NOWHERE, UNEXPORTED = "unresolved_package_dependency", "unexported_pipe_dependency"
FIELD, ALIAS, ADDRESS = "manifest_field_invalid", "dependency_alias_invalid", "dependency_address_invalid"
FLAT = {"tea.mthds": calling("second"), "texts.mthds": PAGES}
QUALIFIED = {"tea.mthds": calling("texts.second"), "texts.mthds": PAGES}
TWO_FLAT = {**FLAT, "more.mthds": PAGES.replace('"texts"', '"more"')}

CASES: list[RuleCase] = [
    *accepted(
        67, "unresolved_pipe_dependency", {"tea.mthds": calling("rate")}, QUALIFIED, with_kit("kit->texts.first")
    ),
    *accepted(67, "unresolved_pipe_dependency", with_kit("example.org/acme/kit->texts.first")),
    *accepted(67, "unresolved_pipe_dependency", with_kit("example.org/Acme/KIT->texts.first")),
    *refused(
        67,
        "unresolved_pipe_dependency",
        {"tea.mthds": calling("nothing")},
        {"tea.mthds": calling("tea.nothing")},
        TWO_FLAT,
        with_kit("kit->texts.nothing"),
        with_kit("kit->elsewhere.first"),
    ),
    *accepted(68, UNEXPORTED, with_kit("kit->texts.first"), with_kit("kit->texts.second", KIT + EXPORTS_SECOND)),
    *accepted(68, UNEXPORTED, with_kit("kit->texts.second", KIT + 'main_pipe = "second"\n')),
    *accepted(68, UNEXPORTED, with_kit("kit->texts.second", KIT + '[exports.elsewhere]\npipes = ["second"]\n')),
    *accepted(68, UNEXPORTED, two_domains(), two_domains('[exports.brew]\npipes = ["boil"]\n')),
    *accepted(68, UNEXPORTED, two_domains('[exports.brew]\npipes = ["boil"]\n'), strict=True),
    *accepted(68, UNEXPORTED, two_domains(main='main_pipe = "boil"\n'), strict=True),
    *refused(68, UNEXPORTED, with_kit("kit->texts.second")),
    *refused(68, UNEXPORTED, two_domains(), strict=True),
    *refused(
        68,
        NOWHERE,
        with_kit("kat->texts.first"),
        {"tea.mthds": calling("example.org/acme/kit->texts.first")},
        packaged(TEA + REMOTE, calling("kit->texts.first")),
        package(more=BY_PATH),
    ),
    *accepted(69, "nonlocal_reference", FLAT, QUALIFIED),
    *accepted(69, "nonlocal_reference", QUALIFIED, strict=True),
    *refused(69, "nonlocal_reference", FLAT, strict=True),
    *accepted(89, "manifest_package_missing", package()),
    *refused(89, "manifest_package_missing", packaged(""), packaged("[dependencies]\n"), packaged('package = "tea"\n')),
    *accepted(
        90,
        FIELD,
        package(),
        package("1.0.0", "2.0.0-rc.1+build.7"),
        package("example.org/acme/tea", "git.example.org/acme/tea/sub_dir"),
        package(
            more='display_name = "Tea"\nauthors = ["Ann"]\nlicense = "MIT OR Apache-2.0"\nmthds_version = ">=1.0.0"\n'
        ),
    ),
    *refused(
        90,
        FIELD,
        package('"tea"\naddress', '"Tea"\naddress'),
        package('"tea"\naddress', '"t"\naddress'),
        package('"tea"\naddress', f'"{"t" * 26}"\naddress'),
        package("example.org/acme/tea", "acme/tea"),
        package("example.org/acme/tea", "example.org"),
        package("example.org/acme/tea", "example.org/../tea"),
        package("1.0.0", "1.0"),
        package("1.0.0", "v1.0.0"),
        package("Methods about tea", "  "),
        package(more='display_name = " Tea"\n'),
        package(more='display_name = "T\\u0007"\n'),
        package(more=f'display_name = "{"T" * 129}"\n'),
        package(more='authors = "Ann"\n'),
        package(more='license = "do what you like"\n'),
    ),
    *refused(
        90, "missing_key", package('version = "1.0.0"\n', " "), package('address = "example.org/acme/tea"\n', " ")
    ),
    *accepted(90, "missing_key", package('name = "tea"\n', " ")),
    *refused(90, "missing_key", package('name = "tea"\n', " "), strict=True),
    *accepted(90, "unknown_key", package(more='flavour = "green"\n'), package(more="[extra]\n")),
    *refused(90, "unknown_key", package(more='flavour = "green"\n'), package(more="[extra]\n"), strict=True),
    *accepted(91, "version_constraint_invalid", with_kit("kit->texts.first")),
    *accepted(91, "version_constraint_invalid", *(package(more=f'mthds_version = "{term}"\n') for term in SATISFIED)),
    *accepted(91, LANGUAGE, *(package(more=f'mthds_version = "{term}"\n') for term in OLDER)),
    *refused(91, LANGUAGE, *(package(more=f'mthds_version = "{term}"\n') for term in OLDER), strict=True),
    *refused(91, LANGUAGE, *(package(more=f'mthds_version = "{term}"\n') for term in NEWER)),
    *refused(
        91,
        "version_constraint_invalid",
        depends('kit = { address = "example.org/acme/kit", version = "latest" }'),
        depends('kit = { address = "example.org/acme/kit", version = "^1 || ^2" }'),
        package(more='mthds_version = "new"\n'),
    ),
    *accepted(92, ALIAS, with_kit("kit->texts.first")),
    *refused(92, ALIAS, depends('Kit = { address = "example.org/acme/kit", version = "*" }')),
    *refused(92, ALIAS, depends('my-kit = { address = "example.org/acme/kit", version = "*" }')),
    *refused(
        92,
        "toml_parse_error",
        depends('kit = { address = "a.org/b", version = "*" }\nkit = { address = "a.org/c", version = "*" }'),
    ),
    *accepted(93, ADDRESS, with_kit("kit->texts.first")),
    *refused(
        93,
        ADDRESS,
        depends('kit = { address = "kit", version = "*" }'),
        depends('kit = { address = "https://example.org/acme/kit", version = "*" }'),
        depends('kit = { address = "example.org/acme/../kit", version = "*" }'),
    ),
    *refused(93, "missing_key", depends('kit = { version = "*" }'), depends('kit = { address = "a.org/b" }')),
    *accepted(94, "export_domain_invalid", package(more='[exports.tea]\npipes = ["rate"]\n')),
    *refused(
        94,
        "export_domain_invalid",
        package(more='[exports.native]\npipes = ["rate"]\n'),
        package(more='[exports.pipelex.tea]\npipes = ["rate"]\n'),
        package(more='[exports.Tea]\npipes = ["rate"]\n'),
        package(more='[exports]\npipes = ["rate"]\n'),
        package(more='[exports.tea]\nrate = "yes"\n'),
    ),
    *refused(94, "invalid_pipe_code_syntax", package(more='[exports.tea]\npipes = ["Rate"]\n')),
    *accepted(95, "export_unresolved", package(more='[exports.tea]\npipes = ["rate"]\n'), strict=True),
    *accepted(95, "export_unresolved", package(more='[exports.tea]\npipes = ["rite"]\n')),
    *accepted(95, "export_unresolved", package(more='[exports.tee]\npipes = ["rate"]\n')),
    *refused(95, "export_unresolved", package(more='[exports.tea]\npipes = ["rite"]\n'), strict=True),
    *refused(95, "export_unresolved", package(more='[exports.tee]\npipes = ["rate"]\n'), strict=True),
    *accepted(96, "unresolved_pipe_dependency", package(more='main_pipe = "rate"\n')),
    *refused(96, "unresolved_pipe_dependency", package(more='main_pipe = "rite"\n')),
    *refused(96, "invalid_pipe_code_syntax", package(more='main_pipe = "tea.rate"\n')),
    *accepted(97, "lock_field_invalid", locked(), locked(more=f'commit = "{"a" * 40}"\nfingerprint = "{"b" * 64}"\n')),
    *refused(
        97,
        "lock_field_invalid",
        locked(version="1.2"),
        locked(sha="sha256:12"),
        locked(sha=HASH.removeprefix("sha256:")),
        locked(source="http://example.org/acme/kit.git"),
        locked(more='colour = "red"\n'),
        locked(more='commit = "main"\n'),
        packaged(TEA) | {"methods.lock": '[kit]\nversion = "1.0.0"\n'},
        packaged(TEA) | {"methods.lock": '["example.org/acme/kit"]\nversion = "1.0.0"\n'},
    ),
    *accepted(98, "lock_hash_mismatch", locked()),
    *refused(98, "lock_hash_mismatch", locked(sha="sha256:" + "0" * 64)),
    *accepted(99, "no_version_solution", packaged(TEA + REMOTE, calling("kit->texts.first")) | cached("1.2.0", KIT)),
    *refused(
        99,
        "no_version_solution",
        packaged(TEA + REMOTE) | cached("2.0.0", KIT.replace("1.2.0", "2.0.0")),
        packaged(TEA + REMOTE.replace("^1.0", ">=1.0, <1.2")) | cached("1.2.0", KIT),
        packaged(TEA + REMOTE + 'box = { address = "example.org/acme/box", version = "*" }\n')
        | cached("1.2.0", KIT)
        | cached(
            "1.0.0",
            KIT.replace("kit", "box") + REMOTE.replace("^1.0", "^2.0"),
            PAGES,
            "example.org/acme/box",
        ),
        locked() | {"METHODS.toml": TEA + REMOTE.replace("^1.0", "^2.0")},
    ),
    *accepted(100, "dependency_cycle", with_kit("kit->texts.first")),
    *refused(100, "dependency_cycle", circle()),
    *refused(100, "dependency_cycle", depends('me = { address = "example.org/acme/tea", version = "*" }')),
]
