// Finds ops by what they are, by their tensors and by their weights.

import { byId, el } from "./dom.js";

const MOST = 40;

/** `host` has `shownStage()` and `select(op)`. */
export function startSearch(host) {
  const [input, list] = [byId("find"), byId("found")];
  let hits = [];
  let at = 0;
  const close = () => {
    list.hidden = true;
    input.setAttribute("aria-expanded", "false");
  };
  const mark = (next) => {
    at = Math.max(0, Math.min(list.querySelectorAll("[role=option]").length - 1, next));
    list.querySelectorAll("[role=option]").forEach((node, i) => node.setAttribute("aria-selected", String(i === at)));
    const chosen = list.children[at];
    if (chosen) input.setAttribute("aria-activedescendant", chosen.id);
    chosen?.scrollIntoView({ block: "nearest" });
  };
  const choose = (op) => {
    host.select(op);
    close();
  };
  const find = () => {
    hits = search(host.shownStage(), input.value);
    const rows = hits.slice(0, MOST).map(({ op, text }, i) => el("li", { role: "option", id: `found-${i}`, onclick: () => choose(op) }, el("span", { class: "name" }, text), el("small", {}, `@${op.graph.name}${op.section.block >= 0 ? `, block ${op.section.block}` : ""}`)));
    if (hits.length > MOST) rows.push(el("li", { class: "more" }, `and ${hits.length - MOST} more`));
    if (hits.length === 0) rows.push(el("li", { class: "more" }, "Nothing is called so."));
    list.replaceChildren(...rows);
    list.hidden = input.value.trim() === "";
    input.setAttribute("aria-expanded", String(!list.hidden));
    mark(0);
  };
  input.addEventListener("input", find);
  input.addEventListener("focus", () => input.value && find());
  input.addEventListener("blur", () => setTimeout(close, 150));
  input.addEventListener("keydown", (event) => {
    const keys = { ArrowDown: () => mark(at + 1), ArrowUp: () => mark(at - 1), Enter: () => hits[at] && choose(hits[at].op), Escape: close };
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });
}

/** Ops in which every word is found, those first whose mnemonic or tensor begins with the first. */
export function search(stage, text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return [];
  const hits = [];
  for (const graph of stage.graphs) {
    for (const op of graph.ops) {
      const names = namesOf(op);
      const whole = names.join("\n");
      if (!words.every((word) => whole.includes(word))) continue;
      const begins = names.some((name) => name.startsWith(words[0]) || name.startsWith(`%${words[0]}`));
      hits.push({ op, text: op.label, rank: begins ? 0 : 1 });
    }
  }
  return hits.sort((a, b) => a.rank - b.rank);
}

function namesOf(op) {
  op.names ??= [op.op, ...op.results.flatMap(({ number, name }) => [`%${number}`, name ?? ""]), ...op.weights.flatMap(({ name, tensor, type }) => [name, tensor, type]), ...op.states, `@${op.graph.name}`, op.section.block >= 0 ? `block ${op.section.block}` : ""].map((name) => name.toLowerCase());
  return op.names;
}
