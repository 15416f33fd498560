"""The contract of a vendor that speaks HTTP: every status and every broken answer, once for all.

The author of a driver gives a loopback vendor, the route of each verb, and how the vendor's
document looks in four odd moments; what each status has to become is known here.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from typing_extensions import override

from ftctl.errors import (
    AuthError,
    FtctlError,
    InvalidRequest,
    NotFound,
    RateLimited,
    Retired,
    Unavailable,
)
from ftctl.job import JobState
from ftctl.store import Store
from ftctl.submission import submit
from ftctl.testing.contract import RemoteContract
from ftctl.testing.loopback import Fault, Json, Loopback
from ftctl.testing.under_test import (
    RETRY_AFTER_S,
    TROUBLE,
    Refusal,
    RemoteUnderTest,
    Verb,
    call,
    start,
)
from ftctl.watcher import refresh

# What a vendor may answer, and what it means; the routes are filled in.
ANSWERS: dict[str, tuple[Fault, type[FtctlError]]] = {
    "400": (Fault("", status=400), InvalidRequest),
    "401": (Fault("", status=401), AuthError),
    "403 empty": (Fault("", status=403, body=b""), AuthError),
    "404": (Fault("", status=404), NotFound),
    "408": (Fault("", status=408), Unavailable),
    "409": (Fault("", status=409), InvalidRequest),
    "410": (Fault("", status=410), Retired),
    "422": (Fault("", status=422), InvalidRequest),
    "429": (Fault("", status=429), RateLimited),
    "429 wait": (Fault("", status=429, headers={"Retry-After": str(RETRY_AFTER_S)}), RateLimited),
    "500": (Fault("", status=500), Unavailable),
    "503": (Fault("", status=503), Unavailable),
    "cut": (Fault("", "cut"), Unavailable),
    "lost": (Fault("", "lost"), Unavailable),
    "not JSON": (Fault("", "not_json"), Unavailable),
}
_REFUSED: dict[Refusal, str] = {
    "auth": "401",
    "invalid": "400",
    "not_found": "404",
    "retired": "410",
    "rate_limited": "429 wait",
    "unavailable": "500",
}


class HttpUnderTest(RemoteUnderTest):
    """A vendor on loopback that does as it is told.

    Args:
        vendor: The vendor; its lists leave out what `Loopback.listed` says.
        routes: For each verb the pattern of the request that is spoilt when it is to fail; that of
            `poll` has one `*`, the job's id.
    """

    def __init__(self, vendor: Loopback, routes: Mapping[Verb, str]) -> None:
        self.vendor = vendor
        self.routes = routes

    @abstractmethod
    def with_status(self, document: Json, word: str) -> Json:
        """A job's document that says another status."""

    @abstractmethod
    def without_model(self, document: Json) -> Json:
        """That of a job that succeeded and names no model."""

    @abstractmethod
    def troubled(self, document: Json) -> Json:
        """That of a job that runs on while its error says `TROUBLE`."""

    @abstractmethod
    def succeeded_in_part(self, document: Json) -> Json:
        """That of a job that succeeded, names its model, and whose error says `TROUBLE`."""

    def spoil(self, verb: Verb, answer: str) -> None:
        """Let the next call of a verb get one of `ANSWERS`."""
        self.vendor.faults.append(replace(ANSWERS[answer][0], route=self.routes[verb]))

    def show(self, remote_id: str, change: Callable[[Json], Json]) -> None:
        """Let a job's document be another from now on."""
        route = self.routes["poll"].replace("*", remote_id)
        self.vendor.faults.append(Fault(route, "changed", times=None, change=change))

    @override
    def refuse(self, verb: Verb, how: Refusal) -> None:
        self.spoil(verb, _REFUSED[how])

    @override
    def lose_the_answer(self) -> None:
        self.spoil("create", "lost")

    @override
    def hide(self, looks: int) -> None:
        self.vendor.lists_lag_requests = looks

    @override
    def say(self, remote_id: str, word: str) -> None:
        self.show(remote_id, lambda document: self.with_status(document, word))

    @override
    def name_no_model(self, remote_id: str) -> None:
        self.show(remote_id, self.without_model)


class HttpContract(RemoteContract):
    """What only a vendor that speaks HTTP does."""

    @pytest.fixture
    @override
    def under_test(self) -> HttpUnderTest:
        """The provider to test; a subclass gives it."""
        raise NotImplementedError

    @pytest.mark.parametrize("answer", ANSWERS)
    def test_every_answer_has_its_class(
        self, under_test: HttpUnderTest, answer: str, tmp_path: Path
    ) -> None:
        """Of a look and of a create alike: what says no is told from what leaves it unclear."""
        remote_id = start(under_test)
        expected = ANSWERS[answer][1]
        verbs: tuple[Verb, ...] = ("poll", "create")
        for verb in verbs:
            under_test.spoil(verb, answer)
            with pytest.raises(expected) as caught:
                call(under_test.driver(), verb, under_test.spec, remote_id, tmp_path / "x")
            assert type(caught.value) is expected
            assert caught.value.message
            if isinstance(caught.value, RateLimited):
                wanted = RETRY_AFTER_S if answer == "429 wait" else None
                assert caught.value.retry_after_s == wanted

    def test_no_error_repeats_the_key(self, under_test: HttpUnderTest) -> None:
        """Some vendors do."""
        key = under_test.vendor.key
        assert key, "give the loopback vendor a key"
        echo = Fault(under_test.routes["poll"], status=401, message=f"you sent {key}")
        under_test.vendor.faults.append(echo)
        with pytest.raises(AuthError) as caught:
            under_test.driver().poll("nobody")
        assert key not in caught.value.message + caught.value.hint

    def test_no_redirect_is_followed(self, under_test: HttpUnderTest) -> None:
        """Key and rows go to the job's own base URL and nowhere else."""
        vendor = under_test.vendor
        away = {"Location": f"{vendor.base_url}/away"}
        vendor.faults.append(Fault("* *", status=307, headers=away, times=None))
        with pytest.raises(FtctlError):
            start(under_test)
        assert vendor.asked("* /away") == []

    @pytest.mark.parametrize("answer", ["401", "403 empty", "410"])
    def test_an_account_that_is_refused_is_sent_no_row(
        self, under_test: HttpUnderTest, store: Store, answer: str
    ) -> None:
        """A question that costs nothing comes first: nothing is uploaded, nothing is made."""
        vendor, (fault, expected) = under_test.vendor, ANSWERS[answer]
        vendor.faults.append(replace(fault, route="GET *", times=None))
        with pytest.raises(expected):
            submit(under_test.spec, store=store, provider=under_test.driver())
        assert {request.method for request in vendor.requests} == {"GET"}
        (job,) = store.jobs()
        assert (job.remote_id, job.sent_at) == (None, None)
        assert job.error is not None

    def test_what_is_gone_for_good_stays_lost(
        self, under_test: HttpUnderTest, store: Store
    ) -> None:
        """Asked for ever, it is never taken for failed."""
        job = self.go_on(under_test, store)
        gone = Fault(under_test.routes["poll"], status=404, times=None)
        under_test.vendor.faults.append(gone)
        for _ in range(5):
            job = refresh(store, under_test.driver(), job)
        assert (job.state, job.misses) == (JobState.LOST, 5)

    def test_an_error_while_it_runs_is_told_and_ends_nothing(
        self, under_test: HttpUnderTest, store: Store
    ) -> None:
        """The vendor's status decides, not that there is an error."""
        job = self.go_on(under_test, store)
        under_test.show(job.remote_id or "", under_test.troubled)
        seen = refresh(store, under_test.driver(), job)
        assert (seen.state, seen.error) == (JobState.RUNNING, None)
        assert TROUBLE in seen.message

    def test_success_in_part_is_success_with_a_remark(
        self, under_test: HttpUnderTest, store: Store
    ) -> None:
        """There is a model, and what went wrong is said."""
        job = self.go_on(under_test, store)
        under_test.show(job.remote_id or "", under_test.succeeded_in_part)
        seen = refresh(store, under_test.driver(), job)
        assert (seen.state, seen.error) == (JobState.SUCCEEDED, None)
        assert seen.fine_tuned_model
        assert TROUBLE in seen.message
