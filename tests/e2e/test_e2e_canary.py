"""Secrets are planted everywhere a process of ours holds some; after runs that work and fail, none is anywhere else."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from e2e_project import Command, Project, histories_of, workflow_of
from temporalio.client import Client

from object_servers import BUCKET, fake_s3, s3_keys
from pipelex.testing.provider_stub import StubAnswer, StubProvider

pytestmark = pytest.mark.server

PROVIDER_KEY = "canary-of-the-provider-0123456789"
HEADER = "canary-of-an-extra-header-4711"
TEMPORAL_KEY = "canary-of-the-temporal-server-77"
IN_DOTENV = "canary-in-the-dotenv-file-31415"
PASSWORD = "canary-of-the-endpoint-27182"
SEARCH_KEY = "canary-of-the-search-161803"
STORE_KEY = "canary-of-the-object-store-5772"
FUNCTION_TOKEN = "canary-of-a-function-1202056"
CANARIES = (PROVIDER_KEY, HEADER, TEMPORAL_KEY, IN_DOTENV, PASSWORD, SEARCH_KEY, STORE_KEY, FUNCTION_TOKEN)
URL_TOKEN = "canary-of-a-document-url-69314"
"""Data: the url of a document is what somebody gave to a run. It is in histories, but in no message and in no log."""
ECHO = f"Bearer {PROVIDER_KEY}, {HEADER}, basic user:{PASSWORD}, {TEMPORAL_KEY}, {IN_DOTENV}: not accepted"

METHOD = """
domain = "leaks"
main_pipe = "works"

[pipe.works]
type = "PipeSequence"
description = "Use each kind of secret"
inputs = { note = "Text" }
output = "Text"
steps = [
  { pipe = "call", result = "said" },
  { pipe = "find", result = "found" },
  { pipe = "count", result = "counted" },
]

[pipe.call]
type = "PipeLLM"
description = "Call"
inputs = { note = "Text" }
output = "Text"
model = "gpt-4o-mini"
prompt = "Say something about $note"

[pipe.find]
type = "PipeSearch"
description = "Find"
inputs = { note = "Text" }
output = "SearchResult"
model = "linkup-standard"
prompt = "What is $note?"

[pipe.count]
type = "PipeFunc"
description = "Count"
output = "Text"
function_name = "count"

[pipe.breaks]
type = "PipeFunc"
description = "Fail"
output = "Text"
function_name = "breaks"

[pipe.local]
type = "PipeSequence"
description = "Read a file that a function names"
output = "Page[]"
steps = [{ pipe = "name_a_file", result = "file" }, { pipe = "read", result = "pages" }]

[pipe.name_a_file]
type = "PipeFunc"
description = "Name a file"
output = "Document"
function_name = "name_a_file"

[pipe.read]
type = "PipeExtract"
description = "Read"
inputs = { file = "Document" }
output = "Page[]"
model = "pypdfium2-extract-pdf"
"""
FUNCTIONS = """
import os
from pathlib import Path
from pipelex import pipe_func

@pipe_func
def count(working_memory):
    return "3" if os.environ["WAREHOUSE_TOKEN"] else ""

@pipe_func
def breaks(working_memory):
    raise ValueError("401: the token " + os.environ["WAREHOUSE_TOKEN"] + " has expired")

@pipe_func
def name_a_file(working_memory):
    return {"url": Path(__file__).with_name("secret.pdf").as_uri()}
"""


def answer(asked: dict[str, Any], before: int) -> StubAnswer | None:
    return (
        StubAnswer(status=400, text=ECHO, headers={"x-request-id": "req-42"}) if "echo" in json.dumps(asked) else None
    )


@pytest.fixture
def s3() -> Iterator[str]:
    with fake_s3() as endpoint:
        yield endpoint


@pytest.fixture
async def work(address: str, s3: str, tmp_path: Path) -> AsyncIterator[Project]:
    """A project that holds every secret, each where an operator would put it."""
    async with StubProvider(answer) as stub, Project(tmp_path, stub) as work:
        work.environment |= {
            "OPENAI_BASE_URL": stub.base_url.replace("://", f"://user:{PASSWORD}@"),
            "OPENAI_API_KEY": PROVIDER_KEY,
            "TEMPORAL_KEY_OF_ACME": TEMPORAL_KEY,
            "LINKUP_API_KEY": SEARCH_KEY,
            "AWS_ACCESS_KEY_ID": "AKIATESTONLY",
            "AWS_SECRET_ACCESS_KEY": STORE_KEY,
            "WAREHOUSE_TOKEN": FUNCTION_TOKEN,
        }
        work.write(".env", f"SOME_SECRET={IN_DOTENV}\n")
        work.write("functions.py", FUNCTIONS)
        work.write("method.mthds", METHOD)
        work.write(".pipelex/inference/backends.toml", f'[linkup]\nendpoint = "{stub.base_url}"\n')
        work.write(".pipelex/inference/backends/openai.toml", f'[defaults]\nx-extra-auth = "{HEADER}"\n')
        work.configure(f"""
[temporal.temporal_config.temporal_server_configs.local]
target_host = "{address}"
tls = false
api_key_method = "env_var"
api_key_id = "TEMPORAL_KEY_OF_ACME"
[temporal.worker_config]
default_task_queue = "{tmp_path.name}"
[temporal.payloads]
threshold_bytes = 2000
method = "s3"
s3 = {{ bucket_name = "{BUCKET}", endpoint = "{s3}", region = "us-east-1" }}
""")
        yield work


async def told(address: str, run: Command) -> bytes:
    """All that the server knows of a run: the events of its workflows, and what lists and pages show of each."""
    client = await Client.connect(address)
    found = [event.SerializeToString() for history in await histories_of(address, run) for event in history.events]
    described = await client.get_workflow_handle(workflow_of(run)).describe()
    return b"".join([*found, described.raw_description.SerializeToString()])


def everything_in(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file())


async def stored(endpoint: str) -> bytes:
    async with httpx2.AsyncClient() as reader:
        return b"".join([(await reader.get(f"{endpoint}/{BUCKET}/{key}")).content for key in s3_keys(endpoint)])


async def test_no_secret_is_told(work: Project, address: str, s3: str) -> None:
    worker = await work.start("worker", "--functions", "functions.py")
    await worker.says("worker ready")
    note = ("-i", '{"note": "the kettle"}')
    document = ("-i", json.dumps({"file": {"url": f"http://127.0.0.1:9/a.pdf?sig={URL_TOKEN}"}}))
    runs = {
        "works": await work.method(*note, "--json"),
        "echo": await work.method("-i", '{"note": "echo"}', "--json"),
        "breaks": await work.method("--pipe", "breaks", "--json"),
        "read": await work.method("--pipe", "read", *document, "--json"),
        "local": await work.method("--pipe", "local", "--json"),
    }
    shown = [await work.run("runs", "show", workflow_of(run)) for run in runs.values()]
    assert runs["works"].process.returncode == 0, runs["works"].err
    errors = {name: json.loads(run.err.splitlines()[-1]) for name, run in runs.items() if name != "works"}
    assert errors["echo"]["code"] == "request-refused"
    assert (errors["echo"]["category"], errors["echo"]["request_id"]) == ("content", "req-42")
    assert errors["breaks"]["message"] == "the function 'breaks' raised ValueError: 401: the token [key] has expired"
    assert errors["read"]["code"] == "document-error"
    assert "is not a url that a worker reads" in errors["local"]["message"]

    assert work.stub is not None
    received = json.dumps([found.headers for found in work.stub.requests])
    assert HEADER in received, "the secrets are in use"
    assert SEARCH_KEY in received

    histories = b"".join([await told(address, run) for run in runs.values()])
    said = "".join(command.out + command.err for command in (worker, *runs.values(), *shown)).encode()
    kept = everything_in(work.folder / "results") + await stored(s3)
    assert len(kept) > 5000
    assert b"the kettle" in histories + kept
    for canary in CANARIES:
        places = {"histories": histories, "what was said": said, "files": kept}
        assert [name for name, text in places.items() if canary.encode() in text] == [], canary
    assert URL_TOKEN.encode() in histories + kept
    assert URL_TOKEN.encode() not in said
