"""OpenAI's package at /v1/responses."""

import openai
import pytest

ASK = {"model": "any", "input": "Who art thou?", "max_output_tokens": 24}
SPEAK = ASK | {"reasoning": {"effort": "none"}, "temperature": 0}
WARMTH = {
    "type": "function",
    "name": "warmth",
    "description": "How warm it is somewhere",
    "parameters": {
        "type": "object",
        "properties": {"place": {"type": "string", "enum": ["Verona", "Venice"]}},
        "required": ["place"],
        "additionalProperties": False,
    },
    "strict": True,
}


def test_a_response_has_text_and_adds_up(ai):
    response = ai.responses.create(**SPEAK, instructions="Be brief.", metadata={"play": "Hamlet"})
    assert response.output_text
    assert [item.type for item in response.output] == ["message"]
    assert response.metadata == {"play": "Hamlet"} and response.instructions == "Be brief."
    if response.status == "incomplete":
        assert response.incomplete_details.reason == "max_output_tokens"
    usage = response.usage
    assert usage.total_tokens == usage.input_tokens + usage.output_tokens
    assert usage.output_tokens_details.reasoning_tokens == 0
    assert usage.input_tokens_details.cached_tokens <= usage.input_tokens


def test_a_stream_has_the_events_of_a_response(ai):
    whole = ai.responses.create(**SPEAK)
    events = list(ai.responses.create(**SPEAK, stream=True))
    kinds = [event.type for event in events]
    assert kinds[:4] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert kinds[-4:] == [
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        f"response.{whole.status}",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text == whole.output_text == events[-1].response.output_text


def test_the_packages_own_collector_takes_the_stream(ai):
    with ai.responses.stream(**SPEAK) as stream:
        kinds = {event.type for event in stream}
    assert "response.output_text.delta" in kinds


def test_reasoning_is_an_item_of_its_own(ai):
    bounded = ASK | {"max_output_tokens": 48, "temperature": 0, "extra_body": {"thinking_budget_tokens": 12}}
    response = ai.responses.create(**bounded)
    assert [item.type for item in response.output] == ["reasoning", "message"]
    thought = response.output[0].content[0].text
    counted = response.usage.output_tokens_details.reasoning_tokens
    assert thought and 12 <= counted < response.usage.output_tokens
    events = list(ai.responses.create(**bounded, stream=True))
    assert "".join(e.delta for e in events if e.type == "response.reasoning_text.delta") == thought
    assert any(e.type == "response.reasoning_text.done" and e.text == thought for e in events)
    items = [item.model_dump() for item in response.output]
    again = ai.responses.create(
        **(SPEAK | {"input": [{"role": "user", "content": "Who art thou?"}, *items, {"role": "user", "content": "So?"}]})
    )
    assert again.output_text


def test_results_of_tools_are_read(ai):
    call = {"type": "function_call", "call_id": "1", "name": "warmth", "arguments": '{"place": "Verona"}'}
    items = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "input_text", "text": "How warm is it in Verona?"}]},
        call,
        {"type": "function_call_output", "call_id": "1", "output": "31 degrees"},
    ]
    response = ai.responses.create(**(SPEAK | {"input": items, "tools": [WARMTH]}))
    assert response.output_text
    assert response.tools[0].name == "warmth"


def test_probabilities_come_if_they_are_asked_for(ai):
    asked = SPEAK | {"include": ["message.output_text.logprobs"], "top_logprobs": 2}
    response = ai.responses.create(**asked)
    logprobs = response.output[0].content[0].logprobs
    assert len(logprobs) == response.usage.output_tokens
    assert all(len(one.top_logprobs) == 2 for one in logprobs)
    events = list(ai.responses.create(**asked, stream=True))
    told = [one for e in events if e.type == "response.output_text.delta" for one in e.logprobs]
    assert [one.token for one in told] == [one.token for one in logprobs][: len(told)]


@pytest.mark.parametrize(
    "field",
    [
        {"previous_response_id": "resp_1"},
        {"conversation": "conv_1"},
        {"background": True},
        {"tools": [{"type": "web_search"}]},
        {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x", "detail": "auto"}]}]},
    ],
)
def test_what_is_not_done_is_refused(ai, field):
    with pytest.raises(openai.BadRequestError) as refused:
        ai.responses.create(**(SPEAK | field))
    assert refused.value.body["message"]


# Structured answers, and calls that are asked for: they need answers that are held to a form.


def test_a_tool_that_is_asked_for_is_called(ai):
    asked = SPEAK | {"tools": [WARMTH], "tool_choice": "required", "parallel_tool_calls": False, "max_output_tokens": 400}
    response = ai.responses.create(**asked)
    call = response.output[-1]
    assert (call.type, call.name) == ("function_call", "warmth")
    events = list(ai.responses.create(**asked, stream=True))
    arguments = "".join(e.delta for e in events if e.type == "response.function_call_arguments.delta")
    assert arguments == call.arguments
    assert any(e.type == "response.function_call_arguments.done" and e.arguments == arguments for e in events)


def test_an_answer_is_what_its_schema_says(ai):
    from pydantic import BaseModel

    class Person(BaseModel):
        mortal: bool
        house: int

    asked = SPEAK | {"max_output_tokens": 200, "text_format": Person}
    response = ai.responses.parse(**asked)
    assert isinstance(response.output_parsed, Person)
