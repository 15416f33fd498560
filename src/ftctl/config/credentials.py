"""Keys: from the vendors' own variables, the system's keyring, or a file only its user can read.

The first place that has one wins. A key is never part of a repr, a message or a log.
"""

import json
import os
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ftctl.config.keyrings import delete_from_keyring, find_in_keyring, keep_in_keyring
from ftctl.config.private_files import read_private, write_private
from ftctl.config.settings import load_settings
from ftctl.errors import CredentialsMissing, UsageError

# The vendors' own variables, the first that is set wins.
CREDENTIAL_VARIABLES: dict[str, tuple[str, ...]] = {
    "openai": ("OPENAI_API_KEY",),
    "mistral": ("MISTRAL_API_KEY",),
    "huggingface": ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"),
    "together": ("TOGETHER_API_KEY",),
    "fireworks": ("FIREWORKS_API_KEY",),
    "nebius": ("NEBIUS_API_KEY",),
    "azure": ("AZURE_OPENAI_API_KEY",),
    "bedrock": ("AWS_BEARER_TOKEN_BEDROCK",),
}
_USABLE = re.compile(r"[!#-&(-_a-~]+")  # ASCII that is printable, without blanks and quotes


@dataclass(frozen=True)
class Credential:
    """A provider's key, and the place that held it; the key is never part of the repr."""

    provider: str
    key: str = field(repr=False)
    origin: str


@dataclass(frozen=True)
class CredentialState:
    """Where a provider's key comes from, or why it can't be used; neither where there is none."""

    provider: str
    origin: str | None
    problem: CredentialsMissing | None = None


def find_credential(provider: str, home: Path | None = None) -> Credential | None:
    """The provider's key from the environment, the keyring or the file, or None.

    Args:
        home: The ftctl home, where the file is; that of the settings when None.

    Raises:
        CredentialsMissing: a place has something that can't be a key, or its file isn't private.
    """
    for variable in CREDENTIAL_VARIABLES.get(provider, ()):
        key = os.environ.get(variable, "").strip()
        if key:
            return _credential(provider, key, variable)
    kept = find_in_keyring(provider)
    if kept is not None:
        return _credential(provider, *kept)
    file = credentials_file(home)
    key = _read_keys(file).get(provider, "").strip()
    return _credential(provider, key, str(file)) if key else None


def credential_states(home: Path | None = None) -> Iterator[CredentialState]:
    """Where each provider's key comes from, without the key."""
    for provider in _providers():
        try:
            found = find_credential(provider, home)
        except CredentialsMissing as error:
            yield CredentialState(provider, None, error)
        else:
            yield CredentialState(provider, found.origin if found else None)


def clean_key(text: str) -> str:
    """A key without the blanks and quotes that were copied along with it.

    Raises:
        UsageError: what is left can't be a key; the message doesn't hold it.
    """
    key = text.strip()
    if len(key) > 1 and key[0] == key[-1] and key[0] in "\"'`":
        key = key[1:-1].strip()
    if not key:
        raise UsageError(
            "no key was given", hint='printf %s "$KEY" | ftctl config set-key PROVIDER'
        )
    if not _USABLE.fullmatch(key):
        raise UsageError(
            "what was given holds blanks, line ends, quotes or other signs that no key has",
            hint="copy the key alone",
        )
    return key


def keep_key(provider: str, key: str, *, keyring: bool = False, home: Path | None = None) -> str:
    """Keep a key in the keyring, or else in the file; returns the place.

    Raises:
        UsageError: no such provider, or no key.
        ExtraMissing, Unsupported: there is no usable keyring.
        CredentialsMissing: the file that is there isn't private.
        StoreError: the file can't be written.
    """
    _require_provider(provider)
    key = clean_key(key)
    if keyring:
        return keep_in_keyring(provider, key)
    file = credentials_file(home)
    _write_keys(file, _read_keys(file) | {provider: key})
    return str(file)


def delete_key(provider: str, home: Path | None = None) -> list[str]:
    """Delete a key from keyring and file; returns the places that held one.

    Raises:
        UsageError: no such provider.
        Unsupported: the keyring won't delete it.
        CredentialsMissing: the file that is there isn't private.
        StoreError: the file can't be written.
    """
    _require_provider(provider)
    kept = delete_from_keyring(provider)
    places = [] if kept is None else [kept]
    file = credentials_file(home)
    keys = _read_keys(file)
    if keys.pop(provider, None) is not None:
        _write_keys(file, keys)
        places.append(str(file))
    return places


def credentials_file(home: Path | None = None) -> Path:
    """Where keys are kept, whether or not the file exists."""
    return (load_settings().home if home is None else home) / "credentials.toml"


def _credential(provider: str, key: str, origin: str) -> Credential:
    key = key.strip()
    if not _USABLE.fullmatch(key):
        raise CredentialsMissing(
            f"{origin} holds blanks, quotes or signs that no key of {provider} has",
            hint=f"set {origin} again, without quotes or line ends"
            if origin.isidentifier()
            else f"ftctl config set-key {provider}",
        )
    return Credential(provider, key, origin)


def _read_keys(file: Path) -> dict[str, str]:
    text = read_private(file)
    if text is None:
        return {}
    try:
        keys = tomllib.loads(text)
        sound = all(isinstance(key, str) for key in keys.values())
    except tomllib.TOMLDecodeError:
        sound = False
    if not sound:  # what the parser says may quote a key, so it isn't passed on
        raise CredentialsMissing(
            f'{file}: each line has to be `PROVIDER = "KEY"`',
            hint="mend it, or delete it and use ftctl config set-key PROVIDER",
        )
    return keys


def _write_keys(file: Path, keys: dict[str, str]) -> None:
    # JSON's way to write a text is TOML's, too.
    quoted = {json.dumps(name): json.dumps(key, ensure_ascii=False) for name, key in keys.items()}
    lines = [f"{name} = {quoted[name]}\n" for name in sorted(quoted)]
    write_private(file, "".join(lines))


def _providers() -> list[str]:
    from importlib.metadata import entry_points

    others = {entry.name for entry in entry_points(group="ftctl.providers")}
    return [*CREDENTIAL_VARIABLES, *sorted(others - set(CREDENTIAL_VARIABLES))]


def _require_provider(provider: str) -> None:
    known = _providers()
    if provider not in known:  # not repeated: it may be a key, put in the wrong place
        raise UsageError("that is no provider that takes a key", hint="known: " + ", ".join(known))
