"""A conversion as the text of profiles.toml, with its comments."""

from collections.abc import Mapping
from typing import Final

import tomlkit
from tomlkit.items import Table

from worker.migration.conversion import Conversion
from worker.profiles.model import Mailbox, Profile

_ORDER: Final = (*Profile.model_fields, *Mailbox.model_fields)
_SECRETS: Final = ("password", "client_secret", "certificate")


def written(conversion: Conversion, source: str) -> str:
    """`source` is named as where it comes from."""
    document = tomlkit.document()
    for line in _head(conversion, source):
        document.add(tomlkit.comment(line))
    for kind, tables in (("profile", conversion.profiles), ("mailbox", conversion.mailboxes)):
        array = tomlkit.aot()
        for each in tables:
            array.append(_table(each.keys, each.comments))
        if tables:
            document.add(tomlkit.nl())
            document.add(kind, array)
    return tomlkit.dumps(document)


def _head(conversion: Conversion, source: str) -> list[str]:
    lines = [f"Made of {source} by 'mailrouter profiles import'.", "Check it with 'mailrouter profiles validate'."]
    if conversion.settings:
        lines += ["", "Settings for the workers:"]
        lines += [f"  {variable}={value}" for variable, value in conversion.settings.items()]
    secrets = [
        str(each.keys[key])
        for each in (*conversion.profiles, *conversion.mailboxes)
        for key in _SECRETS
        if key in each.keys
    ]
    if secrets:
        lines += ["", "Secrets to be put there (or name files, file:/path, in their places):"]
        lines += [f"  {each.removeprefix('env:')}" for each in dict.fromkeys(secrets)]
    return [" ".join(line.split("\n")) for line in lines]


def _table(keys: Mapping[str, object], comments: Mapping[str, str]) -> Table:
    table = tomlkit.table()
    for key, value in sorted(keys.items(), key=lambda each: _ORDER.index(each[0])):
        item = tomlkit.item(value)
        comment = comments.get(key) or ("put the secret there" if key in _SECRETS else "")
        if comment:
            item.comment(comment)
        table.add(key, item)
    return table
