"""What docker-compose.yml promises: what can be told of it without Docker."""

import re

import pytest

from tests.deploy.compose import ROOT, TEXT, compose, defaults
from worker import __version__
from worker.profiles.edition import edition_of
from worker.settings import Settings

SERVICES = compose()["services"]
OURS = {name: each for name, each in SERVICES.items() if each["image"].startswith("crm-mail-router:")}


def test_every_variable_is_told_with_its_default() -> None:
    told = dict(re.findall(r"^(\w+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert told == defaults()
    assert not re.search(r"\$\{\w+\}|\$\w", TEXT), "a variable without a default"


def test_the_version() -> None:
    assert defaults()["MAILROUTER_VERSION"] == __version__


def test_passwords_say_what_they_are() -> None:
    secret = {name: default for name, default in defaults().items() if re.search(r"PASSWORD|KEY", name)}
    assert set(secret.values()) == {"for-trying-out"}


@pytest.mark.parametrize("name", SERVICES)
def test_published_for_this_machine_only(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", ()))


def test_workers_scale() -> None:
    """Nothing that only one of them can have."""
    worker = SERVICES["worker"]
    assert not {"ports", "container_name", "hostname"} & worker.keys()
    assert worker["deploy"]["replicas"] == 2


def test_a_worker_has_time_to_stop() -> None:
    bound = Settings.model_fields["shutdown_seconds"].default
    assert int(SERVICES["worker"]["stop_grace_period"].removesuffix("s")) > bound + 5


@pytest.mark.parametrize("name", OURS)
def test_ours_are_confined(name: str) -> None:
    assert OURS[name].items() >= {"read_only": True, "cap_drop": ["ALL"], "init": True}.items()
    assert OURS[name]["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("name", SERVICES)
def test_logs_are_bounded(name: str) -> None:
    assert SERVICES[name]["logging"]["options"].keys() == {"max-size", "max-file"}


def test_the_demo_needs_nothing_else() -> None:
    """What only the demo needs stands in its profile, and nothing else waits for it."""
    demo = {name for name, each in SERVICES.items() if each.get("profiles") == ["demo"]}
    assert demo == {"prepare", "sandbox", "publish-profiles", "crm"}
    for name in SERVICES.keys() - demo:
        assert not demo & SERVICES[name].get("depends_on", {}).keys()


def test_mounted_files_are_there() -> None:
    mounted = {each.split(":")[0] for service in SERVICES.values() for each in service.get("volumes", ())}
    files = {each for each in mounted if each.startswith("./")}
    assert files
    for each in files:
        assert (ROOT / each).exists(), each
    assert mounted - files == compose()["volumes"].keys()


def test_the_profiles_of_the_demo() -> None:
    text = (ROOT / "deploy/demo/profiles.toml").read_text()
    directory = edition_of(text, "profiles.toml", here=False).directory
    assert [each.mailbox.address for each in directory.incoming()] == ["desk@contoso.example"]
