"""Whether rows may leave this machine, and the record of who said so."""

from typing import Any

from ftctl.admission import Consent, ScanHits
from ftctl.api.job_handle import open_store
from ftctl.config import Settings
from ftctl.job import JobSpec
from ftctl.store import Store

_ALLOWED = "scan_hits_allowed"


class Consents:
    """Consent to send a file in which the scan found something: its very bytes, to one place.

    Args:
        settings: Where the audit log is.
        allow: Somebody said so with this submission.
        ask: Asks a person; None where nobody is there.
    """

    def __init__(
        self, settings: Settings, *, allow: bool = False, ask: Consent | None = None
    ) -> None:
        self._settings = settings
        self._allow = allow
        self._ask = ask
        self._given: dict[str, dict[str, Any]] = {}

    def of(self, spec: JobSpec) -> Consent:
        """Answers for one job: said with it, answered now, or kept from an earlier one."""

        def answer(hits: ScanHits) -> bool:
            place = {"sha256": hits.sha256, "provider": spec.provider, "base_url": spec.base_url}
            if hits.sha256 in self._given or self._kept(place):
                return True
            if not self._allow and (self._ask is None or not self._ask(hits)):
                return False
            said = {"by": "flag" if self._allow else "answer", "found": dict(hits.counts)}
            self._given[hits.sha256] = place | said | {"file": str(hits.file)}
            return True

        return answer

    def keep(self, store: Store) -> None:
        """Write down what was said, before anything leaves."""
        for detail in self._given.values():
            store.audit(_ALLOWED, detail)

    def _kept(self, place: dict[str, Any]) -> bool:
        with open_store(self._settings) as store:
            said = [entry.detail for entry in store.audits() if entry.action == _ALLOWED]
        return any(place.items() <= detail.items() for detail in said)
