"""Finding plausible values for a schema in the text of a prompt, for the simulated backend. Pure and deterministic."""

from __future__ import annotations

import hashlib
import re
from datetime import date
from typing import Any, Final

from pydantic import JsonValue

Schema = dict[str, Any]

_OPENING: Final = re.compile(r"<(?P<tag>[A-Za-z_][\w.-]{0,60})(?:\s[^<>]{0,200})?>|(?P<fence>```)\w{0,20}\n")
_MARKUP: Final = re.compile(r"</?[A-Za-z_][^<>]{0,200}>")
_EMAIL: Final = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,64}\.[\w.]{2,64}")
_SENTENCE: Final = re.compile(
    r"(?<=[.!?])(?<!\d\.)\s+(?=[\"'(A-Z0-9])|\n\s*\n|\n(?=\s*(?:[-*#]|\d+[.)]|[a-z]\w{0,60}:)\s)"
)
_HEADING: Final = re.compile(r"^([^\n]{1,60}[^\n.!?,;:])\n(?=[A-Z])", re.M)
_FOOTER: Final = re.compile(r"\b[Pp]age \d+(?: of \d+)?$")
_LABEL: Final = re.compile(r"^\W{0,3}(?P<label>[A-Za-z][\w /-]{1,30}?)\W{0,3}:\s+(?P<value>\S.{0,200})$", re.M)
_FIELD: Final = re.compile(r"\W{0,3}[a-z][a-z0-9]{0,30}(?:_[a-z0-9]{1,30}){0,6}:\s+")
_WORD: Final = re.compile(r"[a-z]{3,}")
_NUMBER: Final = re.compile(
    r"(?<![\w.,-])-?\d{1,3}(?:[ ,\u00a0]\d{3})+(?:\.\d+)?(?![\w-])|(?<![\w.,-])-?\d+(?:\.\d+)?(?![\w-])"
)
_PROPER: Final = re.compile(
    r"\b(?!(?:Between|The|This|And|Any|Article|For|By)\b)(?:[A-Z][\w&'-]+)(?: (?:of |and |& )?[A-Z][\w&'-]+)+"
)
_ISO_DATE: Final = re.compile(r"\b(\d{4})-(\d\d)-(\d\d)\b")
_LONG_DATE: Final = re.compile(
    r"\b(?:(\d{1,2})(?:st|nd|rd|th)? )?([A-Z][a-z]{2,8})\.?(?: (\d{1,2})(?:st|nd|rd|th)?,?)? (\d{4})\b"
)
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_NAMES: Final = ("name", "who", "party", "company", "author", "customer", "person", "vendor", "supplier", "title")
_STOP: Final = frozenset(
    ("the", "and", "for", "with", "that", "this", "from", "are", "was", "were", "what", "which", "who", "has", "about")
)
_MAX_TEXT: Final = 240
_MAX_PROMPT: Final = 100_000
_MAX_DEPTH: Final = 12


class Source:
    """The sentences of a prompt, and which of them have been used. `key` settles what the text leaves open."""

    def __init__(self, prompt: str, key: str) -> None:
        prompt = prompt[:_MAX_PROMPT]
        self.key = key
        self.instruction, inside = _blocks(prompt)
        # Blocks nest when a structure is shown inside a tag: what matters is the text, not the markup.
        self.text = _MARKUP.sub("\n", "\n\n".join(inside)) if inside else prompt
        self._lines = _sentences(self.text) or _sentences(prompt)
        # Headings and labels hold facts, but do not read as sentences.
        unlabelled = [_unlabelled(line) for line in self._lines]
        longer = [line for line in unlabelled if line and (line[-1] in ".!?" or len(line) >= 40)]
        self.sentences = list(dict.fromkeys(longer)) or self._lines
        self._subjects = [_words(sentence) for sentence in self.sentences]
        self._line_subjects = [_words(line) for line in self._lines]
        self.labels = [(_words(found["label"]), found["value"].strip()) for found in _LABEL.finditer(self.text)]
        self._used: set[int] = set()

    def chance(self, *path: object) -> float:
        """A number from 0 to 1, excluded, that follows from the key and the path."""
        digest = hashlib.sha256("|".join(map(str, (self.key, *path))).encode()).digest()
        return int.from_bytes(digest[:6], "big") / 2**48

    @property
    def used(self) -> int:
        """How many sentences have been taken; tells the items of a list apart."""
        return len(self._used)

    def summary(self) -> str:
        """A few sentences that have most to do with the instruction, in their own order."""
        wanted = _words(self.instruction)
        every = range(len(self.sentences))
        ranked = sorted(
            [at for at in every if _is_whole(self.sentences[at])] or every,
            key=lambda at: (-len(wanted & self._subjects[at]), self.chance("summary", at)),
        )
        count = 2 + int(self.chance("summary") * 2)
        return " ".join(_ended(_clip(self.sentences[at], 400)) for at in sorted(ranked[:count]))

    def sentence(self, about: str, path: str) -> str:
        """The unused sentence closest to a subject; the closest used one when all are used."""
        wanted = _words(about)
        fresh = [at for at in range(len(self.sentences)) if at not in self._used] or list(range(len(self.sentences)))
        if not fresh:
            return "not stated"
        best = max(
            fresh,
            key=lambda at: (len(wanted & self._subjects[at]), _is_whole(self.sentences[at]), self.chance(path, at)),
        )
        self._used.add(best)
        return self.sentences[best]

    def near(self, about: str) -> list[str]:
        """All lines, those closest to a subject first."""
        wanted = _words(about)
        ranked = sorted(range(len(self._lines)), key=lambda at: -len(wanted & self._line_subjects[at]))
        return [self._lines[at] for at in ranked]

    def labelled(self, name: str) -> str | None:
        """The value of a line such as `Name: value` whose label is this field's name."""
        wanted = _words(name.replace("_", " "))
        return next((value for words, value in self.labels if words and wanted and words <= wanted), None)


def fill(schema: Schema, source: Source) -> JsonValue:
    """Data for a schema, from the text of the prompt where it can be found there."""
    return _fill(schema, source, schema.get("$defs", {}), "", "", 0)


def _fill(schema: Schema, source: Source, definitions: Schema, name: str, about: str, depth: int) -> JsonValue:
    described = f"{about} {schema.get('description', '')}".strip()
    if "$ref" in schema:
        schema = definitions.get(str(schema["$ref"]).rpartition("/")[2], {})
        described = f"{described} {schema.get('description', '')}"
    for union in ("anyOf", "oneOf", "allOf"):
        if union in schema:
            real = [option for option in schema[union] if option.get("type") != "null"]
            is_nullable = len(real) < len(schema[union])
            if not real or (depth > _MAX_DEPTH and is_nullable):
                return None
            return _fill(real[0], source, definitions, name, described, depth)
    if "const" in schema:
        return schema["const"]  # type: ignore[no-any-return]
    if schema.get("enum"):
        return _choice(schema["enum"], source, described, name)
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((item for item in kind if item != "null"), "null")
    if kind == "object":
        return _object(schema, source, definitions, described, depth)
    if kind == "array":
        return _array(schema, source, definitions, name, described, depth)
    return _scalar(str(kind), schema, source, name, described)


def _object(schema: Schema, source: Source, definitions: Schema, about: str, depth: int) -> JsonValue:
    properties: Schema = schema.get("properties", {})
    if not properties and isinstance(schema.get("additionalProperties"), dict):
        inner = schema["additionalProperties"]
        return {key: _fill(inner, source, definitions, key, about, depth + 1) for key in ("first", "second")}
    return {key: _fill(inner, source, definitions, key, "", depth + 1) for key, inner in properties.items()}


def _array(schema: Schema, source: Source, definitions: Schema, name: str, about: str, depth: int) -> JsonValue:
    low, high = int(schema.get("minItems", 0)), int(schema.get("maxItems", 1_000))
    if depth > _MAX_DEPTH:
        return []
    count = min(max(2 + int(source.chance("count", name, about) * 2), low), high)
    inner = schema.get("items") or {}
    return [_fill(inner, source, definitions, f"{name}", about, depth + 1) for _ in range(count)]


def _scalar(kind: str, schema: Schema, source: Source, name: str, about: str) -> JsonValue:
    if kind in ("integer", "number"):
        return _number(kind, schema, source, name, about)
    if kind == "boolean":
        return source.chance("boolean", name, about) < 0.5
    if kind == "null":
        return None
    match schema.get("format"):
        case "date":
            return _date(source, f"{name} {about}")
        case "date-time":
            return f"{_date(source, f'{name} {about}')}T09:00:00"
        case "time":
            return "09:00:00"
        case "uri":
            found = re.search(r"https?://[^\s<>\"')]+", source.text)
            return found[0] if found else "https://example.com/simulated"
    text = _text(source, name, about)
    limit = int(schema.get("maxLength", _MAX_TEXT))
    return _clip(text, limit) if limit >= 4 else text[:limit]


def _text(source: Source, name: str, about: str) -> str:
    subject = f"{name.replace('_', ' ')} {about}"
    if name and (value := source.labelled(name)):
        return value
    words = name.lower().split("_")
    if "email" in words and (found := _EMAIL.search(source.text)):
        return found[0]
    is_name = any(word in _NAMES for word in words) or about.lower().startswith("name of")
    if is_name:
        named = [found[0] for sentence in source.near(subject)[:6] for found in _PROPER.finditer(sentence)]
        if named:
            return named[int(source.chance(subject) * min(len(named), 3))]
    text = source.sentence(subject, subject)
    return _clip(text, 70) if is_name or any(word in ("headline", "label", "topic") for word in words) else text


def _number(kind: str, schema: Schema, source: Source, name: str, about: str) -> JsonValue:
    low, high = schema.get("minimum"), schema.get("maximum")
    # "From 1 to 5" in a description says what the schema may not.
    if low is None and high is None and (bounds := re.search(r"\b[Ff]rom (\d+)\b.*?\bto (\d+)\b", about)):
        low, high = int(bounds[1]), int(bounds[2])
    for sentence in source.near(f"{name.replace('_', ' ')} {about}"):
        for found in _NUMBER.finditer(_LONG_DATE.sub(" ", _ISO_DATE.sub(" ", sentence))):
            value = float(re.sub(r"[ ,\u00a0]", "", found[0]))
            fits = (low is None or value >= low) and (high is None or value <= high)
            if fits and (kind == "number" or value.is_integer()):
                return int(value) if value.is_integer() else value
    bottom = 1 if low is None else low
    top = bottom + 9 if high is None else high
    chosen = bottom + source.chance("number", name, about) * (top - bottom)
    return round(chosen) if kind == "integer" or float(bottom).is_integer() else chosen


def _date(source: Source, about: str) -> str:
    for sentence in source.near(about):
        for found in _ISO_DATE.finditer(sentence):
            if day := _calendar(int(found[1]), int(found[2]), int(found[3])):
                return day
        for found in _LONG_DATE.finditer(sentence):
            month = found[2][:3].lower()
            if month in _MONTHS and (
                day := _calendar(int(found[4]), _MONTHS.index(month) + 1, int(found[1] or found[3] or 1))
            ):
                return day
    return f"2025-{1 + int(source.chance('month', about) * 12):02d}-{1 + int(source.chance('day', about) * 28):02d}"


def _calendar(year: int, month: int, day: int) -> str | None:
    try:
        return date(year, month, day).isoformat()
    except ValueError:
        return None


def _choice(options: list[Any], source: Source, about: str, name: str) -> JsonValue:
    real = [option for option in options if option is not None] or options
    text = source.text.lower()

    def mentions(option: Any) -> int:
        return sum(len(re.findall(rf"\b{re.escape(word)}", text)) for word in str(option).lower().split("_"))

    chosen: JsonValue = max(
        real, key=lambda option: (mentions(option), source.chance("choice", name, about, option, source.used))
    )
    return chosen


def _blocks(prompt: str) -> tuple[str, list[str]]:
    """What is outside `<tag>...</tag>` and fences, and what is inside each. In linear time, whatever the prompt."""
    outside, inside, at = [], [], 0
    unclosed: set[str] = set()
    for found in _OPENING.finditer(prompt):
        closing = found["fence"] or f"</{found['tag']}>"
        if found.start() < at or closing in unclosed:
            continue
        end = prompt.find(closing, found.end())
        if end < 0:
            unclosed.add(closing)
            continue
        outside.append(prompt[at : found.start()])
        inside.append(prompt[found.end() : end])
        at = end + len(closing)
    return " ".join([*outside, prompt[at:]]), inside


def _sentences(text: str) -> list[str]:
    text = _HEADING.sub(r"\1\n\n", re.sub(r"[ \t]+", " ", text))
    found = (" ".join(part.split()).strip(" -*#\t") for part in _SENTENCE.split(text))
    return list(dict.fromkeys(part for part in found if len(part) >= 12 and " " in part and not _FOOTER.search(part)))


def _unlabelled(line: str) -> str:
    """The line without the names of fields that stand before its text (`note:`, `- title:`)."""
    while (found := _FIELD.match(line)) is not None:
        line = line[found.end() :]
    return line


def _is_whole(line: str) -> bool:
    """Whether a line reads as one sentence, neither a fragment nor a paragraph."""
    return line[-1:] in (".", "!", "?") and line[0].isupper() and 6 <= len(line.split()) <= 30


def _ended(line: str) -> str:
    return line if line[-1:] in ".!?" else f"{line}."


def _words(text: str) -> frozenset[str]:
    # Short prefixes stand in for stems: "renews" and "renewal" should meet.
    return frozenset(word[:5] for word in _WORD.findall(text.lower()) if word not in _STOP)


def _clip(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    cut = text[: limit - 3].rsplit(" ", 1)[0].rstrip(",;:")
    return f"{cut}..."
