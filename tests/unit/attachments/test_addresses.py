"""Which addresses may be connected to, whatever name or spelling led there."""

import socket
from ipaddress import ip_address, ip_network

import pytest

from worker.attachments.addresses import Guard, NotAllowedError, is_public

PUBLIC = ["8.8.8.8", "93.184.216.34", "1.1.1.1", "2606:4700::1111", "2a00:1450:4001:82a::200e"]
OTHERS = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::8.8.8.8",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::808:808",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "2002:a00:1::1",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_public(address: str) -> None:
    assert is_public(ip_address(address))
    assert Guard(()).allows(address)


@pytest.mark.parametrize("address", OTHERS)
def test_not_public(address: str) -> None:
    assert not is_public(ip_address(address))
    assert not Guard(()).allows(address)


@pytest.mark.parametrize(
    "address", ["fe80::1%eth0", "localhost", "2130706433", "127.1", "0x7f.1", "", "8.8.8.8.", "[::1]"]
)
def test_what_is_no_address_is_not_connected_to(address: str) -> None:
    assert not Guard(()).allows(address)


@pytest.mark.parametrize(
    ("network", "address", "allowed"),
    [
        ("10.20.0.0/16", "10.20.1.1", True),
        ("10.20.0.0/16", "10.21.1.1", False),
        ("10.20.0.0/16", "::ffff:10.20.1.1", True),
        ("10.20.0.0/16", "64:ff9b::a14:101", False),
        ("127.0.0.0/8", "127.0.0.1", True),
        ("127.0.0.0/8", "::1", False),
        ("::1/128", "::1", True),
        ("fd00::/8", "fd12::1", True),
        ("0.0.0.0/0", "fd12::1", False),
    ],
)
def test_a_network_the_operator_names(network: str, address: str, allowed: bool) -> None:  # noqa: FBT001
    assert Guard([ip_network(network)]).allows(address) is allowed


def test_a_socket_is_made_for_an_allowed_address_only() -> None:
    guard = Guard([ip_network("127.0.0.0/8")])
    guard.socket((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 443))).close()
    for family, host in ((socket.AF_INET, "10.0.0.1"), (socket.AF_INET6, "::1"), (socket.AF_UNIX, "127.0.0.1")):
        with pytest.raises(NotAllowedError):
            guard.socket((family, socket.SOCK_STREAM, 6, "", (host, 443)))

    assert (guard.refused, guard.allowed) == (["10.0.0.1", "::1", "127.0.0.1"], 1)
