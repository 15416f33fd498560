"""The rule table: counts, length, and what only several lines or plain text show."""

from ftctl.datasets.rules.rule import WARNING, Rule

ROWS: dict[str, Rule] = {
    "min-examples": Rule(
        "EEEE WWW W WW WW W",
        "fewer examples than OpenAI and Azure take",
        "OpenAI wants 10 examples at least; write more",
        "10",
    ),
    "min-examples/3": Rule(
        "---- --- - -E -- -",
        "fewer examples than Fireworks takes",
        "Fireworks wants 3 examples at least; write more",
        "3",
    ),
    "min-examples/8": Rule(
        "---- --- - -- -E -",
        "fewer examples than Nova takes",
        "Nova wants 8 examples at least; write more",
        "8",
    ),
    "min-examples/100": Rule(
        "---- --- - -- -? -",
        "fewer prompts than Nova 2 takes for RFT",
        "Nova 2 wants 100 prompts at least; write more",
        "100 (RFT)",
    ),
    "min-examples/200": Rule(
        "---- --- - -- -W -",
        "fewer examples than Nova 2 takes for SFT",
        "Nova 2 wants 200 examples at least, Nova 1 takes 8; write more",
        "200 (SFT, Nova 2)",
    ),
    "few-examples": Rule(
        "---- --- W WW WW W",
        "no more examples than must be",
        "50 to 100 good examples are the usual start",
        "50",
    ),
    "few-examples/100": Rule(
        "---- --- - -- WW -",
        "fewer examples than the vendor advises",
        "100 examples of a task are advised",
        "100",
    ),
    "few-examples/1000": Rule(
        "---- --- - -- -W -",
        "fewer pairs than Nova's page advises for DPO",
        "1,000 pairs are advised",
        "1,000 (DPO)",
    ),
    "few-examples/advice": Rule(
        "---- --- - -- -- -",
        "fewer examples than a good start has",
        "50 to 100 good examples are the usual start",
        "50",
    ),
    "max-examples/20k": Rule(
        "---- --- - -- -E -", "more examples than Nova takes", "keep the best 20,000", "20,000"
    ),
    "max-examples/1m": Rule(
        "---- --- - -- E- -",
        "more examples than Gemini takes",
        "keep the best 1,000,000",
        "1,000,000",
    ),
    "max-examples/3m": Rule(
        "---- --- - -E -- -",
        "more examples than Fireworks takes",
        "keep the best 3,000,000",
        "3,000,000",
    ),
    "max-examples/images": Rule(
        "W--W --- - -- -- -",
        "more examples with images than these vendors train on",
        "keep the best 50,000",
        "50,000 with images",
        source="vision guides",
    ),
    "many-examples/advice": Rule(
        "---- --- - -- -- -",
        "so many examples that a pilot on fewer pays",
        "tune on 1,000 and on 5,000 of them first and score both on the same held-out rows: where "
        "the score no longer rises, more rows bring cost and no quality (ftctl pilot does that "
        "with a small model on this machine)",
        "10,000",
    ),
    "validation-size": Rule(
        "---- WWW - -- -- -",
        "a validation file that is too large",
        "keep it below 1 MB and 5 % of the training file",
        "1 MB and 5 %",
    ),
    "validation-size/rows": Rule(
        "---- --- - -- W- -",
        "more validation examples than Gemini takes",
        "keep at most 5,000; older pages say 256",
        "5,000 rows",
    ),
    "too-long": Rule(
        "WWWW WWW W WW -? W",
        "an example that is cut at the end",
        "shorten or split the example; what is cut off isn't learnt",
        "65,536 tokens at OpenAI; elsewhere the base's",
    ),
    "too-long/prompt": Rule(
        "EEEE WWW W WW -? W",
        "a prompt so long that nothing of the answer is left",
        "shorten the prompt: no token of the answer would be left",
        "65,536 tokens at OpenAI; elsewhere the base's",
    ),
    "too-long/trl": Rule(
        "---- --- W -- -- -",
        "an example that TRL cuts at the end, without a word",
        "shorten it, or let more be kept: ftctl submit --set max_length=N (as far as the base and "
        "the GPU go)",
        "1,024 tokens unless max_length is set",
        source="TRL 1.16's SFTConfig, read; AutoTrain packs examples and cuts none",
        autotrain="-",
    ),
    "too-long/trl-prompt": Rule(
        "---- --- E -- -- -",
        "a prompt so long that TRL keeps nothing of the answer",
        "shorten the prompt, or let more be kept: ftctl submit --set max_length=N",
        "1,024 tokens unless max_length is set",
        source="TRL 1.16's SFTConfig, read",
        autotrain="-",
    ),
    "too-long/131072": Rule(
        "---- --- - -- W- -",
        "an example that is longer than Gemini takes",
        "shorten or split the example",
        "131,072 tokens",
    ),
    "duplicate-example": Rule(
        WARNING, "the same example again", "drop one; it counts twice in training"
    ),
    "near-duplicate": Rule(
        WARNING, "nearly the same example again", "drop one, unless the repetition is meant"
    ),
    "train-val-overlap": Rule(
        WARNING, "a prompt on both sides of a split", "ftctl data split FILE makes disjoint files"
    ),
    "conflicting-answers": Rule(
        WARNING,
        "one prompt with two answers",
        "decide for one answer; the model would learn neither",
    ),
    "system-inconsistent": Rule(
        WARNING,
        "several system prompts, or none on some lines",
        "use one system prompt, the one that you will serve with",
    ),
    "mixed-tasks": Rule(
        WARNING, "answers of several forms", "tune a model per task, or check that the mix is meant"
    ),
    "label-imbalance": Rule(
        WARNING,
        "labels of which one takes nearly all",
        "add examples of the rare labels, or drop common ones",
        "90 %",
    ),
    "truncated-answer": Rule(
        WARNING, "answers that break off", "raise max_tokens where the answers were made"
    ),
    "special-token": Rule(
        WARNING,
        "a chat template's control token in text",
        "drop the model's own control tokens from the text",
    ),
    "special-token/fim": Rule(
        "EEE? WWW W WW WW W",
        "a control token <|fim_...|> in text",
        "drop it: OpenAI refuses it",
        source="OpenAI job errors, 2026-02 (issue)",
    ),
    "reserved-string": Rule(
        "---- --- - -- -E -",
        "a string that Nova keeps for itself",
        "write it otherwise, such as in lower case",
        "System: User: Bot: Assistant: Thought: [EOS] <image> <video> <unk>",
        source="AWS's checker for Nova; its page names fewer",
    ),
    "template-alternation": Rule(
        "---- --- E -- -- E",
        "messages that the target's own chat template refuses, rewrites or leaves out",
        "bring the messages into the order that the template takes, or take another base model",
        source="the template itself, run (--model FOLDER)",
    ),
    "template-empty": Rule(
        "---- --- E -- -- E",
        "an answer that the target's own chat template renders to nothing",
        "write an answer that the template keeps (not only reasoning, not only calls it doesn't "
        "know), or take another base model",
        source="the template itself, run (--model FOLDER)",
    ),
    "ungrounded": Rule(
        WARNING,
        "an answer with numbers, names, dates or quotes that stand nowhere before it, in a file "
        "whose other answers are taken from their prompts",
        "see whether they were made up: correct the answer, or put the source into the prompt. "
        "Only spelling is compared: what is computed, translated or well known is found as well",
        source="ours",
    ),
    "ungrounded/advice": Rule(
        "---- --- - -- -- -",
        "a file in which many answers bring facts that their prompts lack",
        "if a document should supply them, put it into the prompt, in training as in use: tuning "
        "teaches form well and facts badly. If they are computed or common knowledge, it is fine",
        source="ours",
    ),
    "pii": Rule(
        WARNING, "personal data", "replace it by a placeholder, or decide that it may be learnt"
    ),
    "secret": Rule(
        WARNING,
        "a key or a password",
        "drop it, and revoke it if it is real: models repeat what they saw",
    ),
}
