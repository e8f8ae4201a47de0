"""One file over HTTP: cut, changed, slow, redirected, refused."""

from __future__ import annotations

import hashlib
import io
import random
import threading
import time
from http.client import HTTPMessage as Message
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import Request

import pytest

from embedcli.errors import DamagedModelError, ModelError, OutputError
from embedcli.fetch import download
from embedcli.fetch.download import Remote, fetch_file
from embedcli.fetch.transport import StatusError, _Redirects, bare_url, check_url, is_loopback, split_login
from tests.hub_server import HubServer, Trouble, git_sha1

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTENT = random.Random(1).randbytes(1_500_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    monkeypatch.setattr(download, "_WAIT_SECONDS", (0.0,) * 4)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with HubServer() as running:
        running.files["/file"] = CONTENT
        yield running


def remote(server: HubServer, **changes: object) -> Remote:
    return Remote(**{"url": f"{server.url}/file", "sha256": SHA256, "bytes": len(CONTENT), **changes})  # type: ignore[arg-type]


def test_a_file_comes_whole_and_tells_its_progress(server: HubServer, tmp_path: Path) -> None:
    counts: list[int] = []
    fetch_file(remote(server), tmp_path / "x", on_bytes=counts.append)
    assert (tmp_path / "x").read_bytes() == CONTENT
    assert counts == sorted(counts)
    assert counts[-1] == len(CONTENT)
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_file_that_is_there_is_not_fetched_again(server: HubServer, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(CONTENT)
    fetch_file(remote(server), tmp_path / "x")
    assert server.requests == []
    (tmp_path / "x").write_bytes(CONTENT[:-1] + b"?")
    fetch_file(remote(server), tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == CONTENT


def test_an_empty_file(server: HubServer, tmp_path: Path) -> None:
    server.files["/file"] = b""
    fetch_file(remote(server, sha256=None, git_sha1=git_sha1(b""), bytes=0), tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == b""


@pytest.mark.parametrize("known", [True, False], ids=["length known", "length not known"])
def test_a_cut_goes_on_where_it_was(server: HubServer, tmp_path: Path, known: bool) -> None:
    server.trouble["/file"] = Trouble(times=9, cut_after=200_000)
    fetch_file(remote(server, bytes=len(CONTENT) if known else None), tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == CONTENT
    # As long as more comes each time, it goes on.
    assert server.ranges("/file") == [f"bytes={start}-" for start in range(200_000, 1_500_000, 200_000)]


def test_a_cut_that_never_ends_stops_and_keeps_what_came(server: HubServer, tmp_path: Path) -> None:
    server.trouble["/file"] = Trouble(cut_after=0)
    (tmp_path / "x.part").write_bytes(CONTENT[:1000])
    with pytest.raises(ModelError, match="broke off") as error:
        fetch_file(remote(server), tmp_path / "x")
    assert "1000 bytes are kept" in error.value.hint
    assert (tmp_path / "x.part").read_bytes() == CONTENT[:1000]
    assert not (tmp_path / "x").exists()
    assert len(server.requests) == 5
    server.trouble.clear()
    fetch_file(remote(server), tmp_path / "x")
    assert server.ranges("/file")[-1] == "bytes=1000-"
    assert (tmp_path / "x").read_bytes() == CONTENT


def test_a_server_without_ranges_starts_over(server: HubServer, tmp_path: Path) -> None:
    server.trouble["/file"] = Trouble(ignore_range=True)
    (tmp_path / "x.part").write_bytes(b"?" * 1000)
    fetch_file(remote(server), tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == CONTENT


@pytest.mark.parametrize("said", ["bytes 5-1499999/1500000", "bytes 1000-1499999/*", "nonsense"])
def test_another_piece_than_was_asked_for_is_not_appended(
    server: HubServer, tmp_path: Path, said: str
) -> None:
    server.trouble["/file"] = Trouble(headers={"Content-Range": said})
    (tmp_path / "x.part").write_bytes(CONTENT[:1000])
    with pytest.raises(ModelError, match="another piece"):
        fetch_file(remote(server), tmp_path / "x")
    assert (tmp_path / "x.part").read_bytes() == CONTENT[:1000]


def test_an_old_piece_of_another_file_costs_one_more_request(server: HubServer, tmp_path: Path) -> None:
    (tmp_path / "x.part").write_bytes(b"?" * 1000)
    fetch_file(remote(server), tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == CONTENT
    assert server.ranges("/file") == ["bytes=1000-"]
    assert len(server.requests) == 2
    (tmp_path / "y.part").write_bytes(CONTENT + b"more")
    fetch_file(remote(server), tmp_path / "y")
    assert (tmp_path / "y").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("change", "known"),
    [
        (lambda content: content[:700] + b"?" + content[701:], True),
        (lambda content: content[:700] + b"?" + content[701:], False),
        (lambda content: content[:-1], True),
        (lambda content: content + b"?", True),
        (lambda content: content[:-1], False),
        (lambda _content: b"<html>please log in</html>", False),
    ],
    ids=["byte", "byte, length not known", "short", "long", "short, length not known", "page"],
)
def test_what_is_not_what_was_announced_is_deleted(
    server: HubServer, tmp_path: Path, change: object, known: bool
) -> None:
    server.trouble["/file"] = Trouble(change=change)  # type: ignore[arg-type]
    with pytest.raises(DamagedModelError):
        fetch_file(remote(server, bytes=len(CONTENT) if known else None), tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def test_small_files_are_compared_by_the_hash_of_git(server: HubServer, tmp_path: Path) -> None:
    good = remote(server, sha256=None, git_sha1=git_sha1(CONTENT))
    fetch_file(good, tmp_path / "x")
    with pytest.raises(DamagedModelError, match="another hash"):
        fetch_file(remote(server, sha256=None, git_sha1="0" * 40), tmp_path / "y")
    assert not (tmp_path / "y").exists()


@pytest.mark.parametrize("status", [401, 403, 404, 429])
def test_refusals_are_told_at_once(server: HubServer, tmp_path: Path, status: int) -> None:
    server.trouble["/file"] = Trouble(status=status)
    with pytest.raises(StatusError) as error:
        fetch_file(remote(server), tmp_path / "x")
    assert error.value.status == status
    assert len(server.requests) == 1


def test_a_server_in_trouble_is_asked_again(server: HubServer, tmp_path: Path) -> None:
    server.trouble["/file"] = Trouble(times=3, status=503)
    fetch_file(remote(server), tmp_path / "x")
    server.trouble["/file"] = Trouble(status=500)
    with pytest.raises(ModelError, match="HTTP status 500"):
        fetch_file(remote(server), tmp_path / "y")


def test_a_silent_server_is_left(server: HubServer, tmp_path: Path) -> None:
    server.trouble["/file"] = Trouble(times=1, delay=2.0)
    fetch_file(remote(server), tmp_path / "x", timeout_seconds=0.2)
    assert len(server.requests) == 2
    server.trouble["/file"] = Trouble(delay=2.0)
    with pytest.raises(ModelError, match="no answer in time"):
        fetch_file(remote(server), tmp_path / "y", timeout_seconds=0.1)


def test_nobody_there(tmp_path: Path) -> None:
    with HubServer() as gone:
        url = gone.url
    with pytest.raises(ModelError, match="refused"):
        fetch_file(Remote(f"{url}/file", SHA256), tmp_path / "x")
    with pytest.raises(ModelError, match="cannot be looked up"):
        fetch_file(Remote("https://no-such-host.invalid/file", SHA256), tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def test_redirects_are_followed_without_secrets_and_not_in_circles(server: HubServer, tmp_path: Path) -> None:
    there = server.url.replace("127.0.0.1", "localhost")
    server.trouble["/start"] = Trouble(redirect=f"{there}/file")
    server.trouble["/near"] = Trouble(redirect="/file")
    secret = {"Authorization": "Bearer secret"}
    fetch_file(remote(server, url=f"{server.url}/start", headers=secret), tmp_path / "x")
    fetch_file(remote(server, url=f"{server.url}/near", headers=secret), tmp_path / "y")
    told = [request.headers.get("authorization") for request in server.requests]
    assert told == ["Bearer secret", None, "Bearer secret", "Bearer secret"]
    server.trouble["/circle"] = Trouble(redirect="/circle")
    with pytest.raises(StatusError) as error:
        fetch_file(remote(server, url=f"{server.url}/circle"), tmp_path / "z")
    assert error.value.status == 302
    for elsewhere in ("http://example.invalid/file", "file:///etc/passwd", "ftp://127.0.0.1/x"):
        server.trouble["/elsewhere"] = Trouble(redirect=elsewhere)
        with pytest.raises((ModelError, StatusError)):
            fetch_file(remote(server, url=f"{server.url}/elsewhere"), tmp_path / "z")
    assert not (tmp_path / "z").exists()


def test_a_redirect_never_leaves_https() -> None:
    request = Request("https://example.org/x")
    answer = (io.BytesIO(), 302, "Found", Message())
    assert _Redirects().redirect_request(request, *answer, "https://example.com/x") is not None
    with pytest.raises(ModelError, match="from https: to http:"):
        _Redirects().redirect_request(request, *answer, "http://127.0.0.1/x")


def test_a_redirect_keeps_the_range(server: HubServer, tmp_path: Path) -> None:
    server.trouble["/start"] = Trouble(redirect="/file")
    server.trouble["/file"] = Trouble(times=1, cut_after=1000)
    fetch_file(remote(server, url=f"{server.url}/start"), tmp_path / "x")
    assert server.ranges("/file") == ["bytes=1000-"]


def test_a_disk_that_is_full_is_told_before_anything_is_written(
    server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage:
        free = 1000

    monkeypatch.setattr(download.shutil, "disk_usage", lambda _path: Usage)
    with pytest.raises(OutputError, match="1000 are free"):
        fetch_file(remote(server), tmp_path / "x")


def test_a_read_only_folder_is_an_output_error(server: HubServer, tmp_path: Path) -> None:
    (tmp_path / "x.part").mkdir()
    with pytest.raises(OutputError):
        fetch_file(remote(server), tmp_path / "x")


def test_what_is_interrupted_stays_for_the_next_time(server: HubServer, tmp_path: Path) -> None:
    class Stop(BaseException):
        pass

    def stop(count: int) -> None:
        if count > 500_000:
            raise Stop

    with pytest.raises(Stop):
        fetch_file(remote(server), tmp_path / "x", on_bytes=stop)
    had = (tmp_path / "x.part").stat().st_size
    assert 500_000 < had < len(CONTENT)
    fetch_file(remote(server), tmp_path / "x")
    assert server.ranges("/file") == [f"bytes={had}-"]


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/x",
        "ftp://example.org/x",
        "file:///etc/passwd",
        "https://user:secret@example.org/x",
        "https:///x",
        "https://example.org/a b",
        "https://example.org/\r\nHost: x",
        "https://[::1/x",
        "http://127.0.0.1.example.org/x",
        "http://localhost.example.org/x",
    ],
)
def test_urls_that_are_not_used(url: str) -> None:
    with pytest.raises(ModelError) as error:
        check_url(url)
    assert "secret" not in str(error.value)


def test_urls_that_are() -> None:
    for url in ("https://example.org/x", "http://127.0.0.1:8000/x", "http://[::1]/x", "http://localhost/x"):
        check_url(url)
    assert not is_loopback("example.org")
    assert bare_url("https://a:b@c.org/d?token=e#f") == "https://c.org/d"
    assert split_login("https://a:b%20@c.org/d") == ("https://c.org/d", {"Authorization": "Basic YTpiIA=="})
    assert split_login("https://c.org/d") == ("https://c.org/d", {})


def test_a_server_that_sends_forever_is_stopped(tmp_path: Path) -> None:
    import socket

    listener = socket.create_server(("127.0.0.1", 0))
    sent = 0

    def send() -> None:
        nonlocal sent
        connection, _ = listener.accept()
        with connection:
            connection.recv(10_000)
            connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
            end = time.monotonic() + 10
            try:
                while time.monotonic() < end:
                    sent += connection.send(bytes(65_536))
            except OSError:
                return

    thread = threading.Thread(target=send)
    thread.start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/x"
    with pytest.raises(DamagedModelError, match="sends more than"):
        fetch_file(Remote(url, SHA256, bytes=100_000), tmp_path / "x")
    thread.join()
    listener.close()
    assert sent < 50_000_000
    assert not (tmp_path / "x").exists()
