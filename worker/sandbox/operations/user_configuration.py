"""UserConfiguration objects: what an application keeps of its own in a folder."""

import base64
import binascii
from collections.abc import Callable

from worker.sandbox.exchange import Call, Exchange
from worker.sandbox.item import change_key
from worker.sandbox.operations.operation import Operation, named_mailboxes
from worker.sandbox.soap import Element, Fault, Refusal, answer, escape, local, m, refused, success, t
from worker.sandbox.store import Configuration, Folder

Act = Callable[[Exchange, Call, Folder, str], str]


async def _handle(exchange: Exchange, call: Call) -> bytes:
    name = next(call.element.iter(m("UserConfigurationName"), t("UserConfigurationName")), None)
    if name is None or not name.get("Name"):
        raise Fault("ErrorSchemaValidation", "The request failed schema validation: UserConfigurationName.")
    act = _ACTS[call.operation]
    try:
        folder = exchange.target_folder(call, name)
        assert folder is not None
        exchange.refuse_mailbox_if_ordered(call.operation, folder)
        inner = act(exchange, call, folder, name.get("Name") or "")
    except Refusal as refusal:
        return answer(call.operation, [refused(call.operation, refusal)])
    return answer(call.operation, [success(call.operation, inner)])


def _create(exchange: Exchange, call: Call, folder: Folder, name: str) -> str:
    if name.casefold() in folder.configurations:
        raise Refusal("ErrorItemSave", "The object already exists.")
    given = _given(call)
    exchange.refuse_if_full(folder.mailbox, sum(map(len, given.values())))
    _set(exchange, folder, exchange.store.configuration(folder, name), given)
    return ""


def _update(exchange: Exchange, call: Call, folder: Folder, name: str) -> str:
    found, given = _found(folder, name), _given(call)
    exchange.refuse_if_full(folder.mailbox, sum(map(len, given.values())))
    _set(exchange, folder, found, given)
    return ""


def _delete(_exchange: Exchange, _call: Call, folder: Folder, name: str) -> str:
    folder.mailbox.used_bytes -= _found(folder, name).size
    del folder.configurations[name.casefold()]
    return ""


def _get(_exchange: Exchange, call: Call, folder: Folder, name: str) -> str:
    found = _found(folder, name)
    asked = set((call.element.findtext(m("UserConfigurationProperties")) or "").split())
    if not asked or not asked <= {"Id", "Dictionary", "XmlData", "BinaryData", "All"}:
        raise Fault("ErrorSchemaValidation", "The request failed schema validation: UserConfigurationProperties.")
    everything = "All" in asked
    folder_id = f'<t:FolderId Id="{folder.id}" ChangeKey="{folder.change_key}"/>'
    parts = [f'<t:UserConfigurationName Name="{escape(found.name)}">{folder_id}</t:UserConfigurationName>']
    if everything or "Id" in asked:
        parts.append(f'<t:ItemId Id="{found.id}" ChangeKey="{change_key(found.change)}"/>')
    if (everything or "Dictionary" in asked) and found.dictionary is not None:
        parts.append(found.dictionary)
    for element, content in (("XmlData", found.xml_data), ("BinaryData", found.binary_data)):
        if (everything or element in asked) and content is not None:
            parts.append(f"<t:{element}>{base64.b64encode(content).decode()}</t:{element}>")
    return f"<m:UserConfiguration>{''.join(parts)}</m:UserConfiguration>"


def _found(folder: Folder, name: str) -> Configuration:
    found = folder.configurations.get(name.casefold())
    if found is None:
        raise Refusal("ErrorItemNotFound", "The specified object was not found in the store.")
    return found


def _given(call: Call) -> dict[str, str | bytes]:
    """The properties a request sets, by the names of the fields of `Configuration`."""
    configuration = call.element.find(m("UserConfiguration"))
    if configuration is None:
        raise Fault("ErrorSchemaValidation", "The request failed schema validation: UserConfiguration is missing.")
    given: dict[str, str | bytes] = {}
    for child in configuration:
        if local(child) == "Dictionary":
            given["dictionary"] = _dictionary(child)
        elif local(child) in ("XmlData", "BinaryData"):
            given["xml_data" if local(child) == "XmlData" else "binary_data"] = _decoded(child)
    return given


def _dictionary(element: Element) -> str:
    entries = [
        "<t:DictionaryEntry>"
        + "".join(
            f"<t:{local(each)}>{_objects(each)}</t:{local(each)}>" if len(each) else _nothing(each) for each in entry
        )
        + "</t:DictionaryEntry>"
        for entry in element
    ]
    return f"<t:Dictionary>{''.join(entries)}</t:Dictionary>"


def _objects(element: Element) -> str:
    return "".join(f"<t:{local(each)}>{escape(each.text or '')}</t:{local(each)}>" for each in element)


def _nothing(element: Element) -> str:
    return f'<t:{local(element)} xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:nil="true"/>'


def _decoded(element: Element) -> bytes:
    try:
        return base64.b64decode("".join((element.text or "").split()), validate=True)
    except binascii.Error:
        raise Fault("ErrorSchemaValidation", f"The request failed schema validation: {local(element)}.") from None


def _set(exchange: Exchange, folder: Folder, configuration: Configuration, given: dict[str, str | bytes]) -> None:
    """What is not given stays as it was."""
    before = configuration.size
    for field, value in given.items():
        setattr(configuration, field, value)
    configuration.change = exchange.store.next_change()
    folder.mailbox.used_bytes += configuration.size - before


_ACTS: dict[str, Act] = {
    "CreateUserConfiguration": _create,
    "DeleteUserConfiguration": _delete,
    "GetUserConfiguration": _get,
    "UpdateUserConfiguration": _update,
}
USER_CONFIGURATION = Operation(_handle, named_mailboxes)
