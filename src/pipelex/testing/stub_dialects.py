"""How each provider's API words a request and an answer: what the stub needs to play it. Pure; for tests."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from pipelex.testing.stub_http import JSON_TYPE, StubAnswer

Asked = dict[str, Any]


@dataclass(frozen=True)
class Dialect:
    """One API, known by the end of its path."""

    path: str
    prompt: Callable[[Asked], str]
    schema: Callable[[Asked], Any]
    """The JSON schema that the reply has to fit, if one was given."""
    reply: Callable[[StubAnswer, Asked], tuple[dict[str, str], bytes]]
    error: Callable[[int, str], Any]


@dataclass(frozen=True)
class _Tokens:
    input: int
    cached: int
    output: int
    reasoning: int


def prompt_of(asked: Asked) -> str:
    """The text of the first user message of a request; the prompt or query of one that has no messages."""
    if "messages" not in asked:
        return next((str(asked[key]) for key in ("prompt", "q", "query") if key in asked), "")
    content = next((item["content"] for item in asked.get("messages", []) if item.get("role") == "user"), "")
    return content if isinstance(content, str) else _texts(content)


def _texts(parts: list[dict[str, Any]]) -> str:
    return "\n".join(str(part["text"]) for part in parts if "text" in part)


def _text(answer: StubAnswer) -> str:
    return answer.text if answer.text is not None else json.dumps(answer.data)


def _tokens(answer: StubAnswer, prompt: str) -> _Tokens:
    """What is said to have been used, from the words of chat completions that scripts are written in."""
    usage: dict[str, Any] = answer.usage or {
        "prompt_tokens": len(prompt) // 4 + 1,
        "completion_tokens": len(_text(answer)) // 4 + 1,
    }
    return _Tokens(
        usage["prompt_tokens"],
        usage.get("prompt_tokens_details", {}).get("cached_tokens", 0),
        usage["completion_tokens"],
        usage.get("completion_tokens_details", {}).get("reasoning_tokens", 0),
    )


def _as_json(body: Any) -> tuple[dict[str, str], bytes]:
    return JSON_TYPE, json.dumps(body).encode()


def _chat_schema(asked: Asked) -> Any:
    wanted = asked.get("response_format") or {}
    return wanted["json_schema"]["schema"] if wanted.get("type") == "json_schema" else None


def _chat_reply(answer: StubAnswer, asked: Asked) -> tuple[dict[str, str], bytes]:
    tokens = _tokens(answer, prompt_of(asked))
    usage = answer.usage or {"prompt_tokens": tokens.input, "completion_tokens": tokens.output}
    message = {"role": "assistant", "content": _text(answer)}
    choice = {"index": 0, "message": message, "finish_reason": answer.finish_reason}
    total = {"total_tokens": tokens.input + tokens.output}
    made = {"id": "chatcmpl-stub", "object": "chat.completion", "created": 0, "model": asked.get("model") or "stub"}
    return _as_json({**made, "choices": [choice], "usage": {**total, **usage}})


def _openai_error(status: int, message: str) -> Any:
    return {"error": {"message": message, "code": None}}


def _responses_prompt(asked: Asked) -> str:
    given = asked.get("input") or ""
    return given if isinstance(given, str) else prompt_of({"messages": given})


def _responses_schema(asked: Asked) -> Any:
    wanted = (asked.get("text") or {}).get("format") or {}
    return wanted.get("schema")


PAGE: Final = "https://example.invalid/1"
"""What a model that searches the web cites, for the whole of its answer."""


def _searches(asked: Asked) -> bool:
    """Whether the model may search the web."""
    return any("search" in str(tool.get("type") or tuple(tool)).lower() for tool in asked.get("tools") or ())


def _responses_reply(answer: StubAnswer, asked: Asked) -> tuple[dict[str, str], bytes]:
    tokens = _tokens(answer, _responses_prompt(asked))
    cut = {"length": "max_output_tokens", "content_filter": "content_filter"}.get(answer.finish_reason)
    text, annotations, output = _text(answer), [], []
    if _searches(asked):
        annotations = [{"type": "url_citation", "url": PAGE, "title": "One", "start_index": 0, "end_index": len(text)}]
        call = {"type": "search", "query": "q", "queries": ["q"]}
        output = [{"id": "ws_stub", "type": "web_search_call", "status": "completed", "action": call}]
    content = [{"type": "output_text", "text": text, "annotations": annotations}]
    message = {"id": "msg_stub", "type": "message", "role": "assistant", "status": "completed", "content": content}
    return _as_json(
        {
            "id": "resp_stub",
            "object": "response",
            "created_at": 0,
            "model": asked.get("model"),
            "status": "incomplete" if cut else "failed" if answer.finish_reason == "error" else "completed",
            "incomplete_details": {"reason": cut} if cut else None,
            "error": {"code": "server_error", "message": "scripted"} if answer.finish_reason == "error" else None,
            "output": [*output, message],
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "usage": {
                "input_tokens": tokens.input,
                "input_tokens_details": {"cached_tokens": tokens.cached, "cache_write_tokens": 0},
                "output_tokens": tokens.output,
                "output_tokens_details": {"reasoning_tokens": tokens.reasoning},
                "total_tokens": tokens.input + tokens.output,
            },
        }
    )


def _anthropic_schema(asked: Asked) -> Any:
    wanted = (asked.get("output_config") or {}).get("format") or asked.get("output_format")
    tools = [tool["input_schema"] for tool in asked.get("tools") or () if "input_schema" in tool]
    return wanted["schema"] if wanted else (tools[0] if tools else None)


_STOPS: Final = {"stop": "end_turn", "length": "max_tokens", "content_filter": "refusal"}


def _anthropic_reply(answer: StubAnswer, asked: Asked) -> tuple[dict[str, str], bytes]:
    tokens, text = _tokens(answer, prompt_of(asked)), _text(answer)
    stop = _STOPS.get(answer.finish_reason, answer.finish_reason)
    block: dict[str, Any] = {"type": "text", "text": text}
    searched: list[dict[str, Any]] = []
    if _searches(asked):
        searched = _anthropic_search(block)
    elif asked.get("tools") and answer.finish_reason == "stop":
        stop, name = "tool_use", asked["tools"][0]["name"]
        block = {"type": "tool_use", "id": "toolu_stub", "name": name, "input": json.loads(text)}
    usage = {
        "input_tokens": tokens.input - tokens.cached,
        "cache_read_input_tokens": tokens.cached,
        "cache_creation_input_tokens": 0,
        "output_tokens": tokens.output,
        "output_tokens_details": {"thinking_tokens": tokens.reasoning},
    }
    made = {"id": "msg_stub", "type": "message", "role": "assistant", "model": asked["model"], "stop_sequence": None}
    message = {**made, "content": [*searched, block], "stop_reason": stop, "usage": usage}
    return _anthropic_events(message, text) if asked.get("stream") else _as_json(message)


def _anthropic_search(block: dict[str, Any]) -> list[dict[str, Any]]:
    """What comes before the answer to a search, which then cites what was found."""
    page = {"type": "web_search_result", "url": PAGE, "title": "One", "encrypted_content": "e", "page_age": None}
    cited = {"type": "web_search_result_location", "url": PAGE, "title": "One", "encrypted_index": "e"}
    block["citations"] = [{**cited, "cited_text": "s"}]
    return [
        {"type": "server_tool_use", "id": "srvtoolu_stub", "name": "web_search", "input": {"query": "q"}},
        {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_stub", "content": [page]},
    ]


def _anthropic_events(message: dict[str, Any], text: str) -> tuple[dict[str, str], bytes]:
    """The same message as server-sent events. A tool is called in a delta of JSON text."""
    [block] = message["content"]
    is_tool = block["type"] == "tool_use"
    start = {**block, "input": {}} if is_tool else {**block, "text": ""}
    delta = {"type": "input_json_delta", "partial_json": text} if is_tool else {"type": "text_delta", "text": text}
    begun = {**message, "content": [], "stop_reason": None, "usage": {**message["usage"], "output_tokens": 1}}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": begun},
        {"type": "content_block_start", "index": 0, "content_block": start},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": message["stop_reason"], "stop_sequence": None},
            "usage": message["usage"],
        },
        {"type": "message_stop"},
    ]
    lines = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)
    return {"content-type": "text/event-stream"}, lines.encode()


_ERRORS: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


def _anthropic_error(status: int, message: str) -> Any:
    return {"type": "error", "error": {"type": _ERRORS.get(status, "api_error"), "message": message}}


def _gemini_prompt(asked: Asked) -> str:
    return _texts(next((item["parts"] for item in asked.get("contents", []) if item.get("role") == "user"), []))


def _gemini_schema(asked: Asked) -> Any:
    return (asked.get("generationConfig") or {}).get("responseJsonSchema")


def _gemini_reply(answer: StubAnswer, asked: Asked) -> tuple[dict[str, str], bytes]:
    tokens = _tokens(answer, _gemini_prompt(asked))
    reasons = {"length": "MAX_TOKENS", "content_filter": "SAFETY", "error": "MALFORMED_FUNCTION_CALL"}
    reason = reasons.get(answer.finish_reason, "STOP")
    content = {"role": "model", "parts": [{"text": _text(answer)}]}
    candidate = {"index": 0, "content": content, "finishReason": reason}
    if _searches(asked):
        segment = {"startIndex": 0, "endIndex": len(_text(answer).encode()), "text": _text(answer)}
        candidate["groundingMetadata"] = {
            "webSearchQueries": ["q"],
            "groundingChunks": [{"web": {"uri": PAGE, "title": "One"}}],
            "groundingSupports": [{"segment": segment, "groundingChunkIndices": [0]}],
        }
    return _as_json(
        {
            "candidates": [candidate],
            "modelVersion": "gemini-stub",
            "responseId": "stub",
            "usageMetadata": {
                "promptTokenCount": tokens.input,
                "cachedContentTokenCount": tokens.cached,
                "candidatesTokenCount": tokens.output - tokens.reasoning,
                "thoughtsTokenCount": tokens.reasoning,
                "totalTokenCount": tokens.input + tokens.output,
            },
        }
    )


def _gemini_error(status: int, message: str) -> Any:
    word = {429: "RESOURCE_EXHAUSTED", 400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED"}.get(status, "UNAVAILABLE")
    return {"error": {"code": status, "message": message, "status": word}}


def _converse_schema(asked: Asked) -> Any:
    wanted = ((asked.get("outputConfig") or {}).get("textFormat") or {}).get("structure")
    if wanted:
        return json.loads(wanted["jsonSchema"]["schema"])
    tools = (asked.get("toolConfig") or {}).get("tools")
    return tools[0]["toolSpec"]["inputSchema"]["json"] if tools else None


def _converse_reply(answer: StubAnswer, asked: Asked) -> tuple[dict[str, str], bytes]:
    tokens, text = _tokens(answer, prompt_of(asked)), _text(answer)
    stop = {"stop": "end_turn", "length": "max_tokens", "content_filter": "content_filtered"}[answer.finish_reason]
    block: dict[str, Any] = {"text": text}
    if (tools := (asked.get("toolConfig") or {}).get("tools")) and answer.finish_reason == "stop":
        stop, name = "tool_use", tools[0]["toolSpec"]["name"]
        block = {"toolUse": {"toolUseId": "stub", "name": name, "input": json.loads(text)}}
    usage = {
        "inputTokens": tokens.input - tokens.cached,
        "cacheReadInputTokens": tokens.cached,
        "outputTokens": tokens.output,
        "totalTokens": tokens.input + tokens.output,
    }
    message = {"role": "assistant", "content": [block]}
    made = {"output": {"message": message}, "stopReason": stop, "usage": usage, "metrics": {"latencyMs": 1}}
    return _as_json(made)


def _converse_error(status: int, message: str) -> Any:
    return {"message": message}


DIALECTS: Final = (
    # The path of Azure, .../openai/deployments/<name>/chat/completions, ends the same way.
    Dialect("/chat/completions", prompt_of, _chat_schema, _chat_reply, _openai_error),
    Dialect("/responses", _responses_prompt, _responses_schema, _responses_reply, _openai_error),
    Dialect("/messages", prompt_of, _anthropic_schema, _anthropic_reply, _anthropic_error),
    Dialect(":generateContent", _gemini_prompt, _gemini_schema, _gemini_reply, _gemini_error),
    Dialect("/converse", prompt_of, _converse_schema, _converse_reply, _converse_error),
)
