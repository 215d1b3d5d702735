"""From the text of a `.mthds` file to a Bundle, or to every problem of the file at once. Pure."""

from __future__ import annotations

import re
from typing import Any

from pipelex.errors import LanguageError
from pipelex.language.bundle import Bundle
from pipelex.language.findings import SNAKE, Findings, did_you_mean, sorted_by_place, spoken
from pipelex.language.read_concepts import read_concepts
from pipelex.language.read_pipes import read_pipes
from pipelex.language.toml import read_toml

_HEADER_KEYS = ("domain", "description", "system_prompt", "main_pipe", "concept", "pipe")
_DOMAIN = re.compile(r"[a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)*")
_RESERVED_DOMAINS = ("native", "mthds", "pipelex")


def parse_bundle(text: str, source: str, *, strict: bool = False) -> Bundle:
    """Read one file, named `source` in messages. References are not resolved, and templates are not looked into.

    Raises LanguageError with all the problems of the file, in its order. What only older versions of the language know
    is a warning in `Bundle.warnings`, or an error when `strict`.
    """
    text = text.removeprefix("\ufeff")
    data = read_toml(text, source)
    findings = Findings(source, text, strict=strict)
    header = findings.close_keys(data, _HEADER_KEYS, (), "the header of a bundle")
    domain = _domain(header, findings)
    texts = {
        key: findings.text_at(header[key], (key,), "blueprint_validation", f"'{key}'") if key in header else None
        for key in ("description", "system_prompt")
    }
    main_pipe = _main_pipe(header, findings)
    concepts = read_concepts(header.get("concept", {}), findings)
    pipes = read_pipes(header.get("pipe", {}), findings)
    if findings.errors:
        raise _error(findings)
    return Bundle(
        source=source,
        text=text,
        domain=domain,
        description=texts["description"],
        system_prompt=texts["system_prompt"],
        main_pipe=main_pipe,
        concepts=concepts,
        pipes=pipes,
        warnings=tuple(sorted_by_place(findings.warnings)),
    )


def _error(findings: Findings) -> LanguageError:
    problems = sorted_by_place(list(dict.fromkeys(findings.errors)))
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    return LanguageError(f"{findings.source} has {count}", problems=problems, where=problems[0].place)


def _domain(header: dict[str, Any], findings: Findings) -> str:
    if "domain" not in header:
        hint = 'add `domain = "…"` at the top of the file'
        findings.error((), "domain_code_error", "the bundle does not say its domain", hint)
        return ""
    domain = findings.text_at(header["domain"], ("domain",), "domain_code_error", "'domain'")
    if domain is None:
        return ""
    if not _DOMAIN.fullmatch(domain):
        hint = "a domain is snake_case words joined by dots: `tea.tasting`"
        findings.error(("domain",), "domain_code_error", f"'{domain}' cannot be a domain", hint)
    elif domain.split(".")[0] in _RESERVED_DOMAINS:
        message = f"the domain '{domain}' is reserved: none may start with {', '.join(_RESERVED_DOMAINS)}"
        findings.error(("domain",), "reserved_domain", message)
    return domain


def _main_pipe(header: dict[str, Any], findings: Findings) -> str | None:
    main_pipe = header.get("main_pipe")
    if main_pipe is None:
        return None
    path = ("main_pipe",)
    declared = header.get("pipe", {})
    if not isinstance(main_pipe, str):
        findings.error(path, "invalid_pipe_code_syntax", f"'main_pipe' must be a text, not {spoken(main_pipe)}")
    elif not SNAKE.fullmatch(main_pipe):
        message = f"'{main_pipe}' cannot be a pipe code"
        findings.error(path, "invalid_pipe_code_syntax", message, "a pipe code is snake_case, here without a domain")
    elif isinstance(declared, dict) and main_pipe not in declared:
        message = f"the main pipe '{main_pipe}' is not in this file"
        findings.error(path, "unresolved_pipe_dependency", message, did_you_mean(main_pipe, declared))
    else:
        return main_pipe
    return None
