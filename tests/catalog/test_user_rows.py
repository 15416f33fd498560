"""The user's own rows take the place of the shipped ones; a bad one is one clear error."""

from datetime import date
from pathlib import Path

import pytest

from ftctl.catalog.load import load_catalog, load_shipped
from ftctl.catalog.user import EXAMPLE
from ftctl.errors import UsageError

NEGOTIATED = """
[[training]]
provider = "together"
max_parameters = 16_000_000_000
usd = 0.30
as_of = 2026-11-20
source = "offer 4711"
"""


@pytest.fixture
def own_file(clean_environment: Path) -> Path:
    clean_environment.mkdir()
    return clean_environment / "catalog.toml"


def test_a_negotiated_price_takes_the_place_of_the_shipped_one(own_file: Path) -> None:
    eight = load_shipped().get_model("llama-3.1-8b")
    own_file.write_text(NEGOTIATED)
    row = load_catalog().find_training_price("together", eight)
    assert row is not None
    assert (row.usd, row.confidence, row.as_of) == (0.30, "user", date(2026, 11, 20))
    dpo = load_catalog().find_training_price("together", eight, "dpo")
    assert dpo is not None
    assert dpo.confidence != "user"
    shipped = load_shipped().find_training_price("together", eight)
    assert shipped is not None
    assert shipped.usd == 0.48
    own_file.unlink()
    assert load_catalog() is load_shipped()


def test_a_row_says_only_what_differs(own_file: Path) -> None:
    own_file.write_text(
        '[[providers]]\nname = "together"\nas_of = 2026-11-20\nsource = "our contract"\n'
        'serving = { kind = "dedicated", gpu = "h100", usd_per_gpu_hour = 4.00 }\n'
    )
    together = load_catalog().get_provider("together")
    assert together.serving.usd_per_gpu_hour == 4.0
    assert (together.serving.confidence, together.serving.source) == ("user", "our contract")
    assert together.hosts == load_shipped().get_provider("together").hosts
    assert together.phases[0].confidence == "vendor"


def test_a_model_of_ones_own_can_be_priced(own_file: Path) -> None:
    said = 'as_of = 2026-11-20\nsource = "the house"\n'
    own_file.write_text(
        f'[[models]]\nname = "house-7b"\ntitle = "House"\nfamily = "house"\nopen_weights = true\n'
        f'licence = "ours"\n{said}'
        f'[[inference]]\nprovider = "local"\nmodel = "house-7b"\ninput_usd = 0.1\n'
        f"cached_usd = 0.1\noutput_usd = 0.2\n{said}"
    )
    price = load_catalog().find_inference_price("house-7b")
    assert price is not None
    assert price.confidence == "user"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (NEGOTIATED.replace("0.30", "-1"), "[[training]] 1: `usd`: Input should be greater"),
        (NEGOTIATED.replace("usd =", "eur ="), "[[training]] 1: `eur`: Extra inputs"),
        (NEGOTIATED.replace("as_of = 2026-11-20", ""), "[[training]] 1: `as_of` is missing"),
        (NEGOTIATED.replace('"together"', '"togehter"'), "no provider 'togehter'"),
        (NEGOTIATED.replace("[[training]]", "[[trainings]]"), "unknown section [[trainings]]"),
        (NEGOTIATED.replace("[[training]]", "[training]"), "[training] must be [[training]]"),
        ("[[training]", "not valid TOML"),
        (NEGOTIATED * 2, "[[training]] 2: says the same of together 16000000000 sft lora as row 1"),
    ],
)
def test_a_bad_row_is_named_with_file_and_key(own_file: Path, text: str, says: str) -> None:
    own_file.write_text(text)
    with pytest.raises(UsageError) as caught:
        load_catalog()
    assert caught.value.message.startswith(str(own_file))
    assert says in caught.value.message
    assert caught.value.hint


def test_the_example_of_the_hint_is_a_good_row(own_file: Path) -> None:
    own_file.write_text(EXAMPLE)
    row = load_catalog().find_training_price("together", load_catalog().get_model("llama-3.1-8b"))
    assert row is not None
    assert (row.usd, row.confidence) == (0.40, "user")


def test_a_project_names_its_own_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_file: Path
) -> None:
    own_file.write_text(NEGOTIATED)
    (tmp_path / "prices.toml").write_text(NEGOTIATED.replace("0.30", "0.25"))
    (tmp_path / "ftctl.toml").write_text('catalog = "prices.toml"')
    row = load_catalog().find_training_price("together", load_catalog().get_model("qwen3-8b"))
    assert row is not None
    assert row.usd == 0.25
    monkeypatch.setenv("FTCTL_CATALOG", "nothing-there.toml")
    with pytest.raises(UsageError, match="catalog must be an existing file"):
        load_catalog()
