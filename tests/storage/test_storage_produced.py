"""The files of a result: named as they want to be, wherever they are in it, and never over the files of the run."""

from __future__ import annotations

from pathlib import Path

from pipelex.storage.local import LocalBlobs
from pipelex.storage.produced import produced_files
from pipelex.values.concepts import Concepts
from pipelex.values.value import Value


async def test_files_are_found_and_named(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path)
    one = await blobs.put(b"one", mime_type="text/plain")
    two = await blobs.put(b"two", mime_type="text/plain")
    three = await blobs.put(b"three", mime_type="text/plain")
    names = ["../../notes.txt", "notes.txt", "main_stuff.json"]
    data = [{"url": url, "filename": name} for url, name in zip((one, two, three), names, strict=True)]
    files = await produced_files(Value(concept="native.Document", data=[*data, data[0]]), Concepts({}), blobs)
    assert sorted(files.values()) == [b"one", b"three", b"two"]
    assert {"notes.txt": b"one", "notes-2.txt": b"two"}.items() <= files.items()
    assert not [name for name in files if "/" in name or name == "main_stuff.json"]


async def test_names_that_others_gave_fit_every_disk_and_take_no_page_of_the_run(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path / "blobs")
    names = ["index.html", "Cost_Report.json", "a.txt", "A.txt", "nul\x00\nl.txt", "é" * 300 + ".txt", " .. "]
    urls = [await blobs.put(name.encode(), mime_type="text/plain") for name in names]
    data = [{"url": url, "filename": name} for url, name in zip(urls, names, strict=True)]
    files = await produced_files(Value(concept="native.Document", data=data), Concepts({}), blobs)
    assert list(files)[:-1] == [
        "file-index.html", "file-Cost_Report.json", "a.txt", "A-2.txt", "nul__l.txt", "é" * 90 + ".txt",
    ]  # fmt: skip
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    assert len(files) == len(names)


async def test_what_is_not_stored_here_is_left_out(tmp_path: Path) -> None:
    elsewhere = f"pipelex-storage://{'0' * 64}.png"
    data = [{"url": elsewhere}, {"url": "https://example.org/a.png"}]
    assert await produced_files(Value(concept="native.Image", data=data), Concepts({}), LocalBlobs(tmp_path)) == {}
