"""A server on this machine that speaks the hub's protocol, serves a package index, and misbehaves when told to.

What it answers is what huggingface_hub asks for: `GET /api/models/REPO/revision/REV?blobs=true` for a listing
with lengths and hashes, `HEAD` and `GET /REPO/resolve/REV/FILE`, which redirects large files to `/cdn/`, and
ranges everywhere.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

LARGE_BYTES = 4096
"""From this length on, a file is in LFS: hashed with SHA-256 and served from another place."""

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def git_sha1(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


@dataclass
class Repository:
    """A repository of the hub: files by path."""

    files: dict[str, bytes]
    commit: str = COMMIT
    card: dict[str, object] = field(default_factory=lambda: {"license": "apache-2.0", "language": ["en"]})
    token: str | None = None
    gated: bool = False
    moved_to: str | None = None


@dataclass
class Trouble:
    """What goes wrong with a path.

    Attributes:
        times: How many requests it happens to; the rest go well.
        cut_after: Bytes of an answer's body after which the connection breaks off.
        status: A status instead of the answer.
        headers: Headers of that answer, or of a file's, against those it would have.
        redirect: Where it redirects to, instead of answering.
        change: What is sent instead of the content; the listing tells of the true one.
        delay: Seconds before the answer.
        ignore_range: Whether ranges are ignored.
    """

    times: int = 1_000_000
    cut_after: int | None = None
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    redirect: str | None = None
    change: Callable[[bytes], bytes] | None = None
    delay: float = 0.0
    ignore_range: bool = False


@dataclass
class Request:
    """A request that was made."""

    method: str
    path: str
    headers: dict[str, str]


class HubServer:
    """The server; a context manager.

    Attributes:
        repositories: By name; may be changed at any time.
        packages: For each package, file names and contents.
        files: Other paths and their contents, for plain URLs.
        trouble: By a part of the path; the first that matches happens.
        requests: All requests so far.
        json_index: Whether the package index answers in JSON; in HTML otherwise.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.packages: dict[str, dict[str, bytes]] = {}
        self.files: dict[str, bytes] = {}
        self.trouble: dict[str, Trouble] = {}
        self.requests: list[Request] = []
        self.json_index = True
        self.yanked: set[str] = set()
        self.without_hash: set[str] = set()
        server = self

        class Handler(_Handler):
            hub = server

        self._http = _Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    @property
    def index_url(self) -> str:
        return f"{self.url}/simple"

    def paths(self, method: str = "GET") -> list[str]:
        """Return the paths that were asked for."""
        return [request.path for request in self.requests if request.method == method]

    def ranges(self, part: str) -> list[str]:
        """Return the Range headers of requests whose path has this part."""
        return [
            request.headers["range"]
            for request in self.requests
            if part in request.path and "range" in request.headers
        ]

    def take_trouble(self, path: str) -> Trouble | None:
        for part, trouble in self.trouble.items():
            if part in path and trouble.times > 0:
                trouble.times -= 1
                return trouble
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Say nothing: clients that leave early are what is tested."""


class _Handler(BaseHTTPRequestHandler):
    hub: HubServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        headers = {key.lower(): value for key, value in self.headers.items()}
        self.hub.requests.append(Request(self.command, self.path, headers))
        trouble = self.hub.take_trouble(path) or Trouble()
        if trouble.delay:
            time.sleep(trouble.delay)
        if trouble.status is not None:
            self._plain(trouble.status, trouble.headers, b"{}")
        elif trouble.redirect is not None:
            self._plain(302, {"Location": trouble.redirect}, b"")
        else:
            self._answer(path, trouble)

    def _answer(self, path: str, trouble: Trouble) -> None:
        if match := re.fullmatch(r"/api/models/(.+?)(?:/revision/([^/]+))?", path):
            self._listing(match[1], match[2] or "main")
        elif match := re.fullmatch(r"/cdn/([^/]+/[^/]+)/(.+)", path):
            self._content(self.hub.repositories[match[1]].files[match[2]], {}, trouble)
        elif match := re.fullmatch(r"/(.+?)/resolve/([^/]+)/(.+)", path):
            self._resolve(match[1], match[2], match[3], trouble)
        elif match := re.fullmatch(r"/simple/([^/]+)/", path):
            self._index(match[1])
        elif match := re.fullmatch(r"/packages/([^/]+)/([^/]+)", path):
            self._content(self.hub.packages[match[1]][match[2]], {}, trouble)
        elif path in self.hub.files:
            self._content(self.hub.files[path], {}, trouble)
        else:
            self._plain(404, {}, b"nothing")

    def _repository(self, name: str, revision: str) -> Repository | None:
        """Return a repository that the request may see, or answer why not."""
        repository = self.hub.repositories.get(name)
        if repository is None:
            self._plain(
                404, {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"}, b"{}"
            )
            return None
        if repository.moved_to is not None:
            where = self.path.replace(name, repository.moved_to, 1)
            self._plain(307, {"Location": where}, b"")
            return None
        if repository.token is not None and self.headers.get("Authorization") != f"Bearer {repository.token}":
            self._plain(401, {"X-Error-Message": "Invalid username or password."}, b"{}")
            return None
        if revision not in ("main", "v1", repository.commit):
            self._plain(404, {"X-Error-Code": "RevisionNotFound"}, b"{}")
            return None
        return repository

    def _listing(self, name: str, revision: str) -> None:
        repository = self._repository(name, revision)
        if repository is None:
            return
        siblings = []
        for path, content in repository.files.items():
            entry: dict[str, object] = {"rfilename": path, "size": len(content), "blobId": git_sha1(content)}
            if len(content) >= LARGE_BYTES:
                sha256 = hashlib.sha256(content).hexdigest()
                entry["lfs"] = {"sha256": sha256, "size": len(content), "pointerSize": 130}
                entry["blobId"] = git_sha1(sha256.encode())
            siblings.append(entry)
        answer = {
            "_id": "1",
            "id": name,
            "modelId": name,
            "sha": repository.commit,
            "private": repository.token is not None,
            "gated": "manual" if repository.gated else False,
            "cardData": repository.card,
            "siblings": siblings,
            "tags": [],
            "downloads": 0,
            "likes": 0,
        }
        self._plain(200, {"Content-Type": "application/json"}, json.dumps(answer).encode())

    def _resolve(self, name: str, revision: str, file: str, trouble: Trouble) -> None:
        repository = self._repository(name, revision)
        if repository is None:
            return
        if repository.gated and repository.token is None:
            self._plain(403, {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted"}, b"{}")
            return
        content = repository.files.get(file)
        if content is None:
            self._plain(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": repository.commit}, b"")
            return
        headers = {"X-Repo-Commit": repository.commit}
        if len(content) < LARGE_BYTES:
            self._content(content, {**headers, "ETag": f'"{git_sha1(content)}"'}, trouble)
            return
        headers["X-Linked-ETag"] = f'"{hashlib.sha256(content).hexdigest()}"'
        headers["X-Linked-Size"] = str(len(content))
        # To another host, as far as anyone can tell: secrets must not follow.
        there = self.hub.url.replace("127.0.0.1", "localhost")
        self._plain(302, {**headers, "Location": f"{there}/cdn/{name}/{file}"}, b"")

    def _index(self, package: str) -> None:
        files = self.hub.packages.get(package)
        if files is None:
            self._plain(404, {}, b"")
            return
        entries = []
        for name, content in files.items():
            sha256 = hashlib.sha256(content).hexdigest()
            entries.append(
                {
                    "filename": name,
                    "url": f"../../packages/{package}/{name}",
                    "hashes": {} if name in self.hub.without_hash else {"sha256": sha256},
                    "size": len(content),
                    "yanked": name in self.hub.yanked,
                }
            )
        if self.hub.json_index:
            body = json.dumps({"meta": {"api-version": "1.1"}, "name": package, "files": entries})
            self._plain(200, {"Content-Type": "application/vnd.pypi.simple.v1+json"}, body.encode())
            return
        links = [
            f'<a href="{entry["url"]}#sha256={entry["hashes"].get("sha256", "")}"'  # type: ignore[attr-defined]
            f"{' data-yanked=' + chr(34) + chr(34) if entry['yanked'] else ''}>{entry['filename']}</a>"
            for entry in entries
        ]
        page = "<!DOCTYPE html><html><body>" + "<br>".join(links) + "</body></html>"
        self._plain(200, {"Content-Type": "text/html"}, page.encode())

    def _content(self, content: bytes, headers: dict[str, str], trouble: Trouble) -> None:
        """Answer with a file, or with the part of it that was asked for."""
        if trouble.change is not None:
            content = trouble.change(content)
        start, status = 0, 200
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if asked is not None and not trouble.ignore_range:
            start, status = int(asked[1]), 206
            if start >= len(content):
                self._plain(416, {"Content-Range": f"bytes */{len(content)}"}, b"")
                return
            headers = {**headers, "Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
        body = content[start:]
        self.send_response(status)
        for key, value in {
            "Accept-Ranges": "bytes",
            **headers,
            "Content-Length": str(len(body)),
            **trouble.headers,
        }.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if trouble.cut_after is not None and trouble.cut_after < len(body):
            self.wfile.write(body[: trouble.cut_after])
            self.wfile.flush()
            self.close_connection = True
            return
        self.wfile.write(body)

    def _plain(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
