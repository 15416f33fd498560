"""Whatever is sent, the answer is an error object with the right status, never a traceback."""

import json
import logging
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from openai.types.shared import ErrorObject
from running_server import Running
from starlette.testclient import TestClient

from ftctl.server.tuning import Tuning

JOBS = "/v1/fine_tuning/jobs"
BETA = "method.dpo.hyperparameters.beta"


def error_of(response: Any, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    body: dict[str, Any] = response.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert response.headers["x-request-id"].startswith("req_")
    error: dict[str, Any] = body["error"]
    ErrorObject.model_validate(error, strict=True)
    return error


GOOD = {"model": "hollow", "training_file": "file-22222222"}


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        (b"", "invalid_json", None),
        (b"{", "invalid_json", None),
        (b'{"model": "\xff"}', "invalid_json", None),
        (b'{"model": "\\ud800"}', "invalid_json", None),
        (b"[" * 100_000, "invalid_json", None),
        (b"[1]", "invalid_value", None),
        (b"{}", "missing_required_parameter", "model"),
        (b'{"model": 1, "training_file": "f"}', "invalid_value", "model"),
        (b'{"model": "m", "training_file": "f", "modle": 1}', "unknown_parameter", "modle"),
        (b'{"metadata": ' * 50_000, "invalid_json", None),
        (b'{"seed": ' + b"9" * 5000 + b"}", "invalid_json", None),
        (b'{"model": "m", "training_file": "f", "seed": NaN}', "invalid_value", "seed"),
        (b'{"model": "m", "training_file": "f", "seed": 1e999}', "invalid_value", "seed"),
    ],
)
def test_a_broken_body(client: TestClient, body: bytes, code: str, param: str | None) -> None:
    for path in (JOBS, "/v1/chat/completions"):
        if path != JOBS and param not in (None, "model"):
            continue
        error = error_of(client.post(path, content=body), 400)
        assert (error["code"], error["type"]) == (code, "invalid_request_error")
        assert error["param"] == param


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"model": "gpt-4o-mini"}, "model"),
        ({"model": "../../etc/passwd"}, "model"),
        ({}, "training_file"),  # it was never uploaded
        ({"training_file": "../../ftctl.db"}, "training_file"),
        ({"suffix": ""}, "suffix"),
        ({"suffix": "x" * 65}, "suffix"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**31}, "seed"),
        ({"hyperparameters": {"n_epochs": 0}}, "hyperparameters.n_epochs"),
        ({"hyperparameters": {"n_epochs": 51}}, "hyperparameters.n_epochs"),
        ({"hyperparameters": {"n_epochs": "3"}}, "hyperparameters.n_epochs"),
        ({"hyperparameters": {"batch_size": 257}}, "hyperparameters.batch_size"),
        (
            {"hyperparameters": {"learning_rate_multiplier": 0}},
            "hyperparameters.learning_rate_multiplier",
        ),
        ({"metadata": {str(n): "" for n in range(17)}}, "metadata"),
        ({"metadata": {"k": "x" * 513}}, "metadata.k"),
        ({"metadata": {"k": 1}}, "metadata.k"),
        ({"metadata": {"": "x"}}, "metadata"),
        ({"metadata": {"k" * 65: "x"}}, "metadata." + "k" * 65),
        ({"unknown" * 1000: 1}, ("unknown" * 1000)[:80]),
        ({"hyperparameters": {"n_epochs": True}}, "hyperparameters.n_epochs"),
        ({"hyperparameters": {"beta": 0.1}}, "hyperparameters.beta"),
        ({"training_file": "/etc/passwd"}, "training_file"),
        ({"integrations": [{"type": "wandb"}]}, "integrations"),
        ({"method": {"type": "dpo", "dpo": {"beta": 0.1}}}, "method.dpo.beta"),
        *(
            ({"method": {"type": "dpo", "dpo": {"hyperparameters": {"beta": beta}}}}, BETA)
            for beta in (0, -1, 2.5, "0.1", True)
        ),
        ({"method": {"type": "reinforcement"}}, "method.type"),
        ({"method": {"type": "magic"}}, "method.type"),
    ],
)
def test_a_job_that_can_never_be(client: TestClient, change: dict[str, Any], param: str) -> None:
    error = error_of(client.post(JOBS, json=GOOD | change), 400)
    assert error["param"] == param
    assert client.get(JOBS).json()["data"] == []


def test_reasons_say_what_to_do(client: TestClient) -> None:
    unknown = error_of(client.post(JOBS, json=GOOD | {"model": "gpt-4o-mini"}), 400)
    assert "GET /v1/models" in unknown["message"]
    assert "hollow" in unknown["message"]
    rft = error_of(client.post(JOBS, json=GOOD | {"method": {"type": "reinforcement"}}), 400)
    assert "'supervised' and 'dpo'; 'reinforcement' isn't built in" in rft["message"]


@pytest.mark.parametrize(
    "job_id", ["ftjob-2222222222", "..%2f..%2fftctl.db", "ftjob-%00", "job-2222222222", "%ff", "💥"]
)
def test_a_job_that_is_not_there(client: TestClient, job_id: str) -> None:
    for method, tail in (
        ("GET", ""),
        ("POST", "/cancel"),
        ("GET", "/events"),
        ("GET", "/checkpoints"),
    ):
        error_of(client.request(method, f"{JOBS}/{job_id}{tail}"), 404)


@pytest.mark.parametrize(
    "file_id",
    [
        "file-22222222",
        "..%2ftoken",
        "file-..%2f..%2ftoken",
        "%2e%2e%2f%2e%2e%2fftctl.db",
        "file-a%00b",
    ],
)
def test_a_file_that_is_not_there(client: TestClient, file_id: str) -> None:
    for method, tail in (("GET", ""), ("GET", "/content"), ("DELETE", "")):
        error_of(client.request(method, f"/v1/files/{file_id}{tail}"), 404)


def test_unknown_routes_and_methods(client: TestClient) -> None:
    for path in ("/", "/v1", "/v1/files/", "/v1/embeddings", "/docs", "/v1/%2e%2e/healthz"):
        assert error_of(client.get(path), 404)["code"] == "unknown_url"
    assert error_of(client.put("/v1/files"), 405)["code"] == "method_not_allowed"
    assert error_of(client.get("/v1/chat/completions"), 405)["code"] == "method_not_allowed"
    for method in ("OPTIONS", "TRACE", "PROPFIND", "PATCH", "M" * 500):
        assert error_of(client.request(method, JOBS), 405)["code"] == "method_not_allowed"


@pytest.mark.parametrize("limit", ["0", "-1", "101", "ten", "1.5", "", "9" * 30, "²"])
def test_limits_out_of_range(client: TestClient, limit: str) -> None:
    assert error_of(client.get(JOBS, params={"limit": limit}), 400)["param"] == "limit"


def test_a_cursor_that_is_nowhere(client: TestClient) -> None:
    for path in (JOBS, "/v1/files"):
        assert error_of(client.get(path, params={"after": "../x"}), 400)["param"] == "after"


@pytest.mark.parametrize(
    "query", ["metadata=x", "metadata[k", "metadata[]=x", f"metadata[{'k' * 65}]=v"]
)
def test_a_filter_that_is_not_understood_never_selects_every_job(
    client: TestClient, query: str
) -> None:
    assert error_of(client.get(f"{JOBS}?{query}"), 400)["param"] == "metadata"


def test_files_in_no_known_order(client: TestClient) -> None:
    assert error_of(client.get("/v1/files", params={"order": "up"}), 400)["param"] == "order"


@pytest.mark.parametrize(
    ("anchor", "seconds"),
    [
        ("created_at", "3599"),
        ("created_at", "2592001"),
        ("created_at", "²"),
        ("created_at", "1e5"),
        ("created_at", "9" * 9000),
        ("created_at", None),
        ("last_active_at", "4000"),
        (None, "4000"),
    ],
)
def test_an_expiry_out_of_range(
    client: TestClient, anchor: str | None, seconds: str | None
) -> None:
    given = {"expires_after[anchor]": anchor, "expires_after[seconds]": seconds}
    form = {key: value for key, value in given.items() if value is not None}
    sent = client.post(
        "/v1/files", files={"file": ("a.jsonl", b"{}")}, data={"purpose": "fine-tune"} | form
    )
    assert error_of(sent, 400)["param"] == "expires_after"


@pytest.mark.parametrize(
    "part",
    [
        b'name="\xff\xfe"\r\n\r\nx',
        b'name="purpose"\r\n\r\n\xff\xfe',
        b'name="file"; filename="\xff\xfe\x00.jsonl"\r\n\r\n{}',
        b'name="file"; filename="../../../../etc/cron.d/x"\r\n\r\n{}',
        b'name="x"\r\nx: ' + b"y" * 20_000 + b"\r\n\r\nx",
        b'name="x"\r\n\r\n' + b"y" * 70_000,
    ],
)
def test_forms_with_strange_parts(client: TestClient, clean_environment: Path, part: bytes) -> None:
    begin = b"--b\r\ncontent-disposition: form-data; "
    good = b'name="purpose"\r\n\r\nfine-tune'
    headers = {"content-type": "Multipart/Form-Data; boundary=b"}
    body = b"\r\n".join([begin + part, begin + good, b"--b--\r\n"])
    sent = client.post("/v1/files", content=body, headers=headers)
    if sent.status_code != 200:
        error_of(sent, 400)
        return
    # The name is a label: the bytes stand under the file's id, whatever it says.
    kept = {file.name for file in (clean_environment / "server" / "files").iterdir()}
    assert kept == {f"{sent.json()['id']}{end}" for end in (".json", ".jsonl")}


def test_uploads_that_are_none(client: TestClient) -> None:
    file = {"file": ("a.jsonl", b"{}")}
    error_of(client.post("/v1/files", content=b"raw"), 400)
    error_of(client.post("/v1/files", json={"purpose": "fine-tune"}), 400)
    no_file = client.post("/v1/files", data={"purpose": "fine-tune"}, files={"other": b""})
    assert error_of(no_file, 400)["param"] == "file"
    assert error_of(client.post("/v1/files", files=file), 400)["param"] == "purpose"
    other = client.post("/v1/files", files=file, data={"purpose": "assistants"})
    assert error_of(other, 400)["param"] == "purpose"
    for form in ("multipart/form-data", "multipart/form-data; boundary=x"):
        error_of(client.post("/v1/files", content=b"--y\r\nz", headers={"content-type": form}), 400)
    assert client.get("/v1/files").json()["data"] == []


def test_a_file_above_the_limit_is_refused_declared_or_not(
    client: TestClient, clean_environment: Path
) -> None:
    large = b"x" * 400_000
    declared = client.post(
        "/v1/files", files={"file": ("a.jsonl", large)}, data={"purpose": "fine-tune"}
    )
    assert "200,000 bytes" in error_of(declared, 413)["message"]
    head = b'--b\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n'
    chunks = iter([head, large, b"\r\n--b--\r\n"])
    undeclared = client.post(
        "/v1/files", content=chunks, headers={"content-type": "multipart/form-data; boundary=b"}
    )
    assert error_of(undeclared, 413)["code"] == "request_too_large"
    assert not list((clean_environment / "server").glob("files/*"))
    for size, status in ((200_001, 413), (200_000, 200)):
        sent = client.post(
            "/v1/files",
            files={"file": ("a.jsonl", large[:size])},
            data={"purpose": "fine-tune"},
        )
        assert sent.status_code == status
    assert error_of(client.post(JOBS, content=b" " * (11 * 2**20)), 413)


def test_a_disk_that_takes_no_file_is_said_plainly(
    client: TestClient, clean_environment: Path
) -> None:
    (clean_environment / "server").mkdir(parents=True, exist_ok=True)
    (clean_environment / "server" / "files").write_text("in the way", encoding="utf-8")
    sent = client.post(
        "/v1/files", files={"file": ("a.jsonl", b"{}")}, data={"purpose": "fine-tune"}
    )
    error = error_of(sent, 500)
    assert (error["type"], error["code"]) == ("server_error", "store_error")
    assert "could not be kept" in error["message"]


def test_a_bug_is_answered_with_a_request_id_and_logged_with_it(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_self: Tuning) -> None:
        raise RuntimeError("the secret inside")

    monkeypatch.setattr(Tuning, "jobs", broken)
    with caplog.at_level(logging.INFO, "ftctl.server"):
        response = client.get(JOBS)
    error = error_of(response, 500)
    assert error["type"] == "server_error"
    assert response.headers["x-request-id"] in error["message"]
    assert "secret" not in response.text
    assert response.headers["x-request-id"] in caplog.text
    assert "the secret inside" in caplog.text


@pytest.mark.medium
def test_what_only_a_socket_can_send(start_server: Callable[..., Running]) -> None:
    running = start_server()
    auth = f"Authorization: Bearer {running.token}\r\n"

    def exchange(sent: bytes, *, cut: bool = False) -> bytes:
        with socket.create_connection(("127.0.0.1", running.port), timeout=30) as wire:
            wire.sendall(sent)
            if cut:
                wire.shutdown(socket.SHUT_WR)
            answer = b""
            while piece := wire.recv(65536):
                answer += piece
            return answer

    def head(line: str, rest: str = "") -> bytes:
        return f"{line} HTTP/1.1\r\nHost: x\r\n{auth}{rest}\r\n".encode()

    form = "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 9999\r\n"
    part = b'--b\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nfine-'
    chunked = "Transfer-Encoding: chunked\r\n"
    for sent, cut, status in (
        (b"nonsense\r\n\r\n", False, 400),
        (b"GET / HTTP/1.1\r\nx: " + b"y" * 300_000 + b"\r\n\r\n", False, 431),
        (head(f"POST {JOBS}", "Content-Length: -1\r\n"), False, 400),
        (head(f"POST {JOBS}", chunked) + b"ZZ\r\n", False, 400),
        (head(f"POST {JOBS}", "Content-Length: 9999\r\n") + b'{"model"', True, 400),
        (head(f"POST {JOBS}", chunked) + b'8\r\n{"model"\r\n', True, 400),
        (head("POST /v1/files", form) + part, True, 400),
        (head("CONNECT x:1", "Connection: close\r\n"), False, 404),
    ):
        answer, _, body = exchange(sent, cut=cut).partition(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 %d " % status), (sent[:80], answer)
        assert b"\r\nx-request-id: req_" in answer
        ErrorObject.model_validate(json.loads(body)["error"], strict=True)
    kept = exchange(head("GET /v1/files", "Connection: close\r\n"))
    assert b'"data":[]' in kept
    healthy = exchange(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert b'{"status":"ok"}' in healthy
    log = running.log.read_text(encoding="utf-8")
    assert "Traceback" not in log
    assert running.token not in log
