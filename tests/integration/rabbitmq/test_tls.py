"""TLS and signing in by certificate (SASL EXTERNAL), with a real broker."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from scripts.private_broker import free_ports
from tests.node import started
from worker.rabbitmq.address import BrokerAddress, Unavailable
from worker.rabbitmq.broker import Publisher, RabbitBroker
from worker.rabbitmq.session import connect


@dataclass(frozen=True)
class Secured:
    port: int
    files: Path

    def url(self, parameters: str, *, user: str = "guest:guest@", host: str = "127.0.0.1") -> BrokerAddress:
        given = parameters.replace("FILES", str(self.files))
        return BrokerAddress.parse(f"amqps://{user}{host}:{self.port}/?{given}")


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """A node with a TLS listener, a CA of its own, and a user who signs in by certificate."""
    files = tmp_path_factory.mktemp("tls")
    ca, other = trustme.CA(), trustme.CA()
    ca.cert_pem.write_to_path(files / "ca.pem")
    other.cert_pem.write_to_path(files / "other-ca.pem")
    server = ca.issue_cert("127.0.0.1")
    server.private_key_pem.write_to_path(files / "server.key")
    server.cert_chain_pems[0].write_to_path(files / "server.pem")
    for name in ("worker", "stranger"):
        client = ca.issue_cert(f"{name}.example", common_name=name)
        client.private_key_and_cert_chain_pem.write_to_path(files / f"{name}.pem")
    (port,) = free_ports(1)
    node = started(
        plugins=["rabbitmq_auth_mechanism_ssl"],
        config=f"""
            listeners.ssl.1 = 127.0.0.1:{port}
            ssl_options.cacertfile = {files}/ca.pem
            ssl_options.certfile = {files}/server.pem
            ssl_options.keyfile = {files}/server.key
            ssl_options.verify = verify_peer
            ssl_options.fail_if_no_peer_cert = false
            auth_mechanisms.1 = PLAIN
            auth_mechanisms.2 = EXTERNAL
            ssl_cert_login_from = common_name
        """,
    )
    with node as broker:
        broker.control("add_user", "worker", "unused")
        broker.control("set_permissions", "worker", ".*", ".*", ".*")
        yield Secured(port, files)


@pytest.mark.parametrize(
    ("user", "parameters"),
    [
        ("guest:guest@", "cafile=FILES/ca.pem"),
        ("", "cafile=FILES/ca.pem&certfile=FILES/worker.pem&auth=external"),
    ],
)
async def test_over_tls_events_are_published(secured: Secured, user: str, parameters: str) -> None:
    async with connect(secured.url(parameters, user=user), name="test") as session:
        await RabbitBroker(await Publisher.open(session)).publish("email.accepted", b"{}", "1")


@pytest.mark.parametrize(
    ("host", "parameters", "told"),
    [
        ("127.0.0.1", "", "no TLS connection: .*self-signed certificate.* Remedy: check cafile"),
        ("127.0.0.1", "cafile=FILES/other-ca.pem", "no TLS connection: .*certificate.* Remedy: check cafile"),
        ("localhost", "cafile=FILES/ca.pem", "no TLS connection: .*not valid for 'localhost'.* Remedy: check cafile"),
        (
            "127.0.0.1",
            "cafile=FILES/ca.pem&certfile=FILES/stranger.pem&auth=external",
            "refused to sign in the user named by the client certificate",
        ),
    ],
)
async def test_whom_not_to_trust_is_told(secured: Secured, host: str, parameters: str, told: str) -> None:
    with pytest.raises(Unavailable, match=told):
        async with connect(secured.url(parameters, host=host), name="test"):
            pass


async def test_plain_amqp_to_a_tls_port_is_told(secured: Secured) -> None:
    with pytest.raises(Unavailable, match=r"does not answer in AMQP 0-9-1\. Remedy: check .*amqps://"):
        async with connect(BrokerAddress.parse(f"amqp://127.0.0.1:{secured.port}/"), name="test"):
            pass
