"""The local executor: a detached worker process that outlives the command that started it.

Whether a worker lives is told by a file lock, not by its process id: the lock is taken before
the worker starts and inherited by it, so there is no moment in which a starting worker looks
dead, and no other process that happens to get the same id can look like it.
"""

import contextlib
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping

from ftctl.config import quiet_environment
from ftctl.errors import StoreError, Unsupported
from ftctl.local_backend.base_models import hub_key
from ftctl.local_backend.run_folder import RunFolder, WorkerProcess

_log = logging.getLogger(__name__)

# What a worker needs of the environment: to find programs, libraries, devices, hubs and proxies.
# Everything else, other vendors' keys above all, stays behind.
_PASSED = re.compile(
    r"PATH|HOME|LANG|LC_ALL|TMPDIR|TZ|PYTHONPATH|VIRTUAL_ENV|LD_LIBRARY_PATH"
    r"|HF_HOME|HF_HUB_CACHE|HUGGINGFACE_HUB_CACHE|XDG_CACHE_HOME|HF_HUB_OFFLINE|HF_ENDPOINT"
    r"|HF_TOKEN|HUGGING_FACE_HUB_TOKEN"
    r"|(HTTP|HTTPS|NO|ALL)_PROXY|(http|https|no|all)_proxy"
    r"|SSL_CERT_FILE|SSL_CERT_DIR|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE"
    r"|(CUDA|NVIDIA|OMP|MKL|OPENBLAS|PYTORCH|NCCL|GLOO|COVERAGE)_.*"
)


def require_posix() -> None:
    """Say plainly where a worker can't run.

    Raises:
        Unsupported: this system has no process groups and file locks of the POSIX kind.
    """
    if os.name != "posix":
        raise Unsupported(
            f"the local provider can't run on {sys.platform}: it needs process groups and file "
            "locks as Linux and macOS have them",
            hint="run ftctl inside WSL or on a Linux machine, or use a hosted provider",
        )


def worker_environment(environment: Mapping[str, str], key: str | None = None) -> dict[str, str]:
    """What the worker sees of our environment, telemetry of libraries switched off.

    The hub's key goes this way, too: others can't read it here, as they could an argument.

    Two programs that spin while they wait slow each other down several times over, hence
    `OMP_WAIT_POLICY` (measured: 77 against 726 tokens/s beside another such program).
    """
    kept = {name: value for name, value in environment.items() if _PASSED.fullmatch(name)}
    ours = {"PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": "ignore", "TOKENIZERS_PARALLELISM": "false"}
    if key is not None:
        ours["HF_TOKEN"] = key
    return {"OMP_WAIT_POLICY": "PASSIVE"} | kept | ours | quiet_environment()


def start(run: RunFolder) -> None:
    """Start a worker for the run folder's current attempt, unless one lives already.

    A shell starts it in the background and ends at once, so that the worker belongs to no one:
    it survives our death, and its own death leaves no zombie in a long-lived program.

    Raises:
        StoreError: the worker couldn't be started.
    """
    require_posix()
    import fcntl

    config = run.config()
    environment = worker_environment(os.environ, hub_key(config.model, config.home))
    with run.lock_file.open("a") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if is_alive(run):
                    return  # somebody else started it between our look and now
                time.sleep(0.01)  # somebody was only looking
        command = [sys.executable, "-m", "ftctl.local_backend.worker", str(run.path)]
        _log.info("starting %s", " ".join(command))
        with run.log_file.open("ab") as log:
            started = subprocess.run(  # noqa: S603 - our own interpreter on our own module
                ["/bin/sh", "-c", '"$@" &', "sh", *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
                pass_fds=(lock.fileno(),),
                check=False,
            )
        if started.returncode:
            raise StoreError(
                f"{run.path}: the worker could not be started (shell said {started.returncode})",
                hint=f"see {run.log_file}",
            )


def is_alive(run: RunFolder) -> bool:
    """Whether a worker of this run lives."""
    require_posix()
    import fcntl

    try:
        with run.lock_file.open("rb") as lock:
            # Shared, so that two who look at the same time don't see each other.
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def describe_self(attempt: int) -> WorkerProcess:
    """What the worker writes of itself, so that it can be stopped."""
    return WorkerProcess(
        attempt=attempt, pid=os.getpid(), process_group=os.getpgrp(), host=socket.gethostname()
    )


def stop(run: RunFolder, grace_s: float = 20.0) -> bool:
    """End the worker's whole process group: first asked, then, after `grace_s`, forced.

    Returns:
        Whether it is gone.

    Raises:
        StoreError: the worker runs on another host.
    """
    give_up = time.monotonic() + grace_s
    forced = False
    while is_alive(run):
        process = _current(run)
        if process is not None:
            if process.host != socket.gethostname():
                raise StoreError(
                    f"{run.path}: the worker runs on {process.host}",
                    hint=f"run the command on {process.host}",
                )
            late = time.monotonic() > give_up
            if late and forced and time.monotonic() > give_up + 10:
                return False
            _signal_group(process.process_group, signal.SIGKILL if late else signal.SIGTERM)
            forced = forced or late
        elif time.monotonic() > give_up:
            return False
        time.sleep(0.2)
    return True


def _current(run: RunFolder) -> WorkerProcess | None:
    """The process group of the attempt that lives; None while it hasn't written it down.

    What an earlier attempt wrote may name a group that is somebody else's by now.
    """
    process = run.read(run.process_file, WorkerProcess)
    try:
        attempt = run.config().attempt
    except StoreError:  # damaged by hand: then there is only this one to go by
        return process
    return process if process is not None and process.attempt == attempt else None


def _signal_group(process_group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # it ended since we looked
        os.killpg(process_group, number)
