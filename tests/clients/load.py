"""What a server does for many clients: load.py URL [--clients 1,8,32] [--requests N] [--tokens N].

Each client asks for one streamed answer after another, on a connection that it keeps, with prompts that
share nothing. Prints requests and tokens a second, and the time to the first token, its median and that
of the slowest twentieth.
"""

import argparse
import http.client
import json
import statistics
import threading
import time
import urllib.parse


def ask(connection, body):
    """Seconds to the first token, and how many tokens came."""
    began = time.perf_counter()
    connection.request("POST", "/completion", json.dumps(body), {"content-type": "application/json"})
    response = connection.getresponse()
    if response.status != 200:
        raise SystemExit(f"{response.status}: {response.read().decode()}")
    first, tokens = None, 0
    for line in response:
        if line.startswith(b"data: {"):
            first = first or time.perf_counter() - began
            tokens += not json.loads(line[6:])["stop"]
    return first, tokens


def client(address, bodies, found):
    connection = http.client.HTTPConnection(address)
    while bodies:
        try:
            body = bodies.pop()
        except IndexError:
            break
        found.append(ask(connection, body))


def body(i, arguments):
    prompt = f"{i * 7919 % 10007}: " + "What news from the north, my lord? " * arguments.prompt
    return {
        "prompt": prompt,
        "n_predict": arguments.tokens,
        "ignore_eos": True,
        "stream": True,
        "seed": i,
        "temperature": 0.8,
    }


def measure(address, clients, arguments):
    first = measure.asked
    measure.asked += arguments.requests
    bodies = [body(i, arguments) for i in range(first, measure.asked)]
    found = []
    threads = [threading.Thread(target=client, args=(address, bodies, found)) for _ in range(clients)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    waits = sorted(first for first, _ in found)
    tokens = sum(tokens for _, tokens in found)
    late = waits[int(len(waits) * 0.95)]
    print(
        f"{clients:>3} clients: {len(found) / seconds:8.2f} requests/s {tokens / seconds:9.1f} tokens/s"
        f"   first token {statistics.median(waits) * 1e3:8.1f} ms, 95 % {late * 1e3:8.1f} ms",
        flush=True,
    )


measure.asked = 0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--clients", default="1,8,32")
    parser.add_argument("--requests", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--prompt", type=int, default=1, help="sentences of the prompt, of nine words")
    arguments = parser.parse_args()
    address = urllib.parse.urlparse(arguments.url).netloc
    for clients in map(int, arguments.clients.split(",")):
        measure(address, clients, arguments)


if __name__ == "__main__":
    main()
