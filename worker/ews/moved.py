"""Signs that a mailbox, or its server, may be somewhere else by now: whoever was told where it is asks again."""

from collections.abc import Sequence
from typing import Final

from worker.ews.answer import ResponseMessage
from worker.ews.trouble import Trouble

_SIGNS: Final = frozenset(
    {
        "unreachable",
        "certificate",
        "certificate-untrusted",
        "certificate-name",
        "certificate-expired",
        "http-301",
        "http-302",
        "http-307",
        "http-308",
        "http-404",
        "http-405",
        "ErrorNonExistentMailbox",
        "ErrorNoApplicableProxyCASServersAvailable",
        "ErrorNoRespondingCASInDestinationSite",
        "ErrorProxyRequestNotAllowed",
    }
)


def may_have_moved(got: Sequence[ResponseMessage] | Trouble) -> bool:
    if isinstance(got, Trouble):
        return got.code in _SIGNS
    return any(message.code in _SIGNS for message in got if not message.succeeded)
