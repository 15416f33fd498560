"""Every error gets a word of one vocabulary, by class, status or code and never by its text."""

from collections.abc import Iterator

import pytest

from ftctl.diagnosis.faults import FaultWord, fault_of, kind_of, word_of, word_of_status
from ftctl.errors import (
    AuthError,
    CredentialsMissing,
    DataInvalid,
    FtctlError,
    InvalidRequest,
    NotFound,
    OverMaxCost,
    RateLimited,
    Retired,
    Unavailable,
)


def classes(top: type[FtctlError] = FtctlError) -> Iterator[type[FtctlError]]:
    yield top
    for below in top.__subclasses__():
        yield from classes(below)


@pytest.mark.parametrize("known", set(classes()), ids=lambda known: known.__name__)
def test_every_class_of_ours_has_a_word(known: type[FtctlError]) -> None:
    assert word_of(kind_of(known)) is not None


@pytest.mark.parametrize(
    ("known", "word"),
    [
        (AuthError, "auth"),
        (CredentialsMissing, "auth"),
        (DataInvalid, "data"),
        (InvalidRequest, "contract"),
        (NotFound, "contract"),
        (OverMaxCost, "quota"),
        (RateLimited, "rate_limit"),
        (Retired, "retired"),
        (Unavailable, "capacity"),
    ],
)
def test_the_word_of_a_class(known: type[FtctlError], word: str) -> None:
    assert word_of(known("said").kind) == word


@pytest.mark.parametrize(
    ("code", "word"),
    [
        ("insufficient_quota", "balance"),
        ("exceeded_quota", "quota"),
        ("invalid_n_examples", "data"),
        ("content_policy_violation", "moderation"),
        ("RESOURCE_EXHAUSTED", "quota"),
        ("out_of_memory", "capacity"),
        ("no_model", "contract"),
        ("bug", "bug"),
        ("402", "balance"),
        ("429", "rate_limit"),
        ("503", "capacity"),
        ("410", "retired"),
        ("422", "contract"),
        ("failed", None),
        ("the training file was blocked by moderation", None),
        ("", None),
        ("200", None),
        ("４０１", None),
    ],
)
def test_the_word_of_a_code_or_status(code: str, word: str | None) -> None:
    assert word_of(code) == word


def test_every_failing_status_has_a_word_and_no_other() -> None:
    words = {status: word_of_status(status) for status in range(100, 600)}
    assert {status for status, word in words.items() if word} == set(range(400, 600))


def test_the_text_changes_nothing() -> None:
    said = [
        fault_of(
            {"kind": "exceeded_quota", "message": text},
            job_id="j",
            provider="p",
            data="d",
            again="a",
        )
        for text in ("insufficient balance", "401 unauthorized", "{id} {")
    ]
    assert {fault.word for fault in said} == {FaultWord.QUOTA}
    assert len({(fault.meaning, fault.next) for fault in said}) == 1


def test_what_the_error_itself_advises_comes_first_and_once() -> None:
    error = {
        "kind": "data_invalid",
        "message": "line 3",
        "hint": "ftctl data check x.jsonl --for p",
    }
    fault = fault_of(error, job_id="job-1", provider="p", data="x.jsonl", again="a")
    assert fault.next == (
        "ftctl data check x.jsonl --for p",
        "ftctl submit --from job-1 --data FILE",
    )
    assert fault.message == "line 3"


@pytest.mark.parametrize("word", [*FaultWord])
def test_every_word_says_what_to_do(word: FaultWord) -> None:
    kinds = {
        FaultWord.AUTH: "401",
        FaultWord.QUOTA: "exceeded_quota",
        FaultWord.BALANCE: "402",
        FaultWord.RATE_LIMIT: "429",
        FaultWord.DATA: "413",
        FaultWord.MODERATION: "content_filter",
        FaultWord.CAPACITY: "500",
        FaultWord.RETIRED: "410",
        FaultWord.CONTRACT: "400",
        FaultWord.BUG: "bug",
    }
    fault = fault_of(
        {"kind": kinds[word]}, job_id="job-1", provider="openai", data="d.jsonl", again="a"
    )
    assert fault.word is word
    assert fault.meaning
    assert fault.next
    assert "{" not in "".join(fault.next)
