"""Faust's assignor, for workers that return under their name with another address.

A static member that starts again gets its earlier assignment without a rebalance. That assignment contains the
worker's earlier address. Faust treats a different address as an error and gets no partitions; here the worker replaces
it by its own. Other workers learn the new address at the next rebalance.
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
        metadata: Any = ClientMetadata.loads(self._decompress(assignment.user_data))
        self._assigned_url = metadata.url
        try:
            super().on_assignment(assignment)
        finally:
            self._assigned_url = None
        self.changelog_distribution = self._with_own(metadata.url, self.changelog_distribution)
        self.external_topic_distribution = self._with_own(metadata.url, self.external_topic_distribution)

    def _with_own(self, was: str, distribution: Any) -> Any:
        own = str(self._url)
        return {own if url == was else url: partitions for url, partitions in distribution.items()}
