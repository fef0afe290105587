"""The chart, rendered as Helm does it."""

from functools import cache
from pathlib import Path
from typing import Any, Final

import helm_python
import yaml

CHART: Final = Path(__file__).parents[2] / "deploy/helm/crm-mail-router"
NAME: Final = "prod-crm-mail-router"
RULES: Final = CHART / "rules.yml"

Manifest = dict[str, Any]

ON: Final[dict[str, Any]] = {
    "image": {"repository": "registry.contoso.example/crm-mail-router", "tag": "0.1.0-1", "pullPolicy": "Always"},
    "imagePullSecrets": ["registry"],
    "broker": {"existingSecret": "rabbit", "key": "url"},
    "correlationKey": {"existingSecret": "correlation"},
    "profiles": {"text": '[[mailbox]]\naddress = "*@contoso.example"\n'},
    "secrets": {"environment": ["passwords"], "files": ["certificates", "more"]},
    "attachments": {"existingClaim": "attachments"},
    "settings": {"max_event_bytes": 12582912, "log_level": "debug", "horizon_days": 2.5},
    "shutdownSeconds": 45.5,
    "extraEnvironment": [{"name": "HTTPS_PROXY", "value": "http://proxy.contoso.example:3128"}],
    "listenAddress": "[::]",
    "workers": {
        "both": {"enabled": False},
        "outbound": {"enabled": True, "replicas": 3, "scaling": {"enabled": True}, "settings": {"log_level": "info"}},
        "inbound": {"enabled": True, "replicas": 1},
    },
    "networkPolicy": {"metricsFrom": [], "brokerPorts": [5671], "extraEgress": [{"ports": [{"port": 9000}]}]},
    "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}},
    "serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/mail"}},
    "userId": None,
    "podAnnotations": {"a": "b"},
    "podLabels": {"team": "crm"},
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"key": "mail", "operator": "Exists"}],
    "affinity": {"podAntiAffinity": {}},
    "priorityClassName": "high",
}
"""Everything that has a switch, the other way than by default."""

EVERY_SCALING: Final[dict[str, Any]] = {
    "workers": {role: {"enabled": True, "scaling": {"enabled": True}} for role in ("both", "outbound", "inbound")}
}
OFF: Final[dict[str, Any]] = {
    "podDisruptionBudget": {"enabled": False},
    "networkPolicy": {"enabled": False},
    "workers": {"both": {"enabled": False}, "outbound": {"enabled": True, "replicas": 0}},
}
CASES: Final[dict[str, dict[str, Any]]] = {
    "default": {},
    "off": OFF,
    "on": ON,
    "scaling": EVERY_SCALING,
    **{f"without {name}": {key: value for key, value in ON.items() if key != name} for name in ON},
    **{f"only {name}": {name: value} for name, value in ON.items()},
}


@cache
def rendered(case: str) -> tuple[Manifest, ...]:
    return tuple(render(CASES[case]))


def render(values: dict[str, Any]) -> list[Manifest]:
    """Raises helm_python.HelmError."""
    with helm_python.Chart.load(CHART) as chart:
        chart.validate_schema(chart.merge_values(values))
        files = chart.render(values, name="prod", namespace="mail")
    texts = [text for name, text in files.items() if name.endswith(".yaml")]
    return [each for text in texts for each in yaml.safe_load_all(text) if each]


def of_kind(case: str, kind: str) -> dict[str, Manifest]:
    """Those of a kind, by name."""
    found = [each for each in rendered(case) if each["kind"] == kind]
    named = {each["metadata"]["name"]: each for each in found}
    assert len(named) == len(found), "two of one name"
    return named
