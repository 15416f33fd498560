"""What is written beside a job's results: a card, and the vendor's own record of the job."""

import json
from collections.abc import Mapping
from typing import Any


def card(name: str | None, *, base: str, job: str, base_url: str, says: str) -> bytes:
    """The model card: which model, from what, where it is.

    It names no version of ours: a later one has to find the folder as it was fetched.

    Args:
        name: The tuned model's, or what its job was called.
        base: The model that it was tuned from.
        job: The vendor's id of the job.
        base_url: Of the vendor's API.
        says: Where its weights are, where it answers, and what stands in the other files.
    """
    made = f"A model tuned from `{base}` by job `{job}` at {base_url}, fetched by ftctl."
    return f"# {name}\n\n{made}\n\n{says}\n".encode()


def record(document: Mapping[str, Any]) -> bytes:
    """A JSON document to keep."""
    return json.dumps(document, indent=1, sort_keys=True).encode()
