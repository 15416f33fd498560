"""Which value wins, what a bad one says, and that no secret is ever printed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import Cli

from ftctl.config import (
    find_base_url,
    find_credential,
    find_network_settings,
    load_settings,
    mask_url,
    quiet_environment,
    require_base_url,
)
from ftctl.errors import Refused, UsageError

KEY = "sk-planted-0123456789abcdef"


@pytest.fixture
def user_folder(tmp_path: Path) -> Path:
    folder = tmp_path / ".config" / "ftctl"
    folder.mkdir(parents=True)
    return folder


def test_each_source_wins_over_the_ones_below_it(
    tmp_path: Path, user_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def poll() -> tuple[float, str]:
        settings = load_settings()
        return settings.poll_s, settings.origins["poll_s"]

    assert poll() == (2.0, "default")
    (user_folder / "config.toml").write_text("poll_s = 3")
    assert poll() == (3.0, str(user_folder / "config.toml"))
    project = tmp_path / "project"
    below = project / "a" / "b"
    below.mkdir(parents=True)
    (project / "ftctl.toml").write_text("poll_s = 4.5")
    monkeypatch.chdir(below)
    assert poll() == (4.5, str(project / "ftctl.toml"))
    monkeypatch.setenv("FTCTL_POLL_S", "5")
    assert poll() == (5.0, "environment (FTCTL_POLL_S)")
    assert load_settings(poll_s=6).origins["poll_s"] == "flag"
    assert load_settings(poll_s=6).poll_s == 6.0


def test_a_relative_home_in_a_file_is_relative_to_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FTCTL_HOME")
    (tmp_path / "ftctl.toml").write_text('home = "data/../runs"')
    below = tmp_path / "below"
    below.mkdir()
    monkeypatch.chdir(below)
    settings = load_settings()
    assert settings.home == tmp_path / "runs"
    assert settings.database_url == f"sqlite:///{tmp_path / 'runs' / 'ftctl.db'}"


def test_the_user_file_follows_xdg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "xdg" / "ftctl").mkdir(parents=True)
    (tmp_path / "xdg" / "ftctl" / "config.toml").write_text("poll_s = 9")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    assert load_settings().poll_s == 9.0


@pytest.mark.parametrize(
    ("text", "says", "hint"),
    [
        (b"pol_s = 2", "unknown setting `pol_s`", "did you mean `poll_s`?"),
        (b"zzz = 2", "unknown setting `zzz`", "known are home, database_url, poll_s"),
        (
            b"poll_s = 'fast'",
            "poll_s must be a number of seconds above 0 and no more than a day, not 'fast'",
            "",
        ),
        (
            b"poll_s = true",
            "poll_s must be a number of seconds above 0 and no more than a day, not True",
            "",
        ),
        (
            b"poll_s = 0",
            "poll_s must be a number of seconds above 0 and no more than a day, not 0",
            "",
        ),
        (
            b"poll_s = inf",
            "poll_s must be a number of seconds above 0 and no more than a day, not inf",
            "",
        ),
        (b"database_url = 3", "database_url must be a text, not 3", ""),
        (b"home = ['x']", "home must be the path of a folder, not ['x']", ""),
        (b"poll_s =", "not valid TOML", "poll_s = 5"),
        (b"\xff\xfe\x00", "not valid TOML", "poll_s = 5"),
    ],
)
def test_a_bad_file_is_named_with_what_is_wrong(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: bytes, says: str, hint: str
) -> None:
    monkeypatch.delenv("FTCTL_HOME")
    (tmp_path / "ftctl.toml").write_bytes(text)
    ran = cli("config", "show", "--json")
    assert ran.returncode == 2
    error = ran.json()["error"]
    assert error["message"].startswith(str(tmp_path / "ftctl.toml"))
    assert says in error["message"]
    assert hint in error["hint"]


def test_a_bad_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FTCTL_POLL_S", "often")
    with pytest.raises(UsageError, match=r"environment \(FTCTL_POLL_S\): poll_s must be"):
        load_settings()


def test_a_folder_in_place_of_the_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "ftctl.toml").mkdir()
    with pytest.raises(UsageError, match=r"ftctl\.toml: can't be read"):
        load_settings()


def test_an_empty_variable_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FTCTL_POLL_S", "")
    assert load_settings().origins["poll_s"] == "default"


def test_a_credential_never_shows_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_credential("openai") is None
    assert find_credential("nobody") is None
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    found = find_credential("openai")
    assert found is not None
    assert (found.key, found.origin) == (KEY, "OPENAI_API_KEY")
    assert KEY not in f"{found!r} {found}"


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("http://proxy:3128", "http://proxy:3128"),
        ("http://me:p@ss/word@proxy:3128/", "http://***@proxy:3128/"),
        ("me:secret@proxy:3128", "***@proxy:3128"),
        ("postgresql+psycopg://me:pw@db/ftctl", "postgresql+psycopg://***@db/ftctl"),
        ("postgresql://db/x?user=me&password=pw", "postgresql://db/x?user=me&password=***"),
        ("sqlite:////home/me@home/ftctl.db", "sqlite:////home/me@home/ftctl.db"),
    ],
)
def test_urls_are_shown_without_passwords(url: str, masked: str) -> None:
    assert mask_url(url) == masked


@pytest.mark.parametrize(
    "url",
    [
        "https://api.openai.com/v1",
        "https://gateway.example:8443/openai/v1/",
        "http://127.0.0.1:8321/v1",
        "http://LOCALHOST:1/v1",
        "http://[::1]:8321/v1",
        "https://10.0.0.7/v1",
    ],
)
def test_a_safe_base_url_stays_as_it_is(url: str) -> None:
    assert require_base_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "http://gateway.example/v1",
        "http://10.0.0.7/v1",
        "http://localhost.evil.example/v1",
        "http://127.0.0.1.evil.example/",
        "http://0.0.0.0:8321/v1",
        "http://2130706433/v1",
        "HTTP://gateway.example/v1",
    ],
)
def test_http_to_another_machine_is_refused(url: str) -> None:
    with pytest.raises(Refused, match=r"--base-url: .*to another machine") as caught:
        require_base_url(url, origin="--base-url")
    assert caught.value.exit_code == 3
    assert "https" in caught.value.hint


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("gateway.example/v1", "isn't a base URL"),
        ("ftp://gateway.example/v1", "isn't a base URL"),
        ("file:///etc/passwd", "isn't a base URL"),
        ("https:///v1", "isn't a base URL"),
        ("https://host:port/v1", "isn't a base URL"),
        ("https://[::1/v1", "isn't a base URL"),
        ("https://host\\@evil.example/v1", "isn't a base URL"),
        ("https://host /v1", "isn't a base URL"),
        ("https://ho\nst/v1", "isn't a base URL"),
        ("https://höst/v1", "isn't a base URL"),
        ("", "isn't a base URL"),
        (f"https://me:{KEY}@host/v1", "user or password"),
        (f"https://{KEY}@host/v1", "user or password"),
        (f"http://me:{KEY}@127.0.0.1/v1", "user or password"),
        ("https://@host/v1", "user or password"),
        (f"https://host/v1?key={KEY}", "query or fragment"),
        (f"https://host/v1#{KEY}", "query or fragment"),
        ("https://host/v1?", "query or fragment"),
        (f"https:/me:{KEY}@host", "isn't a base URL"),
        (f"https:///me:{KEY}@host", "isn't a base URL"),
    ],
)
def test_what_is_no_base_url_is_said_without_its_secrets(url: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        require_base_url(url)
    assert KEY not in f"{caught.value} {caught.value.hint}"


def test_the_gateway_of_the_environment_is_checked_and_shown(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_base_url("openai") is None
    monkeypatch.setenv("OPENAI_BASE_URL", "https://gateway.example/v1")
    assert find_base_url("openai") == "https://gateway.example/v1"
    assert find_base_url("mistral") is None
    shown = cli("config", "show", "--json").json()["settings"]["base_url_openai"]
    assert shown["origin"] == "environment (OPENAI_BASE_URL)"
    monkeypatch.setenv("OPENAI_BASE_URL", f"https://me:{KEY}@gateway.example/v1")
    ran = cli("config", "show")
    assert ran.returncode == 2
    assert "OPENAI_BASE_URL: '***@gateway.example/v1'" in ran.stderr
    findings = {f["name"]: f for f in cli("doctor", "--json").json()["findings"]}
    assert findings["OPENAI_BASE_URL"]["status"] == "problem"


def test_network_variables_are_found_in_both_spellings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://me:pw@proxy:1")
    monkeypatch.setenv("no_proxy", "localhost")
    assert find_network_settings() == {
        "HTTPS_PROXY": "http://***@proxy:1",
        "no_proxy": "localhost",
    }


def test_config_show_prints_values_origins_and_no_password(
    cli: Cli, clean_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FTCTL_DATABASE_URL", f"postgresql+psycopg://me:{KEY}@db/ftctl")
    document = cli("config", "show", "--json").json()
    assert document["schema"] == "ftctl.config/1"
    assert document["settings"]["home"] == {
        "value": str(clean_environment),
        "origin": "environment (FTCTL_HOME)",
    }
    assert document["settings"]["poll_s"] == {"value": 2.0, "origin": "default"}
    text = cli("config", "show", "--origin").stdout
    assert "environment (FTCTL_DATABASE_URL)" in text
    assert "default" not in cli("config", "show").stdout
    assert KEY not in text + str(document)


def test_a_command_switches_the_telemetry_of_libraries_off(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in quiet_environment():
        monkeypatch.setenv(name, "")
    cli("config", "show")
    assert {name: os.environ[name] for name in quiet_environment()} == quiet_environment()
    assert quiet_environment()["HF_HUB_DISABLE_TELEMETRY"] == "1"


@pytest.mark.medium
def test_a_library_that_is_used_in_process_is_told_not_to_send_telemetry(tmp_path: Path) -> None:
    code = (
        "import contextlib, sys\n"
        "from ftctl.datasets.render import load_tokenizer\n"
        "from ftctl.errors import UsageError\n"
        "with contextlib.suppress(UsageError):\n    load_tokenizer(sys.argv[1])\n"
        "from huggingface_hub import constants\n"
        "print(constants.HF_HUB_DISABLE_TELEMETRY)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert ran.stdout.split() == ["True"]
