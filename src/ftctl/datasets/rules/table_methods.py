"""The rule table: pairs of answers (DPO), and prompts that a grader judges (RFT)."""

from ftctl.datasets.rules.rule import ERROR, WARNING, Rule

_PAIR = (
    'write {"input": {"messages": [...]}, "preferred_output": [...], '
    '"non_preferred_output": [...]}, each output a list with an assistant message'
)

ROWS: dict[str, Rule] = {
    "dpo-shape": Rule(ERROR, "a row that is no prompt with two lists of messages", _PAIR),
    "dpo-shape/gemini": Rule("EEEE EEE E EE -E E", "Gemini's own shape of a pair", _PAIR),
    "dpo-shape/nova": Rule("EEEE EEE E EE E- E", "Nova's own shape of a pair", _PAIR),
    "dpo-shape/trl": Rule(
        "EEEE EEE - EE EE -",
        "TRL's own shape of a pair",
        "ftctl data convert FILE -o NEW --to openai-dpo writes OpenAI's shape",
    ),
    "dpo-one-assistant": Rule(
        "WWW- WWW W EE WW W",
        "an output of more than one message of the assistant",
        "keep one answer in each output; OpenAI compares the last",
        "1",
    ),
    "dpo-one-assistant/none": Rule(
        ERROR, "an output without a message of the assistant", _PAIR, "1"
    ),
    "dpo-one-assistant/role": Rule(
        "WWWE WWW W EE WW W",
        "an output with a message of somebody else",
        "move what comes before the answer to input.messages",
        "assistant, tool",
    ),
    "dpo-input-last": Rule(
        "WWWW WWW W EW EW W",
        "a prompt that ends with the assistant",
        "end the prompt with the user's message",
    ),
    "dpo-identical": Rule(
        WARNING,
        "two answers that are equal, or of which one is empty",
        "give a worse answer: nothing is learnt from equal ones",
    ),
    "dpo-gemini": Rule(
        "---- --- - -- E- -",
        "Gemini's own rows without two completions of scores 1 and 0, text only",
        "give `completions` with two entries of {score, completion}, of scores 1 and 0",
    ),
    "dpo-nova": Rule(
        "---- --- - -- -E -",
        "Nova's own rows without two or more labelled candidates, text only",
        "end with a message of `candidates`, each with a preferenceLabel of preferred or "
        "non-preferred",
    ),
    "rft-last-user": Rule(
        "EEEE EEE E EE E? E",
        "a prompt that doesn't end with the user",
        'write {"messages": [..., a user message]} and beside it what the grader compares',
    ),
    "rft-validation": Rule(
        "--WW --- - -- -- -",
        "no validation file, without which these vendors refuse the job",
        "--validation FILE",
        source="reinforcement guides: the job is refused; a check of the training file alone isn't",
    ),
    "rft-grader-field": Rule(
        ERROR,
        "a field that the grader reads and a row lacks, or gives another type",
        "give every row the field, with a value of one type",
        "{{item.FIELD}}",
    ),
    "rft-grader-field/template": Rule(
        WARNING,
        "a template with spaces or an index in its braces",
        "write {{item.FIELD}}",
        source="pages contradict each other",
    ),
    "rft-system": Rule(
        "---W --- - -- -- -",
        "a system message in a prompt",
        "write it into the user's message, or as developer",
        source="Azure's page of 2025; its example of 2026 uses developer",
    ),
    "rft-nova": Rule(
        "---- --- - -- -? -",
        "a prompt without tools, or without a reference_answer",
        "add `tools` and a `reference_answer`",
        source="AWS's checker for Nova; whether it holds for other bases is unverified",
    ),
}
