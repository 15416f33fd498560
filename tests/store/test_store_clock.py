"""A clock that is set back loses nothing."""

from datetime import timedelta

import time_machine
from store_steps import NOW, a_queued_job, a_spec

from ftctl.store import Store


def test_a_clock_set_back_hides_no_job_and_no_event(store: Store) -> None:
    with time_machine.travel(NOW, tick=False) as clock:
        first = a_queued_job(store, "first")
        clock.shift(timedelta(days=-2))
        again = store.add_job(a_spec("second"), "same")
        assert store.add_job(a_spec("second"), "same") == again
        assert {job.id for job in store.jobs()} == {first.id, again.id}
        store.audit("one", {})
        clock.shift(timedelta(days=-1))
        store.audit("two", {})
    assert [entry.action for entry in store.audits()] == ["one", "two"]
