"""A raw EWS client of the tests: requests written by hand, answers read with lxml. No code of ours in between."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from xml.sax.saxutils import escape

import aiohttp
from aiohttp.client import _RequestContextManager
from lxml import etree

S = "http://schemas.xmlsoap.org/soap/envelope/"
T = "http://schemas.microsoft.com/exchange/services/2006/types"
M = "http://schemas.microsoft.com/exchange/services/2006/messages"
NAMES = {"s": S, "t": T, "m": M}
PROPERTY_SET = "6f0d63a4-2b0c-4d0e-9c5b-c7a4de0c2d11"
STAMP_PATH = f'<t:ExtendedFieldURI PropertySetId="{PROPERTY_SET}" PropertyName="RequestStamp" PropertyType="String"/>'


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    challenges: tuple[str, ...] = ()
    """The ways to sign in that are offered."""

    @property
    def xml(self) -> etree._Element:
        return etree.fromstring(self.body)

    @property
    def codes(self) -> list[str]:
        """The response code of each response message; of a SOAP fault, its one, after "fault"."""
        found = self.texts("//m:ResponseCode")
        return found or ["fault", *self.texts("//*[local-name()='ResponseCode']")]

    def texts(self, path: str) -> list[str]:
        found = self.xml.xpath(path, namespaces=NAMES)
        assert isinstance(found, list)
        return [each if isinstance(each, str) else str(getattr(each, "text", None) or "") for each in found]

    @property
    def ids(self) -> list[tuple[str, str]]:
        """(Id, ChangeKey) of each item."""
        return list(zip(self.texts("//t:ItemId/@Id"), self.texts("//t:ItemId/@ChangeKey"), strict=True))


class Client:
    """Signs in with Basic, or with `authorization` as it is; `acting_as` is the address to impersonate."""

    def __init__(
        self, url: str, username: str, password: str = "sandbox", acting_as: str = "", authorization: str = ""
    ) -> None:
        self.url = url
        self.acting_as = acting_as
        self._headers = {
            "Authorization": authorization or "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode(),
            "Content-Type": "text/xml",
        }

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(headers=self._headers, connector=aiohttp.TCPConnector(force_close=True))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def post(self, body: bytes) -> Answer:
        async with self._session.post(self.url, data=body) as response:
            challenges = tuple(response.headers.getall("WWW-Authenticate", ()))
            return Answer(response.status, dict(response.headers), await response.read(), challenges)

    async def ask(self, operation: str) -> Answer:
        return await self.post(self._envelope(operation))

    def streaming(self, operation: str) -> _RequestContextManager:
        """The answer as it comes in, not read yet."""
        return self._session.post(self.url, data=self._envelope(operation))

    def _envelope(self, operation: str) -> bytes:
        header = ""
        if self.acting_as:
            header = (
                "<s:Header><t:ExchangeImpersonation><t:ConnectingSID><t:PrimarySmtpAddress>"
                f"{self.acting_as}</t:PrimarySmtpAddress></t:ConnectingSID></t:ExchangeImpersonation></s:Header>"
            )
        return (
            f'<s:Envelope xmlns:s="{S}" xmlns:t="{T}" xmlns:m="{M}">{header}<s:Body>{operation}</s:Body></s:Envelope>'
        ).encode()

    async def create(self, *messages: str, disposition: str = "SaveOnly", folder: str = "") -> Answer:
        saved = f"<m:SavedItemFolderId>{folder}</m:SavedItemFolderId>" if folder else ""
        return await self.ask(
            f'<m:CreateItem MessageDisposition="{disposition}">{saved}'
            f"<m:Items>{''.join(messages)}</m:Items></m:CreateItem>"
        )

    async def draft(self, **content: str) -> tuple[str, str]:
        """Id and ChangeKey of a new draft."""
        answer = await self.create(message(**content))
        assert answer.codes == ["NoError"], answer.body
        return answer.ids[0]

    async def send(self, *drafts: tuple[str, str], folder: str = "", save: bool = True) -> Answer:
        saved = f"<m:SavedItemFolderId>{folder}</m:SavedItemFolderId>" if folder else ""
        return await self.ask(
            f'<m:SendItem SaveItemToFolder="{str(save).lower()}">'
            f"<m:ItemIds>{_ids(drafts)}</m:ItemIds>{saved}</m:SendItem>"
        )

    async def update(self, draft: tuple[str, str], stamp: str, resolution: str = "NeverOverwrite") -> Answer:
        """Set the stamp."""
        return await self.ask(
            f'<m:UpdateItem ConflictResolution="{resolution}" MessageDisposition="SaveOnly"><m:ItemChanges>'
            f"<t:ItemChange>{_ids([draft])}<t:Updates><t:SetItemField>{STAMP_PATH}<t:Message>{stamped(stamp)}"
            "</t:Message></t:SetItemField></t:Updates></t:ItemChange></m:ItemChanges></m:UpdateItem>"
        )

    async def delete(self, *items: tuple[str, str], disposal: str = "HardDelete") -> Answer:
        return await self.ask(
            f'<m:DeleteItem DeleteType="{disposal}"><m:ItemIds>{_ids(items)}</m:ItemIds></m:DeleteItem>'
        )

    async def get(self, *items: tuple[str, str], shape: str = "", base: str = "Default") -> Answer:
        return await self.ask(
            f"<m:GetItem><m:ItemShape><t:BaseShape>{base}</t:BaseShape>{shape}</m:ItemShape>"
            f"<m:ItemIds>{_ids(items)}</m:ItemIds></m:GetItem>"
        )

    async def sync(
        self, state: str = "", most: int = 512, fields: Sequence[str] = (), folder: str = "inbox", ignore: str = ""
    ) -> Answer:
        known = f"<m:SyncState>{state}</m:SyncState>" if state else ""
        ignored = f'<m:Ignore><t:ItemId Id="{ignore}"/></m:Ignore>' if ignore else ""
        return await self.ask(
            f"<m:SyncFolderItems><m:ItemShape><t:BaseShape>IdOnly</t:BaseShape>{paths(*fields)}</m:ItemShape>"
            f"<m:SyncFolderId>{folder_id(folder)}</m:SyncFolderId>{known}{ignored}"
            f"<m:MaxChangesReturned>{most}</m:MaxChangesReturned></m:SyncFolderItems>"
        )

    async def move(self, *items: tuple[str, str], folder: str) -> Answer:
        return await self.ask(
            f"<m:MoveItem><m:ToFolderId>{folder_id(folder)}</m:ToFolderId><m:ItemIds>{_ids(items)}</m:ItemIds>"
            "</m:MoveItem>"
        )

    async def mark_read(self, *items: tuple[str, str], read: bool = True) -> Answer:
        flag = f"<t:IsRead>{str(read).lower()}</t:IsRead>"
        changes = "".join(
            f'<t:ItemChange>{_ids([each])}<t:Updates><t:SetItemField><t:FieldURI FieldURI="message:IsRead"/>'
            f"<t:Message>{flag}</t:Message></t:SetItemField></t:Updates></t:ItemChange>"
            for each in items
        )
        return await self.ask(
            '<m:UpdateItem ConflictResolution="AlwaysOverwrite" MessageDisposition="SaveOnly" '
            f'SuppressReadReceipts="true"><m:ItemChanges>{changes}</m:ItemChanges></m:UpdateItem>'
        )

    async def find(
        self,
        *folders: str,
        rows: int = 100,
        offset: int = 0,
        fields: Sequence[str] = ("item:IsSubmitted",),
        tail: str = "",
    ) -> Answer:
        """Newest modified first, with the stamp. `folders` are distinguished names or whole elements."""
        paths = "".join(f'<t:FieldURI FieldURI="{each}"/>' for each in fields)
        order = '<t:FieldOrder Order="Descending"><t:FieldURI FieldURI="item:LastModifiedTime"/></t:FieldOrder>'
        return await self.ask(
            '<m:FindItem Traversal="Shallow"><m:ItemShape><t:BaseShape>IdOnly</t:BaseShape>'
            f"<t:AdditionalProperties>{paths}{STAMP_PATH}</t:AdditionalProperties></m:ItemShape>"
            f'<m:IndexedPageItemView MaxEntriesReturned="{rows}" Offset="{offset}" BasePoint="Beginning"/>{tail}'
            f"<m:SortOrder>{order}</m:SortOrder>"
            f"<m:ParentFolderIds>{''.join(folder_id(each) for each in folders)}</m:ParentFolderIds></m:FindItem>"
        )

    async def counts(self, *folders: str) -> list[int]:
        """How many items there are in each folder."""
        return [int(each) for each in (await self.find(*folders)).texts("//m:RootFolder/@TotalItemsInView")]


def message(
    *,
    to: str = "x@customer.example",
    subject: str = "s",
    stamp: str = "",
    sent_from: str = "",
    message_id: str = "",
    attachments: str = "",
    body: str = "text",
    extra: str = "",
) -> str:
    """A Message element; `to` may hold several addresses with blanks between. `extra` follows the stamp."""
    people = "".join(f"<t:Mailbox><t:EmailAddress>{each}</t:EmailAddress></t:Mailbox>" for each in to.split())
    parts = [f'<t:Message><t:Subject>{escape(subject)}</t:Subject><t:Body BodyType="Text">{escape(body)}</t:Body>']
    parts.append(f"<t:Attachments>{attachments}</t:Attachments>" if attachments else "")
    parts.append((stamped(stamp) if stamp else "") + extra)
    parts.append(f"<t:ToRecipients>{people}</t:ToRecipients>" if people else "")
    if sent_from:
        parts.append(f"<t:From><t:Mailbox><t:EmailAddress>{sent_from}</t:EmailAddress></t:Mailbox></t:From>")
    parts.append(f"<t:InternetMessageId>{escape(message_id)}</t:InternetMessageId>" if message_id else "")
    return "".join(parts) + "</t:Message>"


def paths(*fields: str) -> str:
    """AdditionalProperties with these field URIs; nothing for none."""
    inner = "".join(f'<t:FieldURI FieldURI="{each}"/>' for each in fields)
    return f"<t:AdditionalProperties>{inner}</t:AdditionalProperties>" if inner else ""


def stamped(stamp: str) -> str:
    return f"<t:ExtendedProperty>{STAMP_PATH}<t:Value>{escape(stamp)}</t:Value></t:ExtendedProperty>"


def file(name: str, content: bytes) -> str:
    text = base64.b64encode(content).decode()
    return f"<t:FileAttachment><t:Name>{name}</t:Name><t:Content>{text}</t:Content></t:FileAttachment>"


def folder_id(folder: str, mailbox: str = "") -> str:
    """The element for a distinguished name, in somebody's mailbox; an element given is left as it is."""
    if folder.startswith("<"):
        return folder
    named = f"<t:Mailbox><t:EmailAddress>{mailbox}</t:EmailAddress></t:Mailbox>" if mailbox else ""
    return f'<t:DistinguishedFolderId Id="{folder}">{named}</t:DistinguishedFolderId>'


def _ids(items: Sequence[tuple[str, str]]) -> str:
    return "".join(
        f'<t:ItemId Id="{item}" ChangeKey="{key}"/>' if key else f'<t:ItemId Id="{item}"/>' for item, key in items
    )
