"""SyncFolderHierarchy: which folders there are since a state. Here they only become more."""

from worker.sandbox.exchange import Call, Exchange
from worker.sandbox.operations.folders import folder_xml
from worker.sandbox.operations.operation import Operation, named_mailboxes
from worker.sandbox.soap import Fault, Refusal, answer, m, refused, success
from worker.sandbox.store import Folder
from worker.sandbox.sync_state import invalid, sealed, unsealed


async def _handle(exchange: Exchange, call: Call) -> bytes:
    if call.element.find(m("FolderShape")) is None:
        raise Fault("ErrorSchemaValidation", "The request failed schema validation: FolderShape is missing.")
    target = call.element.find(m("SyncFolderId"))
    try:
        top = exchange.target_folder(call, target) or exchange.own_mailbox(call).folders["root"]
        exchange.refuse_mailbox_if_ordered("SyncFolderHierarchy", top)
        known = _known(top, call.element.findtext(m("SyncState")) or "")
    except Refusal as refusal:
        return answer("SyncFolderHierarchy", [refused("SyncFolderHierarchy", refusal)])
    folders = list(top.mailbox.folders.values())
    state = sealed([top.mailbox.sync_generation, top.id, len(folders)], exchange.options.sync_state_characters)
    told = "".join(f"<t:Create>{folder_xml(each)}</t:Create>" for each in folders[known:] if _is_below(each, top))
    inner = (
        f"<m:SyncState>{state}</m:SyncState><m:IncludesLastFolderInRange>true</m:IncludesLastFolderInRange>"
        f"<m:Changes>{told}</m:Changes>"
    )
    return answer("SyncFolderHierarchy", [success("SyncFolderHierarchy", inner)])


def _known(top: Folder, state: str) -> int:
    """How many folders of the mailbox the client knows. Raises Refusal ErrorInvalidSyncStateData."""
    if not state:
        return 0
    *of, known = unsealed(state)
    if of != [str(top.mailbox.sync_generation), top.id]:
        raise invalid()
    return int(known)


def _is_below(folder: Folder, top: Folder) -> bool:
    above = folder.parent
    while above is not None and above is not top:
        above = above.parent
    return above is top


SYNC_FOLDER_HIERARCHY = Operation(_handle, named_mailboxes)
