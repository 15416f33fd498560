"""Files that come in parts, through OpenAI's own SDK where its types say what comes."""

import hashlib
import os
import time
from pathlib import Path
from typing import Any

import pytest
from openai.types import Upload
from openai.types.uploads import UploadPart
from starlette.testclient import TestClient

from ftctl.errors import StoreError, UsageError
from ftctl.server.files import FileStore
from ftctl.server.uploads import PART_BYTES, Asked, UploadStore

UPLOADS = "/v1/uploads"
DATA = b'{"messages": []}\n' * 50
MD5 = hashlib.md5(DATA, usedforsecurity=False).hexdigest()
NOBODY = "upload_" + "2" * 24


def begin(client: TestClient, size: int = len(DATA), **more: Any) -> dict[str, Any]:
    asked = {"bytes": size, "filename": "big.jsonl", "mime_type": "text/jsonl"}
    sent = client.post(UPLOADS, json=asked | {"purpose": "fine-tune"} | more)
    assert sent.status_code == 200, sent.text
    Upload.model_validate(sent.json(), strict=True)
    found: dict[str, Any] = sent.json()
    return found


def add(client: TestClient, upload_id: str, data: bytes) -> str:
    sent = client.post(f"{UPLOADS}/{upload_id}/parts", files={"data": ("upload", data)})
    assert sent.status_code == 200, sent.text
    return UploadPart.model_validate(sent.json(), strict=True).id


def error_of(response: Any, status: int = 400) -> dict[str, Any]:
    assert response.status_code == status, response.text
    found: dict[str, Any] = response.json()["error"]
    return found


def test_parts_become_one_file_in_the_order_that_is_said(
    client: TestClient, clean_environment: Path
) -> None:
    upload = begin(client)
    assert (upload["status"], upload["file"]) == ("pending", None)
    assert upload["expires_at"] == upload["created_at"] + 3600
    last, first = add(client, upload["id"], DATA[400:]), add(client, upload["id"], DATA[:400])
    add(client, upload["id"], DATA[:400])  # its answer was lost: it was sent again
    where = f"{UPLOADS}/{upload['id']}"
    asked = {"part_ids": [first, last], "md5": MD5}
    done = client.post(f"{where}/complete", json=asked).json()
    Upload.model_validate(done, strict=True)
    assert done["status"] == "completed"
    assert (done["file"]["bytes"], done["file"]["filename"]) == (len(DATA), "big.jsonl")
    assert client.get(f"/v1/files/{done['file']['id']}/content").content == DATA
    assert client.post(f"{where}/complete", json=asked).json() == done  # its answer was lost
    kept = clean_environment / "server" / "parts" / upload["id"]
    assert [file.name for file in kept.iterdir()] == ["upload.json"]
    assert "completed" in error_of(client.post(f"{where}/cancel"))["message"]
    late = client.post(f"{where}/parts", files={"data": ("upload", b"x")})
    assert "completed" in error_of(late)["message"]
    assert len(client.get("/v1/files").json()["data"]) == 1


def test_what_isnt_whole_is_no_file_and_may_be_mended(client: TestClient) -> None:
    upload = begin(client)
    where = f"{UPLOADS}/{upload['id']}"
    half, rest = add(client, upload["id"], DATA[:400]), add(client, upload["id"], DATA[400:])
    wrong = [
        ({"part_ids": [half]}, "have 400 bytes"),
        ({"part_ids": [rest, half], "md5": MD5}, "md5"),
        ({"part_ids": [half, "part_" + "2" * 24]}, "no part"),
        ({"part_ids": ["../upload.json"]}, "no part"),
        ({"part_ids": []}, "part_ids"),
    ]
    for asked, said in wrong:
        assert said in error_of(client.post(f"{where}/complete", json=asked))["message"]
    assert client.get("/v1/files").json()["data"] == []
    done = client.post(f"{where}/complete", json={"part_ids": [half, rest]})
    assert done.json()["status"] == "completed"


def test_a_cancelled_upload_leaves_nothing(client: TestClient, clean_environment: Path) -> None:
    upload = begin(client)
    part = add(client, upload["id"], DATA)
    where = f"{UPLOADS}/{upload['id']}"
    cancelled = client.post(f"{where}/cancel").json()
    Upload.model_validate(cancelled, strict=True)
    assert cancelled["status"] == "cancelled"
    for verb, body in (("complete", {"part_ids": [part]}), ("cancel", None)):
        assert "cancelled" in error_of(client.post(f"{where}/{verb}", json=body))["message"]
    kept = clean_environment / "server" / "parts" / upload["id"]
    assert [file.name for file in kept.iterdir()] == ["upload.json"]


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"bytes": 0}, "bytes"),
        ({"bytes": "9"}, "bytes"),
        ({"filename": ""}, "filename"),
        ({"purpose": "assistants"}, "purpose"),
        ({"expires_after": {"anchor": "created_at", "seconds": 60}}, "expires_after.seconds"),
        ({"more": 1}, "more"),
    ],
)
def test_an_upload_that_can_never_be(
    client: TestClient, change: dict[str, Any], param: str
) -> None:
    asked = {"bytes": 9, "filename": "a", "mime_type": "text/jsonl", "purpose": "fine-tune"}
    assert error_of(client.post(UPLOADS, json=asked | change))["param"] == param


def test_limits(client: TestClient, clean_environment: Path) -> None:
    asked = {"filename": "a", "mime_type": "text/jsonl", "purpose": "fine-tune"}
    most = 16 * 200_000  # sixteen times what one request may bring
    assert client.post(UPLOADS, json=asked | {"bytes": most}).status_code == 200
    error_of(client.post(UPLOADS, json=asked | {"bytes": most + 1}), 413)
    upload = begin(client, 100)
    where = f"{UPLOADS}/{upload['id']}/parts"
    add(client, upload["id"], b"x" * 100)
    full = client.post(where, files={"data": ("upload", b"x" * 101)})
    assert "201 with this one" in error_of(full)["message"]
    larger = {"content-length": str(PART_BYTES + 2**20), "content-type": "multipart/form-data"}
    error_of(client.post(where, content=b"", headers=larger), 413)
    assert error_of(client.post(where, files={"other": b"x"}))["param"] == "data"
    error_of(client.post(where, json={"data": "x"}))
    kept = clean_environment / "server" / "parts" / upload["id"]
    assert len(list(kept.glob("part_*"))) == 1


@pytest.mark.parametrize("upload_id", [NOBODY, "upload_x", "..", "%2e%2e%2f"])
@pytest.mark.parametrize("verb", ["parts", "complete", "cancel"])
def test_an_upload_that_is_not_there(client: TestClient, verb: str, upload_id: str) -> None:
    body: dict[str, Any] = {"json": {"part_ids": ["part_x"]}}
    if verb == "parts":
        body = {"files": {"data": ("upload", b"x")}}
    assert client.post(f"{UPLOADS}/{upload_id}/{verb}", **body).status_code == 404


def stores(tmp_path: Path) -> tuple[UploadStore, FileStore]:
    files = FileStore(tmp_path / "files")
    return UploadStore(tmp_path / "parts", files), files


def test_a_kill_between_file_and_word_makes_no_second_file(tmp_path: Path) -> None:
    store, files = stores(tmp_path)
    upload = store.begin(Asked(bytes=6, filename="a.jsonl"))
    with (tmp_path / "part").open("w+b") as data:
        data.write(b"abcdef")
        data.seek(0)
        part = store.add_part(upload.id, data)
    document = tmp_path / "parts" / upload.id / "upload.json"
    pending, parts = document.read_bytes(), document.parent / part
    first = store.complete(upload.id, [part], None)
    document.write_bytes(pending)  # killed before it was written down
    parts.write_bytes(b"abcdef")
    again = store.complete(upload.id, [part], None)
    assert again == first
    assert [file.id for file in files.newest_first()] == [first.file_id]


def test_what_expired_or_was_cut_short_is_swept(tmp_path: Path) -> None:
    store, _ = stores(tmp_path)
    old, older, fresh = (store.begin(Asked(bytes=6, filename="a")) for _ in range(3))
    for upload, age_s in ((old, 4_000), (older, 90_000), (fresh, 0)):
        place = tmp_path / "parts" / upload.id
        (place / ("part_" + "2" * 24)).write_bytes(b"abc")
        (place / f"part_{'3' * 24}.coming").write_bytes(b"abc")
        aged = upload.model_copy(update={"created_at": time.time() - age_s})
        (place / "upload.json").write_text(aged.model_dump_json(), encoding="utf-8")
    halfway = tmp_path / "parts" / ("upload_" + "4" * 24)
    halfway.mkdir()
    os.utime(halfway, (time.time() - 90_000,) * 2)
    store.sweep()
    left = {place.name: len(list(place.iterdir())) for place in (tmp_path / "parts").iterdir()}
    assert left == {old.id: 1, fresh.id: 3}
    assert store.get(old.id).status == "expired"
    with pytest.raises(UsageError, match="expired"):
        store.complete(old.id, ["part_" + "2" * 24], None)


def test_a_damaged_document_is_said(tmp_path: Path) -> None:
    store, _ = stores(tmp_path)
    upload = store.begin(Asked(bytes=6, filename="a"))
    (tmp_path / "parts" / upload.id / "upload.json").write_text("{", encoding="utf-8")
    with pytest.raises(StoreError, match="damaged"):
        store.get(upload.id)
    store.sweep()  # and stops nobody else
