"""`ftctl doctor`: what this machine can do, and how to fix what it can't."""

import importlib.metadata
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import click
from pydantic import BaseModel, ConfigDict

from ftctl.cli.options import command as make_command
from ftctl.cli.render import Output

_LOW_DISK_GIB = 5  # a base model of 1B parameters in bf16 and a run's checkpoints
_MARKS = {"ok": "✓", "missing": "·", "problem": "✗"}


class Finding(BaseModel):
    """One thing that was looked at.

    Attributes:
        area: What it belongs to: machine, home, extra, training, credential, network, account.
        status: `missing` is nothing wrong, only not there; `problem` needs mending.
        fix: A command or a sentence; empty where nothing is to be done.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    area: str
    name: str
    status: Literal["ok", "missing", "problem"]
    says: str
    fix: str = ""


@make_command("doctor", short_help="What this machine can do, and how to fix what it can't.")
@click.option(
    "--probe", is_flag=True, help="Ask each account whose key is here whether it may create jobs."
)
def command(out: Output, *, probe: bool) -> None:
    """Look at this machine, its credentials and the installed extras.

    Nothing is changed, and without `--probe` nobody is asked; with it each provider that there is
    a key for gets one free question. Exit 1 only when our own folder can't be used.

    Example: ftctl doctor --probe
    """
    home = list(look_at_home())
    usable = home[0].status != "problem"
    findings = [
        *look_at_machine(),
        *home,
        *look_at_extras(),
        *look_at_training(),
        *look_at_memory(),
        *look_at_credentials(),
        *look_at_network(),
        *(probe_accounts() if probe else ()),
    ]
    if out.json:
        told = [finding.model_dump() for finding in findings]
        out.document({"schema": "ftctl.doctor/1", "ok": usable, "findings": told})
    else:
        rows = [(_MARKS[f.status], f.area, f.name, f.says, f.fix) for f in findings]
        out.table(("", "area", "what", "found", "fix"), rows)
    if not usable:
        click.get_current_context().exit(1)


def look_at_machine() -> Iterator[Finding]:
    """Python, system and what the processor can multiply."""
    from ftctl.estimation.machine import BF16_FLAGS, find_cpu_flags

    yield Finding(
        area="machine",
        name="Python",
        status="ok",
        says=f"{platform.python_version()} ({sys.executable})",
    )
    yield Finding(area="machine", name="system", status="ok", says=platform.platform())
    flags = find_cpu_flags(Path("/proc/cpuinfo"))
    fast = [flag for flag in BF16_FLAGS if flag in flags]
    yield Finding(
        area="machine",
        name="bf16 on the CPU",
        status="ok" if fast else "missing",
        says=", ".join(fast) or "no avx512_bf16 or AMX; training on the CPU uses fp32",
    )


def look_at_home() -> Iterator[Finding]:
    """Whether the folder we write to can be written to, and how much fits."""
    from ftctl.config import load_settings

    home = load_settings().home
    there = next(folder for folder in (home, *home.parents) if folder.exists())
    fix = "set FTCTL_HOME to a folder you may write to"
    if not there.is_dir():
        says = f"{there} is a file, not a folder"
        yield Finding(area="home", name="folder", status="problem", says=says, fix=fix)
        return
    if not os.access(there, os.W_OK | os.X_OK):
        says = f"{home}: {there} can't be written to"
        yield Finding(area="home", name="folder", status="problem", says=says, fix=fix)
        return
    made = "" if home.exists() else " (made at the first job)"
    yield Finding(area="home", name="folder", status="ok", says=f"{home}{made}")
    free_gib = shutil.disk_usage(there).free / 2**30
    low = free_gib < _LOW_DISK_GIB
    yield Finding(
        area="home",
        name="free disk",
        status="problem" if low else "ok",
        says=f"{free_gib:.1f} GiB",
        fix=f"free {_LOW_DISK_GIB} GiB, or set FTCTL_HOME to a larger disk" if low else "",
    )


def look_at_extras() -> Iterator[Finding]:
    """The optional parts of ftctl, from what is installed; none of it is imported."""
    try:
        requirements = importlib.metadata.requires("ftctl") or []
    except importlib.metadata.PackageNotFoundError:
        requirements = []
    packages: dict[str, list[str]] = {}
    for requirement in requirements:
        found = re.match(r"([\w.-]+).*extra == ['\"](\w+)['\"]", requirement)
        if found and found[2] not in ("all", "dev"):
            packages.setdefault(found[2], []).append(found[1])
    for extra, names in packages.items():
        versions = {name: find_version(name) for name in names}
        absent = [name for name, version in versions.items() if version is None]
        yield Finding(
            area="extra",
            name=extra,
            status="missing" if absent else "ok",
            says="without " + ", ".join(absent)
            if absent
            else ", ".join(f"{name} {version}" for name, version in versions.items()),
            fix=f"pip install 'ftctl[{extra}]'" if absent else "",
        )


def find_version(package: str) -> str | None:
    """The installed version of a package, or None."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def look_at_training() -> Iterator[Finding]:
    """Whether models can be tuned on this machine, and on which device."""
    from ftctl.errors import Unsupported
    from ftctl.local_backend.executors.process import require_posix

    torch = find_version("torch")
    driver = Path("/proc/driver/nvidia/version").exists() or bool(shutil.which("nvidia-smi"))
    cuda_build = torch is not None and "+cpu" not in torch and sys.platform != "darwin"
    apple = sys.platform == "darwin" and platform.machine() == "arm64"
    kinds = ["cpu", *(["cuda"] if driver and cuda_build else []), *(["mps"] if apple else [])]
    if torch is None:
        device = Finding(
            area="training",
            name="devices",
            status="missing",
            says="torch isn't installed",
            fix="pip install 'ftctl[local]'",
        )
    elif driver and not cuda_build:
        device = Finding(
            area="training",
            name="devices",
            status="problem",
            says=f"torch {torch} is built for the CPU, but an NVIDIA driver is here",
            fix="pip install --force-reinstall --no-deps torch",
        )
    else:
        says = f"torch {torch}: {', '.join(kinds)}"
        device = Finding(area="training", name="devices", status="ok", says=says)
    yield device
    try:
        require_posix()
        local = Finding(area="training", name="local provider", status="ok", says="can run here")
    except Unsupported as error:
        local = Finding(
            area="training",
            name="local provider",
            status="missing",
            says=error.message,
            fix=error.hint,
        )
    yield local


def look_at_memory() -> Iterator[Finding]:
    """What there is to train in, and the largest models of the catalog that fit there."""
    from ftctl.catalog.load import load_catalog
    from ftctl.estimation.home_plan import largest_of
    from ftctl.estimation.machine import find_cards

    catalog = load_catalog()
    cards = find_cards(catalog.gpus)
    if cards is None:
        says = "this system doesn't say how much memory it has"
        yield Finding(area="training", name="memory", status="missing", says=says)
        return
    yield Finding(area="training", name="memory", status="ok", says=str(cards))
    found = {each.tuning: each for each in largest_of(catalog.models, cards)}
    for tuning in ("lora", "qlora", "full"):
        each, says = found.get(tuning), "no model of the catalog fits"
        if tuning == "qlora" and cards.kind != "gpu":
            says = "runs here, but is planned for GPUs alone: it packs a base that is loaded whole"
        yield Finding(
            area="training",
            name=f"largest, {tuning}",
            status="ok" if each else "missing",
            says=f"{each.model}: {each.says}" if each else says,
        )
    if cards.count > 1:
        alone = {
            each.tuning: each.model
            for each in largest_of(catalog.models, cards.model_copy(update={"count": 1}))
        }
        says = f"ddp with LoRA up to {alone.get('lora', 'no model')}, sharded as above beyond"
        yield Finding(area="training", name="sharding", status="ok", says=says)


def look_at_credentials() -> Iterator[Finding]:
    """Where each vendor's key comes from, and whether there is a keyring; no key is shown."""
    from ftctl.config import (
        CREDENTIAL_VARIABLES,
        credential_states,
        keyring_state,
        load_settings,
    )
    from ftctl.notification import SECRET_VARIABLE, webhook_secret_file

    settings = load_settings()
    for state in credential_states(settings.home):
        name, variables = state.provider, CREDENTIAL_VARIABLES.get(state.provider, ())
        if state.problem is not None:
            says, fix = state.problem.message, state.problem.hint
            yield Finding(area="credential", name=name, status="problem", says=says, fix=fix)
        elif state.origin is not None:
            says = f"{state.origin} is set" if state.origin in variables else state.origin
            yield Finding(area="credential", name=name, status="ok", says=says)
        else:
            ways = [*(f"export {v}=…" for v in variables[:1]), f"ftctl config set-key {name}"]
            fix = f"{' or '.join(ways)}, when you want to use it"
            yield Finding(area="credential", name=name, status="missing", says="no key", fix=fix)
    keyring = keyring_state()
    yield Finding(
        area="credential",
        name="keyring",
        status="ok" if keyring.usable else "missing",
        says=keyring.says,
        fix=keyring.fix,
    )
    file = webhook_secret_file(settings)
    kept = SECRET_VARIABLE if os.environ.get(SECRET_VARIABLE) else file if file.exists() else None
    yield Finding(
        area="credential",
        name="webhook secret",
        status="ok" if kept else "missing",
        says=str(kept) if kept else f"made at the first webhook: {file}",
    )


def look_at_network() -> Iterator[Finding]:
    """Proxies and certificates that every request goes through, and gateways."""
    from ftctl.config import BASE_URL_VARIABLES, find_base_url, find_network_settings
    from ftctl.errors import FtctlError

    settings = find_network_settings()
    if not settings:
        says = "no proxy, the system's certificates"
        yield Finding(area="network", name="route", status="ok", says=says)
    for name, value in settings.items():
        absent = "proxy" not in name.lower() and not Path(value).exists()
        yield Finding(
            area="network",
            name=name,
            status="problem" if absent else "ok",
            says=f"{value} doesn't exist" if absent else value,
            fix=f"point {name} at a certificate file, or unset it" if absent else "",
        )
    for provider, variable in BASE_URL_VARIABLES.items():
        try:
            url = find_base_url(provider)
        except FtctlError as error:
            said, fix = error.message, error.hint
            yield Finding(area="network", name=variable, status="problem", says=said, fix=fix)
        else:
            if url is not None:
                yield Finding(area="network", name=variable, status="ok", says=url)


def probe_accounts() -> Iterator[Finding]:
    """Whether each account that there is a key for may create jobs, as far as it can be told."""
    from ftctl.account import ask_account
    from ftctl.config import credential_states, find_base_url, load_settings
    from ftctl.errors import FtctlError, ProviderClosed, Unsupported
    from ftctl.policy import require_open
    from ftctl.providers.registry import get_provider

    settings, day = load_settings(), datetime.now(UTC).date()
    for state in credential_states(settings.home):
        if state.origin is None or state.problem is not None:
            continue
        name = state.provider
        status: Literal["ok", "missing", "problem"]
        try:
            url = find_base_url(name)
            require_open(name, as_of=day, base_url=url)
            driver = get_provider(name, settings, url)
            may = ask_account(driver, name, base_url=url, as_of=day, must_answer=False)
            status, says, fix = "missing" if may.word == "unknown" else "ok", str(may), ""
        except (ProviderClosed, Unsupported) as error:  # nothing here can mend that
            status, says, fix = "missing", error.message, error.hint
        except FtctlError as error:
            status, says, fix = "problem", error.message, error.hint
        yield Finding(area="account", name=name, status=status, says=says, fix=fix)
