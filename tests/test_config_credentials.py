"""Where keys are found, how they are kept, and what is refused: never with the key in the words."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import keyring
import pytest
from command_line import Cli
from keyring.backend import KeyringBackend
from keyring.backends.fail import Keyring
from keyring.errors import KeyringLocked
from typing_extensions import override

from ftctl.config import credential_states, delete_key, find_credential, keep_key
from ftctl.errors import CredentialsMissing, ExtraMissing, Unsupported, UsageError

KEY = "sk-planted-0123456789abcdef"
OTHER = "sk-another-fedcba9876543210"


class MemoryKeyring(KeyringBackend):
    """A keyring as a desktop has one, in memory."""

    priority = 9

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kept: dict[tuple[str, str], str] = {}
        self.locked = False

    def _ask(self) -> dict[tuple[str, str], str]:
        if self.locked:
            raise KeyringLocked(f"locked, and by the way {KEY}")
        return self.kept

    @override
    def get_password(self, service: str, username: str) -> str | None:
        return self._ask().get((service, username))

    @override
    def set_password(self, service: str, username: str, password: str) -> None:
        self._ask()[service, username] = password

    @override
    def delete_password(self, service: str, username: str) -> None:
        del self._ask()[service, username]


@pytest.fixture
def memory_keyring() -> Iterator[MemoryKeyring]:
    before = keyring.get_keyring()
    made = MemoryKeyring()
    keyring.set_keyring(made)
    yield made
    keyring.set_keyring(before)


@pytest.fixture(autouse=True)
def no_keyring() -> Iterator[None]:
    """This machine's own keyring, if it has one, is left alone."""
    before = keyring.get_keyring()
    keyring.set_keyring(Keyring())  # type: ignore[no-untyped-call]
    yield
    keyring.set_keyring(before)


def write(home: Path, text: str, mode: int = 0o600) -> Path:
    home.mkdir(exist_ok=True)
    file = home / "credentials.toml"
    file.write_text(text, encoding="utf-8")
    file.chmod(mode)
    return file


def origin() -> str | None:
    found = find_credential("openai")
    return found.origin if found else None


def test_environment_wins_over_keyring_and_keyring_over_file(
    clean_environment: Path, memory_keyring: MemoryKeyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert origin() is None
    file = write(clean_environment, f'openai = "{KEY}"\n')
    assert origin() == str(file)
    memory_keyring.kept["ftctl", "openai"] = OTHER
    found = find_credential("openai")
    assert found is not None
    assert (found.key, found.origin.startswith("keyring (")) == (OTHER, True)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-third")
    assert origin() == "OPENAI_API_KEY"
    assert find_credential("mistral") is None


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644, 0o660])
def test_a_file_that_others_may_touch_is_refused_with_the_chmod_line(
    clean_environment: Path, mode: int
) -> None:
    file = write(clean_environment, f'openai = "{KEY}"\n', mode)
    with pytest.raises(CredentialsMissing, match=f"mode {mode:04o}") as caught:
        find_credential("openai")
    assert caught.value.hint == f"chmod 600 {file}"
    file.chmod(0o600)
    assert origin() == str(file)


def test_a_link_a_folder_and_a_pipe_are_refused(clean_environment: Path, tmp_path: Path) -> None:
    file = clean_environment / "credentials.toml"
    real = write(tmp_path / "elsewhere", f'openai = "{KEY}"\n')
    clean_environment.mkdir()
    file.symlink_to(real)
    with pytest.raises(CredentialsMissing, match="symbolic link"):
        find_credential("openai")
    file.unlink()
    os.mkfifo(file, 0o600)
    with pytest.raises(CredentialsMissing, match="isn't a file"):
        find_credential("openai")
    file.unlink()
    file.mkdir(mode=0o700)
    with pytest.raises(CredentialsMissing, match="isn't a file"):
        find_credential("openai")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file away")
def test_another_users_file_is_refused(clean_environment: Path) -> None:
    file = write(clean_environment, f'openai = "{KEY}"\n')
    os.chown(file, 12345, -1)
    with pytest.raises(CredentialsMissing, match=r"another user \(id 12345\)"):
        find_credential("openai")


@pytest.mark.parametrize(
    "text", [f"openai = {KEY}", f'["{KEY}"]\n["{KEY}"]', "openai = 3", f"{KEY}", "\x00\xff"]
)
def test_a_damaged_file_is_told_without_its_content(clean_environment: Path, text: str) -> None:
    write(clean_environment, text)
    with pytest.raises(CredentialsMissing, match=r"credentials\.toml: each line") as caught:
        find_credential("openai")
    assert KEY not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize("given", [f'"{KEY}"', f"{KEY} {OTHER}", f"{KEY}\n{OTHER}", f"{KEY}é"])
def test_a_key_that_can_be_none_is_refused_without_being_shown(
    clean_environment: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", given)
    with pytest.raises(CredentialsMissing, match="OPENAI_API_KEY holds blanks") as caught:
        find_credential("openai")
    assert "planted" not in f"{caught.value} {caught.value.hint}"


def test_a_kept_key_is_found_again_beside_the_others(clean_environment: Path) -> None:
    file = clean_environment / "credentials.toml"
    before = os.umask(0)
    try:
        assert keep_key("openai", KEY) == str(file)
    finally:
        os.umask(before)
    assert file.stat().st_mode & 0o777 == 0o600
    odd = r"a\b#c=d~[e]"
    keep_key("mistral", odd)
    found = find_credential("mistral")
    assert found is not None
    assert found.key == odd
    assert origin() == str(file)
    assert [path.name for path in clean_environment.iterdir()] == ["credentials.toml"]
    assert delete_key("openai") == [str(file)]
    assert origin() is None
    assert delete_key("openai") == []
    assert find_credential("mistral") is not None


def test_a_key_is_not_added_to_a_file_that_others_can_read(clean_environment: Path) -> None:
    file = write(clean_environment, "", 0o644)
    with pytest.raises(CredentialsMissing, match="by others"):
        keep_key("openai", KEY)
    assert file.read_text() == ""


def test_the_keyring_keeps_and_forgets(
    clean_environment: Path, memory_keyring: MemoryKeyring
) -> None:
    place = keep_key("openai", KEY, keyring=True)
    assert place.startswith("keyring (")
    assert memory_keyring.kept == {("ftctl", "openai"): KEY}
    assert not clean_environment.exists()
    assert delete_key("openai") == [place]
    assert memory_keyring.kept == {}


def test_a_broken_keyring_is_passed_over_and_told_by_the_doctor(
    cli: Cli, clean_environment: Path, memory_keyring: MemoryKeyring
) -> None:
    file = write(clean_environment, f'openai = "{KEY}"\n')
    memory_keyring.locked = True
    assert origin() == str(file)
    with pytest.raises(Unsupported, match="KeyringLocked") as caught:
        keep_key("openai", KEY, keyring=True)
    ran = cli("doctor", "--json")
    assert ran.returncode == 0
    told = {f["name"]: f for f in ran.json()["findings"] if f["area"] == "credential"}
    assert told["keyring"]["status"] == "missing"
    assert "KeyringLocked" in told["keyring"]["says"]
    assert told["openai"]["says"] == str(file)
    assert KEY not in ran.stdout + str(caught.value)


def test_a_keyring_that_is_none_is_said(clean_environment: Path) -> None:
    with pytest.raises(Unsupported, match="no keyring that keeps secrets encrypted"):
        keep_key("openai", KEY, keyring=True)


def test_without_the_package_the_extra_is_named(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, clean_environment: Path
) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert find_credential("openai") is None
    with pytest.raises(ExtraMissing) as caught:
        keep_key("openai", KEY, keyring=True)
    assert caught.value.hint == "pip install 'ftctl[keyring]'"
    told = cli("doctor", "--json").json()["findings"]
    assert [f["fix"] for f in told if f["name"] == "keyring" and f["area"] == "credential"] == [
        "pip install 'ftctl[keyring]'"
    ]


def test_an_unknown_provider_is_not_repeated_for_it_may_be_the_key() -> None:
    for function in (lambda: keep_key(KEY, KEY), lambda: delete_key(KEY)):
        with pytest.raises(UsageError, match="no provider") as caught:
            function()
        assert KEY not in str(caught.value)
        assert "openai" in caught.value.hint


def test_states_say_where_from_or_why_not(
    clean_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "'hf_x'")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    states = {state.provider: state for state in credential_states()}
    assert states["openai"].origin == "OPENAI_API_KEY"
    assert states["huggingface"].origin is None
    assert "HF_TOKEN" in str(states["huggingface"].problem)
    assert (states["mistral"].origin, states["mistral"].problem) == (None, None)
    assert KEY not in str(states)


def test_set_key_reads_stdin_and_says_what_it_left_out(
    cli: Cli, clean_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = clean_environment / "credentials.toml"
    ran = cli("config", "set-key", "openai", stdin=f' "{KEY}"\r\n')
    assert (ran.returncode, ran.stdout) == (0, f"key of openai kept: {file}\n")
    assert ran.stderr == "blanks or quotes around the key were left out\n"
    assert cli("config", "set-key", "openai", stdin=f"{KEY}\n").stderr == ""
    shown = cli("config", "show", "--json").json()["credentials"]
    assert shown["openai"] == {"set": True, "origin": str(file), "problem": None}
    assert shown["mistral"] == {"set": False, "origin": None, "problem": None}
    monkeypatch.setenv("OPENAI_API_KEY", OTHER)
    ran = cli("config", "set-key", "openai", "--json", stdin=KEY)
    assert ran.json() == {
        "schema": "ftctl.key/1",
        "provider": "openai",
        "kept": str(file),
        "used": "OPENAI_API_KEY",
    }
    assert "OPENAI_API_KEY still has one" in cli("config", "delete-key", "openai").stderr
    assert "openai" not in file.read_text()


@pytest.mark.parametrize(
    ("args", "stdin", "says"),
    [
        (("openai", KEY), None, "never as an argument"),
        ((f"--key={KEY}", "openai"), None, "never as an argument"),
        (("openai",), "", "no key was given"),
        (("openai",), f"{KEY} and more", "blanks, line ends, quotes"),
        (("openai",), f"OPENAI_API_KEY='{KEY}'", "blanks, line ends, quotes"),
        ((KEY,), KEY, "no provider"),
    ],
)
def test_set_key_refuses_without_showing(
    cli: Cli, clean_environment: Path, args: tuple[str, ...], stdin: str | None, says: str
) -> None:
    ran = cli("config", "set-key", *args, stdin=stdin)
    assert ran.returncode == 2
    assert says in ran.stderr
    assert "planted" not in ran.stderr + ran.stdout
    assert not clean_environment.exists()


@pytest.mark.medium
def test_on_a_terminal_the_key_is_asked_for_without_echo(clean_environment: Path) -> None:
    spawn = "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)"
    command = [sys.executable, "-m", "ftctl.cli", "config", "set-key", "openai"]
    with subprocess.Popen(
        [sys.executable, "-c", spawn, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as ran:
        assert ran.stdin is not None
        assert ran.stdout is not None
        shown = b""
        while b"key:" not in shown:  # what is typed before the question would be echoed
            piece = os.read(ran.stdout.fileno(), 1000)
            assert piece, shown
            shown += piece
        ran.stdin.write(f"{KEY}\n".encode())
        ran.stdin.flush()
        shown += ran.stdout.read()
        assert ran.wait() == 0
    assert b"kept: " in shown
    assert KEY.encode() not in shown
    assert KEY in (clean_environment / "credentials.toml").read_text()
