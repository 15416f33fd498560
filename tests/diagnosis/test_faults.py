"""Every error gets a word of one vocabulary, by class, status or code and never by its text."""

from collections.abc import Iterator

import pytest

from ftctl.diagnosis.faults import fault_of
from ftctl.errors import (
    AuthError,
    CannotListen,
    CredentialsMissing,
    DataInvalid,
    FtctlError,
    IllegalMove,
    Interrupted,
    InvalidRequest,
    NoBalance,
    NotFound,
    NotFoundHere,
    OverMaxCost,
    ProviderError,
    RateLimited,
    Retired,
    Unavailable,
)
from ftctl.fault_words import (
    FaultWord,
    as_kept,
    kind_of,
    word_kept,
    word_of,
    word_of_error,
    word_of_status,
)

WORDLESS = {CannotListen, IllegalMove, Interrupted, NotFoundHere}  # no provider's and no job's


def classes(top: type[FtctlError] = FtctlError) -> Iterator[type[FtctlError]]:
    yield top
    for below in top.__subclasses__():
        yield from classes(below)


@pytest.mark.parametrize("known", set(classes()), ids=lambda known: known.__name__)
def test_every_class_of_ours_has_a_word_or_is_known_to_have_none(known: type[FtctlError]) -> None:
    error = known.__new__(known)
    assert (word_of_error(error) is None) == (known in WORDLESS)
    if known is not Interrupted:  # a local run that was interrupted has this kind, too
        assert word_of(kind_of(known)) == word_of_error(error)


@pytest.mark.parametrize(
    ("known", "word"),
    [
        (AuthError, "auth"),
        (CredentialsMissing, "auth"),
        (DataInvalid, "data"),
        (InvalidRequest, "contract"),
        (NoBalance, "balance"),
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
        ("insufficient_quota", "quota"),
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


def refused(
    known: type[ProviderError], status: int | None = None, code: str | None = None
) -> ProviderError:
    error = known("said")
    error.status, error.code = status, code
    return error


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (refused(AuthError, 401), "auth"),
        (refused(RateLimited, 429, "insufficient_quota"), "quota"),
        (refused(NoBalance, 402), "balance"),
        (refused(InvalidRequest, 402), "balance"),
        (refused(RateLimited, 429, "a_new_code"), "rate_limit"),
        (refused(InvalidRequest, 413), "data"),
        (refused(InvalidRequest, 400, "Content_Policy_Violation"), "moderation"),
        (refused(Unavailable, 503), "capacity"),
        (refused(NotFound, 404, "model_not_found"), "retired"),
        (refused(InvalidRequest, 422), "contract"),
        (refused(InvalidRequest), "contract"),
    ],
)
def test_the_word_of_an_error_is_by_code_then_status_then_class(
    error: ProviderError, word: str
) -> None:
    assert word_of_error(error) == word
    assert word_kept(as_kept(error)) == word  # the status isn't kept; the word is


def test_a_record_of_an_older_version_has_its_word_by_its_kind() -> None:
    assert word_kept({"kind": "402", "message": "", "hint": ""}) == "balance"
    assert word_kept({"kind": "teapot", "word": "sulking"}) is None


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
