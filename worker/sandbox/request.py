"""Reads a request: envelope, operation, and who is acted for."""

from typing import Final

from lxml import etree

from worker.sandbox.directory import User
from worker.sandbox.exchange import Call, Exchange
from worker.sandbox.soap import MESSAGES, SOAP, Element, Fault, local, t


class Unreadable(Exception):  # noqa: N818 - it becomes HTTP 400
    """No SOAP request at all."""


def read(exchange: Exchange, body: bytes, signed_in: User) -> Call:
    """Raises Unreadable, or Fault for XML that Exchange refuses and for impersonation that is not allowed."""
    try:
        envelope = etree.fromstring(body, PARSER)
    except etree.XMLSyntaxError as error:
        raise Fault("ErrorSchemaValidation", f"The request failed schema validation: {error.msg}") from None
    if b"<!DOCTYPE" in body[:200]:
        raise Unreadable
    content = envelope.find(f"{{{SOAP}}}Body")
    if envelope.tag != f"{{{SOAP}}}Envelope" or content is None or len(content) != 1:
        raise Unreadable
    operation = content[0]
    if not str(operation.tag).startswith(f"{{{MESSAGES}}}"):
        raise Unreadable
    header = envelope.find(f"{{{SOAP}}}Header")
    user = _acting(exchange, header, signed_in)
    precision = "" if header is None else header.findtext(t("DateTimePrecision"))
    return Call(local(operation), operation, user, milliseconds=precision == "Milliseconds")


def _acting(exchange: Exchange, header: Element | None, signed_in: User) -> User:
    sid = None if header is None else header.find(f"{t('ExchangeImpersonation')}/{t('ConnectingSID')}")
    if sid is None:
        if signed_in.is_application:
            text = "ExchangeImpersonation SOAP header must be present for this type of OAuth token."
            raise Fault("ErrorInvalidExchangeImpersonationHeaderData", text)
        return signed_in
    named = {local(each): (each.text or "").strip() for each in sid}
    address = next((named[each] for each in _NAMES if each in named), "")
    user = exchange.directory.find(address) if address else None
    if user is None or user.state in ("moved", "gone"):
        raise Fault("ErrorNonExistentMailbox", "The SMTP address has no mailbox associated with it.")
    if not signed_in.may(signed_in.impersonates, user.address):
        raise Fault(
            "ErrorImpersonateUserDenied", "The account does not have permission to impersonate the requested user."
        )
    return user


# huge_tree: an attachment is one text node, and the size of requests is bounded before.
PARSER: Final = etree.XMLParser(
    resolve_entities=False, no_network=True, huge_tree=True, remove_comments=True, remove_pis=True
)
_NAMES: Final = ("PrimarySmtpAddress", "SmtpAddress", "PrincipalName")
