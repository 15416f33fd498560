"""The peak of a training step, as predicted and as counted from the tensors that are alive."""

import pytest

from ftctl.estimation.memory import memory_parts
from ftctl.estimation.setting import Setting

pytestmark = pytest.mark.medium

SETTINGS = {
    "nothing recomputed": Setting(),
    "every 2nd layer": Setting(recompute=2),
    "every 3rd layer, the last one among them": Setting(recompute=3),
    "all layers, adapters in fp32": Setting(recompute="all", adapters="fp32"),
    "the last layers in fp32": Setting(weights="fp32", adapters="fp32", last_layers=2),
    "all weights": Setting(tuning="full", recompute="all"),
    "all weights in fp32": Setting(tuning="full", weights="fp32"),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_the_predicted_peak_is_what_is_alive_at_most(name: str) -> None:
    from gpu_memory import Row, decoder_of, measure, shrunk

    decoder = shrunk(decoder_of("qwen2.5-0.5b"))
    row = Row(decoder, SETTINGS[name].model_copy(update={"tokens": 384}))
    peak = measure(row)
    assert peak is not None
    assert memory_parts(decoder, row.setting).sure == pytest.approx(peak.allocated, rel=0.05)


def test_the_head_is_chunked_as_the_local_backend_chunks_it() -> None:
    from ftctl.estimation.memory import head_tokens
    from ftctl.local_backend.head import tokens_at_once

    for vocab in (64, 32_000, 49_152, 151_936, 10**7):
        assert head_tokens(vocab) == tokens_at_once(vocab)
