"""Speaks with SDKs that are not OpenAI's; runs in the environment of prepare.py that has the name of its first argument.

    BASE=http://127.0.0.1:8900 python tests/real/speak.py anthropic|ollama|langchain|litellm|bedrock < JOBS.json

A job names one of the SDK's calls, what to hand to it, and whether to stream. Prints one JSON line a job: the text, tool calls,
the input and output tokens and the reason of the end that the SDK understood, or the status of the error that it raised.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Callable
from typing import Any

Heard = dict[str, Any]
BASE = os.environ.get("BASE", "")
LABELS: dict[str, str] = json.loads(os.environ.get("LABELS", "{}"))
KEY = os.environ.get("KEY", "")


def heard(text: str | None, calls: list[list[Any]], usage: tuple[Any, Any], finish: Any) -> Heard:
    """What an SDK understood, in words that are no SDK's."""
    return {"text": text or "", "calls": calls, "usage": list(usage), "finish": finish}


def anthropic() -> Callable[[Heard], Heard]:
    """Anthropic's own."""
    import anthropic as sdk

    client = sdk.Anthropic(base_url=BASE, api_key=KEY, max_retries=0, timeout=20, default_headers=LABELS)

    def say(job: Heard) -> Heard:
        try:
            if job["call"] == "count":
                return heard(None, [], (client.messages.count_tokens(**job["with"]).input_tokens, None), None)
            if job["call"] == "batch":
                batch = client.messages.batches.create(**job["with"])
                return heard(f"{batch.id} {batch.processing_status}", [], (None, None), None)
            if job["stream"]:
                with client.messages.stream(**job["with"]) as stream:
                    message = stream.get_final_message()
            else:
                message = client.messages.create(**job["with"])
        except sdk.APIStatusError as error:
            return {"status": error.status_code}
        text = "".join(block.text for block in message.content if block.type == "text")
        calls = [[block.name, block.input] for block in message.content if block.type == "tool_use"]
        return heard(text, calls, (message.usage.input_tokens, message.usage.output_tokens), message.stop_reason)

    return say


def ollama() -> Callable[[Heard], Heard]:
    """Ollama's own."""
    import ollama as sdk

    client = sdk.Client(host=BASE, headers=LABELS | {"Authorization": f"Bearer {KEY}"}, timeout=20)

    def say(job: Heard) -> Heard:
        try:
            if job["call"] == "embed":
                answer = client.embed(**job["with"])
                return heard(
                    f"{len(answer.embeddings)} x {len(answer.embeddings[0])}", [], (answer.prompt_eval_count, None), None
                )
            if job["call"] in MODELS:
                return heard(MODELS[job["call"]](client, job), [], (None, None), None)
            act = client.chat if job["call"] == "chat" else client.generate
            parts = list(act(stream=True, **job["with"])) if job["stream"] else [act(**job["with"])]
        except sdk.ResponseError as error:
            return {"status": error.status_code}
        said = [part.message.content if job["call"] == "chat" else part.response for part in parts]
        tools = [call.function for part in parts if job["call"] == "chat" for call in part.message.tool_calls or ()]
        last = parts[-1]
        usage = last.prompt_eval_count, last.eval_count
        return heard("".join(filter(None, said)), [[tool.name, dict(tool.arguments)] for tool in tools], usage, last.done_reason)

    return say


def _details(details: Any) -> str:
    return f"{details.family} {details.parameter_size} {details.quantization_level}"


MODELS: dict[str, Callable[[Any, Heard], str]] = {
    "list": lambda client, _: "\n".join(model.model for model in client.list().models),
    "show": lambda client, job: _details(client.show(**job["with"]).details),
    "pull": lambda client, job: [step.status for step in client.pull(stream=True, **job["with"])][-1],
}
"""What Ollama's does with models, and what it understood of the answer."""


def langchain() -> Callable[[Heard], Heard]:
    """LangChain's, for what speaks as OpenAI does."""
    import openai
    from langchain_openai import ChatOpenAI, OpenAIEmbeddings

    common: Heard = {"base_url": f"{BASE}/v1", "api_key": KEY, "max_retries": 0, "timeout": 20, "default_headers": LABELS}

    def say(job: Heard) -> Heard:
        given = dict(job["with"])
        try:
            if job["call"] == "embed":
                vectors = OpenAIEmbeddings(check_embedding_ctx_length=False, model=given["model"], **common).embed_documents(
                    given["input"]
                )
                return heard(f"{len(vectors)} x {len(vectors[0])}", [], (None, None), None)
            messages = given.pop("messages")
            model = ChatOpenAI(use_responses_api=job["call"] == "response", stream_usage=True, **given, **common)
            if job["stream"]:
                whole: Any = None
                for chunk in model.stream(messages):
                    whole = chunk if whole is None else whole + chunk
            else:
                whole = model.invoke(messages)
        except openai.APIStatusError as error:
            return {"status": error.status_code}
        usage = whole.usage_metadata or {}
        told = whole.response_metadata
        calls = [[call["name"], call["args"]] for call in whole.tool_calls]
        return heard(
            whole.text,
            calls,
            (usage.get("input_tokens"), usage.get("output_tokens")),
            told.get("finish_reason") or told.get("status"),
        )

    return say


def litellm() -> Callable[[Heard], Heard]:
    """LiteLLM as a library, for OpenAI's and Anthropic's dialects."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # no price list from the network
    import litellm as sdk

    sdk.telemetry = False
    sdk.suppress_debug_info = True

    def say(job: Heard) -> Heard:
        base = BASE if job["with"]["model"].startswith("anthropic/") else f"{BASE}/v1"
        common: Heard = {"api_base": base, "api_key": KEY, "num_retries": 0, "timeout": 20, "extra_headers": LABELS}
        try:
            if job["call"] == "embed":
                answer = sdk.embedding(**job["with"], **common)
                vectors = [entry["embedding"] for entry in answer.data]
                return heard(f"{len(vectors)} x {len(vectors[0])}", [], (answer.usage.prompt_tokens, None), None)
            answer = sdk.completion(**job["with"], stream=job["stream"], **common)
            whole = sdk.stream_chunk_builder(list(answer)) if job["stream"] else answer
        except sdk.exceptions.APIError as error:
            return {"status": error.status_code}
        except Exception as error:  # its errors are those of openai, one by one
            return {"status": getattr(error, "status_code", None), "class": type(error).__name__, "said": str(error)[:500]}
        choice = whole.choices[0]
        calls = [[call.function.name, json.loads(call.function.arguments or "{}")] for call in choice.message.tool_calls or ()]
        usage = whole.usage.prompt_tokens, whole.usage.completion_tokens
        return heard(choice.message.content, calls, usage, choice.finish_reason)

    return say


def bedrock() -> Callable[[Heard], Heard]:
    """Amazon's own. It signs its calls; tasktap puts a key of Bedrock's in the signature's place where it has one."""
    import boto3
    from botocore.config import Config
    from botocore.exceptions import ClientError

    config = Config(retries={"total_max_attempts": 1}, read_timeout=20)
    client = boto3.client(
        "bedrock-runtime",
        region_name="us-east-1",
        endpoint_url=BASE,
        config=config,
        aws_access_key_id=KEY,
        aws_secret_access_key=KEY,
    )
    client.meta.events.register("before-send", lambda request, **_: request.headers.update(LABELS))

    def say(job: Heard) -> Heard:
        try:
            whole = streamed(client.converse_stream(**job["with"])["stream"]) if job["stream"] else client.converse(**job["with"])
        except ClientError as error:
            return {"status": error.response["ResponseMetadata"]["HTTPStatusCode"]}
        text, calls = [], []
        for block in whole["output"]["message"]["content"]:
            text += (
                [block["text"]]
                if "text" in block
                else [each["text"] for each in block.get("citationsContent", {}).get("content", ())]
            )
            calls += [[block["toolUse"]["name"], block["toolUse"]["input"]]] if "toolUse" in block else []
        usage = whole["usage"]["inputTokens"], whole["usage"]["outputTokens"]
        return heard("\n".join(text), calls, usage, whole["stopReason"])

    def streamed(events: Any) -> Heard:
        blocks: dict[int, Heard] = {}
        whole: Heard = {}
        for event in events:
            [(name, told)] = event.items()
            block = blocks.setdefault(told["contentBlockIndex"], {}) if "contentBlockIndex" in told else {}
            if name == "contentBlockStart":
                block["toolUse"] = told["start"]["toolUse"] | {"input": ""}
            elif name == "contentBlockDelta" and "toolUse" in told["delta"]:
                block["toolUse"]["input"] += told["delta"]["toolUse"]["input"]
            elif name == "contentBlockDelta" and "text" in told["delta"]:
                block["text"] = block.get("text", "") + told["delta"]["text"]
            elif name in ("messageStop", "metadata"):
                whole |= told
        for block in blocks.values():
            if "toolUse" in block:
                block["toolUse"]["input"] = json.loads(block["toolUse"]["input"])
        return whole | {"output": {"message": {"content": [blocks[index] for index in sorted(blocks)]}}}

    return say


def main() -> None:
    """Do the jobs."""
    warnings.simplefilter("ignore")
    say = {"anthropic": anthropic, "ollama": ollama, "langchain": langchain, "litellm": litellm, "bedrock": bedrock}[
        sys.argv[1]
    ]()
    for job in json.load(sys.stdin):
        print(json.dumps({"stream": False} | say({"stream": False} | job)), flush=True)


if __name__ == "__main__":
    main()
