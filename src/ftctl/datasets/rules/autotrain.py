"""What AutoTrain has to be told, as it reads columns and not rows.

Source: AutoTrain Advanced 0.8.36, its last release, read 2026-11.
"""

from collections.abc import Iterator

from ftctl.datasets.rules.types import Finding

_NEEDS = {
    "sft": (
        "messages",
        "AutoTrain trains on one column: its text_column has to name `messages`, and chat_template "
        "has to be set; loss then counts on every token, the user's too",
        "",
    ),
    "dpo": (
        "input",
        "AutoTrain reads pairs from three columns: prompt_text_column, text_column (the better "
        "answer) and rejected_text_column",
        "ftctl data convert FILE -o NEW --to trl writes the columns prompt, chosen, rejected; "
        "name them in column_mapping",
    ),
}


def column_mapping(method: str) -> Iterator[Finding]:
    """`column-mapping`, once a file.

    Args:
        method: How the model will be tuned; AutoTrain knows sft and dpo.
    """
    if method in _NEEDS:
        yield Finding("column-mapping", *_NEEDS[method])
