"""Label a folder that `ftctl data export --to argilla` wrote, with Argilla's own package.

`python argilla_session.py FOLDER LABELS OUT`, in Argilla's environment. There is no server; one
that answers who is asking stands in for it, since the package greets it before it does anything.
"""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from uuid import UUID, uuid5

import argilla as rg
from argilla._models import DatasetModel
from argilla.records._io import GenericIO, JsonIO
from typing_extensions import override

PEOPLE = UUID("00000000-0000-0000-0000-000000000001")
WHEN = "2026-01-01T00:00:00"
ME = {"id": str(PEOPLE), "username": "owner", "role": "owner", "first_name": "o"}
SPACE = {"id": str(PEOPLE), "name": "w", "inserted_at": WHEN, "updated_at": WHEN}


class Greeter(BaseHTTPRequestHandler):
    """Answers who is asking and what workspaces there are."""

    def do_GET(self) -> None:
        listed = {"items": [SPACE]}
        body = json.dumps(listed if self.path.endswith("workspaces") else ME).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @override
    def log_message(self, *args: object) -> None:
        """Say nothing."""


def main() -> None:
    """Read, label, and write as `Dataset.to_disk` and both JSON writers do."""
    folder, labels, out = map(Path, sys.argv[1:])
    server = HTTPServer(("127.0.0.1", 0), Greeter)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    client = rg.Argilla(api_url=f"http://127.0.0.1:{server.server_port}", api_key="k")
    model = DatasetModel(**json.loads((folder / ".argilla/dataset.json").read_text()))
    settings = rg.Settings.from_json(folder / ".argilla/settings.json")
    settings.validate()
    dataset = rg.Dataset(name=model.name, settings=settings, client=client)
    records = JsonIO._records_from_json(folder / "records.json")
    records[0].metadata["ticket"] = "T-1"
    for label in json.loads(labels.read_text()):
        records[label["row"]].responses.add(
            rg.Response(
                question_name=label["question"],
                value=label["value"],
                user_id=uuid5(PEOPLE, label["annotator"]),
                status=label["status"],
            )
        )
    disk = out / "to_disk"
    disk.mkdir(parents=True)
    dataset.to_disk(str(disk), with_records=False)
    JsonIO.to_json(records, disk / "records.json")
    flat = GenericIO.to_list(records, flatten=True)
    (out / "flat.json").write_text(json.dumps(flat))
    server.shutdown()


main()
