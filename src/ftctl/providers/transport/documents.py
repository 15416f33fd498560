"""What drivers read vendors' JSON with: leniently, and never a stranger's control signs."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ftctl.providers.transport.http_errors import printable

# The vendor's words are shown to people and kept.
Words = Annotated[str, AfterValidator(printable)]


class Document(BaseModel):
    """A JSON document of the vendor; what isn't read here is passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Item(Document):
    """A document that lists hold: an id tells it apart."""

    id: str = Field(pattern=r"^[!-~]+$", max_length=512)
