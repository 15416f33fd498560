"""Datasets at Fireworks: made, filled, and waited for until they can be trained on."""

import logging
from collections.abc import Callable
from pathlib import Path

from ftctl.errors import DataInvalid, InvalidRequest, Unavailable
from ftctl.providers.fireworks.connection import Fireworks
from ftctl.providers.fireworks.wire import Dataset, Links
from ftctl.providers.sending import OURS
from ftctl.providers.transport.signed_links import send_to_link

ONE_REQUEST = 150_000_000  # bytes that one request takes; larger files go to a signed link
LOOK_EVERY_S = 2.0
LOOKS = 300  # ten minutes
_HASH = 48  # of 64 signs: ids are shorter than 64
_log = logging.getLogger(__name__)


class FireworksDatasets:
    """The account's datasets.

    Args:
        at: Where to ask.
        who: Whom messages name.
        base_url: Of the vendor's API.
        sleep: How to wait, in seconds.
    """

    def __init__(
        self, at: Fireworks, who: str, base_url: str, sleep: Callable[[float], None]
    ) -> None:
        self._at = at
        self._who = who
        self._base_url = base_url
        self._sleep = sleep

    def bring(self, file: Path, sha256: str) -> str:
        """The name of a dataset of this content there, sent if need be, once it is ready.

        Raises:
            DataInvalid: the vendor refuses it.
            Unavailable: it doesn't become ready.
        """
        wanted = f"{OURS}{sha256[:_HASH]}"
        kind = f"{self._at.account()}/datasets"
        for held in self._at.rows("list datasets", Dataset, kind, "datasets"):
            if held.id == wanted and held.state == "READY":
                _log.info("%s: holds %s already", self._who, held.name)
                return held.name
        name = f"{kind}/{wanted}"
        self._make(kind, wanted)
        if file.stat().st_size <= ONE_REQUEST:
            self._at.send_file(f"take dataset {wanted}", f"{name}:upload", file, f"{wanted}.jsonl")
        else:
            self._send_to_link(name, file, f"{wanted}.jsonl")
        self._wait(name, file)
        return name

    def _make(self, kind: str, wanted: str) -> None:
        body = {"datasetId": wanted, "dataset": {"userUploaded": {}}}
        try:
            self._at.one("make a dataset", Dataset, "POST", kind, body=body)
        except InvalidRequest as error:
            if error.status != 409:  # it is there, and wasn't filled
                raise

    def _send_to_link(self, name: str, file: Path, called: str) -> None:
        body = {"filenameToSize": {called: str(file.stat().st_size)}}
        path = f"{name}:getUploadEndpoint"
        links = self._at.one("take a large dataset", Links, "POST", path, body=body)
        link = links.filename_to_signed_urls.get(called)
        if link is None:
            raise Unavailable(f"{self._who} gives no link for {called}", hint="run it again")
        send_to_link(file, link, who=self._who, base_url=self._base_url)
        self._at.ask(f"check {name}", "POST", f"{name}:validateUpload", body={})

    def _wait(self, name: str, file: Path) -> None:
        for look in range(LOOKS):
            held = self._at.one(f"show {name}", Dataset, "GET", name)
            if held.state == "READY":
                return
            if held.status is not None and held.status.trouble:
                raise DataInvalid(
                    f"{file}: {self._who} refuses it: {held.status.trouble}",
                    hint=f"ftctl data check {file}",
                )
            if look < LOOKS - 1:
                self._sleep(LOOK_EVERY_S)
        raise Unavailable(
            f"{self._who} doesn't make {name} ready ({held.state})",
            hint="run the same command again",
        )
