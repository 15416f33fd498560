"""Training beside production: planted differences are found, and chance isn't taken for one."""

import json
import random
from pathlib import Path

import pytest

from ftctl.datasets.compare import DataCompare, Difference, compare
from ftctl.datasets.distances import kinds_apart, numbers_apart, profiles_apart
from ftctl.errors import DataInvalid

WORDS = ["invoice", "refund", "order", "parcel", "late", "price", "change", "address"]
OTHER = ["kernel", "driver", "crash", "memory", "thread", "compile", "linker", "symbol"]


def chat(prompt: str, answer: str | None, system: str = "", turns: int = 1) -> dict[str, object]:
    messages = [{"role": "system", "content": system}] if system else []
    for turn in range(turns):
        messages.append({"role": "user", "content": f"{prompt} {turn}"})
        if answer is not None:
            messages.append({"role": "assistant", "content": answer})
    return {"messages": messages}


def prompts(words: list[str], rows: int, seed: int, length: int = 6) -> list[str]:
    chance = random.Random(seed)  # noqa: S311
    return [" ".join(chance.choices(words, k=length)) for _ in range(rows)]


def written(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def compared(
    folder: Path, one: list[dict[str, object]], two: list[dict[str, object]]
) -> DataCompare:
    return compare(written(folder / "train.jsonl", one), written(folder / "log.jsonl", two))


def of(found: DataCompare, what: str) -> Difference:
    return next(one for one in found.differences if one.what == what)


@pytest.fixture
def training() -> list[dict[str, object]]:
    return [chat(prompt, "yes", "Be kind.") for prompt in prompts(WORDS, 120, 1)]


def test_rows_of_the_same_kind_are_alike(tmp_path: Path, training: list[dict[str, object]]) -> None:
    log = [chat(prompt, "yes", "Be kind.") for prompt in prompts(WORDS, 90, 2)]
    found = compared(tmp_path, training, log)
    assert found.alike is True
    assert not any(one.advice for one in found.differences)
    assert (found.training.rows, found.log.rows) == (120, 90)


def test_a_system_prompt_that_training_never_saw_is_told_with_its_share(
    tmp_path: Path, training: list[dict[str, object]]
) -> None:
    log = [
        chat(prompt, "yes", "Be kind." if i % 2 else "Be brief, jane.roe@example.org.")
        for i, prompt in enumerate(prompts(WORDS, 100, 2))
    ]
    found = compared(tmp_path, training, log)
    system = of(found, "system prompts")
    assert system.verdict == "strong"
    assert system.distance == pytest.approx(0.5)
    assert system.p_value == 0.001
    assert system.evidence.startswith("50% of the log's rows")
    assert of(found, "user prompts").verdict == "alike"
    assert {round(one.log, 2) for one in found.systems} == {0.5}
    assert "jane" not in found.model_dump_json()


def test_prompts_of_another_subject_are_told_with_words_and_lines(
    tmp_path: Path, training: list[dict[str, object]]
) -> None:
    usual, unlike = prompts(WORDS, 60, 2), prompts(OTHER, 40, 3)
    log = [chat(prompt, "yes", "Be kind.") for prompt in [*usual, *unlike]]
    found = compared(tmp_path, training, log)
    assert of(found, "user prompts").verdict in ("clear", "strong")
    assert {one.text for one in found.words if one.log > one.training} <= set(OTHER)
    assert found.unlike_lines
    assert all(line > 60 for line in found.unlike_lines)
    assert of(found, "system prompts").verdict == "alike"


def test_lengths_and_turns_are_told_apart(
    tmp_path: Path, training: list[dict[str, object]]
) -> None:
    asked = prompts(WORDS, 80, 2, length=30)
    log = [chat(prompt, "yes, and more " * 9, "Be kind.", turns=2) for prompt in asked]
    found = compared(tmp_path, training, log)
    assert of(found, "prompt length").distance == pytest.approx(1)
    assert of(found, "answer length").verdict == "strong"
    assert of(found, "turns").evidence.endswith("0% against 100%")
    assert found.alike is False


def test_logs_of_requests_without_answers_are_read(
    tmp_path: Path, training: list[dict[str, object]]
) -> None:
    sent = [chat(prompt, None, "Be kind.") for prompt in prompts(WORDS, 90, 2)]
    wrapped: list[dict[str, object]] = [
        {"body": row} if i % 2 else {"input": row["messages"]} for i, row in enumerate(sent)
    ]
    found = compared(tmp_path, training, wrapped)
    assert found.log.rows == 90
    assert found.alike is True
    assert "answer length" not in [one.what for one in found.differences]


def test_few_rows_are_no_verdict(tmp_path: Path, training: list[dict[str, object]]) -> None:
    found = compared(tmp_path, training, training[:10])
    assert found.alike is None
    assert {one.verdict for one in found.differences} == {"too few rows"}


def test_the_same_seed_gives_the_same_document(
    tmp_path: Path, training: list[dict[str, object]]
) -> None:
    one = compared(tmp_path, training, training[::-1])
    assert one == compared(tmp_path, training, training[::-1])


def test_a_file_without_examples_is_refused(
    tmp_path: Path, training: list[dict[str, object]]
) -> None:
    with pytest.raises(DataInvalid, match="no line is a chat example"):
        compared(tmp_path, training, [{"text": "a"}])


def test_distances_are_their_textbook_values() -> None:
    import numpy as np

    assert kinds_apart([1, 1, 2, 2], [1, 2, 3, 3], 0).value == pytest.approx(0.5)
    assert numbers_apart([1, 2, 3, 4], [3, 4, 5, 6], 0).value == pytest.approx(0.5)
    rows = np.array([[1, 0], [1, 0], [0, 1], [1, 0]], dtype=np.float32)
    assert profiles_apart(rows, 2, 0).value == pytest.approx(1 - 0.5**0.5)


def test_by_chance_a_difference_is_as_rare_as_it_should_be() -> None:
    chance = random.Random(5)  # noqa: S311
    found = [
        kinds_apart(
            [chance.randrange(4) for _ in range(60)], [chance.randrange(4) for _ in range(60)], i
        ).p_value
        for i in range(100)
    ]
    assert sum(p < 0.05 for p in found) <= 12
    assert sum(p < 0.5 for p in found) >= 25
