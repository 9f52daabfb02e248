"""Pure: the desk's routes, two tables from which the router and the OpenAPI document are made."""

from __future__ import annotations

from proxy.query.intake_routes import INTAKE
from proxy.query.parameters import (
    AGAINST,
    BY,
    DECODED,
    FILTERS,
    IMPLICIT,
    PAGING,
    PROJECT,
    RELEVANCE,
    SORT,
    STEP,
    TOP,
    USER,
    USER_SORT,
)
from proxy.query.route import Route

__all__ = ["ACTS", "OCTETS", "ROUTES", "Route"]

OCTETS = "application/octet-stream"

ROUTES = (
    Route(
        path="/api/tasks",
        name="tasks",
        summary="Tasks, newest first, without their raw JSON, headers and pieces.",
        answers="Tasks",
        parameters=(*FILTERS, RELEVANCE, *PAGING),
        also=(400, 503),
    ),
    Route(path="/api/tasks/{id}", name="task", summary="One task, whole.", answers="Task", also=(400, 404, 503)),
    Route(
        path="/api/tasks/{id}/request",
        name="request_body",
        summary="The bytes of the request's body, in the content coding that `X-Content-Coding` names.",
        answers=OCTETS,
        parameters=(DECODED,),
        also=(400, 404, 422, 503),
    ),
    Route(
        path="/api/tasks/{id}/response",
        name="response_body",
        summary="The bytes of the response's body, in the content coding that `X-Content-Coding` names.",
        answers=OCTETS,
        parameters=(DECODED,),
        also=(400, 404, 422, 503),
    ),
    Route(
        path="/api/sessions",
        name="sessions",
        summary="Sessions, the one that ended last first.",
        answers="Sessions",
        parameters=(USER, PROJECT, IMPLICIT, *PAGING),
        also=(400, 503),
    ),
    Route(
        path="/api/sessions/{id}",
        name="session",
        summary="One session with its tasks, oldest first.",
        answers="SessionWithTasks",
        parameters=(PROJECT, *PAGING),
        also=(400, 404, 503),
    ),
    Route(
        path="/api/users",
        name="users",
        summary="Users, the one seen last first.",
        answers="Users",
        parameters=(PROJECT, USER_SORT, *PAGING),
        also=(400, 503),
    ),
    Route(
        path="/api/users/{id}",
        name="user",
        summary="One user with their sessions, the one that ended last first.",
        answers="UserWithSessions",
        parameters=(PROJECT, *PAGING),
        also=(400, 404, 503),
    ),
    Route(
        path="/api/insights/overview",
        name="overview",
        summary="Totals, how many sessions and users, and the main breakdowns.",
        answers="Overview",
        parameters=FILTERS,
        also=(400, 503),
    ),
    Route(
        path="/api/insights/series",
        name="series",
        summary="The measures of each minute, hour, day or week (UTC; weeks from Monday).",
        answers="Series",
        parameters=(*FILTERS, STEP, BY, *TOP),
        also=(400, 503),
    ),
    Route(
        path="/api/insights/breakdown",
        name="breakdown",
        summary="The measures of each project, model, kind, ending, version, user, session or metadata value.",
        answers="Breakdown",
        parameters=(*FILTERS, BY, SORT, *TOP),
        also=(400, 503),
    ),
    Route(
        path="/api/insights/sessions",
        name="session_insights",
        summary="How long sessions last, over time, and what ends them.",
        answers="SessionInsights",
        parameters=(*FILTERS, STEP),
        also=(400, 503),
    ),
    Route(
        path="/api/insights/users",
        name="user_insights",
        summary="Power users, abusive ones, struggling ones, each with what shows it; and who comes again, week by week.",
        answers="UserInsights",
        parameters=(*FILTERS, *TOP),
        also=(400, 503),
    ),
    Route(
        path="/api/insights/compare",
        name="compare",
        summary="Two times, versions or models compared, with confidence intervals.",
        answers="Comparison",
        parameters=(*FILTERS, *AGAINST),
        also=(400, 503),
    ),
    Route(
        path="/api/status", name="status", summary="Where every call since this start is; the figures add up.", answers="Status"
    ),
    Route(path="/metrics", name="metrics", summary="tasktap's own figures, for Prometheus.", answers="text/plain"),
    Route(path="/api/openapi.json", name="openapi", summary="This document.", answers="application/json"),
    Route(path="/healthz", name="healthz", summary="200 while calls can be carried.", answers="Health", open=True, also=(503,)),
    Route(
        path="/readyz",
        name="readyz",
        summary="200 when calls can be carried and recording works, else 503 with the reasons.",
        answers="Readiness",
        open=True,
        also=(503,),
    ),
)

ACTS: tuple[Route, ...] = (
    *INTAKE,
    Route(
        path="/api/reprice",
        name="reprice",
        summary="Reckons anew what a page of tasks costs; `next` is the `cursor` of the page after it.",
        answers="Repriced",
        takes="Again",
        method="POST",
        also=(400, 503),
    ),
    Route(
        path="/api/reread",
        name="reread",
        summary="Reads the bytes of a page of tasks again; `next` is the `cursor` of the page after it.",
        answers="Reread",
        takes="AgainOrOne",
        method="POST",
        also=(400, 404, 503),
    ),
    Route(
        path="/api/sessions/{id}/split",
        name="split_session",
        summary="Moves a task and what came after it out of a session, into a new one.",
        answers="Regrouped",
        takes="Split",
        method="POST",
        also=(400, 404, 409, 503),
    ),
    Route(
        path="/api/sessions/{id}/merge",
        name="merge_session",
        summary="Moves all tasks of a session into another one.",
        answers="Regrouped",
        takes="Merge",
        method="POST",
        also=(400, 404, 409, 503),
    ),
    Route(
        path="/api/forget",
        name="forget",
        summary="Forgets tasks for ever, in the store, the journal and the free places of their files; says what went.",
        answers="Forgotten",
        takes="Forget",
        method="POST",
        also=(400, 503),
    ),
)
"""What the desk does when asked by another method than GET; whoever builds the desk brings the acts, by their names."""
