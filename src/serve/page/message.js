// How messages look, and how one grows.

import { announce, el, icon, iconButton } from "./dom.js";
import { blocks, codeBlock, copyText } from "./markdown.js";

/** Draws a message. `act` has what can be done: `edit`, `again`, `retry`, `answerCall`. */
export function draw(message, act) {
  switch (message.role) {
    case "user":
      return drawUser(message, act);
    case "tool":
      return drawResult(message);
    default: {
      const view = new AnswerView(act);
      view.show(message, { live: false });
      return view.node;
    }
  }
}

function drawUser(message, act) {
  const tools = el(
    "div",
    { class: "tools" },
    iconButton("edit", "Edit this message", () => act.edit(message, node)),
    iconButton("copy", "Copy this message", () => copyText(message.content)),
  );
  const text = el("div", { class: "text" }, message.content);
  const node = el("article", { class: "message user", "aria-label": "You" }, text, tools);
  return node;
}

function drawResult(message) {
  const head = el("h3", {}, icon("tool"), "Result of ", el("code", {}, message.name ?? "the tool"));
  const text = el("pre", { tabindex: "0" }, message.content);
  return el("article", { class: "message result", "aria-label": "Result of a tool" }, head, text);
}

/** An answer; it can be shown again and again as it grows, and what has not changed stays. */
export class AnswerView {
  constructor(act) {
    this.act = act;
    this.thoughts = el("div", { class: "thoughts" });
    this.summary = el("summary", {}, "Reasoning");
    this.reasoning = el("details", { class: "reasoning", hidden: true }, this.summary, this.thoughts);
    this.text = el("div", { class: "prose" });
    this.calls = el("div", { class: "calls" });
    this.foot = el("div", { class: "foot" });
    this.node = el(
      "article",
      { class: "message answer", "aria-label": "Answer" },
      this.reasoning,
      this.text,
      this.calls,
      this.foot,
    );
    this.shown = [];
    this.told = 0;
  }

  show(message, { live }) {
    this.node.classList.toggle("live", live);
    this.node.setAttribute("aria-busy", String(live));
    this.showReasoning(message, live);
    this.showText(message.content ?? "", live);
    this.showCalls(message, live);
    if (!live) this.showFoot(message);
  }

  showReasoning(message, live) {
    const text = message.reasoning ?? "";
    this.reasoning.hidden = text === "";
    if (this.thoughts.textContent !== text) this.thoughts.textContent = text;
    const thinking = live && !message.content && !message.calls?.length;
    this.summary.textContent = thinking ? "Reasoning …" : "Reasoning";
  }

  showText(text, live) {
    const now = blocks(text);
    const same = now.findIndex((block, i) => this.shown[i] !== block.raw);
    const from = same < 0 ? now.length : same;
    while (this.text.childElementCount > from) this.text.lastElementChild.remove();
    for (const block of now.slice(from)) this.text.append(block.make());
    this.shown = now.map((block) => block.raw);
    this.tell(now.length - (live ? 1 : 0), live);
  }

  /** Reads out the blocks that are complete, of an answer that was seen growing. */
  tell(complete, live) {
    if (live) this.grew = true;
    if (!this.grew) return;
    for (; this.told < complete; this.told += 1) announce(this.text.children[this.told].textContent);
  }

  showCalls(message, live) {
    const calls = message.calls ?? [];
    this.calls.replaceChildren(...calls.map((call) => drawCall(call, message, live, this.act)));
  }

  showFoot(message) {
    const { act } = this;
    const parts = [];
    if (message.error) parts.push(drawError(message, act));
    else if (message.finish === "length") {
      parts.push(note("It ends here because it reached its most tokens, or the end of the context."));
    } else if (message.finish === "stopped") parts.push(note("Stopped."));
    else if (!message.finish) parts.push(note("The page was left before this answer was complete."));
    const tools = el(
      "div",
      { class: "tools" },
      iconButton("copy", "Copy this answer", () => copyText(message.content ?? "")),
      iconButton("again", "Answer again", () => act.again(message)),
    );
    parts.push(el("div", { class: "foot-line" }, drawStats(message.timings), tools));
    this.foot.replaceChildren(...parts);
  }
}

const note = (text) => el("p", { class: "note" }, text);

function drawError(message, act) {
  const { text, advice, canRetry } = message.error;
  const retry = el("button", { type: "button", class: "button", onclick: () => act.again(message) }, "Try again");
  return el(
    "div",
    { class: "error", role: "alert" },
    el("p", {}, el("strong", {}, text), " ", advice),
    canRetry !== false && retry,
  );
}

function drawCall(call, message, live, act) {
  const head = el("h3", {}, icon("tool"), "Calls ", el("code", {}, call.name));
  const parts = [head, codeBlock(pretty(call.arguments), "arguments")];
  if (!live && act.wantsResult(message, call)) parts.push(resultForm(call, message, act));
  return el("section", { class: "call", "aria-label": `Call of ${call.name}` }, ...parts);
}

/** A place for what the tool would have said: this page runs none. */
function resultForm(call, message, act) {
  const id = `result-${call.id}`;
  const area = el("textarea", { id, rows: "2", placeholder: "What the tool answers" });
  const send = () => act.answerCall(message, call, area.value);
  return el(
    "div",
    { class: "result-form" },
    el("label", { for: id }, "Result"),
    area,
    el("button", { type: "button", class: "button", onclick: send }, "Give the result"),
  );
}

/** Arguments as JSON with indents, or as they came while they are no JSON yet. */
function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

function drawStats(timings) {
  if (!timings) return null;
  const parts = [`${timings.predicted_n} tokens`];
  if (timings.predicted_n > 1) parts.push(`${rate(timings.predicted_per_second)} a second`);
  if (timings.cache_n > 0) parts.push(`${timings.cache_n} of the prompt remembered`);
  if (timings.draft_n > 0) {
    parts.push(`${Math.round((100 * timings.draft_n_accepted) / timings.draft_n)} % of drafts held`);
  }
  return el("p", { class: "stats" }, parts.join(" · "));
}

/** A rate with three digits that matter. */
export function rate(n) {
  return n < 100 ? n.toPrecision(3) : Math.round(n).toLocaleString("en");
}
