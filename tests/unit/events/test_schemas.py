"""The schemas hold together: with their examples, with each other, with the topology and with the package."""

import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import orjson
import pytest
import yaml
from jsonschema import Draft202012Validator

from tests.unit.events.sample import examples, validator
from worker.events import models
from worker.events.schemas import asyncapi_path, event_schemas, schemas_path
from worker.mail.outcome import Scope
from worker.rabbitmq.topology import EXCHANGES, QUEUES

TYPES: Final = tuple(event_schemas())
ROOT: Final = Path(__file__).parents[3]


def asyncapi() -> dict[str, Any]:
    document = yaml.safe_load(asyncapi_path().read_text(encoding="utf-8"))
    assert isinstance(document, dict)
    return document


def parts(value: object) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from parts(inner)


def files_under(directory: Path) -> list[Path]:
    return [each for each in directory.rglob("*") if each.is_file()]


def schema_of(event_type: str) -> dict[str, Any]:
    schema = orjson.loads(event_schemas()[event_type].read_bytes())
    assert isinstance(schema, dict)
    return schema


def test_there_is_one_for_each_event_of_the_contract() -> None:
    states = ("accepted", "bounced", "deferred", "failed", "received", "send", "unresolved")

    assert tuple(f"crm.email.{state}.v1" for state in states) == TYPES


@pytest.mark.parametrize("event_type", TYPES)
def test_each_is_a_schema_of_its_event(event_type: str) -> None:
    schema = schema_of(event_type)

    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == f"urn:crm-mail-router:schema:{event_type}"
    assert schema["title"] == schema["properties"]["type"]["const"] == event_type
    assert all(part["$ref"].removeprefix("#/$defs/") in schema["$defs"] for part in parts(schema) if "$ref" in part)


@pytest.mark.parametrize("event_type", TYPES)
def test_what_is_required_is_described(event_type: str) -> None:
    for part in parts(schema_of(event_type)):
        if part.get("type") == "object" and "required" in part:
            assert set(part["required"]) <= set(part["properties"])


@pytest.mark.parametrize(
    ("event_type", "name"), [(event_type, name) for event_type in TYPES for name in examples(event_type)]
)
def test_examples_are_valid(event_type: str, name: str) -> None:
    validator(event_type).validate(examples(event_type)[name])


@pytest.mark.parametrize("event_type", TYPES)
def test_examples_show_every_field(event_type: str) -> None:
    properties = schema_of(event_type)["properties"]
    definitions = schema_of(event_type)["$defs"]
    data = definitions["data"] if "$ref" in properties["data"] else properties["data"]
    shown = [event["data"] for event in examples(event_type).values()]

    assert shown
    assert set(data["properties"]) - {"sender", "bcc", "reply_to", "forwarded_by"} <= {
        key for each in shown for key in each
    }


def test_definitions_of_one_name_are_one_thing_in_all_status_events() -> None:
    kinds = [schema_of(event_type)["$defs"] for event_type in TYPES if "send" not in event_type]

    for name in ("time", "reason"):
        assert len({orjson.dumps(kind[name]) for kind in kinds if name in kind}) == 1


def test_reasons_have_every_scope() -> None:
    scopes = schema_of("crm.email.failed.v1")["$defs"]["reason"]["properties"]["scope"]["enum"]

    assert scopes == [scope.value for scope in Scope]


def test_models_have_the_fields_of_the_schema() -> None:
    definitions = schema_of("crm.email.send.v1")["$defs"]
    for model, definition in (
        (models.SendData, definitions["data"]),
        (models.Mailbox, definitions["mailbox"]),
        (models.File, definitions["attachment"]),
        (models.Body, definitions["data"]["properties"]["body"]),
        (models.SendEvent, schema_of("crm.email.send.v1")),
    ):
        fields = {field.alias or name: field.is_required() for name, field in model.model_fields.items()}

        assert set(fields) == set(definition["properties"])
        assert {name for name, required in fields.items() if required} == set(definition.get("required", ()))


def test_asyncapi_refers_to_what_is_there() -> None:
    document = asyncapi()
    for part in parts(document):
        reference = part.get("$ref")
        if reference is None:
            continue
        if reference.startswith("./"):
            assert (asyncapi_path().parent / reference).is_file()
            continue
        target: Any = document
        for step in reference.removeprefix("#/").split("/"):
            target = target[step]
        assert target


def test_asyncapi_has_a_message_for_each_event() -> None:
    messages = asyncapi()["components"]["messages"].values()
    payloads = {each["name"]: each["payload"]["schema"]["$ref"] for each in messages if "schema" in each["payload"]}

    assert payloads == {event_type: f"./{event_type}.json" for event_type in TYPES}


def test_asyncapi_and_the_topology_have_the_same_queues_with_the_same_keys() -> None:
    described = {
        channel["bindings"]["amqp"]["queue"]["name"]: tuple(channel["x-routing-keys"])
        for channel in asyncapi()["channels"].values()
        if "x-routing-keys" in channel
    }
    ours = ("crm.mail.retry.", "crm.mail.inbound.")
    declared = {queue.name: queue.keys for queue in QUEUES if not queue.name.startswith(ours)}

    assert described == declared


def test_asyncapi_and_the_topology_have_the_same_exchange_and_keys() -> None:
    document = asyncapi()
    exchange = document["components"]["channelBindings"]["mail"]["amqp"]["exchange"]
    keys = {channel["address"] for channel in document["channels"].values() if "x-routing-keys" not in channel}

    ours = ("crm.mail.retry.", "crm.mail.fleet")
    assert [(each.name, each.kind) for each in EXCHANGES if not each.name.startswith(ours)] == [
        (exchange["name"], exchange["type"])
    ]
    assert keys == {key for queue in QUEUES if queue.exchange == exchange["name"] for key in queue.keys}


def test_asyncapi_binds_each_channel_to_the_queue_or_key_of_its_address() -> None:
    for channel in asyncapi()["channels"].values():
        if "x-routing-keys" in channel:
            assert channel["bindings"]["amqp"]["queue"]["name"] == channel["address"]
        else:
            assert channel["bindings"] == {"$ref": "#/components/channelBindings/mail"}


def test_asyncapi_lets_a_key_carry_what_its_queue_takes() -> None:
    channels = asyncapi()["channels"].values()
    by_key = {each["address"]: set(each["messages"]) for each in channels if "x-routing-keys" not in each}
    for channel in channels:
        if keys := channel.get("x-routing-keys"):
            assert set(channel["messages"]) == set().union(*(by_key[key] for key in keys))


def test_no_schema_names_a_real_host() -> None:
    hosts = set()
    for file in files_under(schemas_path() / "events"):
        hosts |= set(re.findall(r"//([a-z0-9.-]+\.[a-z]+)", file.read_text(encoding="utf-8")))

    assert {host for host in hosts if not host.endswith(".example")} <= {"json-schema.org"}


def test_the_wheel_carries_the_schemas(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=60,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)

    inside, beside = tmp_path / "worker" / "schemas", ROOT / "schemas"
    assert {file.relative_to(inside) for file in files_under(inside)} == {
        file.relative_to(beside) for file in files_under(beside)
    }
    assert (inside / "events" / "asyncapi.yaml").is_file()

    found = subprocess.run(
        [sys.executable, "-c", "from worker.events.schemas import schemas_path; print(schemas_path())"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        timeout=60,
        text=True,
    )
    assert found.stdout.strip() == str(inside)
