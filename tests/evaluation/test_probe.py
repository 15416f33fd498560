"""`probe`: what the quantiles and their intervals are, and what the document says."""

import math
import random
from collections.abc import Callable, Sequence

import pytest

from ftctl.errors import Unavailable
from ftctl.evaluation.probe import Probe, Who, probe, prompt, quantile

WHO = Who("mine", "local", "llama-3.1-8b-instruct", "cpu")


class Answering:
    """Answers in two pieces, and fails at the calls it is told to."""

    def __init__(self, failing: Sequence[int] = ()) -> None:
        self.asked: list[str] = []
        self._failing = failing

    def chat(
        self,
        messages: Sequence[dict[str, str]],
        *,
        max_new_tokens: int = 512,
        on_text: Callable[[str], None] | None = None,
    ) -> str:
        self.asked.append(messages[-1]["content"])
        if len(self.asked) - 1 in self._failing:
            raise Unavailable("scripted")
        assert on_text is not None
        for piece in ("", "one", " two"):
            on_text(piece)
        return "one two"[:max_new_tokens]


def test_every_call_after_the_first_is_timed() -> None:
    model, told = Answering(), list[int]()
    found = probe(model, WHO, calls=5, input_tokens=20, output_tokens=9, on_call=told.append)
    assert (found.calls, found.failed, told) == (5, 0, [1, 2, 3, 4, 5])
    assert len(model.asked) == 6
    assert 0 < found.first.p50.likely <= found.whole.p50.likely <= found.whole.p95.likely
    assert Probe.model_validate_json(found.model_dump_json(by_alias=True)) == found


def test_prompts_share_no_beginning_and_have_about_the_length_asked_for() -> None:
    prompts = [prompt(number, 1_000) for number in range(200)]
    assert len({text.split(":")[0] for text in prompts}) == 200
    assert {len(text.split()) for text in prompts} == {996}


def test_failed_calls_are_counted_and_in_no_figure() -> None:
    found = probe(Answering(failing=[2, 4]), WHO, calls=6, input_tokens=1, output_tokens=1)
    assert (found.calls, found.failed) == (6, 2)


@pytest.mark.parametrize("failing", [[0], [1, 2, 3, 4]], ids=["the first", "most"])
def test_a_model_that_does_not_answer_is_an_error(failing: list[int]) -> None:
    with pytest.raises(Unavailable, match="scripted"):
        probe(Answering(failing), WHO, calls=6, input_tokens=1, output_tokens=1)


def test_too_few_calls_bound_nothing() -> None:
    few = [float(n) for n in range(1, 31)]
    assert quantile(few, 0.5).model_dump() == {"likely": 15.0, "low": 10.0, "high": 21.0}
    assert quantile(few, 0.95).high is None
    need = math.ceil(math.log(0.025) / math.log(0.95))  # 72: all below the quantile at 2.5 %
    assert quantile([float(n) for n in range(need)], 0.95).high == need - 1
    assert quantile([float(n) for n in range(need - 1)], 0.95).high is None


@pytest.mark.parametrize("share", [0.5, 0.95])
@pytest.mark.parametrize("calls", [1_000, 1_100, 10_000])
def test_many_calls_are_bounded_as_the_normal_distribution_says(calls: int, share: float) -> None:
    found = quantile([float(n) for n in range(calls)], share)
    assert found.low is not None
    assert found.high is not None
    half = 1.96 * math.sqrt(calls * share * (1 - share))
    assert found.likely - found.low == pytest.approx(half, abs=2)
    assert found.high - found.likely == pytest.approx(half, abs=2)


@pytest.mark.parametrize(("share", "true"), [(0.5, math.log(2)), (0.95, math.log(20))])
def test_the_interval_holds_the_truth_as_often_as_it_says(share: float, true: float) -> None:
    draw = random.Random(7).expovariate  # noqa: S311 - a seeded sample, no secret
    held = 0
    for _ in range(600):
        found = quantile(sorted(draw(1.0) for _ in range(120)), share)
        assert found.low is not None
        assert found.high is not None
        held += found.low <= true <= found.high
    assert 0.93 <= held / 600 <= 1.0
