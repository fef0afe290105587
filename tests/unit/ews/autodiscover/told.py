"""Answers as servers of Autodiscover give them."""

import json

from worker.ews.http_answer import Answer, NoAnswer

EWS = "https://mail.contoso.example/EWS/Exchange.asmx"
NAMESPACE = "http://schemas.microsoft.com/exchange/2010/Autodiscover"
OUTLOOK = "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a"
GONE = NoAnswer("unreachable", sent=False, text="Connection refused")


def answer(status: int, body: bytes = b"", **headers: str) -> Answer:
    return Answer(status, headers, body)


def moved(to: str, status: int = 302) -> Answer:
    return answer(status, Location=to)


def in_json(**told: object) -> bytes:
    return json.dumps(told).encode()


def soap(user: str, response_code: str = "NoError") -> bytes:
    return (
        '<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/">'
        f'<s:Header/><s:Body><GetUserSettingsResponseMessage xmlns="{NAMESPACE}"><Response>'
        f"<ErrorCode>{response_code}</ErrorCode><ErrorMessage/><UserResponses>{user}</UserResponses></Response>"
        "</GetUserSettingsResponseMessage></s:Body></s:Envelope>"
    ).encode()


def user(code: str = "NoError", text: str = "", target: str = "", **settings: str) -> str:
    told = "".join(
        f"<UserSetting><Name>{name}</Name><Value>{value}</Value></UserSetting>" for name, value in settings.items()
    )
    return (
        f"<UserResponse><ErrorCode>{code}</ErrorCode><ErrorMessage>{text}</ErrorMessage>"
        f"<RedirectTarget>{target}</RedirectTarget><UserSettings>{told}</UserSettings></UserResponse>"
    )


def pox(account: str) -> bytes:
    return (
        '<?xml version="1.0"?>'
        '<Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006">'
        f'<Response xmlns="{OUTLOOK}"><Account>{account}</Account></Response></Autodiscover>'
    ).encode()


def protocol(kind: str, **urls: str) -> str:
    told = "".join(f"<{name}>{url}</{name}>" for name, url in urls.items())
    return f"<Protocol><Type>{kind}</Type>{told}</Protocol>"
