"""What older workers wrote, as it came over the broker: frozen. Whoever changes what workers write adds to this what
they wrote before, and takes nothing away as long as such workers, or messages of theirs, may still be about.

No version is released yet: these are of workers from before profiles were published through the broker.
"""

from typing import Any, Final

from worker.inbound.ticket import Carried, Hint, Listened, ListenTicket, Polled, PollTicket
from worker.mail.outcome import Reason, Scope
from worker.outbound.history import History

HEADERS: Final[dict[str, Any]] = {
    "x-attempts": 3,
    "x-waits": 2,
    "x-doubt": True,
    "x-empty-looks": 2,
    "x-told": "ErrorServerBusy",
    "x-first-seen-at": "2026-11-24T02:00:00.000Z",
}
"""Of a request that comes out of a delay tier."""

HISTORY: Final = History(3, 2, True, 2, "ErrorServerBusy", "2026-11-24T02:00:00.000Z")  # noqa: FBT003 - in the order above
"""What that is now: what they did not write has its default."""

CARRIED: Final[dict[bytes, Carried]] = {
    b'{"kind":"poll","number":7,"profile":"P","mailbox":"anna@contoso.example","note":"n","kept":false,'
    b'"suspect":"s","item":""}': PollTicket(7, "P", "anna@contoso.example", "n", kept=False, suspect="s"),
    b'{"kind":"poll","number":0,"profile":"P","mailbox":"anna@contoso.example","note":"","kept":true,"suspect":"",'
    b'"item":"AAMk="}': PollTicket(0, "P", "anna@contoso.example", item="AAMk="),
    b'{"kind":"listen","number":8,"profile":"P","mailboxes":["a@contoso.example"],"seconds":60.0}': ListenTicket(
        8, "P", ("a@contoso.example",), 60.0
    ),
    b'{"kind":"polled","number":7,"profile":"P","mailbox":"a@contoso.example","note":"n","kept":true,"more":true,'
    b'"published":3,"stuck":"","reason":{"code":"busy","scope":"server","message":"m","remedy":"r","request_id":"q"},'
    b'"retry_after_seconds":2.5}': Polled(
        *(7, "P", "a@contoso.example", "n"),
        more=True,
        published=3,
        reason=Reason("busy", Scope.SERVER, "m", "r", "q"),
        retry_after_seconds=2.5,
    ),
    b'{"kind":"hint","profile":"P","mailboxes":["a@contoso.example"]}': Hint("P", ("a@contoso.example",)),
    b'{"kind":"listened","number":8,"profile":"P","deaf":["a@contoso.example"]}': Listened(
        8, "P", ("a@contoso.example",)
    ),
}
"""Tickets and reports."""

CURSOR: Final = (
    '{"version":1,"state":"H4sIAAA=","walking":true,"since":"2026-11-24T02:00:00+00:00","present":["AAMk="]}'
)
"""The note in a mailbox. That of the mailboxes read today will be about in years."""

STATE: Final = (
    b'{"worker":"w","version":"0.1.0","roles":["outbound","inbound"],"started_at":"2026-11-24T02:00:00.000Z","profiles":4,'
    b'"outbound":{"in_progress":1,"paused":[]},"inbound":{"scheduler":true,"polling":1,"mailboxes":{"ok":3},"trouble":[],'
    b'"all":[]}}'
)
"""An answer to `mailrouter status`."""
