"""May this mail leave: rights, recipients, limits; the checks Exchange makes when a mail is submitted."""

import re
from datetime import timedelta
from typing import Final

from worker.sandbox.directory import User
from worker.sandbox.exchange import Exchange
from worker.sandbox.item import Item, Recipient
from worker.sandbox.soap import Refusal
from worker.sandbox.store import Folder, Mailbox

_ADDRESS: Final = re.compile(r"[^\s@<>,;:\"]+@[^\s@<>,;:\"]+")
_MINUTE: Final = timedelta(seconds=60)


def submit(exchange: Exchange, user: User, item: Item, save_to: Folder | None) -> None:
    """Send an item of the store, all or nothing. Raises Refusal; then the item is as it was."""
    assert item.folder is not None
    mailbox = item.folder.mailbox
    sender, sent_from = _identity(exchange, user, item, mailbox)
    check_content(exchange, item)
    wait_seconds = _pace(exchange, mailbox)
    if save_to is not None and save_to.mailbox is not mailbox:
        _across_mailboxes(exchange, user, item, save_to)
        return
    item.sender, item.from_ = sender, sent_from
    _name(exchange, item, mailbox)
    exchange.departures.begin(item, save_to, wait_seconds)


def submit_unsaved(exchange: Exchange, user: User, item: Item, mailbox: Mailbox) -> None:
    """Send an item that is not in the store and keep no copy (SendOnly). Raises Refusal."""
    item.sender, item.from_ = _identity(exchange, user, item, mailbox)
    check_content(exchange, item)
    _pace(exchange, mailbox)
    _name(exchange, item, mailbox)
    item.sent_at = exchange.clock.now()
    exchange.departures.leave_at_once(item, mailbox.address)


def check_content(exchange: Exchange, item: Item) -> None:
    recipients = item.recipients
    if not recipients:
        raise Refusal("ErrorMissingRecipients", "The message has no recipients.")
    if any(each.routing_type == "SMTP" and not _ADDRESS.fullmatch(each.address) for each in recipients):
        raise Refusal("ErrorInvalidRecipients", "At least one recipient isn't valid.")
    if len(recipients) > exchange.options.max_recipients:
        raise Refusal("ErrorExceededMaxRecipientLimit", "The message has too many recipients.")
    if item.size > exchange.options.max_message_bytes:
        raise Refusal("ErrorMessageSizeExceeded", "The message exceeds the maximum supported size.")


def _identity(exchange: Exchange, user: User, item: Item, mailbox: Mailbox) -> tuple[Recipient, Recipient]:
    """(Sender, From) the mail leaves with. Which of the two a delegate becomes is decided by the rights alone."""
    wanted = item.from_ or item.sender or Recipient(mailbox.address)
    if wanted.address.casefold() == user.key:
        own = Recipient(user.address, wanted.name or user.name)
        return own, own
    principal = exchange.directory.find(wanted.address)
    if principal is not None and user.may(user.send_as, principal.address):
        sent_from = Recipient(principal.address, wanted.name or principal.name)
        return sent_from, sent_from
    if principal is not None and user.may(user.send_on_behalf, principal.address):
        return Recipient(user.address, user.name), Recipient(principal.address, wanted.name or principal.name)
    raise Refusal(
        "ErrorSendAsDenied",
        "The user account which was used to submit this request does not have the right to send mail on behalf of "
        "the specified sending account.",
    )


def _pace(exchange: Exchange, mailbox: Mailbox) -> float:
    """Seconds the mail must wait in the Outbox. Raises Refusal where the server refuses instead."""
    limit = exchange.options.messages_per_minute
    if limit is None:
        return 0.0
    now = exchange.clock.now()
    mailbox.sent_at = [each for each in mailbox.sent_at if each > now - _MINUTE]
    if len(mailbox.sent_at) < limit:
        mailbox.sent_at.append(now)
        return 0.0
    free_at = mailbox.sent_at[-limit] + _MINUTE
    wait_seconds = (free_at - now).total_seconds()
    if exchange.options.beyond_rate == "refuse":
        raise Refusal(
            "ErrorServerBusy",
            "The server cannot service this request right now. Try again later.",
            back_off_milliseconds=int(wait_seconds * 1000) + 1,
        )
    mailbox.sent_at.append(free_at)
    return wait_seconds


def _across_mailboxes(exchange: Exchange, user: User, item: Item, save_to: Folder) -> None:
    """Draft and copy in different mailboxes: Exchange answers Success, and something else happened.

    The copy goes to the delegate's own mailbox: the draft stays where it is, and nothing leaves. The copy goes to
    somebody else's: the mail leaves, the draft remains, and no copy exists.
    """
    if save_to.mailbox.address.casefold() == user.key:
        return
    assert item.folder is not None
    leaving = item.copied()
    leaving.sender, leaving.from_ = _identity(exchange, user, item, item.folder.mailbox)
    _name(exchange, leaving, item.folder.mailbox)
    exchange.departures.leave_at_once(leaving, item.folder.mailbox.address)


def _name(exchange: Exchange, item: Item, mailbox: Mailbox) -> None:
    """The Message-ID the mail leaves with: its own, or one the server gives it."""
    if not item.message_id or exchange.options.message_id == "overwrite":
        item.message_id = exchange.store.message_id(mailbox)
