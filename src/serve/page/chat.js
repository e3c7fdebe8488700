// The conversation that is open: asking, stopping, asking again.

import * as api from "./api.js";
import * as conversations from "./conversations.js";
import * as settings from "./settings.js";
import { announce, byId, el, notify, setIcon } from "./dom.js";
import { AnswerView, draw } from "./message.js";

/** How often an answer in the making is kept, in milliseconds. */
const KEEP_EVERY = 400;

let open = null;
/** The answer that is being made: its conversation, its message, what ends it. */
let running = null;
/** Told when the list of conversations, or which one is open, may have changed. */
let onChange = () => {};
/** Told when a key is wanted. */
let askKey = () => {};

const input = byId("input");
const scroll = byId("scroll");
const messages = byId("messages");

export function start(hooks) {
  ({ onChange, askKey } = hooks);
  byId("send").addEventListener("click", () => (running ? stop() : send()));
  byId("composer").addEventListener("submit", (event) => event.preventDefault());
  input.addEventListener("input", grow);
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    send();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && running && !event.defaultPrevented) stop();
  });
  show(conversations.latest() ?? conversations.create());
}

export const current = () => open;

/** Opens a conversation; an answer that is being made elsewhere is stopped. */
export function show(conversation) {
  if (running && running.conversation !== conversation) stop();
  open = conversation;
  conversations.setLatest(conversation);
  redraw();
  scroll.scrollTop = scroll.scrollHeight;
  onChange();
}

function redraw() {
  if (open.messages.length === 0) {
    messages.replaceChildren(welcome());
    return;
  }
  messages.replaceChildren(...open.messages.map((message) => (running?.message === message ? running.view.node : draw(message, act))));
}

const welcome = () =>
  el(
    "div",
    { class: "welcome" },
    el("h2", {}, "Say something"),
    el("p", {}, "What you write goes to this server and nowhere else."),
  );

/** The text box is as high as its text, up to a bound that the style has. */
function grow() {
  input.style.height = "auto";
  input.style.height = `${input.scrollHeight}px`;
}

function send() {
  const content = input.value;
  if (content.trim() === "" || running) return;
  if (!ready()) return;
  open.messages.push({ role: "user", content });
  input.value = "";
  grow();
  answer();
}

/** Whether the settings can be sent; if not, says why. */
function ready() {
  const wrong = settings.firstFault();
  if (!wrong) return true;
  const [field, message] = wrong;
  byId("settings").showModal();
  field.closest("details")?.setAttribute("open", "");
  field.focus();
  notify(`A setting cannot be used. ${message}`);
  return false;
}

export function stop() {
  running?.stop.abort();
}

/** What can be done with a message. */
const act = {
  edit,
  again(message) {
    if (running || !ready()) return;
    const at = open.messages.indexOf(message);
    if (at < 0) return;
    open.messages.length = at;
    answer();
  },
  /** A call of the last message that has no result yet. */
  wantsResult(message, call) {
    const at = open.messages.indexOf(message);
    const rest = open.messages.slice(at + 1);
    return rest.every((m) => m.role === "tool") && !rest.some((m) => m.callId === call.id);
  },
  answerCall(message, call, content) {
    if (running || !ready()) return;
    open.messages.push({ role: "tool", content, name: call.name, callId: call.id });
    const left = message.calls.filter((other) => act.wantsResult(message, other));
    if (left.length) {
      conversations.save(open);
      redraw();
    } else answer();
  },
};

/** Puts a text box in the place of a message of the user; what followed it goes when it is sent. */
function edit(message, node) {
  if (running) return;
  const area = el("textarea", { class: "edit", "aria-label": "Message", rows: "3" });
  area.value = message.content;
  const cancel = () => {
    redraw();
    input.focus();
  };
  const save = () => {
    const at = open.messages.indexOf(message);
    if (area.value.trim() === "" || running || at < 0 || !ready()) return;
    open.messages.length = at;
    open.messages.push({ role: "user", content: area.value });
    answer();
    input.focus();
  };
  area.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) save();
    else if (event.key === "Escape") cancel();
    else return;
    event.preventDefault();
  });
  const buttons = el(
    "div",
    { class: "edit-buttons" },
    el("button", { type: "button", class: "button quiet", onclick: cancel }, "Leave it"),
    el("button", { type: "button", class: "button main", onclick: save }, "Send"),
  );
  node.replaceChildren(area, buttons);
  area.focus();
}

/** Asks for an answer to the conversation as it stands. */
async function answer() {
  const conversation = open;
  const message = { role: "assistant", content: "", reasoning: "", calls: [] };
  const body = request(conversation);
  conversation.messages.push(message);
  conversation.updated = Date.now();
  const view = new AnswerView(act);
  running = { conversation, message, view, stop: new AbortController() };
  const { stop: stopper } = running;
  const keeping = setInterval(() => conversations.save(conversation), KEEP_EVERY);
  conversations.save(conversation);
  busy(true);
  redraw();
  view.show(message, { live: true });
  follow(true);
  onChange();
  announce("Answering.");
  try {
    await api.streamChat(body, stopper.signal, (chunk) => {
      take(message, chunk);
      paint(view, message);
    });
  } catch (error) {
    fail(message, error);
  }
  clearInterval(keeping);
  running = null;
  busy(false);
  view.show(message, { live: false });
  if (open === conversation) follow(false);
  conversations.save(conversation);
  onChange();
}

function request({ messages }) {
  const system = settings.systemPrompt();
  const told = messages.filter((m) => m.role !== "assistant" || m.content || m.calls?.length);
  return {
    messages: [...(system ? [{ role: "system", content: system }] : []), ...told.map(asSent)],
    ...settings.params(),
  };
}

function asSent({ role, content, reasoning, calls, name, callId }) {
  const sent = { role, content };
  if (reasoning) sent.reasoning_content = reasoning;
  if (calls?.length) {
    sent.tool_calls = calls.map((call) => ({
      id: call.id,
      type: "function",
      function: { name: call.name, arguments: call.arguments },
    }));
  }
  if (callId) Object.assign(sent, { tool_call_id: callId, name });
  return sent;
}

/** Adds a chunk of a stream to an answer. */
function take(message, chunk) {
  if (chunk.timings) message.timings = chunk.timings;
  const choice = chunk.choices?.[0];
  if (!choice) return;
  if (choice.finish_reason) message.finish = choice.finish_reason;
  const { content, reasoning_content: reasoning, tool_calls: calls } = choice.delta ?? {};
  if (content) message.content += content;
  if (reasoning) message.reasoning += reasoning;
  for (const { index = 0, id, function: told } of calls ?? []) {
    const call = (message.calls[index] ??= { id: id ?? `call-${index}`, name: "", arguments: "" });
    if (told?.name) call.name += told.name;
    if (told?.arguments) call.arguments += told.arguments;
  }
}

function fail(message, error) {
  if (error.name === "AbortError") {
    message.finish = "stopped";
    return;
  }
  const { message: text, advice = "Try again.", status, canRetry } = error;
  message.error = { text, advice, canRetry };
  if (!(error instanceof api.Failure)) console.error(error);
  if (status === 401) askKey();
}

let painting = 0;

/** Draws what has come at most once a frame; a page that nobody sees is not drawn. */
function paint(view, message) {
  if (painting) return;
  painting = requestAnimationFrame(() => {
    painting = 0;
    if (running?.message !== message) return;
    const near = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 80;
    view.show(message, { live: true });
    if (near) follow(false);
  });
}

/** Scrolls to the end. */
function follow(smooth) {
  scroll.scrollTo({ top: scroll.scrollHeight, behavior: smooth ? "smooth" : "instant" });
}

function busy(is) {
  const button = byId("send");
  const label = is ? "Stop" : "Send";
  setIcon(button, is ? "stop" : "send");
  button.setAttribute("aria-label", label);
  button.title = is ? "Stop (Esc)" : "Send (Enter)";
  button.classList.toggle("running", is);
  document.body.classList.toggle("busy", is);
}
