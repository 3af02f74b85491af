"""Kubernetes: the form of the manifests, the rights and connections of pods, and names that exist in callpulse."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from typer.testing import CliRunner

from agents.cli import app
from agents.web.paths import HEALTHY, METRICS, READY
from agents.worker import STOP_DEADLINE_S
from grafana import kubernetes
from grafana.config import Config
from streams.settings.settings import Settings, SettingsError, load
from streams.sources.registry import SOURCES
from tests.deploy.manifests import EXAMPLE, FOLDER, ROOT, allows, files, one, pods, problems, read, rendered

Documents = tuple[dict[str, Any], ...]
COMPONENTS: Final = ("worker", "gateway", "topics")
COMPONENT = pytest.mark.parametrize("name", COMPONENTS)


@pytest.fixture(params=[files, rendered], ids=["files", "kustomize"])
def documents(request: pytest.FixtureRequest) -> Documents:
    """The manifests, both ways."""
    make: Callable[[], Documents] = request.param
    return make()


def container(documents: Documents, name: str) -> dict[str, Any]:
    """Return the one container of a component's pods."""
    (found,) = pods(documents)[name]["spec"]["containers"]
    return dict(found)


def settings_of(documents: Documents, name: str, folder: Path) -> Settings:
    """Return the settings of a pod, as callpulse reads them."""
    given: dict[str, str] = {}
    for variable in container(documents, name)["env"]:
        place = variable.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath")
        value = {"metadata.name": f"callpulse-{name}-0", "metadata.namespace": "callpulse"}.get(place, "")
        value = value or variable["value"]
        for known, said in given.items():
            value = value.replace(f"$({known})", said)
        given[variable["name"]] = value
    given["CALLPULSE_LEAD_SECRET"] = "sixteen characters"  # noqa: S105 - it keeps nothing secret
    assert given.pop("CALLPULSE_LEAD_SECRET_FILE").startswith("/run/secrets/callpulse/")
    return load((folder / "callpulse.toml").read_text("utf-8"), given, SOURCES)


class TestForm:
    def test_each_manifest_has_the_form_of_its_kind(self, documents: Documents) -> None:
        assert [found for document in documents for found in problems(document)] == []

    def test_all_kinds_are_there(self, documents: Documents) -> None:
        named = {(document["kind"], document["metadata"]["name"]) for document in documents}
        assert named >= {
            *[(kind, f"callpulse-{name}") for name in ("worker", "gateway") for kind in ("StatefulSet", "Service")],
            *[
                (kind, f"callpulse-{name}")
                for name in ("worker", "gateway")
                for kind in ("PodMonitor", "NetworkPolicy")
            ],
            *[("PodDisruptionBudget", f"callpulse-{name}") for name in ("worker", "gateway")],
            ("Job", "callpulse-topics"),
            ("ScaledObject", "callpulse-worker"),
            ("Namespace", "callpulse"),
        }

    @pytest.mark.parametrize(
        ("kind", "name", "change"),
        [
            ("StatefulSet", "callpulse-worker", {"replica": 2}),
            ("Job", "callpulse-topics", {"backoffLimit": "x"}),
            ("PodMonitor", "callpulse-worker", {"endpoints": []}),
            ("ScaledObject", "callpulse-worker", {"maxReplicas": 3}),
        ],
    )
    def test_a_field_that_a_kind_does_not_have_is_seen(self, kind: str, name: str, change: dict[str, Any]) -> None:
        document = one(files(), kind, name)
        assert problems({**document, "spec": {**document["spec"], **change}})

    def test_every_file_is_in_a_kustomization(self) -> None:
        for path in FOLDER.rglob("*.yaml"):
            if path.name != "kustomization.yaml":
                assert path.name in (path.parent / "kustomization.yaml").read_text("utf-8"), path


class TestRights:
    @COMPONENT
    def test_a_pod_is_as_restricted_as_its_namespace_asks(self, documents: Documents, name: str) -> None:
        pod, own = pods(documents)[name]["spec"], container(documents, name)
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert own["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert not pod.keys() & {"hostNetwork", "hostPID", "hostIPC", "initContainers"}
        assert pod["automountServiceAccountToken"] is False
        sources = {source for volume in pod["volumes"] for source in volume if source != "name"}
        assert sources == {"configMap", "secret", "emptyDir"}
        labels = one(documents, "Namespace", "callpulse")["metadata"]["labels"]
        assert labels["pod-security.kubernetes.io/enforce"] == "restricted"

    @COMPONENT
    def test_a_pod_runs_as_the_user_of_the_image(self, documents: Documents, name: str) -> None:
        context = pods(documents)[name]["spec"]["securityContext"]
        user = f"USER {context['runAsUser']}:{context['runAsGroup']}\n"
        assert user in (ROOT / "deploy/Dockerfile").read_text("utf-8")
        assert context["fsGroup"] == context["runAsGroup"]

    @COMPONENT
    def test_no_service_is_named_in_variables(self, documents: Documents, name: str) -> None:
        assert pods(documents)[name]["spec"]["enableServiceLinks"] is False
        with pytest.raises(SettingsError):  # this shows the reason
            load("", {"CALLPULSE_GATEWAY_SERVICE_HOST": "10.0.0.1"}, SOURCES)

    def test_no_secret_stands_in_a_manifest(self, documents: Documents) -> None:
        assert not [document for document in documents if document["kind"] == "Secret"]
        assert "lead_secret" not in "".join(path.read_text("utf-8") for path in FOLDER.rglob("*.toml"))


def pod(component: str) -> dict[str, Any]:
    """Return a pod of callpulse, as policies see it."""
    labels = {"app.kubernetes.io/name": "callpulse", "app.kubernetes.io/component": component}
    return {"namespace": "callpulse", "labels": labels}


PROMETHEUS: Final = {"namespace": "monitoring", "labels": {"app.kubernetes.io/name": "prometheus"}}
SENDER: Final = {"namespace": "ingress", "namespaceLabels": {"callpulse/sender": "true"}, "labels": {}}
STRANGER: Final = {"namespace": "default", "labels": {"app.kubernetes.io/name": "prometheus"}}
KAFKA: Final = {"namespace": "kafka", "labels": {}}
DNS: Final = {"namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}}


class TestNetwork:
    @pytest.mark.parametrize(
        ("who", "way", "peer", "port", "is_allowed"),
        [
            pytest.param("worker", "ingress", PROMETHEUS, "http", True, id="Prometheus reads a worker"),
            pytest.param("worker", "ingress", pod("worker"), "http", True, id="a worker asks a worker"),
            pytest.param("worker", "egress", pod("worker"), "http", True, id="a worker may ask"),
            pytest.param("worker", "ingress", SENDER, "http", False, id="a sender does not reach a worker"),
            pytest.param("worker", "ingress", pod("gateway"), "http", False, id="nor does a gateway"),
            pytest.param("worker", "ingress", STRANGER, "http", False, id="nor does another namespace"),
            pytest.param("gateway", "ingress", SENDER, "http", True, id="a sender reaches the gateway"),
            pytest.param("gateway", "ingress", SENDER, "status", False, id="but not its metrics"),
            pytest.param("gateway", "ingress", PROMETHEUS, "status", True, id="Prometheus does"),
            pytest.param("gateway", "ingress", PROMETHEUS, "http", False, id="but is no sender"),
            pytest.param("gateway", "ingress", STRANGER, "http", False, id="a stranger is no sender"),
            pytest.param("topics", "ingress", PROMETHEUS, "http", False, id="nobody reaches the job"),
            *[
                pytest.param(who, "egress", peer, port, is_allowed, id=f"{who} to {peer['namespace']} {port}")
                for who in COMPONENTS
                for peer, port, is_allowed in [
                    (KAFKA, 9092, True),
                    (KAFKA, 22, False),
                    (DNS, 53, True),
                    (STRANGER, 9092, False),
                    (STRANGER, 443, False),
                ]
            ],
        ],
    )
    def test_who_reaches_whom(
        self,
        documents: Documents,
        who: str,
        way: str,
        peer: dict[str, Any],
        port: str | int,
        is_allowed: bool,
    ) -> None:
        assert allows(documents, pod(who), peer, port, way) is is_allowed

    def test_labels_are_not_added_to_selectors(self) -> None:
        # There they would replace the names of Prometheus and of the DNS, and without kubectl no test would detect it.
        for path in FOLDER.rglob("kustomization.yaml"):
            assert not {"commonLabels", "namePrefix"} & read(path.read_text("utf-8"))[0].keys()
            assert "includeSelectors: true" not in path.read_text("utf-8")

    def test_a_port_of_a_policy_is_one_of_the_pods(self, documents: Documents) -> None:
        for name in ("worker", "gateway"):
            ports = {port["name"] for port in container(documents, name)["ports"]}
            rules = one(documents, "NetworkPolicy", f"callpulse-{name}")["spec"]["ingress"]
            assert {port["port"] for rule in rules for port in rule["ports"]} <= ports


class TestCallpulse:
    @COMPONENT
    def test_the_commands_exist(self, name: str) -> None:
        done = CliRunner().invoke(app, [*container(files(), name)["args"], "--help"])
        assert done.exit_code == 0, done.output

    @COMPONENT
    @pytest.mark.parametrize("folder", [FOLDER / "base", EXAMPLE], ids=["base", "example"])
    def test_callpulse_accepts_the_settings(self, documents: Documents, name: str, folder: Path) -> None:
        settings = settings_of(documents, name, folder)
        assert settings.kafka.replication == 3
        mounts = [mount["mountPath"] for mount in container(documents, name)["volumeMounts"]]
        ports = {port["name"]: port["containerPort"] for port in container(documents, name).get("ports", ())}
        if name == "worker":
            assert settings.worker.id == "callpulse-worker-0"
            assert settings.worker.data_dir in mounts
            assert settings.worker.advertised_url == "http://callpulse-worker-0.callpulse-worker.callpulse.svc:8787"
            assert ports == {"http": settings.worker.http_port}
        elif name == "gateway":
            assert settings.gateway.data_dir in mounts
            assert ports == {"http": settings.gateway.http_port, "status": settings.gateway.status_port}

    @pytest.mark.parametrize("name", ["worker", "gateway"])
    def test_a_probe_asks_for_a_page_that_there_is(self, documents: Documents, name: str) -> None:
        own = container(documents, name)
        asked = {probe: own[f"{probe}Probe"]["httpGet"]["path"] for probe in ("startup", "liveness", "readiness")}
        assert asked == {"startup": READY, "liveness": HEALTHY, "readiness": READY}
        assert {own[f"{probe}Probe"]["httpGet"]["port"] for probe in asked} <= {port["name"] for port in own["ports"]}

    def test_a_start_may_take_as_long_as_a_restore(self, documents: Documents) -> None:
        probe = container(documents, "worker")["startupProbe"]
        longest_s = load("", {}, SOURCES).worker.restore_deadline_ms / 1000
        assert longest_s < probe["periodSeconds"] * probe["failureThreshold"] < 2 * longest_s

    def test_a_pod_has_time_to_stop(self, documents: Documents) -> None:
        assert pods(documents)["worker"]["spec"]["terminationGracePeriodSeconds"] > STOP_DEADLINE_S
        gateway = settings_of(documents, "gateway", EXAMPLE).gateway
        longest_s = (2 * gateway.deadline_ms + gateway.http.stop_delay_ms) / 1000 + 12
        assert pods(documents)["gateway"]["spec"]["terminationGracePeriodSeconds"] > longest_s

    def test_the_volume_of_a_gateway_holds_its_spool(self, documents: Documents) -> None:
        (claim,) = one(documents, "StatefulSet", "callpulse-gateway")["spec"]["volumeClaimTemplates"]
        size = claim["spec"]["resources"]["requests"]["storage"]
        assert int(size.removesuffix("Gi")) * 2**30 > load("", {}, SOURCES).gateway.spool_max_bytes
        kept = one(documents, "StatefulSet", "callpulse-gateway")["spec"]["persistentVolumeClaimRetentionPolicy"]
        assert set(kept.values()) == {"Retain"}


class TestScaling:
    def test_there_are_never_more_workers_than_partitions(self) -> None:
        base = load((FOLDER / "base/callpulse.toml").read_text("utf-8"), {}, SOURCES).kafka
        scaled = one(files(), "ScaledObject", "callpulse-worker")["spec"]
        assert scaled["maxReplicaCount"] == base.partitions
        (patch,) = read((EXAMPLE / "kustomization.yaml").read_text("utf-8"))[0]["patches"]
        (operation,) = yaml.safe_load(patch["patch"])
        example = load((EXAMPLE / "callpulse.toml").read_text("utf-8"), {}, SOURCES).kafka
        assert (operation["path"], operation["value"]) == ("/spec/maxReplicaCount", example.partitions)

    def test_the_lag_is_that_of_the_group(self, documents: Documents) -> None:
        kafka = settings_of(documents, "worker", EXAMPLE).kafka
        (trigger,) = one(documents, "ScaledObject", "callpulse-worker")["spec"]["triggers"]
        assert trigger["metadata"]["consumerGroup"] == kafka.group
        assert trigger["metadata"]["bootstrapServers"] == kafka.bootstrap

    def test_one_worker_less_at_a_time_and_not_soon(self, documents: Documents) -> None:
        scaled = one(documents, "ScaledObject", "callpulse-worker")["spec"]
        down = scaled["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"]
        assert down["stabilizationWindowSeconds"] >= 1800
        assert down["policies"] == [{"type": "Pods", "value": 1, "periodSeconds": 600}]
        assert scaled["scaleTargetRef"]["kind"] == "StatefulSet"
        assert scaled["minReplicaCount"] == one(documents, "StatefulSet", "callpulse-worker")["spec"]["replicas"]


class TestMonitoring:
    @pytest.mark.parametrize(("name", "job"), [("worker", "job"), ("gateway", "gateway_job")])
    def test_a_pod_is_scraped_under_the_name_that_the_rules_count_on(
        self, documents: Documents, name: str, job: str
    ) -> None:
        monitor = one(documents, "PodMonitor", f"callpulse-{name}")["spec"]
        labels = pods(documents)[name]["metadata"]["labels"]
        assert monitor["selector"]["matchLabels"].items() <= labels.items()
        (endpoint,) = monitor["podMetricsEndpoints"]
        assert endpoint["path"] == METRICS
        assert endpoint["port"] in {port["name"] for port in container(documents, name)["ports"]}
        wanted = getattr(Config().prometheus, job)
        assert endpoint["relabelings"] == [{"action": "replace", "targetLabel": "job", "replacement": wanted}]

    @pytest.mark.parametrize("folder", sorted(ROOT.glob("grafana/**/rules")), ids=lambda path: path.parent.name)
    def test_the_operator_gets_the_rules_that_there_are(self, folder: Path) -> None:
        made = read(kubernetes.resources(folder))
        assert [found for document in made for found in problems(document)] == []
        paths = sorted(folder.glob("*.yaml"))
        assert [document["metadata"]["name"] for document in made] == [f"callpulse-{path.stem}" for path in paths]
        assert [document["spec"] for document in made] == [read(path.read_text("utf-8"))[0] for path in paths]

    def test_a_folder_without_rules_is_refused(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert kubernetes.main([str(tmp_path)]) == 2
        assert "no files of rules" in capsys.readouterr().err
