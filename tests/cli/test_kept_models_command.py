"""Tuned models that a vendor keeps: listed, shown, renamed, put aside, deleted and asked."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from command_line import Cli

from ftctl.api.kept_models import Keeper
from ftctl.cli.kept_models import what_keeping_costs
from ftctl.config import load_settings
from ftctl.store import Store
from ftctl.testing.loopback import Fault
from ftctl.testing.mistral_vendor import MistralVendor

pytestmark = pytest.mark.medium
KEY = "mistral-planted-0123456789"
AT = ("--provider", "mistral")


@pytest.fixture
def vendor(monkeypatch: pytest.MonkeyPatch) -> Iterator[MistralVendor]:
    monkeypatch.setenv("MISTRAL_API_KEY", KEY)
    with MistralVendor(KEY, retired=True) as running:
        monkeypatch.setenv("MISTRAL_BASE_URL", running.base_url)
        yield running


@pytest.fixture
def kept(vendor: MistralVendor) -> str:
    vendor.keep_model("open-mistral-7b", "old", archived=True)
    return vendor.keep_model("open-mistral-7b", "colours")


def test_all_that_the_vendor_keeps_is_listed_when_it_is_named(
    cli: Cli, vendor: MistralVendor, kept: str
) -> None:
    ran = cli("models", "--mine", *AT, "--json")
    assert ran.returncode == 0, ran.stderr
    document = ran.json()
    assert document["schema"] == "ftctl.kept-models/1"
    assert [row["archived"] for row in document["models"]] == [False, True]
    assert document["models"][0]["id"] == kept
    assert document["models"][0]["base"] == "open-mistral-7b"
    assert document["storage"] is None  # a gateway's price isn't Mistral's
    told = cli("models", "--mine", *AT)
    assert kept in told.stdout
    assert "archived" in told.stdout


def test_no_vendor_is_asked_unless_it_is_named(cli: Cli, vendor: MistralVendor, kept: str) -> None:
    assert cli("models", "--mine").returncode == 0
    assert vendor.requests == []


def test_an_account_without_any_is_told_so(cli: Cli, vendor: MistralVendor) -> None:
    assert "keeps no tuned model" in cli("models", "--mine", *AT).stdout


def test_a_model_is_shown_renamed_put_aside_and_brought_back(
    cli: Cli, vendor: MistralVendor, kept: str
) -> None:
    assert cli("models", "show", kept, *AT, "--json").json()["name"] == ""
    ran = cli("models", "rename", kept, "colours", "--description", "a test", *AT, "--json")
    assert ran.returncode == 0, ran.stderr
    assert (ran.json()["name"], ran.json()["description"]) == ("colours", "a test")
    again = cli("models", "rename", kept, "hues", *AT, "--json").json()
    assert (again["name"], again["description"]) == ("hues", "a test")  # left as it was
    assert cli("models", "archive", kept, *AT, "--json").json()["archived"] is True
    assert vendor.models[kept]["archived"] is True
    assert "archived" in cli("models", "show", kept, *AT).stdout
    assert cli("models", "unarchive", kept, *AT, "--json").json()["archived"] is False


def test_a_model_is_deleted_only_when_somebody_says_so(
    cli: Cli, vendor: MistralVendor, kept: str
) -> None:
    ran = cli("models", "delete", kept, *AT)
    assert ran.returncode == 2
    assert "--yes" in ran.stderr
    assert kept in vendor.models
    ran = cli("models", "delete", kept, *AT, "--yes")
    assert ran.returncode == 0, ran.stderr
    assert kept not in vendor.models
    with Store(load_settings().database_url) as store:
        assert [entry.action for entry in store.audits()] == ["model_deleted"]
    gone = cli("models", "delete", kept, *AT, "--yes")
    assert gone.returncode == 1
    assert "No such model" in gone.stderr


def test_a_model_that_stays_after_deleting_is_told(
    cli: Cli, vendor: MistralVendor, kept: str
) -> None:
    done = Fault("DELETE /models/*", status=200, body={"id": kept, "deleted": True})
    with vendor.fault(done):
        ran = cli("models", "delete", kept, *AT, "--yes")
    assert ran.returncode == 5
    assert "still shows" in ran.stderr


def test_a_base_model_is_nobodys_to_delete(cli: Cli, vendor: MistralVendor) -> None:
    ran = cli("models", "delete", "open-mistral-nemo", *AT, "--yes")
    assert ran.returncode == 2
    assert "not one that you tuned" in ran.stderr
    assert vendor.asked("DELETE *") == []


def test_who_keeps_a_model_has_to_be_known(cli: Cli, vendor: MistralVendor, kept: str) -> None:
    for verb in ("show", "archive", "unarchive"):
        ran = cli("models", verb, kept)
        assert ran.returncode == 2
        assert "--provider mistral" in ran.stderr
    ran = cli("models", "archive", kept, "--provider", "together")
    assert ran.returncode == 3
    assert "can't be looked after" in ran.stderr
    assert cli("models", "--mine", "--provider", "mistrol").returncode == 2
    assert cli("models", "--provider", "mistral").returncode == 2
    assert vendor.requests == []


def test_a_base_model_is_still_named_with_its_options_behind(cli: Cli) -> None:
    ran = cli("models", "smollm2-135m-instruct", "--json")
    assert ran.json()["models"][0]["name"] == "smollm2-135m-instruct"
    assert cli("models", "smollm2-135m-instruct", "rename").returncode == 2
    assert cli("models", "smollm2-135m-instrukt").returncode == 2


def test_an_old_model_answers_through_the_official_sdk(
    cli: Cli, vendor: MistralVendor, kept: str
) -> None:
    ran = cli("chat", kept, "Which colour?", *AT, "--system", "Be short.")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == "It is green."
    (asked,) = vendor.asked("POST /chat/completions")
    assert asked.headers["user-agent"].startswith("mistral-client-python")
    assert [m["role"] for m in asked.json()["messages"]] == ["system", "user"]


def test_a_tuned_models_name_alone_doesnt_say_who_serves_it(
    cli: Cli, vendor: MistralVendor, kept: str
) -> None:
    ran = cli("chat", kept, "Which colour?")
    assert ran.returncode == 2
    assert "--provider mistral" in ran.stderr
    ran = cli("chat", kept, "Which colour?", "--provider", "together")
    assert ran.returncode == 3


def test_an_archived_model_says_why_it_doesnt_answer(
    cli: Cli, vendor: MistralVendor, kept: str
) -> None:
    vendor.models[kept]["archived"] = True
    ran = cli("chat", kept, "Which colour?", *AT)
    assert ran.returncode == 1
    assert "is archived" in ran.stderr


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault("* *", status=401, message=f"wrong key {KEY}"), 3),
        (Fault("* *", status=404), 1),
        (Fault("* *", status=410), 1),
        (Fault("* *", status=422, body={"detail": [{"loc": ["body", "x"], "msg": "odd"}]}), 1),
        (Fault("* *", status=429), 5),
        (Fault("* *", status=500), 5),
        (Fault("* *", "cut"), 5),
        (Fault("* *", "lost"), 5),
        (Fault("* *", "not_json"), 5),
    ],
    ids=lambda it: f"{it.kind} {it.status}" if isinstance(it, Fault) else "",
)
@pytest.mark.parametrize("verb", ["list", "show", "rename", "archive", "delete", "chat"])
def test_whatever_goes_wrong_is_one_sentence_without_the_key(
    cli: Cli, vendor: MistralVendor, kept: str, verb: str, fault: Fault, code: int
) -> None:
    words: dict[str, tuple[str, ...]] = {
        "list": ("models", "--mine"),
        "rename": ("models", "rename", kept, "x"),
        "delete": ("models", "delete", kept, "--yes"),
        "chat": ("chat", kept, "hi"),
    }
    with vendor.fault(replace(fault)):  # it counts down
        ran = cli(*words.get(verb, ("models", verb, kept)), *AT)
    assert ran.returncode == code, ran.stderr
    assert "Traceback" not in ran.stderr
    assert KEY not in ran.stderr + ran.stdout
    assert kept in vendor.models


def test_no_key_reaches_a_log_whatever_the_environment_asks_for(
    cli_process: Cli, vendor: MistralVendor, kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MISTRAL_DEBUG", "MISTRAL_SDK_DEBUG_TRACING"):
        monkeypatch.setenv(name, "true")
    monkeypatch.setenv("MISTRAL_SDK_TELEMETRY", "dedicated")
    ran = cli_process("chat", kept, "hi", *AT, "-vv")
    assert ran.returncode == 0, ran.stderr
    assert KEY not in ran.stderr + ran.stdout
    assert {request.path for request in vendor.requests} == {"/chat/completions"}


def test_no_redirect_takes_the_key_away(cli: Cli, vendor: MistralVendor, kept: str) -> None:
    away = {"Location": f"{vendor.base_url}/away"}
    with vendor.fault(Fault("* *", status=307, headers=away, times=None)):
        assert cli("models", "--mine", *AT).returncode != 0
        assert cli("chat", kept, "hi", *AT).returncode != 0
    assert vendor.asked("* /away") == []


def test_the_sdk_asks_at_v1_and_says_so(cli: Cli, vendor: MistralVendor) -> None:
    ran = cli("models", "--mine", *AT, "--base-url", vendor.base_url.removesuffix("/v1"))
    assert ran.returncode == 2
    assert "/v1" in ran.stderr
    assert cli("models", "--mine", *AT, "--base-url", "http://example.org/v1").returncode == 3


def test_what_keeping_costs_is_said_of_the_vendors_own() -> None:
    storage = Keeper("mistral").storage(3)
    assert storage is not None
    assert (storage.usd_per_model, storage.usd) == (2.0, 6.0)
    said = what_keeping_costs(storage)
    assert "each costs 2.00 USD a month to keep, together 6.00 USD" in said
    assert "deprecated" in said
