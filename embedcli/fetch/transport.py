"""HTTP and HTTPS, no more: redirects within bounds, time-outs, and failures in words."""

from __future__ import annotations

import base64
import http.client
import socket
import ssl
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
)

from embedcli.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import IO

NETWORK_HINT = (
    "check the network and the proxy variables; a model that is already here needs neither, "
    "nor does one from a folder or an archive"
)
TIMEOUT_SECONDS = 10.0
"""How long one step of a connection may say nothing."""

_AGENT = "embedcli"
_SECRET_HEADERS = ("Authorization", "Cookie")


class StatusError(Exception):
    """The server answered with a status that is no success.

    Attributes:
        status: The HTTP status code.
        headers: The answer's headers, by their names in lower case.
    """

    def __init__(self, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(f"HTTP status {status}")
        self.status = status
        self.headers = {name.lower(): value for name, value in headers.items()}


class UnreachableError(Exception):
    """No answer, or one that broke off.

    Attributes:
        is_lasting: Whether trying again at once is of no use.
    """

    def __init__(self, reason: str, *, is_lasting: bool) -> None:
        super().__init__(reason)
        self.is_lasting = is_lasting


def check_url(url: str) -> None:
    """Refuse a URL that is not HTTPS, or HTTP to this machine.

    Raises:
        ModelError: It is something else, or brings a name and password along.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise ModelError(f"{url}: not a URL: {error}") from None
    if parts.username is not None or parts.password is not None:
        raise ModelError(f"{bare_url(url)}: a URL with a password in it is not used")
    if any(char <= " " or char == "\x7f" for char in url):
        raise ModelError("a URL with white space or control characters in it is not used")
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))):
        raise ModelError(
            f"{bare_url(url)}: only https: is used, and http: on this machine itself",
            hint="fetch it by other means and give the file to embedcli models add",
        )


def is_loopback(host: str) -> bool:
    """Whether a host name means this machine."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def bare_url(url: str) -> str:
    """Return a URL without password, query and fragment: they may hold secrets, and messages are kept."""
    try:
        parts = urlsplit(url)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    except ValueError:
        return "the URL"


def refusal(error: StatusError, what: str) -> ModelError:
    """Return a server's refusal in words.

    Args:
        error: The refusal.
        what: What was asked for, as the message begins.
    """
    hint = ""
    match error.status:
        case 401 | 403:
            reason = f"the server refuses access (HTTP {error.status})"
        case 404 | 410:
            reason, hint = "there is nothing of that name", "check the spelling and the version"
        case 429:
            seconds = error.headers.get("retry-after", "")
            wait = f"in {seconds} seconds" if seconds.isdecimal() else "later"
            reason, hint = "too many requests for now (HTTP 429)", f"try again {wait}"
        case status if 300 <= status < 400:
            reason = "the server redirects in a circle, or too often"
        case status if status >= 500:
            reason, hint = f"the server has trouble of its own (HTTP {status})", "try again later"
        case status:
            reason = f"the server answers with HTTP status {status}"
    return ModelError(f"{what}: {reason}", hint=hint)


def split_login(url: str) -> tuple[str, dict[str, str]]:
    """Return a URL without the name and password in it, and the header that says them."""
    parts = urlsplit(url)
    if parts.username is None:
        return url, {}
    login = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    return bare, {"Authorization": "Basic " + base64.b64encode(login).decode("ascii")}


def is_same_server(url: str, other: str) -> bool:
    """Whether two URLs have the same scheme, host and port: what one may be told, the other may."""
    return urlsplit(url)[:2] == urlsplit(other)[:2]


def open_url(url: str, headers: Mapping[str, str], timeout_seconds: float) -> http.client.HTTPResponse:
    """Return an answer with a status of 200 or 206, its body not yet read.

    Raises:
        StatusError: The answer has another status.
        UnreachableError: There is no answer.
        ModelError: The URL, or one that it redirects to, is of a kind that is not used.
    """
    check_url(url)
    request = Request(url, headers={"User-Agent": _AGENT, "Accept-Encoding": "identity", **headers})  # noqa: S310  (checked)
    opener = OpenerDirector()
    for handler in (
        ProxyHandler(),
        HTTPHandler(),
        HTTPSHandler(),
        HTTPDefaultErrorHandler(),
        HTTPErrorProcessor(),
        _Redirects(),
    ):
        opener.add_handler(handler)
    try:
        answer: http.client.HTTPResponse = opener.open(request, timeout=timeout_seconds)
    except HTTPError as error:
        with error:
            raise StatusError(error.code, dict(error.headers.items())) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise unreachable(error) from error
    return answer


def unreachable(error: Exception) -> UnreachableError:
    """Return a failure of the network in words."""
    cause = error.reason if isinstance(error, URLError) else error
    match cause:
        case TimeoutError():
            reason, is_lasting = "no answer in time", False
        case socket.gaierror():
            reason, is_lasting = "the host's name cannot be looked up", True
        case ConnectionRefusedError():
            reason, is_lasting = "the connection was refused", True
        case ssl.SSLCertVerificationError():
            reason, is_lasting = f"its certificate cannot be trusted ({cause.verify_message})", True
        case ConnectionError() | http.client.HTTPException():
            reason, is_lasting = "the connection broke off", False
        case _:
            text = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
            reason, is_lasting = str(text).strip().split("\n", 1)[0], True
    return UnreachableError(reason, is_lasting=is_lasting)


class _Redirects(HTTPRedirectHandler):
    """Follows redirects, but never from HTTPS to HTTP, and never with secrets to another server."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: http.client.HTTPMessage, newurl: str
    ) -> Request | None:
        """Return the request that follows; see `urllib.request`."""
        check_url(newurl)
        if urlsplit(req.full_url).scheme == "https" and urlsplit(newurl).scheme == "http":
            raise ModelError(
                f"{bare_url(req.full_url)}: redirects from https: to http:, which is not followed"
            )
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        if request is not None and not is_same_server(req.full_url, newurl):
            for name in _SECRET_HEADERS:
                request.remove_header(name)
        return request
