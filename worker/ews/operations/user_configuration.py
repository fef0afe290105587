"""The note of ours in a mailbox: a UserConfiguration object on the Inbox, its BinaryData (EWS reference,
"GetUserConfiguration operation" and those of the three other acts).

It is an associated item of the folder: nobody sees it among the mail, and it goes where the mailbox goes.
"""

import base64
import binascii
from functools import cache

from lxml import etree

from worker.ews.answer import ResponseMessage
from worker.ews.template import TYPES, Filled, Template, build, folder, place
from worker.ews.text import escaped

_NAME = {**folder("inbox"), "Name": place("name")}


@cache
def _reading(impersonate: bool) -> Template:  # noqa: FBT001 - a key of the cache
    body = {"UserConfigurationName": _NAME, "UserConfigurationProperties": "BinaryData"}
    return Template(etree.tostring(build("GetUserConfiguration", body, impersonate=impersonate)))


@cache
def _writing(operation: str, impersonate: bool) -> Template:  # noqa: FBT001 - keys of the cache
    body = {"UserConfiguration": {"UserConfigurationName": _NAME, "BinaryData": b"[[note]]"}}
    envelope = build(operation, body, impersonate=impersonate)
    for element in envelope.iter(f"{{{TYPES}}}BinaryData"):
        element.text = place("note")
    return Template(etree.tostring(envelope))


@cache
def _deleting(impersonate: bool) -> Template:  # noqa: FBT001 - a key of the cache
    body = {"UserConfigurationName": _NAME}
    return Template(etree.tostring(build("DeleteUserConfiguration", body, impersonate=impersonate)))


def get_request(mailbox: str, name: str, *, impersonate: bool) -> Filled:
    return _reading(impersonate).fill({"mailbox": escaped(mailbox), "name": escaped(name)})


def create_request(mailbox: str, name: str, note: str, *, impersonate: bool) -> Filled:
    return _write("CreateUserConfiguration", mailbox, name, note, impersonate=impersonate)


def update_request(mailbox: str, name: str, note: str, *, impersonate: bool) -> Filled:
    return _write("UpdateUserConfiguration", mailbox, name, note, impersonate=impersonate)


def delete_request(mailbox: str, name: str, *, impersonate: bool) -> Filled:
    return _deleting(impersonate).fill({"mailbox": escaped(mailbox), "name": escaped(name)})


def _write(operation: str, mailbox: str, name: str, note: str, *, impersonate: bool) -> Filled:
    values = {"mailbox": escaped(mailbox), "name": escaped(name), "note": base64.b64encode(note.encode())}
    return _writing(operation, impersonate).fill(values)


def note(message: ResponseMessage) -> str:
    """The note in a successful answer; "" for one that is empty, or that nobody here has written."""
    data = next(message.element.iter(f"{{{TYPES}}}BinaryData"), None)
    try:
        return base64.b64decode("" if data is None else (data.text or "")).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""
