"""Requests of the inbound half, as the schema has them: ours here; Microsoft's own by hand."""

from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from tests.unit.ews.build import MESSAGES, SOAP, TYPES
from worker.events.schemas import schemas_path
from worker.ews.operations import (
    conversation,
    finish,
    folders,
    get_attachment,
    get_folder,
    get_item,
    newest,
    streaming,
    sync_folder_items,
    user_configuration,
)
from worker.ews.operations.get_attachment import Form
from worker.ews.operations.get_item import Extent
from worker.ews.template import Filled

SCHEMA = etree.XMLSchema(etree.parse(schemas_path() / "ews" / "messages.xsd"))
NAMES = {"s": SOAP, "m": MESSAGES, "t": TYPES}
ANNA = "anna@contoso.example"
IDS = ["AAMk+/=", 'B"&<']

REQUESTS: dict[str, Callable[..., Filled]] = {
    "SyncFolderItems since ever": partial(sync_folder_items.request, ANNA, "", 512),
    "SyncFolderItems": partial(sync_folder_items.request, ANNA, "H4sI+/=", 10),
    "FindItem newest": partial(newest.request, ANNA, offset=3, size=50),
    **{f"GetItem {extent.name}": partial(get_item.request, ANNA, IDS, extent) for extent in Extent},
    **{f"GetAttachment {form.name}": partial(get_attachment.request, ANNA, "AAMk", form) for form in Form},
    "GetUserConfiguration": partial(user_configuration.get_request, ANNA, "CrmMailRouter"),
    "CreateUserConfiguration": partial(user_configuration.create_request, ANNA, "CrmMailRouter", '{"state": "é"}'),
    "UpdateUserConfiguration": partial(user_configuration.update_request, ANNA, "CrmMailRouter", ""),
    "DeleteUserConfiguration": partial(user_configuration.delete_request, ANNA, "CrmMailRouter"),
    "GetFolder": partial(get_folder.request, ANNA),
    "UpdateItem read": partial(finish.mark_read_request, ANNA, IDS),
    "DeleteItem to the deleted items": partial(finish.delete_request, ANNA, IDS),
    "MoveItem": partial(finish.move_request, ANNA, IDS, "folder&"),
    "FindFolder": partial(folders.find_request, ANNA, 500),
    "CreateFolder": partial(folders.create_request, ANNA, "Done & <dusted>"),
    "GetConversationItems": partial(conversation.request, ANNA, "AAQk"),
    "Subscribe": partial(streaming.subscribe_request, ANNA),
    "GetStreamingEvents": partial(streaming.listen_request, ANNA, ["one", "two"], 30),
    "Unsubscribe": partial(streaming.unsubscribe_request, ANNA, "one"),
}


def valid(request: Filled) -> etree._Element:
    """The request, after the schema has passed its header blocks and its body."""
    root = etree.fromstring(b"".join(each for each in request if isinstance(each, bytes)))
    header, body = root
    for part in (*header, *body):
        assert SCHEMA.validate(part), SCHEMA.error_log
    assert len(body) == 1
    return root


def texts(root: etree._Element, path: str) -> list[str | None]:
    return [element.text for element in root.findall(path, NAMES)]


def asked_for(root: etree._Element) -> set[str | None]:
    return {element.get("FieldURI") for element in root.iter(f"{{{TYPES}}}FieldURI")}


@pytest.mark.parametrize("acts_as", [[], [ANNA]], ids=["itself", "mailbox"])
@pytest.mark.parametrize("name", REQUESTS)
def test_every_request_is_valid_and_names_whom_it_acts_as(name: str, acts_as: list[str]) -> None:
    root = valid(REQUESTS[name](impersonate=bool(acts_as)))

    assert root[1][0].tag == f"{{{MESSAGES}}}{name.split(maxsplit=1)[0]}"
    assert b"[[" not in etree.tostring(root)
    assert texts(root, "s:Header/t:ExchangeImpersonation/t:ConnectingSID/t:PrimarySmtpAddress") == acts_as


@pytest.mark.parametrize(
    "name",
    [
        "SyncFolderItems",
        "FindItem newest",
        "GetUserConfiguration",
        "CreateUserConfiguration",
        "FindFolder",
        "CreateFolder",
        "Subscribe",
    ],
)
def test_every_folder_is_named_with_its_mailbox(name: str) -> None:
    found = valid(REQUESTS[name](impersonate=False)).findall(".//t:DistinguishedFolderId", NAMES)

    assert [texts(folder, "t:Mailbox/t:EmailAddress") for folder in found] == [[ANNA]]


def test_ids_are_asked_for_in_order_and_as_they_are() -> None:
    for name in ("GetItem WHOLE", "MoveItem", "DeleteItem to the deleted items", "UpdateItem read"):
        root = valid(REQUESTS[name](impersonate=False))

        assert [each.get("Id") for each in root.iter(f"{{{TYPES}}}ItemId")] == IDS


def test_a_bare_mail_is_asked_for_without_what_may_be_corrupt() -> None:
    whole, bare = (
        asked_for(valid(get_item.request(ANNA, IDS, each, impersonate=False))) for each in (Extent.WHOLE, Extent.BARE)
    )

    assert whole - bare == {"item:Body", "item:TextBody", "item:InternetMessageHeaders"}


def test_times_come_alike_in_every_read_of_a_mail() -> None:
    roots = [valid(get_item.request(ANNA, IDS, each, impersonate=False)) for each in Extent]

    assert [texts(root, "s:Header/t:DateTimePrecision") for root in roots] == [["Milliseconds"]] * len(roots)


def test_nobody_is_sent_a_receipt_for_what_a_program_read() -> None:
    for name in ("UpdateItem read", "DeleteItem to the deleted items"):
        assert valid(REQUESTS[name](impersonate=False))[1][0].get("SuppressReadReceipts") == "true"


def test_more_changes_than_exchange_gives_are_not_asked_for() -> None:
    most = [valid(sync_folder_items.request(ANNA, "", each, impersonate=False)) for each in (0, 7, 9999)]

    assert [texts(root, ".//m:MaxChangesReturned") for root in most] == [["1"], ["7"], ["512"]]


@given(st.text(), st.text(min_size=1))
def test_no_text_can_break_a_request(note: str, name: str) -> None:
    valid(
        user_configuration.update_request(ANNA, "A" + name, note.encode("utf-8", "ignore").decode(), impersonate=True)
    )
    valid(folders.create_request(ANNA, name, impersonate=True))
    valid(sync_folder_items.request(ANNA, name, 1, impersonate=True))
