"""GetUserSettings of Autodiscover's SOAP service: its request read, its answers written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from worker.sandbox.soap import SOAP, Element, escape

_NAMESPACE: Final = "http://schemas.microsoft.com/exchange/2010/Autodiscover"
_ADDRESSING: Final = "http://www.w3.org/2005/08/addressing"
_INSTANCE: Final = "http://www.w3.org/2001/XMLSchema-instance"
_MOST_USERS: Final = 100
SERVER: Final = {
    "CasVersion": "15.02.2562.017",
    "EwsSupportedSchemas": (
        "Exchange2007, Exchange2007_SP1, Exchange2010, Exchange2010_SP1, Exchange2010_SP2, Exchange2013, "
        "Exchange2013_SP1, Exchange2016"
    ),
}
"""Settings that are the server's, not the user's."""


@dataclass(frozen=True, slots=True)
class Asked:
    addresses: tuple[str, ...]
    settings: frozenset[str]


def read(envelope: Element) -> Asked:
    """Raises ValueError for what is no such request."""
    asked = envelope.find(f"{{{SOAP}}}Body/{_a('GetUserSettingsRequestMessage')}/{_a('Request')}")
    if asked is None:
        raise ValueError("not GetUserSettings")
    users = asked.iterfind(f"{_a('Users')}/{_a('User')}/{_a('Mailbox')}")
    settings = asked.iterfind(f"{_a('RequestedSettings')}/{_a('Setting')}")
    addresses = tuple((each.text or "").strip() for each in users)
    if not 0 < len(addresses) <= _MOST_USERS:
        raise ValueError("no users, or too many")
    return Asked(addresses, frozenset((each.text or "").strip() for each in settings))


def answer(user_responses: Sequence[str]) -> str:
    return (
        f'<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="{SOAP}" xmlns:a="{_ADDRESSING}"><s:Header>'
        f'<a:Action s:mustUnderstand="1">{_NAMESPACE}/Autodiscover/GetUserSettingsResponse</a:Action>'
        f'<h:ServerVersionInfo xmlns:h="{_NAMESPACE}" xmlns:i="{_INSTANCE}"><h:MajorVersion>15</h:MajorVersion>'
        "<h:MinorVersion>2</h:MinorVersion><h:MajorBuildNumber>2562</h:MajorBuildNumber>"
        "<h:MinorBuildNumber>17</h:MinorBuildNumber><h:Version>Exchange2016</h:Version></h:ServerVersionInfo>"
        f'</s:Header><s:Body><GetUserSettingsResponseMessage xmlns="{_NAMESPACE}"><Response xmlns:i="{_INSTANCE}">'
        f"<ErrorCode>NoError</ErrorCode><ErrorMessage/><UserResponses>{''.join(user_responses)}</UserResponses>"
        "</Response></GetUserSettingsResponseMessage></s:Body></s:Envelope>"
    )


def found(settings: Mapping[str, str]) -> str:
    told = "".join(
        f'<UserSetting i:type="StringSetting"><Name>{name}</Name><Value>{escape(value)}</Value></UserSetting>'
        for name, value in settings.items()
    )
    return _user("NoError", "No error.", settings=told)


def redirected(code: str, target: str) -> str:
    """`code`: RedirectUrl or RedirectAddress."""
    return _user(code, "Redirection.", target)


def unknown(address: str) -> str:
    return _user("InvalidUser", f"Invalid user: '{address}'")


def _user(code: str, text: str, target: str = "", settings: str = "") -> str:
    redirect = f"<RedirectTarget>{escape(target)}</RedirectTarget>" if target else '<RedirectTarget i:nil="true"/>'
    return (
        f"<UserResponse><ErrorCode>{code}</ErrorCode><ErrorMessage>{escape(text)}</ErrorMessage>{redirect}"
        f"<UserSettingErrors/><UserSettings>{settings}</UserSettings></UserResponse>"
    )


def _a(name: str) -> str:
    return f"{{{_NAMESPACE}}}{name}"
