"""The errors of the HTTP way in, as problem details (RFC 9457). The `type` of each is stable."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web

from streams.sources.http.problems import PROBLEMS, TYPE, Slug

CONTENT_TYPE = "application/problem+json"


class ProblemError(Exception):
    """Ends a request with a problem. `retry_after_s` gets some jitter, so that senders do not come back together.

    `source` names the sender, where it is known.
    """

    def __init__(
        self,
        slug: Slug,
        detail: str = "",
        *,
        retry_after_s: int | None = None,
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, Any] | None = None,
        source: str = "",
        close: bool = False,
    ) -> None:
        super().__init__(slug)
        self.slug = slug
        self.detail = detail
        self.retry_after_s = retry_after_s
        self.headers = dict(headers or {})
        self.members = dict(members or {})
        self.source = source
        self.close = close

    @property
    def status(self) -> int:
        """The status code."""
        return PROBLEMS[self.slug].status


def allow_only(request: web.BaseRequest, *methods: str) -> None:
    """Raise ProblemError for a request by another method than these."""
    if request.method not in methods:
        raise ProblemError("method-not-allowed", headers={"Allow": ", ".join(methods)})


def response(problem: ProblemError) -> web.Response:
    """Return the answer to a request that ended with a problem."""
    known = PROBLEMS[problem.slug]
    body: dict[str, Any] = {"type": TYPE + problem.slug, "title": known.title, "status": known.status}
    if problem.detail:
        body["detail"] = problem.detail
    headers = {"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store", **problem.headers}
    if problem.retry_after_s is not None:
        # Not for secrecy: the jitter keeps senders apart.
        seconds = problem.retry_after_s + random.randint(0, max(1, problem.retry_after_s // 4))  # noqa: S311
        headers["Retry-After"] = str(seconds)
    answer = web.Response(status=known.status, headers=headers, body=msgspec.json.encode(body | problem.members))
    if problem.close:
        answer.force_close()
    return answer
