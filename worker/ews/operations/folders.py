"""The folders beside the Inbox: FindFolder and CreateFolder (EWS reference, operations of these names)."""

from functools import cache
from typing import Final

from lxml import etree

from worker.ews.answer import ResponseMessage
from worker.ews.template import MESSAGES, TYPES, Filled, Template, build, folder, place
from worker.ews.text import escaped

PAGE: Final = 500
_T: Final = f"{{{TYPES}}}"


@cache
def _finding(impersonate: bool) -> Template:  # noqa: FBT001 - a key of the cache
    body = {
        "Traversal": "Shallow",
        "FolderShape": {
            "BaseShape": "IdOnly",
            "AdditionalProperties": {"_value_1": [{"FieldURI": {"FieldURI": "folder:DisplayName"}}]},
        },
        "IndexedPageFolderView": {"MaxEntriesReturned": PAGE, "Offset": place("offset"), "BasePoint": "Beginning"},
        "ParentFolderIds": {"_value_1": [folder("msgfolderroot")]},
    }
    return Template(etree.tostring(build("FindFolder", body, impersonate=impersonate)))


@cache
def _creating(impersonate: bool) -> Template:  # noqa: FBT001 - a key of the cache
    body = {
        "ParentFolderId": folder("msgfolderroot"),
        "Folders": {"_value_1": [{"Folder": {"DisplayName": place("name")}}]},
    }
    return Template(etree.tostring(build("CreateFolder", body, impersonate=impersonate)))


def find_request(mailbox: str, offset: int, *, impersonate: bool) -> Filled:
    """The request for one page of the folders there are."""
    return _finding(impersonate).fill({"mailbox": escaped(mailbox), "offset": str(offset).encode()})


def create_request(mailbox: str, name: str, *, impersonate: bool) -> Filled:
    return _creating(impersonate).fill({"mailbox": escaped(mailbox), "name": escaped(name)})


def found(message: ResponseMessage) -> tuple[dict[str, str], bool] | None:
    """Ids of folders by name (without case, as Exchange compares them), and whether that was the last page."""
    root = message.element.find(f"{{{MESSAGES}}}RootFolder")
    if root is None:
        return None
    return _ids(root), root.get("IncludesLastItemInRange", "true") in ("true", "1")


def created(message: ResponseMessage) -> str:
    """The id of the folder that was made, "" if the answer does not say."""
    return next(iter(_ids(message.element).values()), "")


def _ids(element: etree._Element) -> dict[str, str]:
    ids = {}
    for each in element.iter(_T + "FolderId"):
        parent = each.getparent()
        name = "" if parent is None else (parent.findtext(_T + "DisplayName") or "")
        ids[name.casefold()] = each.get("Id") or ""
    return ids
