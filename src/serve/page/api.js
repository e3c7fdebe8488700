// The server's endpoints: requests with the key, streams of events, failures in words.

import { keep, kept } from "./dom.js";

let key = kept("key", "");

export const hasKey = () => key !== "";

export function setKey(value) {
  key = value;
  keep("key", value || null);
}

/** What went wrong, and what can be done about it. */
export class Failure extends Error {
  constructor(message, advice, { status = 0, canRetry = true } = {}) {
    super(message);
    this.advice = advice;
    this.status = status;
    this.canRetry = canRetry;
  }
}

async function ask(path, options = {}) {
  const headers = { ...options.headers };
  if (key) headers.authorization = `Bearer ${key}`;
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure("The server cannot be reached.", "See whether it still runs, then try again.");
  }
  if (!response.ok) throw await refusal(response);
  return response;
}

export const getJson = async (path) => (await ask(path)).json();

async function refusal(response) {
  let message = `The server answers with status ${response.status}.`;
  let kind = "";
  try {
    const { error } = await response.json();
    message = error.message ?? message;
    kind = error.type ?? "";
  } catch {
    // It was not the server's own answer; the status says enough.
  }
  // That speaks of headers, to those who write programs.
  if (response.status === 401) message = "This server asks for a key.";
  return new Failure(sentence(message), advice(response.status, kind), { status: response.status });
}

function sentence(text) {
  const whole = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(whole) ? whole : `${whole}.`;
}

function advice(status, kind) {
  if (kind === "exceed_context_size_error")
    return "Begin a new conversation, edit an earlier message, or start the server with a larger -c.";
  switch (status) {
    case 401:
      return "Enter the key that the server was started with.";
    case 400:
      return "Look at the settings: one of them is not what the server takes.";
    case 413:
      return "Send a shorter message, or begin a new conversation.";
    case 429:
      return "Many requests wait. Try again in a moment.";
    case 501:
      return "Leave this setting away.";
    case 503:
      return "The server is being stopped or started. Try again when it is back.";
    default:
      return "Try again; if it stays, the server's own messages say more.";
  }
}

/** Streams an answer: `hear` gets each chunk. */
export async function streamChat(body, signal, hear) {
  const response = await ask("/v1/chat/completions", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ ...body, stream: true }),
    signal,
  });
  let done = false;
  await readEvents(response.body, (data) => {
    if (data === "[DONE]") {
      done = true;
      return;
    }
    const chunk = JSON.parse(data);
    if (chunk.error) {
      const { code = 0, type = "", message } = chunk.error;
      throw new Failure(sentence(message), advice(code, type), { status: code });
    }
    hear(chunk);
  });
  if (!done) {
    throw new Failure("The connection broke before the answer was complete.", "Try again.");
  }
}

/** The data of server-sent events, however the bytes were cut. */
export async function readEvents(stream, hear) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let data = [];
  const line = (text) => {
    if (text === "" && data.length) {
      const whole = data.join("\n");
      data = [];
      hear(whole);
    } else if (text.startsWith("data:")) {
      data.push(text.slice(text[5] === " " ? 6 : 5));
    }
  };
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const text of lines) line(text.replace(/\r$/, ""));
    }
  } catch (error) {
    if (error.name === "AbortError" || error instanceof Failure) throw error;
    throw new Failure("The connection broke before the answer was complete.", "Try again.");
  } finally {
    // What is left is not wanted; the connection is let go.
    reader.cancel().catch(() => {});
  }
}
