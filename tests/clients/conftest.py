"""Starts the server that the clients speak to: the program named by SHARPI_COMPILE, on its own model."""

import os
import re
import subprocess
import threading
from dataclasses import dataclass

import anthropic
import openai
import pytest

KEY = "a key"


@dataclass
class Server:
    url: str
    process: subprocess.Popen

    def openai(self, **options) -> openai.OpenAI:
        options = {"api_key": KEY, "max_retries": 0, "timeout": 120} | options
        return openai.OpenAI(base_url=f"{self.url}/v1", **options)

    def anthropic(self, **options) -> anthropic.Anthropic:
        options = {"api_key": KEY, "max_retries": 0, "timeout": 120} | options
        return anthropic.Anthropic(base_url=self.url, **options)


def start(*options: str) -> Server:
    command = [os.environ["SHARPI_COMPILE"], "serve", "--port", "0", "--api-key", KEY]
    command += ["--chat-template", "qwen3.5", "-c", "4096", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    line = process.stdout.readline()
    found = re.search(r"http://\S+", line)
    assert found, f"the server said {line!r} instead of its address"
    return Server(found[0], process)


def stop(server: Server) -> None:
    """Ends it as a service manager does, and expects it to end well and soon."""
    server.process.terminate()
    assert server.process.wait(timeout=60) == 0


@pytest.fixture(scope="session")
def server():
    server = start("-np", "4", "--metrics")
    yield server
    stop(server)


@pytest.fixture
def full():
    """A server that is busy with one request and has another waiting; and what ends both."""
    server = start("-np", "1", "--queue", "1")
    client = server.openai()
    ends = threading.Event()

    def occupy(begun: threading.Event):
        stream = client.completions.create(
            model="any", prompt="ROMEO:", max_tokens=4000, stream=True, extra_body={"ignore_eos": True}
        )
        begun.set()
        with stream:
            for _ in stream:
                if ends.is_set():
                    return

    threads = []
    for _ in range(2):
        begun = threading.Event()
        threads.append(threading.Thread(target=occupy, args=[begun]))
        threads[-1].start()
        assert begun.wait(60)
    yield server, ends
    ends.set()
    for thread in threads:
        thread.join(60)
    stop(server)


@pytest.fixture
def ai(server) -> openai.OpenAI:
    return server.openai()


@pytest.fixture
def claude(server) -> anthropic.Anthropic:
    return server.anthropic()
