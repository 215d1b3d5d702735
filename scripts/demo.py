"""`make demo`: start `pipelex dev`, run examples/contract_review as Temporal workflows, show where to look."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parent.parent
PIPELEX = str(Path(sys.executable).parent / "pipelex")
METHOD = "examples/contract_review"


def say(text: str) -> None:
    """A line of the demo's own, told apart from what the commands print."""
    print(f"==> {text}", flush=True)


def environment() -> dict[str, str]:
    """Search attributes are off by default, and a simulated model answers at once; the demo wants to be watched."""
    shown = {"PIPELEX__TEMPORAL__SEARCH_ATTRIBUTES__ENABLED": "true", "PIPELEX__INFERENCE__SIMULATED__LATENCY": "400ms"}
    return {**os.environ, **shown}


def run_method() -> int:
    """Run the method durably: with a real provider if a key is set, simulated otherwise."""
    command = [PIPELEX, "run", "bundle", METHOD, "--temporal"]
    if not os.environ.get("OPENAI_API_KEY"):
        say("no OPENAI_API_KEY is set: the language model is simulated, everything else is real")
        command.append("--simulate")
    say(" ".join(["pipelex", *command[1:]]))
    return subprocess.run(command, cwd=ROOT, env=environment(), check=False).returncode


def list_workflows(address: str) -> None:
    """What the server lists: one workflow per pipe, found by a search attribute."""
    temporal = Path(sys.executable).parent / "temporal"
    query = ["workflow", "list", "--address", address, "--query", "DomainCode = 'contract_review'", "--limit", "12"]
    say("temporal " + " ".join(query[:2] + query[4:]))
    subprocess.run([str(temporal), *query], check=False)


def wait_until_ready(lines: IO[str]) -> dict[str, str]:
    """Echo what `pipelex dev` prints until it is ready; return its `key: value` lines."""
    facts: dict[str, str] = {}
    for line in lines:
        print(line, end="", flush=True)
        key, _, value = line.strip().partition(":")
        facts[key] = value.strip()
        if value.strip().startswith("ready"):
            return facts
    raise SystemExit("pipelex dev ended before it was ready")


def main() -> int:
    """Run the demo; the exit code is that of the run."""
    say("pipelex dev (Temporal server, search attributes, worker, Web UI)")
    dev = subprocess.Popen(
        [PIPELEX, "dev"], cwd=ROOT, env=environment(), stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert dev.stderr is not None
    try:
        facts = wait_until_ready(dev.stderr)
        code = run_method()
        if code == 0:
            list_workflows(facts["temporal"])
            say(f"look at the workflows: {facts['web ui']}")
            if sys.stdin.isatty():
                input(
                    "    press Enter to stop the server; `make demo` or `.venv/bin/pipelex dev` shows the runs again "
                )
        return code
    finally:
        dev.send_signal(signal.SIGINT)
        dev.wait(60)
        say("stopped; the runs are kept in .pipelex/temporal: `.venv/bin/pipelex dev` opens them again")


if __name__ == "__main__":
    sys.exit(main())
