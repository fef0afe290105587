"""The dashboard as a file; what its queries answer: test_on_prometheus.py."""

from itertools import combinations
from typing import Any

import yaml

from tests.deploy.given import GRAFANA, dashboard, panels


def test_panels_have_ids_and_titles_of_their_own() -> None:
    for key in ("id", "title"):
        found = [panel[key] for panel in dashboard()["panels"]]
        assert sorted(set(found)) == sorted(found)


def test_no_panel_lies_over_another() -> None:
    def apart(one: dict[str, int], other: dict[str, int]) -> bool:
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        return beside or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]

    places = [panel["gridPos"] for panel in dashboard()["panels"]]
    assert all(apart(one, other) for one, other in combinations(places, 2))
    assert all(place["x"] + place["w"] <= 24 for place in places)


def test_every_panel_asks_the_prometheus_that_is_chosen() -> None:
    (chosen,) = dashboard()["templating"]["list"]
    assert (chosen["name"], chosen["type"], chosen["query"]) == ("datasource", "datasource", "prometheus")
    for panel in panels():
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert panel["fieldConfig"]["defaults"]["unit"]


def provisioned(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((GRAFANA / "provisioning" / name).read_text(encoding="utf-8"))
    return found


def test_grafana_is_told_where_everything_is() -> None:
    (source,) = provisioned("datasources/prometheus.yml")["datasources"]
    assert (source["type"], source["jsonData"]["timeInterval"]) == ("prometheus", "15s")
    (provider,) = provisioned("dashboards/mail-router.yml")["providers"]
    assert provider["options"]["path"] == "/var/lib/grafana/dashboards"
