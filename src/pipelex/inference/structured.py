"""Objects from models: the schema that is sent, and the checks on what comes back. Runs on workers; pure."""

from __future__ import annotations

import json
import re
from datetime import datetime, time
from typing import Any, Final

from pydantic import JsonValue

from pipelex.pipes.requests import ObjectListRequest, ObjectRequest
from pipelex.values.depth import TooDeep, check_depth

ITEMS: Final = "items"
_MAX_PROBLEMS: Final = 8
_NAME: Final = re.compile(r"[^A-Za-z0-9_-]+")


class Unfit(ValueError):
    """A reply is not JSON, or does not fit the schema; the message is written for the model that made it."""


def reply_schema(request: ObjectRequest | ObjectListRequest) -> dict[str, JsonValue]:
    """The schema of the whole reply: a list is wrapped in `{"items": [...]}`, because replies are objects."""
    if isinstance(request, ObjectRequest):
        return request.output_schema
    item = dict(request.output_schema)
    definitions = item.pop("$defs", None)
    items: dict[str, JsonValue] = {"type": "array", "items": item}
    if request.count is not None:
        items |= {"minItems": request.count, "maxItems": request.count}
    schema: dict[str, JsonValue] = {
        "type": "object",
        "properties": {ITEMS: items},
        "required": [ITEMS],
        "additionalProperties": False,
    }
    # References such as "#/$defs/Name" start at the root, wherever the item sits.
    return schema if definitions is None else {**schema, "$defs": definitions}


def wire_name(name: str | None) -> str:
    """The name of a schema, as providers accept one."""
    return _NAME.sub("_", name or "Reply")[:64] or "Reply"


def read_reply(text: str, request: ObjectRequest | ObjectListRequest, schema: dict[str, JsonValue]) -> JsonValue:
    """The data of a reply, checked against `schema`; the bare array when a list was asked for. Raises Unfit."""
    data = _parse(text)
    try:
        check_depth(data)
    except TooDeep as error:
        raise Unfit(f"the reply is {error}") from None
    if isinstance(request, ObjectListRequest) and isinstance(data, list):
        data = {ITEMS: data}
    problems = validate(data, schema)
    if problems:
        raise Unfit("; ".join(problems))
    result: JsonValue = data[ITEMS] if isinstance(request, ObjectListRequest) else data
    return result


def validate(data: JsonValue, schema: dict[str, JsonValue]) -> list[str]:
    """What is wrong with `data`, a sentence each, the first few only."""
    import jsonschema_rs

    validator = jsonschema_rs.Draft202012Validator(schema, validate_formats=True, formats=_FORMATS)
    problems = []
    for error in validator.iter_errors(data):
        path = ".".join(str(part) for part in error.instance_path) or "the reply"
        problems.append(f"{path}: {error.message[:300]}")
        if len(problems) == _MAX_PROBLEMS:
            break
    return problems


def complaint(problem: str) -> str:
    """What to tell the model about a reply that does not fit."""
    return (
        f"That reply does not fit the JSON schema that was asked for. {problem}\n"
        "Reply again with the whole corrected JSON object and nothing else."
    )


def whole(text: str) -> str:
    """The text with half characters replaced: a reply that is cut may end in one, and UTF-8 cannot hold it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _parse(text: str) -> Any:
    stripped = text.strip()
    candidates = [stripped]
    _, opening, fenced = stripped.partition("```")
    if opening:
        candidates.append(fenced.partition("```")[0].removeprefix("json").removeprefix("JSON"))
    starts = [at for at in (stripped.find("{"), stripped.find("[")) if at >= 0]
    if starts:
        candidates.append(stripped[min(starts) : max(stripped.rfind("}"), stripped.rfind("]")) + 1])
    problem = "it is empty"
    for candidate in candidates:
        try:
            data = json.loads(candidate, parse_constant=_refuse_constant)
            return json.loads(whole(json.dumps(data, ensure_ascii=False))) if "\\ud" in candidate.lower() else data
        except (ValueError, RecursionError) as error:
            problem = str(error)
    raise Unfit(f"the reply is not JSON: {problem}")


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _is_datetime(text: str) -> bool:
    return _accepts(datetime.fromisoformat, text)


def _is_time(text: str) -> bool:
    return _accepts(time.fromisoformat, text)


def _accepts(read: Any, text: str) -> bool:
    try:
        read(text)
    except ValueError:
        return False
    return True


# JSON Schema wants a time zone in these two; MTHDS does not. Urls may be storage references or relative paths.
_FORMATS: Final = {"date-time": _is_datetime, "time": _is_time, "uri": lambda text: True}
