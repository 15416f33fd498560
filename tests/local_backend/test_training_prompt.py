"""What is said of a conversation that begins otherwise than the training examples did."""

import json
from pathlib import Path
from typing import Any

import pytest

from ftctl.local_backend.training_prompt import find_training_prompt

HELLO = {"role": "user", "content": "hello"}


def written(folder: Path, told: object) -> Path:
    (folder / "run.json").write_text(json.dumps({"system_prompts": told}), encoding="utf-8")
    return folder


def told(text: str | None, share: float = 1.0) -> dict[str, Any]:
    return {"distinct": 2, "most_common": text, "share": share}


@pytest.mark.parametrize(
    "damaged",
    [None, 5, [], {}, told("x", 0.89), told("x", 1.1), told("x") | {"share": "1"}, told("x", True)],
)
def test_without_one_that_nearly_all_examples_had_there_is_none(
    tmp_path: Path, damaged: object
) -> None:
    assert find_training_prompt(tmp_path) is None
    assert find_training_prompt(written(tmp_path, damaged)) is None
    (tmp_path / "run.json").write_bytes(b"\xff{")
    assert find_training_prompt(tmp_path) is None


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ([{"role": "system", "content": " Be kind.\n"}, HELLO], None),
        ([{"role": "developer", "content": [{"type": "text", "text": "Be kind."}]}, HELLO], None),
        ([{"role": "system", "content": "Be short."}, HELLO], "another is sent"),
        ([HELLO, {"role": "system", "content": "Be kind."}], "none is sent"),
        ([], "none is sent"),
    ],
)
def test_the_first_message_is_compared(
    tmp_path: Path, sent: list[dict[str, Any]], said: str | None
) -> None:
    known = find_training_prompt(written(tmp_path, told("Be kind.", 0.9)))
    assert known is not None
    assert known.unlike(sent) == (
        ""
        if said is None
        else '90% of its training examples had the system message "Be kind.", '
        f"{said}: answers may be worse"
    )


def test_one_that_was_tuned_without_is_asked_without(tmp_path: Path) -> None:
    known = find_training_prompt(written(tmp_path, told(None)))
    assert known is not None
    assert known.text is None
    assert known.unlike([HELLO]) == ""
    said = known.unlike([{"role": "system", "content": "Be short."}])
    assert said.startswith("all of its training examples had no system message, and one is sent")


def test_a_long_one_is_shown_in_part_and_hides_nothing(tmp_path: Path) -> None:
    known = find_training_prompt(written(tmp_path, told("Be kind.\n\x1b[2J" + " Very." * 99)))
    assert known is not None
    assert str(known).startswith('"Be kind. \\u001b[2J Very.')
    assert len(str(known)) <= 82
