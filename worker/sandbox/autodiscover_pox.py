"""Autodiscover in plain XML: its request read, its answers written."""

from datetime import datetime
from typing import Final

from worker.sandbox.soap import Element, escape

_REQUEST: Final = "http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006"
_FRAME: Final = "http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006"
_OUTLOOK: Final = "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a"


def read(root: Element) -> str:
    """The address asked for. Raises ValueError for what is no such request."""
    asked = root.find(f"{{{_REQUEST}}}Request")
    address = "" if asked is None else (asked.findtext(f"{{{_REQUEST}}}EMailAddress") or "").strip()
    if asked is None or not address or asked.findtext(f"{{{_REQUEST}}}AcceptableResponseSchema") != _OUTLOOK:
        raise ValueError("not a request of Autodiscover")
    return address


def found(address: str, name: str, url: str) -> str:
    protocols = "".join(
        f"<Protocol><Type>{kind}</Type><Server>sandbox</Server><ASUrl>{escape(url)}</ASUrl>"
        f"<EwsUrl>{escape(url)}</EwsUrl></Protocol>"
        for kind in ("EXCH", "EXPR")
    )
    return _framed(
        f'<Response xmlns="{_OUTLOOK}"><User><DisplayName>{escape(name)}</DisplayName>'
        f"<AutoDiscoverSMTPAddress>{escape(address)}</AutoDiscoverSMTPAddress></User><Account>"
        f"<AccountType>email</AccountType><Action>settings</Action>{protocols}</Account></Response>"
    )


def redirected(action: str, element: str, target: str) -> str:
    """`redirectUrl` with the element RedirectUrl, or `redirectAddr` with RedirectAddr."""
    return _framed(
        f'<Response xmlns="{_OUTLOOK}"><Account><Action>{action}</Action>'
        f"<{element}>{escape(target)}</{element}></Account></Response>"
    )


def wrong(code: int, text: str, now: datetime) -> str:
    return _framed(
        f'<Response><Error Time="{now:%H:%M:%S.%f}" Id="1"><ErrorCode>{code}</ErrorCode>'
        f"<Message>{escape(text)}</Message><DebugData/></Error></Response>"
    )


def _framed(response: str) -> str:
    return f'<?xml version="1.0" encoding="utf-8"?><Autodiscover xmlns="{_FRAME}">{response}</Autodiscover>'
