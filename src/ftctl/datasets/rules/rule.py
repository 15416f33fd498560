"""What a row of the rule table is made of."""

from datetime import date
from typing import NamedTuple

READ = date(2026, 11, 24)

# In every row, in this order; the spaces in a row's severities only group them.
COLUMNS = (
    *("openai-sft", "openai-dpo", "openai-rft", "azure"),
    *("mistral-v3", "mistral-v7", "mistral-v11"),
    "huggingface",
    *("together", "fireworks"),
    *("gemini", "bedrock"),
    "local",
)
AUTOTRAIN = "autotrain"  # a column of its own that no row spells out: see `Rule.autotrain`
ERROR = "EEEE EEE E EE EE E"  # everybody refuses it
WARNING = "WWWW WWW W WW WW W"
UNVERIFIED = "unverified: no vendor text says so; reported because it is likely a mistake"

# Where a column comes from, unless a row says otherwise.
SOURCES = {
    "openai": "SFT, DPO and vision guides, data-preparation notebook, API specification to 2026-08",
    "azure": "Foundry's fine-tuning pages, Microsoft's sample checker",
    "mistral": "validators of mistral-common 1.13.1 run per tokenizer version; mistral-finetune",
    "huggingface": "data utilities of TRL 1.16, read; loader of `datasets`, run",
    "together": "file checks of SDK 1.5.35 and 3.1.1, data-preparation page",
    "fireworks": "fine-tuning pages, SDK 1.2.30",
    "gemini": "pages on tuning data, for the file as converted",
    "bedrock": "Nova's data page, AWS's checker for Nova, for the file as converted",
    "local": "chat templates, TRL 1.16 and the loader of `datasets`, run",
    "autotrain": "AutoTrain Advanced 0.8.36, read, dormant since 2025-01; where it adds nothing of "
    "its own, what TRL and the loader do",
}


class Rule(NamedTuple):
    """One row: who minds how much, and how to mend it.

    Attributes:
        severities: One letter a column of `COLUMNS`: E error, W warning, ? warning without a text
            that says so, - fine or not applicable.
        checks: What is found.
        hint: What to do.
        limit: The number or the words that are allowed, where the rule is about one.
        certain: Whether `data check --fix` mends it.
        source: Where it is written, where that isn't the columns'.
        as_of: When it was read or run.
        autotrain: The letter of AutoTrain, where it isn't Hugging Face's: its loader and trainer
            are the same, years older.
    """

    severities: str
    checks: str
    hint: str
    limit: str = ""
    certain: bool = False
    source: str = ""
    as_of: date = READ
    autotrain: str = ""

    @property
    def letters(self) -> dict[str, str]:
        """The letter of each column."""
        letters = dict(zip(COLUMNS, self.severities.replace(" ", ""), strict=True))
        return letters | {AUTOTRAIN: self.autotrain or letters["huggingface"]}
