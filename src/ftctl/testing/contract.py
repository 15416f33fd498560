"""What every provider must do, as tests that a driver's author runs by writing one file.

    class TestMine(RemoteContract):
        @pytest.fixture
        def under_test(self, tmp_path):  # what it must give: ftctl.testing.under_test
            with MyLoopback() as vendor:
                yield MineUnderTest(vendor, tmp_path)

`ProviderContract` asks for the eight verbs and for a core that goes on after a crash between any
two of them; `RemoteContract` adds what only a vendor behind a network does: refusals, lost
answers, lists that lag, words that nobody knows. For one that speaks HTTP most of it is written
already: `ftctl.testing.http_contract`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from ftctl.errors import FtctlError, NotFound, RateLimited, Unavailable
from ftctl.job import JobRecord, JobState
from ftctl.store import Store
from ftctl.submission import submit
from ftctl.testing.under_test import (
    CERTAIN,
    CRASHES,
    REFUSALS,
    RETRY_AFTER_S,
    VERBS,
    Crash,
    Crashing,
    ProviderUnderTest,
    Refusal,
    RemoteUnderTest,
    Time,
    Verb,
    call,
    start,
)
from ftctl.watcher import refresh


class ProviderContract:
    """The eight verbs, and what may be cut between any two of them."""

    @pytest.fixture
    def under_test(self) -> ProviderUnderTest:
        """The provider to test; a subclass gives it."""
        raise NotImplementedError

    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[Store]:
        """An empty store."""
        with Store(f"sqlite:///{tmp_path / 'contract.db'}") as opened:
            yield opened

    def test_a_file_that_is_held_is_not_held_twice(self, under_test: ProviderUnderTest) -> None:
        """Uploading again, from another process, gives the same file."""
        spec = under_test.spec
        first = under_test.driver().upload(spec.data, spec.data_sha256)
        assert under_test.driver().upload(spec.data, spec.data_sha256) == first
        assert first.sha256 == spec.data_sha256

    def test_a_job_is_found_by_its_marker_and_no_other(self, under_test: ProviderUnderTest) -> None:
        """Before it is made there is none; afterwards any process finds it."""
        assert under_test.driver().find("job-contract") is None
        remote_id = start(under_test)
        assert under_test.driver().find("job-contract") == remote_id
        assert under_test.driver().find("job-other") is None

    def test_a_job_ends_in_success_and_names_its_model(self, under_test: ProviderUnderTest) -> None:
        """A look shows a state and the raw word; at the end, a model."""
        remote_id = start(under_test)
        seen = under_test.driver().poll(remote_id)
        assert seen.state is not None
        assert not seen.state.terminal
        assert seen.provider_status
        under_test.finish(remote_id)
        done = under_test.driver().poll(remote_id)
        assert done.state is JobState.SUCCEEDED
        assert done.fine_tuned_model
        assert done.error is None

    def test_events_come_oldest_first_and_once(self, under_test: ProviderUnderTest) -> None:
        """Ids tell repeats; the cursor leaves out what was seen."""
        remote_id = start(under_test)
        under_test.driver().poll(remote_id)
        under_test.finish(remote_id)
        events = list(under_test.driver().events(remote_id, 0))
        assert events
        assert [e.at for e in events] == sorted(e.at for e in events)
        assert len({e.source_id for e in events}) == len(events)
        again = under_test.driver().events(remote_id, 1)
        assert [e for e in again if e.source_id != events[0].source_id] == events[1:]
        assert list(under_test.driver().events(remote_id, len(events))) == []

    def test_cancelled_twice_is_cancelled(self, under_test: ProviderUnderTest) -> None:
        """The second time is harmless."""
        remote_id = start(under_test)
        under_test.driver().cancel(remote_id)
        under_test.driver().cancel(remote_id)
        assert under_test.driver().poll(remote_id).state is JobState.CANCELLED
        with pytest.raises(NotFound):
            under_test.driver().tuned_model(remote_id)

    def test_what_has_ended_stays_so_when_cancelled(self, under_test: ProviderUnderTest) -> None:
        """Cancelling a job that succeeded changes nothing."""
        remote_id = start(under_test)
        under_test.finish(remote_id)
        under_test.driver().cancel(remote_id)
        assert under_test.driver().poll(remote_id).state is JobState.SUCCEEDED

    def test_fetched_twice_is_the_same_bytes(
        self, under_test: ProviderUnderTest, tmp_path: Path
    ) -> None:
        """Nothing before the end; then the same whole folder each time, with a manifest."""
        remote_id, folder = start(under_test), tmp_path / "fetched"
        with pytest.raises(NotFound):
            under_test.driver().fetch(remote_id, folder)
        assert not folder.exists()
        under_test.finish(remote_id)
        tuned = under_test.driver().fetch(remote_id, folder)
        first = {file.name: file.read_bytes() for file in folder.iterdir()}
        assert under_test.driver().fetch(remote_id, folder) == tuned
        under_test.driver().fetch(remote_id, tmp_path / "again")
        again = {file.name: file.read_bytes() for file in (tmp_path / "again").iterdir()}
        assert first == again
        assert {"manifest.json", "README.md"} <= set(first)
        returns_weights = under_test.driver().capabilities.returns_weights
        assert tuned.folder == (folder if returns_weights else None)
        assert [p.name for p in tmp_path.glob("*.part*")] == []

    def test_a_tuned_model_says_where_it_answers(self, under_test: ProviderUnderTest) -> None:
        """A name at a base URL, or a folder where the weights are at home already."""
        remote_id = start(under_test)
        under_test.finish(remote_id)
        driver = under_test.driver()
        tuned = driver.tuned_model(remote_id)
        assert tuned.name
        assert tuned.folder is None or driver.capabilities.returns_weights

    def test_forgotten_once_it_has_ended(self, under_test: ProviderUnderTest) -> None:
        """Never while it runs; afterwards its model is gone, and again is harmless."""
        remote_id = start(under_test)
        with pytest.raises(FtctlError):
            under_test.driver().forget(remote_id)
        under_test.driver().cancel(remote_id)
        under_test.driver().forget(remote_id)
        under_test.driver().forget(remote_id)
        with pytest.raises(NotFound):
            under_test.driver().tuned_model(remote_id)

    @pytest.mark.parametrize("verb", VERBS[3:])
    def test_a_job_that_isnt_there_is_not_found(
        self, under_test: ProviderUnderTest, verb: Verb, tmp_path: Path
    ) -> None:
        """Whatever is asked of it."""
        with pytest.raises(NotFound):
            call(under_test.driver(), verb, under_test.spec, "nobody", tmp_path / "x")

    @pytest.mark.parametrize("at", CRASHES)
    def test_a_crash_loses_nothing_and_doubles_nothing(
        self, under_test: ProviderUnderTest, store: Store, at: str
    ) -> None:
        """The same submission, run again, goes on: one job, known here by its remote id."""
        crashing: Any = Crashing(under_test.driver(), at)
        with pytest.raises(Crash):
            submit(under_test.spec, store=store, provider=crashing, patience=Time().patience())
        (cut,) = store.jobs()
        assert cut.state.open_intention
        job = self.go_on(under_test, store)
        assert job.id == cut.id
        assert under_test.driver().find(job.marker) == job.remote_id

    def test_the_same_submission_again_is_the_same_job(
        self, under_test: ProviderUnderTest, store: Store
    ) -> None:
        """Twice at once or one after the other: one job."""
        first = self.go_on(under_test, store)
        assert self.go_on(under_test, store).remote_id == first.remote_id

    def test_a_job_is_watched_to_its_end(self, under_test: ProviderUnderTest, store: Store) -> None:
        """Each look with a fresh driver, as after a restart."""
        job = self.go_on(under_test, store)
        job = refresh(store, under_test.driver(), job)
        assert not job.state.terminal
        assert job.remote_id is not None
        under_test.finish(job.remote_id)
        job = refresh(store, under_test.driver(), job)
        assert job.state is JobState.SUCCEEDED
        assert job.fine_tuned_model

    def go_on(self, under_test: ProviderUnderTest, store: Store) -> JobRecord:
        """Submit, and see that exactly one job was ever made."""
        job = submit(
            under_test.spec, store=store, provider=under_test.driver(), patience=Time().patience()
        )
        assert job.remote_id is not None
        assert under_test.made() == 1
        return job


class RemoteContract(ProviderContract):
    """What only a vendor behind a network does."""

    @pytest.fixture
    @override
    def under_test(self) -> RemoteUnderTest:
        """The provider to test; a subclass gives it."""
        raise NotImplementedError

    @pytest.mark.parametrize("how", REFUSALS)
    @pytest.mark.parametrize("verb", VERBS)
    def test_a_refusal_has_its_class(
        self, under_test: RemoteUnderTest, verb: Verb, how: Refusal, tmp_path: Path
    ) -> None:
        """The same class whatever was asked, a sentence, and nothing changed by it."""
        remote_id = start(under_test)
        if verb in ("fetch", "tuned_model"):
            under_test.finish(remote_id)
        under_test.refuse(verb, how)
        driver, spec = under_test.driver(), under_test.spec
        with pytest.raises(REFUSALS[how]) as caught:
            call(driver, verb, spec, remote_id, tmp_path / "x")
        assert type(caught.value) is REFUSALS[how]
        assert caught.value.message
        assert under_test.made() == 1
        call(driver, verb, spec, remote_id, tmp_path / "x")

    @pytest.mark.parametrize("how", CERTAIN)
    def test_a_definite_no_makes_no_job(
        self, under_test: RemoteUnderTest, store: Store, how: Refusal
    ) -> None:
        """Said to the person at once; the same submission may be tried again."""
        under_test.refuse("create", how)
        with pytest.raises(REFUSALS[how]):
            submit(under_test.spec, store=store, provider=under_test.driver())
        assert under_test.made() == 0
        self.go_on(under_test, store)

    @pytest.mark.parametrize("hidden", [0, 3])
    def test_a_lost_answer_is_looked_for_until_it_is_found(
        self, under_test: RemoteUnderTest, store: Store, hidden: int
    ) -> None:
        """Also when the vendor's lists don't show the job at first."""
        under_test.hide(hidden)
        under_test.lose_the_answer()
        with pytest.raises(Unavailable):
            submit(under_test.spec, store=store, provider=under_test.driver())
        self.go_on(under_test, store)

    def test_a_vendor_that_cant_be_asked_is_not_asked_to_create(
        self, under_test: RemoteUnderTest, store: Store
    ) -> None:
        """The intention stays open until the vendor answers."""
        under_test.lose_the_answer()
        with pytest.raises(Unavailable):
            submit(under_test.spec, store=store, provider=under_test.driver())
        under_test.refuse("find", "unavailable")
        with pytest.raises(Unavailable):
            submit(under_test.spec, store=store, provider=under_test.driver())
        assert under_test.made() == 1
        self.go_on(under_test, store)

    @pytest.mark.parametrize("how", ["auth", "rate_limited", "unavailable", "not_found"])
    def test_a_failed_look_leaves_the_state(
        self, under_test: RemoteUnderTest, store: Store, how: Refusal
    ) -> None:
        """It only makes our knowledge older."""
        job = refresh(store, under_test.driver(), self.go_on(under_test, store))
        under_test.refuse("poll", how)
        stale = refresh(store, under_test.driver(), job)
        assert stale.state is job.state
        assert stale.stale_because
        assert refresh(store, under_test.driver(), stale).stale_because is None

    def test_how_long_to_wait_is_told(self, under_test: RemoteUnderTest) -> None:
        """Whoever asks again may wait as long as the vendor wants."""
        remote_id = start(under_test)
        under_test.refuse("poll", "rate_limited")
        with pytest.raises(RateLimited) as caught:
            under_test.driver().poll(remote_id)
        assert caught.value.retry_after_s == RETRY_AFTER_S

    def test_a_job_that_stays_unknown_is_lost_and_comes_back(
        self, under_test: RemoteUnderTest, store: Store
    ) -> None:
        """It is looked for all the same; once seen again, it is what the vendor says."""
        job = refresh(store, under_test.driver(), self.go_on(under_test, store))
        for _ in range(3):
            under_test.refuse("poll", "not_found")
            job = refresh(store, under_test.driver(), job)
        assert job.state is JobState.LOST
        under_test.finish(job.remote_id or "")
        assert refresh(store, under_test.driver(), job).state is JobState.SUCCEEDED

    def test_an_unknown_word_is_kept_and_decides_nothing(
        self, under_test: RemoteUnderTest, store: Store
    ) -> None:
        """The raw word is shown, the state stays."""
        job = refresh(store, under_test.driver(), self.go_on(under_test, store))
        assert job.remote_id is not None
        under_test.say(job.remote_id, "pondering")
        seen = refresh(store, under_test.driver(), job)
        assert (seen.state, seen.provider_status) == (job.state, "pondering")
        assert under_test.driver().poll(job.remote_id).state is None  # not a guess that fits

    def test_success_without_a_model_is_no_success(
        self, under_test: RemoteUnderTest, store: Store
    ) -> None:
        """Whatever the vendor calls it."""
        job = self.go_on(under_test, store)
        assert job.remote_id is not None
        under_test.name_no_model(job.remote_id)
        seen = refresh(store, under_test.driver(), job)
        assert seen.state is JobState.FAILED
        with pytest.raises(NotFound):
            under_test.driver().tuned_model(job.remote_id)
