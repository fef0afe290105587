"""The health check of the image: exit status 0 when the worker of this container answers, 1 when it does not.

Asks for /healthz, or for the path that is given. Standard library only, and little of it: it starts every few seconds.
"""

import http.client
import os
import sys

OF_ALL = {"0.0.0.0": "127.0.0.1", "[::]": "::1", "": "127.0.0.1"}  # noqa: S104 - what a worker may listen on


def healthy(address: str, path: str) -> bool:
    """Whether GET answers 200 there; where nothing is served nobody can say otherwise."""
    if address == "off":
        return True
    host, _, port = address.rpartition(":")
    connection = http.client.HTTPConnection(OF_ALL.get(host, host.strip("[]")), int(port), timeout=4)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    given = sys.argv[1] if len(sys.argv) > 1 else "/healthz"
    sys.exit(0 if healthy(os.environ.get("MAILROUTER_HTTP", "127.0.0.1:9464"), given) else 1)
