"""What a chat adds to texts, recounted here by hand: OpenAI's tools and images, templates."""

import base64
import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tiny_model import write_model
from token_counts import count_example

from ftctl.datasets.rules.types import JsonObject
from ftctl.datasets.tokens.choose import counter_for
from ftctl.datasets.tokens.encodings import base_name
from ftctl.datasets.tokens.images import image_bill, image_tokens
from ftctl.datasets.tokens.ranks import packaged_encoding

ASKED: list[dict[str, Any]] = [
    {"role": "user", "content": "How hot is it in Πάτρα?", "name": "maria"},
    {"role": "assistant", "content": "35 °C <|endoftext|>"},
]
TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "The weather of a place.",
            "parameters": {
                "type": "object",
                "properties": {
                    "place": {"type": "string", "description": "City, and country."},
                    "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
                    "days": {"type": "integer"},
                },
            },
        },
    },
    {"type": "function", "function": {"name": "now", "description": "Time"}},
]


def recounted(row: dict[str, Any], encoding: str, per_function: int) -> int:
    """Tokens by the two functions of OpenAI's cookbook, put down again from its formula."""

    def size(text: str) -> int:
        return len(packaged_encoding(encoding).encode_ordinary(text))

    total = 3
    for message in row["messages"]:
        total += 3 + size(message["role"]) + size(message["content"])
        total += 1 + size(message["name"]) if "name" in message else 0
    for tool in row.get("tools", []):
        function = tool["function"]
        total += per_function + size(f"{function['name']}:{function['description'].rstrip('.')}")
        properties = function.get("parameters", {}).get("properties", {})
        total += 3 if properties else 0
        for name, schema in properties.items():
            total += 3
            if "enum" in schema:
                total += -3 + sum(3 + size(item) for item in schema["enum"])
            said = schema.get("description", "").rstrip(".")
            total += size(f"{name}:{schema['type']}:{said}")
    return total + (12 if row.get("tools") else 0)


@pytest.mark.medium
@pytest.mark.parametrize(
    ("model", "encoding", "per_function"),
    [
        ("ft:gpt-4o-2024-08-06:org::id", "o200k_base", 7),
        ("gpt-4.1-nano", "o200k_base", 7),
        ("ft:gpt-3.5-turbo-0125:org::id", "cl100k_base", 10),
        ("gpt-4-0613", "cl100k_base", 10),
    ],
)
def test_tools_count_as_the_cookbook_counts_them(
    model: str, encoding: str, per_function: int
) -> None:
    counter = counter_for(model, "openai")
    row: JsonObject = {"messages": ASKED, "tools": TOOLS}
    found = count_example(counter, row)
    assert found.total == recounted(row, encoding, per_function)
    assert found.exact
    old: JsonObject = {"messages": ASKED, "functions": [tool["function"] for tool in TOOLS]}
    assert count_example(counter, old) == found


@pytest.mark.medium
def test_old_calls_and_refusals_count_as_their_texts_and_say_that_no_rule_is_published() -> None:
    counter = counter_for("gpt-4o")
    bare = count_example(counter, {"messages": ASKED})
    call = {"role": "assistant", "content": None, "function_call": {"name": "now", "arguments": ""}}
    no = {"role": "assistant", "content": None, "refusal": "I can't say that."}
    for message, text in ((call, "now"), (no, "I can't say that.")):
        found = count_example(counter, {"messages": [*ASKED, message]})
        (added,) = counter.count([text])
        assert found == (bare.total + 3 + 1 + added, bare.trained + added, False)


def inline(width: int, height: int, kind: str = "png") -> str:
    out = io.BytesIO()
    Image.new("L", (width, height)).save(out, kind)
    return f"data:image/{kind};base64,{base64.b64encode(out.getvalue()).decode()}"


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "gif"])
@pytest.mark.parametrize(
    ("width", "height", "tiles"),
    [(1024, 1024, 4), (2048, 4096, 6), (512, 512, 1), (513, 100, 2), (8, 4096, 4), (300, 1, 1)],
)
def test_a_large_image_is_made_smaller_and_then_counted_by_tiles(
    width: int, height: int, tiles: int, kind: str
) -> None:
    image = {"url": inline(width, height, kind), "detail": "high"}
    for model in ("gpt-4o", "gpt-4.1-2025-04-14"):
        assert image_tokens(image, image_bill(model)) == (85 + tiles * 170, True)
    bill = image_bill("gpt-4o-mini-2024-07-18")
    assert image_tokens(image, bill) == (2833 + tiles * 5667, True)
    assert image_tokens(image | {"detail": "low"}, bill) == (2833, True)


def test_what_is_not_known_of_an_image_is_not_exact() -> None:
    bill = image_bill("gpt-4o")
    assert image_tokens({"url": "https://x.org/a.png", "detail": "low"}, bill) == (85, True)
    for url in ("https://x.org/a.png", "data:image/png;base64,AAAA", "data:image/png;base64,é", 7):
        assert image_tokens({"url": url, "detail": "high"}, bill) == (765, False)
    assert image_tokens("https://x.org/a.png", bill) == (765, False)
    assert image_tokens({"url": inline(64, 64)}, bill) == (255, False)  # detail "auto"
    patches = image_bill("gpt-4.1-mini")
    assert image_tokens({"url": inline(1024, 1024), "detail": "high"}, patches) == (1659, False)
    assert image_tokens({"url": inline(4000, 4000)}, patches) == (2488, False)  # at most 1536
    assert not image_bill("o3").sourced
    assert not image_bill("gpt-4.1-nano").sourced


@pytest.mark.medium
def test_a_row_with_an_image_counts_it_beside_its_texts() -> None:
    image: dict[str, Any] = {
        "type": "image_url",
        "image_url": {"url": inline(640, 480), "detail": "high"},
    }
    content = [{"type": "text", "text": ASKED[0]["content"]}, image]
    row: JsonObject = {"messages": [{"role": "user", "content": content}, ASKED[1]]}
    plain = {"role": "user", "content": ASKED[0]["content"]}
    for model, tokens in (("ft:gpt-4o-2024-08-06:o::i", 425), ("gpt-4o-mini", 14_167)):
        counter = counter_for(model, "openai")
        bare = count_example(counter, {"messages": [plain, ASKED[1]]})
        assert count_example(counter, row) == (bare.total + tokens, bare.trained, True)


def test_whose_a_model_is_and_what_was_made_of_it_is_no_part_of_its_name() -> None:
    for name in ("ft:gpt-4o:org:x:id", "openai/GPT-4o", " gpt-4o "):
        assert base_name(name) == "gpt-4o"


TURNS: list[dict[str, Any]] = [
    {"role": "system", "content": "Answer in one word."},
    {"role": "user", "content": "The capital of Ελλάδα?"},
    {"role": "assistant", "content": "Athens", "weight": 0},
    {"role": "user", "content": "And of 日本?"},
    {"role": "assistant", "content": "Tokyo 🙂 [INST]"},
]


@pytest.mark.medium
@pytest.mark.parametrize(
    ("model", "system"),
    [
        ("open-mistral-nemo", "before the last turn"),
        ("mistral-tiny-2407", "before the last turn"),
        ("mistral-large-2411", "by itself"),
    ],
)
def test_mistrals_templates_by_hand(model: str, system: str) -> None:
    """<s>, then [INST] user [/INST] answer </s>; a system prompt in its own marks, or a user's."""
    counter = counter_for(model)
    say = [message["content"] for message in TURNS]
    texts = [say[1], say[2], say[3], say[4]]
    marks = 1 + 2 * (2 + 1)
    if system == "by itself":
        texts.append(say[0])
        marks += 2
    else:
        texts[2] = f"{say[0]}\n\n{say[3]}"
    found = count_example(counter, {"messages": TURNS})
    assert found == (marks + sum(counter.count(texts)), 1 + counter.count([say[4]])[0], True)


@pytest.mark.medium
def test_a_local_template_by_transformers_itself(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    folder = write_model(tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    plain = [{k: v for k, v in message.items() if k != "weight"} for message in TURNS]
    text = tokenizer.apply_chat_template(plain, tokenize=False)
    ids = tokenizer(text.removesuffix("\n"), add_special_tokens=False)["input_ids"]
    answer = tokenizer(f"{TURNS[-1]['content']}<|im_end|>", add_special_tokens=False)["input_ids"]
    found = count_example(counter_for(str(folder), "local"), {"messages": TURNS})
    assert found == (len(ids), len(answer), True)
