"""What values that are written as JSON have in common."""

from pydantic import BaseModel, ConfigDict


class Value(BaseModel):
    """Fields that are set once, and none but those."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Document(Value):
    """A whole document of `--json`; what it is stands under `schema`."""

    model_config = ConfigDict(serialize_by_alias=True)
