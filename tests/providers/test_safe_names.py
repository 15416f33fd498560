"""Names from vendors: what comes home, what stays there and why."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftctl.errors import Unsupported, UsageError
from ftctl.providers.artifacts.download import Download
from ftctl.providers.artifacts.safe_names import choose, safe_name


def never(offset: int, version: str | None) -> None:
    raise AssertionError("names are chosen before anything is asked for")


FILE = Download(open=never)  # type: ignore[arg-type]  # never opened


@pytest.mark.parametrize(
    "name",
    [
        "adapter_model.safetensors",
        "model-00001-of-00002.safetensors",
        "model.safetensors.index.json",
        "adapter_config.json",
        "tokenizer.model",
        "chat_template.jinja",
        "merges.txt",
        "README.md",
    ],
)
def test_what_adapters_are_made_of_has_safe_names(name: str) -> None:
    assert safe_name(name) == name


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("../x.json", "plain name"),
        ("/etc/x.json", "plain name"),
        ("a/x.json", "plain name"),
        ("a\\x.json", "plain name"),
        ("C:x.json", "plain name"),
        ("..", "plain name"),
        ("", "plain name"),
        (".env.json", "plain name"),
        ("-rf.json", "plain name"),
        ("x.json\n", "plain name"),
        ("x.json\0", "plain name"),
        ("x\u202egnp.json", "plain name"),
        ("naïve.json", "plain name"),
        ("x.json.", "plain name"),
        ("x" * 200 + ".json", "plain name"),
        ("con.json", "device"),
        ("NUL.safetensors", "device"),
        ("com1.json", "device"),
        ("pytorch_model.bin", "pickle"),
        ("optimizer.PT", "pickle"),
        ("model.ckpt", "pickle"),
        ("run.sh", "come home"),
        ("model.py", "come home"),
        ("model", "come home"),
        ("X.JSON", "come home"),
    ],
)
def test_anything_else_is_refused_with_its_reason(name: str, why: str) -> None:
    with pytest.raises(UsageError, match=why) as caught:
        safe_name(name)
    assert caught.value.message.isprintable()


@given(st.text())
def test_a_safe_name_is_one_part_of_a_path_whatever_the_vendor_says(name: str) -> None:
    try:
        safe = safe_name(name)
    except UsageError:
        return
    assert not {"/", "\\", ":", "\0"} & set(safe)
    assert not safe.startswith(".")


def test_what_is_left_out_says_why() -> None:
    chosen = choose(
        "Acme",
        [
            ("adapter_model.safetensors", FILE),
            ("adapter_model.bin", FILE),
            ("../adapter_config.json", FILE),
            ("Readme.md", FILE),
            ("manifest.json", FILE),
            ("config.json", FILE),
            ("CONFIG.json", FILE),
        ],
        taken=["README.md"],
    )
    assert set(chosen.files) == {"adapter_model.safetensors", "config.json"}
    assert "pickle" in chosen.left_out["adapter_model.bin"]
    assert "plain name" in chosen.left_out["../adapter_config.json"]
    taken = {name for name, why in chosen.left_out.items() if why == "the name is taken"}
    assert taken == {"Readme.md", "manifest.json", "CONFIG.json"}


def test_without_safetensors_nothing_comes_home() -> None:
    with pytest.raises(Unsupported, match="a pickle can run code") as caught:
        choose("Acme", [("adapter_model.bin", FILE), ("config.json", FILE)])
    assert "adapter_model.bin" in caught.value.message
    with pytest.raises(Unsupported, match="Acme offers no weights"):
        choose("Acme", [])
