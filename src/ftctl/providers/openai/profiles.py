"""Who speaks OpenAI's fine-tuning wire, and how each one's dialect differs: data, no code.

Sources: OpenAI: its SDK 3.57 and its OpenAPI description of 2026-08-21. Azure: its fine-tuning
guide and samples of its SDK; which words `trainingType` takes was read second-hand. Nebius: its API
reference and client code that runs against it, read by 2026-11. Bedrock: the user guide's pages on
open-weight models, 2026-11. None of them was asked live.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from ftctl.job import Hyperparameters, Method, Tuning
from ftctl.providers.base import Capabilities

MB = 2**20
Value = str | int | float | bool


@dataclass(frozen=True)
class Setting:
    """A setting as a vendor spells it, and what it takes.

    Attributes:
        theirs: Its name on the wire.
        says: What a person reads of it, where it is an option of this vendor.
        low: Smallest value, taken itself unless `above`.
        high: Largest value, taken itself.
        above: Whether `low` itself is refused.
        whole: Whether only whole numbers are taken.
        words: What may be said, and what is sent for it, where it isn't a number.
    """

    theirs: str
    says: str = ""
    low: float = 0
    high: float = math.inf
    above: bool = False
    whole: bool = False
    words: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True)
class Profile:
    """One vendor's dialect of the wire.

    Attributes:
        name: Of the catalog.
        who: Whom messages name.
        dialect: Whose rules its data must keep; nothing of its own is known of Nebius.
        base_url: Where it answers; None where every customer has an address of their own.
        settings: For each method the settings that it takes, by our names.
        tunings: Ways of tuning that may be asked for.
        sent_for: What is sent for each way of tuning.
        options: Settings of the request itself, by our names.
        body: Where settings stand: in the object of the method, or under `hyperparameters`.
        marker: What keeps our marker: the job's metadata, or its suffix.
        filters_lists: Whether it surely shows only jobs of the metadata that are asked for.
        longest_suffix: In characters; 0 where it takes none.
        seeds: Whether it takes a seed.
        graders: Kinds of grader that it takes for rft.
        rft_needs_validation: Whether rft asks for a validation file.
        model_names: Its own names, by those of the catalog, where they differ by no rule.
        names_by: The rule for the others.
        all_models_known: Whether the catalog holds every model that it tunes.
        imports_files: Whether a file may be used only after a while.
        largest_file: Bytes that one request may send.
        has_uploads: Whether larger files may come in parts.
        part_bytes: The largest part.
        returns_weights: Whether checkpoints are files that can be brought home.
        can_pause: Whether a job can be paused.
        regulated: The option and words with which rows stay in a region of the contract.
        address_hint: How to say where it answers.
    """

    name: str
    who: str
    settings: Mapping[Method, Mapping[str, Setting]]
    dialect: str = "openai"
    base_url: str | None = None
    tunings: frozenset[Tuning] = frozenset({"lora"})
    sent_for: Mapping[Tuning, Mapping[str, Value]] = field(default_factory=dict)
    options: Mapping[str, Setting] = field(default_factory=dict)
    body: Literal["method", "hyperparameters"] = "method"
    marker: Literal["metadata", "suffix"] = "metadata"
    filters_lists: bool = False
    longest_suffix: int = 64
    seeds: bool = True
    graders: frozenset[str] = frozenset()
    rft_needs_validation: bool = True
    model_names: Mapping[str, str] = field(default_factory=dict)
    names_by: Literal["date", "hub_id", "none"] = "none"
    all_models_known: bool = False
    imports_files: bool = False
    largest_file: int = 512 * MB
    has_uploads: bool = False
    part_bytes: int = 64 * MB
    returns_weights: bool = False
    can_pause: bool = False
    regulated: tuple[str, frozenset[str]] | None = None
    address_hint: str = "--base-url https://host/v1"

    @cached_property
    def capabilities(self) -> Capabilities:
        """The same, as the rest of ftctl asks for it."""
        every = {name: rule for rules in self.settings.values() for name, rule in rules.items()}
        every |= self.options
        ours = set(every) & set(Hyperparameters.model_fields)
        options = {name: rule.says for name, rule in every.items() if name not in ours}
        if self.graders:
            kinds = ", ".join(sorted(self.graders))
            options["grader"] = f"for rft: what gives the reward, as JSON or @FILE ({kinds})"
        return Capabilities(
            methods=frozenset(self.settings),
            tunings=self.tunings,
            hyperparameters=frozenset(ours | ({"seed"} if self.seeds else set())),
            can_cancel=True,
            can_find=True,
            can_resume=False,
            returns_weights=self.returns_weights,
            data_stays_here=False,
            lists_lag=True,
            dialect=self.dialect,
            options=options,
            can_pause=self.can_pause,
        )


_COMMON = {
    "epochs": Setting("n_epochs", low=1, high=50, whole=True),
    "batch_size": Setting("batch_size", low=1, high=256, whole=True),
    "learning_rate_multiplier": Setting("learning_rate_multiplier", above=True),
}
_DPO = _COMMON | {
    "beta": Setting("beta", "for dpo: how closely it keeps to the base, 0 to 2", high=2, above=True)
}
_EFFORTS = {word: word for word in ("default", "low", "medium", "high")}
_RFT = _COMMON | {
    "reasoning_effort": Setting(
        "reasoning_effort", f"for rft: {', '.join(_EFFORTS)}", words=_EFFORTS
    ),
    "compute_multiplier": Setting(
        "compute_multiplier",
        "for rft: compute spent on exploring, 0.00001 to 10",
        low=0.00001,
        high=10,
        above=True,
    ),
    "eval_interval": Setting(
        "eval_interval", "for rft: steps between evaluations", low=1, whole=True
    ),
    "eval_samples": Setting("eval_samples", "for rft: samples of an evaluation", low=1, whole=True),
}
_ANY_GRADER = frozenset({"string_check", "text_similarity", "score_model", "python", "multi"})

OPENAI = Profile(
    name="openai",
    who="OpenAI",
    base_url="https://api.openai.com/v1",
    settings={"sft": _COMMON, "dpo": _DPO, "rft": _RFT},
    filters_lists=True,
    graders=_ANY_GRADER,
    names_by="date",
    all_models_known=True,
    has_uploads=True,
    can_pause=True,
)

# Its v1 wire takes the resource's key as a bearer, as samples with OpenAI's own client show.
AZURE = Profile(
    name="azure",
    who="Azure",
    dialect="azure",
    settings={"sft": _COMMON, "dpo": _DPO, "rft": _RFT},
    options={
        "tier": Setting(
            "trainingType",
            "where it is trained: standard (in your region), global or developer (both cheaper, "
            "anywhere)",
            words={
                "standard": "Standard",
                "global": "GlobalStandard",
                "developer": "developerTier",
            },
        )
    },
    longest_suffix=40,
    graders=_ANY_GRADER,
    model_names={"qwen3-32b": "Qwen-32B", "llama-3.3-70b-instruct": "Llama-3.3-70B-Instruct"},
    names_by="date",
    imports_files=True,
    has_uploads=True,
    can_pause=True,
    regulated=("tier", frozenset({"standard"})),
    address_hint="export AZURE_OPENAI_BASE_URL=https://RESOURCE.openai.azure.com/openai/v1, or "
    "--base-url",
)

_SWITCH: Mapping[str, Value] = {"true": True, "false": False}
NEBIUS = Profile(
    name="nebius",
    who="Nebius",
    base_url="https://api.tokenfactory.nebius.com/v1",
    settings={
        "sft": {
            "epochs": Setting("n_epochs", low=1, high=20, whole=True),
            "batch_size": Setting("batch_size", low=1, high=32, whole=True),
            "learning_rate": Setting("learning_rate", above=True),
            "warmup_fraction": Setting("warmup_ratio", high=1),
            "weight_decay": Setting("weight_decay"),
            "max_length": Setting("context_length", low=8192, high=131_072, whole=True),
            "lora_r": Setting("lora_r", low=8, high=128, whole=True),
            "lora_alpha": Setting("lora_alpha", low=8, whole=True),
            "lora_dropout": Setting("lora_dropout", high=1),
            "packing": Setting(
                "packing", "true or false: short examples share a sequence", words=_SWITCH
            ),
            "max_grad_norm": Setting("max_grad_norm", "gradients are clipped to it", above=True),
        }
    },
    tunings=frozenset({"lora", "full"}),
    sent_for={"lora": {"lora": True}, "full": {"lora": False}},  # it tunes in full unless told
    body="hyperparameters",
    marker="suffix",
    names_by="hub_id",
    largest_file=5_000_000_000,
    returns_weights=True,
)

BEDROCK = Profile(
    name="bedrock",
    who="Amazon Bedrock",
    dialect="bedrock",
    settings={
        "rft": {
            "epochs": Setting("n_epochs", low=1, high=50, whole=True),
            "batch_size": Setting("batch_size", low=16, high=512, whole=True),
            "learning_rate_multiplier": Setting("learning_rate_multiplier", above=True),
            "reasoning_effort": Setting(
                "reasoning_effort",
                "for rft: low, medium, high",
                words={word: word for word in ("low", "medium", "high")},
            ),
            "eval_interval": Setting(
                "eval_interval", "for rft: steps between evaluations", low=1, high=100, whole=True
            ),
        }
    },
    longest_suffix=0,
    seeds=False,
    graders=frozenset({"lambda"}),
    rft_needs_validation=False,
    model_names={"gpt-oss-20b": "openai.gpt-oss-20b", "qwen3-32b": "qwen.qwen3-32b"},
    address_hint="export AWS_REGION=us-west-2, or --base-url "
    "https://bedrock-mantle.REGION.api.aws/v1",
)
