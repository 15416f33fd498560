"""Figures of a whole file of labels: macro-F1, precision and recall per label, the mix-ups."""

from collections import Counter
from collections.abc import Callable, Sequence

from ftctl.datasets.document import Value


class LabelScore(Value):
    """How one label fared; shares are 0–1, and 0 where nothing was there to divide by."""

    label: str
    n: int
    precision: float
    recall: float
    f1: float


class MixUp(Value):
    """How often the reference's label was taken for another answer."""

    reference: str
    answer: str
    count: int


class LabelFigures(Value):
    """What a labelled file shows as a whole.

    Attributes:
        accuracy: Share of answers that are the right label.
        macro_f1: Mean of the labels' F1, each label counting the same however rare it is.
        outside: Answers that are none of the reference labels, errors included.
        labels: Every label of the references, the most frequent first.
        mix_ups: The confusion table without its diagonal, the most frequent first.
    """

    accuracy: float
    macro_f1: float
    outside: int
    labels: tuple[LabelScore, ...]
    mix_ups: tuple[MixUp, ...]


def label_figures(
    pairs: Sequence[tuple[str, str]], canonical: Callable[[str], str]
) -> LabelFigures:
    """Figures from (reference, answer) pairs; at least one.

    Args:
        pairs: References and answers as they were written.
        canonical: Brings a text into the form in which labels are compared.

    Source: F1 is the harmonic mean of precision and recall (van Rijsbergen, 1979).
    """
    shown: dict[str, str] = {}
    for reference, _ in pairs:
        shown.setdefault(canonical(reference), reference.strip())
    table = Counter((canonical(reference), canonical(answer)) for reference, answer in pairs)
    said: Counter[str] = Counter()
    truth: Counter[str] = Counter()
    for (reference, answer), count in table.items():
        truth[reference] += count
        said[answer] += count
    scores = [_score(shown[key], table[key, key], truth[key], said[key]) for key in shown]
    mix_ups = [
        MixUp(reference=shown[reference], answer=shown.get(answer, answer), count=count)
        for (reference, answer), count in table.items()
        if reference != answer
    ]
    return LabelFigures(
        accuracy=sum(table[key, key] for key in shown) / len(pairs),
        macro_f1=sum(score.f1 for score in scores) / len(scores),
        outside=sum(count for answer, count in said.items() if answer not in shown),
        labels=tuple(sorted(scores, key=lambda score: (-score.n, score.label))),
        mix_ups=tuple(sorted(mix_ups, key=lambda m: (-m.count, m.reference, m.answer))),
    )


def _score(label: str, right: int, n: int, said: int) -> LabelScore:
    precision = right / said if said else 0.0
    return LabelScore(
        label=label, n=n, precision=precision, recall=right / n, f1=2 * right / (n + said)
    )
