"""The `construct` table of a PipeCompose, read into construct values (MTHDS section 9.9). Pure."""

from __future__ import annotations

import re
from typing import Any

from pipelex.language.findings import Findings, Path, spoken
from pipelex.language.pipes import ConstructValue, FromPath, FromTemplate, Literally, Nested

INVALID = "construct_field_error"

_PATH = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
_FROM_KEYS = ("from", "list_to_dict_keyed_by")


def read_construct(table: object, path: Path, what: str, findings: Findings) -> dict[str, ConstructValue]:
    """The values of a construct by field; a faulty one is noted and left out."""
    if not isinstance(table, dict):
        findings.error(path, INVALID, f"{what}: 'construct' must be a table, not {spoken(table)}")
        return {}
    read = {name: _value(value, (*path, name), what, findings) for name, value in table.items()}
    return {name: value for name, value in read.items() if value is not None}


def _value(value: object, path: Path, what: str, findings: Findings) -> ConstructValue | None:
    if isinstance(value, dict):
        if "from" in value:
            return _from_path(value, path, what, findings)
        if isinstance(value.get("template"), str):
            findings.close_keys(value, ("template",), path, "a template in a construct", INVALID)
            return FromTemplate(template=value["template"])
        return Nested(fields=read_construct(value, path, what, findings))
    if isinstance(value, list) and any(isinstance(item, dict) and {"from", "template"} & set(item) for item in value):
        findings.error(path, INVALID, f"{what}: 'from' and 'template' are not read inside an array")
        return None
    return Literally(value=findings.json_at(value, path, INVALID))


def _from_path(value: dict[str, Any], path: Path, what: str, findings: Findings) -> FromPath | None:
    if "template" in value:
        findings.error(path, INVALID, f"{what}: a value has 'from' or 'template', not both")
        return None
    table = findings.close_keys(value, _FROM_KEYS, path, "a value with 'from'", INVALID)
    source, key = table["from"], table.get("list_to_dict_keyed_by")
    if not isinstance(source, str) or not _PATH.fullmatch(source):
        hint = "write the name of an input, then the fields below it: `order.customer.name`"
        findings.error((*path, "from"), INVALID, f"{what}: 'from' must be a path", hint)
        return None
    if key is not None and not isinstance(key, str):
        where = (*path, "list_to_dict_keyed_by")
        findings.error(where, INVALID, f"{what}: 'list_to_dict_keyed_by' must be a text, not {spoken(key)}")
        return None
    return FromPath.model_validate({"from": source, "list_to_dict_keyed_by": key})
