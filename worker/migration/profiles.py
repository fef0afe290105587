"""Profiles and mailbox entries made of what the Email Router had, and what could not be carried over."""

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import tomlkit
from tomlkit.items import Table

from worker.migration.email_agent import EmailAgent, Provider

_TUNABLES: Final[Mapping[str, str]] = {
    "maxthreads": "not carried over: workers need no number of threads; see MAILROUTER_CONCURRENCY",
    "maximumdeliveryattempts": "becomes MAILROUTER_MAX_ATTEMPTS={}",
    "sendingstatusdelay": "not carried over: a mail is never sent again because it is stuck",
    "pendingstatusdelay": "not carried over: the CRM hears of each request's end by itself",
    "configupdateperiod": "not carried over: profiles are read again within seconds, or published",
    "ewsretrievemessagecount": "not carried over: mails are fetched ten at a time",
    "batchsize": "not carried over: batches make themselves",
    "requestbatchsize": "not carried over: batches make themselves",
    "cachecapacity": "not carried over: there is no such cache",
    "loglevel": "becomes MAILROUTER_LOG_LEVEL (info, or debug for 2 and 3)",
}
_LOGGED_ON: Final = frozenset({"", "logon_user", "local system", "localsystem", "local system account"})


@dataclass(slots=True)
class Made:
    """`text` is the profiles file; `secrets` are variables to be set; `notes` what became of everything else."""

    text: str = ""
    secrets: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def make(agent: EmailAgent) -> Made:
    made = Made(notes=list(_notes(agent.system)))
    document = tomlkit.document()
    document.add(
        tomlkit.comment("Made from Microsoft.Crm.Tools.EmailAgent.xml. Set the variables that secrets name, then:")
    )
    document.add(tomlkit.comment("mailrouter profiles validate, and mailrouter check."))
    profiles, mailboxes = tomlkit.aot(), tomlkit.aot()
    names: dict[tuple[tuple[str, Any], ...], str] = {}
    entries: dict[str, Table] = {}
    for provider in agent.providers:
        profile = _profile(provider, agent.system, made)
        address = provider.get("emailaddress", "mailbox", "emailuser", "userid")
        if profile is None:
            continue
        if "@" not in address:
            made.notes.append(f"provider {provider.number}: left out: it names no mail address")
            continue
        name = names.get(tuple(profile.items()))
        if name is None:
            name = names[tuple(profile.items())] = _name(provider, set(names.values()))
            profiles.append(_table({"name": name, **profile}, made.secrets))
        entry = entries.get(address.casefold())
        if entry is None:
            entry = entries[address.casefold()] = _table({"address": address, "kind": _kind(provider)}, [])
            mailboxes.append(entry)
        entry[provider.direction] = name
        if profile["credentials"] == "user-specified" and "username" not in entry:
            variable = _variable(address)
            entry["username"], entry["password"] = provider.get("emailuser") or address, f"env:{variable}"
            made.secrets.append(variable)
    if profiles:
        document.append("profile", profiles)
    if mailboxes:
        document.append("mailbox", mailboxes)
    made.secrets = sorted(set(made.secrets))
    made.text = tomlkit.dumps(document)
    return made


def _notes(system: Mapping[str, str]) -> Iterator[str]:
    for name, value in system.items():
        if name in _TUNABLES and value:
            yield f"{name} = {value}: {_TUNABLES[name].format(value)}"


def _profile(provider: Provider, system: Mapping[str, str], made: Made) -> dict[str, Any] | None:
    """The keys of a profile but its name; None where there is nothing to carry over."""
    if provider.protocol not in ("ews", "webdav"):
        made.notes.append(
            f"provider {provider.number}: left out: {provider.protocol.upper()} is not spoken here, only Exchange"
        )
        return None
    location, account = _location(provider), provider.get("accessusername", "emailuser", "username")
    online = "office365" in location or "outlook.com" in location
    own = provider.get("credentials", "accesscredentials").casefold().replace(" ", "") in ("userspecified", "user")
    profile: dict[str, Any] = {"direction": provider.direction, "server": "exchange-online" if online else "exchange"}
    profile |= {"location": location} if location and not online else {} if online else {"autodiscover": True}
    profile["credentials"] = "user-specified" if own and not online else "other-specified"
    if online:
        profile |= {"tenant_id": "TENANT", "client_id": "CLIENT", "client_secret": "env:CRM_ROUTER_CLIENT_SECRET"}
        made.notes.append(f"provider {provider.number}: Exchange Online takes OAuth2 only: fill in TENANT and CLIENT")
    else:
        profile["authentication"] = "ntlm" if _windows(provider) else "clear-text"
    if not own and not online:
        if account.casefold() in _LOGGED_ON:
            made.notes.append(f"provider {provider.number}: ran as Local System: give a service account instead")
            account = "SERVICE-ACCOUNT@example.invalid"
        profile |= {"username": account, "password": f"env:{_variable(account)}"}
    if not own:
        profile |= {"user_type": "administrator", "access": _access(provider, online=online)}
    if profile.get("access") == "send-as" and online:
        profile["username"] = account
    if provider.direction == "incoming":
        profile["poll_seconds"] = _poll_seconds(provider, system)
    return profile


def _location(provider: Provider) -> str:
    told = provider.get("ewsurl", "exchangewebserviceurl", "emailserver", "location", "url")
    if provider.get("autodiscover", "useautodiscover").casefold() in ("true", "1") or not told:
        return ""
    url = told if "://" in told else f"https://{told}"
    parts = urlsplit(url)
    path = parts.path if parts.path.casefold().endswith(".asmx") else "/EWS/Exchange.asmx"
    return parts._replace(scheme="https", path=path, query="", fragment="").geturl()


def _windows(provider: Provider) -> bool:
    mode = provider.get("emailauthmode", "authentication", "authenticationtype").casefold()
    return any(each in mode for each in ("windows", "ntlm", "negotiate", "integrated"))


def _access(provider: Provider, *, online: bool) -> str:
    told = provider.get("accesstype", "access").casefold()
    if "send" in told and provider.direction == "outgoing":
        return "send-as"
    return "impersonation" if online or "delegate" not in told else "delegate"


def _poll_seconds(provider: Provider, system: Mapping[str, str]) -> float:
    told = provider.get("pollinginterval", "pollingperiod") or system.get("schedulingperiod", "")
    milliseconds = int(told) if told.isdecimal() else 10_000
    return min(86_400, max(1, milliseconds // 1000))


def _kind(provider: Provider) -> str:
    told = provider.get("mailboxtype", "kind", "type", "entitytype").casefold()
    return "forward" if "forward" in told else "queue" if "queue" in told else "user"


def _name(provider: Provider, taken: set[str]) -> str:
    """As the old router called it, where it did, and like no other."""
    name = provider.get("profilename", "profile", "name")[:90] or provider.direction.capitalize()
    numbered = (f"{name}{number}" for number in itertools.count(2))
    return name if name not in taken else next(each for each in numbered if each not in taken)


def _variable(account: str) -> str:
    return "CRM_ROUTER_PASSWORD_" + re.sub(r"[^A-Z0-9]+", "_", account.upper()).strip("_")


def _table(values: Mapping[str, Any], secrets: list[str]) -> Table:
    table = tomlkit.table()
    for key, value in values.items():
        table.add(key, value)
        if isinstance(value, str) and value.startswith("env:"):
            secrets.append(value.removeprefix("env:"))
            table[key].comment("to be set: the old router's is encrypted and cannot be read")
    return table
