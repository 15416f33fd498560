"""What a job would cost, take and hold, said without a key, a network or a submission."""

import socket
from datetime import date
from pathlib import Path

import pytest
from command_line import Cli
from specimens import write_chats

import ftctl
from ftctl.admission import quote_for, require_valid
from ftctl.api.estimating import JobEstimate, estimate
from ftctl.api.submitting import make_spec
from ftctl.errors import DataInvalid, UsageError
from ftctl.estimation.estimate import Estimate

DAY = date(2026, 11, 24)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_chats(tmp_path / "train.jsonl")


def ask(provider: str, model: str) -> JobEstimate:
    return estimate(provider=provider, model=model, rows=500, tokens=200_000, as_of=DAY)


def ends(found: Estimate | None) -> tuple[float, float, float]:
    assert found is not None
    return found.low, found.likely, found.high


def test_it_is_a_name_of_the_library() -> None:
    assert ftctl.estimate is estimate
    assert ftctl.explain.__name__ == "explain"


def test_it_is_the_quote_that_a_submission_is_held_to(data: Path) -> None:
    spec = make_spec(provider="local", data=data, model="smollm2-135m-instruct")
    quoted = quote_for(spec, require_valid(spec, "local"), as_of=DAY)
    found = estimate(provider="local", model="smollm2-135m-instruct", data=data, as_of=DAY)
    assert (found.rows, found.counted) == (12, "data")
    assert (found.cost, found.time, found.lines) == (quoted.cost, quoted.time, quoted.lines)
    assert found.trained_tokens == quoted.trained_tokens
    assert found.unknown == {}


def test_memory_at_home_grows_with_the_batch_and_rests_on_a_shape() -> None:
    def gib(**settings: int) -> tuple[float, float, float]:
        found = estimate(
            provider="local",
            model="smollm2-135m-instruct",
            rows=500,
            tokens=200_000,
            hyperparameters=settings,
        )
        assert found.memory is not None
        assert {"shape", "memory formula"} <= {a.name for a in found.memory.basis}
        return ends(found.memory)

    small, large = gib(micro_batch_size=1), gib(micro_batch_size=8)
    assert all(less < more for less, more in zip(small, large, strict=True))
    assert small[0] < small[1] < small[2]
    assert gib(micro_batch_size=1, max_length=64)[2] < small[2]


@pytest.mark.parametrize("mean", [1, 400, 5_000, 8_000, 9_000, 20_000])
def test_its_ends_are_in_order_whatever_the_length_of_the_examples(mean: int) -> None:
    found = estimate(
        provider="local", model="smollm2-135m-instruct", rows=20, tokens=20 * mean, as_of=DAY
    )
    low, likely, high = ends(found.memory)
    assert 0 < low <= likely <= high


def test_a_rented_machine_has_a_price_a_time_and_a_memory() -> None:
    found = ask("huggingface", "llama-3.1-8b")
    assert found.unknown == {}
    assert ends(found.cost)[0] > 0
    assert ends(found.time)[0] > 60
    assert ends(found.memory)[0] > 15  # 8.03e9 weights of two bytes


def test_the_rented_machine_may_be_chosen() -> None:
    def says(**chosen: str) -> str:
        found = estimate(
            provider="huggingface",
            model="llama-3.1-8b",
            rows=500,
            tokens=200_000,
            hyperparameters=chosen,
            as_of=DAY,
        )
        return found.lines[0].says

    assert says(flavor="a100-large").startswith("a100-large at ")
    assert says(flavor="a100-large") != says()


@pytest.mark.parametrize(
    ("provider", "model", "unknown"),
    [
        ("openai", "gpt-4.1-mini", {"time", "memory"}),
        ("google", "gemini-2.5-flash", {"cost", "time", "memory"}),
        ("local", "a-folder-of-mine", {"time", "memory"}),
        ("fake", "m", {"cost", "time", "memory"}),
    ],
)
def test_what_is_unknown_is_null_with_the_reason_and_never_0(
    provider: str, model: str, unknown: set[str]
) -> None:
    found = ask(provider, model)
    assert set(found.unknown) == unknown
    assert all(found.unknown.values())
    nulls = {name for name in ("cost", "time", "memory") if getattr(found, name) is None}
    assert nulls == unknown


def test_epochs_and_the_callers_own_numbers_are_told_as_his() -> None:
    found = estimate(
        provider="openai",
        model="gpt-4.1-mini",
        rows=500,
        tokens=200_000,
        hyperparameters={"epochs": "2"},
        as_of=DAY,
    )
    assert found.trained_tokens is not None
    assert found.trained_tokens.likely == 400_000
    assert {a.origin for a in found.trained_tokens.basis} == {"user"}


def test_a_gateway_has_another_price_and_a_closed_route_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    found = ask("openai", "gpt-4.1-mini")
    assert found.base_url == "http://127.0.0.1:9/v1"
    assert set(found.unknown) == {"cost", "time", "memory"}
    assert any("gateway" in remark for remark in found.remarks)
    closed = ask("mistral", "open-mistral-nemo")
    assert closed.remarks[0].startswith("closed to you: since 2026-07-15")


def test_what_neither_the_formula_nor_the_provider_covers_is_said() -> None:
    found = estimate(
        provider="local",
        model="smollm2-135m-instruct",
        rows=10,
        tokens=1_000,
        method="rft",
        as_of=DAY,
    )
    assert "not of rft" in found.unknown["memory"]
    assert any("doesn't do rft" in remark for remark in found.remarks)


def test_errors_in_the_file_are_told_beside_the_numbers(tmp_path: Path) -> None:
    data = write_chats(tmp_path / "train.jsonl")
    data.write_text(data.read_text("utf-8") + "{broken\n", "utf-8")
    found = estimate(provider="local", model="smollm2-135m-instruct", data=data, as_of=DAY)
    assert any("errors in" in remark for remark in found.remarks)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({}, "isn't said"),
        ({"rows": 5}, "isn't said"),
        ({"rows": 0, "tokens": 5}, "at least 1"),
        ({"rows": 5, "tokens": 5, "data": "train.jsonl"}, "--data counts the rows"),
        ({"data": "none.jsonl"}, "none.jsonl"),
        ({"rows": 5, "tokens": 5, "hyperparameters": {"epoch": 3}}, "did you mean epochs"),
        ({"rows": 5, "tokens": 5, "base_url": "ftp://x"}, "ftp"),
        ({"rows": 5, "tokens": 5, "provider": "opnai"}, "did you mean openai"),
    ],
)
def test_a_wrong_question_is_named(data: Path, asked: dict[str, object], says: str) -> None:
    words: dict[str, object] = {"provider": "openai", "model": "gpt-4.1-mini"} | asked
    with pytest.raises(UsageError, match=says):
        estimate(**words)  # type: ignore[arg-type]


def test_a_file_without_an_example_is_bad_data(tmp_path: Path) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.write_text("\n", "utf-8")
    with pytest.raises(DataInvalid, match="no line is an example"):
        estimate(provider="openai", model="gpt-4.1-mini", data=empty)


def test_the_command_says_each_number_with_its_origin_and_day(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    words = ("--provider", "together", "--model", "llama-3.1-8b", "--as-of", str(DAY))
    ran = cli("estimate", *words, "--rows", "500", "--tokens", "200000", "--set", "epochs=1")
    assert ran.returncode == 0, ran.stderr
    text = " ".join(ran.stdout.split())
    for said in (
        "500 examples of 200,000 tokens, as you say",
        "time unknown no speed of Together AI is known",
        "minimum fee",
        "idle",
        "together training 0.48 USD per million tokens catalog",
        "2026-07-31 (old)",
    ):
        assert said in text, said


def test_the_json_document_is_the_documented_one(cli: Cli, data: Path) -> None:
    words = ("--provider", "local", "--model", "smollm2-135m-instruct", "--data", data)
    document = cli("estimate", *words, "--as-of", str(DAY), "--json").json()
    assert document["schema"] == "ftctl.estimate/1"
    assert set(document) == {
        *("schema", "provider", "model", "method", "tuning", "base_url", "as_of", "counted"),
        *("rows", "tokens", "trained_tokens", "cost", "time", "memory", "lines", "unknown"),
        *("plan", "remarks"),
    }
    assert set(document["memory"]) == {"low", "likely", "high", "unit", "basis"}
    origin = {"name", "value", "origin", "as_of", "source"}
    assert all(set(row) == origin for row in document["time"]["basis"])
    assert (document["time"]["unit"], document["memory"]["unit"]) == ("s", "GiB")
    assert set(document["lines"][0]) == {"name", "amount", "says"}


def test_the_command_refuses_a_wrong_question(cli: Cli) -> None:
    ran = cli("estimate", "--provider", "openai", "--model", "gpt-4.1-mini")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "--data FILE, or --rows N --tokens N" in ran.stderr
