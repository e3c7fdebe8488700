// What ops take: at best on the machine, and as it was measured.

import { doc } from "./data.js";

/** Widths of runs; the phase of a profile that is like each. */
export const SHAPES = doc.shapes.map(([tokens], i) => ({ index: i, tokens, phase: tokens === 1 ? "text" : "prompt" }));

/** Seconds at the ceilings of the machine: whichever of computing and reading takes longer. */
export function best(op, shape) {
  const { machine } = doc;
  if (!machine) return null;
  const { int, float, memory } = op.cost(shape);
  return Math.max(int / machine.int_macs + float / machine.f32_macs, memory / op.graph.raw.read_rates[shape]);
}

/** What a profile says of an op, for each run; only of the stage that ran, the last. */
export function measured(op, shape) {
  if (!doc.measured || op.graph.stage !== doc.stages.length - 1) return null;
  const part = partOf(op.graph.name, shape);
  const time = part?.ops[op.index];
  if (!time) return null;
  const each = (x) => x / part.runs;
  return { seconds: each(time.seconds), wait: each(time.wait_seconds), best: each(time.best_seconds), macs: each(time.multiply_adds), bytes: each(time.bytes) };
}

export const partOf = (graph, shape) => doc.measured?.parts.find((part) => part.graph === graph && part.phase === SHAPES[shape].phase);

const by = (name, of) => ({ name, of });

/** What ops can be coloured by. Each gives a number, or null where there is none. */
export const MEASURES = {
  macs: by("Multiply-adds", (op, shape) => op.cost(shape).macs),
  bytes: by("Bytes from memory", (op, shape) => op.cost(shape).memory),
  best: by("Time at best", best),
  measured: by("Time measured", (op, shape) => measured(op, shape)?.seconds ?? null),
  over: by("Measured over best", (op, shape) => {
    const time = measured(op, shape);
    return time && time.best > 0 ? time.seconds / time.best : null;
  }),
  waiting: by("Waiting behind it", (op, shape) => measured(op, shape)?.wait ?? null),
};

/** Those that this page knows anything of. */
export function measures() {
  const known = { macs: true, bytes: true, best: Boolean(doc.machine), measured: Boolean(doc.measured), over: Boolean(doc.measured), waiting: Boolean(doc.measured) };
  return Object.keys(MEASURES).filter((name) => known[name]);
}

/** Of a graph: each op's number, the largest and the sum. */
export function table(graph, name, shape) {
  const values = graph.ops.map((op) => MEASURES[name].of(op, shape));
  const known = values.filter((value) => value !== null);
  return { values, most: Math.max(0, ...known), sum: known.reduce((a, b) => a + b, 0) };
}

const UNITS = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"], [1, ""], [1e-3, "m"], [1e-6, "µ"], [1e-9, "n"]];

/** Three digits and a prefix. */
export function si(value, unit) {
  if (!value) return `0 ${unit}`.trim();
  const [size, prefix] = UNITS.find(([least]) => Math.abs(value) >= least * 0.9995) ?? UNITS.at(-1);
  return `${Number((value / size).toPrecision(3))} ${prefix}${unit}`.trim();
}
