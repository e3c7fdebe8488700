// The graph's steps with their share of the time, as it was measured while the server worked.

import * as api from "./api.js";
import { el } from "./dom.js";

const EVERY = 5000;
/** Rows that are shown of an op that stands in more steps than this. */
const MOST_STEPS = 200;

let root = null;
let shown = "";
let last = 0;
let view = "ops";
/** What the runs are called that somebody chose to see. */
let chosen = null;
let report = null;
/** Names of the rows that are unfolded. */
const unfolded = new Set();

export function build() {
  root = el("div", { id: "steps" }, el("p", { class: "said" }, "Nothing was measured yet."));
  return root;
}

export async function refresh() {
  if (performance.now() - last < EVERY && report?.graphs.length) return;
  report = await api.getJson("/v1/engine/steps");
  last = performance.now();
  draw();
}

/** What the runs of a graph are called. */
const label = ({ graph, with_prompt }) =>
  `${graph === "trunk" ? "Model" : graph === "mtp" ? "Drafting head" : graph}, ${with_prompt ? "reading prompts" : "writing"}`;

function draw() {
  const { graphs } = report;
  if (graphs.length === 0) return;
  const labels = graphs.map(label);
  const part = [chosen, "Model, writing"].find((name) => labels.includes(name)) ?? labels[0];
  const graph = graphs[labels.indexOf(part)];
  const rows = sums(graph);
  const total = graph.seconds;
  const key = JSON.stringify([labels, part, view, rows.map((row) => [row.name, row.seconds])]);
  if (key === shown) return;
  // Nothing is taken from under the hand of who is at it.
  const focused = document.activeElement?.closest?.("#steps [data-key]")?.dataset.key;
  shown = key;
  const head = el("div", { class: "choices" }, select("Graph", labels, part, (v) => (chosen = v)), select("Sum up by", ["op", "block"], view === "ops" ? "op" : "block", (v) => (view = v === "op" ? "ops" : "blocks")));
  root.replaceChildren(head, ...rows.map((row) => drawRow(row, total)), summary(graph));
  if (focused) root.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
}

function select(name, options, value, choose) {
  const node = el("select", { "aria-label": name, dataset: { key: `select ${name}` } }, options.map((text) => el("option", { value: text, selected: text === value }, text)));
  node.addEventListener("change", () => {
    choose(node.value);
    shown = "";
    draw();
  });
  return node;
}

/** Ops that do the same in all blocks together, or all ops of a block; the longest first. */
function sums(graph) {
  const all = new Map();
  let busy = 0;
  let waits = 0;
  graph.steps.forEach((step, number) => {
    waits += step.wait_seconds;
    for (const { op, uses, block, seconds } of step.ops) {
      const opName = [op, ...uses].join(" ");
      const place = block == null ? "outside of blocks" : `block ${block}`;
      const name = view === "ops" ? opName : place;
      const sum = all.get(name) ?? { name, seconds: 0, steps: [] };
      sum.seconds += seconds;
      sum.steps.push({ name: view === "ops" ? `${place} · step ${number}` : `${opName} · step ${number}`, seconds });
      all.set(name, sum);
      busy += seconds;
    }
  });
  const sorted = [...all.values()].sort((a, b) => b.seconds - a.seconds);
  const idle = { name: "waiting for one another", seconds: waits, steps: [], idle: true };
  const rest = { name: "starting and ending runs", seconds: Math.max(0, graph.seconds - busy - waits), steps: [], idle: true };
  return [...sorted, idle, rest];
}

function drawRow(row, total) {
  const head = [
    el("span", { class: "name" }, row.name),
    el("span", { class: "share" }, percent(row.seconds, total)),
    track(row.seconds / total),
  ];
  if (row.steps.length === 0) return el("div", { class: "step-row idle" }, head);
  const node = el("details", { class: "step-row", open: unfolded.has(row.name) }, el("summary", { dataset: { key: row.name } }, head));
  const fill = () => {
    const steps = row.steps.toSorted((a, b) => b.seconds - a.seconds).slice(0, MOST_STEPS);
    const most = steps[0]?.seconds || 1;
    node.append(el("ul", {}, steps.map((step) => el("li", {}, el("span", { class: "name" }, step.name), el("span", { class: "share" }, percent(step.seconds, total)), track(step.seconds / most)))));
  };
  if (node.open) fill();
  node.addEventListener("toggle", () => {
    if (!node.open) unfolded.delete(row.name);
    else {
      unfolded.add(row.name);
      if (node.childElementCount === 1) fill();
    }
  });
  return node;
}

function track(share) {
  const fill = el("span", { class: "fill" });
  fill.style.width = `${(100 * Math.min(1, share || 0)).toFixed(2)}%`;
  return el("span", { class: "track", "aria-hidden": "true" }, fill);
}

const percent = (seconds, total) => `${total ? ((100 * seconds) / total).toFixed(1) : "0.0"} %`;

function summary({ runs, tokens, seconds }) {
  const each = (1e3 * seconds) / runs;
  const ms = each < 10 ? each.toPrecision(3) : each.toFixed(1);
  return el("p", { class: "said" }, `${runs.toLocaleString("en")} runs were measured, of ${(tokens / runs).toFixed(1)} tokens and ${ms} ms on average.`);
}
