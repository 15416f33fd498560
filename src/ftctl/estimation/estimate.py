"""A number nobody knows exactly: low, likely, high, a unit, and what it rests on."""

from collections.abc import Iterable
from datetime import date
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator

from ftctl.catalog.types import Fact

Origin = Literal["measured", "user", "catalog", "prior", "vendor"]


class Assumption(BaseModel):
    """One value an estimate rests on: whose word it is, of which day, from where."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    value: str
    origin: Origin
    as_of: date | None
    source: str

    @classmethod
    def from_fact(cls, name: str, value: object, fact: Fact) -> "Assumption":
        """An assumption taken from a row of the catalog, ours or the user's.

        An unverified row says so.
        """
        mark = " (unverified)" if fact.confidence == "unverified" else ""
        source = f"{fact.source}{mark}"
        origin: Origin = "user" if fact.confidence == "user" else "catalog"
        return cls(name=name, value=str(value), origin=origin, as_of=fact.as_of, source=source)

    @classmethod
    def prior(cls, name: str, value: object, why: str) -> "Assumption":
        """A default range where nobody said or measured anything."""
        return cls(name=name, value=str(value), origin="prior", as_of=None, source=why)

    @classmethod
    def from_user(cls, name: str, value: object) -> "Assumption":
        """What the user told us."""
        return cls(name=name, value=str(value), origin="user", as_of=None, source="your facts")


class Estimate(BaseModel):
    """A quantity as low, likely and high, in `unit`, with what it rests on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    low: float
    likely: float
    high: float
    unit: str
    basis: tuple[Assumption, ...] = ()

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low <= self.likely <= self.high:
            raise ValueError(f"not in order: {self.low}, {self.likely}, {self.high}")
        return self

    @classmethod
    def exact(cls, value: float, unit: str, *basis: Assumption) -> "Estimate":
        """A value without spread."""
        return cls(low=value, likely=value, high=value, unit=unit, basis=basis)

    def scaled(self, factor: float, unit: str | None = None) -> "Estimate":
        """The estimate times a factor that is zero or more, in another unit if named."""
        return Estimate(
            low=self.low * factor,
            likely=self.likely * factor,
            high=self.high * factor,
            unit=unit or self.unit,
            basis=self.basis,
        )


def total(estimates: Iterable[Estimate], unit: str) -> Estimate:
    """The sum of estimates in one unit, lows with lows: wider than independent terms would be.

    Raises:
        ValueError: a term is in another unit.
    """
    terms = list(estimates)
    if any(term.unit != unit for term in terms):
        raise ValueError(f"not all in {unit}: {[term.unit for term in terms]}")
    basis = dict.fromkeys(assumption for term in terms for assumption in term.basis)
    return Estimate(
        low=sum(term.low for term in terms),
        likely=sum(term.likely for term in terms),
        high=sum(term.high for term in terms),
        unit=unit,
        basis=tuple(basis),
    )
