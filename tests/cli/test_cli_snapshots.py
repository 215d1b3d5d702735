"""Every command as people meet it: the exit code and both streams, once when it goes well and once when it fails.

A change of what is said here is a change of the product. `pytest --inline-snapshot=fix` writes it down.
"""

# ruff: noqa: E501 - what is said is shown as it is

from __future__ import annotations

import contextlib
import os
import pty
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer
from inline_snapshot import snapshot

import pipelex
from pipelex.cli.main import app
from pipelex.storage.package_locking import begin

Cli = Callable[..., Any]

BAD = """\
domain = "bad"
main_pipe = "ask"

[pipe.ask]
type = "PipeLLM"
description = "Ask"
inputs = { topic = "Txt" }
output = "Text"
prompt = "About $topic"
"""
RUNS = ("list", "show", "result", "tail", "cancel", "terminate")
_MOST_LINES = 40


def _on_a_terminal(line: str) -> str:
    """What a person sees who types that in a terminal."""
    reading, writing = pty.openpty()
    command = [Path(sys.executable).parent / "pipelex", *shlex.split(line)]
    process = subprocess.Popen(command, stdin=writing, stdout=writing, stderr=writing)
    os.close(writing)
    seen = b""
    # Linux answers with an error when nobody writes there any more.
    with contextlib.suppress(OSError):
        while chunk := os.read(reading, 65536):
            seen += chunk
    os.close(reading)
    process.wait(timeout=60)
    return seen.decode()


class Case(NamedTuple):
    """A command line, and what it leaves."""

    line: str
    code: int
    out: str
    err: str


def same_everywhere(text: str, work: Path) -> str:
    """The text without what differs between machines and runs; a long one is cut."""
    text = text.replace(str(work.parent / "home"), "HOME").replace(str(work), "WORK").replace(str(work.parent), "TMP")
    text = text.replace(pipelex.__version__, "VERSION")
    text = re.sub(r"\b\d+(\.\d+)?m?s\b", "Ns", text)
    lines = text.splitlines()
    return "\n".join([*lines[:12], "…"] if len(lines) > _MOST_LINES else lines)


CASES = [
    Case("--version", 0, snapshot("pipelex VERSION"), snapshot("")),
    Case(
        "--help",
        0,
        snapshot("""\
Usage: pipelex [OPTIONS] COMMAND [ARGS]...

  Run AI methods written in MTHDS: in one process, or unchanged as durable
  Temporal workflows.

Options:
  -V, --version         Print the version.
  --traceback           Add a stack trace to errors.
  --install-completion  Install completion for the current shell.
  --show-completion     Show completion for the current shell, to copy it or
                        customize the installation.
  -h, --help            Show this message and exit.

Commands:
  init                      Set a project up: write .pipelex/.
  new                       Start a method, in a directory of its own.
  run                       Run a method.
  validate                  Check a method.
  graph                     Draw a method, or what a run did.
  build                     Make files to start from.
  show                      Show pipes, settings, backends, models, routes.
  which                     Show where the library has a pipe from.
  schema                    Print the JSON Schema of .mthds files.
  pkg                       Add, lock and fetch packages of methods.
  dev                       Start Temporal, its Web UI and a worker here.
  runs                      Find durable runs, see them, stop them.
  worker                    Take work from Temporal, until told to stop.
  routes                    Show where each call goes, and how patiently.
  setup-temporal-namespace  Register the search attributes of runs.
  codec-server              Decode payloads for the Web UI.
  doctor                    Say what keeps runs from working here.

  Exit codes: 0 done; 1 failed, or for validate: the method is invalid; 2
  wrong usage, or for validate: no verdict; 130 interrupted. Results go to
  stdout, messages to stderr.\
"""),
        snapshot(""),
    ),
    Case(
        "nope",
        2,
        snapshot(""),
        snapshot("""\
error: no such command 'nope' [usage]
  usage: pipelex [OPTIONS] COMMAND [ARGS]...
  hint: see pipelex --help\
"""),
    ),
    Case(
        "vlidate",
        2,
        snapshot(""),
        snapshot("""\
error: no such command 'vlidate' [usage]
  usage: pipelex [OPTIONS] COMMAND [ARGS]...
  hint: did you mean 'validate'?\
"""),
    ),
    Case(
        "run --help",
        0,
        snapshot("""\
Usage: pipelex run [OPTIONS] COMMAND [ARGS]...

  Run a method.

Options:
  -h, --help  Show this message and exit.

Commands:
  bundle  Run the main pipe of a bundle, or another of its pipes.
  pipe    Run a pipe of the library: --library-dir, else PIPELEXPATH,...
  method  Run the main pipe of an installed method, or another of its pipes.\
"""),
        snapshot(""),
    ),
    Case(
        'run bundle greet --simulate --inputs \'{"name": "Ada"}\' --no-graph --no-costs',
        0,
        snapshot("[simulated] Say hello to Ada."),
        snapshot("""\
simulated: no model was called, texts and objects are made up
done: greet.greet (1 call, 5 tokens in, 8 out)
  results/greet_output_01/main_stuff.json
  results/greet_output_01/main_stuff.md
  results/greet_output_01/working_memory.json\
"""),
    ),
    Case(
        "run bundle greet --dry-run --mock-inputs --no-graph --no-costs",
        0,
        snapshot("This is a mock text."),
        snapshot("""\
dry run done: greet.greet
  results/greet_output_01/main_stuff.json
  results/greet_output_01/main_stuff.md
  results/greet_output_01/working_memory.json\
"""),
    ),
    Case(
        "run bundle greet",
        1,
        snapshot(""),
        snapshot("""\
error: 1 input is missing: name (Text) [input-error]
  hint: give 'name', for instance {"name": "some text"}\
"""),
    ),
    Case(
        'run bundle greet --inputs \'{"nam": "Ada"}\'',
        1,
        snapshot(""),
        snapshot("""\
error: 2 things are wrong with the inputs:
  - there is no input 'nam'; did you mean 'name'?
  - 1 input is missing: name (Text) [input-error]
  hint: the pipe declares: name (Text); give 'name', for instance {"name": "some text"}\
"""),
    ),
    Case(
        "run bundle nowhere",
        1,
        snapshot(""),
        snapshot("""\
error: no such file or directory: nowhere [input-error]
  hint: check the path of the bundle\
"""),
    ),
    Case(
        "run bundle bad",
        1,
        snapshot(""),
        snapshot("""\
bad/bundle.mthds:7:12: error: no concept is called 'Txt' [unresolved_concept]
  7 | inputs = { topic = "Txt" }
                 ^
  hint: did you mean 'Text'?
error: 1 problem in bad/bundle.mthds [library-error]\
"""),
    ),
    Case(
        "run bundle",
        2,
        snapshot(""),
        snapshot("""\
error: missing argument 'PATH' [usage]
  usage: pipelex run bundle [OPTIONS] PATH
  hint: see pipelex run bundle --help\
"""),
    ),
    Case(
        "run bundle greet --nope",
        2,
        snapshot(""),
        snapshot("""\
error: no such option: --nope [usage]
  usage: pipelex run bundle [OPTIONS] PATH
  hint: did you mean --pipe or --lane or --no-graph?\
"""),
    ),
    Case(
        'run pipe make_card -L greet --simulate --inputs \'{"name": "Ada"}\' --no-graph --no-costs --json',
        0,
        snapshot('{"title": "Make a card for Ada", "year": 8}'),
        snapshot("""\
simulated: no model was called, texts and objects are made up
done: greet.make_card (1 call, 66 tokens in, 11 out)
  results/make_card_output_01/main_stuff.json
  results/make_card_output_01/main_stuff.md
  results/make_card_output_01/working_memory.json\
"""),
    ),
    Case(
        "run pipe gret -L greet",
        1,
        snapshot(""),
        snapshot("""\
error: no pipe is called 'gret' [pipe-not-found]
  hint: did you mean 'greet'?\
"""),
    ),
    Case(
        "run method nope",
        1,
        snapshot(""),
        snapshot("""\
error: no method called 'nope' is installed [input-error]
  hint: those installed: hello\
"""),
    ),
    Case(
        'run method hello --simulate --inputs \'{"name": "Ada"}\' --no-graph --no-costs --no-pretty-print',
        0,
        snapshot(""),
        snapshot("""\
simulated: no model was called, texts and objects are made up
done: greet.greet (1 call, 5 tokens in, 8 out)
  results/greet_output_01/main_stuff.json
  results/greet_output_01/main_stuff.md
  results/greet_output_01/working_memory.json\
"""),
    ),
    Case(
        "validate --help",
        0,
        snapshot("""\
Usage: pipelex validate [OPTIONS] COMMAND [ARGS]...

  Check a method.

Options:
  -a, --all                Check every pipe of the library.
  -L, --library-dir DIR    Directory of methods to load as well; repeatable.
                           Replaces PIPELEXPATH.
  --strict                 Refuse what only older versions of the language
                           know.
  --json                   Print one JSON document on stdout.
  --allow-signatures       Exit with 0 although pipes are declared that
                           nothing implements.
  --functions MODULE|FILE  Where @pipe_func functions and structure classes
                           are; repeatable.
  -h, --help               Show this message and exit.

Commands:
  bundle  Check a file, or a directory of them.
  pipe    Check a pipe of the library.
  method  Check an installed method.\
"""),
        snapshot(""),
    ),
    Case(
        "validate",
        2,
        snapshot(""),
        snapshot("""\
error: say what to check: bundle PATH, method NAME, pipe CODE, or --all [usage]
  usage: pipelex validate [OPTIONS] COMMAND [ARGS]...
  hint: see pipelex validate --help\
"""),
    ),
    Case("validate bundle greet", 0, snapshot("valid: greet: 2 pipes"), snapshot("")),
    Case(
        "validate bundle bad",
        1,
        snapshot(""),
        snapshot("""\
bad/bundle.mthds:7:12: error: no concept is called 'Txt' [unresolved_concept]
  7 | inputs = { topic = "Txt" }
                 ^
  hint: did you mean 'Text'?
invalid: bad: 1 error\
"""),
    ),
    Case(
        "validate bundle nowhere",
        2,
        snapshot(""),
        snapshot("""\
error: no such file or directory: nowhere [input-error]
  hint: check the path of the bundle\
"""),
    ),
    Case(
        "validate bundle half",
        1,
        snapshot("valid: half: 1 pipe, 1 signature, 1 warning"),
        snapshot("""\
half/bundle.mthds:3:7: warning: 'later' is a signature that nothing implements: what reaches it can only run dry [pending_signatures]
  3 | [pipe.later]
            ^
  hint: declare a pipe of the same code, inputs and output, with a type
not runnable: nothing implements half.later
  hint: implement them, or accept them for now with --allow-signatures\
"""),
    ),
    Case(
        "validate bundle half --allow-signatures",
        0,
        snapshot("valid: half: 1 pipe, 1 signature, 1 warning"),
        snapshot("""\
half/bundle.mthds:3:7: warning: 'later' is a signature that nothing implements: what reaches it can only run dry [pending_signatures]
  3 | [pipe.later]
            ^
  hint: declare a pipe of the same code, inputs and output, with a type
not runnable: nothing implements half.later\
"""),
    ),
    Case(
        "validate pipe",
        2,
        snapshot(""),
        snapshot("""\
error: give the code of a pipe, or --all [usage]
  usage: pipelex validate pipe [OPTIONS] [CODE]
  hint: see pipelex validate pipe --help\
"""),
    ),
    Case("validate method hello", 0, snapshot("valid: .mthds/methods/hello: 2 pipes"), snapshot("")),
    Case(
        "validate method nope",
        2,
        snapshot(""),
        snapshot("""\
error: no method called 'nope' is installed [input-error]
  hint: those installed: hello\
"""),
    ),
    Case("validate pipe make_card -L greet", 0, snapshot("valid: make_card: 1 pipe"), snapshot("")),
    Case(
        "validate make_card -L greet --json",
        0,
        snapshot(
            '{"is_valid": true, "is_runnable": true, "main_pipe": null, "validated_pipes": [{"pipe_ref": "greet.make_card", "status": "SUCCESS"}], "pending_signatures": [], "validation_errors": [], "warnings": [], "liftable_pipes": [], "pipe_io_contracts": {"greet.make_card": {"inputs": {"name": {"concept_ref": "native.Text", "json_schema": {"title": "native.Text", "description": "A text", "type": "object", "properties": {"text": {"description": "The text", "type": "string"}}, "required": ["text"], "additionalProperties": false}, "presence": "plain", "multiplicity": "single", "item_count": null}}, "output": {"concept_ref": "greet.Card", "multiplicity": "single", "item_count": null, "optional": false}}}, "input_form": [{"name": "name", "kind": "text", "concept_ref": "native.Text", "description": "A text", "multiplicity": "single", "item_count": null, "required": true}]}'
        ),
        snapshot(""),
    ),
    Case("validate --all -L greet", 0, snapshot("valid: the library: 2 pipes"), snapshot("")),
    Case(
        "validate --all",
        2,
        snapshot(""),
        snapshot("""\
error: no directory of methods is known [input-error]
  hint: give --library-dir DIR, or check a file with: pipelex validate bundle PATH\
"""),
    ),
    Case(
        "graph greet -o -  --format mermaid",
        0,
        snapshot("""\
flowchart TD
  in0(["name: Text"])
  subgraph n["greet"]
    n_0["greet<br>LLM"]
  end
  in0 --> n_0
  out(["Greeting"])
  n_0 --> out\
"""),
        snapshot(""),
    ),
    Case("graph greet", 0, snapshot("greet.html"), snapshot("1 pipe drawn")),
    Case(
        "graph",
        2,
        snapshot(""),
        snapshot("""\
error: give a BUNDLE, or --run RUN_ID [usage]
  usage: pipelex graph [OPTIONS] [BUNDLE]
  hint: see pipelex graph --help\
"""),
    ),
    Case(
        "graph nowhere",
        1,
        snapshot(""),
        snapshot("""\
error: no such file or directory: nowhere [input-error]
  hint: check the path of the bundle\
"""),
    ),
    Case(
        "build --help",
        0,
        snapshot("""\
Usage: pipelex build [OPTIONS] COMMAND [ARGS]...

  Make files to start from.

Options:
  -h, --help  Show this message and exit.

Commands:
  inputs  Make a file of inputs to fill in.
  output  Make an example of the output.\
"""),
        snapshot(""),
    ),
    Case(
        "build inputs --help",
        0,
        snapshot("""\
Usage: pipelex build inputs [OPTIONS] COMMAND [ARGS]...

  Make a file of inputs to fill in.

Options:
  -h, --help  Show this message and exit.

Commands:
  bundle  Write the inputs of a pipe of a bundle.
  pipe    Write the inputs of a pipe of the library.\
"""),
        snapshot(""),
    ),
    Case(
        "build output --help",
        0,
        snapshot("""\
Usage: pipelex build output [OPTIONS] COMMAND [ARGS]...

  Make an example of the output.

Options:
  -h, --help  Show this message and exit.

Commands:
  bundle  Write an output of a pipe of a bundle.
  pipe    Write an output of a pipe of the library.\
"""),
        snapshot(""),
    ),
    Case("build inputs bundle greet", 0, snapshot("greet/inputs.json"), snapshot("")),
    Case(
        "build inputs bundle greet -o - --format toml",
        0,
        snapshot("""\
# Text: A text
name = ""\
"""),
        snapshot(""),
    ),
    Case(
        "build inputs pipe greet -L greet -o - --explicit",
        0,
        snapshot("""\
{
  "name": {
    "concept": "Text",
    "content": {
      "text": ""
    }
  }
}\
"""),
        snapshot(""),
    ),
    Case(
        "build inputs pipe nope -L greet",
        1,
        snapshot(""),
        snapshot("""\
error: no pipe is called 'nope' [pipe-not-found]
  hint: the pipes are: greet.greet, greet.make_card\
"""),
    ),
    Case(
        "build output pipe make_card -L greet --format schema -o -",
        0,
        snapshot("""\
{
  "title": "Card",
  "description": "A card",
  "type": "object",
  "properties": {
    "title": {
      "description": "Title",
      "type": "string"
    },
    "year": {
      "description": "Year",
      "type": [
        "integer",
        "null"
      ]
    }
  },
  "required": [
    "title"
  ],
  "additionalProperties": false
}\
"""),
        snapshot(""),
    ),
    Case(
        "build inputs bundle nowhere",
        1,
        snapshot(""),
        snapshot("""\
error: no such file or directory: nowhere [input-error]
  hint: check the path of the bundle\
"""),
    ),
    Case(
        "build output bundle greet --pipe make_card -o -",
        0,
        snapshot("""\
{
  "title": "mock title",
  "year": 1
}\
"""),
        snapshot(""),
    ),
    Case(
        "build output bundle greet --pipe nope",
        1,
        snapshot(""),
        snapshot("""\
error: no pipe is called 'nope' [pipe-not-found]
  hint: the pipes are: greet.greet, greet.make_card\
"""),
    ),
    Case(
        "build output pipe greet -L greet --format yaml",
        2,
        snapshot(""),
        snapshot("""\
error: --format: 'yaml' is not one of 'json', 'schema' [usage]
  usage: pipelex build output pipe [OPTIONS] CODE
  hint: see pipelex build output pipe --help\
"""),
    ),
    Case(
        "show --help",
        0,
        snapshot("""\
Usage: pipelex show [OPTIONS] COMMAND [ARGS]...

  Show what holds here: pipes, settings, backends, models, routes.

Options:
  -h, --help  Show this message and exit.

Commands:
  pipe      Show what a pipe does, takes and gives.
  pipes     List the pipes of the library, domain by domain.
  config    Print the settings that hold here.
  backends  List backends and the routes to them.
  models    List models and what they cost.
  routes    Show where each call goes, and how patiently.\
"""),
        snapshot(""),
    ),
    Case(
        "show pipe greet -L greet",
        0,
        snapshot("""\
greet.greet  (PipeLLM)
  Say hello
  input   name: Text
  output  Greeting
  source  greet/bundle.mthds:15\
"""),
        snapshot(""),
    ),
    Case(
        "show pipe nope -L greet",
        1,
        snapshot(""),
        snapshot("""\
error: no pipe is called 'nope' [pipe-not-found]
  hint: the pipes are: greet.greet, greet.make_card\
"""),
    ),
    Case(
        "show pipe",
        2,
        snapshot(""),
        snapshot("""\
error: give the code of a pipe, or --all [usage]
  usage: pipelex show pipe [OPTIONS] [CODE]
  hint: see pipelex show pipe --help\
"""),
    ),
    Case(
        "show pipes -L greet",
        0,
        snapshot("""\
greet: Greetings
  CODE       TYPE     INPUTS      OUTPUT    DESCRIPTION
  greet      PipeLLM  name: Text  Greeting  Say hello
  make_card  PipeLLM  name: Text  Card      Make a card\
"""),
        snapshot(""),
    ),
    Case(
        "show pipes -L nowhere",
        1,
        snapshot(""),
        snapshot("""\
error: no such file or directory: nowhere [input-error]
  hint: check the path of the bundle\
"""),
    ),
    Case(
        "show config",
        0,
        snapshot("""\
[temporal]
is_enabled = false
queue_options = {}

[temporal.search_attributes]
enabled = false
attributes = ["PipeCode", "PipelineRunId", "SessionId", "UserId", "DomainCode"]

[temporal.worker_config]
default_task_queue = "temporal_task_queue"
workflow_execution_timeout = "1h"
run_timeout = "1h"
…\
"""),
        snapshot(""),
    ),
    Case(
        "show config --server nope",
        1,
        snapshot(""),
        snapshot("""\
error: there is no Temporal server profile 'nope'. [config-error]
  hint: known profiles: local; add [temporal.temporal_config.temporal_server_configs.nope]\
"""),
    ),
    Case(
        "show backends",
        0,
        snapshot("""\
BACKEND                      STATE    KEY  MODELS  ENDPOINT
openai                       enabled  no   7       https://api.openai.com/v1
anthropic                    enabled  no   9       https://api.anthropic.com
google                       enabled  no   10      https://generativelanguage.googleapis.com
openrouter                   enabled  no   0       https://openrouter.ai/api/v1
groq                         enabled  no   1       https://api.groq.com/openai/v1
mistral                      enabled  no   3       https://api.mistral.ai/v1
xai                          enabled  no   3       https://api.x.ai/v1
ollama                       enabled  yes  0       http://localhost:11434/v1
bedrock                      enabled  no   11      https://bedrock-runtime.${AWS_REGION|AWS_DEFAULT_REGION}.amazonaws.com
azure_openai                 enabled  no   0       ${AZURE_API_BASE}
vertexai                     enabled  no   0       https://${GCP_LOCATION}-aiplatform.googleapis.com
linkup                       enabled  no   2       https://api.linkup.so/v1
tavily                       enabled  no   2       https://api.tavily.com
azure_document_intelligence  enabled  no   1       ${AZURE_DOCUMENT_INTELLIGENCE_ENDPOINT}
exa                          enabled  no   3       https://api.exa.ai
brave                        enabled  no   1       https://api.search.brave.com/res/v1
fal                          enabled  no   6       https://queue.fal.run
replicate                    enabled  no   4       https://api.replicate.com/v1
internal                     enabled  yes  1
simulated                    enabled  yes  0
docling                      enabled  yes  0

built-in routes: 27 patterns of handles; --all shows them\
"""),
        snapshot(""),
    ),
    Case(
        "show backends --nope",
        2,
        snapshot(""),
        snapshot("""\
error: no such option: --nope [usage]
  usage: pipelex show backends [OPTIONS]
  hint: see pipelex show backends --help\
"""),
    ),
    Case(
        "show models internal",
        0,
        snapshot("""\
MODEL                  TYPE            BACKEND   KEY  COSTS IN USD  FROM
pypdfium2-extract-pdf  text_extractor  internal  yes  free\
"""),
        snapshot("input and output are per million tokens; page, image and search are each"),
    ),
    Case(
        "show models opnai",
        1,
        snapshot(""),
        snapshot("""\
error: there is no backend 'opnai' [input-error]
  hint: did you mean 'openai' or 'azure_openai'?\
"""),
    ),
    Case(
        "show routes --handle gpt-4o",
        0,
        snapshot("""\
act_llm_gen_text  gpt-4o
act_llm_gen_object  gpt-4o
act_llm_gen_object_list  gpt-4o
act_img_gen_images  gpt-4o
act_extract_gen_extract_pages  gpt-4o
act_search_gen_sourced_answer  gpt-4o
act_search_gen_structured  gpt-4o
act_func_call  gpt-4o
  task_queue                            temporal_task_queue
  start_to_close_timeout                0:10:00
  schedule_to_close_timeout             none
  schedule_to_start_timeout             none
  heartbeat_timeout                     0:00:15
  maximum_attempts                      3
  initial_interval                      0:00:03
  backoff_coefficient                   2
  maximum_interval                      unlimited
  non_retryable_error_types             none
  max_task_queue_activities_per_second  none\
"""),
        snapshot(""),
    ),
    Case(
        "show routes nowhere",
        1,
        snapshot(""),
        snapshot("""\
error: no such file or directory: nowhere [input-error]
  hint: check the path of the bundle\
"""),
    ),
    Case(
        "which greet -L greet",
        0,
        snapshot("""\
✓ greet  (--library-dir)
greet.greet  PipeLLM
greet/bundle.mthds:15\
"""),
        snapshot(""),
    ),
    Case(
        "which gret -L greet",
        1,
        snapshot("✓ greet  (--library-dir)"),
        snapshot("""\
error: no pipe is called 'gret' [pipe-not-found]
  hint: did you mean 'greet'?\
"""),
    ),
    Case(
        "which greet",
        1,
        snapshot(""),
        snapshot("""\
error: no directory holds a method [input-error]
  hint: give --library-dir DIR, set PIPELEXPATH, or set dirs under [library] in .pipelex/pipelex.toml\
"""),
    ),
    Case(
        "schema",
        0,
        snapshot("""\
{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "MTHDS File Schema",
  "description": "One .mthds file: typed concepts, and the pipes that make them",
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "domain": {
      "type": "string",
      "pattern": "^(?!(?:native|mthds|pipelex)(?:\\\\.|$))[a-z][a-z0-9_]*(?:\\\\.[a-z][a-z0-9_]*)*$",
      "description": "The namespace of everything declared in the file"
    },
…\
"""),
        snapshot(""),
    ),
    Case(
        "schema -o greet",
        1,
        snapshot(""),
        snapshot("""\
error: cannot write greet: Is a directory [input-error]
  hint: check the path, and that you may write there\
"""),
    ),
    Case(
        "pkg --help",
        0,
        snapshot("""\
Usage: pipelex pkg [OPTIONS] COMMAND [ARGS]...

  Packages of methods: METHODS.toml and methods.lock.

Options:
  -h, --help  Show this message and exit.

Commands:
  init      Write a METHODS.toml.
  list      Show the dependencies of a package.
  add       Add a dependency, fetch it, and lock it.
  lock      Choose versions, fetch them, write methods.lock.
  install   Fetch and verify what methods.lock names.
  update    Fetch everything again, write methods.lock.
  validate  Check manifest, lock and dependencies.\
"""),
        snapshot(""),
    ),
    Case(
        "pkg init greet",
        0,
        snapshot("greet/METHODS.toml"),
        snapshot("note: the address is a placeholder: write host/owner/repository before others depend on it"),
    ),
    Case("pkg init tea", 1, snapshot(""), snapshot("error: tea/METHODS.toml is there already [input-error]")),
    Case(
        "pkg list",
        1,
        snapshot(""),
        snapshot("""\
error: there is no METHODS.toml in . or above it [input-error]
  hint: `pipelex pkg init` makes one\
"""),
    ),
    Case("pkg list --dir tea", 0, snapshot("example.org/acme/tea 0.1.0"), snapshot("")),
    Case(
        "pkg add example.org/acme/milk --path ../milk --dir tea",
        0,
        snapshot("milk -> example.org/acme/milk ^0.1.0"),
        snapshot(""),
    ),
    Case(
        "pkg add nonsense --dir tea",
        1,
        snapshot(""),
        snapshot("""\
error: 'nonsense' cannot be the address of a package [input-error]
  hint: such as example.org/acme/tea\
"""),
    ),
    Case(
        "pkg lock --dir tea",
        0,
        snapshot(""),
        snapshot("no dependency is fetched from elsewhere: there is nothing to lock"),
    ),
    Case(
        "pkg lock",
        1,
        snapshot(""),
        snapshot("""\
error: there is no METHODS.toml in . or above it [input-error]
  hint: `pipelex pkg init` makes one\
"""),
    ),
    Case(
        "pkg install",
        1,
        snapshot(""),
        snapshot("""\
error: there is no METHODS.toml in . or above it [input-error]
  hint: `pipelex pkg init` makes one\
"""),
    ),
    Case(
        "pkg install --dir tea",
        0,
        snapshot(""),
        snapshot("no dependency is fetched from elsewhere: there is nothing to lock"),
    ),
    Case(
        "pkg update --dir tea",
        0,
        snapshot(""),
        snapshot("no dependency is fetched from elsewhere: there is nothing to lock"),
    ),
    Case(
        "pkg update",
        1,
        snapshot(""),
        snapshot("""\
error: there is no METHODS.toml in . or above it [input-error]
  hint: `pipelex pkg init` makes one\
"""),
    ),
    Case("pkg validate --dir tea", 0, snapshot("valid: WORK/tea"), snapshot("")),
    Case(
        "pkg validate --dir tea --json",
        0,
        snapshot('{"is_valid": true, "validation_errors": [], "warnings": []}'),
        snapshot(""),
    ),
    Case(
        "pkg validate",
        1,
        snapshot(""),
        snapshot("""\
error: there is no METHODS.toml in . or above it [input-error]
  hint: `pipelex pkg init` makes one\
"""),
    ),
    Case(
        "routes --handle gpt-4o",
        0,
        snapshot("""\
act_llm_gen_text  gpt-4o
act_llm_gen_object  gpt-4o
act_llm_gen_object_list  gpt-4o
act_img_gen_images  gpt-4o
act_extract_gen_extract_pages  gpt-4o
act_search_gen_sourced_answer  gpt-4o
act_search_gen_structured  gpt-4o
act_func_call  gpt-4o
  task_queue                            temporal_task_queue  default
  start_to_close_timeout                0:10:00              default
  schedule_to_close_timeout             none                 default
  schedule_to_start_timeout             none                 default
  heartbeat_timeout                     0:00:15              default
  maximum_attempts                      3                    default
  initial_interval                      0:00:03              default
  backoff_coefficient                   2                    default
  maximum_interval                      unlimited            default
  non_retryable_error_types             none                 default
  max_task_queue_activities_per_second  none                 default\
"""),
        snapshot(""),
    ),
    Case(
        "routes --handle",
        2,
        snapshot(""),
        snapshot("""\
error: option '--handle' requires an argument [usage]
  hint: see pipelex routes --help\
"""),
    ),
    Case(
        "runs --help",
        0,
        snapshot("""\
Usage: pipelex runs [OPTIONS] COMMAND [ARGS]...

  Find durable runs, see what they do, get their results, stop them.

Options:
  -h, --help  Show this message and exit.

Commands:
  list       List runs: those under way first, then the latest.
  show       Show what a run does or did: its pipes, their calls and...
  result     Wait for the result of a run, print it and write its files,...
  tail       Come back to a run: show how far it is, then its result, as...
  cancel     Ask a run to stop: its pipes and calls stop first.
  terminate  Stop a run at once, when it cannot be cancelled: nothing is...\
"""),
        snapshot(""),
    ),
    Case(
        "runs list",
        1,
        snapshot(""),
        snapshot("""\
error: no Temporal server answers at 127.0.0.1:9 [unreachable]
  hint: start a server on this machine with `pipelex dev`, or correct target_host of the selected server under [temporal.temporal_config]\
"""),
    ),
    Case(
        "runs list --status odd",
        2,
        snapshot(""),
        snapshot("""\
error: --status: 'odd' is not one of running, paused, done, failed, canceled, terminated, timed-out [usage]
  usage: pipelex runs list [OPTIONS]
  hint: see pipelex runs list --help\
"""),
    ),
    Case(
        "runs show x",
        1,
        snapshot(""),
        snapshot("""\
error: no Temporal server answers at 127.0.0.1:9 [unreachable]
  hint: start a server on this machine with `pipelex dev`, or correct target_host of the selected server under [temporal.temporal_config]\
"""),
    ),
    Case(
        "runs result x",
        1,
        snapshot(""),
        snapshot("""\
error: no Temporal server answers at 127.0.0.1:9 [unreachable]
  hint: start a server on this machine with `pipelex dev`, or correct target_host of the selected server under [temporal.temporal_config]\
"""),
    ),
    Case(
        "runs tail x",
        1,
        snapshot(""),
        snapshot("""\
error: no Temporal server answers at 127.0.0.1:9 [unreachable]
  hint: start a server on this machine with `pipelex dev`, or correct target_host of the selected server under [temporal.temporal_config]\
"""),
    ),
    Case(
        "runs cancel x",
        1,
        snapshot(""),
        snapshot("""\
error: no Temporal server answers at 127.0.0.1:9 [unreachable]
  hint: start a server on this machine with `pipelex dev`, or correct target_host of the selected server under [temporal.temporal_config]\
"""),
    ),
    Case(
        "runs terminate x",
        1,
        snapshot(""),
        snapshot("""\
error: no Temporal server answers at 127.0.0.1:9 [unreachable]
  hint: start a server on this machine with `pipelex dev`, or correct target_host of the selected server under [temporal.temporal_config]\
"""),
    ),
    Case(
        "worker --task-queue nope",
        1,
        snapshot(""),
        snapshot("""\
error: there is no task queue 'nope'. [config-error]
  hint: known queues: temporal_task_queue; a new one needs a route under [temporal.activity_queues] and a table [temporal.queue_options.nope]\
"""),
    ),
    Case(
        "worker --nope",
        2,
        snapshot(""),
        snapshot("""\
error: no such option: --nope [usage]
  usage: pipelex worker [OPTIONS]
  hint: did you mean --scope?\
"""),
    ),
    Case(
        "dev --port x",
        2,
        snapshot(""),
        snapshot("""\
error: --port: should be a valid integer [usage]
  usage: pipelex dev [OPTIONS]
  hint: see pipelex dev --help\
"""),
    ),
    Case(
        "setup-temporal-namespace",
        0,
        snapshot(""),
        snapshot("search attributes are off: nothing to register (enabled under [temporal.search_attributes])"),
    ),
    Case(
        "setup-temporal-namespace --server nope",
        1,
        snapshot(""),
        snapshot("""\
error: there is no Temporal server profile 'nope'. [config-error]
  hint: known profiles: local; add [temporal.temporal_config.temporal_server_configs.nope]\
"""),
    ),
    Case(
        "codec-server --auth-token-env NO_SUCH_TOKEN",
        1,
        snapshot(""),
        snapshot("""\
error: the token of the codec server is needed, and NO_SUCH_TOKEN is not set or empty [credential-missing]
  hint: export NO_SUCH_TOKEN=...  or leave --auth-token-env out to serve this machine only\
"""),
    ),
    Case(
        "doctor --nope",
        2,
        snapshot(""),
        snapshot("""\
error: no such option: --nope [usage]
  usage: pipelex doctor [OPTIONS]
  hint: see pipelex doctor --help\
"""),
    ),
    Case(
        "init --yes",
        0,
        snapshot(".pipelex/.gitignore"),
        snapshot("""\
kept: .pipelex/pipelex.toml, as it was
keys: none is set; export one of OPENAI_API_KEY, ANTHROPIC_API_KEY, GOOGLE_API_KEY, OPENROUTER_API_KEY, GROQ_API_KEY, MISTRAL_API_KEY, XAI_API_KEY, or write it in .env here (and keep .env out of git)
next: pipelex doctor         (what is set, and what is wrong)
      pipelex new my_method  (a method to start from)\
"""),
    ),
    Case(
        "init nope",
        2,
        snapshot(""),
        snapshot("""\
error: there is nothing called 'nope' to set up; give no argument [usage]
  usage: pipelex init [OPTIONS] [part]
  hint: see pipelex init --help\
"""),
    ),
    Case(
        "new coffee",
        0,
        snapshot("""\
coffee/bundle.mthds
coffee/inputs.json
coffee/test_coffee.py\
"""),
        snapshot("""\
next: pipelex run bundle coffee --simulate   (without a model; leave --simulate out to call one)
      pytest coffee   (its test, after pip install pytest)\
"""),
    ),
    Case(
        "new 9tea",
        2,
        snapshot(""),
        snapshot("""\
error: NAME: '9tea' cannot name a method: a name is lower-case letters, digits and underscores, a letter first [usage]
  usage: pipelex new [OPTIONS] NAME
  hint: did you mean my_9tea?\
"""),
    ),
    Case(
        "--show-completion bash",
        0,
        snapshot("""\
_pipelex_completion() {
    local IFS=$'
'
    COMPREPLY=( $( env COMP_WORDS="${COMP_WORDS[*]}" \\
                   COMP_CWORD=$COMP_CWORD \\
                   _PIPELEX_COMPLETE=complete_bash $1 ) )
    return 0
}

complete -o default -F _pipelex_completion pipelex\
"""),
        snapshot(""),
    ),
    Case(
        "--show-completion ksh",
        2,
        snapshot(""),
        snapshot("""\
error: --show-completion: name one of bash, zsh, fish, powershell behind it [usage]
  hint: see pipelex --help\
"""),
    ),
]


@pytest.fixture
def project(work: Path, greet: Path) -> Path:
    """A project with a method, a broken one, one that is not finished, and a Temporal server that nobody serves."""
    (work / "bad").mkdir()
    (work / "bad" / "bundle.mthds").write_text(BAD)
    (work / "half").mkdir()
    (work / "half" / "bundle.mthds").write_text(
        'domain = "half"\nmain_pipe = "later"\n[pipe.later]\ndescription = "Later"\noutput = "Text"\n'
    )
    shutil.copytree(greet.parent, work / ".mthds" / "methods" / "hello")
    begin(work / ".mthds" / "methods" / "hello", name=None, address="example.org/acme/hello")
    for name in ("tea", "milk"):
        (work / name).mkdir()
        (work / name / "bundle.mthds").write_text(greet.read_text())
        begin(work / name, name=None, address=f"example.org/acme/{name}")
    (work / ".pipelex" / "pipelex.toml").write_text(
        '[temporal.temporal_config.temporal_server_configs.local]\ntarget_host = "127.0.0.1:9"\n'
    )
    return work


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.line or "nothing")
def test_what_a_command_says(cli: Cli, project: Path, case: Case) -> None:
    done = cli(*shlex.split(case.line))
    told = (done.code, same_everywhere(done.out, project), same_everywhere(done.err, project))
    assert (case.code, case.out, case.err) == told
    assert "Traceback" not in done.err
    assert "\x1b" not in done.out + done.err


def test_every_command_has_its_cases() -> None:
    def paths(command: Any, path: tuple[str, ...]) -> list[str]:
        if not hasattr(command, "list_commands"):
            return [" ".join(path)]
        return [
            item
            for name in command.list_commands(None)
            for item in paths(command.get_command(None, name), (*path, name))
        ]

    # These serve until they are stopped, need a server, or tell of the machine: other tests see them go well.
    unseen = {"worker", "dev", "codec-server", "doctor", *(f"runs {name}" for name in RUNS)}
    for path in paths(typer.main.get_command(app), ()):
        codes = {int(case.code != 0) for case in CASES if case.line.startswith(path) and "--help" not in case.line}
        assert codes == ({1} if path in unseen else {0, 1}), path


def test_without_a_command_the_help_is_a_message(cli: Cli) -> None:
    for group in ((), ("run",), ("build",), ("show",), ("pkg",), ("runs",)):
        done = cli(*group)
        assert (done.code, done.out, done.err) == (2, "", cli(*group, "--help").out)


@pytest.mark.parametrize("variable", [None, "NO_COLOR", "FORCE_COLOR"])
def test_nothing_is_told_by_colour(
    cli: Cli, project: Path, monkeypatch: pytest.MonkeyPatch, variable: str | None
) -> None:
    if variable is not None:
        monkeypatch.setenv(variable, "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    for line in ("validate bundle bad", "run bundle greet", "run bundle --nope", "--help", "show backends"):
        screens = _on_a_terminal(line)
        assert "\x1b" not in screens, line
        assert screens
