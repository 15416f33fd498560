"""Models at a vendor of OpenAI's wire: how long each answers, who may use it, and its end."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from ftctl.providers.openai import wire as wire
from ftctl.providers.openai.connection import Connection


class Models:
    """The models of an account.

    Args:
        at: Where they are.
    """

    def __init__(self, at: Connection) -> None:
        self._at = at

    def shutdown_dates(self) -> dict[str, date]:
        """The last day of each model whose end is announced, by its name."""
        listed = self._at.one(
            "list models", wire.page_of(wire.Model), lambda c: c.models.with_raw_response.list()
        )
        return {row.id: row.shutdown for row in listed.data if row.shutdown is not None}

    def delete(self, name: str) -> None:
        """Delete a model and see that it is gone.

        Raises:
            Unavailable: it is still there.
        """
        self._at.delete(
            name,
            lambda c: c.models.with_raw_response.delete(name),
            lambda c: c.models.with_raw_response.retrieve(name),
        )

    def shared_with(self, checkpoint: str) -> list[wire.Permission]:
        """The projects that may use a checkpoint; the key must be an administrator's.

        Args:
            checkpoint: Its model's name.
        """
        return list(
            self._at.rows(
                f"list who may use {checkpoint}",
                wire.Permission,
                lambda c, q: c.fine_tuning.checkpoints.permissions.with_raw_response.list(
                    checkpoint, **q
                ),
            )
        )

    def share(self, checkpoint: str, projects: Sequence[str]) -> list[wire.Permission]:
        """Let projects of the same organisation use a checkpoint; an administrator's key is needed.

        Args:
            checkpoint: Its model's name.
            projects: Their ids.
        """
        body: dict[str, Any] = {"project_ids": list(projects)}
        made = self._at.one(
            f"share {checkpoint}",
            wire.page_of(wire.Permission),
            lambda c: c.fine_tuning.checkpoints.permissions.with_raw_response.create(
                checkpoint, **body
            ),
        )
        return list(made.data)

    def unshare(self, checkpoint: str, permission_id: str) -> None:
        """Take a permission back; harmless when it is gone.

        Args:
            checkpoint: Its model's name.
            permission_id: Of `shared_with`.
        """
        permissions = [row.id for row in self.shared_with(checkpoint)]
        if permission_id in permissions:
            self._at.ask(
                f"take back {permission_id}",
                lambda c: c.fine_tuning.checkpoints.permissions.with_raw_response.delete(
                    permission_id, fine_tuned_model_checkpoint=checkpoint
                ),
            )
