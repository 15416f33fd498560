"""Whether rows may leave this machine, and the record of who said so."""

from ftctl.admission import Consent, ScanHits
from ftctl.api.job_handle import open_store
from ftctl.config import Settings

_ALLOWED = "scan_hits_allowed"


class Consents:
    """Consent to send a file in which the scan found something, given once for its very bytes.

    Args:
        settings: Where the audit log is.
        allow: Somebody said so with this submission.
        ask: Asks a person; None where nobody is there.
    """

    def __init__(self, settings: Settings, *, allow: bool, ask: Consent | None) -> None:
        self._settings = settings
        self._allow = allow
        self._ask = ask

    def __call__(self, hits: ScanHits) -> bool:
        """Whether the file may leave; a new yes is written down before anything does."""
        with open_store(self._settings) as store:
            said = [entry.detail for entry in store.audits() if entry.action == _ALLOWED]
            if any(detail.get("sha256") == hits.sha256 for detail in said):
                return True
            by = "flag" if self._allow else "answer"
            if not self._allow and (self._ask is None or not self._ask(hits)):
                return False
            detail = {"file": str(hits.file), "sha256": hits.sha256, "found": dict(hits.counts)}
            store.audit(_ALLOWED, detail | {"by": by})
            return True
