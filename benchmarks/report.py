"""The results as Markdown tables of ratios to the floors."""

from __future__ import annotations

from typing import Any

from benchmarks import pages

PAIRS = (("every_pipe", "children"), ("fan_out", "flat"))
COLUMNS = {
    "wall_seconds": "wall",
    "worker_cpu_seconds": "worker CPU",
    "server_cpu_seconds": "server CPU",
    "workflows": "workflows",
    "events": "events",
    "history_bytes": "history bytes",
    "rss_mib": "RSS",
}


def render(results: dict[str, Any]) -> str:
    """All tables; each cell is ours / floor (ratio)."""
    lines = [
        "# Results",
        "",
        f"{results['machine']}. Provider: 50 ms stub. Server: development server, in memory,",
        "`history.transferProcessorMaxPollRPS=1000`.",
        "Medians. Each cell: pipelex / floor (ratio). How they are made: README.md.",
        "",
    ]
    durable = results["durable"]
    for ours, floor in PAIRS:
        lines += [
            f'## `child_workflows = "{ours}"` against *{floor}*',
            "",
            "| shape | " + " | ".join(COLUMNS.values()) + " |",
        ]
        lines.append("| --- |" + " --- |" * len(COLUMNS))
        for name, figures in durable["shapes"][ours].items():
            base = durable["shapes"][floor][name]
            lines.append(f"| {name} | " + " | ".join(_cell(figures[key], base[key]) for key in COLUMNS) + " |")
        for name, rate in durable["rates"][ours].items():
            lines.append(f"\n50 times `{name}` at once: " + _cell(rate, durable["rates"][floor][name]) + " runs/s")
        lines.append("")
    lines += ["## Elsewhere", ""]
    start_up, process = results["start_up"], results["in_process"]
    help_ratio = _cell(start_up["pipelex_seconds"], start_up["bare_typer_seconds"])
    lines.append(f"- `pipelex --help` against the help of a bare typer program: {help_ratio} s")
    for command, name in (("validate bundle", "validate_seconds"), ("run bundle … --dry-run", "dry_run_seconds")):
        lines.append(f"- `pipelex {command}` of examples/contract_review, in a new process: {start_up[name]:.2f} s")
    lines.append(
        f"- in process: {process['pipelex_ms_per_call']:.2f} ms CPU per call, a loop over the openai SDK "
        f"{process['sdk_ms_per_call']:.2f} ms: {process['overhead_ms_per_pipe']:+.2f} ms per pipe"
    )
    for name, worker in durable["workers"].items():
        lines.append(
            f"- worker `{name}`: ready in {worker['ready_seconds']:.2f} s, {worker['idle_rss_mib']:.0f} MiB idle"
        )
    lines.append(f"- {pages.told(results['page'])}")
    return "\n".join(lines) + "\n"


def _cell(value: float, base: float) -> str:
    shown = f"{value:.2f} / {base:.2f}" if value < 100 and base < 100 else f"{value:.0f} / {base:.0f}"
    return f"{shown} ({value / base:.2f})" if base else shown
