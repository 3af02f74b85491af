"""Faust's assignor, for workers that come back under their name with another address.

A static member that is started again gets the assignment that was made for it before, without a rebalance, and that
says at which address it was. Faust takes another one for an error and gets no partitions; here the worker puts its own
in its place. The others hear of it at the next rebalance.
"""

from __future__ import annotations

from typing import Any

from faust.assignor.client_assignment import ClientMetadata
from faust.assignor.partition_assignor import PartitionAssignor
from yarl import URL


class Assignor(PartitionAssignor):
    """Takes assignments that were made for an earlier process of this worker."""

    _assigned_url: str | None = None

    @property
    def _url(self) -> URL:
        return self.app.conf.canonical_url if self._assigned_url is None else URL(self._assigned_url)

    def on_assignment(self, assignment: Any) -> None:
        """Take up an assignment."""
        told: Any = ClientMetadata.loads(self._decompress(assignment.user_data))
        self._assigned_url = told.url
        try:
            super().on_assignment(assignment)
        finally:
            self._assigned_url = None
        self.changelog_distribution = self._with_own(told.url, self.changelog_distribution)
        self.external_topic_distribution = self._with_own(told.url, self.external_topic_distribution)

    def _with_own(self, was: str, distribution: Any) -> Any:
        own = str(self._url)
        return {own if url == was else url: partitions for url, partitions in distribution.items()}
