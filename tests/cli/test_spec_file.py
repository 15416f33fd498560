"""`submit --spec`: a job from a file of ours, or from Axolotl's, here or at an https address."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from command_line import Cli
from specimens import write_chats
from typing_extensions import override

from ftctl.api.spec_source import read_source
from ftctl.errors import NotFound, Unavailable, UsageError


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_chats(tmp_path / "train.jsonl")


def toml(folder: Path, data: Path, more: str = "") -> Path:
    file = folder / "job.toml"
    file.write_text(
        f'provider = "fake"\nmodel = "m-1"\ndata = {json.dumps(str(data))}\n'
        f'privacy = "contractual"\n{more}\n[hyperparameters]\nepochs = 3\nlora_r = 8\n',
        "utf-8",
    )
    return file


def test_a_job_in_toml_is_submitted_once(cli: Cli, tmp_path: Path, data: Path) -> None:
    file = toml(tmp_path, data)
    ran = cli("submit", "--spec", file, "--set", "epochs=2", "--name", "mails", "--json")
    assert ran.returncode == 0, ran.stderr
    spec = ran.json()["spec"]
    assert (spec["provider"], spec["model"], spec["name"]) == ("fake", "m-1", "mails")
    assert (spec["hyperparameters"]["epochs"], spec["hyperparameters"]["lora_r"]) == (2, 8)
    assert spec["privacy"] == "contractual"
    assert spec["metadata"]["spec"] == str(file)
    assert spec["metadata"]["spec_sha256"] in ran.stderr
    again = cli("submit", "--spec", file, "--set", "epochs=2", "--name", "mails", "--json")
    assert again.json()["id"] == ran.json()["id"]


def test_what_a_job_printed_is_a_job_again(cli: Cli, tmp_path: Path, data: Path) -> None:
    dry = cli("submit", "--spec", toml(tmp_path, data), "--dry-run", "--json").json()
    file = tmp_path / "job.json"
    file.write_text(json.dumps(dry), "utf-8")
    second = cli("submit", "--spec", file, "--dry-run", "--json").json()
    file.write_text(json.dumps(dry["spec"]), "utf-8")
    yaml = file.rename(tmp_path / "job.yaml")  # JSON is YAML, too
    third = cli("submit", "--spec", yaml, "--dry-run", "--json").json()
    for again in (second, third):
        differ = {k for k in dry["spec"] if dry["spec"][k] != again["spec"][k]}
        assert differ == {"metadata"}
    data.write_text(data.read_text() * 2, "utf-8")
    ran = cli("submit", "--spec", yaml, "--dry-run")
    assert ran.returncode == 2
    assert "isn't the data that" in ran.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("modle = 'm'", "no job has a 'modle'; did you mean model?"),
        ("model = 'm'", "no provider, data"),
        ("provider = 3", "provider isn't text"),
        ("hyperparameters = 3", "hyperparameters isn't a table"),
        ("model = ", "can't be read as toml"),
        ("[hyperparameters]\nepoch = 3", "no provider, data, model"),
    ],
)
def test_a_file_that_is_no_job_says_why(cli: Cli, tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "job.toml"
    file.write_text(text, "utf-8")
    ran = cli("submit", "--spec", file)
    assert ran.returncode == 2
    assert said in ran.stderr


def test_two_sources_of_a_job_are_one_too_many(cli: Cli, tmp_path: Path) -> None:
    ran = cli("submit", "--spec", tmp_path / "a", "--from", "job-1")
    assert ran.returncode == 2
    assert "--spec and --from" in ran.stderr
    ran = cli("submit", "--ignore-unknown", "--provider", "fake")
    assert (ran.returncode, "about an Axolotl file" in ran.stderr) == (2, True)


AXOLOTL = """
base_model: team/base
adapter: lora
lora_target_linear: true
datasets: [{path: DATA, type: chat_template}]
learning_rate: 2e-4
lora_rr: 3
"""


def test_an_axolotl_file_is_shown_and_its_unknown_keys_listed(
    cli: Cli, tmp_path: Path, data: Path
) -> None:
    file = tmp_path / "lora.yml"
    file.write_text(AXOLOTL.replace("DATA", str(data)), "utf-8")
    ran = cli("submit", "--spec", file, "--provider", "fake", "--dry-run", "--json")
    assert ran.returncode == 0, ran.stderr
    assert ran.json()["spec"]["hyperparameters"]["seed"] == 42
    assert "learning_rate=2e-4" in ran.stderr
    assert "warning: no key of Axolotl's that is known here: lora_rr" in ran.stderr
    file.write_text(file.read_text() + "optimizer: muon\n", "utf-8")
    ran = cli("submit", "--spec", file, "--provider", "fake", "--dry-run")
    assert ran.returncode == 3
    assert "optimizer (muon)" in ran.stderr
    ran = cli("submit", "--spec", file, "--provider", "fake", "--dry-run", "--ignore-unknown")
    assert ran.returncode == 0, ran.stderr
    assert "warning: without what they ask for: optimizer (muon)" in ran.stderr


class Answers(BaseHTTPRequestHandler):
    """Answers by path: the file, or one of the ways in which it could go wrong."""

    file = b""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        onward = {"/there": "/lora.yml", "/http": "http://192.0.2.1/x", "/round": "/round"}
        status = {"/gone": 404, "/down": 503, "/no": 403}.get(path, 302 if path in onward else 200)
        body = {"/page": b"<!DOCTYPE html><p>raw?", "/large": b"#" * 256_001}.get(path, self.file)
        self.send_response(status)
        if path in onward:
            self.send_header("Location", onward[path])
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@pytest.fixture
def site(data: Path) -> Iterator[str]:
    Answers.file = AXOLOTL.replace("DATA", str(data)).encode()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.medium
def test_an_axolotl_file_is_fetched(cli: Cli, site: str) -> None:
    asked = f"{site.replace('//', '//me:secret@')}/there?token=secret"
    ran = cli("submit", "--spec", asked, "--provider", "fake", "--dry-run", "--json")
    assert ran.returncode == 0, ran.stderr
    kept = ran.json()["spec"]["metadata"]
    assert kept["spec"] == f"{site.replace('//', '//***@')}/there"
    assert "secret" not in ran.stderr + ran.stdout


@pytest.mark.medium
@pytest.mark.parametrize(
    ("path", "kind", "said"),
    [
        ("/gone", NotFound, "nothing is there"),
        ("/down", Unavailable, "answered 503"),
        ("/no", UsageError, "answered 403"),
        ("/http", UsageError, "over https only"),
        ("/round", UsageError, "redirects"),
        ("/page", UsageError, "a web page"),
        ("/large", UsageError, "more than 256,000 bytes"),
    ],
)
def test_an_address_that_gives_no_file_says_why(
    site: str, path: str, kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind, match=said):
        read_source(site + path)


@pytest.mark.medium
def test_a_job_of_ours_is_taken_from_nowhere_else(cli: Cli, site: str, data: Path) -> None:
    Answers.file = f"provider: fake\nmodel: m\ndata: {data}\nnotify: touch x\n".encode()
    ran = cli("submit", "--spec", f"{site}/job.yml")
    assert ran.returncode == 2
    assert "only those are taken from elsewhere" in ran.stderr


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("http://example.com/a.yml", "over https only"),
        ("ftp://example.com/a.yml", "over https only"),
        ("https://", "over https only"),
        ("nowhere.yml", "can't be read"),
        (".", "can't be read"),
    ],
)
def test_a_place_that_can_not_be_read_says_why(place: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_source(place)


@pytest.mark.medium
def test_nobody_there_is_the_other_side(site: str) -> None:
    with pytest.raises(Unavailable, match="can't be fetched"):
        read_source("http://127.0.0.1:9/a.yml")
