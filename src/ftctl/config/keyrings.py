"""The operating system's keyring, through the optional package `keyring`.

A keyring that isn't there or is broken is no error when a key is looked for: it is passed over.
"""

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ftctl.errors import ExtraMissing, Refused, Unsupported

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

_SERVICE = "ftctl"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class KeyringState:
    """Whether there is a keyring that answers, and its name or what is wrong with it."""

    usable: bool
    says: str
    fix: str = ""


def keyring_state() -> KeyringState:
    """Ask the keyring for something, to see whether it is alive."""
    try:
        backend = _backend()
        _ask(backend, "ftctl-doctor")
    except Refused as error:
        return KeyringState(usable=False, says=error.message, fix=error.hint)
    return KeyringState(usable=True, says=_name(backend))


def find_in_keyring(provider: str) -> tuple[str, str] | None:
    """The provider's key and the name of the keyring, or None."""
    try:
        backend = _backend()
        key = _ask(backend, provider)
    except Refused as error:
        _log.debug("keyring passed over: %s", error.message)
        return None
    return (key, _name(backend)) if key and key.strip() else None


def keep_in_keyring(provider: str, key: str) -> str:
    """Keep a key; returns the name of the keyring.

    Raises:
        ExtraMissing, Unsupported: no keyring is here, or it doesn't take it.
    """
    backend = _backend()
    try:
        backend.set_password(_SERVICE, provider, key)
    except Exception as error:  # noqa: BLE001 - backends raise what their system raises
        raise _broken(backend, error) from None
    return _name(backend)


def delete_from_keyring(provider: str) -> str | None:
    """Delete a key; returns the name of the keyring that held it, or None.

    Raises:
        Unsupported: it holds one and won't delete it.
    """
    found = find_in_keyring(provider)
    if found is None:
        return None
    backend = _backend()
    try:
        backend.delete_password(_SERVICE, provider)
    except Exception as error:  # noqa: BLE001 - backends raise what their system raises
        raise _broken(backend, error) from None
    return found[1]


def _backend() -> "KeyringBackend":
    try:
        import keyring
    except ImportError:
        raise ExtraMissing("keyring", "the operating system's keyring") from None
    try:
        backend = keyring.get_keyring()
        recommended = backend.priority >= 1  # by keyring's rule; below are none and plain text
    except Exception as error:  # noqa: BLE001 - backends raise what their system raises
        raise Unsupported(f"the keyring can't be opened ({type(error).__name__})") from None
    if not recommended:
        raise Unsupported("this system has no keyring that keeps secrets encrypted")
    return backend


def _ask(backend: "KeyringBackend", provider: str) -> str | None:
    try:
        return backend.get_password(_SERVICE, provider)
    except Exception as error:  # noqa: BLE001 - backends raise what their system raises
        raise _broken(backend, error) from None


def _broken(backend: "KeyringBackend", error: Exception) -> Unsupported:
    # Only the kind of the error: what it says may hold anything.
    return Unsupported(
        f"the keyring {_name(backend)} doesn't answer ({type(error).__name__})",
        hint="unlock it, or leave the key in the environment or in credentials.toml",
    )


def _name(backend: "KeyringBackend") -> str:
    return f"keyring ({type(backend).__module__.rpartition('.')[2]})"
