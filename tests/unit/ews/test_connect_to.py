"""Connections to other places than the name service tells, and the setting that names them."""

import ssl
from pathlib import Path

import pytest
import trustme

from tests.unit.ews.server import http, says, serving
from worker.clock import SystemClock
from worker.ews.connect_to import ConnectTo
from worker.ews.http_answer import Answer, NoAnswer
from worker.ews.transport import Wire
from worker.settings import ConfigurationError, Settings

NAME = "mail.contoso.example"


async def test_the_connection_goes_there_and_the_names_stay(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(NAME).configure_cert(tls)
    async with serving(says(http(200, b"fine")), tls=tls) as server:
        resolver = ConnectTo({(NAME, 443): ("127.0.0.1", server.port), ("x.example", 443): ("127.0.0.1", server.port)})
        for host in (NAME, "x.example"):
            wire = Wire(f"https://{host}/EWS", str(tmp_path / "ca.pem"), 5, SystemClock(), resolver=resolver)
            answer = await wire.post({}, [b"hello"])
            await wire.close()
            assert isinstance(answer, Answer if host == NAME else NoAnswer)  # the certificate is for NAME alone

    assert [request.headers["host"] for request in server.requests] == [NAME]


async def test_others_go_where_the_name_service_says() -> None:
    resolver = ConnectTo({(NAME, 443): ("127.0.0.1", 1)})
    found = await resolver.resolve("localhost", 8080)
    assert [(each["host"], each["port"]) for each in found] == [("127.0.0.1", 8080)]
    assert [each["port"] for each in await resolver.resolve("localhost", 443)] == [443]
    await resolver.close()


def test_the_setting() -> None:
    settings = Settings.load({"connect_to": f"{NAME.upper()}:443=127.0.0.1:8443, b.example:80=[::1]:80"})
    assert settings.connect_to is not None
    assert [(each.place, each.there) for each in settings.connect_to] == [
        ((NAME, 443), ("127.0.0.1", 8443)),
        (("b.example", 80), ("::1", 80)),
    ]


@pytest.mark.parametrize(
    "text", ["a:443", "a=b", "a:443=b", "a:0=b:1", "a:1=b:65536", ":1=b:1", "a/b:1=c:1", "a:1=b:x"]
)
def test_a_setting_that_says_nothing(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"MAILROUTER_CONNECT_TO: .*HOST:PORT"):
        Settings.load({"connect_to": text})


def test_entitled_hosts_are_names() -> None:
    assert Settings.load({"autodiscover_hosts": "Mail.Hoster.example, b"}).autodiscover_hosts == (
        "mail.hoster.example",
        "b",
    )
    with pytest.raises(ConfigurationError, match="MAILROUTER_AUTODISCOVER_HOSTS"):
        Settings.load({"autodiscover_hosts": "https://mail.hoster.example/"})
