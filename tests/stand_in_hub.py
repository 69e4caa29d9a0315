"""A stand-in for the Hugging Face Hub on loopback: as much of it as uploading and reading a dataset asks for."""

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from urllib.parse import unquote, urlsplit

from unreliable_server import answering

TOKEN = "hf_local"


@dataclass
class StandInHub:
    """Repositories by name with their files, and blobs by SHA-256.

    Attributes:
        fail_after: commits after which the hub answers 503; None for never.
    """

    address: str = ""
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    commits: list[list[str]] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    fail_after: int | None = None


@contextmanager
def hub() -> Iterator[StandInHub]:
    """The stand-in, in a thread."""
    state = StandInHub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 20

        def log_message(self, *_: object) -> None:
            """Quiet."""

        def answer(self, status: int, body: object = None, **headers: str) -> None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(data)), "Connection": "close", **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(data)

        def content(self) -> bytes:
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))

        def do_PUT(self) -> None:
            data = self.content()
            state.blobs[hashlib.sha256(data).hexdigest()] = data
            state.sent.append(hashlib.sha256(data).hexdigest())
            self.answer(200)

        def do_POST(self) -> None:
            path, data = urlsplit(self.path).path, self.content()
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                self.answer(401, {"error": "no token"})
            elif path == "/api/repos/create":
                asked = json.loads(data)
                name = "/".join(
                    filter(None, (asked.get("organization") or "me", asked["name"].split("/")[-1]))
                )
                known = name in state.files
                state.files.setdefault(name, {})
                self.answer(409 if known else 200, {"url": f"{state.address}/datasets/{name}"})
            elif path == "/api/validate-yaml":
                self.answer(200, {"errors": [], "warnings": []})
            elif "/preupload/" in path:
                files = json.loads(data)["files"]
                modes = [
                    {
                        "path": file["path"],
                        "uploadMode": "lfs"
                        if file["path"].endswith((".tar", ".parquet", ".png"))
                        else "regular",
                        "shouldIgnore": False,
                    }
                    for file in files
                ]
                self.answer(200, {"files": modes})
            elif path.endswith("/info/lfs/objects/batch"):
                objects = json.loads(data)["objects"]
                actions = [
                    item
                    if item["oid"] in state.blobs
                    else {**item, "actions": {"upload": {"href": f"{state.address}/blobs/{item['oid']}"}}}
                    for item in objects
                ]
                self.answer(200, {"transfer": "basic", "objects": actions})
            elif "/commit/" in path:
                self.commit("/".join(path.split("/")[3:5]), data)
            else:
                self.answer(404, {"error": path})

        def commit(self, name: str, data: bytes) -> None:
            if state.fail_after is not None and len(state.commits) >= state.fail_after:
                self.answer(400, {"error": "not now"})
                return
            added = []
            for line in map(json.loads, data.splitlines()):
                value = line["value"]
                if line["key"] == "file":
                    state.files[name][value["path"]] = base64.b64decode(value["content"])
                    added.append(value["path"])
                elif line["key"] == "lfsFile":
                    state.files[name][value["path"]] = state.blobs[value["oid"]]
                    added.append(value["path"])
            state.commits.append(added)
            self.answer(
                200,
                {
                    "commitUrl": f"{state.address}/datasets/{name}/commit/1",
                    "commitOid": "1" * 40,
                    "pullRequestUrl": None,
                },
            )

        def do_GET(self) -> None:
            parts = unquote(urlsplit(self.path).path).strip("/").split("/")
            if parts[:2] == ["api", "datasets"] and parts[4:5] == ["tree"]:
                files = state.files["/".join(parts[2:4])]
                self.answer(200, [described(path, data) for path, data in files.items()])
            elif parts[0] == "datasets" and parts[3:4] == ["resolve"]:
                data = state.files.get("/".join(parts[1:3]), {}).get("/".join(parts[5:]))
                asked = self.headers.get("Range", "")
                if data is None:
                    self.answer(404, {"error": "no file"})
                elif asked:
                    first, _, last = asked.removeprefix("bytes=").partition("-")
                    stop = int(last) + 1 if last else len(data)
                    part = data[int(first) : stop]
                    said = f"bytes {first}-{int(first) + len(part) - 1}/{len(data)}"
                    self.answer(206, part, Content_Range=said)
                else:
                    self.answer(200, data)
            else:
                self.answer(404, {"error": self.path})

    with answering(Handler) as port:
        state.address = f"http://127.0.0.1:{port}"
        yield state


def described(path: str, data: bytes) -> dict:
    """A file in a listing."""
    content = {"type": "file", "path": path, "size": len(data), "oid": git_hash(data)}
    if path.endswith((".tar", ".parquet", ".png")):
        content["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
    return content


def git_hash(data: bytes) -> str:
    """As git names a blob."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
