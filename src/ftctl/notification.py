"""Tell somebody that a job's state has changed: run a command, or post a signed webhook.

Nothing that goes wrong here harms the job: it is logged, and that is all. Webhooks are signed as
Standard Webhooks say (standardwebhooks.com, specification 1.0.0), so that their libraries verify
them; a receiver that gets the same `webhook-id` twice was told by two observers.
"""

import base64
import binascii
import hashlib
import hmac
import json
import logging
import os
import re
import secrets
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ftctl.config import Settings, direct_mounts, require_base_url
from ftctl.config.private_files import read_private, write_private
from ftctl.errors import FtctlError, InvalidRequest, Unavailable, UsageError
from ftctl.job import JobRecord

if TYPE_CHECKING:
    import httpx2

SECRET_VARIABLE = "FTCTL_WEBHOOK_SECRET"  # noqa: S105 - the variable's name
COMMAND_TIMEOUT_S = 30.0
_POST_TIMEOUT_S = 10.0  # to connect, and for each read and write
_POSTS = 4  # the first and three more, 1 to 8 s apart
_PREFIX = "whsec_"
_log = logging.getLogger(__name__)

Sleep = Callable[[float], None]


def check_target(target: str) -> None:
    """Refuse what can't be told anything, before a job depends on it.

    Args:
        target: A URL, or a command line; no shell reads it.

    Raises:
        UsageError: no command that can be found, or a URL with a password, query or fragment.
        Refused: http to another machine.
    """
    if _is_url(target):
        require_base_url(target, origin="--notify")
        given = os.environ.get(SECRET_VARIABLE, "").strip()
        if given:
            _signing_key(given, SECRET_VARIABLE)
        return
    try:
        words = shlex.split(target)
    except ValueError as error:
        raise UsageError(f"--notify: not a command line: {str(error).lower()}") from None
    if not words:
        raise UsageError("--notify: no command", hint="--notify 'COMMAND ARGS' or a URL")
    command = Path(words[0])
    if command.name != words[0] and not command.is_absolute():  # who watches stands elsewhere
        raise UsageError(
            f"--notify: {words[0]} depends on the folder one stands in",
            hint=f"--notify {shlex.quote(str(command.expanduser().absolute()))}",
        )
    if shutil.which(words[0]) is None:
        raise UsageError(f"--notify: {words[0]} isn't a program that can be run")


def event_id(record: JobRecord) -> str:
    """The same for every observer of a job's attempt in a state, so that repeats can be told."""
    return f"{record.id}-{record.attempt}-{record.state}".replace(".", "_")


def notify(
    target: str, record: JobRecord, *, settings: Settings, sleep: Sleep = time.sleep
) -> None:
    """Tell a target of the state that a job is in; returns when it is told or given up.

    Args:
        target: As `check_target` takes it.
        record: The job; its document goes to the command's stdin or is the webhook's body.
        settings: Where the webhook's secret is kept.
        sleep: How to wait between two posts, in seconds.
    """
    try:
        check_target(target)
        if _is_url(target):
            _post(target, record, load_webhook_secret(settings), sleep)
        else:
            _run(shlex.split(target), record)
    except Exception as error:  # noqa: BLE001 - the job goes on, whatever went wrong
        # Not the target itself: an address may be as good as a password.
        what = "webhook" if _is_url(target) else "command"
        reason = _reason(error)
        _log.warning("%s is %s: the %s failed: %s", record.id, record.state, what, reason)


class Notifier:
    """One observer, who tells of each state of an attempt at most once.

    Args:
        settings: Where the webhook's secret is kept.
        sleep: How to wait between two posts, in seconds.
    """

    def __init__(self, settings: Settings, sleep: Sleep = time.sleep) -> None:
        self._settings, self._sleep = settings, sleep
        self._told: set[str] = set()

    def tell(self, target: str, record: JobRecord) -> None:
        """As `notify`, unless it was told before."""
        event = event_id(record)
        if event not in self._told:
            self._told.add(event)
            notify(target, record, settings=self._settings, sleep=self._sleep)


def webhook_secret_file(settings: Settings) -> Path:
    """Where the secret is kept that is made when the environment has none."""
    return settings.home / "webhook_secret"


def load_webhook_secret(settings: Settings) -> str:
    """The secret from FTCTL_WEBHOOK_SECRET, or from its file; made there when absent.

    Raises:
        CredentialsMissing: the file isn't private.
        StoreError: it can't be written.
    """
    given = os.environ.get(SECRET_VARIABLE, "").strip()
    if given:
        return given
    file = webhook_secret_file(settings)
    kept = read_private(file)
    if kept is None:
        made = _PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()
        try:
            write_private(file, made + "\n", replace=False)
        except FileExistsError:  # another process made it first
            kept = read_private(file) or ""
        else:
            _log.info("made the secret that webhooks are signed with: %s", file)
            return made
    return kept.strip()


def _signing_key(secret: str, origin: str) -> bytes:
    """The bytes to sign with: base64 after `whsec_` (Standard Webhooks), else the text itself."""
    try:
        encoded = secret.removeprefix(_PREFIX)
        key = secret.encode() if encoded == secret else base64.b64decode(encoded, validate=True)
    except binascii.Error:
        key = b""
    if not key:
        raise UsageError(
            f"{origin}: no secret to sign with",
            hint="a text of your own, or whsec_ and at least 24 random bytes in base64",
        )
    return key


def _run(words: list[str], record: JobRecord) -> None:
    """Run the user's command; what it says goes to our stderr, never among our own output."""
    named = {"FTCTL_JOB_ID": record.id, "FTCTL_JOB_STATE": str(record.state)}
    subprocess.run(  # noqa: S603 - the user's own command, and no shell
        words,
        input=json.dumps(record.document(), ensure_ascii=False).encode(),
        env=os.environ | named,
        stdout=subprocess.DEVNULL,
        timeout=COMMAND_TIMEOUT_S,
        check=True,
    )


def _post(url: str, record: JobRecord, secret: str, sleep: Sleep) -> None:
    import httpx2
    from tenacity import (
        Retrying,
        retry_if_exception_type,
        stop_after_attempt,
        wait_exponential_jitter,
    )

    key = _signing_key(secret, "the webhook secret")
    event = event_id(record)
    body = json.dumps(record.document() | {"event_id": event}, ensure_ascii=False).encode()
    again = Retrying(
        stop=stop_after_attempt(_POSTS),
        wait=wait_exponential_jitter(initial=1, max=8),
        retry=retry_if_exception_type(Unavailable),
        sleep=sleep,
        reraise=True,
    )
    with httpx2.Client(
        follow_redirects=False, timeout=_POST_TIMEOUT_S, mounts=direct_mounts(url)
    ) as client:
        again(_post_once, client, url, event, key, body)


def _post_once(client: "httpx2.Client", url: str, event: str, key: bytes, body: bytes) -> None:
    """Post, signed for this moment.

    Raises:
        Unavailable: no answer, or one that may be another the next time.
        InvalidRequest: the receiver doesn't want it; a redirect is not followed.
    """
    import httpx2

    moment = str(int(time.time()))
    signed = hmac.digest(key, b".".join((event.encode(), moment.encode(), body)), hashlib.sha256)
    headers = {
        "content-type": "application/json",
        "webhook-id": event,
        "webhook-timestamp": moment,
        "webhook-signature": f"v1,{base64.b64encode(signed).decode()}",
    }
    try:
        # Only the status is read: an answer without end holds nobody up.
        with client.stream("POST", url, content=body, headers=headers) as response:
            status = response.status_code
    except httpx2.TransportError as error:
        raise Unavailable(f"no answer ({type(error).__name__})") from None
    if status >= 500 or status in (408, 429):
        raise Unavailable(f"it answered {status}")
    if not 200 <= status < 300:
        raise InvalidRequest(f"it answered {status}")


def _is_url(target: str) -> bool:
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", target) is not None


def _reason(error: Exception) -> str:
    if isinstance(error, FtctlError):
        return error.message
    if isinstance(error, subprocess.CalledProcessError):
        return f"it ended with {error.returncode}"
    if isinstance(error, subprocess.TimeoutExpired):
        return f"it took longer than {COMMAND_TIMEOUT_S:g} s"
    return type(error).__name__
