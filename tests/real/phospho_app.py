"""An app that uses the unmodified `phospho` package; runs in the `phospho` environment of prepare.py.

    python tests/real/phospho_app.py SCENARIO BASE_URL [v1]
    python tests/real/phospho_app.py - - [v1]

Runs one scenario of this file and prints what it gives as JSON. With `v1` it does `import pydantic.v1` first, which the package
forgets: without that, any value that is neither JSON nor a pydantic model makes it raise.

In place of a scenario, `-` is an app that has imported all of it and begun nothing: each line of its standard input, `[SCENARIO,
BASE_URL, FILE, FILE]`, is a process forked off it that runs the scenario into the two files and ends as an app does; its exit
code is a line of the standard output.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from typing import Any

warnings.simplefilter("ignore")
if "v1" in sys.argv:
    import pydantic.v1  # noqa: F401

import phospho  # noqa: E402
from openai.types.chat import ChatCompletion, ChatCompletionChunk  # noqa: E402

QUERY = {
    "messages": [
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "user", "content": "Explain quantum computers."},
    ],
    "model": "gpt-4o-mini",
}
BASE = {"id": "chatcmpl-1", "created": 1700000000, "model": "gpt-4o-mini-2024-07-18"}
USAGE = {"completion_tokens": 3, "prompt_tokens": 21, "total_tokens": 24}


def completion(message: dict[str, Any] | None = None, **more: Any) -> ChatCompletion:
    message = message or {"role": "assistant", "content": "Hello there!"}
    choices = [{"finish_reason": "stop", "index": 0, "logprobs": None, "message": message}]
    return ChatCompletion.model_validate(BASE | {"choices": choices, "object": "chat.completion", "usage": USAGE} | more)


def chunks(usage: bool = False) -> list[ChatCompletionChunk]:
    base = BASE | {"object": "chat.completion.chunk"}
    deltas: list[tuple[dict[str, Any], str | None]] = [({"role": "assistant", "content": ""}, None)]
    deltas += [({"content": text}, None) for text in ("Hello", " there", "!")] + [({}, "stop")]
    made = [{**base, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]} for delta, finish in deltas]
    made += [{**base, "choices": [], "usage": USAGE}] if usage else []
    return [ChatCompletionChunk.model_validate(chunk) for chunk in made]


class Stream:
    """A stream as OpenAI's SDK has one: a class of its own, so that it can be patched."""

    def __init__(self, items: list[Any]) -> None:
        self._items = iter(items)

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> Any:
        return next(self._items)


# -- scenarios: each logs, and gives what the test has to know


def log_texts() -> Any:
    both = phospho.log("hi", "yo")
    only = phospho.log("just this")
    return [both["task_id"], only["task_id"]]


def log_openai() -> Any:
    phospho.log(QUERY, completion(), session_id="s1", user_id="roger@gmail.com", task_id="task-1")
    phospho.log(QUERY, completion().model_dump(), session_id="s1", task_id="task-2")
    return None


def log_messages() -> Any:
    messages = [{"role": "system", "content": "S"}, {"role": "user", "content": "one"}, {"role": "user", "content": "two"}]
    phospho.log(messages, [*messages, {"role": "assistant", "content": "three"}], task_id="m-1")
    return None


def log_custom() -> Any:
    phospho.log({"deep": {"q": "what?"}}, {"a": [1, 2]}, task_id="c-1", input_to_str_function=lambda x: "Q: " + x["deep"]["q"],
                output_to_str_function=lambda x: f"A: {x['a']}")  # fmt: skip
    return None


def log_metadata() -> Any:
    metadata = {"always": "moooore", "system_prompt": "SP", "user_id": "nested"}
    more = {"log_anything": "even this", "raw_input": {"chat_history": [1]}, "flag": "success", "number": 3}
    phospho.log("log this", "and that", task_id="md-1", metadata=metadata, user_id="top", **more)
    return None


def log_stream() -> Any:
    for usage in (False, True):
        stream = Stream(chunks(usage))
        phospho.log(QUERY, stream, stream=True, session_id=f"stream-{usage}", user_id="u2")
        list(stream)
    return None


def log_generators() -> Any:
    generator = phospho.MutableGenerator(iter(chunks()), stop=lambda item: item is None)
    phospho.log(QUERY, generator, stream=True, session_id="gen")
    list(generator)

    async def talk() -> None:
        async def source() -> Any:
            for chunk in chunks():
                yield chunk

        made = phospho.MutableAsyncGenerator(source(), stop=lambda item: item is None)
        phospho.log(QUERY, made, stream=True, session_id="agen")
        async for _ in made:
            pass

    import asyncio

    asyncio.run(talk())
    return None


def ollama() -> Any:
    lines = [
        json.dumps({"model": "mistral", "created_at": "x", "response": word, "done": False}).encode()
        for word in ("Hello", " ", "there")
    ]
    lines.append(json.dumps({"model": "mistral", "response": "", "done": True, "eval_count": 3}).encode())
    generator = phospho.MutableGenerator(iter(lines), stop=lambda line: json.loads(line).get("done", False))
    phospho.log("Explain", generator, stream=True, session_id="ollama")
    try:
        list(generator)
    except AttributeError as defect:
        return str(defect)
    return None


def wraps() -> Any:
    messages = QUERY["messages"]

    @phospho.wrap
    def answer(messages: Any) -> str:
        return "the answer"

    answer(messages)
    answer(messages=messages)
    phospho.wrap(lambda **_: completion(), metadata={"more": "details"})(messages=messages, model="gpt-4o-mini", temperature=0.2)
    list(phospho.wrap(lambda **_: iter(chunks()), stream=True)(messages=messages, model="gpt-4o-mini", stream=True))
    call = {"id": "c", "type": "function", "function": {"name": "look", "arguments": '{"q":1}'}}
    phospho.wrap(lambda **_: completion({"role": "assistant", "content": None, "tool_calls": [call]}))(
        messages=messages, model="tools"
    )
    return None


def feedback() -> Any:
    phospho.log("q", "a", task_id="f-1")
    phospho.user_feedback(task_id="f-1", flag="success", notes="early")
    phospho.flush()
    phospho.user_feedback(task_id="f-1", raw_flag="👎", notes="late")
    phospho.user_feedback(task_id="never", flag="failure")
    return None


def batch() -> Any:
    return [phospho.log(f"q{n}", f"a{n}", session_id="batch")["task_id"] for n in range(5)]


def patient() -> Any:
    ids = [phospho.log(f"q{n}", f"a{n}", session_id="patient")["task_id"] for n in range(3)]
    empty = [0]

    def quiet() -> bool:  # a batch that is on its way is not in the queue, and comes back into it when it is refused
        empty[0] = 0 if phospho.log_queue.events else empty[0] + 1
        return empty[0] > 20

    wait_for(quiet)
    return ids


def twice() -> Any:
    phospho.log("q", "a1", task_id="same-1")
    phospho.log("q", "a2", task_id="same-1")
    phospho.log("q", "b1", task_id="same-2", metadata={"a": 1})
    phospho.flush()
    phospho.log("q", "b2", task_id="same-2", metadata={"b": 2})
    return None


def large() -> Any:
    phospho.log("x" * 1_500_000, "y" * 700_000, task_id="large-1")
    return None


def odd() -> Any:
    phospho.log("q", "a", task_id="odd-1", session_id=5, user_id=7, version_id=3)
    phospho.log("half \ud83d", "a", task_id="odd-2")
    phospho.log("q", "a", task_id="odd-3", flag="perhaps")
    phospho.log(None, "a", task_id="odd-4", input_to_str_function=lambda _: 3)
    phospho.log("q", "a", task_id="odd-5", created_at=1_700_000_000, environment="staging", test_id="t")
    return None


def at_exit() -> Any:
    phospho.log("last words", "bye", task_id="exit-1")
    return None


def steps() -> Any:
    phospho.log(
        "with steps", "out", task_id="st-1", session_id="stepped", steps=[{"name": "call", "input": "i", "output": "o", "n": 3}]
    )
    return None


def traced() -> Any:
    from opentelemetry import trace

    with phospho.tracer(task_id="tr-1", session_id="traced", metadata={"m": 1}):
        with trace.get_tracer("app").start_as_current_span("look") as span:
            span.set_attribute("gen_ai.request.model", "gpt-x")
            span.set_attribute("gen_ai.usage.input_tokens", 5)
        phospho.log("traced", "out", task_id="tr-1", session_id="traced")
    return None


def tables() -> Any:
    for n in range(3):
        phospho.log(f"q{n}", f"a{n}", task_id=f"df-{n}", session_id="table", metadata={"n": n})
    phospho.flush()
    client = phospho.client
    found = wait_for(lambda: df if len(df := phospho.tasks_df(limit=10)) >= 3 else None)
    found = found[found.task_id.str.startswith("df-")]
    found["task_eval"] = "failure"
    found["task_metadata.more"] = "yes"
    phospho.push_tasks_df(found)
    phospho.push_tasks_df(found[["task_id", "task_eval"]])
    return {"columns": sorted(found.columns), "count": len(found), "flag": client.tasks.get("df-0").content["flag"]}


def reads() -> Any:
    phospho.log("q", "a", task_id="r-1", session_id="rs", user_id="ru", version_id="v7")
    phospho.log("q2", "a2", task_id="r-2", session_id="rs")
    phospho.flush()
    client = phospho.client
    wait_for(lambda: len(client.fetch_tasks()) == 2)
    task = client.tasks.get("r-1")
    task.update(metadata={"x": 1}, data={"d": 2}, notes="n", flag="failure", flag_source="owner")
    task.refresh()
    made = client.tasks.create(
        session_id="rs", sender_id="ru", input="i", output="o", additional_input={"k": 1}, additional_output={}, data={}
    )
    session = client.sessions.create(data={})
    found = client.fetch_tasks()
    return {
        "task": task.content,
        "made": client.tasks.get(made.id).content,
        "all": sorted(each.id for each in client.tasks.get_all()),
        "sessions": [each.id for each in client.sessions.list()],
        "session": client.sessions.get("rs").content,
        "new session": client.sessions.get(session.id).content,
        "of session": [each.id for each in client.sessions.get("rs").list_tasks()],
        "project": client.project_config().project_name,
        "fetched": sorted(each.id for each in found),
    }


def backtest() -> Any:
    from phospho.testing import PhosphoTest

    phospho.log("seen before", "old answer", task_id="bt-1")
    phospho.flush()
    wait_for(lambda: any(each.id == "bt-1" for each in phospho.client.fetch_tasks()))
    test = PhosphoTest(api_key="k", project_id=sys.argv[1], base_url=sys.argv[2], version_id="v-new")

    @test.test(source_loader="backtest", source_loader_params={"sample_size": 5})
    def again(message: Any, **_: Any) -> str:
        phospho.log(message.content, "new answer", task_id="bt-new")
        return "new answer"

    test.run(executor_type="sequential")
    return None


def langchain() -> Any:
    from langchain_core.runnables import RunnableLambda
    from phospho.integrations import PhosphoLangchainCallbackHandler

    handler = PhosphoLangchainCallbackHandler(api_key="k", project_id=sys.argv[1], base_url=sys.argv[2], session_id="chain")
    chain = RunnableLambda(lambda given: {"output": "chained " + given["input"]})
    return chain.invoke({"input": "words"}, config={"callbacks": [handler]})


def wait_for(question: Any) -> Any:
    import time

    for _ in range(200):
        if (found := question()) is not None and found is not False:
            return found
        time.sleep(0.05)
    raise SystemExit("it never came")


def asked() -> bool:
    """Fork off what is asked for, until nothing more is; true in a process that is to run a scenario."""
    for line in iter(sys.stdin.readline, ""):  # which reads no further: a child has the same standard input
        scenario, base, out, err = json.loads(line)
        child = os.fork()
        if not child:
            for fd, path in ((1, out), (2, err)):
                os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), fd)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            sys.argv[1:3] = scenario, base
            return True
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    return False


def main() -> None:
    """One scenario."""
    scenario, base = sys.argv[1], sys.argv[2]
    phospho.init(api_key="k", project_id=scenario, base_url=base, version_id="v-test", tick=0.05 if scenario != "at_exit" else 5,
                 tracing=scenario == "traced")  # fmt: skip
    given = globals()[scenario]()
    if scenario != "at_exit":
        phospho.flush()
    print("GIVEN " + json.dumps(given, default=str))


if __name__ == "__main__" and (sys.argv[1] != "-" or asked()):
    main()
