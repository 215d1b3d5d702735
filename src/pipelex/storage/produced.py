"""The files that a run made: the bytes behind the storage references of its result. Submitter side."""

from __future__ import annotations

from pathlib import PurePath

from pydantic import JsonValue

from pipelex.errors import PipelexError
from pipelex.storage.blobs import SCHEME, Blobs
from pipelex.values.concepts import Concepts
from pipelex.values.files import map_file_contents
from pipelex.values.value import Value

_OF_THE_RUN = (
    "cost_report.",
    "execution_graph.",
    "graphspec.",
    "index.",
    "main_stuff.",
    "rehearsal.",
    "working_memory.",
)
"""How the names of the files start that every run writes beside these."""


async def produced_files(value: Value, concepts: Concepts, blobs: Blobs) -> dict[str, bytes]:
    """Every stored image and document of a value, under a file name of its own; what is not stored here is left out."""
    references: dict[str, str] = {}

    def collect(content: dict[str, JsonValue], kind: str) -> dict[str, JsonValue]:
        url, name = content.get("url"), content.get("filename")
        if isinstance(url, str) and url.startswith(SCHEME):
            references.setdefault(url, name if isinstance(name, str) else "")
        return content

    map_file_contents(value.data, value.concept, concepts, collect)
    files: dict[str, bytes] = {}
    for reference, name in references.items():
        try:
            data = await blobs.get(reference)
        except PipelexError:
            continue
        files[_free_name(name, reference, files)] = data
    return files


def _free_name(name: str, reference: str, taken: dict[str, bytes]) -> str:
    """The given name without its folders, numbered when it is taken; the start of the digest when there is none."""
    stored = PurePath(reference.removeprefix(SCHEME))
    wanted = _writable(name) or f"{stored.stem[:12]}{stored.suffix}"
    if wanted.lower().startswith(_OF_THE_RUN):
        wanted = f"file-{wanted}"
    used = {each.casefold() for each in taken}
    free, number = wanted, 1
    while free.casefold() in used:
        number += 1
        free = f"{PurePath(wanted).stem}-{number}{PurePath(wanted).suffix}"
    return free


def _writable(name: str) -> str:
    """The last part of a name that anybody may have given, as every disk takes it."""
    last = PurePath(name.replace("\\", "/")).name.strip(" .")
    plain = PurePath("".join(letter if letter.isprintable() else "_" for letter in last))
    # 255 bytes are what most disks take; a number may be added.
    return _cut(plain.stem, 180) + _cut(plain.suffix, 40)


def _cut(text: str, most_bytes: int) -> str:
    return text.encode()[:most_bytes].decode(errors="ignore")
