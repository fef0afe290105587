#!/usr/bin/env python3
"""A RabbitMQ node of one's own, for the demo and the tests: any user, free ports of the loopback interface, its own
data, cookie and epmd. A RabbitMQ that runs on the machine already is never spoken to.

    scripts/private_broker.py                      runs a node until it is interrupted; prints its URL
    scripts/private_broker.py -- COMMAND [ARG...]  runs COMMAND with MAILROUTER_AMQP_URL set, then stops the node

Standard library only: it is used before and outside of the virtual environment, too.
"""

import argparse
import contextlib
import itertools
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
PORTS = range(20000, 32000)
START_SECONDS = 120.0
START_ATTEMPTS = 3
STOP_SECONDS = 30.0
IN_USE = re.compile(r"eaddrinuse|already[ _]used|in use", re.IGNORECASE)

# No busy waiting, two schedulers: the node shares a small machine with what is being tested.
ERLANG_FLAGS = "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none -start_epmd false"
ERLANG_FLAGS += " -kernel inet_dist_use_interface {127,0,0,1}"


class BrokerError(Exception):
    """The node could not be started; the text says why and what to do."""


class PrivateBroker:
    """One node. `start` and `stop` frame its life; in between it may be killed and restarted with its data.

    `vhosts` are made besides `/` at the first start, each open to the user guest. `config` is added to the node's
    rabbitmq.conf, `parameters` (name, Erlang term) to its application environment.
    """

    def __init__(
        self,
        *,
        vhosts: Sequence[str] = (),
        config: str = "",
        plugins: Sequence[str] = (),
        parameters: Mapping[str, str] | None = None,
    ) -> None:
        self._vhosts = vhosts
        self._config = config
        self._plugins = plugins
        self._parameters = parameters or {}
        self._port = self._distribution_port = self._epmd_port = 0
        self._directory: Path | None = None
        self._epmd: subprocess.Popen[bytes] | None = None
        self._node: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        return self._port

    @property
    def url(self) -> str:
        return self.url_of("/")

    def url_of(self, vhost: str) -> str:
        """The URL of one vhost; `/` is written as an empty path."""
        return f"amqp://guest:guest@127.0.0.1:{self._port}/{'' if vhost == '/' else vhost}"

    @property
    def directory(self) -> Path:
        """Where the node keeps its data and its log."""
        assert self._directory is not None, "not started"
        return self._directory

    def start(self) -> None:
        """Returns when the node accepts AMQP connections. Raises BrokerError when it does not get that far."""
        if not SERVER.exists():
            raise BrokerError(f"{SERVER} is missing. Remedy: install RabbitMQ (apt-get install rabbitmq-server).")
        for attempts_left in reversed(range(START_ATTEMPTS)):
            try:
                self._start()
            except BrokerError as error:
                # Another node may have taken a port between our look and the node's.
                if not (attempts_left and IN_USE.search(str(error))):
                    raise
            else:
                return

    def _start(self) -> None:
        self._port, self._distribution_port, self._epmd_port = free_ports(3)
        self._directory = Path(tempfile.mkdtemp(prefix="mailrouter-broker-"))
        try:
            self._write_files()
            self._start_epmd()
            self._start_node()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Ends node and epmd and removes the data. Does nothing where there is nothing left to end."""
        self._end(self._node, signal.SIGKILL)  # nothing of it is kept: no need for an orderly end
        self._end(self._epmd, signal.SIGKILL)
        self._node = self._epmd = None
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)

    def kill(self) -> None:
        """SIGKILL, as when the machine loses power. The data stays for `restart`."""
        self._end(self._node, signal.SIGKILL)
        self._node = None

    def restart(self) -> None:
        """Start again on the same port with the same data; ends the node first if it is running."""
        self._end(self._node, signal.SIGTERM)
        self._start_node()

    def control(self, *arguments: str) -> str:
        """The output of `rabbitmqctl ARGUMENTS` for this node. Takes a second: an Erlang machine of its own."""
        command = [str(SERVER.with_name("rabbitmqctl")), "--node", self._name, *arguments]
        done = subprocess.run(command, env=self._environment(), capture_output=True, text=True, check=False)
        if done.returncode:
            told = f"{done.stdout.strip()} {done.stderr.strip()}"
            raise BrokerError(f"rabbitmqctl {arguments[0]}: {told} {self._last_output()}")
        return done.stdout

    @property
    def _name(self) -> str:
        return f"mailrouter-{self._port}@localhost"

    def _environment(self) -> dict[str, str]:
        home = str(self.directory)
        flags = [ERLANG_FLAGS, *(f"-rabbit {name} {term}" for name, term in self._parameters.items())]
        inherited = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "TMPDIR") if name in os.environ}
        return inherited | {
            "HOME": home,  # of the Erlang cookie
            "LANG": os.environ.get("LANG", "C.UTF-8"),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CONFIG_FILE": f"{home}/rabbitmq.conf",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{home}/enabled_plugins",
            "RABBITMQ_NODENAME": self._name,
            "RABBITMQ_MNESIA_BASE": f"{home}/data",
            "RABBITMQ_LOG_BASE": f"{home}/log",
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self._port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": " ".join(flags),
            # Makes the start script replace itself by the Erlang machine, so that our child is the node.
            "RUNNING_UNDER_SYSTEMD": "true",
        }

    def _write_files(self) -> None:
        lines = [self._config]
        if self._vhosts:
            lines.append(f"load_definitions = {self.directory}/definitions.json")
            (self.directory / "definitions.json").write_text(json.dumps(_definitions(self._vhosts)))
        (self.directory / "rabbitmq.conf").write_text("\n".join(lines) + "\n")
        (self.directory / "enabled_plugins").write_text(f"[{','.join(self._plugins)}].\n")
        for name in ("data", "log"):
            (self.directory / name).mkdir()

    def _start_epmd(self) -> None:
        epmd = shutil.which("epmd")
        if epmd is None:
            raise BrokerError("epmd is missing. Remedy: install Erlang (apt-get install rabbitmq-server brings it).")
        self._epmd = self._spawn([epmd, "-port", str(self._epmd_port), "-address", "127.0.0.1"])
        # Asked for the names it knows (NAMES_REQ of Erlang's distribution protocol), it begins with its own port.
        own_port = self._epmd_port.to_bytes(4, "big")
        try:
            self._wait_for(self._epmd, lambda: _answers(self._epmd_port, b"\x00\x01n", own_port))
        except BrokerError as error:
            raise BrokerError(f"epmd: {error} Its port {self._epmd_port} may be in use.") from error

    def _start_node(self) -> None:
        self._node = self._spawn([str(SERVER)])
        # The protocol header of AMQP 0-9-1; a node that is ready answers with a method frame (type 1).
        self._wait_for(self._node, lambda: _answers(self._port, b"AMQP\x00\x00\x09\x01", b"\x01"))
        self.control("await_startup")  # this listener is the first of what may still fail

    def _spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        # --pdeathsig: whatever becomes of us, the node does not outlive us.
        command = ["setpriv", "--pdeathsig", "KILL", *command]
        with (self.directory / "output").open("ab") as output:
            return subprocess.Popen(
                command,
                env=self._environment(),
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def _wait_for(self, process: subprocess.Popen[bytes], ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise BrokerError(f"RabbitMQ ended while starting (status {process.returncode}). {self._last_output()}")
            if ready():
                return
            time.sleep(0.05)
        raise BrokerError(f"RabbitMQ was not ready within {START_SECONDS:.0f} s. {self._last_output()}")

    def _last_output(self) -> str:
        text = (self.directory / "output").read_text(errors="replace").strip()
        return f"It said: {text[-2000:]}" if text else "It said nothing."

    @staticmethod
    def _end(process: subprocess.Popen[bytes] | None, how: signal.Signals) -> None:
        if process is None or process.poll() is not None:
            return
        # The group: the Erlang machine has helper processes. It is ours alone, the child leads its own session.
        os.killpg(process.pid, how)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _answers(port: int, greeting: bytes, answer: bytes) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as probe:
        probe.sendall(greeting)
        return probe.recv(len(answer)) == answer
    return False


def _definitions(vhosts: Sequence[str]) -> Mapping[str, object]:
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    names = ["/", *vhosts]
    return {
        "users": [{"name": "guest", "password": "guest", "tags": "administrator"}],
        "vhosts": [{"name": name} for name in names],
        "permissions": [{"user": "guest", "vhost": name, **everything} for name in names],
    }


def _own_ports() -> list[int]:
    """Of this process, in random order: where tests run side by side, no two of their processes have one in common."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    own = list(PORTS[number :: int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))])
    random.shuffle(own)
    return own


_PORTS = _own_ports()
_next_ports = itertools.cycle(_PORTS)


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on, outside the range the kernel hands out to clients. None comes again before all others
    have: whoever was given one may take a while to listen on it.

    A client that keeps trying a port of that range could be given the very port as its own, and take it away.
    """
    with contextlib.ExitStack() as held:
        found: list[int] = []
        for port in itertools.islice(_next_ports, len(_PORTS)):
            probe = held.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                found.append(port)
            if len(found) == count:
                return found
    raise BrokerError(f"no free ports between {PORTS.start} and {PORTS.stop}")


def _run(command: Sequence[str], url: str) -> int:
    with subprocess.Popen(command, env=os.environ | {"MAILROUTER_AMQP_URL": url}) as child:
        for each in (signal.SIGINT, signal.SIGTERM):  # ours end when the command has
            signal.signal(each, lambda number, _frame: child.send_signal(number))
        return child.wait()


def main() -> int:
    parser = argparse.ArgumentParser(description="Runs a private RabbitMQ node, alone or around a command.")
    parser.add_argument("command", nargs="*", metavar="COMMAND", help="what to run with MAILROUTER_AMQP_URL set")
    command = parser.parse_args().command
    broker = PrivateBroker()
    try:
        broker.start()
        if command:
            return _run(command, broker.url)
        print(broker.url, flush=True)
        signal.sigwait({signal.SIGINT, signal.SIGTERM})
    except BrokerError as error:
        print(f"private broker: {error}", file=sys.stderr)
        return 2
    finally:
        broker.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
