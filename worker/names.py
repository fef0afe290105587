"""What others know a worker by: the broker, the fleet, the mailboxes it reads."""

import hashlib
import os
import re
import socket
from uuid import uuid4

from worker import __version__


def note_name(vhost: str) -> str:
    """What the cursors of this CRM organisation are called in the mailboxes: two that read one mailbox, each from a
    vhost of its own, must not move each other's.
    """
    if vhost == "/":
        return "CrmMailRouter"
    plain = re.sub(r"[^A-Za-z0-9]", "", vhost)[:40]
    return f"CrmMailRouter.{plain}.{hashlib.sha256(vhost.encode()).hexdigest()[:8]}"


def worker_name() -> str:
    """What this process is called, in the broker's list of connections and among the fleet."""
    return f"mailrouter {__version__} {socket.gethostname()} {os.getpid()}"


def name_among_workers() -> str:
    """Of this process alone: in containers host name and process id may be the same for all."""
    return f"{worker_name()} {uuid4().hex[:8]}"
