"""What a model's own chat template makes of rows: refused, left out, rendered to nothing."""

import json
from pathlib import Path
from typing import Any

import pytest

from ftctl.datasets.check import check
from ftctl.datasets.report import Issue
from ftctl.datasets.tokens.rendered import LocalCounter

Row = dict[str, Any]
USER: Row = {"role": "user", "content": "2+2?"}
SAYS: Row = {"role": "assistant", "content": "It is 4."}
SYSTEM: Row = {"role": "system", "content": "Be brief."}
CALL: Row = {"id": "aB3dE6gH9", "type": "function", "function": {"name": "sum", "arguments": "{}"}}
CALLS: Row = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT: Row = {"role": "tool", "tool_call_id": "aB3dE6gH9", "content": "done"}

_SAY = "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n"
_OPEN = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
PLAIN = "{% for m in messages %}" + _SAY + "{% endfor %}" + _OPEN
IN_TURN = (
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate user and assistant') }}{% endif %}"
    + _SAY + "{% endfor %}" + _OPEN
)  # fmt: skip
NO_SYSTEM = (
    "{% for m in messages if m.role in ('user', 'assistant') %}" + _SAY + "{% endfor %}" + _OPEN
)
THINKS = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{{ m.content.split('</think>')[-1] }}<|im_end|>\n{% endfor %}" + _OPEN
)
LAST_ONLY = (
    "{% for m in messages %}{% if m.role == 'user' or loop.last %}"
    + _SAY + "{% endif %}{% endfor %}" + _OPEN
)  # fmt: skip


def chat(*messages: Row, **more: object) -> Row:
    return {"messages": list(messages), **more}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer without weights, its template as each test wants it."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    specials = ["<|im_start|>", "<|im_end|>"]
    bare = Tokenizer(
        models.BPE(vocab={t: i for i, t in enumerate([*specials, *letters])}, merges=[])
    )
    bare.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made = PreTrainedTokenizerFast(tokenizer_object=bare, eos_token="<|im_end|>")
    made.chat_template = PLAIN
    place = tmp_path_factory.mktemp("model")
    made.save_pretrained(place)
    return place


def found(folder: Path, tmp_path: Path, template: str, *rows: Row, **options: Any) -> list[Issue]:
    place = tmp_path / "model"
    place.mkdir()
    for file in folder.iterdir():
        (place / file.name).write_bytes(file.read_bytes())
    (place / "chat_template.jinja").write_text(template)
    data = tmp_path / "x.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = {"providers": ["local"], "duplicates": False, **options}
    report = check([data], counter=LocalCounter(place), **options)
    return [issue for issue in report.issues if issue.rule.startswith("template")]


def places(issues: list[Issue]) -> list[tuple[int, str, str]]:
    return [(issue.line, issue.rule, issue.path) for issue in issues]


@pytest.mark.parametrize(
    ("template", "row", "rule", "path", "said"),
    [
        (IN_TURN, chat(USER, USER, SAYS), "template-alternation", "messages[1].role",
         "roles must alternate user and assistant"),
        (IN_TURN, chat(SYSTEM, USER, SAYS), "template-alternation", "messages[0].role", "refuses"),
        (NO_SYSTEM, chat(SYSTEM, USER, SAYS), "template-alternation", "messages[0]",
         "leaves out this message, of role 'system'"),
        (NO_SYSTEM, chat(USER, CALLS, RESULT, SAYS), "template-alternation", "messages[2]",
         "of role 'tool'"),
        (LAST_ONLY, chat(USER, SAYS, USER, {**SAYS, "content": "Four."}), "template-empty",
         "messages[1]", "leaves out"),
        (THINKS, chat(USER, {**SAYS, "content": "<think>4</think>"}), "template-empty",
         "messages[1].content", "renders the answer to nothing"),
        (PLAIN, chat(USER, CALLS), "template-empty", "messages[1].tool_calls",
         "leaves out the call of 'sum'"),
    ],
)  # fmt: skip
def test_what_the_template_does_not_carry_is_told(
    folder: Path, tmp_path: Path, template: str, row: Row, rule: str, path: str, said: str
) -> None:
    issues = found(folder, tmp_path, template, chat(USER, SAYS), row)
    assert (2, rule, path) in places(issues)
    issue = next(issue for issue in issues if (issue.rule, issue.path) == (rule, path))
    assert said in issue.message
    assert issue.severity == "error"
    assert {line for line, _, _ in places(issues)} == {2}


@pytest.mark.parametrize(
    ("template", "row"),
    [
        (PLAIN, chat(SYSTEM, USER, SAYS, USER, SAYS)),
        (IN_TURN, chat(USER, SAYS, USER, SAYS)),
        (THINKS, chat(USER, {**SAYS, "content": "<think>2 and 2</think>\nIt is 4."})),
        (PLAIN, chat(USER, {**SAYS, "content": " It is 4.\n"})),
        (PLAIN, chat({**USER, "content": [{"type": "text", "text": "2+2?"}]}, SAYS)),
        (PLAIN, chat({**USER, "content": None}, SAYS)),  # another rule's matter
        (PLAIN, {"messages": [{"content": "a"}]}),
        (PLAIN, {"messages": "a"}),
        (PLAIN, {"prompt": "a", "completion": "b"}),
    ],
)
def test_what_it_carries_in_its_own_way_is_fine(
    folder: Path, tmp_path: Path, template: str, row: Row
) -> None:
    assert found(folder, tmp_path, template, row) == []


def test_a_template_that_changes_earlier_text_is_told_before_training_is(
    folder: Path, tmp_path: Path
) -> None:
    rewrites = "{{ messages|length }}{% for m in messages %}" + _SAY + "{% endfor %}" + _OPEN
    (issue,) = found(folder, tmp_path, rewrites, chat(USER, SAYS, USER, SAYS))
    assert (issue.rule, issue.path) == ("template-alternation", "messages[3]")
    assert "changes earlier text" in issue.message


def test_both_answers_of_a_pair_go_through_it(folder: Path, tmp_path: Path) -> None:
    pair = {
        "input": {"messages": [SYSTEM, USER]},
        "preferred_output": [SAYS],
        "non_preferred_output": [{**SAYS, "content": "<think>5</think>"}],
    }
    told = found(folder, tmp_path, THINKS, pair, method="dpo")
    assert places(told) == [(1, "template-empty", "non_preferred_output[0].content")]
    (tmp_path / "again").mkdir()
    told = found(folder, tmp_path / "again", NO_SYSTEM, pair, method="dpo")
    assert places(told) == [(1, "template-alternation", "input.messages[0]")]


def test_only_those_who_render_it_mind(folder: Path, tmp_path: Path) -> None:
    options = {"providers": ["openai", "huggingface", "local", "together", "autotrain"]}
    (issue,) = found(folder, tmp_path, NO_SYSTEM, chat(SYSTEM, USER, SAYS), **options)
    assert issue.providers == ("huggingface", "local", "autotrain")


@pytest.mark.medium
def test_other_processes_find_what_this_one_finds(folder: Path, tmp_path: Path) -> None:
    rows = [chat(USER, SAYS), chat(USER, USER, SAYS)] * 20
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    one = found(folder, tmp_path / "one", IN_TURN, *rows, process_count=1)
    two = found(folder, tmp_path / "two", IN_TURN, *rows, process_count=2)
    assert places(one) == places(two)
    assert len(one) == 20
