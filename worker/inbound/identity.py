"""What makes a mail that mail, so that one that is published twice carries the same id."""

import hashlib
import json
from datetime import UTC, datetime

from worker.mail.address import same_mailbox
from worker.mail.incoming import IncomingMail


def event_id(mailbox: str, mail: IncomingMail) -> str:
    """The id of a mail's event, from the mail as the mail system gives it.

    A Message-ID alone does not do: some senders use one twice, some use none. The item's id does not either, since it
    changes when the mail is moved. Times are compared as moments, whatever zone they are told in.
    """
    parts = (
        same_mailbox(mailbox),
        mail.message_id,
        _moment(mail.received_at),
        mail.search_key,
        mail.from_.address if mail.from_ else "",
        mail.subject,
        _moment(mail.sent_at),
    )
    # JSON in ASCII: it carries halves of surrogate pairs, too, which a raw subject may hold.
    return hashlib.sha256(json.dumps(parts).encode("ascii")).hexdigest()[:32]


def _moment(time: datetime | None) -> str:
    if time is None:
        return ""
    aware = time if time.tzinfo else time.replace(tzinfo=UTC)
    return f"{(aware - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds():.6f}"
