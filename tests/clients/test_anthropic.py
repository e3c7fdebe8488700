"""Anthropic's package at /v1/messages."""

import anthropic
import pytest

ASK = {"model": "any", "max_tokens": 24, "messages": [{"role": "user", "content": "Who art thou?"}]}
# The package knows no temperature any more.
GREEDY = {"extra_body": {"temperature": 0}}
SPEAK = ASK | GREEDY | {"thinking": {"type": "disabled"}}
WARMTH = {
    "name": "warmth",
    "description": "How warm it is somewhere",
    "input_schema": {
        "type": "object",
        "properties": {"place": {"type": "string", "enum": ["Verona", "Venice"]}},
        "required": ["place"],
    },
}


def test_a_message_has_text_and_adds_up(claude):
    system = [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]
    message = claude.messages.create(**SPEAK, system=system)
    assert (message.type, message.role) == ("message", "assistant")
    assert [block.type for block in message.content] == ["text"]
    assert message.stop_reason in ("end_turn", "max_tokens")
    counted = claude.messages.count_tokens(
        model="any", messages=SPEAK["messages"], system=system, thinking=SPEAK["thinking"]
    )
    usage = message.usage
    assert counted.input_tokens == usage.input_tokens + usage.cache_read_input_tokens
    assert 0 < usage.output_tokens <= 24


def test_a_stream_has_the_text_of_the_whole_message(claude):
    whole = claude.messages.create(**SPEAK)
    with claude.messages.stream(**SPEAK) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text == whole.content[0].text == final.content[0].text
    assert final.stop_reason == whole.stop_reason
    assert final.usage.output_tokens == whole.usage.output_tokens


def test_thinking_is_a_block_of_its_own(claude):
    asked = ASK | GREEDY | {"max_tokens": 48, "thinking": {"type": "enabled", "budget_tokens": 12}}
    message = claude.messages.create(**asked)
    assert [block.type for block in message.content] == ["thinking", "text"]
    with claude.messages.stream(**asked) as stream:
        final = stream.get_final_message()
    told = lambda blocks: [block.model_dump(include={"type", "text", "thinking"}) for block in blocks]
    assert told(final.content) == told(message.content)
    follow = [
        *asked["messages"],
        {"role": "assistant", "content": message.content},
        {"role": "user", "content": "So?"},
    ]
    assert claude.messages.create(**(SPEAK | {"messages": follow})).content[0].text


def test_results_of_tools_are_read(claude):
    messages = [
        {"role": "user", "content": "How warm is it in Verona?"},
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "Let me see."},
                {"type": "tool_use", "id": "toolu_1", "name": "warmth", "input": {"place": "Verona"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "31 degrees"}]},
                {"type": "text", "text": "And now?"},
            ],
        },
    ]
    with_tool = SPEAK | {"messages": messages, "tools": [WARMTH]}
    assert claude.messages.create(**with_tool).content[0].text
    count = lambda tools: claude.messages.count_tokens(model="any", messages=messages, tools=tools).input_tokens
    assert count([WARMTH]) > count([]) + 20


def test_a_stop_sequence_ends_the_text_and_is_named(claude):
    whole = claude.messages.create(**SPEAK).content[0].text
    stop = whole[len(whole) // 2 :][:3]
    cut = claude.messages.create(**SPEAK, stop_sequences=[stop])
    assert (cut.stop_reason, cut.stop_sequence) == ("stop_sequence", stop)
    assert cut.content[0].text == whole[: whole.index(stop)]


def test_errors_are_of_the_packages_types(claude, server):
    with pytest.raises(anthropic.BadRequestError) as refused:
        claude.messages.create(**(SPEAK | {"messages": []}))
    assert refused.value.body["error"]["type"] == "invalid_request_error"
    with pytest.raises(anthropic.AuthenticationError) as refused:
        server.anthropic(api_key="another").messages.create(**SPEAK)
    assert refused.value.body["type"] == "error"
    with pytest.raises(anthropic.NotFoundError):
        claude.post("/v1/messages/nowhere", cast_to=dict, body={}, options={})
    with pytest.raises(anthropic.RequestTooLargeError):
        claude.messages.create(**(SPEAK | {"messages": [{"role": "user", "content": "x" * (17 << 20)}]}))


def test_who_comes_when_all_is_taken_is_told_to_come_again(full):
    server, ends = full
    with pytest.raises(anthropic.RateLimitError) as refused:
        server.anthropic().messages.create(**SPEAK)
    assert refused.value.response.headers["retry-after"] == "1"
    ends.set()
    assert server.anthropic(max_retries=10).messages.create(**SPEAK).content


# Calls that are asked for: they need answers that are held to a form.


def test_a_tool_that_is_asked_for_is_called(claude):
    asked = SPEAK | {"tools": [WARMTH], "tool_choice": {"type": "any", "disable_parallel_tool_use": True}, "max_tokens": 400}
    message = claude.messages.create(**asked)
    assert message.stop_reason == "tool_use"
    assert message.content[-1].name == "warmth" and isinstance(message.content[-1].input["place"], str)
    with claude.messages.stream(**asked) as stream:
        assert stream.get_final_message().content[-1].input == message.content[-1].input
