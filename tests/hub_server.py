"""A real HTTP server on loopback that speaks the HuggingFace Hub's API.

The real huggingface_hub, datasets and transformers clients work against it. Small files are
answered by the hub itself; LFS files by a redirect to a second origin with a signed address.

    with HubServer() as server:
        server.add("dataset", "acme/tales", {"train.csv": b"text\\nhello\\n"})
        server.add_fault("train.csv", status=503, times=2)
        ... server.url ... server.requests ...
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self
from urllib.parse import parse_qs, quote, unquote, urlsplit

from hub_repos import Blob, Repo, all_refs, tree_entries

SIGNATURE = "Signature-that-must-not-leak"
CHUNK_BYTES = 16 * 1024


@dataclass(frozen=True)
class Request:
    origin: Literal["hub", "cdn"]
    method: str
    path: str
    query: str
    token: str | None
    range: str | None


@dataclass
class Fault:
    """What goes wrong with the next ``times`` GETs of a path that ends in ``path_end``."""

    path_end: str
    times: int
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    corrupt: bool = False
    drop_after: int | None = None
    gate: threading.Event | None = None

    @property
    def is_in_body(self) -> bool:
        """Whether it waits for the file itself, behind a redirect."""
        return self.corrupt or self.drop_after is not None


class HubServer:
    """Repositories in memory, served until the ``with`` block ends.

    ``tokens`` are the valid ones; ``throttle`` is in bytes per second for each body;
    ``page_size`` counts entries of one page of a tree.
    """

    def __init__(self, *, page_size: int = 50) -> None:
        self.page_size = page_size
        self.tokens: set[str] = set()
        self.throttle: int | None = None
        self.requests: list[Request] = []
        self.blobs: dict[str, Blob] = {}
        self._repos: dict[tuple[str, str], Repo] = {}
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self.closing = threading.Event()
        self._hub = _listen(self, "hub")
        self._cdn = _listen(self, "cdn")
        self.url = _address(self._hub)
        self.cdn_url = _address(self._cdn)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.closing.set()
        for server in (self._hub, self._cdn):
            server.shutdown()
            server.server_close()

    def add(
        self,
        kind: Literal["dataset", "model"],
        repo_id: str,
        files: Mapping[str, bytes | Blob],
        **options: Any,
    ) -> Repo:
        repo = Repo(kind, repo_id, **options)
        repo.commit(files)
        self._repos[kind, repo_id] = repo
        return repo

    def repo(self, kind: str, repo_id: str) -> Repo | None:
        return self._repos.get((kind, repo_id))

    def add_fault(self, path_end: str, *, times: int = 1, **what: Any) -> None:
        self._faults.append(Fault(path_end, times, **what))

    def reset(self) -> None:
        """Forget faults, throttle and the request log; the repositories stay."""
        with self._lock:
            for fault in self._faults:
                if fault.gate is not None:
                    fault.gate.set()
            self._faults.clear()
            self.requests.clear()
            self.throttle = None

    def log(self, request: Request) -> None:
        with self._lock:
            self.requests.append(request)

    def take_fault(self, path: str, method: str, *, in_body: bool) -> Fault | None:
        with self._lock:
            for fault in self._faults:
                is_due = fault.times > 0 and fault.is_in_body == in_body and method == "GET"
                if is_due and path.endswith(fault.path_end):
                    fault.times -= 1
                    return fault
        return None


def _listen(hub: HubServer, origin: Literal["hub", "cdn"]) -> ThreadingHTTPServer:
    handler = type("Handler", (_Handler,), {"hub": hub, "origin": origin})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    # a client that went away is no news
    server.handle_error = lambda *_: None
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


def _address(server: ThreadingHTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}"


class _RefusalError(Exception):
    def __init__(self, status: int, code: str, message: str = "") -> None:
        super().__init__(code)
        self.status = status
        self.headers = {"X-Error-Code": code, "X-Error-Message": message or code}


class _Handler(BaseHTTPRequestHandler):
    hub: HubServer
    origin: Literal["hub", "cdn"]
    protocol_version = "HTTP/1.1"
    # small answers must not wait for the client's acknowledgement
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        address = urlsplit(self.path)
        self.query = parse_qs(address.query)
        token = self.headers.get("Authorization", "").removeprefix("Bearer ") or None
        path = unquote(address.path)
        self.hub.log(
            Request(
                self.origin, self.command, path, address.query, token, self.headers.get("Range")
            )
        )
        self.fault = self.hub.take_fault(path, self.command, in_body=False)
        if self.fault and self.fault.gate:
            self.fault.gate.wait()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            if self.fault and self.fault.status:
                return self._send(self.fault.status, self.fault.headers, b"fault")
            parts = [unquote(part) for part in address.path.strip("/").split("/")]
            (self._cdn if self.origin == "cdn" else self._hub)(parts, token, body)
        except _RefusalError as refusal:
            self._send(refusal.status, refusal.headers, b"")

    def _hub(self, parts: list[str], token: str | None, body: bytes) -> None:
        if token is not None and token not in self.hub.tokens:
            raise _RefusalError(401, "", "Invalid credentials in Authorization header")
        if parts[0] == "api" and parts[1] in ("datasets", "models"):
            repo, rest = self._find(parts[1][:-1], parts[2:], token)
            return self._api(repo, rest, token, body)
        kind = "dataset" if parts[0] == "datasets" else "model"
        repo, rest = self._find(kind, parts[1:] if kind == "dataset" else parts, token)
        if len(rest) < 3 or rest[0] != "resolve":
            raise _RefusalError(404, "EntryNotFound")
        self._check_gate(repo, token)
        return self._resolve(repo, rest[1], "/".join(rest[2:]))

    def _find(self, kind: str, parts: list[str], token: str | None) -> tuple[Repo, list[str]]:
        for length in (2, 1):
            repo = self.hub.repo(kind, "/".join(parts[:length]))
            if repo is not None and not (repo.private and token not in repo.readers):
                return repo, parts[length:]
        raise _RefusalError(404 if token else 401, "RepoNotFound", "Repository not found")

    def _check_gate(self, repo: Repo, token: str | None) -> None:
        if repo.gated and token not in repo.readers:
            raise _RefusalError(403 if token else 401, "GatedRepo", "Access is restricted")

    def _api(self, repo: Repo, rest: list[str], token: str | None, body: bytes) -> None:
        if rest == ["auth-check"]:
            self._check_gate(repo, token)
            return self._send(200, {}, b"OK", kind="text/plain")
        if rest == ["refs"]:
            return self._json(all_refs(repo))
        revision = rest[1] if len(rest) > 1 else "main"
        commit = repo.resolve(revision)
        if commit is None:
            raise _RefusalError(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        files = repo.commits[commit]
        match rest:
            case [] | ["revision", _]:
                return self._json(self._info(repo, commit))
            case ["tree", _, *under]:
                return self._tree(files, "/".join(under))
            case ["paths-info", _]:
                asked = _asked_paths(body, self.headers.get("Content-Type", ""))
                entries = tree_entries(files)
                return self._json([entries[path] for path in asked if path in entries])
        raise _RefusalError(404, "EntryNotFound")

    def _info(self, repo: Repo, commit: str) -> dict[str, Any]:
        facts = {
            "author": repo.repo_id.partition("/")[0],
            "sha": commit,
            "private": repo.private,
            "gated": "auto" if repo.gated else False,
            "disabled": repo.disabled,
            "tags": [],
            "downloads": 0,
            "likes": 0,
            "createdAt": "2026-01-01T00:00:00.000Z",
            "lastModified": "2026-01-01T00:00:00.000Z",
            "siblings": [{"rfilename": path} for path in repo.commits[commit]],
        }
        if expand := self.query.get("expand"):
            facts = {name: facts[name] for name in expand}
        return {"_id": "0" * 24, "id": repo.repo_id, **facts}

    def _tree(self, files: Mapping[str, Blob], under: str) -> None:
        entries = tree_entries(files)
        if under and under not in entries:
            raise _RefusalError(404, "EntryNotFound", f"{under} does not exist")
        prefix = f"{under}/" if under else ""
        is_recursive = self.query.get("recursive", [""])[0].lower() == "true"
        found = [
            entry
            for path, entry in entries.items()
            if path.startswith(prefix) and (is_recursive or "/" not in path[len(prefix) :])
        ]
        start = int(self.query.get("cursor", ["0"])[0])
        stop = start + self.hub.page_size
        headers = {}
        if stop < len(found):
            address = urlsplit(self.path)
            kept = [p for p in address.query.split("&") if p and not p.startswith("cursor=")]
            query = "&".join([*kept, f"cursor={stop}"])
            headers["Link"] = f'<{self.hub.url}{address.path}?{query}>; rel="next"'
        self._json(found[start:stop], headers)

    def _resolve(self, repo: Repo, revision: str, path: str) -> None:
        commit = repo.resolve(revision)
        if commit is None:
            raise _RefusalError(404, "RevisionNotFound")
        blob = repo.commits[commit].get(path)
        if blob is None:
            raise _RefusalError(404, "EntryNotFound")
        headers = {"X-Repo-Commit": commit, "ETag": f'"{blob.etag}"'}
        if not blob.is_lfs:
            return self._send_file(blob, headers)
        self.hub.blobs[blob.sha256] = blob
        headers["X-Linked-Size"] = str(blob.size)
        headers["X-Linked-ETag"] = f'"{blob.sha256}"'
        name = quote(path.rpartition("/")[2])
        headers["Location"] = (
            f"{self.hub.cdn_url}/blobs/{blob.sha256}/{name}?Signature={SIGNATURE}&Expires=1"
        )
        return self._send(302, headers, b"")

    def _cdn(self, parts: list[str], token: str | None, _body: bytes) -> None:
        blob = self.hub.blobs.get(parts[1]) if len(parts) > 1 else None
        if blob is None or self.query.get("Signature") != [SIGNATURE]:
            raise _RefusalError(403, "AccessDenied")
        # like S3, which refuses a signed request that carries another authorization
        if token is not None:
            raise _RefusalError(400, "InvalidArgument")
        self._send_file(blob, {"ETag": f'"{blob.etag}"'})

    def _send_file(self, blob: Blob, headers: dict[str, str]) -> None:
        content, status = blob.content, 200
        headers["Accept-Ranges"] = "bytes"
        if asked := self.headers.get("Range", "").removeprefix("bytes="):
            first, _, last = asked.partition("-")
            start = int(first)
            stop = min(int(last) + 1 if last else len(content), len(content))
            if start >= len(content):
                return self._send(416, {"Content-Range": f"bytes */{len(content)}"}, b"")
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(content)}"
            content, status = content[start:stop], 206
        path = unquote(urlsplit(self.path).path)
        self.fault = self.hub.take_fault(path, self.command, in_body=True)
        if self.fault and self.fault.corrupt:
            content = content[:-1] + bytes([content[-1] ^ 1])
        self._send(status, headers, content, kind="application/octet-stream")
        return None

    def _json(self, value: object, headers: Mapping[str, str] | None = None) -> None:
        self._send(200, headers or {}, json.dumps(value).encode(), kind="application/json")

    def _send(
        self, status: int, headers: Mapping[str, str], body: bytes, *, kind: str = "text/plain"
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        for chunk in self._paced(body):
            self.wfile.write(chunk)

    def _paced(self, body: bytes) -> Iterator[bytes]:
        drop_after = self.fault.drop_after if self.fault else None
        for start in range(0, len(body), CHUNK_BYTES):
            if drop_after is not None and start >= drop_after:
                self.close_connection = True
                self.connection.shutdown(2)
                return
            chunk = body[start : start + CHUNK_BYTES]
            yield chunk
            if self.hub.throttle:
                self.hub.closing.wait(len(chunk) / self.hub.throttle)


def _asked_paths(body: bytes, kind: str) -> list[str]:
    if "json" in kind:
        return list(json.loads(body)["paths"])
    return parse_qs(body.decode()).get("paths", [])
