"""The pages say what the code says: names, defaults, limits, schedules, codes, commands, links."""

import ast
import itertools
import re
import shlex
import tomllib
import typing
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import click
import orjson
import pytest
from prometheus_client import Counter, Gauge, Histogram
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from tests.unit.docs import PAGES, ROOT, Row, blocks, example, examples, page, section, spans, table
from tests.unit.events.sample import validator
from worker import __version__, metrics, retry
from worker.cli import group, run
from worker.events.decode import SendRequest, decode
from worker.ews.answer import INCOMPLETE
from worker.ews.codes import TABLE
from worker.ews.http_answer import Answer, NoAnswer
from worker.ews.http_status import of_status
from worker.ews.transport import USER_AGENT
from worker.ews.trouble import Trail
from worker.mail.message_id import TRACE_HEADER
from worker.mail.stamp import PROPERTY_NAME, PROPERTY_SET
from worker.outbound.entry import CLOCK_ALLOWANCE, LOOK_ALLOWANCE
from worker.outbound.rules import EMPTY_LOOK_PAUSE_SECONDS, EMPTY_LOOKS, MAX_UNANSWERED
from worker.profiles.loader import parse
from worker.profiles.model import PRESETS, Mailbox, Profile
from worker.rabbitmq.topology import EXCHANGES, QUEUES
from worker.settings import Settings
from worker.tracing.spans import BULK, QUEUE, RECEIVED

CRM, OPERATORS, EXCHANGE = "docs/crm-developers.md", "docs/operators.md", "docs/exchange-administrators.md"
RULES = "docs/delivery-rules.md"


def test_settings() -> None:
    told = {spans(row[0])[0]: row[1] for row in table(OPERATORS, "Settings")}
    fields = {Settings.variable(name): field.default for name, field in Settings.model_fields.items()}
    roles = {"MAILROUTER_ROLES": ",".join(run.ROLES)}
    assert told == {name: as_told(default) for name, default in (fields | roles).items()}


def as_told(default: object) -> str:
    return "none" if default is None else f"`{default}`"


def test_metrics() -> None:
    told = {spans(row[0])[0].partition("{")[0]: row for row in table(OPERATORS, "Health and metrics", 1)}
    endings = {"counter": "_total", "info": "_info"}
    families = {each.name + endings.get(each.type, ""): each.type for each in metrics.REGISTRY.collect()}
    assert {name: row[1].replace("gauge", families[name]) for name, row in told.items()} == families
    for each in vars(metrics).values():
        if isinstance(each, Counter | Gauge | Histogram):
            (family,) = each.describe()
            assert labels(told[family.name + endings.get(family.type, "")]) == ",".join(each._labelnames)


def labels(row: Row) -> str:
    inside = re.search(r"{(.*)}", spans(row[0])[0])
    return inside[1] if inside else ""


def test_retry_schedule() -> None:
    told = [tuple(int(each) for each in row[1].split(", ")) for row in table(OPERATORS, "Retries and pauses")]
    assert told == [retry.ATTEMPTS, retry.WAITS, retry.TIERS]
    assert f"over {sum(retry.ATTEMPTS) / 3600:.1f} hours" in page(CRM)
    assert len(retry.ATTEMPTS) + 1 == Settings.model_fields["max_attempts"].default


def test_topology() -> None:
    told = {name: set(spans(row[2])) for row in table(OPERATORS, "What is declared") for name in spans(row[0])}
    exchanges = {each.name: set[str]() for each in EXCHANGES}
    assert told == {queue.name: set(queue.keys) for queue in QUEUES} | exchanges


@pytest.mark.parametrize(("heading", "number", "model"), [("profiles.toml", 0, Profile), ("profiles.toml", 1, Mailbox)])
def test_profile_keys(heading: str, number: int, model: type[BaseModel]) -> None:
    told = {key: row[1].strip("`") for row in table(EXCHANGE, heading, number) for key in spans(row[0])}
    found = {name: default_of(name, field.default) for name, field in model.model_fields.items()}
    assert told == found


def default_of(name: str, default: object) -> str:
    if name == "authentication":
        assert set(PRESETS) == {"exchange-online", "exchange"}
        return "by the server"
    if default is PydanticUndefined or name == "location":
        return "required"
    return "none" if default is None else str(default).lower() if isinstance(default, bool) else str(default)


def test_limits_of_events() -> None:
    schema = orjson.loads((ROOT / "schemas/events/crm.email.send.v1.json").read_bytes())
    for row in table(CRM, "The event, complete", 1):
        number = int(row[1].split()[0])
        for path in spans(row[0]):
            limits = limits_at(schema, path.split("."))
            assert number in limits, (path, number, limits)


def limits_at(schema: dict[str, Any], path: list[str]) -> set[int]:
    """Every upper limit the schema sets on what lies there, through references and arrays."""
    at = [schema]
    for step in [*path, None]:
        at = [inner for each in at for inner in opened(schema, each)]
        if step is not None:
            at = [each["properties"][step] for each in at if step in each.get("properties", {})]
    return {each[name] for each in at for name in ("maxLength", "maxItems", "maxProperties") if name in each}


def opened(schema: dict[str, Any], part: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield part
    if "$ref" in part:
        yield from opened(schema, schema["$defs"][part["$ref"].rpartition("/")[2]])
    if "items" in part and "maxItems" not in part:
        yield from opened(schema, part["items"])
    elif "items" in part:
        yield from (each for each in opened(schema, part["items"]) if "properties" in each)


def test_the_event_is_valid() -> None:
    body = example(CRM, "event").encode()
    validator("crm.email.send.v1").validate(orjson.loads(body))
    request = decode(
        body,
        "application/cloudevents+json",
        {},
        now=datetime(2026, 11, 23, 8, 0, tzinfo=UTC),
        max_bytes=Settings.model_fields["max_event_bytes"].default,
        horizon_days=7,
    )
    assert isinstance(request, SendRequest)


def test_the_received_event_is_valid() -> None:
    validator("crm.email.received.v1").validate(orjson.loads(example(CRM, "received")))


def test_reason_codes() -> None:
    """Each of our own codes is told, and none is made up."""
    told = {code for row in table(CRM, "Reasons", 1) for code in spans(row[0])}
    told |= {code for row in table(OPERATORS, "Reading mailboxes") for code in spans(row[0])}
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "worker").rglob("*.py"))
    written = set(re.findall(r'(?:Reason|Unfit|\.trouble)\(\s*"([a-z][a-z-]+)"', source))
    written |= set(re.findall(r'Refusal\(\s*"([a-z-]+)"', source)) | set(re.findall(r': \("(token-[a-z-]+)"', source))
    kinds = typing.get_args(typing.get_type_hints(NoAnswer)["kind"])
    answers = {each if each in told else f"no-answer-{each}" for each in kinds}
    assert told == written | answers | {INCOMPLETE, "http-401", "http-401-way"}


def test_codes_of_exchange() -> None:
    does = {"transient": "tries again", "look": "looks", "final": "gives up", "pause": "pauses"}
    for row in table(EXCHANGE, "Errors"):
        (code,) = spans(row[0])
        status = re.fullmatch(r"http-(\d+)", code)
        verdict = of_status(Answer(int(status[1]), {}, b""), Trail(""), 0).verdict if status else TABLE[code]
        assert (row[1], row[2]) == (verdict.scope.value, does[verdict.disposition.value]), code


def test_what_is_written_into_mailboxes() -> None:
    text = section(EXCHANGE, "What is written into mailboxes")
    assert {PROPERTY_SET, PROPERTY_NAME, TRACE_HEADER} <= set(spans(text))
    assert USER_AGENT in spans(section(EXCHANGE, "Errors"))


def test_log_lines() -> None:
    """Each that a worker writes is told, with its level, and none is made up."""
    told: dict[str, str] = {}
    for row in table(OPERATORS, "Logs"):
        lines, levels = spans(row[0]), row[1].split(", ")
        told |= dict(zip(lines, levels if len(levels) > 1 else levels * len(lines), strict=True))
    written = dict(line for path in (ROOT / "worker").rglob("*.py") for line in log_lines(path))
    assert {line: level for line, level in written.items() if level != "debug" or line in told} == told


def log_lines(path: Path) -> Iterator[tuple[str, str]]:
    """What is logged in a file, with its level. A line is a literal, so that it can be searched for."""
    for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
            continue
        level = {"exception": "error"}.get(call.func.attr, call.func.attr)
        logger = ast.unparse(call.func.value).rpartition(".")[2].lstrip("_")
        if logger != "log" or level not in {"debug", "info", "warning", "error", "critical"}:
            continue
        line = call.args[0]
        for each in (line.body, line.orelse) if isinstance(line, ast.IfExp) else (line,):
            assert isinstance(each, ast.Constant), f"{path}:{call.lineno}"
            yield str(each.value), level


def test_delivery_rules() -> None:
    """Each that the code cites is told, and the numbers in them are the code's."""
    text = page(RULES)
    told = {row[0] for number in (0, 1) for row in table(RULES, ("What Exchange does", "The rules")[number])}
    cited = {
        number
        for path in (ROOT / "worker").rglob("*.py")
        for line in re.findall(r"\brules? ((?:\d+[a-d]?(?:, | and )?)+)", path.read_text(encoding="utf-8"))
        for number in re.findall(r"\d+[a-d]?", line)
    }
    assert cited
    assert cited | {f"E{number}" for number in range(1, 6)} <= told
    assert f"less {LOOK_ALLOWANCE / timedelta(minutes=1):.0f} minutes" in text
    assert f"began {CLOCK_ALLOWANCE.seconds} seconds after" in text
    assert f"it waits {EMPTY_LOOK_PAUSE_SECONDS} s, twice" in text
    assert (EMPTY_LOOKS, MAX_UNANSWERED) == (3, 2)


def test_what_is_traced() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "worker/tracing").glob("*.py"))
    told = {name for row in table(OPERATORS, "Tracing", 1) for name in spans(row[0])}
    assert told == set(re.findall(r'"((?:messaging|mailrouter|error)\.[a-z._]+)"', source))
    steps = {name for row in table(OPERATORS, "Tracing")[1:3] for name in spans(row[0])}
    flow = "".join(
        (ROOT / "worker/outbound" / name).read_text(encoding="utf-8") for name in ("deliver.py", "pipeline.py")
    )
    assert steps == set(re.findall(r'steps\("(\w+)"', flow))
    assert {spans(row[0])[0] for row in table(OPERATORS, "Tracing")} >= {
        f"process {QUEUE}",
        f"publish {RECEIVED}",
        "poll",
    }
    assert {QUEUE, BULK} <= {each.name for each in QUEUES}


@pytest.mark.parametrize(
    ("name", "text"), list(examples(EXCHANGE, "profiles")) + list(examples("README.md", "profiles"))
)
def test_profiles_load(name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in re.findall(r'"env:(\w+)"', text):
        monkeypatch.setenv(variable, "secret")
    directory = parse(tomllib.loads(text), name)
    assert directory.profiles
    assert directory.mailboxes


def test_the_service_has_time_to_stop() -> None:
    found = re.search(r"^TimeoutStopSec=(\d+)$", example(OPERATORS, "unit"), re.MULTILINE)
    assert found
    assert int(found[1]) > Settings.model_fields["shutdown_seconds"].default


def commands() -> Iterator[tuple[str, str]]:
    for name in PAGES:
        lines = [line for text in blocks(name) for line in text.splitlines()]
        for line in [*lines, *spans(page(name))]:
            found = re.match(r"(?:[\w/.-]*/)?mailrouter ([a-z].*)", line)
            if found:
                yield name, found[1]


@pytest.mark.parametrize(("name", "line"), sorted(set(commands())))
def test_commands_exist(name: str, line: str) -> None:
    command: click.Command = group
    words = shlex.split(line, comments=True)
    while words and isinstance(command, click.Group):
        context = click.Context(command)
        inner = command.get_command(context, words[0])
        if inner is None and command.params and words[0].startswith("-"):
            break
        assert inner is not None, f"{name}: mailrouter {line}"
        command, words = inner, words[1:]
    known = {option for each in command.params for option in each.opts} | {"--help"}
    assert {word for word in words if word.startswith("-")} <= known, f"{name}: mailrouter {line}"


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name: str) -> None:
    prose = re.sub(r"^```.*?^```$|`[^`\n]*`", "", page(name), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)]+)\)", prose):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / name).parent / path if path else ROOT / name
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file.read_text(encoding="utf-8")), target


def anchors(text: str) -> set[str]:
    """As the usual Markdown sites make them out of headings."""
    found = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in found}


def test_dependencies_and_layers() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    required, optional = project["project"]["dependencies"], project["project"]["optional-dependencies"]
    wanted = {re.split(r"[\[<>=]", each)[0] for each in (*required, *itertools.chain(*optional.values()))}
    assert {row[0] for row in table("ARCHITECTURE.md", "Dependencies")} == wanted
    layers = next(each["layers"] for each in project["tool"]["importlinter"]["contracts"] if each["type"] == "layers")
    assert " > ".join(spans(section("ARCHITECTURE.md", "Layers"))[: len(layers)]) == " > ".join(layers)


def test_version() -> None:
    assert f"crm_mail_router-{__version__}-py3-none-any.whl" in page(OPERATORS)
    assert f"Version {__version__}" in page("README.md")


def test_requests_of_an_account() -> None:
    """Mails, campaigns and polls of a worker, and what two workers are advised to set for 27."""
    each = Settings.model_fields["concurrency"].default
    told = " ".join(section(EXCHANGE, "Throttling").split())
    assert f"outgoing profile under way, {2 * each} by default" in told
    assert f"of an incoming one, {each} by default" in told
    assert f"`MAILROUTER_CONCURRENCY={27 // (2 * 3)}`, or {27 // (2 * 2)} where" in page(OPERATORS)


DEFAULTS: Final = {"horizon_days": "7 days", "max_event_bytes": "12 MiB"}


@pytest.mark.parametrize(("field", "told"), DEFAULTS.items())
def test_defaults_named_in_passing(field: str, told: str) -> None:
    default = Settings.model_fields[field].default
    unit = 2**20 if told.endswith("MiB") else 1
    assert float(told.split(maxsplit=1)[0]) * unit == default
    assert told in page(CRM)
