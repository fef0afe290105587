"""Which proxy a request goes through."""

from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from worker.profiles.model import is_loopback


def proxy_for(url: str) -> str | None:
    """The proxy the environment names, none for this machine itself: what goes there may be in clear text.

    Asked once: aiohttp would ask again, and read ~/.netrc, for every request.
    """
    parts = urlsplit(url)
    if parts.hostname is None or is_loopback(parts.hostname) or proxy_bypass(parts.hostname):
        return None
    return getproxies().get(parts.scheme)
