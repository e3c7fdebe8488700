// The graph's steps with their share of the time, as it was measured while the server worked.

import * as api from "./api.js";
import { barRow } from "./bars.js";
import { el } from "./dom.js";
import { colour, kindOf, readColours } from "./kinds.js";
import { Lanes } from "./lanes.js";

const EVERY = 5000;
let root = null;
let shown = "";
let last = 0;
let view = "ops";
/** What the runs are called that somebody chose to see. */
let chosen = null;
let report = null;
/** Names of the rows that are unfolded. */
const unfolded = new Set();
/** The steps as lanes, and what is told of one of them. */
const told = el("p", { class: "said", "aria-hidden": "true" });
const lanes = new Lanes({
  label: "Steps in their order, as wide as the time that they take",
  colour: (name) => colour(name === "on-cell" ? "ink" : name),
  paint: ({ op }) => colour(kindOf(op)),
  pick: tell,
  hover: tell,
});

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
  const key = JSON.stringify([labels, part, view, rows.map((row) => [row.name, row.value])]);
  if (key === shown) return;
  // Nothing is taken from under the hand of who is at it.
  const focused = document.activeElement?.closest?.("#steps [data-key]")?.dataset.key;
  shown = key;
  const head = el("div", { class: "choices" }, select("Graph", labels, part, (v) => (chosen = v)), select("Sum up by", ["op", "block"], view === "ops" ? "op" : "block", (v) => (view = v === "op" ? "ops" : "blocks")));
  root.replaceChildren(head, lanes.canvas, told, ...rows.map((row) => barRow(row, total, unfolded)), summary(graph));
  readColours();
  lanes.show(graph.steps.map(({ ops, wait_seconds: wait }) => ({ cells: ops.map(cellOf), wait })), true);
  if (focused) root.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
}

const cellOf = ({ op, uses, block, seconds }) => ({ op, name: [op, ...uses].join(" "), value: seconds, block });

function tell(cell) {
  told.textContent = cell ? `${cell.name}${cell.block == null ? "" : ` of block ${cell.block}`}, ${(1e3 * cell.value).toPrecision(3)} ms of the runs measured` : "";
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
      const sum = all.get(name) ?? { name, value: 0, parts: [] };
      sum.value += seconds;
      sum.parts.push({ name: view === "ops" ? `${place} · step ${number}` : `${opName} · step ${number}`, value: seconds });
      all.set(name, sum);
      busy += seconds;
    }
  });
  const sorted = [...all.values()].sort((a, b) => b.value - a.value);
  const idle = { name: "waiting for one another", value: waits, parts: [] };
  const rest = { name: "starting and ending runs", value: Math.max(0, graph.seconds - busy - waits), parts: [] };
  return [...sorted, idle, rest];
}

function summary({ runs, tokens, seconds }) {
  const each = (1e3 * seconds) / runs;
  const ms = each < 10 ? each.toPrecision(3) : each.toFixed(1);
  return el("p", { class: "said" }, `${runs.toLocaleString("en")} runs were measured, of ${(tokens / runs).toFixed(1)} tokens and ${ms} ms on average.`);
}
