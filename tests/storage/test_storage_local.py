import hashlib

import pytest

from pipelex.errors import DocumentError
from pipelex.storage.blobs import Blobs, parse_reference, reference_to, sniff
from pipelex.storage.fetch import ingest_file
from pipelex.storage.local import LocalBlobs


async def test_the_same_bytes_are_stored_once(tmp_path):
    blobs: Blobs = LocalBlobs(tmp_path)
    first = await blobs.put(b"%PDF-1.7 x", mime_type="application/pdf", filename="a.pdf")
    assert first == f"pipelex-storage://{hashlib.sha256(b'%PDF-1.7 x').hexdigest()}.pdf"
    assert await blobs.put(b"%PDF-1.7 x", mime_type=None, filename="b.dat") == first
    assert await blobs.get(first) == b"%PDF-1.7 x"
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [first.removeprefix("pipelex-storage://")]


async def test_an_altered_blob_is_refused(tmp_path):
    blobs = LocalBlobs(tmp_path)
    reference = await blobs.put(b"hello", mime_type="text/plain")
    [path] = tmp_path.rglob("*.txt")
    path.write_bytes(b"jello")
    with pytest.raises(DocumentError, match="altered"):
        await blobs.get(reference)


async def test_a_missing_blob_names_the_storage_folder(tmp_path):
    with pytest.raises(DocumentError) as caught:
        await LocalBlobs(tmp_path).get(str(reference_to(b"gone", mime_type=None)))
    assert str(tmp_path) in caught.value.render()
    assert "local_storage_path" in caught.value.render()


@pytest.mark.parametrize(
    "text",
    [
        "pipelex-storage://../../etc/passwd",
        "pipelex-storage://" + "a" * 64 + "./../x",
        "pipelex-storage://" + "a" * 64,
        "pipelex-storage://user/run/" + "a" * 64 + ".png",
        "pipelex-storage://" + "A" * 64 + ".png",
    ],
)
def test_other_spellings_are_not_references(text):
    with pytest.raises(DocumentError):
        parse_reference(text)


@pytest.mark.parametrize(
    ("mime_type", "filename", "extension"),
    [
        ("text/plain", None, "txt"),
        ("image/png", "x.pdf", "png"),
        (None, "notes.md", "md"),
        (None, "evil.p/../h", "bin"),
        (None, None, "bin"),
        ("no/such-type", None, "bin"),
    ],
)
def test_the_extension_comes_from_the_kind_then_the_name(mime_type, filename, extension):
    assert reference_to(b"data", mime_type=mime_type, filename=filename).extension == extension


def test_the_first_bytes_win():
    assert sniff(b"\x89PNG\r\n\x1a\n....") == "image/png"
    assert sniff(b"RIFF1234WEBPVP8 ") == "image/webp"
    assert sniff(b"hello") is None


async def test_ingest_reads_a_local_file(tmp_path):
    blobs = LocalBlobs(tmp_path / "blobs")
    (tmp_path / "a.md").write_text("# hello")
    reference = await ingest_file(tmp_path / "a.md", blobs)
    assert reference.endswith(".md")
    assert await blobs.get(reference) == b"# hello"


async def test_ingest_says_what_is_wrong_with_a_file(tmp_path):
    (tmp_path / "empty.txt").touch()
    (tmp_path / "big.txt").write_bytes(b"x" * 11)
    for name, words in [
        ("none.pdf", "No such file"),
        ("empty.txt", "empty"),
        ("big.txt", "too large"),
        (".", "directory"),
    ]:
        with pytest.raises(DocumentError, match=words) as caught:
            await ingest_file(tmp_path / name, LocalBlobs(tmp_path / "blobs"), max_bytes=10)
        assert str(tmp_path) in caught.value.render()
