"""A Modelfile for a GGUF file: the tuned model's own chat template, stops and system prompt."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from ftctl.datasets.render import Message, Tokenizer, load_tokenizer
from ftctl.errors import Unsupported
from ftctl.local_backend.exports.compared import Conversation, prompts_of
from ftctl.local_backend.exports.gguf_tokenizer import begins_with_bos, end_of_turn
from ftctl.local_backend.exports.turns import find_turns
from ftctl.local_backend.training_prompt import find_training_prompt

GGUF = "model.gguf"
RECORD = "ollama.json"


def modelfile(source: Path, data: Path, name: str, tell: Callable[[str], None]) -> str:
    """The Modelfile of a tuned model.

    Args:
        source: The adapter's or model's folder, with its tokenizer and run record.
        data: The dataset whose conversations the template has to render alike.
        name: What to call the model.
        tell: Told what a person should know.

    Raises:
        Unsupported: the chat template or the examples can't be said in Ollama's words.
    """
    tokenizer = load_tokenizer(source)
    prompts = prompts_of(data, tokenizer)
    _require_plain(prompts)
    turns = find_turns(tokenizer, [_texts(prompt) for prompt in prompts])
    template = tokenizer.get_chat_template()  # type: ignore[attr-defined]
    if "strftime_now" in template:
        tell("the chat template writes the day: the Modelfile holds that of today")
    if begins_with_bos(tokenizer):  # the GGUF file has it put before everything
        turns = turns.without(str(tokenizer.bos_token))  # type: ignore[attr-defined]
    lines = [
        f"# {name}, written by ftctl. Load it with: ollama create {name} -f Modelfile",
        f"FROM ./{GGUF}",
        f'TEMPLATE """{turns.in_go()}"""',
        *(f'PARAMETER stop "{stop}"' for stop in _stops(tokenizer, source)),
    ]
    prompt = find_training_prompt(source)
    if prompt is not None and prompt.text and turns.place != "nowhere":
        if '"""' in prompt.text:
            tell('the training system prompt holds """, so it isn\'t in the Modelfile')
        else:
            lines.append(f'SYSTEM """{prompt.text}"""')
    return "\n".join(lines) + "\n"


def _require_plain(prompts: Sequence[Conversation]) -> None:
    """Refuse examples in which more than texts is said.

    Raises:
        Unsupported: tools are offered or called.
    """
    for prompt in prompts:
        called = any(m["role"] == "tool" or m.get("tool_calls") for m in prompt.messages)
        if prompt.tools or called:
            raise Unsupported(
                "the job's examples use tools, which the Modelfile written here can't offer",
                hint="--to gguf keeps the template as it is: llama.cpp's llama-server --jinja "
                "runs it",
            )


def _texts(prompt: Conversation) -> list[Message]:
    """A conversation's messages, their parts joined and white space around them taken off.

    Many templates take it off, too, which Ollama's can't.
    """
    texts: list[Message] = []
    for message in prompt.messages:
        content = message.get("content") or ""
        if isinstance(content, list):
            content = "".join(part.get("text", "") for part in content)
        texts.append({"role": message["role"], "content": content.strip()})
    return texts


def _stops(tokenizer: Tokenizer, source: Path) -> list[str]:
    """The tokens that end an answer, as texts."""
    try:
        named = json.loads((source / "generation_config.json").read_bytes())["eos_token_id"]
    except (OSError, ValueError, KeyError):
        named = []
    ids = [tokenizer.eos_token_id, end_of_turn(tokenizer)]
    ids += named if isinstance(named, list) else [named]
    special = set(getattr(tokenizer, "all_special_ids", ()))  # others could hold any sign
    return list(dict.fromkeys(tokenizer.decode([i]) for i in ids if i is not None and i in special))
