"""What a vendor itself says that a job will cost: worth more than any table of ours."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from ftctl.job import JobSpec
from ftctl.providers.base import Provider, RemoteFile


@dataclass(frozen=True, slots=True)
class VendorPrice:
    """A vendor's own estimate.

    Attributes:
        usd: What the job will cost, in USD.
        allowed: Whether the account may spend that; None where the vendor doesn't say.
    """

    usd: float
    allowed: bool | None = None


@runtime_checkable
class QuotingProvider(Provider, Protocol):
    """A provider that says what a job costs once it holds the data, and before the job is made."""

    def price(self, spec: JobSpec, files: Mapping[str, RemoteFile]) -> VendorPrice | None:
        """Ask for the price; nothing is made or spent. None: it won't say.

        Args:
            spec: What would be asked.
            files: What it holds: `training` and, where there is one, `validation`.
        """
