// Where the time goes: the roofline, and ops of all blocks together with their share.

import { barRow } from "./bars.js";
import { doc, shortName } from "./data.js";
import { el } from "./dom.js";
import { roofline } from "./roofline.js";
import { MEASURES, SHAPES, measures, partOf, si, table } from "./times.js";

const unfolded = new Set();

/** The panel of a stage: `shape` is the width of the runs, `select(op)` for an op that is named. */
export function costPanel(stage, shape, select) {
  return [
    el("h2", {}, `A run of ${SHAPES[shape].tokens} token${SHAPES[shape].tokens === 1 ? "" : "s"}`),
    machine(),
    stage.graphs.map((graph) => graphPart(graph, shape, select)),
  ];
}

function machine() {
  const { machine: best, measured } = doc;
  const lines = [];
  if (best) lines.push(`At best: ${best.cpu}, ${best.threads} thread${best.threads === 1 ? "" : "s"}, ${best.simd}.`);
  else lines.push("No times at best: this page was made without the ceilings of a machine, which `sharpi-compile hwbench` measures.");
  if (measured) lines.push(`Measured: ${measured.cpu}, ${measured.threads} thread${measured.threads === 1 ? "" : "s"}; the planned graphs have it.`);
  else lines.push("Nothing measured: `profile --html` makes a page with times.");
  return lines.map((line) => el("p", { class: "where" }, line));
}

function graphPart(graph, shape, select) {
  const known = measures();
  const tables = Object.fromEntries(known.map((name) => [name, table(graph, name, shape)]));
  const name = ["measured", "best", "bytes"].find((candidate) => tables[candidate]?.sum > 0) ?? "macs";
  const { values, sum } = tables[name];
  const part = partOf(graph.name, shape);
  const waiting = name === "measured" ? tables.waiting.sum : 0;
  const total = name === "measured" ? part.seconds / part.runs : sum;
  const unit = { macs: "", bytes: "B" }[name] ?? "s";
  const rows = sums(graph, values, select);
  if (name === "measured") {
    rows.push({ name: "waiting for one another", value: waiting, parts: [] });
    rows.push({ name: "starting and ending runs", value: Math.max(0, total - sum - waiting), parts: [] });
  }
  return [
    el("h3", {}, `@${graph.name}`),
    el("p", { class: "where" }, `${MEASURES[name].name}: ${si(total, unit)}${tables.best && name === "measured" ? `, at best ${si(tables.best.sum, "s")}` : ""}`),
    roofline(graph, shape, select),
    el("div", { class: "rows" }, rows.map((row) => barRow(row, total, unfolded, 80))),
  ];
}

/** The same op of all blocks together, the largest first. */
function sums(graph, values, select) {
  const all = new Map();
  graph.ops.forEach((op, i) => {
    if (!values[i]) return;
    const matrices = op.weights.filter(({ type }) => type.includes(",")).map(({ name }) => shortName(name));
    const name = [op.op, ...matrices].join(" ");
    if (!all.has(name)) all.set(name, { name, value: 0, parts: [] });
    const row = all.get(name);
    row.value += values[i];
    const { block } = op.section;
    row.parts.push({ name: block >= 0 ? `block ${block}` : "outside of blocks", value: values[i], pick: () => select(op) });
  });
  return [...all.values()].sort((a, b) => b.value - a.value);
}
