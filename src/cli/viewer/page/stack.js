// Where everything of a graph stands: its sections below one another, in frames where they repeat.

const GAP = 30;
const FRAME = 14;
export const HEAD = 26;
const CLOSED = [240, 54];
export const NODE = [150, 40];

/** What is unfolded and closed, by names that are the same at every stage. */
export class Folds {
  constructor() {
    this.unfolded = new Set();
    this.closed = new Set();
    this.all = false;
  }

  isUnfolded(key) {
    return this.all || this.unfolded.has(key);
  }

  toggle(set, key) {
    if (!set.delete(key)) set.add(key);
  }
}

/** A graph laid out: `items` from top to bottom, `frames` around them, the size of it all. */
export function stack(graph, folds) {
  const laid = { graph, items: [], frames: [], top: 0, width: 0, height: 0, shown: new Map() };
  const inputs = graph.inputs.map((input) => ({ ...input, input: true }));
  row(laid, "inputs", inputs);
  pieces(laid, graph.pieces, folds, 0, 1);
  row(laid, "outputs", graph.outputs);
  laid.height = laid.top - GAP;
  laid.width = Math.max(...laid.items.map(({ w, depth }) => w + 2 * FRAME * depth), CLOSED[0]);
  // Everything around one axis.
  for (const item of laid.items) item.x = (laid.width - item.w) / 2;
  for (const frame of laid.frames) {
    const inside = laid.items.slice(frame.from, frame.to);
    const most = Math.max(...inside.map(({ w, depth }) => w + 2 * FRAME * (depth - frame.depth + 1)));
    Object.assign(frame, { w: most, x: (laid.width - most) / 2 });
  }
  laid.items.forEach((item, i) => {
    item.index = i;
  });
  return laid;
}

function row(laid, kind, nodes) {
  if (nodes.length === 0) return;
  const [w, h] = NODE;
  const width = nodes.length * (w + 16) - 16;
  const boxes = nodes.map((node, i) => ({ ...node, x: i * (w + 16), y: 0, w, h }));
  laid.items.push({ kind, boxes, y: laid.top, w: width, h, depth: 0 });
  laid.top += h + GAP;
}

function pieces(laid, list, folds, depth, times) {
  for (const piece of list) {
    if (typeof piece === "number") section(laid, laid.graph.sections[piece], folds, depth, times);
    else repeat(laid, piece, folds, depth, times);
  }
}

/** What stands there several times: once in a frame, or all of it. */
function repeat(laid, [start, count, period, once], folds, depth, times) {
  const { sections } = laid.graph;
  const again = count / period;
  const key = `${laid.graph.name} ${sections[start].block}-${sections[start + count - 1].block}/${period}`;
  const open = folds.isUnfolded(key);
  const frame = { key, times: again, open, depth: depth + 1, y: laid.top, from: laid.items.length, first: sections[start].block, last: sections[start + count - 1].block };
  laid.frames.push(frame);
  laid.top += HEAD + FRAME;
  if (open) {
    for (let time = 0; time < again; time += 1) pieces(laid, shifted(once, time * period), folds, depth + 1, times);
  } else {
    pieces(laid, once, folds, depth + 1, times * again);
    for (let i = start + period; i < start + count; i += 1) laid.shown.set(i, start + ((i - start) % period));
  }
  frame.to = laid.items.length;
  laid.top += FRAME - GAP;
  frame.h = laid.top - frame.y;
  laid.top += GAP;
}

/** The same pieces further down. */
const shifted = (list, by) => list.map((piece) => (typeof piece === "number" ? piece + by : [piece[0] + by, piece[1], piece[2], shifted(piece[3], by)]));

function section(laid, of, folds, depth, times) {
  const key = `${laid.graph.name} ${of.block}`;
  const named = of.block >= 0;
  const closed = named && folds.closed.has(key);
  const [width, height] = closed ? CLOSED : of.body.layout.size;
  const head = named && !closed ? HEAD : 0;
  laid.items.push({ kind: "section", section: of, key, named, closed, times, head, y: laid.top, w: width, h: height + head, depth });
  laid.top += height + head + GAP;
}

/** The section that is shown in the place of another. */
export function shownInstead(laid, index) {
  let at = index;
  while (laid.shown.has(at)) at = laid.shown.get(at);
  return at;
}
