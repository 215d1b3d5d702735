"""Fuzz for a while, in several processes: see tests/fuzz/fuzz_targets.py for what and how.

What fails is shrunk, printed, and kept in .hypothesis: the next run tries it first, and says when it is mended.
"""

from __future__ import annotations

import argparse
import multiprocessing
import multiprocessing.connection
import os
import sys
import time
import traceback
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
DATABASE = ROOT / ".hypothesis" / "fuzz"
ROUND = 400
"""Cases between two looks at the clock."""
SHOWN = 3000


def fuzz(name: str, cases: int) -> tuple[int, str | None]:
    """Some cases of one target: how many were tried, and the report of what failed."""
    from fuzz_targets import TARGETS, Hang, run_case
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis.database import DirectoryBasedExampleDatabase

    target = TARGETS[name]
    tried = 0
    last: Any = None

    @settings(
        max_examples=cases,
        deadline=None,
        database=DirectoryBasedExampleDatabase(DATABASE),
        suppress_health_check=list(HealthCheck),
        phases=[Phase.reuse, Phase.generate, Phase.shrink],
        print_blob=False,
        report_multiple_bugs=False,
    )
    @given(target.cases)
    def check(case: Any) -> None:
        nonlocal tried, last
        tried, last = tried + 1, case
        run_case(target, case)

    # One key for all rounds of a target, in every process.
    check._hypothesis_internal_database_key = name.encode()  # type: ignore[attr-defined]
    try:
        check()
    except Hang as error:
        return tried, f"{name}: {error}\n{last!s:.{SHOWN}}"
    except Exception:  # noqa: BLE001 - whatever comes is what we look for
        return tried, f"{name}: {traceback.format_exc(limit=-6)}\n{last!s:.{SHOWN}}"
    return tried, None


def work(pipe: Connection, until: float, only: list[str], number: int) -> None:
    """Fuzz one target after the other until the time is over; tell each round."""
    sys.path.insert(0, str(ROOT / "tests" / "fuzz"))
    from fuzz_targets import TARGETS

    names = only or list(TARGETS)
    broken: set[str] = set()
    turn = number
    while time.monotonic() < until and len(broken) < len(names):
        name = names[turn % len(names)]
        turn += 1
        if name in broken:
            continue
        tried, report = fuzz(name, ROUND)
        if report is not None:
            broken.add(name)
        pipe.send((name, tried, report))
    pipe.send(None)
    pipe.close()


def main() -> int:
    """Run until the time is over; the number of targets that broke is the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 2)
    parser.add_argument("--only", action="append", default=[], help="the name of a target; may be given several times")
    asked = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    start = time.monotonic()
    ends: list[Connection] = []
    workers = []
    for number in range(asked.processes):
        here, there = context.Pipe(duplex=False)
        worker = context.Process(target=work, args=(there, start + asked.seconds, asked.only, number))
        worker.start()
        there.close()
        ends.append(here)
        workers.append(worker)
    tried: dict[str, int] = {}
    reports: dict[str, str] = {}
    while ends:
        for end in multiprocessing.connection.wait(ends):
            assert isinstance(end, Connection)
            try:
                told = end.recv()
            except EOFError:
                reports.setdefault("a process", "a process died")
                told = None
            if told is None:
                ends.remove(end)
                continue
            name, count, report = told
            tried[name] = tried.get(name, 0) + count
            if report is not None and name not in reports:
                reports[name] = report
                print(f"==> broke: {report}", flush=True)
    for worker in workers:
        worker.join()
    seconds = time.monotonic() - start
    total = sum(tried.values())
    print(f"{total:,} cases in {seconds:.0f} s, {total / seconds:,.0f} per second; {len(reports)} targets broke")
    for name, count in tried.items():
        print(f"  {name}: {count:,}{' BROKE' if name in reports else ''}")
    return len(reports)


if __name__ == "__main__":
    sys.exit(main())
