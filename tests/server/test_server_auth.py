"""The bearer token: asked for on every route, kept to its owner, in no log."""

import logging
import re
import stat
from pathlib import Path
from typing import Any

import pytest
from command_line import Cli
from starlette.routing import Route
from starlette.testclient import TestClient

from ftctl.api.server_token import find_token, make_token
from ftctl.config import load_settings
from ftctl.errors import UsageError

pytestmark = pytest.mark.medium

TOKEN = "a-token-of-the-tests"


def routes_of(client: TestClient) -> list[tuple[str, str]]:
    """Every method and path of the application's own table, parameters filled in."""
    app: Any = client.app
    while not hasattr(app, "routes"):
        app = app.app
    found = []
    for route in app.routes:
        assert isinstance(route, Route)
        path = re.sub(r"\{.*?\}", "x", route.path)
        found += [(method, path) for method in sorted(route.methods or ())]
    return found


WRONG = (
    None,
    "",
    "Bearer",
    "Bearer ",
    "Bearer wrong",
    f"Bearer {TOKEN}x",
    f"Bearer {TOKEN[:-1]}",
    f"Basic {TOKEN}",
    TOKEN,
    "Bearer \xff\xfe",
)


def test_every_route_wants_the_token(client: TestClient) -> None:
    known = routes_of(client)
    assert len(known) >= 17
    assert ("POST", "/v1/fine_tuning/jobs") in known
    del client.headers["Authorization"]
    for method, path in [*known, ("GET", "/nowhere"), ("PUT", "/v1/files")]:
        if path == "/healthz":
            assert client.request(method, path).status_code == 200
            continue
        for given in WRONG:
            bare: dict[bytes, bytes] = {}
            headers = bare if given is None else {b"Authorization": given.encode("latin-1")}
            answered = client.request(method, path, headers=headers)
            assert answered.status_code == 401, (method, path, given)
            assert answered.headers["www-authenticate"] == "Bearer"
            if method != "HEAD":
                assert answered.json()["error"]["code"] == "invalid_api_key"
    right = {"Authorization": f"bearer {TOKEN}"}
    assert client.get("/v1/models", headers=right).status_code == 200


def test_the_token_is_in_no_log(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        client.get("/v1/models")
        client.get("/v1/models", headers={"Authorization": "Bearer another-token-that-is-wrong"})
    assert "GET /v1/models 200" in caplog.text
    assert "GET /v1/models 401" in caplog.text
    assert TOKEN not in caplog.text
    assert "another-token" not in caplog.text


def test_a_made_token_is_its_owners_alone() -> None:
    settings = load_settings()
    assert find_token(settings) is None
    made = make_token(settings)
    assert made.made
    assert made.value not in repr(made)
    assert stat.S_IMODE(Path(made.origin).stat().st_mode) == 0o600
    found = find_token(settings)
    assert found is not None
    assert (found.value, found.made) == (made.value, False)
    assert make_token(settings).value != made.value


@pytest.mark.parametrize(
    "token", ["short", "with space in the middle", "é" * 20, "a" * 20 + "\n\nb"]
)
def test_a_token_that_protects_nothing_is_refused(
    monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("FTCTL_SERVER_TOKEN", token)
    with pytest.raises(UsageError, match="at least 16 printable") as refused:
        find_token(load_settings())
    assert token not in str(refused.value)


def test_the_command_says_where_it_is_and_shows_a_new_one_once(
    cli: Cli, clean_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    none_yet = cli("token")
    assert none_yet.returncode == 2
    assert "ftctl token --new" in none_yet.stderr
    made = cli("token", "--new", "--json").json()
    assert made["schema"] == "ftctl.token/1"
    file = clean_environment / "server" / "token"
    assert made["token"] == file.read_text(encoding="ascii").strip()
    shown = cli("token")
    assert shown.stdout.strip() == str(file)
    assert cli("token", "--json").json() == {"schema": "ftctl.token/1", "origin": str(file)}
    monkeypatch.setenv("FTCTL_SERVER_TOKEN", TOKEN)
    assert cli("token").stdout.strip() == "FTCTL_SERVER_TOKEN"


def test_a_taken_port_is_one_clear_message(cli: Cli) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = cli("serve", "--port", str(port), "--json")
    assert ran.returncode == 3
    error = ran.json()["error"]
    assert error["kind"] == "cannot_listen"
    assert error["message"] == f"can't listen on 127.0.0.1:{port}: Address already in use"
    assert "--port 0" in error["hint"]
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("host", ["nowhere.invalid", "203.0.113.5", "a..b", "x" * 300, "::zz"])
def test_a_host_that_is_not_here_is_one_clear_message(cli: Cli, host: str) -> None:
    ran = cli("serve", "--host", host, "--port", "0")
    assert ran.returncode == 3
    first, hint = ran.stderr.splitlines()
    assert first.startswith(f"ftctl: can't listen on {host}:0: ")
    assert "127.0.0.1" in hint
    assert ran.stdout == ""


@pytest.mark.parametrize("damage", ["store", "url", "uploads"])
def test_a_home_that_cant_be_used_ends_the_server_before_it_says_anything(
    cli: Cli, clean_environment: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    clean_environment.mkdir()
    if damage == "store":
        (clean_environment / "ftctl.db").write_text("not a database at all " * 99)
    elif damage == "url":
        monkeypatch.setenv("FTCTL_DATABASE_URL", "nonsense")
    else:
        (clean_environment / "server").write_text("in the way")
    ran = cli("serve", "--port", "0", "--json")
    assert ran.returncode == 1
    assert ran.json()["error"]["kind"] == "store_error"
    assert ran.stderr == ""
    # A token that nobody was shown would be lost.
    assert not (clean_environment / "server" / "token").exists()


@pytest.mark.parametrize(
    ("base", "said"),
    [
        ("nonsense", "not NAME=PATH_OR_ID"),
        ("a:b=x", "not NAME=PATH_OR_ID"),
        ("=x", "not NAME=PATH_OR_ID"),
        ("x=", "not NAME=PATH_OR_ID"),
        ("x=/nowhere/at/all", "unknown model"),
        ("x=.", "no config.json"),
        ("x=junk.gguf", "not a GGUF file"),
    ],
)
def test_a_base_that_is_none_is_refused_at_the_start(cli: Cli, base: str, said: str) -> None:
    Path("junk.gguf").write_text("junk")
    ran = cli("serve", "--port", "0", "--base", base)
    assert ran.returncode == 2
    assert len(ran.stderr.splitlines()) == 2
    assert said in ran.stderr
