"""The manifests: valid for Kubernetes, consistent with each other, and restricted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from deploy_kit import KUBERNETES, MONITORING, WORKLOADS, manifests, settings_of

VERSIONS = ("1.31", "1.37")
"""The oldest that is checked, and the newest that the schemas know."""
OPERATORS = {"ScaledObject", "PodMonitor", "PrometheusRule"}
KUSTOMIZE = {"Kustomization", "Component"}
MANIFESTS = manifests()
PODS: dict[str, Any] = {
    name: manifest["spec"]["template"]["spec"]
    for (kind, name), manifest in MANIFESTS.items()
    if kind in ("Deployment", "Job")
}
by_pod = pytest.mark.parametrize("name", PODS)
by_pool = pytest.mark.parametrize("name", WORKLOADS)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("key", [key for key in MANIFESTS if key[0] not in OPERATORS | KUSTOMIZE], ids="/".join)
def test_manifests_are_valid(key: tuple[str, str], version: str) -> None:
    assert kubernetes_validate.validate(MANIFESTS[key], version, strict=True) == version


def test_the_check_sees_a_wrong_key() -> None:
    wrong = manifests()["Deployment", "llm"]
    wrong["spec"]["template"]["spec"]["terminationGraceSeconds"] = 3
    with pytest.raises(kubernetes_validate.ValidationError, match="terminationGraceSeconds"):
        kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)


@pytest.mark.parametrize("folder", [KUBERNETES, *sorted((KUBERNETES / "components").iterdir())], ids=lambda f: f.name)
def test_kustomizations_name_every_file(folder: Path) -> None:
    read = yaml.safe_load((folder / "kustomization.yaml").read_text())
    named = {*read["resources"], *(file for map_ in read.get("configMapGenerator", []) for file in map_["files"])}
    there = {file.name for file in folder.iterdir() if file.is_file()} - {"kustomization.yaml"}
    assert named == there


def test_components_that_may_be_switched_on_are_there() -> None:
    text = (
        (KUBERNETES / "kustomization.yaml").read_text().replace("# components:", "components:").replace("#   -", "  -")
    )
    assert all((KUBERNETES / folder / "kustomization.yaml").exists() for folder in yaml.safe_load(text)["components"])


@by_pod
def test_pods_are_restricted(name: str) -> None:
    pod = PODS[name]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"cpu", "memory"} <= set(container["resources"]["requests"])
    assert "memory" in container["resources"]["limits"]


@by_pod
def test_what_is_mounted_is_a_volume_of_the_pod(name: str, tmp_path: Path) -> None:
    pod = PODS[name]
    mounts = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
    assert set(mounts) == {volume["name"] for volume in pod["volumes"]}
    settings = settings_of("kubernetes", tmp_path)
    keys = settings.temporal.payloads.encryption.keys["key_1"].file
    assert str(keys) == f"{mounts['payload-keys']}/payload_key_1"
    assert mounts["settings"] == "/etc/pipelex"
    calls_providers = name in ("runner", "llm", "documents")
    assert mounts.get("provider-keys") == (str(settings.secrets.dir) if calls_providers else None)


@by_pool
def test_probes_ask_what_the_worker_answers(name: str) -> None:
    (container,) = PODS[name]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"health": 8080, "metrics": 9464}
    asked = {probe: container[f"{probe}Probe"]["httpGet"] for probe in ("startup", "readiness", "liveness")}
    assert asked == {
        "startup": {"path": "/ready", "port": "health"},
        "readiness": {"path": "/ready", "port": "health"},
        "liveness": {"path": "/live", "port": "health"},
    }


@by_pool
def test_pools_stay_up_while_nodes_are_drained(name: str) -> None:
    labels = {"app.kubernetes.io/component": name}
    assert MANIFESTS["PodDisruptionBudget", name]["spec"]["selector"]["matchLabels"] == labels
    deployment = MANIFESTS["Deployment", name]
    assert (
        deployment["spec"]["selector"]["matchLabels"] == labels == deployment["spec"]["template"]["metadata"]["labels"]
    )
    scaled = MANIFESTS.get(("HorizontalPodAutoscaler", name), {}).get("spec", {}).get("minReplicas", 0)
    assert max(deployment["spec"].get("replicas", 0), scaled) >= 2


def test_an_autoscaler_owns_the_number_of_pods() -> None:
    scaled = [name for kind, name in MANIFESTS if kind == "HorizontalPodAutoscaler"]
    assert scaled == ["router"]
    assert "replicas" not in MANIFESTS["Deployment", "router"]["spec"]
    pools = {name for kind, name in MANIFESTS if kind == "ScaledObject"}
    patch = MANIFESTS["Component", "components/keda"]["patches"][0]
    assert pools == set(patch["target"]["name"].split("|"))
    assert yaml.safe_load(patch["patch"]) == [{"op": "remove", "path": "/spec/replicas"}]


def test_pools_follow_their_own_queues(tmp_path: Path) -> None:
    temporal = settings_of("kubernetes", tmp_path).temporal
    server = temporal.server_profile()
    for name in ("runner", "llm", "documents"):
        spec = MANIFESTS["ScaledObject", name]["spec"]
        asked = spec["triggers"][0]["metadata"]
        arguments = PODS[name]["containers"][0]["args"]
        given = arguments[arguments.index("--task-queue") + 1] if "--task-queue" in arguments else None
        assert asked["taskQueue"] == (given or temporal.worker_config.default_task_queue)
        assert (asked["endpoint"], asked["namespace"]) == (server.target_host, server.namespace)
        assert asked["queueTypes"] == "activity"
        assert spec["scaleTargetRef"]["name"] == name


def test_the_network_lets_through_what_is_needed(tmp_path: Path) -> None:
    policy = MANIFESTS["NetworkPolicy", "pipelex"]["spec"]
    assert policy["ingress"][0]["ports"] == [{"protocol": "TCP", "port": 9464}]
    ports = [port["port"] for rule in policy["egress"] for port in rule["ports"]]
    assert ports == [53, 53, 7233, 443, 80]
    host, _, port = settings_of("kubernetes", tmp_path).temporal.server_profile().target_host.partition(":")
    namespace = policy["egress"][1]["to"][0]["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
    assert (host.split(".")[1], port) == (namespace, "7233")


def test_the_codec_server_is_reached_by_its_service() -> None:
    (container,) = PODS["codec-server"]["containers"]
    assert container["ports"] == [{"name": "codec", "containerPort": 8081}]
    assert "--port=8081" in container["args"]
    assert MANIFESTS["Service", "codec-server"]["spec"]["ports"][0]["targetPort"] == "codec"
    assert container["env"][0]["name"] == "CODEC_TOKEN"
    assert "--auth-token-env=CODEC_TOKEN" in container["args"]
    assert MANIFESTS["NetworkPolicy", "codec-server"]["spec"]["ingress"][0]["ports"][0]["port"] == 8081


def test_the_operator_gets_the_same_alerts_and_labels() -> None:
    ours = yaml.safe_load((MONITORING / "alerts.yml").read_text())
    assert MANIFESTS["PrometheusRule", "pipelex"]["spec"] == ours
    monitor = MANIFESTS["PodMonitor", "pipelex"]["spec"]
    assert monitor["selector"]["matchExpressions"][0]["values"] == list(WORKLOADS)
    assert {rule["targetLabel"] for rule in monitor["podMetricsEndpoints"][0]["relabelings"]} == {"job", "pool"}
    assert monitor["podMetricsEndpoints"][0]["port"] == "metrics"
