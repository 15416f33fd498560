"""Settings: found in flags, environment and files; every value remembers where it comes from."""

import contextlib
import math
import os
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from ftctl.config.addresses import mask_url
from ftctl.errors import UsageError

PROJECT_FILE = "ftctl.toml"

_T = TypeVar("_T")
_Read = Callable[[object, Path], _T]


@dataclass(frozen=True)
class Setting(Generic[_T]):
    """A value and where it comes from: a flag, a variable, a file, or the default."""

    value: _T
    origin: str


@dataclass(frozen=True)
class Settings:
    """What the user set, or the defaults.

    Attributes:
        home: Folder of everything we write: store, run folders, cache.
        database_url: SQLAlchemy URL of the store.
        poll_s: Shortest time between two looks at one job, in seconds.
        settle_s: How long an unanswered create is looked for before it may be sent again, in
            seconds from when it was sent: vendors' lists lag.
        catalog: File of the user's own prices and dates, which needn't exist.
        origins: Where each of them comes from, by its name.
    """

    home: Path
    database_url: str
    poll_s: float
    settle_s: float
    catalog: Path
    origins: Mapping[str, str]

    def explained(self) -> dict[str, Setting[str | float]]:
        """Every setting by name, fit to print: passwords in URLs are masked."""
        values: dict[str, str | float] = {
            "home": str(self.home),
            "database_url": mask_url(self.database_url),
            "poll_s": self.poll_s,
            "settle_s": self.settle_s,
            "catalog": str(self.catalog),
        }
        return {name: Setting(value, self.origins[name]) for name, value in values.items()}


@dataclass(frozen=True)
class _Source:
    origin: str  # with {} where the name of the variable stands
    values: Mapping[str, object]
    folder: Path  # what a relative path is relative to


def load_settings(
    *,
    home: Path | None = None,
    database_url: str | None = None,
    poll_s: float | None = None,
    settle_s: float | None = None,
) -> Settings:
    """Find every setting, an argument (a flag) before anything else.

    Raises:
        UsageError: a file can't be read, holds an unknown key, or a value is of the wrong kind.
    """
    flags = {"home": home, "database_url": database_url, "poll_s": poll_s, "settle_s": settle_s}
    sources = list(_sources({name: flag for name, flag in flags.items() if flag is not None}))
    found_home = _find("home", _path, sources)
    if found_home is None:
        found_home = Setting(_path("~/.ftctl", Path.cwd()), "default")
    found_url = _find("database_url", _text, sources)
    if found_url is None:
        found_url = Setting(f"sqlite:///{found_home.value / 'ftctl.db'}", "default")
    found_poll = _find("poll_s", _seconds, sources) or Setting(2.0, "default")
    found_settle = _find("settle_s", _seconds, sources) or Setting(120.0, "default")
    found_catalog = _find("catalog", _file, sources)
    if found_catalog is None:
        found_catalog = Setting(found_home.value / "catalog.toml", "default")
    return Settings(
        home=found_home.value,
        database_url=found_url.value,
        poll_s=found_poll.value,
        settle_s=found_settle.value,
        catalog=found_catalog.value,
        origins={
            "home": found_home.origin,
            "database_url": found_url.origin,
            "poll_s": found_poll.origin,
            "settle_s": found_settle.origin,
            "catalog": found_catalog.origin,
        },
    )


_VARIABLES = {
    "home": "FTCTL_HOME",
    "database_url": "FTCTL_DATABASE_URL",
    "poll_s": "FTCTL_POLL_S",
    "settle_s": "FTCTL_SETTLE_S",
    "catalog": "FTCTL_CATALOG",
}


def _sources(flags: Mapping[str, object]) -> Iterator[_Source]:
    """The places to look in, first the ones that win."""
    here = Path.cwd()
    yield _Source("flag", flags, here)
    environment = {name: os.environ.get(variable) for name, variable in _VARIABLES.items()}
    yield _Source("environment ({})", {k: v for k, v in environment.items() if v}, here)
    project = next((f / PROJECT_FILE for f in (here, *here.parents) if _has_project(f)), None)
    for path in (project, user_file()):
        if path is not None and path.exists():
            yield _Source(str(path), _read_toml(path), path.parent)


def _has_project(folder: Path) -> bool:
    return (folder / PROJECT_FILE).exists()


def user_file() -> Path | None:
    """Where this user's settings stand, whether or not the file exists."""
    variable = "APPDATA" if sys.platform == "win32" else "XDG_CONFIG_HOME"
    base = os.environ.get(variable)
    if base:
        return Path(base) / "ftctl" / "config.toml"
    try:
        return Path.home() / ".config" / "ftctl" / "config.toml"
    except RuntimeError:  # a user without a home folder has no file there either
        return None


def _read_toml(path: Path) -> dict[str, object]:
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(f"{path}: can't be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{path}: not valid TOML: {error}", hint='poll_s = 5\nhome = "…"'
        ) from None
    for name in values:
        if name not in _VARIABLES:
            import difflib

            near = difflib.get_close_matches(name, _VARIABLES, n=1)
            known = "known are " + ", ".join(_VARIABLES)
            raise UsageError(
                f"{path}: unknown setting `{name}`",
                hint=f"did you mean `{near[0]}`?" if near else known,
            )
    return values


def _find(name: str, read: _Read[_T], sources: list[_Source]) -> Setting[_T] | None:
    for source in sources:
        if name in source.values:
            origin = source.origin.format(_VARIABLES[name])
            try:
                return Setting(read(source.values[name], source.folder), origin)
            except ValueError as error:
                shown = source.values[name]
                raise UsageError(f"{origin}: {name} must be {error}, not {shown!r}") from None
    return None


def _text(raw: object, folder: Path) -> str:  # noqa: ARG001 - same shape as the other readers
    if not isinstance(raw, str) or not raw.strip():
        raise ValueError("a text")
    return raw


def _path(raw: object, folder: Path) -> Path:
    if not isinstance(raw, str | Path) or not str(raw).strip():
        raise ValueError("the path of a folder")
    try:
        return Path(os.path.normpath(folder / Path(raw).expanduser()))
    except RuntimeError:
        raise UsageError(
            f"{raw}: this user has no home folder", hint="set FTCTL_HOME to a folder you may write"
        ) from None


def _file(raw: object, folder: Path) -> Path:
    path = _path(raw, folder)
    if not path.is_file():  # named on purpose: its prices must not be left out in silence
        raise ValueError("an existing file")
    return path


_MOST_SECONDS = 86_400  # a day: what no clock or sleep stumbles over


def _seconds(raw: object, folder: Path) -> float:  # noqa: ARG001 - same shape as the other readers
    seconds = math.nan
    if isinstance(raw, str | int | float) and not isinstance(raw, bool):
        with contextlib.suppress(ValueError):
            seconds = float(raw)
    if not 0 < seconds <= _MOST_SECONDS:
        raise ValueError("a number of seconds above 0 and no more than a day")
    return seconds
