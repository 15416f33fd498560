"""What OpenAI settles on by itself is kept, so that advice can say from what to what."""

import math
from typing import Any

import pytest

from ftctl.providers.openai.wire import Job, snapshot_of


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        (
            {"n_epochs": 3, "batch_size": 1, "learning_rate_multiplier": 1.8},
            {"epochs": 3.0, "batch_size": 1.0, "learning_rate_multiplier": 1.8},
        ),
        ({"n_epochs": "auto", "batch_size": "auto"}, {}),
        ({"n_epochs": math.nan, "batch_size": 10**400, "learning_rate_multiplier": -1}, {}),
        (None, {}),
    ],
)
def test_settings_are_kept_once_they_are_numbers(
    told: dict[str, Any] | None, kept: dict[str, float]
) -> None:
    job = Job(id="ftjob-1", status="running", hyperparameters=told)
    assert snapshot_of(job).progress == kept
