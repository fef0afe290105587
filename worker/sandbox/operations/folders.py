"""GetFolder and FindFolder: what folders there are. The tree is fixed."""

from collections.abc import Iterator

from worker.sandbox.exchange import Call, Exchange
from worker.sandbox.operations.operation import Operation, each
from worker.sandbox.soap import Element, Fault, answer, escape, m
from worker.sandbox.store import Folder


async def _get(exchange: Exchange, call: Call) -> bytes:
    def act(folder_id: Element) -> str:
        folder = exchange.folder(call, folder_id, denied="ErrorFolderNotFound")
        return f"<m:Folders>{_folder(folder)}</m:Folders>"

    return answer("GetFolder", each("GetFolder", _ids(call, "FolderIds"), act, "<m:Folders/>"))


async def _find(exchange: Exchange, call: Call) -> bytes:
    deep = call.element.get("Traversal") == "Deep"

    def act(folder_id: Element) -> str:
        parent = exchange.folder(call, folder_id, denied="ErrorFolderNotFound")
        below = list(_below(parent, deep=deep))
        return (
            f'<m:RootFolder IndexedPagingOffset="{len(below)}" TotalItemsInView="{len(below)}" '
            f'IncludesLastItemInRange="true"><t:Folders>{"".join(_folder(one) for one in below)}</t:Folders>'
            "</m:RootFolder>"
        )

    return answer("FindFolder", each("FindFolder", _ids(call, "ParentFolderIds"), act))


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


def _folder(folder: Folder) -> str:
    parent = folder.parent or folder
    children = sum(1 for _ in _below(folder, deep=False))
    unread = sum(1 for item in folder.items.values() if not item.is_read) if folder.name == "inbox" else 0
    tail = f"<t:UnreadCount>{unread}</t:UnreadCount>" if folder.element in ("Folder", "TasksFolder") else ""
    return (
        f'<t:{folder.element}><t:FolderId Id="{folder.id}" ChangeKey="{folder.change_key}"/>'
        f'<t:ParentFolderId Id="{parent.id}" ChangeKey="{parent.change_key}"/>'
        f"<t:FolderClass>{folder.folder_class or 'IPF'}</t:FolderClass>"
        f"<t:DisplayName>{escape(folder.display_name)}</t:DisplayName><t:TotalCount>{len(folder.items)}</t:TotalCount>"
        f"<t:ChildFolderCount>{children}</t:ChildFolderCount>"
        f"<t:DistinguishedFolderId>{folder.name}</t:DistinguishedFolderId>{tail}</t:{folder.element}>"
    )


GET_FOLDER = Operation(_get)
FIND_FOLDER = Operation(_find)
