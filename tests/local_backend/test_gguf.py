"""A model folder as GGUF: read back by transformers and by llama.cpp, and found to be the same."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from gguf_models import (
    CHATML,
    GEMMA,
    LLAMA3,
    MISTRAL,
    TEXTS,
    write_family,
    write_rows,
)
from own_environment import python_with
from tool_sessions import run

from ftctl.datasets.render import load_tokenizer, prompt_text
from ftctl.errors import JobFailed, Unsupported
from ftctl.local_backend.base_models import find_base
from ftctl.local_backend.exports.compared import Difference
from ftctl.local_backend.exports.gguf import Format, is_made_of, require_known, write_gguf
from ftctl.local_backend.exports.gguf_check import compare
from ftctl.local_backend.exports.gguf_sentencepiece import scores_of
from ftctl.local_backend.model import load_base

pytestmark = [pytest.mark.medium, pytest.mark.timeout(300)]

LLAMA3_POSITIONS = {
    "rope_type": "llama3",
    "rope_theta": 10_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
GEMMA3: dict[str, Any] = {"query_pre_attn_scalar": 16, "sliding_window": 16}
FAMILIES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "llama": ("llama", "smollm", {}),
    "llama3": ("llama", "llama-bpe", {"rope_parameters": LLAMA3_POSITIONS}),
    "llama-linear": (
        "llama",
        "gpt-2",
        {"rope_parameters": {"rope_type": "linear", "rope_theta": 10_000.0, "factor": 4.0}},
    ),
    "llama-bias": ("llama", "gpt-2", {"attention_bias": True, "tie_word_embeddings": True}),
    "mistral": ("mistral", "gpt-2", {"sliding_window": 256, "head_dim": 32}),
    "qwen2": ("qwen2", "qwen2", {"tie_word_embeddings": True}),
    "qwen3": ("qwen3", "qwen2", {"head_dim": 32}),
    "gemma2": ("gemma2", "gpt-2", GEMMA3),
    "gemma3": ("gemma3_text", "gemma", GEMMA3),
    "llama2": ("llama", "always", {}),
    "mistral-v3": ("mistral", "first", {}),
}


TEMPLATES = {"llama3": LLAMA3, "gemma3": GEMMA, "llama2": MISTRAL, "mistral-v3": MISTRAL}


def model_of(folder: Path, name: str) -> Path:
    family, split, more = FAMILIES[name]
    template = TEMPLATES.get(name, CHATML)
    return write_family(folder, family, template, split, **more)


def written(folder: Path, name: str, form: Format) -> tuple[Path, Path]:
    model, file = model_of(folder / "model", name), folder / f"{form}.gguf"
    write_gguf(model, file, form, name=name, origin="abc", tell=lambda _: None)
    return model, file


def compared(folder: Path, file: Path, model: Path, tolerance: float = 0.02) -> Difference:
    rows = write_rows(folder / "rows.jsonl")
    return compare(file, model, rows, lambda _: None, tolerance)


# The others are asked of llama.cpp below, which is slower.
@pytest.mark.parametrize("name", ["llama3", "llama-bias", "mistral-v3", "qwen3", "gemma3"])
def test_what_is_read_back_answers_alike(tmp_path: Path, name: str) -> None:
    model, file = written(tmp_path, name, "f16")
    found = compared(tmp_path, file, model)
    assert found.kl < 1e-6
    assert found.same_token > 0.98


@pytest.mark.parametrize(("form", "limit"), [("bf16", 1e-4), ("q8_0", 1e-3)])
def test_each_format_costs_what_it_rounds(tmp_path: Path, form: Format, limit: float) -> None:
    model, file = written(tmp_path, "qwen3", form)
    assert 0 < compared(tmp_path, file, model).kl < limit
    assert is_made_of(file, "abc", form)
    assert is_made_of(file, "abc", None)
    assert not is_made_of(file, "abc", "f16")
    assert not is_made_of(file, "abd", form)
    assert not is_made_of(model / "config.json", "abc", form)


def test_another_model_is_not_kept(tmp_path: Path) -> None:
    _, file = written(tmp_path / "a", "llama", "f16")
    other = write_family(tmp_path / "b", "llama", CHATML, "smollm", initializer_range=0.3)
    with pytest.raises(JobFailed, match=r"isn't the same model: .* nats a token") as refused:
        compared(tmp_path, file, other)
    assert "--max-kl" in refused.value.hint


def test_other_settings_tokens_or_templates_are_seen(tmp_path: Path) -> None:
    model, file = written(tmp_path, "llama", "f16")
    for folder in ("eps", "template"):
        shutil.copytree(model, tmp_path / folder)
    config = json.loads((model / "config.json").read_bytes())
    (tmp_path / "eps" / "config.json").write_text(json.dumps(config | {"rms_norm_eps": 0.1}))
    with pytest.raises(JobFailed, match="another rms_norm_eps"):
        compared(tmp_path, file, tmp_path / "eps")
    (tmp_path / "template" / "chat_template.jinja").write_text(CHATML + " ", "utf-8")
    with pytest.raises(JobFailed, match="another chat template"):
        compared(tmp_path, file, tmp_path / "template")
    swapped = write_family(tmp_path / "tokens", "llama", CHATML, "smollm")
    known = json.loads((swapped / "tokenizer.json").read_bytes())
    known["model"]["merges"] = known["model"]["merges"][:20]
    (swapped / "tokenizer.json").write_text(json.dumps(known), "utf-8")
    with pytest.raises(JobFailed, match="other tokens"):
        compared(tmp_path, file, swapped)


def test_an_architecture_that_is_not_known_names_those_that_are(tmp_path: Path) -> None:
    model = write_family(tmp_path, "gpt_neox")
    with pytest.raises(Unsupported, match=r"gpt_neox can't be written.*gemma2.*llama.*qwen3"):
        require_known(model)
    yarn = {"rope_type": "yarn", "rope_theta": 10_000.0, "factor": 4.0}
    with pytest.raises(Unsupported, match="scaled by yarn"):
        require_known(write_family(tmp_path / "yarn", "qwen2", rope_parameters=yarn))


def test_a_way_to_split_text_without_a_name_is_refused(tmp_path: Path) -> None:
    model = write_family(tmp_path / "m", "llama", split=r"\w+|\s+|[^\w\s]+")
    with pytest.raises(Unsupported, match="text split as this tokenizer"):
        write_gguf(model, tmp_path / "x.gguf", "f16", name="x", origin="y", tell=print)


@pytest.mark.parametrize(
    ("merges", "scores"),
    [
        ([["a", "b"], ["ab", "c"], ["a", "bc"], ["b", "c"]], {"ab": -1, "abc": -2, "bc": -4}),
        (["a b", "ab c", "b c"], None),  # `a bc` makes abc, too, and isn't listed
        ([["a", "b"], ["ab", "c"], ["b", "c"], ["a", "bc"]], None),  # abc ranked twice
    ],
)
def test_ranks_are_said_as_scores_where_that_is_the_same(
    merges: list[Any], scores: dict[str, float] | None
) -> None:
    vocabulary = {token: i for i, token in enumerate(["a", "b", "c", "ab", "bc", "abc"])}
    assert scores_of({"vocab": vocabulary, "merges": merges}) == scores


# Started in an environment of its own: llama.cpp itself, with its server on loopback.
_LLAMA_CPP = """
import json, sys, urllib.request
import xllamacpp

asked = json.load(open("asked.json"))
answered = []
for file in asked["files"]:
    params = xllamacpp.CommonParams()
    params.model.path, params.n_ctx, params.port, params.warmup = file, 512, 0, False
    params.n_parallel, params.cpuparams.n_threads = 1, 1
    server = xllamacpp.Server(params)

    def post(path, body):
        request = urllib.request.Request(
            server.listening_address + path,
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:
            return json.loads(answer.read())

    def tokens(text):
        return post("/tokenize", {"content": text, "parse_special": True})["tokens"]

    def following(text):
        # Half a character would be answered without figures; those asked for are the unforced ones.
        body = {"prompt": text, "n_predict": 1, "n_probs": 5, "logit_bias": [["a", 100]]}
        top = post("/completion", body)["completion_probabilities"][0]["top_logprobs"]
        return {row["id"]: row["logprob"] for row in top}

    chat = {"messages": [{"role": "user", "content": "Is it 12?"}]}
    answered.append({
        "tokens": [tokens(text) for text in asked["texts"]],
        "prompt": post("/apply-template", chat)["prompt"],
        "following": following(asked["texts"][-1]),
    })
    del server
json.dump(answered, open("answered.json", "w"))
"""


ASKED = [*TEXTS, *(f"[INST]{text}" for text in TEXTS)]


def ask_llama_cpp(folder: Path, files: list[Path]) -> list[dict[str, Any]]:
    python = python_with(folder, "xllamacpp")
    asked = {"files": [str(file) for file in files], "texts": ASKED}
    (folder / "asked.json").write_text(json.dumps(asked), "utf-8")
    (folder / "ask.py").write_text(_LLAMA_CPP, "utf-8")
    ran = run([python, "ask.py"], folder)
    assert ran.returncode == 0, ran.stderr[-2000:]
    answers: list[dict[str, Any]] = json.loads((folder / "answered.json").read_bytes())
    return answers


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.timeout(900)
def test_llama_cpp_reads_the_same_tokens_and_thinks_alike(tmp_path: Path) -> None:
    import torch

    made = [written(tmp_path / name, name, "f16") for name in FAMILIES]
    answers = ask_llama_cpp(tmp_path, [file for _, file in made])
    for (folder, _), answer in zip(made, answers, strict=True):
        tokenizer = load_tokenizer(folder)
        ids = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in ASKED]
        # Mistral's puts a space before a text that doesn't begin with a special token; chats do.
        first = len(TEXTS) if "mistral-v3" in folder.parts else 0
        assert answer["tokens"][first:] == ids[first:], folder
        prompt = prompt_text(tokenizer, [{"role": "user", "content": "Is it 12?"}])
        # llama.cpp puts the beginning token before everything itself, and takes the template's off.
        assert answer["prompt"] == prompt.removeprefix("<s>")
        bos = tokenizer("<s>")["input_ids"] if prompt.startswith("<s>") else []
        model = load_base(folder, torch.float32, "cpu").eval()
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([[*bos, *ids[-1]]])).logits[0, -1]
        known = logits.log_softmax(-1)
        for token, logprob in answer["following"].items():
            assert abs(float(known[int(token)]) - logprob) < 0.02, folder


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_real_model_through_gguf_and_back(tmp_path: Path) -> None:
    model = find_base("smollm2-135m-instruct", tmp_path / "home")
    assert isinstance(model, Path)
    file = tmp_path / "smollm2.gguf"
    write_gguf(model, file, "q8_0", name="smollm2", origin="x", tell=print)
    found = compared(tmp_path, file, model)
    assert found.kl < 0.01
    assert found.same_token > 0.95
