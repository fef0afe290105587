"""What is told of a request that got no answer, or none that is one: never a URL, a header or a body, nor what aiohttp
quotes of them. Secrets stand in them: the proxy's password, a signature that opens a file.
"""

import aiohttp


def said(error: Exception) -> str:
    """In one line of bounded length."""
    match error:
        case aiohttp.ClientHttpProxyError():
            text = f"HTTP {error.status} {error.message}"
        case aiohttp.ClientResponseError():
            text = f"not HTTP: {type(error.__cause__ or error).__name__}"
        case aiohttp.ServerDisconnectedError():
            text = "the connection was closed"
        case aiohttp.InvalidURL():
            text = "not a URL"
        case _:
            text = str(error) or type(error).__name__
    return " ".join(text.split())[:300]
