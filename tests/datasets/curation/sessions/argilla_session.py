"""Label a folder that `ftctl data export --to argilla` wrote, with Argilla's own package.

`python argilla_session.py FOLDER LABELS OUT`, which may be said again, in Argilla's
environment. Its server needs three other services; what stands in for it here keeps what the
package sends and gives it back. What people do in a browser is put into its records.
"""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid5

import argilla as rg
from typing_extensions import override

PEOPLE = UUID("00000000-0000-0000-0000-000000000001")
WHEN = "2026-01-01T00:00:00"
BASE = {"id": str(PEOPLE), "inserted_at": WHEN, "updated_at": WHEN}
SPACE = {**BASE, "name": "w"}
ME = {**BASE, "username": "owner", "role": "owner", "first_name": "o"}


class Store:
    """What the server knows: one dataset with its parts, and records in order."""

    def __init__(self) -> None:
        self.dataset: dict[str, Any] = {}
        self.parts: dict[str, list[dict[str, Any]]] = {"fields": [], "questions": []}
        self.records: list[dict[str, Any]] = []

    def get(self, path: list[str], query: dict[str, list[str]]) -> object:
        """What a path holds."""
        if path == ["me"]:
            return ME
        if path[-1] == "workspaces":
            return {"items": [SPACE]}
        if path[0] == "workspaces":
            return SPACE
        if path[-1] == "records":
            start, most = (int(query[key][0]) for key in ("offset", "limit"))
            return {"items": self.records[start : start + most]}
        if path[0] == "datasets" and len(path) == 2:
            return self.dataset
        return {"items": self.parts.get(path[-1], [])}

    def put(self, path: list[str], body: dict[str, Any]) -> object:
        """Keep what is sent."""
        if path[-1] == "datasets":
            self.dataset = body | BASE | {"status": "draft"}
        elif path[-1] == "publish":
            self.dataset["status"] = "ready"
        elif path[0] == "datasets" and len(path) == 2:
            self.dataset |= {key: value for key, value in body.items() if value is not None}
        elif path[-1] == "bulk":
            new = len(self.records)
            for number, record in enumerate(body["items"], new):
                kept = record | BASE | {"id": str(UUID(int=number + 10)), "vectors": {}}
                self.records.append(kept)
            return {"items": self.records[new:], "updated_item_ids": []}
        else:
            part = self.parts[path[-1]]
            part.append(body | BASE | {"id": str(UUID(int=len(part) + 10))})
            return part[-1]
        return self.dataset

    def label(self, label: dict[str, Any]) -> None:
        """What the browser sends when a person submits, saves or discards."""
        said = {
            "values": {label["question"]: {"value": label["value"]}},
            "status": label["status"],
            "user_id": str(uuid5(PEOPLE, label["annotator"])),
        }
        self.records[label["row"]]["responses"].append(said)


class Handler(BaseHTTPRequestHandler):
    """Speaks HTTP for the store."""

    store: Store

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        self._send(self.store.get(url.path.split("/")[3:], parse_qs(url.query)))

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length) or b"{}")
        self._send(self.store.put(self.path.split("/")[3:], body))

    def do_PUT(self) -> None:
        self.do_POST()

    def do_PATCH(self) -> None:
        self.do_POST()

    def _send(self, said: object) -> None:
        body = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @override
    def log_message(self, *args: object) -> None:
        """Say nothing."""


def label_all(folder: Path, labels: Path, out: Path) -> None:
    """Read with `from_disk`, label, and write as `to_disk` and both JSON writers do."""
    store = Handler.store = Store()
    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    client = rg.Argilla(api_url=f"http://127.0.0.1:{server.server_port}", api_key="k")
    dataset = rg.Dataset.from_disk(str(folder), client=client)
    store.records[0]["metadata"] = {"ticket": "T-1"}
    for label in json.loads(labels.read_text()):
        store.label(label)
    (out / "to_disk").mkdir(parents=True)
    dataset.to_disk(str(out / "to_disk"))
    flat = dataset.records.to_list(flatten=True)
    (out / "flat.json").write_text(json.dumps(flat))
    server.shutdown()


paths = [Path(word) for word in sys.argv[1:]]
for start in range(0, len(paths), 3):
    label_all(*paths[start : start + 3])
