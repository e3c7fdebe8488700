"""Clients for a long time: soak.py URL [--minutes N] [--clients N] [--pause S] [--pid PID].

Every client asks at random for one of a fixed list of answers: texts, conversations, streams, tools,
forms, receipts; some go away in the middle, some send what is no request. Each answer must be the one
that the same request had first, whoever was served beside it. With the server's PID its memory is told.
"""

import argparse
import http.client
import json
import random
import threading
import time
import urllib.parse


def requests():
    """Paths and bodies; all choose their tokens in a way that can be repeated."""
    tool = {
        "type": "function",
        "function": {
            "name": "cry",
            "parameters": {
                "type": "object",
                "properties": {"whose": {"type": "string"}},
                "required": ["whose"],
            },
        },
    }
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    found = []
    for i in range(24):
        ways = {"seed": i, "temperature": [0, 0.8][i % 2], "max_tokens": 8 + 5 * i}
        ways["speculative.n_max"] = i % 3
        ask = {"messages": [{"role": "user", "content": "What news? " * (1 + i % 7)}], **ways}
        found += [
            ("/v1/chat/completions", ask),
            ("/v1/chat/completions", {**ask, "stream": True}),
            ("/v1/chat/completions", {**ask, "tools": [tool], "tool_choice": "auto"}),
            ("/completion", {"prompt": "ROMEO:\n" * (1 + i), **ways}),
            ("/completion", {"prompt": "ROMEO:", "json_schema": schema, **ways}),
            ("/v1/messages", {**ask, "model": "any"}),
            ("/v1/responses", {"input": "What news?", **ways, "max_tokens": None}),
        ]
    return found


def texts(value):
    """What of an answer must be the same each time: its texts, without ids and times."""
    if isinstance(value, dict):
        return [texts(value[key]) for key in sorted(value) if key in KEPT]
    return [texts(each) for each in value] if isinstance(value, list) else value


KEPT = "choices message content text delta tool_calls function name arguments output receipt".split()


class Soak:
    def __init__(self, address, end, pause):
        self.address, self.end, self.pause = address, end, pause
        self.all, self.first = requests(), {}
        self.lock, self.done, self.left, self.wrong = threading.Lock(), 0, 0, []

    def ask(self, i, leaves):
        path, body = self.all[i]
        connection = http.client.HTTPConnection(self.address, timeout=600)
        body = json.dumps({key: value for key, value in body.items() if value is not None})
        connection.request("POST", path, body, {"content-type": "application/json"})
        response = connection.getresponse()
        if leaves:
            response.read(20)
            connection.close()
            with self.lock:
                self.left += 1
            return
        text = response.read().decode()
        connection.close()
        lines = [line[6:] for line in text.split("\n") if line.startswith("data: {")]
        answer = "\n".join(str(texts(json.loads(line))) for line in lines or [text])
        with self.lock:
            self.done += 1
            first = self.first.setdefault(i, (response.status, answer))
            if first != (response.status, answer) or response.status >= 500:
                self.wrong.append((self.all[i], first, response.status, text))

    def client(self, seed):
        chance = random.Random(seed)
        while time.time() < self.end and not self.wrong:
            try:
                self.ask(chance.randrange(len(self.all)), chance.random() < 0.1)
            except Exception as error:
                self.wrong.append(repr(error))
            time.sleep(chance.random() * 2 * self.pause)


def memory(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(line.split(":")[1].strip() for line in status if line.startswith("VmRSS"))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--pause", type=float, default=0.1, help="seconds, on the average")
    parser.add_argument("--pid", type=int)
    arguments = parser.parse_args()
    address = urllib.parse.urlparse(arguments.url).netloc
    soak = Soak(address, time.time() + arguments.minutes * 60, arguments.pause)
    clients = [threading.Thread(target=soak.client, args=(i,)) for i in range(arguments.clients)]
    for client in clients:
        client.start()
    began, told = time.time(), 0
    while any(client.is_alive() for client in clients):
        time.sleep(1)
        if time.time() - told > 60:
            told = time.time()
            rss = f", memory {memory(arguments.pid)}" if arguments.pid else ""
            print(f"{told - began:6.0f} s: {soak.done} answers, {soak.left} left{rss}", flush=True)
    for wrong in soak.wrong:
        print(wrong)
    print(f"{soak.done} answers, {soak.left} clients left, {len(soak.wrong)} wrong")
    raise SystemExit(bool(soak.wrong))


if __name__ == "__main__":
    main()
