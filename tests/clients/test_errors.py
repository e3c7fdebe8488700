"""What OpenAI's package makes of refusals."""

import openai
import pytest
from test_chat import ASK, SPEAK


@pytest.mark.parametrize(
    "field",
    [
        {"messages": []},
        {"messages": [{"role": "user", "content": 7}]},
        {"temperature": -1},
        {"n": 1000},
        {"reasoning_effort": "boundless"},
        {"logit_bias": {"x": "y"}},
        {"messages": [{"role": "user", "content": "word " * 20_000}]},
    ],
)
def test_what_the_client_can_mend_is_a_bad_request(ai, field):
    with pytest.raises(openai.BadRequestError) as refused:
        ai.chat.completions.create(**(ASK | SPEAK | field))
    assert refused.value.body["message"] and refused.value.body["code"] == 400


def test_keys_paths_and_sizes_have_errors_of_their_own(ai, server):
    with pytest.raises(openai.AuthenticationError):
        server.openai(api_key="another").chat.completions.create(**ASK)
    with pytest.raises(openai.NotFoundError):
        ai.models.retrieve("another")
    with pytest.raises(openai.NotFoundError):
        ai.embeddings.create(model="any", input="text")
    with pytest.raises(openai.APIStatusError) as refused:
        ai.chat.completions.create(**(ASK | {"messages": [{"role": "user", "content": "x" * (17 << 20)}]}))
    assert refused.value.status_code == 413


def test_what_cannot_be_done_is_not_tried_again(server):
    with pytest.raises(openai.InternalServerError) as refused:
        server.openai(max_retries=2).chat.completions.create(**ASK, extra_body={"mirostat": 2})
    assert refused.value.status_code == 501
    assert refused.value.response.request.headers["x-stainless-retry-count"] == "0"


def test_who_comes_when_all_is_taken_is_told_to_come_again(full):
    server, ends = full
    with pytest.raises(openai.RateLimitError) as refused:
        server.openai().chat.completions.create(**ASK, **SPEAK)
    assert refused.value.response.headers["retry-after"] == "1"
    ends.set()
    answer = server.openai(max_retries=10).chat.completions.create(**ASK, **SPEAK)
    assert answer.choices[0].message.content
