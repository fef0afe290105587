"""GetFolder: whether a mailbox can be opened at all (EWS reference, "GetFolder operation")."""

from functools import cache

from lxml import etree

from worker.ews.template import Filled, Template, build, folder
from worker.ews.text import escaped


@cache
def _template(impersonate: bool) -> Template:  # noqa: FBT001 - a key of the cache
    body = {"FolderShape": {"BaseShape": "IdOnly"}, "FolderIds": {"_value_1": [folder("msgfolderroot")]}}
    return Template(etree.tostring(build("GetFolder", body, impersonate=impersonate)))


def request(mailbox: str, *, impersonate: bool) -> Filled:
    """The request for the root of the folders that its owner sees."""
    return _template(impersonate).fill({"mailbox": escaped(mailbox)})
