"""What /openapi.json says of answers is what they are."""

import json
import urllib.request

import jsonschema
import pytest
from conftest import KEY

ASK = [{"role": "user", "content": "Who art thou?"}]
FEW = {"max_tokens": 24, "thinking_budget_tokens": 8}
WHO = {"messages": ASK}
PROMPT = {"prompt": "ROMEO:", "max_tokens": 4}
POSTS = [
    ("/v1/chat/completions", WHO | FEW | {"logprobs": True, "top_logprobs": 2}),
    ("/v1/responses", {"input": "Who art thou?", "max_output_tokens": 24, "thinking_budget_tokens": 8}),
    ("/v1/completions", PROMPT | {"logprobs": 2}),
    ("/completion", PROMPT | {"n_probs": 2}),
    ("/completion", PROMPT | {"prompt": ["ROMEO:", "JULIET:"]}),
    ("/v1/messages", WHO | {"max_tokens": 24, "thinking": {"type": "enabled", "budget_tokens": 8}}),
    ("/v1/messages/count_tokens", WHO),
    ("/apply-template", WHO),
    ("/tokenize", {"content": "Hail!"}),
    ("/tokenize", {"content": "Hail!", "with_pieces": True}),
    ("/detokenize", {"tokens": [1, 2]}),
]
GETS = ["/health", "/v1/models", "/props", "/slots", "/openapi.json"]
WRONG = [
    ("/v1/chat/completions", {}, 400),
    ("/v1/chat/completions", WHO | {"mirostat": 2}, 501),
    ("/v1/messages", {}, 400),
]


def ask(server, path, body=None):
    """Status and body of an answer."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    request = urllib.request.Request(server.url + path, data, headers)
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@pytest.fixture(scope="module")
def document(server):
    return ask(server, "/openapi.json")[1]


def check(document, path, method, status, body):
    told = document["paths"][path][method]["responses"][str(status)]
    schema = told["content"]["application/json"]["schema"]
    jsonschema.validate(body, schema | {"components": document["components"]})


@pytest.mark.parametrize("path, body", POSTS)
def test_an_answer_is_as_it_is_told(server, document, path, body):
    status, answer = ask(server, path, body)
    assert status == 200, answer
    check(document, path, "post", status, answer)
    # What was asked is as it is told too.
    asked = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    jsonschema.validate(body, asked | {"components": document["components"]})


@pytest.mark.parametrize("path", GETS)
def test_what_is_asked_about_the_model_is_as_it_is_told(server, document, path):
    status, answer = ask(server, path)
    assert status == 200, answer
    check(document, path, "get", status, answer)


@pytest.mark.parametrize("path, body, expected", WRONG)
def test_a_failure_is_as_it_is_told(server, document, path, body, expected):
    status, answer = ask(server, path, body)
    assert status == expected, answer
    check(document, path, "post", status, answer)


def test_a_field_that_is_told_is_read(server, document):
    """What it cannot be is refused, which nobody does with a field that he does not know."""
    path = "/v1/chat/completions"
    body = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    schemas = document["components"]["schemas"]
    parts = schemas[body["$ref"].rsplit("/", 1)[1]]["allOf"]
    parts = [schemas[part["$ref"].rsplit("/", 1)[1]] if "$ref" in part else part for part in parts]
    names = [name for part in parts for name in part.get("properties", {})]
    assert len(names) > 20
    for name in names:
        # Each is a right value of some field, none takes all three.
        wrong = [[[{"a": "b"}]], "no such thing", {"a": {"b": "c"}}]
        told = [ask(server, path, WHO | {"max_tokens": 2} | {name: value})[0] for value in wrong]
        assert 400 in told or 501 in told, f"{name}: {told}"
