"""The dashboard and the alerts: queries are queries, and each alert leads to a chapter that says what to do."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from deploy_kit import MONITORING, ROOT, SETTINGS, WORKLOADS, settings_of
from deploy_metrics import alerts, dashboard, metrics_of_alerts, metrics_of_dashboard, queries, selected

from pipelex import errors
from pipelex.temporal.telemetry import COUNTERS


def test_every_panel_asks_something() -> None:
    for title, texts in queries().items():
        assert all(list(selected(text)) for text in texts), title
    for rule in alerts():
        assert list(selected(rule["expr"])), rule["alert"]


def test_panels_have_their_own_ids_and_places() -> None:
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}
    assert len(places) == len(panels)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels)
    assert all(panel.get("description") for panel in panels if panel["type"] != "row")
    assert {"Runs", "Calls", "Cost", "Workers"} <= {panel["title"] for panel in panels}


def test_our_counters_are_counters_of_ours() -> None:
    ours = {name for name in metrics_of_dashboard() | metrics_of_alerts() if name.startswith("pipelex_")}
    assert ours <= {f"{counter.name}_total" for counter in COUNTERS}
    assert len(ours) >= 5


def test_codes_of_alerts_are_codes_of_errors() -> None:
    codes = {found.code for found in vars(errors).values() if isinstance(found, type) and hasattr(found, "code")}
    chosen = [labels["code"] for rule in alerts() for _, labels in selected(rule["expr"]) if "code" in labels]
    assert chosen
    assert {code for text in chosen for code in text.split("|")} <= codes


def test_pools_of_alerts_are_the_pools() -> None:
    gone = next(rule for rule in alerts() if rule["alert"] == "PipelexPoolIsGone")
    assert [labels["pool"] for _, labels in selected(gone["expr"])] == list(WORKLOADS)
    scraped = yaml.safe_load((MONITORING / "prometheus.yml").read_text())["scrape_configs"][0]
    assert {labels["job"] for _, labels in selected(gone["expr"])} == {scraped["job_name"]}


def test_each_alert_leads_to_what_to_do() -> None:
    names = [rule["alert"] for rule in alerts()]
    assert len(names) == len(set(names)) <= 8
    for rule in alerts():
        page, _, anchor = rule["annotations"]["runbook"].partition("#")
        headings = re.findall(r"^#+ (.+)$", (ROOT / page).read_text("utf-8"), re.MULTILINE)
        assert anchor in {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert {"summary", "description", "runbook"} == set(rule["annotations"])
        assert rule["labels"]["severity"] in ("critical", "warning")
        named = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
        chosen = {label for _, labels in selected(rule["expr"]) for label in labels}
        grouped = {
            label.strip() for found in re.findall(r"\bby \(([^)]*)\)", rule["expr"]) for label in found.split(",")
        }
        assert named <= chosen | grouped


def test_provisioning_finds_the_dashboard_and_its_source() -> None:
    provisioning = MONITORING / "grafana" / "provisioning"
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "pipelex.yml").read_text())["providers"]
    compose = yaml.safe_load((SETTINGS["compose"].parent / "compose.yaml").read_text())
    mounted = dict(volume.split(":")[:2][::-1] for volume in compose["services"]["grafana"]["volumes"])
    assert provider["options"]["path"] in mounted
    assert (SETTINGS["compose"].parent / mounted[provider["options"]["path"]] / "pipelex.json").exists()
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    variable = next(item for item in dashboard()["templating"]["list"] if item["name"] == "source")
    assert (variable["type"], variable["query"]) == ("datasource", source["type"])


def test_words_of_alerts_are_settings(tmp_path: Path) -> None:
    text = "\n".join(rule["annotations"]["description"] for rule in alerts())
    profile = settings_of("compose", tmp_path).temporal.runtime_profile(None)
    assert "max_concurrent_activities" in text
    assert hasattr(profile, "max_concurrent_activities")
