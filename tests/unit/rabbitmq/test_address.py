"""MAILROUTER_AMQP_URL: what it may say, and what is said about one that is wrong."""

from pathlib import Path

import pytest

from worker.rabbitmq.address import BrokerAddress, Unavailable
from worker.settings import ConfigurationError

SECRET = "s3cr3t"


@pytest.mark.parametrize(
    ("url", "shown", "vhost", "user"),
    [
        (f"amqp://anna:{SECRET}@mq.example", "amqp://mq.example:5672", "/", "'anna'"),
        (f"amqp://anna:{SECRET}@mq.example:1234/", "amqp://mq.example:1234", "/", "'anna'"),
        (f"amqps://a%40b:{SECRET}@mq.example/contoso", "amqps://mq.example:5671/contoso", "contoso", "'a@b'"),
        ("amqp://[::1]/%2Fa", "amqp://[::1]:5672/%2Fa", "/a", "'guest'"),
        ("amqps://mq/v?auth=external&certfile=a", "amqps://mq:5671/v", "v", "named by the client certificate"),
    ],
)
def test_a_url_is_taken_apart(url: str, shown: str, vhost: str, user: str) -> None:
    address = BrokerAddress.parse(url)
    assert (str(address), address.vhost, address.user) == (shown, vhost, user)
    assert SECRET not in f"{address} {address!r}"


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        (f"amqp://anna:{SECRET}@mq:port/", "not a URL"),
        (f"amqp://anna:{SECRET}@[::1/", "not a URL"),
        (f"http://anna:{SECRET}@mq/", "expected amqp:// or amqps://"),
        ("amqp:///v", "and a host"),
        ("amqps://mq/?ca_file=/a", "unknown parameter 'ca_file'; known are auth, heartbeat, cafile"),
        ("amqps://mq/?no_verify_ssl=1", "unknown parameter"),
        ("amqp://mq/?cafile=/a", "for amqps://"),
        ("amqps://mq/?auth=kerberos", "'plain' or 'external'"),
        ("amqps://mq/?auth=external", "certfile is missing"),
        ("amqp://mq/?heartbeat=often", "number of seconds"),
        ("amqp://mq/?heartbeat", "not a URL"),
    ],
)
def test_a_wrong_url_is_explained_without_being_repeated(url: str, fault: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        BrokerAddress.parse(url)
    (told,) = caught.value.faults
    assert told.startswith("MAILROUTER_AMQP_URL: ")
    assert fault in told
    assert SECRET not in told


@pytest.mark.parametrize("parameter", ["cafile", "certfile"])
@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, parameter: str, content: str | None) -> None:
    file = tmp_path / "x.pem"
    if content is not None:
        file.write_text(content)
    address = BrokerAddress.parse(f"amqps://mq/?{parameter}={file}")
    with pytest.raises(Unavailable, match=f"broker's {parameter}.* cannot be used: .+ Remedy: check MAILROUTER"):
        address.tls()


def test_no_tls_without_amqps() -> None:
    assert BrokerAddress.parse("amqp://mq").tls() is None
