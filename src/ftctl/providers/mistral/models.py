"""Models that were tuned at Mistral while that was possible: `mistralai` 3 still manages them."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ftctl.errors import NotFound, UsageError
from ftctl.providers.base import KeptModel
from ftctl.providers.mistral.sdk import MistralSdk
from ftctl.providers.transport.http_errors import printable, still_there

if TYPE_CHECKING:
    from mistralai.client.models import FTModelCard


class MistralModels:
    """The tuned models of an account.

    Args:
        at: Where to ask.
        who: Whom messages name.
    """

    def __init__(self, at: MistralSdk, who: str) -> None:
        self._at = at
        self._who = who

    def every(self) -> Iterator[KeptModel]:
        """Each of them, the archived ones too."""
        from mistralai.client.models import FTModelCard

        with self._at.asking("list models") as client:
            listed = client.models.list()
        for card in listed.data or ():
            if isinstance(card, FTModelCard):
                yield _kept(card)

    def show(self, model_id: str) -> KeptModel:
        """One of them.

        Raises:
            UsageError: it is a base model, nobody's to change.
            NotFound: there is none.
        """
        from mistralai.client.models import FTModelCard

        _require_id(model_id)
        with self._at.asking(f"show {model_id}") as client:
            card = client.models.retrieve(model_id=model_id)
        if not isinstance(card, FTModelCard):
            raise UsageError(
                f"{model_id} is a model of {self._who}'s, not one that you tuned",
                hint="ftctl models --mine --provider mistral",
            )
        return _kept(card)

    def rename(self, model_id: str, name: str, description: str | None) -> KeptModel:
        """Give one another name to be shown by; it answers under its id as before."""
        _require_id(model_id)
        from mistralai.client.types import UNSET

        said = UNSET if description is None else description
        with self._at.asking(f"rename {model_id}") as client:
            client.models.update(model_id=model_id, name=name, description=said)
        return self.show(model_id)

    def archive(self, model_id: str, *, archived: bool) -> KeptModel:
        """Put one aside, or bring it back."""
        _require_id(model_id)
        with self._at.asking(f"{'archive' if archived else 'unarchive'} {model_id}") as client:
            change = client.models.archive if archived else client.models.unarchive
            change(model_id=model_id)
        return self.show(model_id)

    def delete(self, model_id: str) -> None:
        """Delete one for good, and see that it is gone.

        Raises:
            UsageError: it isn't one that the account tuned.
            Unavailable: it is still there.
        """
        self.show(model_id)
        with self._at.asking(f"delete {model_id}") as client:
            client.models.delete(model_id=model_id)
        try:
            self.show(model_id)
        except NotFound:
            return
        raise still_there(self._who, model_id)


def _require_id(model_id: str) -> None:
    if not model_id.strip():  # it would ask for the list instead
        raise UsageError("an empty id names no model", hint="ftctl models --mine")


def _kept(card: "FTModelCard") -> KeptModel:
    ends = card.deprecation if isinstance(card.deprecation, datetime) else None
    return KeptModel(
        id=printable(card.id),
        base=printable(card.root),
        name=printable(card.name) if isinstance(card.name, str) else "",
        description=printable(card.description) if isinstance(card.description, str) else "",
        archived=bool(card.archived),
        created=None if card.created is None else datetime.fromtimestamp(card.created, UTC).date(),
        ends=None if ends is None else ends.date(),
        job=printable(card.job),
    )
