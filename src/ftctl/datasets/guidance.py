"""What a person should do about a dataset, in sentences, from its numbers alone."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ftctl.datasets.across import LABEL_SHARE

if TYPE_CHECKING:
    from ftctl.datasets.stats import DataStats

FEW_ROWS = 50
MANY_ROWS = 10_000
_COPIES_SHARE = 0.05  # from which copies are worth a sentence
_TASK_SHARE = 0.05  # of the rows, from which a form of answer is a task and no stray
_ONE_GROUP = 0.9  # of the prompts, or of the answers, from which they are all of a kind
_FEW_RUNS = 0.2  # of all runs of words, below which answers repeat themselves


def guidance(said: "DataStats") -> Iterator[str]:
    """What a person should do about it, in sentences."""
    if said.rows < FEW_ROWS:
        yield (
            f"{said.rows} rows: start with {FEW_ROWS}-100 good ones, then look at what the tuned "
            "model still gets wrong and write rows for that"
        )
    if said.rows > MANY_ROWS:
        yield (
            f"{said.rows:,} rows: before you pay for all of them, tune on 1,000 and on 5,000 and "
            "score both on the same held-out rows; where the score no longer rises, more rows "
            "bring cost and no quality (`ftctl pilot` does that with a small model on this machine)"
        )
    if said.unreadable_rows:
        yield (
            f"{said.unreadable_rows:,} lines aren't chat examples and are counted nowhere else: "
            f"`ftctl data check {said.file}` names them"
        )
    copies = said.copies.exact + said.copies.normalised + (said.copies.near or 0)
    if copies >= _COPIES_SHARE * said.rows:
        yield (
            f"{copies:,} rows say again what an earlier row said ({copies / said.rows:.0%}): drop "
            "them, unless that much weight is meant"
        )
    if said.labels is not None and said.labels.different == 1:
        yield "all answers are the same: nothing but that answer will be learnt"
    elif said.labels is not None and said.labels.majority_share > LABEL_SHARE:
        yield (
            f"one label has {said.labels.majority_share:.0%} of the rows: the others will hardly "
            "be learnt; add rows of them"
        )
    several = [task for task in said.tasks if task.share >= _TASK_SHARE]
    if len(several) > 1:
        yield (
            f"answers have {len(several)} unlike forms, so this may be {len(several)} tasks: a "
            f"model for each is easier to judge (`ftctl data split {said.file} --by task`)"
        )
    if said.personal_data or said.secrets:
        yield (
            "personal data or secrets were found: mask them before the file leaves; what no "
            f"pattern knows isn't found (`ftctl data check {said.file}` gives the lines)"
        )
    yield from _of_variety(said)


def _of_variety(said: "DataStats") -> Iterator[str]:
    variety = said.variety
    if variety.sampled_rows < FEW_ROWS:
        return
    if variety.largest_group >= _ONE_GROUP and said.tasks[0].share >= _ONE_GROUP:
        yield (
            f"{variety.largest_group:.0%} of the prompts share most of their words: right for one "
            "narrow task, else add rows as people really ask (`ftctl data compare` with a log "
            "shows how far off they are)"
        )
    if said.labels is None and variety.answer_ngrams[3] < _FEW_RUNS:
        yield (
            f"only {variety.answer_ngrams[3]:.0%} of the runs of three words in answers are "
            "different: the model will learn these phrases; vary them unless they are meant"
        )
