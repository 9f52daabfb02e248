"""Pure: the intake's routes, a part of `ACTS`: what apps and people say of tasks."""

from __future__ import annotations

from proxy.query.route import Route

INTAKE = (
    Route(
        method="POST",
        path="/api/tasks",
        name="log_tasks",
        summary="Logs tasks of the app's own, one or many; answers once they are durable, item by item.",
        takes="Logs",
        answers="Kept",
        most=256 << 20,
        also=(400, 413, 415, 503),
    ),
    Route(
        method="PATCH",
        path="/api/tasks/{id}",
        name="amend_task",
        summary="Changes what is said of a task; null takes away. 202: the task is not there yet, and gets it when it comes.",
        takes="Amendment",
        answers="Amended",
        most=64 << 20,
        also=(400, 413, 415, 503),
    ),
    Route(
        method="POST",
        path="/api/tasks/{id}/feedback",
        name="give_feedback",
        summary="What somebody thinks of a task, which may come later (202). `id` may be the provider's own of the answer.",
        takes="FeedbackGiven",
        answers="FeedbackKept",
        also=(400, 413, 415, 503),
        feedback=True,
    ),
)
