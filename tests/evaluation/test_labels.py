"""Figures of a whole file of labels, by hand and against scikit-learn."""

import random

import pytest

from ftctl.evaluation.labels import label_figures


def test_figures_by_hand() -> None:
    pairs = [("a", "a"), ("a", "A "), ("a", "b"), ("b", "b"), ("c", "zzz"), ("c", "")]
    figures = label_figures(pairs, lambda text: text.strip().casefold())
    assert figures.accuracy == pytest.approx(3 / 6)
    assert [(s.label, s.n, s.recall) for s in figures.labels] == [
        ("a", 3, pytest.approx(2 / 3)),
        ("c", 2, 0),
        ("b", 1, 1),
    ]
    # f1: a 2·2/(3+2) = .8, b 2·1/(1+2) = .667, c 0
    assert figures.macro_f1 == pytest.approx((0.8 + 2 / 3 + 0) / 3)
    assert figures.outside == 2
    assert [(m.reference, m.answer, m.count) for m in figures.mix_ups] == [
        ("a", "b", 1),
        ("c", "", 1),
        ("c", "zzz", 1),
    ]


@pytest.mark.medium
def test_figures_are_those_of_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    generator = random.Random(7)  # noqa: S311 - a draw, no secret
    pairs = [(generator.choice("abcd"), generator.choice("abcdx")) for _ in range(300)]
    figures = label_figures(pairs, str.strip)
    references, answers = zip(*pairs, strict=True)
    precision, recall, f1, n = metrics.precision_recall_fscore_support(
        references, answers, labels=list("abcd"), zero_division=0
    )
    by_label = {score.label: score for score in figures.labels}
    for i, label in enumerate("abcd"):
        score = by_label[label]
        assert (score.precision, score.recall, score.f1, score.n) == pytest.approx(
            (precision[i], recall[i], f1[i], n[i])
        )
    assert figures.macro_f1 == pytest.approx(f1.mean())
    assert figures.accuracy == pytest.approx(metrics.accuracy_score(references, answers))
