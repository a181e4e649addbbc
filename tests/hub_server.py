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
import os
import socket
import struct
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self
from urllib.parse import parse_qs, quote, unquote, urlsplit

from hub_repos import Blob, Repo, all_refs, tree_entries

SIGNATURE = "Signature-that-must-not-leak"
# what a throttled or faulty body is sent in, and one that nothing is wrong with
SMALL_CHUNK_BYTES = 16 * 1024
LARGE_CHUNK_BYTES = 1024 * 1024


@dataclass
class Request:
    """One line of the log; ``sent`` counts the bytes of the body that were sent."""

    origin: Literal["hub", "cdn"]
    method: str
    path: str
    query: str
    token: str | None
    range: str | None
    client_port: int
    sent: int = 0

    @property
    def start(self) -> int:
        """Position of the first byte that was asked for."""
        return int((self.range or "bytes=0-").removeprefix("bytes=").partition("-")[0])


@dataclass
class Fault:
    """What goes wrong with the next ``times`` GETs of a path that ends in ``path_end``.

    ``skip`` of them pass first.

    Before the answer:

    status, headers, body : this answer instead; ``origin`` tells whose
    gate : no answer until it is set

    In the body of a file, behind a redirect:

    corrupt : another last byte
    content : another content altogether
    etag : another name for the content
    no_range : all of it, though a part was asked for
    no_length : the end of the connection is the end of the body
    ends_after : its headers tell, rightly, that it is so short
    drop_after, reset : the connection ends after so many bytes, by FIN or RST
    hang_after : silence after so many bytes, until ``gate`` is set

    ``struck`` is set when it begins; ``client_ports`` tells whose requests it struck.
    """

    path_end: str
    times: int
    skip: int = 0
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b"fault"
    origin: Literal["hub", "cdn"] | None = None
    gate: threading.Event | None = None
    corrupt: bool = False
    content: bytes | None = None
    etag: str | None = None
    no_range: bool = False
    no_length: bool = False
    ends_after: int | None = None
    drop_after: int | None = None
    reset: bool = False
    hang_after: int | None = None
    struck: threading.Event = field(default_factory=threading.Event)
    client_ports: list[int] = field(default_factory=list)

    @property
    def is_in_body(self) -> bool:
        """Whether it waits for the file itself, behind a redirect."""
        numbers = (self.ends_after, self.drop_after, self.hang_after)
        flags = (self.corrupt, self.content is not None, self.etag, self.no_range, self.no_length)
        return any(number is not None for number in numbers) or any(flags)


class HubServer:
    """Repositories in memory, served until the ``with`` block ends.

    ``tokens`` are the valid ones; ``throttle`` is in bytes per second for each body;
    ``page_size`` counts entries of one page of a tree; a signed address opens ``signed_uses``
    times, and has expired after that.
    """

    def __init__(self, *, page_size: int = 50) -> None:
        self.page_size = page_size
        self.tokens: set[str] = set()
        self.throttle: int | None = None
        self.signed_uses: int | None = None
        self.requests: list[Request] = []
        self.blobs: dict[str, Blob] = {}
        self._repos: dict[tuple[str, str], Repo] = {}
        self._faults: list[Fault] = []
        self._num_signed = 0
        self._uses: dict[str, int] = {}
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

    def add_fault(self, path_end: str, *, times: int = 1, **what: Any) -> Fault:
        fault = Fault(path_end, times, **what)
        if fault.hang_after is not None and fault.gate is None:
            fault.gate = threading.Event()
        self._faults.append(fault)
        return fault

    def sign(self) -> str:
        """Return a signature that opens an address ``signed_uses`` times."""
        with self._lock:
            self._num_signed += 1
            return f"{SIGNATURE}{self._num_signed}"

    def opens(self, signature: str) -> bool:
        with self._lock:
            uses = self._uses[signature] = self._uses.get(signature, 0) + 1
            is_old = self.signed_uses is not None and uses > self.signed_uses
            return signature.startswith(SIGNATURE) and not is_old

    def reset(self) -> None:
        """Forget faults, throttle and the request log; the repositories stay."""
        with self._lock:
            for fault in self._faults:
                if fault.gate is not None:
                    fault.gate.set()
            self._faults.clear()
            self.requests.clear()
            self.throttle = self.signed_uses = None

    def log(self, request: Request) -> None:
        with self._lock:
            self.requests.append(request)

    def take_fault(self, request: Request, *, in_body: bool) -> Fault | None:
        with self._lock:
            for fault in self._faults:
                is_due = fault.times > 0 and fault.is_in_body == in_body
                is_here = fault.origin in (None, request.origin) and request.method == "GET"
                if not (is_due and is_here and request.path.endswith(fault.path_end)):
                    continue
                if fault.skip == 0:
                    fault.times -= 1
                    fault.client_ports.append(request.client_port)
                    fault.struck.set()
                    return fault
                fault.skip -= 1
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
        self.request_line = Request(
            self.origin,
            self.command,
            path,
            address.query,
            token,
            self.headers.get("Range"),
            self.client_address[1],
        )
        self.hub.log(self.request_line)
        self.fault = self.hub.take_fault(self.request_line, in_body=False)
        if self.fault and self.fault.gate:
            self.fault.gate.wait()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            if self.fault and self.fault.status:
                return self._send(self.fault.status, self.fault.headers, self.fault.body)
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
            f"{self.hub.cdn_url}/blobs/{blob.sha256}/{name}?Signature={self.hub.sign()}&Expires=1"
        )
        return self._send(302, headers, b"")

    def _cdn(self, parts: list[str], token: str | None, _body: bytes) -> None:
        blob = self.hub.blobs.get(parts[1]) if len(parts) > 1 else None
        if blob is None or not self.hub.opens(self.query.get("Signature", [""])[0]):
            raise _RefusalError(403, "AccessDenied")
        # like S3, which refuses a signed request that carries another authorization
        if token is not None:
            raise _RefusalError(400, "InvalidArgument")
        self._send_file(blob, {"ETag": f'"{blob.etag}"'})

    def _send_file(self, blob: Blob, headers: dict[str, str]) -> None:
        self.fault = fault = self.hub.take_fault(self.request_line, in_body=True)
        content, status = memoryview(blob.content), 200
        if fault and fault.content is not None:
            content = memoryview(fault.content)
        if fault and fault.etag:
            headers["ETag"] = headers["X-Linked-ETag"] = f'"{fault.etag}"'
        headers["Accept-Ranges"] = "bytes"
        asked = self.headers.get("Range", "").removeprefix("bytes=")
        if asked and not (fault and fault.no_range):
            first, _, last = asked.partition("-")
            start = int(first)
            stop = min(int(last) + 1 if last else len(content), len(content))
            if start >= len(content):
                return self._send(416, {"Content-Range": f"bytes */{len(content)}"}, b"")
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(content)}"
            content, status = content[start:stop], 206
        if fault and fault.ends_after is not None:
            content = content[: fault.ends_after]
        if fault and fault.corrupt:
            content = memoryview(bytes(content[:-1]) + bytes([content[-1] ^ 1]))
        return self._send(status, headers, content, kind="application/octet-stream")

    def _json(self, value: object, headers: Mapping[str, str] | None = None) -> None:
        self._send(200, headers or {}, json.dumps(value).encode(), kind="application/json")

    def _send(
        self,
        status: int,
        headers: Mapping[str, str],
        body: bytes | memoryview,
        *,
        kind: str = "text/plain",
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        if self.fault and self.fault.no_length:
            self.close_connection = True
        else:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self._send_body(body)

    def _send_body(self, body: bytes | memoryview) -> None:
        fault, throttle = self.fault, self.hub.throttle
        chunk_bytes = SMALL_CHUNK_BYTES if fault or throttle else LARGE_CHUNK_BYTES
        stops = [fault.drop_after, fault.hang_after] if fault else []
        stop = min((n for n in stops if n is not None), default=len(body))
        for start in range(0, min(stop, len(body)), chunk_bytes):
            chunk = body[start : min(start + chunk_bytes, stop)]
            self.wfile.write(chunk)
            self.request_line.sent += len(chunk)
            if throttle := self.hub.throttle:
                self.hub.closing.wait(len(chunk) / throttle)
        if fault and fault.hang_after is not None and fault.gate:
            fault.gate.wait()
        if stop < len(body) or (fault and fault.drop_after is not None):
            self._hang_up(with_reset=bool(fault and fault.reset))

    def _hang_up(self, *, with_reset: bool) -> None:
        self.close_connection = True
        if with_reset:
            # closing with a linger of 0 s sends RST
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            os.close(self.connection.detach())
        else:
            self.connection.shutdown(socket.SHUT_RDWR)


def _asked_paths(body: bytes, kind: str) -> list[str]:
    if "json" in kind:
        return list(json.loads(body)["paths"])
    return parse_qs(body.decode()).get("paths", [])
