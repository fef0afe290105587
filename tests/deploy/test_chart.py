"""The Helm chart: every option on and off gives manifests that Kubernetes takes, and that hold together."""

from collections.abc import Iterator
from functools import cache
from typing import Any, Final

import helm_python
import kubernetes_validate
import orjson
import pytest
import yaml

from tests.deploy.chart import CASES, CHART, NAME, ON, RULES, Manifest, of_kind, render, rendered
from worker import __version__
from worker.rabbitmq.topology import BULK, OUTBOUND, POLLS
from worker.settings import Settings

OF_OTHERS: Final = {"ServiceMonitor", "PrometheusRule", "ScaledObject", "TriggerAuthentication"}
"""Kinds that Kubernetes itself does not know."""

OLDEST, NEWEST = "1.27", "1.37"


@pytest.mark.parametrize("case", CASES)
def test_lint(case: str) -> None:
    report = helm_python.lint(CHART, CASES[case], strict=True)
    assert not report["errors"]
    assert [each["error"] for each in report["messages"]] == ["icon is recommended"]


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("case", CASES)
def test_kubernetes_takes_them(case: str, version: str) -> None:
    for each in rendered(case):
        if each["kind"] not in OF_OTHERS:
            validate(orjson.dumps(each), version)


@cache
def validate(manifest: bytes, version: str) -> None:
    """Once for each manifest: most are the same in most cases, and the schema is read anew each time."""
    kubernetes_validate.validate(orjson.loads(manifest), version, strict=True)


def test_validation_is_strict() -> None:
    (deployment,) = of_kind("default", "Deployment").values()
    wrong = {**deployment, "spec": {**deployment["spec"], "replica": 2}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, NEWEST, strict=True)


@pytest.mark.parametrize("case", CASES)
def test_everything_belongs_to_the_release(case: str) -> None:
    for each in rendered(case):
        labels = each["metadata"]["labels"]
        assert each["metadata"]["name"].startswith(NAME)
        assert labels["app.kubernetes.io/instance"] == "prod"
        assert labels["app.kubernetes.io/version"] == __version__


@pytest.mark.parametrize("case", CASES)
def test_selectors(case: str) -> None:
    """A Deployment and its budget select its own pods and no others; policy and service select all of them."""
    pods = {name: each["spec"]["template"]["metadata"]["labels"] for name, each in of_kind(case, "Deployment").items()}
    for kind in ("Deployment", "PodDisruptionBudget"):
        for name, each in of_kind(case, kind).items():
            assert selected(each["spec"]["selector"]["matchLabels"], pods) == {name}
    for each in of_kind(case, "NetworkPolicy").values():
        assert selected(each["spec"]["podSelector"]["matchLabels"], pods) == pods.keys()
    for each in of_kind(case, "Service").values():
        assert selected(each["spec"]["selector"], pods) == pods.keys()
    services = {name: each["metadata"]["labels"] for name, each in of_kind(case, "Service").items()}
    for each in of_kind(case, "ServiceMonitor").values():
        assert selected(each["spec"]["selector"]["matchLabels"], services) == {NAME}


def selected(selector: dict[str, str], labelled: dict[str, dict[str, str]]) -> set[str]:
    return {name for name, labels in labelled.items() if selector.items() <= labels.items()}


def containers() -> Iterator[tuple[str, Manifest, Manifest]]:
    for case in CASES:
        for each in of_kind(case, "Deployment").values():
            (container,) = each["spec"]["template"]["spec"]["containers"]
            yield case, each["spec"]["template"]["spec"], container


def test_pods_are_restricted() -> None:
    """Pod Security Standards, profile restricted, and a root that cannot be written to."""
    for case, pod, container in containers():
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        given = pod["securityContext"].get("runAsUser")
        assert given == (None if "userId" in CASES[case] else 10001)
        assert all(
            {"emptyDir", "configMap", "projected", "persistentVolumeClaim"} & each.keys() for each in volumes(pod)
        )
        mounted = [each["name"] for each in container["volumeMounts"]]
        assert sorted(mounted) == sorted(each["name"] for each in volumes(pod))


def volumes(pod: Manifest) -> list[Manifest]:
    found: list[Manifest] = pod["volumes"]
    return found


def test_probes() -> None:
    for _case, _pod, container in containers():
        probes = {kind: container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")}
        assert {kind: each["path"] for kind, each in probes.items()} == {
            "startup": "/healthz",
            "liveness": "/healthz",
            "readiness": "/readyz",
        }
        ports = {each["name"]: each["containerPort"] for each in container["ports"]}
        assert all(ports[each["port"]] == 9464 for each in probes.values())
        assert environment(container)["MAILROUTER_HTTP"].endswith(":9464")


def test_there_is_time_to_stop() -> None:
    for _case, pod, container in containers():
        bound = float(environment(container)["MAILROUTER_SHUTDOWN_SECONDS"])
        assert pod["terminationGracePeriodSeconds"] >= bound + 10


def environment(container: Manifest) -> dict[str, Any]:
    names = [each["name"] for each in container["env"]]
    assert len(names) == len(set(names)), "a variable twice"
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in container["env"]}


def test_settings_reach_the_worker() -> None:
    """Each is one that the product has, and holds; those of a role go before those of all."""
    for _case, _pod, container in containers():
        given = {name: value for name, value in environment(container).items() if isinstance(value, str)}
        fields = {Settings.variable(each): each for each in Settings.model_fields}
        assert {each for each in given if each.startswith("MAILROUTER_")} - fields.keys() == {"MAILROUTER_ROLES"}
        Settings.load({fields[name]: value for name, value in given.items() if name in fields})
    by_role = {
        environment(container)["MAILROUTER_ROLES"]: environment(container)
        for case, _, container in containers()
        if case == "on"
    }
    assert by_role["outbound"]["MAILROUTER_LOG_LEVEL"] == "info"
    assert by_role["inbound"]["MAILROUTER_LOG_LEVEL"] == "debug"
    assert by_role["inbound"]["MAILROUTER_MAX_EVENT_BYTES"] == "12582912"
    assert by_role["inbound"]["MAILROUTER_HORIZON_DAYS"] == "2.5"


def test_every_setting_may_be_given() -> None:
    given = {"amqp_url", "profiles", "http", "correlation_key", "shutdown_seconds", "attachment_store"}
    schema = yaml.safe_load((CHART / "values.schema.json").read_text())
    assert schema["definitions"]["settings"]["properties"].keys() == Settings.model_fields.keys() - given
    bound = schema["properties"]["shutdownSeconds"]["maximum"]
    assert bound == next(each.le for each in Settings.model_fields["shutdown_seconds"].metadata if hasattr(each, "le"))


@pytest.mark.parametrize(
    "values",
    [
        {"replicas": 2},
        {"settings": {"log_levle": "debug"}},
        {"settings": {"amqp_url": "amqp://"}},
        {"broker": {"existingSecret": ""}},
        {"attachments": {"url": "file:///tmp"}},
        {"workers": {"both": {"replicas": "two"}}},
        {"workers": {"postman": {"enabled": True}}},
        {"workers": {"both": {"scaling": {"enabled": True, "minimum": 11}}}},
        {"profiles": {"text": "x", "existingConfigMap": "y"}},
        {"shutdownSeconds": 601},
    ],
)
def test_what_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(helm_python.HelmError):
        render(values)


def test_secrets_are_named_and_never_given() -> None:
    assert not of_kind("on", "Secret")
    for case, pod, container in containers():
        url = environment(container)["MAILROUTER_AMQP_URL"]["secretKeyRef"]
        assert url["name"] == CASES[case].get("broker", {}).get("existingSecret", "mailrouter-broker")
        if "secrets" in CASES[case]:
            assert [each["secretRef"]["name"] for each in container["envFrom"]] == ["passwords"]
            (projected,) = (each["projected"] for each in volumes(pod) if each["name"] == "secrets")
            assert [each["secret"]["name"] for each in projected["sources"]] == ["certificates", "more"]
        if "correlationKey" in CASES[case]:
            assert environment(container)["MAILROUTER_CORRELATION_KEY"] == "env:CORRELATION_KEY"
            assert environment(container)["CORRELATION_KEY"]["secretKeyRef"]["name"] == "correlation"


def test_profiles() -> None:
    for case, _pod, container in containers():
        mounted = {each["mountPath"]: each["name"] for each in container["volumeMounts"]}
        given = "profiles" in CASES[case]
        wanted = "/etc/mailrouter/profiles.toml" if given else "broker"
        assert environment(container)["MAILROUTER_PROFILES"] == wanted
        assert ("/etc/mailrouter" in mounted) == given
    (made,) = of_kind("on", "ConfigMap").values()
    assert made["data"] == {"profiles.toml": ON["profiles"]["text"]}


def test_scaling() -> None:
    """By the queues of the role, and KEDA alone decides how many; so the Deployment says nothing of it."""
    deployments, objects = of_kind("scaling", "Deployment"), of_kind("scaling", "ScaledObject")
    assert deployments.keys() == objects.keys() == {f"{NAME}-{role}" for role in ("both", "outbound", "inbound")}
    (authentication,) = of_kind("scaling", "TriggerAuthentication")
    queues = {}
    for name, each in objects.items():
        assert each["spec"]["scaleTargetRef"]["name"] == name
        assert "replicas" not in deployments[name]["spec"]
        triggers = each["spec"]["triggers"]
        assert {trigger["authenticationRef"]["name"] for trigger in triggers} == {authentication}
        assert all(trigger["metadata"]["value"].isdecimal() for trigger in triggers)
        queues[name.removeprefix(f"{NAME}-")] = {trigger["metadata"]["queueName"] for trigger in triggers}
    assert queues == {"both": {OUTBOUND, BULK, POLLS}, "outbound": {OUTBOUND, BULK}, "inbound": {POLLS}}
    assert not of_kind("default", "ScaledObject")
    assert not of_kind("default", "TriggerAuthentication")


def test_the_rules_are_those_of_prometheus() -> None:
    (rule,) = of_kind("on", "PrometheusRule").values()
    assert rule["spec"] == yaml.safe_load(RULES.read_text())
    assert RULES.resolve() == (CHART / "../../prometheus/rules.yml").resolve()
    assert not of_kind("default", "PrometheusRule")


def test_switches() -> None:
    assert not of_kind("off", "PodDisruptionBudget")
    assert not of_kind("off", "NetworkPolicy")
    assert [each["spec"]["replicas"] for each in of_kind("off", "Deployment").values()] == [0]
    (policy,) = of_kind("on", "NetworkPolicy").values()
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert policy["spec"]["ingress"] == []
    assert {"ports": [{"port": 9000}]} in policy["spec"]["egress"]


def test_the_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == chart["version"] == __version__
