"""GetFolder, FindFolder, CreateFolder: what folders there are."""

from collections.abc import Iterator

from worker.sandbox.exchange import Call, Exchange
from worker.sandbox.operations.operation import Operation, each
from worker.sandbox.soap import Element, Fault, Refusal, answer, escape, local, m, t
from worker.sandbox.store import Folder


async def _get(exchange: Exchange, call: Call) -> bytes:
    def act(folder_id: Element) -> str:
        folder = exchange.folder(call, folder_id, denied="ErrorFolderNotFound")
        return f"<m:Folders>{folder_xml(folder)}</m:Folders>"

    return answer("GetFolder", each("GetFolder", _ids(call, "FolderIds"), act, "<m:Folders/>"))


async def _find(exchange: Exchange, call: Call) -> bytes:
    deep = call.element.get("Traversal") == "Deep"
    restriction = call.element.find(m("Restriction"))

    def act(folder_id: Element) -> str:
        parent = exchange.folder(call, folder_id, denied="ErrorFolderNotFound")
        below = list(_below(parent, deep=deep))
        if restriction is not None:
            below = [one for one in below if _holds(restriction, one)]
        return (
            f'<m:RootFolder IndexedPagingOffset="{len(below)}" TotalItemsInView="{len(below)}" '
            f'IncludesLastItemInRange="true"><t:Folders>{"".join(folder_xml(one) for one in below)}</t:Folders>'
            "</m:RootFolder>"
        )

    return answer("FindFolder", each("FindFolder", _ids(call, "ParentFolderIds"), act))


async def _create(exchange: Exchange, call: Call) -> bytes:
    parent_id, folders = call.element.find(m("ParentFolderId")), call.element.find(m("Folders"))
    if parent_id is None or folders is None or len(folders) == 0:
        raise Fault("ErrorSchemaValidation", "The request failed schema validation: ParentFolderId or Folders.")

    def act(element: Element) -> str:
        parent = exchange.target_folder(call, parent_id)
        assert parent is not None
        exchange.refuse_mailbox_if_ordered("CreateFolder", parent)
        name = element.findtext(t("DisplayName")) or ""
        if not name.strip():
            raise Refusal("ErrorFolderSave", "The display name is missing.")
        made = exchange.store.create_folder(parent, name, element.findtext(t("FolderClass")) or "IPF.Note")
        return (
            f'<m:Folders><t:{made.element}><t:FolderId Id="{made.id}" ChangeKey="{made.change_key}"/>'
            f"</t:{made.element}></m:Folders>"
        )

    return answer("CreateFolder", each("CreateFolder", folders, act, "<m:Folders/>"))


def _ids(call: Call, name: str) -> Element:
    ids = call.element.find(m(name))
    if ids is None or len(ids) == 0:
        raise Fault("ErrorSchemaValidation", f"The request failed schema validation: {name} is missing or empty.")
    return ids


def _below(parent: Folder, *, deep: bool) -> Iterator[Folder]:
    for folder in parent.mailbox.folders.values():
        if folder.parent is parent:
            yield folder
            if deep:
                yield from _below(folder, deep=True)


def _holds(restriction: Element, folder: Folder) -> bool:
    """The one condition folders are looked for by: a DisplayName, equal or contained."""
    condition = restriction[0]
    path, constant = condition.find(t("FieldURI")), next(condition.iter(t("Constant")), None)
    if path is None or path.get("FieldURI") != "folder:DisplayName" or constant is None:
        raise Refusal("ErrorUnsupportedQueryFilter", "The sandbox looks for folders by their DisplayName only.")
    wanted, found = (constant.get("Value") or "").casefold(), folder.display_name.casefold()
    if local(condition) == "IsEqualTo" or condition.get("ContainmentMode") == "FullString":
        return wanted == found
    return wanted in found


def folder_xml(folder: Folder) -> str:
    parent = folder.parent or folder
    children = sum(1 for _ in _below(folder, deep=False))
    unread = sum(1 for item in folder.items.values() if not item.is_read) if folder.name == "inbox" else 0
    tail = f"<t:UnreadCount>{unread}</t:UnreadCount>" if folder.element in ("Folder", "TasksFolder") else ""
    named = f"<t:DistinguishedFolderId>{folder.name}</t:DistinguishedFolderId>" if folder.name else ""
    return (
        f'<t:{folder.element}><t:FolderId Id="{folder.id}" ChangeKey="{folder.change_key}"/>'
        f'<t:ParentFolderId Id="{parent.id}" ChangeKey="{parent.change_key}"/>'
        f"<t:FolderClass>{escape(folder.folder_class or 'IPF')}</t:FolderClass>"
        f"<t:DisplayName>{escape(folder.display_name)}</t:DisplayName><t:TotalCount>{len(folder.items)}</t:TotalCount>"
        f"<t:ChildFolderCount>{children}</t:ChildFolderCount>"
        f"{named}{tail}</t:{folder.element}>"
    )


CREATE_FOLDER = Operation(_create)
GET_FOLDER = Operation(_get)
FIND_FOLDER = Operation(_find)
