"""`mailrouter sandbox`: the sandbox Exchange on its own."""

import asyncio
import json
import signal
import ssl
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
import uvloop

from worker.cli.options import flag
from worker.sandbox import users
from worker.sandbox.correspondents import ANSWERS
from worker.sandbox.directory import ALL, RIGHTS, STATES, Directory
from worker.sandbox.exchange import Exchange
from worker.sandbox.faults import KINDS, OPERATIONS, Faults
from worker.sandbox.operations import table
from worker.sandbox.options import WAYS, Dwell, Options
from worker.sandbox.server import Sandbox
from worker.settings import ConfigurationError


def _listed(words: Iterable[str]) -> str:
    return "\n".join(textwrap.wrap(", ".join(words), 110, initial_indent="  ", subsequent_indent="  "))


_FAULTS = "\n".join(f"  {word:<14} {kind.text}" for word, kind in KINDS.items())
_ANSWERS = "\n".join(f"  {word:<14} {answer.text}" for word, answer in ANSWERS.items())
_NARROWINGS = _listed(OPERATIONS)
_KNOWN = _listed(table.OPERATIONS)
_EPILOG = f"""\b
Users, in this order:
  --users FILE     exactly those of the file, TOML or JSON. A TOML table for each:
                     [[user]]
                     address = "router@contoso.example"
                     password = "secret"
                     impersonates = ["*"]      # likewise full_access, send_as, send_on_behalf
                     state = "locked"          # {", ".join(STATES[1:5])},
                                               # {", ".join(STATES[5:])}; ok by default
                   Applications for OAuth2, likewise:
                     [[application]]
                     tenant = "contoso.example"
                     client_id = "8d1a4c9e-0c1d-4a55-9a51-27c4a4e0f3b1"
                     client_secret = "secret"  # or certificate = "app.pem"
                     mailboxes = ["*"]         # likewise roles; secret_expired = true
  --count N        user1@DOMAIN to userN@DOMAIN, password --password, and the service accounts
  (neither)        every address of DOMAIN is a user from its first use on, and the service accounts
Service accounts: router@DOMAIN (may impersonate all), delegate@DOMAIN (full access and send-as on all),
behalf@DOMAIN (full access and send-on-behalf on all), and an application of the tenant DOMAIN that may act for all;
the passwords are printed at the start.

\b
Signing in: Basic, NTLM (with channel binding over TLS), Negotiate and Bearer at the EWS URL and at
  /autodiscover/autodiscover.svc and .xml (autodiscover.json asks for nobody); tokens from
  POST /TENANT/oauth2/v2.0/token, found by /TENANT/v2.0/.well-known/openid-configuration.

\b
Operations of EWS; any other is answered with the fault ErrorInvalidOperation, which names it:
{_KNOWN}

\b
Faults by address: a tag in the local part of the sender or of a recipient orders one,
  anna+busy@...  always, anna+busy-once@...  once for a mail, anna+busy-3@...  three times;
  anna+lost-send-once@...  only at SendItem. A mail that came in is known by its people and by its mailbox,
  so a mail from x+corrupt@... cannot be read; folders and notes by the mailbox acted for. Operations:
{_NARROWINGS}
{_FAULTS}

\b
Answers by address: a tag of a recipient outside orders one, into the sender's Inbox (x+bounce@customer.example).
{_ANSWERS}

\b
The witness, on the same port, for loopback only:
  GET  /sandbox/mails     every mail that left, one JSON object a line
  GET  /sandbox/stats     counts: mails, stamps, doubled ones, requests by operation, faults
  POST /sandbox/faults    {{"kind": "busy", "mailbox": "anna@...", "times": 3}}; DELETE takes all back
  POST /sandbox/options   {{"sign_in": ["ntlm"], "token_seconds": 60, "autodiscover": {{"json": false}}}}: any of them
  POST /sandbox/accounts  {{"user": "anna@...", "state": "locked", "password": "..."}}
  POST /sandbox/rights    {{"user": "router@...", "full_access": ["anna@..."]}}; likewise /sandbox/applications
  POST /sandbox/release   what is held goes on
  POST /sandbox/arrivals?mailbox=ADDR[&received=TIME]   the body, a mail in MIME, arrives there, now or at that time
  POST /sandbox/replies   {{"to": "x@...", "kind": "bounce", "text": "..."}}: a mail that left is answered
  GET  /sandbox/inbox?mailbox=ADDR[&folder=NAME]   what lies there; GET /sandbox/configurations?mailbox=ADDR
  POST /sandbox/moves     {{"id": "...", "folder": "junkemail"}}; likewise /sandbox/reads, /sandbox/deletions
  POST /sandbox/forget    {{"sync_states": "anna@...", "subscriptions": "*", "tokens": "*"}}: not known any more
"""


@click.command("sandbox", epilog=_EPILOG)
@flag(
    "sandbox",
    "--listen",
    default="127.0.0.1:8480",
    show_default=True,
    metavar="HOST:PORT",
    help="Port 0 takes a free one.",
)
@flag("sandbox", "--users", "users_file", type=click.Path(path_type=Path), metavar="FILE", help="The users; see below.")
@flag("sandbox", "--domain", default="contoso.example", show_default=True, help="The domain of invented users.")
@flag("sandbox", "--count", type=click.IntRange(0, 1_000_000), help="How many users to invent.")
@flag("sandbox", "--password", default=users.USER_PASSWORD, show_default=True, help="The password of invented users.")
@flag(
    "sandbox",
    "--sign-in",
    "ways",
    type=click.Choice(WAYS),
    multiple=True,
    default=WAYS,
    help="A way to sign in that is offered; may be given several times. All by default.",
)
@flag(
    "sandbox",
    "--fault",
    "rates",
    multiple=True,
    metavar="KIND[:OPERATION]=SHARE",
    help="Fault by chance: lost:SendItem=0.05.",
)
@flag("sandbox", "--seed", default=0, show_default=True, help="The seed of that chance.")
@flag(
    "sandbox",
    "--message-id",
    type=click.Choice(["keep", "refuse", "overwrite"]),
    default="keep",
    show_default=True,
    help="What becomes of the Message-ID a client sets.",
)
@flag(
    "sandbox",
    "--dwell-drafts",
    type=click.FloatRange(0, 600),
    default=0.0,
    show_default=True,
    help="Seconds a submitted mail stays in Drafts.",
)
@flag(
    "sandbox",
    "--dwell-outbox",
    type=click.FloatRange(0, 600),
    default=0.0,
    show_default=True,
    help="Seconds it then stays in the Outbox.",
)
@flag("sandbox", "--messages-per-minute", type=click.IntRange(1), help="What a mailbox may send; no limit by default.")
@flag(
    "sandbox",
    "--max-message-bytes",
    type=click.IntRange(1),
    default=35 * 2**20,
    show_default=True,
    help="The largest mail that is sent.",
)
@flag(
    "sandbox",
    "--notifications",
    type=click.Choice(["sent", "lost", "refused"]),
    default="sent",
    show_default=True,
    help="Whether a client is told of what happens: yes, never, or it may not even ask.",
)
@flag(
    "sandbox",
    "--keep-alive-seconds",
    type=click.FloatRange(0.1, 600),
    default=45.0,
    show_default=True,
    help="How often an idle connection for notifications shows that it is alive.",
)
@flag(
    "sandbox",
    "--record",
    "record_to",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write every request and answer to files there.",
)
@flag("sandbox", "--tls-cert", type=click.Path(path_type=Path), metavar="FILE", help="PEM: certificate and chain.")
@flag("sandbox", "--tls-key", type=click.Path(path_type=Path), metavar="FILE", help="PEM: its key.")
@flag(
    "sandbox", "--json", "as_json", is_flag=True, help="Tell where it listens, and who there is, as one line of JSON."
)
def command(**given: Any) -> None:  # noqa: ANN401 - what click hands over
    """The sandbox Exchange: an EWS server in memory, for trying things out. It is no mail server: nothing leaves this
    machine, and when it stops all is forgotten.
    """
    host, port = _listen(given["listen"])
    if given["users_file"] is not None:
        directory = users.from_file(given["users_file"])
    else:
        directory = users.invented(given["domain"], given["count"], given["password"])
    options = Options(
        sign_in=given["ways"],
        message_id=given["message_id"],
        dwell=Dwell(given["dwell_drafts"], given["dwell_outbox"]),
        messages_per_minute=given["messages_per_minute"],
        max_message_bytes=given["max_message_bytes"],
        notifications=given["notifications"],
        keep_alive_seconds=given["keep_alive_seconds"],
    )
    exchange = Exchange(directory, options, Faults(given["seed"], _rates(given["rates"])))
    tls = _tls(given["tls_cert"], given["tls_key"])
    sandbox = Sandbox(exchange, host=host, port=port, tls=tls, record_to=given["record_to"])
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(sandbox, directory, as_json=given["as_json"]))


async def _run(sandbox: Sandbox, directory: Directory, *, as_json: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, stop.set)
    try:
        await sandbox.start()
    except OSError as error:
        where = f"{sandbox.host}:{sandbox.port}"
        raise ConfigurationError(f"--listen {where}: cannot listen there: {error.strerror or error}") from None
    try:
        click.echo(_as_json(sandbox, directory) if as_json else _as_text(sandbox, directory))
        await stop.wait()
    finally:
        await sandbox.stop()


def _as_json(sandbox: Sandbox, directory: Directory) -> str:
    return json.dumps(
        {
            "url": sandbox.url,
            "witness": sandbox.witness_url,
            "authority": sandbox.authority,
            "applications": users.applications_described(directory),
            "users": users.described(directory)[:1000],
            "any_address_of": sorted(directory.open_domains),
            "password": directory.open_password if directory.open_domains else None,
            "answers": list(ANSWERS),
            "profiles": users.profiles_snippet(directory, sandbox.url),
        }
    )


def _as_text(sandbox: Sandbox, directory: Directory) -> str:
    lines = [f"Sandbox Exchange: {sandbox.url}", f"What it saw:      {sandbox.witness_url}/stats  (and /mails, /inbox)"]
    arrivals = f"{sandbox.witness_url}/arrivals?mailbox=ADDR"
    lines += [f"Mail comes in:    answers to x+reply@customer.example, or a mail in MIME to {arrivals}"]
    lines += [f"Tokens (OAuth2):  {sandbox.authority}/TENANT/oauth2/v2.0/token", ""]
    known = users.described(directory)
    lines.append("Accounts (for this sandbox only):")
    for user in known[:20]:
        rights = [
            f"{right}: {', '.join('all' if each == ALL else each for each in user[right])}"
            for right in RIGHTS
            if right in user
        ]
        lines.append(f"  {user['address']:<36} password {user['password']:<20} {'; '.join(rights)}".rstrip())
    if len(known) > 20:  # noqa: PLR2004 - a screenful
        lines.append(f"  ... and {len(known) - 20} more")
    others = [f"any other address of {domain}" for domain in sorted(directory.open_domains)]
    lines += [f"  {each:<36} password {directory.open_password}" for each in others]
    lines += [f"  {_of_application(each)}" for each in users.applications_described(directory)[:20]]
    lines += ["", "profiles.toml for it:", "", users.profiles_snippet(directory, sandbox.url), ""]
    return "\n".join(lines)


def _of_application(application: dict[str, str]) -> str:
    secret = f"secret {application['client_secret']}" if application["client_secret"] else "with its certificate"
    return f"application {application['client_id']} of {application['tenant']}, {secret}"


def _listen(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:  # noqa: PLR2004 - the highest port
        raise ConfigurationError(f"--listen {text}: must be HOST:PORT")
    return host.strip("[]"), int(port)


def _rates(texts: tuple[str, ...]) -> dict[str, dict[str, float]]:
    rates: dict[str, dict[str, float]] = {}
    for text in texts:
        name, _, share = text.partition("=")
        kind, _, operation = name.partition(":")
        try:
            rates.setdefault(kind, {})[operation or "*"] = float(share)
            Faults(0, rates)
        except ValueError as error:
            raise ConfigurationError(f"--fault {text}: {error}; write KIND=SHARE or KIND:OPERATION=SHARE") from None
    return rates


def _tls(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise ConfigurationError("--tls-cert and --tls-key go together: one of them is missing")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"--tls-cert {certificate}, --tls-key {key}: cannot be used: {error}") from None
    return context
