// All that is known of an op.

import { doc, shortName, stageName, stateType } from "./data.js";
import { el } from "./dom.js";
import { madeBy, takenBy } from "./identity.js";
import { kindOf, legend } from "./kinds.js";
import { SHAPES, best, measured, si } from "./times.js";

const FLOATS = new Set(["f32", "f16", "bf16"]);

/** The panel of an op; `select` is called with others that are named in it. */
export function details(op, shape, select, twins) {
  const block = op.section.block;
  return [
    el("h2", {}, el("span", { class: `dot kind-${kindOf(op.op)}` }), op.title),
    el("p", { class: "where" }, `@${op.graph.name}, ${block >= 0 ? `block ${block}` : "no block"}${twins > 1 ? `, one of ${twins} like it` : ""}`),
    el("p", { class: "doc" }, ...sentences(doc.ops[op.op] ?? "")),
    changed(op),
    list("Operands", op.operands.map((operand, slot) => operandRow(op, operand, op.spec.slots[slot], select))),
    list("Results", op.results.map((result) => resultRow(op, result, select))),
    op.attrs.length > 0 && list("Attributes", op.attrs.map(([name, value]) => pair(name, value))),
    list(`A run of ${SHAPES[shape].tokens} token${SHAPES[shape].tokens === 1 ? "" : "s"}`, costRows(op, shape)),
    list("Kernel", kernelRows(op)),
    op.graph.plan && list("Plan", planRows(op)),
  ];
}

/** Text with what stands between backticks as code. */
const sentences = (text) => text.split("`").map((part, i) => (i % 2 ? el("code", {}, part) : part));

const list = (title, rows) => (rows.length ? [el("h3", {}, title), el("dl", { class: "facts" }, rows)] : null);
const pair = (name, ...value) => [el("dt", {}, name), el("dd", {}, ...value)];
const link = (text, to, select) => el("button", { type: "button", class: "link", onclick: () => select(to) }, text);

function operandRow(op, operand, name, select) {
  if (operand.kind === "input") return pair(name, el("code", {}, `%${operand.name}`), ` ${op.graph.inputs.find((input) => input.name === operand.name)?.type ?? ""}`);
  if (operand.kind === "state") return pair(name, el("code", {}, `state @${operand.name}`), ` ${stateType(operand.name)}`);
  if (operand.kind === "weight") {
    const weight = op.weights.find((candidate) => candidate.name === operand.name);
    return pair(name, el("code", {}, `@${weight.name}`), ` ${weight.type}`, el("small", {}, `tensor ${weight.tensor}`));
  }
  const maker = op.graph.makers.get(operand.number);
  const result = maker?.results.find(({ number }) => number === operand.number);
  return pair(name, maker ? link(`%${operand.number}`, maker, select) : el("code", {}, `%${operand.number}`), ` ${result?.type ?? ""}`, result?.name && el("small", {}, result.name));
}

function resultRow(op, { number, type, name }, select) {
  const users = op.after.filter(({ value }) => value === number).map(({ to }) => to);
  const used = users.length ? ["read by ", ...users.slice(0, 8).flatMap((user, i) => [i ? ", " : "", link(user.op, user, select)]), users.length > 8 ? ` and ${users.length - 8} more` : ""] : [op.outputs.length ? "" : "read by none"];
  return pair(`%${number}`, type, name && el("small", {}, name), el("small", {}, ...used), op.outputs.length > 0 && el("small", {}, `output ${op.outputs.map((output) => `%${output}`).join(", ")}`));
}

function changed(op) {
  const [made, taken] = [madeBy(op), takenBy(op)];
  const words = { added: "was added by", merged: "took the place of others in", rewired: "takes other operands since" };
  const lines = [];
  if (made) lines.push(el("p", { class: `change ${made.how}` }, `It ${words[made.how]} ${stageName(op.graph.stage)}${made.rule ? `, rule ${made.rule}` : ""}.`));
  if (taken) lines.push(el("p", { class: `change ${taken.how}` }, taken.how === "removed" ? `${stageName(op.graph.stage + 1)} takes it away, rule ${taken.rule}.` : `In ${stageName(op.graph.stage + 1)} it takes the place of others, rule ${taken.rule}.`));
  return lines;
}

function costRows(op, shape) {
  const cost = op.cost(shape);
  const rows = [pair("multiply-adds", `${si(cost.macs, "")}${cost.int && cost.float ? `, ${si(cost.int, "")} of integers` : ""}`)];
  for (const [name, bytes] of [["weights", cost.weight], ["states", cost.state], ["caches", cost.cache], ["activations", cost.activation]]) {
    if (bytes) rows.push(pair(name, si(bytes, "B")));
  }
  const least = best(op, shape);
  if (least !== null) rows.push(pair("at best", si(least, "s")));
  const time = measured(op, shape);
  if (time) {
    rows.push(pair("measured", `${si(time.seconds, "s")}${time.best > 0 ? `, ${(time.seconds / time.best).toFixed(2)} times the best` : ""}`));
    rows.push(pair("waiting", si(time.wait, "s")));
  }
  return rows;
}

/** How the weights lie in memory, and with what they are multiplied. */
function kernelRows(op) {
  const rows = [pair("instructions", doc.simd)];
  const seen = new Set();
  for (const { name, type } of op.weights) {
    const dtype = type.split("[")[0];
    const format = doc.formats[dtype];
    if (!format || seen.has(dtype) || !type.includes(",")) continue;
    seen.add(dtype);
    const layout = FLOATS.has(dtype) ? "rows as in the file" : `panels of 16 rows, blocks of ${format.block} weights in ${format.bytes} bytes`;
    rows.push(pair(dtype, `${layout}${format.activation ? `, times ${format.activation}` : ""}`, el("small", {}, shortName(name))));
  }
  return rows;
}

function planRows(op) {
  const { plan } = op.graph;
  const rows = [pair("step", op.step < 0 ? "none: a view" : `${op.step} of ${plan.steps}`)];
  const beside = op.graph.ops.filter((other) => other !== op && other.step === op.step && op.step >= 0);
  if (beside.length) rows.push(pair("beside it", beside.map((other) => other.label).join("; ")));
  for (const { number } of op.results) {
    const value = plan.arena?.values.find(([of]) => of === number);
    if (value) rows.push(pair(`%${number}`, `${value[2].toLocaleString("en")} bytes at ${value[1].toLocaleString("en")}, steps ${value[3]} to ${value[4]}`));
  }
  return rows;
}

/** What is shown while no op is selected. */
export function overview(stageShown) {
  const graphs = stageShown.graphs.map((graph) => {
    const { plan } = graph;
    const bounds = graph.bounds.map(([symbol, least, most]) => `${symbol} ${least} to ${most}`).join(", ");
    return pair(`@${graph.name}`, `${graph.ops.length} ops, ${graph.edges.length} edges`, plan && el("small", {}, `${plan.steps} steps${plan.arena ? `, arena of ${si(plan.arena.bytes, "B")}` : ""}`), bounds && el("small", {}, bounds));
  });
  return [
    el("h2", {}, doc.module),
    el("p", { class: "doc" }, "Select an op to see all that is known of it. Drag to move, the wheel scrolls and with Ctrl zooms."),
    list("Graphs", graphs),
    el("h3", {}, "Kinds of ops"),
    el("ul", { class: "legend" }, legend().map(([kind, name]) => el("li", {}, el("span", { class: `dot kind-${kind}` }), name))),
    el("h3", {}, "Keys"),
    el("dl", { class: "facts" }, [["/", "find"], ["↑ ↓ ← →", "along edges, or in order"], ["+ −  0", "zoom, fit"], ["p", "path: neighbours, what feeds it, what it feeds"], ["Enter", "fold the block"], ["[  ]", "stage before, behind"], ["c", "compare"]].map(([key, what]) => pair(key, what))),
  ];
}
