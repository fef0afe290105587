"""The server without HTTP: who asks, what for, and what the operations stand on."""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from worker.clock import Clock, SystemClock
from worker.sandbox.arrivals import Arrivals
from worker.sandbox.departures import Departures
from worker.sandbox.directory import Directory, User
from worker.sandbox.faults import KINDS, Faults, Subject
from worker.sandbox.item import Item
from worker.sandbox.options import Options
from worker.sandbox.soap import Element, Fault, Refusal, local, t
from worker.sandbox.store import Folder, Mailbox, Store
from worker.sandbox.subscriptions import Subscriptions
from worker.sandbox.tokens import Tokens


@dataclass(frozen=True, slots=True)
class Call:
    """One request, read: what is asked, and the account acted as (signed in, or impersonated).

    `milliseconds`: times are to be shown so (header DateTimePrecision), not in whole seconds.
    """

    operation: str
    element: Element
    user: User
    milliseconds: bool = False


class Exchange:
    def __init__(
        self,
        directory: Directory | None = None,
        options: Options | None = None,
        faults: Faults | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.clock = clock or SystemClock()
        self.directory = directory or Directory(open_domains=("contoso.example",))
        self.options = options or Options()
        self.faults = faults or Faults()
        self.store = Store(self.clock.now, self.options.most_gone)
        self.arrivals = Arrivals(self.store, self.directory)
        self.departures = Departures(self.store, self.arrivals, self.options, self.clock)
        self.subscriptions = Subscriptions(self.options, self.clock, self.store.birth)
        self.tokens = Tokens(self.directory.applications, self.options, self.clock)
        self.requests: Counter[str] = Counter()
        self.between_folders: Callable[[], Awaitable[None]] | None = None
        """Awaited between two folders of one FindItem, if set: a test's chance to let something happen there."""

    def mailbox(self, address: str) -> Mailbox:
        """Raises Refusal ErrorNonExistentMailbox."""
        return self.arrivals.mailbox(address)

    def own_mailbox(self, call: Call) -> Mailbox:
        """That of the account acted as. Raises Refusal where it cannot be reached."""
        return self._reached(self.mailbox(call.user.address))

    def _reached(self, mailbox: Mailbox) -> Mailbox:
        """Raises Refusal by the mailbox's state."""
        owner = self.directory.users[mailbox.address.casefold()]
        if owner.state == "moving":
            raise Refusal("ErrorMailboxMoveInProgress", "The mailbox is being moved. Try again later.")
        if owner.state in ("moved", "gone"):
            raise Refusal("ErrorNonExistentMailbox", "No mailbox with such guid.")
        return mailbox

    def refuse_if_full(self, mailbox: Mailbox, size: int) -> None:
        """Raises Refusal ErrorQuotaExceeded where so many bytes more do not fit in."""
        limit = self.options.max_mailbox_bytes
        beyond = limit is not None and mailbox.used_bytes + size > limit
        if beyond or self.directory.users[mailbox.address.casefold()].state == "quota":
            raise Refusal("ErrorQuotaExceeded", "The message store has reached its maximum size.")

    def is_shut(self, signed_in: User, call: Call) -> bool:
        """Whether EWS is off: for all, for the application that asks, or for who asks or is acted for."""
        allowed = self.options.ews_allowed_app_ids
        if signed_in.is_application and allowed is not None and signed_in.address not in allowed:
            return True
        return not self.options.ews_enabled or "ews-disabled" in (signed_in.state, call.user.state)

    def arrive(
        self,
        address: str,
        mail: bytes | Item,
        *,
        item_class: str = "",
        received_at: datetime | None = None,
        folder: str = "inbox",
    ) -> Item:
        """Mail from outside comes into a mailbox; see `Arrivals.arrive`."""
        return self.arrivals.arrive(address, mail, item_class=item_class, received_at=received_at, folder=folder)

    def forget_sync_states(self, address: str = "") -> None:
        """From now on no sync state given out for this mailbox is known; without an address, for none at all."""
        for mailbox in [self.mailbox(address)] if address else self.store.mailboxes.values():
            mailbox.sync_generation += 1

    def folder(self, call: Call, target: Element, denied: str = "ErrorAccessDenied") -> Folder:
        """The folder that a FolderId or DistinguishedFolderId means. Raises Refusal, with the code `denied` where the
        user has no right to it.
        """
        if local(target) == "FolderId":
            found = self.store.folders.get(target.get("Id") or "")
            if found is None:
                raise Refusal("ErrorFolderNotFound", "The specified folder could not be found in the store.")
        else:
            named = target.findtext(f"{t('Mailbox')}/{t('EmailAddress')}")
            folders = self.mailbox(named or call.user.address).folders
            found = folders.get(target.get("Id") or "")
            if found is None:
                raise Refusal("ErrorFolderNotFound", "The specified folder could not be found in the store.")
        self._reached(found.mailbox)
        if not self._may_open(call.user, found.mailbox):
            raise Refusal(denied, "Access is denied. Check credentials and try again.")
        return found

    def target_folder(self, call: Call, parent: Element | None) -> Folder | None:
        """The folder inside a TargetFolderIdType element; None where there is no such element. Raises Refusal."""
        if parent is None:
            return None
        if len(parent) == 0:
            raise Fault("ErrorSchemaValidation", "The request failed schema validation: a folder id is missing.")
        return self.folder(call, parent[0])

    def item(self, call: Call, item_id: Element) -> Item:
        """The item an ItemId means; its ChangeKey is not looked at. Raises Refusal."""
        found = self.store.item(item_id.get("Id") or "")
        self.open(call, found)
        return found

    def open(self, call: Call, item: Item) -> None:
        """Raises Refusal: ErrorAccessDenied where the user has no right to the item's mailbox, and by its state."""
        assert item.folder is not None
        self._reached(item.folder.mailbox)
        if not self._may_open(call.user, item.folder.mailbox):
            raise Refusal("ErrorAccessDenied", "Access is denied. Check credentials and try again.")

    def refuse_if_ordered(self, operation: str, item: Item, mailbox: str = "") -> None:
        """Raises the Refusal that was ordered for this item, if any. `mailbox` is where an item will be that is in
        no folder yet.
        """
        kind = self.faults.of_item(operation, subject(item, mailbox), "item")
        if kind == "stale" and item.folder is not None:
            self.store.touch(item)
        elif kind == "vanished" and item.folder is not None:
            self.store.remove(item)
        self._refuse(kind)

    def _refuse(self, kind: str | None) -> None:
        if kind is None:
            return
        busy = KINDS[kind].code == "ErrorServerBusy"
        refusal = Refusal(
            KINDS[kind].code,
            f"Ordered by the fault {kind}.",
            back_off_milliseconds=self.options.back_off_milliseconds if busy else None,
        )
        refusal.stops_batch = kind == "batchstop"
        raise refusal

    def refuse_mailbox_if_ordered(self, operation: str, folder: Folder) -> None:
        """Likewise for an operation on a folder: what counts is whose it is, and who asks for it."""
        self._refuse(self.faults.of_item(operation, _owner(folder), "item"))

    def refuse_state_if_ordered(self, operation: str, folder: Folder) -> None:
        """Likewise where a sync state is given."""
        self._refuse(self.faults.of_item(operation, _owner(folder), "state"))

    def refuse_reading_if_ordered(self, operation: str, item: Item, *, with_content: bool) -> None:
        """Likewise for an item that is read, `with_content` its body, header or MIME too."""
        self.refuse_if_ordered(operation, item)
        if with_content:
            self._refuse(self.faults.of_item(operation, subject(item), "content"))

    def deny_if_ordered(self, operation: str, item: Item) -> None:
        """Likewise, after the item's work is done."""
        kind = self.faults.of_item(operation, subject(item), "done")
        if kind is not None:
            raise Refusal(KINDS[kind].code, f"Ordered by the fault {kind}.")

    @staticmethod
    def _may_open(user: User, mailbox: Mailbox) -> bool:
        return mailbox.address.casefold() == user.key or user.may(user.full_access, mailbox.address)


def _owner(folder: Folder) -> Subject:
    address = folder.mailbox.address.casefold()
    return Subject(frozenset({address}), address)


def subject(item: Item, mailbox: str = "") -> Subject:
    """What faults may be ordered for: the item's people, and what stays the same when its mail is tried again."""
    people = [mailbox] if mailbox else []
    people += [each.address.casefold() for each in item.recipients]
    people += [each.address.casefold() for each in (item.from_, item.sender) if each is not None]
    if item.folder is not None:
        people.append(item.folder.mailbox.address.casefold())
    return Subject(frozenset(people), item.stamp or item.message_id or item.subject)
