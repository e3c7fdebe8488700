// The program under test, and what stands between it and the page.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, request } from "node:http";

/** Starts `serve` on a port that is free. */
export async function startServer(...options) {
  const args = ["serve", "--port", "0", "-c", "512", ...options];
  const child = spawn(process.env.PROGRAM, args, { stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  const url = await new Promise((resolve, reject) => {
    const hear = (data) => {
      said += data;
      const at = /listening on (http:\S+)/.exec(said);
      if (at) resolve(at[1]);
    };
    child.stdout.on("data", hear);
    child.stderr.on("data", hear);
    child.on("exit", (code) => reject(new Error(`the server ended with ${code}: ${said}`)));
  });
  return {
    url,
    async stop() {
      const ended = child.exitCode === null ? once(child, "exit") : null;
      child.kill("SIGTERM");
      await ended;
    },
  };
}

/**
 * Passes everything on to a server, but answers of the chat only as the test wants: event by event
 * (`hold`), or other events in their place (`script`). Nothing then depends on how fast a model is.
 */
export class Gate {
  constructor(server) {
    this.server = server;
    this.next = null;
    this.asked = [];
    /** Answers whose client went away before their end. */
    this.left = 0;
  }

  async start() {
    this.http = createServer((asked, answer) => this.pass(asked, answer));
    this.http.listen(0, "127.0.0.1");
    await once(this.http, "listening");
    this.url = `http://127.0.0.1:${this.http.address().port}`;
    return this;
  }

  async stop() {
    this.http.closeAllConnections();
    this.http.close();
    await once(this.http, "close");
  }

  /** The next answer of the chat comes only as far as the test lets it. */
  hold() {
    let letThrough = 0;
    let wake = () => {};
    const held = {
      events: 0,
      let(n) {
        letThrough += n;
        wake();
      },
      async turn() {
        while (letThrough === 0) await new Promise((resolve) => (wake = resolve));
        letThrough -= 1;
        held.events += 1;
      },
    };
    this.next = { held };
    return held;
  }

  /** The next answer of the chat is this: data of events, in pieces of so many bytes. */
  script(events, { bytes = Infinity, status = 200 } = {}) {
    this.next = { events, bytes, status };
  }

  async pass(asked, answer) {
    const body = [];
    for await (const piece of asked) body.push(piece);
    const whole = Buffer.concat(body);
    const chat = asked.url === "/v1/chat/completions";
    if (chat) this.asked.push(JSON.parse(whole));
    const next = chat ? this.next : null;
    if (chat) this.next = null;
    if (next?.events) return scripted(answer, next);
    const { method, headers } = asked;
    const onward = request(`${this.server.url}${asked.url}`, { method, headers });
    answer.on("close", () => {
      if (chat && !answer.writableFinished) this.left += 1;
      onward.destroy();
    });
    onward.on("error", () => answer.destroy());
    onward.on("response", async (given) => {
      answer.writeHead(given.statusCode, given.headers);
      try {
        if (next?.held) await held(given, answer, next.held);
        else for await (const piece of given) answer.write(piece);
        answer.end();
      } catch {
        answer.destroy();
      }
    });
    onward.end(whole);
  }
}

async function held(given, answer, gate) {
  answer.flushHeaders();
  let rest = "";
  for await (const piece of given.setEncoding("utf8")) {
    const events = (rest + piece).split("\n\n");
    rest = events.pop();
    for (const event of events) {
      await gate.turn();
      answer.write(`${event}\n\n`);
    }
  }
}

async function scripted(answer, { events, bytes, status }) {
  const streamed = status === 200;
  answer.writeHead(status, { "content-type": streamed ? "text/event-stream" : "application/json" });
  const text = streamed ? events.map((event) => `data: ${event}\n\n`).join("") : events[0];
  const whole = Buffer.from(text);
  const size = Math.min(bytes, whole.length) || 1;
  for (let at = 0; at < whole.length; at += size) {
    answer.write(whole.subarray(at, at + size));
    // Each piece is a packet of its own.
    await new Promise((resolve) => setImmediate(resolve));
  }
  answer.end();
}

/** A chunk of a streamed answer. */
export const chunk = (delta, finish = null, more = {}) =>
  JSON.stringify({ choices: [{ index: 0, delta, finish_reason: finish }], ...more });

export const DONE = "[DONE]";
