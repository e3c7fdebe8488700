// The roofline: how much each op computes for a byte from memory, and how fast that can be and was.

import { doc } from "./data.js";
import { svg } from "./dom.js";
import { kindOf } from "./kinds.js";
import { best, measured, si } from "./times.js";

const [W, H] = [330, 220];
const [LEFT, BOTTOM, TOP, RIGHT] = [44, 34, 10, 8];

/** The chart of a graph; `select(op)` for a dot. */
export function roofline(graph, shape, select) {
  const dots = graph.ops.flatMap((op) => dotOf(op, shape) ?? []);
  if (!doc.machine || dots.length === 0) return null;
  const rate = graph.raw.read_rates[shape];
  const peaks = [["integers", doc.machine.int_macs], ["floats", doc.machine.f32_macs]];
  const xs = [...dots.map(({ x }) => x), ...peaks.map(([, peak]) => peak / rate)];
  const ys = [...dots.map(({ y }) => y), ...peaks.map(([, peak]) => peak)];
  const across = scale(Math.min(...xs) / 2, Math.max(...xs) * 2, LEFT, W - RIGHT);
  const up = scale(Math.min(...ys) / 2, Math.max(...ys) * 2, H - BOTTOM, TOP);
  const roofs = peaks.map(([name, peak]) => {
    const ridge = peak / rate;
    const points = [[across.least, across.least * rate], [ridge, peak], [across.most, peak]].map(([x, y]) => `${across(x)},${up(Math.max(y, up.least))}`);
    return svg("polyline", { points: points.join(" "), class: "roof" }, svg("title", {}, `${si(peak, "")} multiply-adds of ${name} a second, ${si(rate, "B")} a second`));
  });
  const marks = dots.map(({ op, x, y, share }) => {
    const dot = svg("circle", { cx: across(x), cy: up(y), r: 2.5 + 7 * Math.sqrt(share), class: `kind-${kindOf(op.op)}` }, svg("title", {}, `${op.label}: ${si(x, "")} multiply-adds for a byte, ${si(y, "")} a second`));
    dot.addEventListener("click", () => select(op));
    return dot;
  });
  const axes = [...ticks(across).map((x) => grid(across(x), H - BOTTOM, across(x), TOP, [across(x), H - BOTTOM + 13, "middle", si(x, "")])), ...ticks(up).map((y) => grid(LEFT, up(y), W - RIGHT, up(y), [LEFT - 4, up(y) + 3, "end", si(y, "")]))];
  const label = svg("text", { x: W / 2, y: H - 4, "text-anchor": "middle" }, "multiply-adds for a byte");
  return svg("svg", { viewBox: `0 0 ${W} ${H}`, class: "roofline", role: "img", "aria-label": "Roofline: multiply-adds a second over multiply-adds for a byte" }, ...axes.flat(), ...roofs, ...marks, label);
}

/** Where an op stands: measured if it was, else at its best. Ops that read nothing are left out. */
function dotOf(op, shape) {
  const cost = op.cost(shape);
  const time = measured(op, shape);
  const [macs, bytes, seconds] = time ? [time.macs, time.bytes, time.seconds] : [cost.macs, cost.memory, best(op, shape)];
  if (!(macs > 0 && bytes > 0 && seconds > 0)) return null;
  const whole = op.graph.ops.reduce((sum, other) => sum + (measured(other, shape)?.seconds ?? best(other, shape) ?? 0), 0);
  return { op, x: macs / bytes, y: macs / seconds, share: seconds / whole };
}

/** Logarithmic. */
function scale(least, most, from, to) {
  const [a, b] = [Math.log(least), Math.log(most)];
  const at = (value) => from + ((Math.log(value) - a) / (b - a)) * (to - from);
  return Object.assign(at, { least, most });
}

function ticks({ least, most }) {
  const powers = [];
  for (let power = Math.ceil(Math.log10(least)); 10 ** power <= most; power += 1) powers.push(10 ** power);
  const every = Math.ceil(powers.length / 5);
  return powers.filter((_, i) => i % every === 0);
}

const grid = (x1, y1, x2, y2, [x, y, anchor, text]) => [svg("line", { x1, y1, x2, y2, class: "grid" }), svg("text", { x, y, "text-anchor": anchor }, text)];
