"""`ftctl data rules`: the table of rules, for whom and how one asks."""

import json
from collections.abc import Callable
from subprocess import CompletedProcess

Cli = Callable[..., CompletedProcess[str]]


def test_the_document_has_limit_severity_source_and_date_of_every_rule(cli: Cli) -> None:
    document = json.loads(cli("data", "rules", "--json").stdout)
    assert document["schema"] == "ftctl.data-rules/1"
    rules = {(rule["rule"], rule["variant"]): rule for rule in document["rules"]}
    count = rules["image-count", "64"]
    assert count["severities"] == {"azure": "error"}
    assert (count["limit"], count["as_of"]) == ("64 an example", "2026-11-24")
    assert rules["dpo-shape", ""]["severities"]["together"] == "error"
    assert all(rule["checks"] and rule["hint"] and rule["severities"] for rule in rules.values())
    assert set(document["sources"]) == {name for r in rules.values() for name in r["severities"]}


def test_only_what_somebody_asked_for_minds_is_listed(cli: Cli) -> None:
    document = json.loads(
        cli("data", "rules", "--for", "mistral-v7,local", "--method", "sft", "--json").stdout
    )
    names = {rule["rule"] for rule in document["rules"]}
    assert "tool-call-id-format" in names
    assert not names & {"dpo-shape", "rft-nova", "reserved-string", "tool-count"}
    assert set(document["sources"]) == {"mistral", "local"}


def test_what_is_unverified_is_called_so(cli: Cli) -> None:
    rules = json.loads(cli("data", "rules", "--for", "azure", "--json").stdout)["rules"]
    assert {r["rule"]: r["severities"]["azure"] for r in rules}["line-ends"] == "unverified"


def test_people_get_a_table_for_each_section_and_where_it_comes_from(cli: Cli) -> None:
    text = cli("data", "rules", "--for", "openai", "--method", "rft", "--no-color").stdout
    assert "DPO and RFT" in text
    assert "rft-last-user" in text
    assert "dpo-shape" not in text
    assert "openai: SFT, DPO and vision guides" in text


def test_an_unknown_name_is_refused_with_those_known(cli: Cli) -> None:
    for arguments, known in ((("--for", "opnai"), "openai"), (("--method", "ppo"), "rft")):
        ran = cli("data", "rules", *arguments, "--json")
        assert ran.returncode == 2
        error = json.loads(ran.stdout)["error"]
        assert known in error["message"] + error["hint"]
