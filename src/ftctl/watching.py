"""Watch many jobs: each account in its own time, and a list call where it serves many.

What goes wrong with an account (its key, its limits, its line) goes wrong for all its jobs: after
one such answer nobody asks it again until its wait is over, and then with a single question.
"""

import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice

from ftctl.errors import (
    AuthError,
    FtctlError,
    NoBalance,
    RateLimited,
    Refused,
    Retired,
    Unavailable,
    UsageError,
)
from ftctl.job import JobRecord, JobState
from ftctl.providers.base import ListingProvider, Provider
from ftctl.store import Store
from ftctl.watcher import (
    Tell,
    hear,
    look,
    look_at_page,
    mark_stale,
    tell_nobody,
    unseen,
    utc_now,
)

GetProvider = Callable[[JobRecord], Provider]

FEW = 5  # up to so many jobs are asked for one by one, with their events: a list costs more
LOST_EVERY = 10  # visits between two looks for a job that the provider doesn't know
LONGEST_WAIT_S = 300.0
_LONGEST_SLEEP_S = 3600.0  # a vendor may ask for a wait that no sleep takes
_TOGETHER = 500  # records read or marked in one transaction
_ACCOUNT_TROUBLE = (AuthError, NoBalance, RateLimited, Retired, Unavailable)
_NO_WAY = (Refused, UsageError)  # no driver, key, extra or usable URL: waiting mends nothing


@dataclass(frozen=True)
class Pace:
    """How often to look, and how time is told and spent.

    Attributes:
        every_s: Shortest time between two looks at one job, by anybody, in seconds.
        sleep: How to wait, in seconds.
        clock: What time it is, for records.
        ticks: Seconds on a clock that is never set back, for waiting.
        tell: Told of each job that is seen in another state.
    """

    every_s: float
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], datetime] = utc_now
    ticks: Callable[[], float] = time.monotonic
    tell: Tell = tell_nobody


@dataclass
class Account:
    """The live jobs at one place, and how it has answered lately.

    Attributes:
        jobs: Remote id of each job id; None for one that isn't known to be there.
        attempts: The attempt that each job was last seen in.
        heard: The visit at which each job was last asked what it said, where a list shows states.
        due: When to ask next, on the pace's ticks.
        failures: Answers in a row that spoke against the account, not against a job.
        visits: How often it was looked at.
    """

    jobs: dict[str, str | None] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    heard: dict[str, int] = field(default_factory=dict)
    due: float = 0.0
    failures: int = 0
    visits: int = 0

    def leave(self, job_id: str) -> None:
        """Look for a job no more."""
        for known in (self.jobs, self.attempts, self.heard):
            known.pop(job_id, None)

    def next_to_hear(self, records: Iterable[JobRecord]) -> JobRecord | None:
        """Whose turn it is to be asked what it said: the running job longest not asked."""
        running = (record for record in records if record.state is JobState.RUNNING)
        found = min(running, key=lambda record: self.heard.get(record.id, 0), default=None)
        if found is not None:
            self.heard[found.id] = self.visits
        return found

    def passes_over(self, record: JobRecord) -> bool:
        """Whether this visit leaves the job out: lost ones are looked for, but slowly."""
        return record.state is JobState.LOST and self.visits % LOST_EVERY != 0

    def rest(self, pace: Pace, started: float) -> None:
        """It answered: ask again when a look is due."""
        self.failures = 0
        self.due = max(started + pace.every_s, pace.ticks())

    def back_off(self, error: FtctlError, pace: Pace) -> None:
        """It didn't: wait twice as long each time, or as long as it asks for."""
        self.failures += 1
        wait = pace.every_s * 2.0 ** min(self.failures, 20)
        wait = min(wait, max(LONGEST_WAIT_S, pace.every_s))
        wait *= random.uniform(0.9, 1.1)  # noqa: S311 - spreads watchers, hides nothing
        asked = error.retry_after_s if isinstance(error, RateLimited) else None
        self.due = pace.ticks() + max(wait, asked or 0.0)


def watch_jobs(
    store: Store, get_provider: GetProvider, jobs: Iterable[JobRecord], pace: Pace
) -> Iterator[JobRecord]:
    """Yield a job each time it has changed, until all have ended.

    Args:
        store: Where jobs are kept.
        get_provider: The driver for a job.
        jobs: As they are in the store.
        pace: How often to look.

    Raises:
        Refused, UsageError: the only place to look at can't be asked at all.
    """
    accounts = _accounts(jobs)
    alone = len(accounts) == 1
    told: dict[str, int] = {}
    while accounts:
        key, account = min(accounts.items(), key=lambda item: item[1].due)
        while (wait := account.due - pace.ticks()) > 0:
            pace.sleep(min(wait, _LONGEST_SLEEP_S))
        for record in _visit(store, get_provider, account, pace, alone=alone):
            ended = record.state.terminal or record.state is JobState.NEEDS_ATTENTION
            # Of an open intention nobody here knows whether anybody still submits it.
            if ended or record.state.open_intention:
                account.leave(record.id)
            seen = hash(record.model_dump_json(exclude={"observed_at"}))
            if told.get(record.id) != seen:
                told[record.id] = seen
                yield record
        if not account.jobs:
            del accounts[key]


def _accounts(jobs: Iterable[JobRecord]) -> dict[tuple[str, str | None], Account]:
    accounts: dict[tuple[str, str | None], Account] = {}
    for record in jobs:
        account = accounts.setdefault((record.provider, record.base_url), Account())
        account.jobs[record.id] = record.remote_id
        account.attempts[record.id] = record.attempt
    return accounts


def _visit(
    store: Store, get_provider: GetProvider, account: Account, pace: Pace, *, alone: bool
) -> Iterator[JobRecord]:
    """Look at every job of an account once, in as few questions as it takes."""
    started = pace.ticks()
    account.visits += 1
    try:
        provider = get_provider(store.get_job(next(iter(account.jobs))))
        if len(account.jobs) > FEW and isinstance(provider, ListingProvider):
            yield from _look_by_list(store, provider, account, pace)
        else:
            yield from _look_one_by_one(store, provider, account, list(account.jobs), pace)
    except _NO_WAY as error:
        if alone:
            raise
        yield from _mark_all(store, account, error)
        account.jobs.clear()
    except _ACCOUNT_TROUBLE as error:
        account.back_off(error, pace)
        yield from _mark_all(store, account, error)
    else:
        account.rest(pace, started)


def _look_one_by_one(
    store: Store, provider: Provider, account: Account, ids: Sequence[str], pace: Pace
) -> Iterator[JobRecord]:
    """Ask for each job; only when two in a row get no answer is it the account's trouble."""
    silent: Unavailable | None = None
    answered = False
    for job_id in ids:
        record = store.get_job(job_id)
        if account.passes_over(record) or _seen_by_another(record, pace):
            yield record
            continue
        try:
            yield look(store, provider, record, pace.clock, pace.tell)
            silent, answered = None, True
        except Unavailable as error:
            if silent is not None:
                raise
            silent = error
            yield mark_stale(store, record, error)
        except (*_NO_WAY, *_ACCOUNT_TROUBLE):
            raise
        except FtctlError as error:  # this job's own trouble, such as a damaged run folder
            yield mark_stale(store, record, error)
    if silent is not None and not answered:
        raise silent


def _seen_by_another(record: JobRecord, pace: Pace) -> bool:
    """Whether another process looked less than a look's distance ago."""
    if record.observed_at is None or record.stale_because is not None:
        return False
    age = pace.clock() - record.observed_at
    return timedelta() <= age < timedelta(seconds=pace.every_s * 0.5)


def _look_by_list(
    store: Store, provider: ListingProvider, account: Account, pace: Pace
) -> Iterator[JobRecord]:
    """Page by page until every job was seen; those on no page are asked for, a few at a time.

    A list shows no steps and no losses: of each page one running job, in turn, is asked for its
    own, so that a page costs two questions however many jobs stand on it.
    """
    wanted = {remote: job_id for job_id, remote in account.jobs.items() if remote is not None}
    unsent = [job_id for job_id, remote in account.jobs.items() if remote is None]
    talks = True
    for page in provider.list_jobs():
        here = {wanted.pop(remote): page[remote] for remote in page if remote in wanted}
        if here:
            seen = look_at_page(store, provider, here, account.attempts, pace.clock, pace.tell)
            shown = []
            for record in seen:
                shown.append(record)
                yield record
            if talks and (turn := account.next_to_hear(shown)) is not None:
                try:
                    yield hear(store, provider, turn)
                except FtctlError:  # not now, or a gateway never: the states are known
                    talks = False
        if not wanted:
            break
    missing = list(islice(wanted.values(), FEW))
    for job_id in missing:  # next time it is others' turn
        account.jobs[job_id] = account.jobs.pop(job_id)
    yield from _look_one_by_one(store, provider, account, [*unsent, *missing], pace)


def _mark_all(store: Store, account: Account, error: FtctlError) -> Iterator[JobRecord]:
    """Say of every job that it wasn't seen, and why; once for each reason."""
    ids = iter(list(account.jobs))
    while some := list(islice(ids, _TOGETHER)):
        yield from store.update_many(dict.fromkeys(some, unseen(error)))
