"""The two kinds of object stores on loopback: moto's S3, and a stub of Google Cloud Storage.

The stub speaks what the client makes of the XML API: PUT (with x-goog-if-generation-match), GET and HEAD.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

BUCKET = "payloads-bucket"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "AKIATESTONLY", "AWS_SECRET_ACCESS_KEY": "canary-secret-of-the-store"}


@dataclass
class FakeGcs:
    """What a bucket holds, and what it was asked."""

    endpoint: str = ""
    objects: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    status: int | None = None
    """Answered to everything, when set."""


@contextlib.contextmanager
def fake_gcs() -> Iterator[FakeGcs]:
    state = FakeGcs()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            pass

        def answer(self, status: int, body: bytes = b"", data: bytes | None = None) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body if data is None else data)))
            if data is not None:
                self.send_header("ETag", f'"{hashlib.md5(data).hexdigest()}"')
                self.send_header("Last-Modified", formatdate(usegmt=True))
                self.send_header("x-goog-generation", "1")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def asked(self) -> tuple[str, bool]:
            bucket, _, key = unquote(urlsplit(self.path).path).lstrip("/").partition("/")
            state.asked.append(f"{self.command} {key}")
            return key, bucket == BUCKET

        def do_PUT(self) -> None:
            data = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            key, is_here = self.asked()
            if state.status or not is_here:
                self.answer(state.status or 404)
            elif self.headers.get("x-goog-if-generation-match") == "0" and key in state.objects:
                self.answer(412)
            else:
                state.objects[key] = data
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.send_header("ETag", f'"{hashlib.md5(data).hexdigest()}"')
                self.end_headers()

        def do_GET(self) -> None:
            key, is_here = self.asked()
            if state.status or not is_here or key not in state.objects:
                self.answer(state.status or 404)
            else:
                self.answer(200, state.objects[key], state.objects[key])

        do_HEAD = do_GET

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    state.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def fake_s3() -> Iterator[str]:
    """The endpoint of an S3 server with one empty bucket."""
    import logging

    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    try:
        s3_client(endpoint).create_bucket(Bucket=BUCKET)
        yield endpoint
    finally:
        server.stop()


def s3_client(endpoint: str):
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    )


def s3_keys(endpoint: str, prefix: str = "") -> list[str]:
    found = s3_client(endpoint).list_objects_v2(Bucket=BUCKET, Prefix=prefix)
    return [item["Key"] for item in found.get("Contents", [])]
