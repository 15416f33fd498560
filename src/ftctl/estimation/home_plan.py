"""What one's own cards can tune: whether this job fits, what else would, and what to choose."""

from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict

from ftctl.catalog.types import Model
from ftctl.estimation.adam_table import AdamRow, adam_table
from ftctl.estimation.decoder import Decoder
from ftctl.estimation.here import AtHome, HomeJob, cards_used, least_tokens, like_asked
from ftctl.estimation.memory import Term, Verdict, memory_need, verdict
from ftctl.estimation.recommend import (
    largest_models,
    largest_tokens,
    longest_sequence,
    most_frugal,
    recommend,
)
from ftctl.estimation.setting import Cards, Setting
from ftctl.job import Tuning


class Reach(BaseModel):
    """How far one way of tuning goes on these cards with this model.

    Attributes:
        verdict: Of the plainest setting that fits, else of the most frugal one.
        says: That setting in words.
        micro_batch_tokens: The most that fit with it; 0 where it doesn't fit.
        sequence_tokens: The longest example that can be trained on, all layers recomputed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    tuning: Tuning
    verdict: Verdict
    says: str
    micro_batch_tokens: int
    sequence_tokens: int


class LargestModel(BaseModel):
    """The largest model of the catalog that fits these cards in one way of tuning."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tuning: Tuning
    model: str
    parameters: int
    says: str


class HomePlan(BaseModel):
    """What the planner says of one job on one's own cards.

    Attributes:
        verdict: Of the job as it would be run.
        setting: How it would be run.
        says: The same in words.
        terms: What its memory is made of.
        adam: What `accelerate` would tell of full training, beside it.
        reach: How far LoRA, QLoRA and full fine-tuning go with this model.
        largest_models: What else would fit.
        recommended: The plainest setting that fits; None where none does.
        choose: That in words, with the flags of `ftctl submit`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    cards: Cards
    verdict: Verdict
    setting: Setting
    says: str
    terms: tuple[Term, ...]
    adam: tuple[AdamRow, ...]
    reach: tuple[Reach, ...]
    largest_models: tuple[LargestModel, ...]
    recommended: Setting | None
    choose: str


def plan_home(run: AtHome, job: HomeJob, models: Iterable[Model]) -> HomePlan:
    """The planner's answer for a job, among models of a catalog."""
    decoder, cards = run.decoder, run.cards
    used, like = cards_used(cards, job.ways), like_asked(job, cards)
    least = least_tokens(job)
    recommended = recommend(decoder, cards, like=like, longest=least)
    return HomePlan(
        cards=cards,
        verdict=verdict(run.memory, used.memory_gib),
        setting=run.setting,
        says=str(run.setting),
        terms=run.need.terms,
        adam=adam_table(decoder.parameters),
        reach=tuple(_reach(decoder, cards, like, tuning, least) for tuning in _tunings(cards)),
        largest_models=largest_of(models, cards),
        recommended=recommended,
        choose=_choose(decoder, recommended),
    )


def _tunings(cards: Cards) -> tuple[Tuning, ...]:
    """QLoRA runs on a CPU, too, but saves little there: it packs a base that is loaded whole."""
    return ("lora", "qlora", "full") if cards.kind == "gpu" else ("lora", "full")


def largest_of(models: Iterable[Model], cards: Cards) -> tuple[LargestModel, ...]:
    """The largest models that can be tuned on these cards, one for each way of tuning."""
    return tuple(
        LargestModel(
            tuning=found.tuning,
            model=found.model.name,
            parameters=found.model.parameters or 0,
            says=str(found.setting),
        )
        for found in largest_models(models, cards)
    )


def _reach(decoder: Decoder, cards: Cards, like: Setting, tuning: Tuning, least: int) -> Reach:
    found = recommend(decoder, cards, like=like, tunings=(tuning,), longest=least)
    setting = found or most_frugal(like, cards, tuning, least)
    return Reach(
        tuning=tuning,
        verdict=verdict(memory_need(decoder, setting).peak, cards.memory_gib),
        says=str(setting),
        micro_batch_tokens=largest_tokens(decoder, setting, cards),
        sequence_tokens=longest_sequence(decoder, cards, tuning, setting),
    )


def _choose(decoder: Decoder, setting: Setting | None) -> str:
    if setting is None:
        return f"{decoder.name} can't be tuned on these cards: a smaller model, or a larger card"
    return f"{setting}, up to {setting.tokens:,} tokens a micro-batch"
