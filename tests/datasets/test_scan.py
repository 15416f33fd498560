"""Personal data and secrets: found, confirmed, masked; licence texts raise no alarm."""

import json
from pathlib import Path

import pytest

from ftctl.datasets.scan import PATTERNS, iban_valid, luhn_valid, scan_file, scan_text

FOUND = [
    ("write to jane.doe@example.com.", "e-mail"),
    ("card 4111 1111 1111 1111, thanks", "card"),
    ("card 5500-0000-0000-0004", "card"),
    ("IBAN DE89 3704 0044 0532 0130 00", "iban"),
    ("GB29NWBK60161331926819", "iban"),
    ("call +49 30 901820 now", "phone"),
    ("call (555) 123-4567", "phone"),
    ("sk-proj-" + "aB3" * 10, "openai-key"),
    ("AKIAIOSFODNN7EXAMPLE", "aws-key"),
    ("hf_" + "aB3" * 11, "huggingface-token"),
    ("ghp_" + "aB3" * 12, "github-token"),
    ("xoxb-1234567890-abcdef", "slack-token"),
    ("-----BEGIN RSA PRIVATE KEY-----", "private-key"),
    ("-----BEGIN PRIVATE KEY-----", "private-key"),
    ("password = 'x9Kq2LmZ7pR4tW8v'", "credential"),
    ("API_KEY: x9Kq2LmZ7pR4tW8vbb", "credential"),
]
CLEAN = [
    "card 4111 1111 1111 1112",  # Luhn fails
    "DE89 3704 0044 0532 0130 01",  # mod 97 fails
    "0000 0000 0000 0000",
    "Copyright (c) 1998-2003, 2007-2011 The Authors",
    "Version 2.0, January 2004 http://www.apache.org/licenses/",
    "SPDX-License-Identifier: GPL-2.0-or-later",
    "3.14159265358979 and 2024-11-24 12:30:59",
    "password: correct-horse-battery-staple",  # no digit, a passphrase in a tutorial
    "the token is passed, see api_key = os.environ['API_KEY']",
    "user@host and @decorator and a@b",
    "1 + 1 = 2, x +1234567",
    "task-force risk-averse-behaviour-of-agents",
]


@pytest.mark.parametrize(("text", "kind"), FOUND)
def test_a_hit_names_its_kind_and_hides_its_value(text: str, kind: str) -> None:
    (hit,) = scan_text(f"before {text} after")
    assert hit.kind == kind
    if kind != "private-key":  # the header alone is no secret
        assert text not in hit.masked
        assert len(set(hit.masked) & set(text)) < len(set(text))


@pytest.mark.parametrize("text", CLEAN)
def test_what_only_looks_like_one_is_no_hit(text: str) -> None:
    assert scan_text(text) == []


def test_every_pattern_is_shown_by_an_example() -> None:
    shown = {kind for _, kind in FOUND}
    rest = {"gitlab-token", "google-key", "stripe-key", "npm-token", "pypi-token", "jwt"}
    assert shown | rest == {row.kind for row in PATTERNS}
    tokens = [
        "glpat-" + "aB3" * 7,
        "AIza" + "a" * 35,
        "sk_live_" + "aB3" * 6,
        "npm_" + "aB3" * 12,
        "pypi-" + "aB3" * 20,
        "eyJ" + "a" * 12 + ".eyJ" + "b" * 12 + "." + "c" * 12,
    ]
    assert {scan_text(token)[0].kind for token in tokens} == rest


def test_checksums_hold_and_fail() -> None:
    assert luhn_valid("79927398713")
    assert not luhn_valid("79927398710")
    assert iban_valid("GB29 NWBK 6016 1331 9268 19")
    assert not iban_valid("GB29 NWBK 6016 1331 9268 18")


def test_a_file_is_scanned_whatever_hides_in_escapes(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    escaped = json.dumps({"a": "mail:\njane@example.com"}).replace("@", "\\u0040")
    file.write_text(f"{{}}\nnot json bob@example.org\n{escaped}\n", encoding="utf-8")
    found = scan_file(file)
    assert found.counts == {"e-mail": 2}
    assert found.first_lines == {"e-mail": 2}


def test_the_demo_data_holds_none() -> None:
    root = Path(__file__).parents[2] / "examples" / "spdx"
    for name in ("train.jsonl", "test.jsonl"):
        assert scan_file(root / name).counts == {}
