"""What the dashboard and the alerts ask Prometheus for, read by a parser of its language."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import promql_parser
import yaml
from deploy_kit import MONITORING

_PARTS = ("expr", "lhs", "rhs", "args", "param", "vector_selector")


def dashboard() -> dict[str, Any]:
    read: dict[str, Any] = json.loads((MONITORING / "grafana" / "dashboards" / "pipelex.json").read_text("utf-8"))
    return read


def alerts() -> list[dict[str, Any]]:
    read = yaml.safe_load((MONITORING / "alerts.yml").read_text("utf-8"))
    return [rule for group in read["groups"] for rule in group["rules"]]


def queries() -> dict[str, list[str]]:
    """The queries of each panel, with the variables of Grafana replaced."""
    return {
        panel["title"]: [
            target["expr"].replace("$__rate_interval", "1m").replace("$queue", ".*") for target in panel["targets"]
        ]
        for panel in dashboard()["panels"]
        if panel["type"] != "row"
    }


def selected(query: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Each metric of a query, with the labels that it is chosen by. Raises ValueError when it is no query."""
    yield from _selected(promql_parser.parse(query))


def _selected(node: Any) -> Iterator[tuple[str, dict[str, str]]]:
    if isinstance(node, promql_parser.VectorSelector):
        yield str(node.name), {matcher.name: matcher.value for matcher in node.matchers.matchers}
        return
    for part in _PARTS:
        value = getattr(node, part, None)
        for inner in value if isinstance(value, list) else [value]:
            if isinstance(inner, promql_parser.Expr):
                yield from _selected(inner)


def metrics_of_dashboard() -> set[str]:
    return {name for texts in queries().values() for text in texts for name, _ in selected(text)}


def metrics_of_alerts() -> set[str]:
    return {name for rule in alerts() for name, _ in selected(rule["expr"])}
