"""What the keys of one profile must be to each other, said of the table as it was written: so that all of it is told at
once, also where a single key is wrong besides.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from worker.profiles.model import OF_OAUTH, PRESETS, Profile


def faults(table: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(key, what is wrong) of a `[[profile]]` table."""
    given = _completed(table)
    yield from _location(given)
    if given["authentication"] == "oauth2":
        yield from _oauth(given)
    elif given["authentication"] in ("clear-text", "ntlm"):
        yield from _password(given, table)
    account_sends = given["direction"] == "outgoing" and given["access"] in ("send-as", "delegate")
    of_profile = given["credentials"] == "other-specified" and given["user_type"] == "administrator"
    if account_sends and of_profile and "@" not in str(given["username"] or ""):
        yield (
            "username",
            f'must be the account\'s mail address: with access = "{given["access"]}" its mailbox sends',
        )


def _completed(table: Mapping[str, Any]) -> dict[str, Any]:
    """With what the server and the defaults fill in."""
    defaults = {key: field.default for key, field in Profile.model_fields.items()}
    preset = PRESETS.get(str(table.get("server")), {})
    if table.get("autodiscover") is True:
        preset = {key: value for key, value in preset.items() if key != "location"}
    return {**defaults, **preset, **table}


def _location(given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if given["autodiscover"] is True and given["location"]:
        yield "location", "is not asked for with autodiscover = true: give one of the two"
    if given["autodiscover"] is False and not given["location"]:
        yield "location", "is missing: the URL of EWS, or autodiscover = true"


def _oauth(given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if given["credentials"] == "user-specified":
        yield (
            "credentials",
            '"user-specified" has no use with oauth2, where an application signs in: use "other-specified"',
        )
    if given["user_type"] == "user":
        yield "user_type", 'with oauth2 an application signs in, and acts for others: use "administrator"'
    if given["direction"] == "incoming" and given["access"] != "impersonation":
        yield "access", 'with oauth2 mailboxes are read by "impersonation"'
    for key in ("tenant_id", "client_id"):
        if given[key] is None:
            yield key, 'is missing: authentication = "oauth2" needs it'
    if given["client_secret"] is None and given["certificate"] is None:
        yield "client_secret", 'is missing: authentication = "oauth2" needs it, or certificate'
    if given["client_secret"] is not None and given["certificate"] is not None:
        yield "client_secret", "is one too many beside certificate: give one of the two"
    if given["password"] is not None:
        yield "password", "has no use with oauth2; client_secret or certificate stand in its place"


def _password(given: Mapping[str, Any], table: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key in OF_OAUTH:
        if key in table:
            yield key, 'has a use only with authentication = "oauth2"'
    if given["credentials"] == "other-specified":
        for key in ("username", "password"):
            if given[key] is None:
                yield key, 'is missing: credentials = "other-specified" needs it'
    elif table.get("user_type") == "administrator":
        yield "user_type", '"administrator" needs credentials = "other-specified"'
