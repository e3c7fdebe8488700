"""OpenAI's package at /v1/chat/completions and /v1/completions."""

import json

import pytest

ASK = {"model": "any", "messages": [{"role": "user", "content": "Who art thou?"}]}
SPEAK = {"reasoning_effort": "none", "max_tokens": 24}
WARMTH = {
    "type": "function",
    "function": {
        "name": "warmth",
        "description": "How warm it is somewhere",
        "parameters": {
            "type": "object",
            "properties": {"place": {"type": "string", "enum": ["Verona", "Venice"]}},
            "required": ["place"],
            "additionalProperties": False,
        },
    },
}


def test_an_answer_has_text_and_adds_up(ai):
    answer = ai.chat.completions.create(**ASK, **SPEAK)
    choice = answer.choices[0]
    assert choice.message.role == "assistant"
    assert choice.message.content
    assert choice.finish_reason in ("stop", "length")
    usage = answer.usage
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert usage.prompt_tokens_details.cached_tokens <= usage.prompt_tokens


def test_a_stream_has_the_text_of_the_whole_answer(ai):
    whole = ai.chat.completions.create(**ASK, **SPEAK, temperature=0)
    options = {"include_usage": True}
    chunks = list(ai.chat.completions.create(**ASK, **SPEAK, temperature=0, stream=True, stream_options=options))
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == whole.choices[0].message.content
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == whole.choices[0].finish_reason
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    assert {c.id for c in chunks} == {chunks[0].id}


def test_the_packages_own_collector_takes_the_stream(ai):
    with ai.chat.completions.stream(**ASK, **SPEAK, temperature=0) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert {"content.delta", "content.done", "chunk"} <= kinds
    assert final.choices[0].message.content


def test_reasoning_has_a_field_of_its_own_and_a_budget(ai):
    bounded = {"thinking_budget_tokens": 12}
    answer = ai.chat.completions.create(**ASK, max_tokens=40, temperature=0, extra_body=bounded)
    message = answer.choices[0].message
    assert message.reasoning_content and message.content
    in_text = bounded | {"reasoning_format": "none"}
    answer = ai.chat.completions.create(**ASK, max_tokens=40, temperature=0, extra_body=in_text)
    text = answer.choices[0].message.content
    assert text.startswith(message.reasoning_content) and "</think>" in text
    chunks = ai.chat.completions.create(**ASK, max_tokens=40, temperature=0, stream=True, extra_body=bounded)
    deltas = [chunk.choices[0].delta for chunk in chunks]
    thought = "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas)
    assert thought == message.reasoning_content
    assert "".join(delta.content or "" for delta in deltas) == message.content


def test_the_same_seed_gives_the_same_text_and_choices_differ(ai):
    drawn = SPEAK | {"temperature": 1.3, "seed": 11}
    first = ai.chat.completions.create(**ASK, **drawn)
    again = ai.chat.completions.create(**ASK, **drawn)
    assert first.choices[0].message.content == again.choices[0].message.content
    three = ai.chat.completions.create(**ASK, **drawn, n=3)
    assert [choice.index for choice in three.choices] == [0, 1, 2]
    texts = [choice.message.content for choice in three.choices]
    assert texts[0] == first.choices[0].message.content
    assert len(set(texts)) > 1
    streamed = {}
    for chunk in ai.chat.completions.create(**ASK, **drawn, n=3, stream=True):
        for choice in chunk.choices:
            streamed[choice.index] = streamed.get(choice.index, "") + (choice.delta.content or "")
    assert [streamed[i] for i in range(3)] == texts


@pytest.mark.parametrize("stream", [False, True])
def test_every_token_has_its_probability(ai, stream):
    asked = ASK | SPEAK | {"temperature": 0, "logprobs": True, "top_logprobs": 3}
    answer = ai.chat.completions.create(**asked, stream=stream)
    if stream:
        chunks = list(answer)
        tokens = [t for c in chunks if c.choices[0].logprobs for t in c.choices[0].logprobs.content]
        text = "".join(c.choices[0].delta.content or "" for c in chunks)
        count = chunks[-1].model_extra["timings"]["predicted_n"]
    else:
        tokens = answer.choices[0].logprobs.content
        text = answer.choices[0].message.content
        count = answer.usage.completion_tokens
    assert len(tokens) == count
    assert b"".join(bytes(token.bytes) for token in tokens).decode(errors="replace").startswith(text)
    for token in tokens:
        assert token.logprob <= 0 and len(token.top_logprobs) == 3
        # The best one is taken at temperature 0.
        assert token.top_logprobs[0].token == token.token


def test_a_stop_string_ends_the_text_before_it(ai):
    whole = ai.chat.completions.create(**ASK, **SPEAK, temperature=0).choices[0].message.content
    stop = whole[len(whole) // 2 :][:3]
    cut = ai.chat.completions.create(**ASK, **SPEAK, temperature=0, stop=[stop]).choices[0]
    assert cut.finish_reason == "stop"
    assert cut.message.content == whole[: whole.index(stop)]


def test_results_of_tools_are_read(ai, server):
    call = {"id": "call_1", "type": "function", "function": {"name": "warmth", "arguments": '{"place": "Verona"}'}}
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "How warm is it in Verona?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "31 degrees"},
    ]
    answer = ai.chat.completions.create(model="any", messages=messages, tools=[WARMTH], **SPEAK)
    assert answer.choices[0].message.content
    shown = ai.post(
        f"{server.url}/apply-template", cast_to=dict, body={"messages": messages, "tools": [WARMTH]}, options={}
    )
    for part in ("<function=warmth>", "<tool_response>\n31 degrees", "How warm it is somewhere"):
        assert part in shown["prompt"], shown["prompt"]


def test_prompts_are_continued_as_they_stand(ai):
    asked = {"model": "any", "max_tokens": 8, "temperature": 0, "extra_body": {"ignore_eos": True}}
    answer = ai.completions.create(**asked, prompt=["ROMEO:", "JULIET:"])
    assert [choice.index for choice in answer.choices] == [0, 1]
    assert answer.usage.completion_tokens == 16
    one = ai.completions.create(**asked, prompt="ROMEO:", stream=True)
    assert "".join(c.choices[0].text for c in one) == answer.choices[0].text
    probable = ai.completions.create(**asked, prompt="ROMEO:", logprobs=2)
    told = probable.choices[0].logprobs
    assert len(told.tokens) == len(told.token_logprobs) == len(told.top_logprobs) == len(told.text_offset) == 8
    assert answer.usage.prompt_tokens == 2 * probable.usage.prompt_tokens
    assert "".join(told.tokens) == probable.choices[0].text == answer.choices[0].text


def test_models_are_listed(ai):
    models = list(ai.models.list())
    assert len(models) == 1
    assert ai.models.retrieve(models[0].id).id == models[0].id


# Structured answers, and calls that are asked for: they need answers that are held to a form.


def test_a_tool_that_is_asked_for_is_called(ai):
    asked = ASK | {"tools": [WARMTH], "tool_choice": "required", "parallel_tool_calls": False, "max_tokens": 400, "temperature": 0}
    asked["reasoning_effort"] = "none"
    choice = ai.chat.completions.create(**asked).choices[0]
    assert choice.finish_reason == "tool_calls"
    call = choice.message.tool_calls[0]
    assert (call.type, call.function.name) == ("function", "warmth")
    assert isinstance(json.loads(call.function.arguments)["place"], str)
    with ai.chat.completions.stream(**asked) as stream:
        for _ in stream:
            pass
        streamed = stream.get_final_completion().choices[0].message.tool_calls[0]
    assert streamed.function.arguments == call.function.arguments


def test_an_answer_is_what_its_schema_says(ai):
    from pydantic import BaseModel

    class Person(BaseModel):
        mortal: bool
        house: int

    asked = ASK | SPEAK | {"max_tokens": 200, "response_format": Person}
    answer = ai.chat.completions.parse(**asked)
    assert isinstance(answer.choices[0].message.parsed, Person)
