"""What is particular to PipeImgGen, PipeSearch and PipeDocGen (MTHDS sections 9.5, 9.7 and 9.10). Pure."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Any

from pipelex.language.findings import Findings, Path, spoken

INVALID = "blueprint_validation"
DOCUMENT = "pipe_factory"

_TIERS = ("1k", "2k", "4k")
_EXACT = re.compile(r"[1-9][0-9]{0,5}x[1-9][0-9]{0,5}")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_HOST = re.compile(r"[^\s:/]+(?::[0-9]+)?(?:/[^\s]*)?")


def read_image(table: dict[str, Any], path: Path, what: str, findings: Findings) -> None:
    """Check `seed`, and rewrite `size` as a tier or as `WxH`."""
    seed = table.get("seed")
    is_count = isinstance(seed, int) and not isinstance(seed, bool) and seed >= 0
    if "seed" in table and seed != "auto" and not is_count:
        del table["seed"]
        findings.error((*path, "seed"), INVALID, f"{what}: 'seed' must be a whole number from 0 up, or \"auto\"")
    if "size" not in table:
        return
    size = _size(table.pop("size"), (*path, "size"), what, findings)
    if size is not None:
        table["size"] = size
    if size is not None and size not in _TIERS and "aspect_ratio" in table:
        message = f"{what}: an exact size ({size}) says the ratio, and there is an 'aspect_ratio'"
        findings.error((*path, "aspect_ratio"), INVALID, message, f"drop one, or use a size of {', '.join(_TIERS)}")


def _size(size: object, path: Path, what: str, findings: Findings) -> str | None:
    hint = f'write {", ".join(_TIERS)}, "1024x768", or {{ width = 1024, height = 768 }}'
    if isinstance(size, dict):
        size = findings.close_keys(size, ("width", "height"), path, f"the size of {what}", INVALID)
        sides = [size.get("width"), size.get("height")]
        if all(isinstance(side, int) and not isinstance(side, bool) and 0 < side < 10**6 for side in sides):
            return f"{sides[0]}x{sides[1]}"
        findings.error(path, INVALID, f"{what}: a size is a 'width' and a 'height' in pixels", hint)
    elif not isinstance(size, str):
        findings.error(path, INVALID, f"{what}: 'size' must be a text or a table, not {spoken(size)}", hint)
    elif size == "0.5k":
        findings.error(path, INVALID, f"{what}: the size '0.5k' is reserved", hint)
    elif size not in _TIERS and not _EXACT.fullmatch(size):
        findings.error(path, INVALID, f"{what}: '{size}' is not a size", hint)
    else:
        return size
    return None


def read_search(table: dict[str, Any], path: Path, what: str, findings: Findings) -> None:
    """Rewrite the dates as texts and the lists of hosts as tuples; what is wrong is noted."""
    for key in ("from_date", "to_date"):
        if key in table and (day := _day(table.pop(key), (*path, key), what, findings)):
            table[key] = day
    if "from_date" in table and "to_date" in table and table["from_date"] > table["to_date"]:
        message = f"{what}: 'to_date' ({table['to_date']}) is before 'from_date' ({table['from_date']})"
        findings.error((*path, "to_date"), INVALID, message, "exchange them")
    for key in ("include_domains", "exclude_domains"):
        if key in table:
            table[key] = _hosts(table[key], (*path, key), what, findings)


def _day(value: object, path: Path, what: str, findings: Findings) -> str | None:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, str) and _DAY.fullmatch(value):
        try:
            return date.fromisoformat(value).isoformat()
        except ValueError:
            pass
    findings.error(path, INVALID, f"{what}: '{path[-1]}' must be a date", 'write it as "2031-02-28"')
    return None


def _hosts(value: object, path: Path, what: str, findings: Findings) -> tuple[str, ...]:
    if not isinstance(value, list):
        findings.error(path, INVALID, f"{what}: '{path[-1]}' must be an array of host names, not {spoken(value)}")
        return ()
    hosts: list[str] = []
    for index, host in enumerate(value):
        if isinstance(host, str) and _HOST.fullmatch(host):
            hosts.append(host)
        else:
            shown = f"'{host}'" if isinstance(host, str) else spoken(host)
            hint = "a host name has no scheme: `example.org`"
            findings.error((*path, index), INVALID, f"{what}: {shown} is not a host name", hint)
    return tuple(hosts)


def read_document(table: dict[str, Any], path: Path, what: str, findings: Findings) -> None:
    """Check that the template goes with the format (rule 61)."""
    kind, file = table.get("format"), table.get("template_file")
    if "template" in table and "template_file" in table:
        message = f"{what} has both 'template' and 'template_file'"
        findings.error((*path, "template_file"), DOCUMENT, message, "keep one of them")
    elif "template" in table and kind in ("xlsx", "docx", "pptx"):
        message = f"{what}: an inline 'template' makes a pdf only, not {kind}"
        findings.error((*path, "template"), DOCUMENT, message, "use a 'template_file', or no template")
    elif kind == "pptx" and "template_file" not in table:
        findings.error(path, DOCUMENT, f"{what}: a pptx needs a 'template_file'", 'add `template_file = "….pptx"`')
    if isinstance(file, str) and not _is_below(file):
        message = f"{what}: '{file}' is not the path of a file beside or below the bundle"
        findings.error(
            (*path, "template_file"), DOCUMENT, message, 'write it relative to the bundle: "pages/report.html"'
        )


def _is_below(file: str) -> bool:
    parts = file.replace("\\", "/").split("/")
    return bool(parts[0]) and ":" not in parts[0] and ".." not in parts and file[:1] != "~" and bool(parts[-1])
