// A graph on a canvas. What is out of sight is not drawn, and of what is small only its box.

import { blockKind, colour, kindOf } from "./kinds.js";
import { HEAD, shownInstead } from "./stack.js";

const LINE = 16;
const PADDING = 10;
const TITLE = 12;
const SMALL = 11;
/** Width of a letter of the small font, as the layout counts it. */
const CHAR = 6.7;
/** Below this scale lines are not read, and below the next one nothing is. */
const READ = 0.45;
const SEEN = 0.16;

/** The op that is shown in the place of another, in a graph laid out. */
export function displayed(laid, op) {
  const section = laid.graph.sections[shownInstead(laid, op.section.index)];
  return section.ops[op.place];
}

export const itemOf = (laid, op) => laid.items.find((item) => item.section === displayed(laid, op).section);

/** The box of an op: left, top, width and height in the graph. */
export function boxOf(laid, op) {
  const item = itemOf(laid, op);
  if (item.closed) return [item.x, item.y, item.w, item.h];
  const [x, y, w, h] = item.section.body.layout.boxes[op.place];
  return [item.x + x, item.y + item.head + y, w, h];
}

/** Draws all of `laid` that lies in the rectangle `view`; `look` says what of it stands out. */
export function draw(ctx, laid, view, scale, look) {
  ctx.lineJoin = "round";
  for (const frame of laid.frames) if (seen(frame, view)) drawFrame(ctx, frame, scale);
  laid.items.forEach((item, i) => {
    const near = { x: item.x, w: item.w, y: item.y - 60, h: item.h + 120 };
    if (!seen(near, view)) return;
    if (item.kind === "section") drawSection(ctx, laid, item, scale, look, i);
    else drawRow(ctx, laid, item, scale, look, i);
  });
}

const seen = ({ x, y, w, h }, view) => x < view.x + view.w && x + w > view.x && y < view.y + view.h && y + h > view.y;

function drawFrame(ctx, frame, scale) {
  ctx.setLineDash([5, 4]);
  box(ctx, frame.x, frame.y, frame.w, frame.h, 10, colour("tint"), colour("strong-line"));
  ctx.setLineDash([]);
  const name = frame.open ? `− blocks ${frame.first}–${frame.last}, ${frame.times} times` : `+ ${frame.times} × blocks ${frame.first}–${frame.last}`;
  headline(ctx, name, frame.x + 12, frame.y, frame.w - 24, scale);
}

/** A line at the head of a frame, larger where all is small. */
function headline(ctx, text, x, y, width, scale) {
  if (scale < SEEN) return;
  const size = Math.min(22, Math.max(TITLE, 11 / scale));
  ctx.font = `600 ${size}px ${colour("sans")}`;
  ctx.fillStyle = colour("ink");
  ctx.textBaseline = "middle";
  ctx.fillText(cut(ctx, text, width), x, y + HEAD / 2 + 1);
}

function drawSection(ctx, laid, item, scale, look, index) {
  const { section } = item;
  if (item.closed) return drawClosed(ctx, laid, item, scale, look);
  const { body } = section;
  if (item.named) {
    box(ctx, item.x, item.y, item.w, item.h, 8, colour("side"), colour("line"));
    const kind = blockKind(section);
    headline(ctx, `− blk.${section.block}${kind ? ` · ${kind}` : ""}${item.times > 1 ? ` · one of ${item.times}` : ""}`, item.x + 10, item.y, item.w - 20, scale);
  }
  drawWires(ctx, laid, item, index, scale);
  const [left, top] = [item.x, item.y + item.head];
  ctx.save();
  ctx.translate(left, top);
  ctx.strokeStyle = colour("strong-line");
  ctx.lineWidth = Math.max(1, 0.6 / scale);
  ctx.stroke(pathOf(body));
  drawHighlights(ctx, item, look, scale);
  if (scale >= SEEN) {
    drawExports(ctx, body);
    body.layout.states.forEach((name, i) => drawState(ctx, item, name, i, scale));
    item.section.ops.forEach((op) => drawOp(ctx, body.layout.boxes[op.place], op, scale, look));
    drawImports(ctx, laid, item, scale, look);
  } else {
    for (const op of item.section.ops) {
      const [x, y, w, h] = body.layout.boxes[op.place];
      ctx.fillStyle = look.paint(op);
      ctx.globalAlpha = look.faded(op) ? 0.2 : 1;
      ctx.fillRect(x, y, w, h);
    }
    ctx.globalAlpha = 1;
  }
  ctx.restore();
}

/** All edges of a body as one path, made once. */
function pathOf(body) {
  if (body.path) return body.path;
  body.path = new Path2D();
  for (const [, , points] of body.layout.edges) trace(body.path, points);
  return body.path;
}

function trace(path, points) {
  if (points.length < 4) return;
  path.moveTo(points[0], points[1]);
  for (let i = 2; i + 3 < points.length; i += 2) {
    path.quadraticCurveTo(points[i], points[i + 1], (points[i] + points[i + 2]) / 2, (points[i + 1] + points[i + 3]) / 2);
  }
  path.lineTo(points.at(-2), points.at(-1));
}

/** Edges of what is selected, in the colours of what feeds and what is fed. */
function drawHighlights(ctx, { section }, look, scale) {
  if (!look.selected) return;
  const { ops, body } = section;
  for (const [from, to, points] of body.layout.edges) {
    const [a, b] = [ops[from], ops[to]];
    const side = look.edge(a, b);
    if (!side) continue;
    const path = new Path2D();
    trace(path, points);
    ctx.strokeStyle = colour(side);
    ctx.lineWidth = Math.max(2.2, 1.2 / scale);
    ctx.stroke(path);
  }
}

function drawOp(ctx, [x, y, w, h], op, scale, look) {
  ctx.globalAlpha = look.faded(op) ? 0.25 : 1;
  const selected = look.isSelected(op);
  const how = look.changed(op);
  box(ctx, x, y, w, h, 6, colour("raised"), selected ? colour("accent") : how ? colour(how) : colour("strong-line"), selected || how ? 2.5 : 1);
  ctx.fillStyle = look.paint(op);
  ctx.beginPath();
  ctx.roundRect(x, y, 6, h, [6, 0, 0, 6]);
  ctx.fill();
  if (look.filled) {
    ctx.globalAlpha *= 0.28;
    ctx.beginPath();
    ctx.roundRect(x, y, w, h, 6);
    ctx.fill();
    ctx.globalAlpha = look.faded(op) ? 0.25 : 1;
  }
  if (how === "removed") {
    ctx.strokeStyle = colour("removed");
    ctx.beginPath();
    ctx.moveTo(x, y);
    ctx.lineTo(x + w, y + h);
    ctx.stroke();
  }
  if (scale >= READ) writeOp(ctx, x, y, w, op, look);
  ctx.globalAlpha = 1;
}

function writeOp(ctx, x, y, w, op, look) {
  const badge = look.badge(op);
  ctx.textBaseline = "middle";
  let room = w - PADDING - 6;
  if (badge) {
    ctx.font = `${SMALL}px ${colour("mono")}`;
    ctx.fillStyle = colour("soft");
    const width = ctx.measureText(badge).width;
    ctx.fillText(badge, x + w - width - 6, y + 5 + LINE / 2);
    room -= width + 8;
  }
  op.lines.forEach((line, i) => {
    ctx.fillStyle = i === 0 ? colour("ink") : colour("soft");
    ctx.font = i === 0 ? `600 ${TITLE}px ${colour("sans")}` : `${SMALL}px ${colour("mono")}`;
    ctx.fillText(i === 0 ? cut(ctx, line, room) : letters(line, w), x + PADDING + 2, y + 5 + LINE * (i + 0.5));
  });
}

/** A dot where a value leaves the section. */
function drawExports(ctx, { layout, exports }) {
  ctx.fillStyle = colour("strong-line");
  for (const [x, y, w, h] of layout.boxes.slice(layout.boxes.length - exports.length)) {
    ctx.beginPath();
    ctx.arc(x + w / 2, y + h / 2, h / 2 + 0.5, 0, 7);
    ctx.fill();
  }
}

/** A state, and the way back to the first op that uses it. */
function drawState(ctx, { section }, name, i, scale) {
  const { body, ops, block } = section;
  const at = ops.length + body.layout.imports.length + i;
  const [x, y, w, h] = body.layout.boxes[at];
  const state = Array.isArray(name) ? `blk.${block}.${name[0]}` : name;
  const first = ops.find((op) => op.states.includes(state));
  const [bx, by, bw, bh] = body.layout.boxes[first.place];
  ctx.setLineDash([4, 3]);
  ctx.strokeStyle = colour("recurrent");
  ctx.lineWidth = 1.4;
  const far = Math.max(bx + bw, x + w) + 22;
  ctx.beginPath();
  ctx.moveTo(x + w, y + h / 2);
  ctx.bezierCurveTo(far, y + h / 2, far, by + bh / 2, bx + bw, by + bh / 2);
  ctx.stroke();
  ctx.setLineDash([]);
  box(ctx, x, y, w, h, h / 2, colour("paper"), colour("recurrent"));
  if (scale >= READ) small(ctx, `state ${Array.isArray(name) ? name[0] : name}`, x + 10, y + h / 2, w - 16);
}

/** Lines from the section above to what this one takes from it. */
function drawWires(ctx, laid, item, index, scale) {
  ctx.strokeStyle = colour("strong-line");
  ctx.lineWidth = Math.max(1, 0.6 / scale);
  ctx.beginPath();
  for (const { from, to } of wires(laid, item, index)) {
    const bend = Math.max(12, (to[1] - from[1]) / 2);
    ctx.moveTo(...from);
    ctx.bezierCurveTo(from[0], from[1] + bend, to[0], to[1] - bend, ...to);
  }
  ctx.stroke();
}

/** From where to where, for what the item right above gives. */
export function wires(laid, item, index) {
  if (item.wires) return item.wires;
  item.wires = [];
  const above = laid.items[index - 1];
  const join = (value, input, to) => {
    const from = above && place(laid, above, value, input);
    if (from) item.wires.push({ from, to, value });
  };
  if (item.kind === "outputs") {
    for (const { of, x, w } of item.boxes) join(typeof of === "number" ? of : null, typeof of === "string" ? of : null, [item.x + x + w / 2, item.y]);
  } else if (item.kind === "section" && !item.closed) {
    imports(laid, item).forEach(({ value, input, box: [x, y, w] }) => join(value, input, [item.x + x + w / 2, item.y + item.head + y]));
  } else if (item.kind === "section") {
    for (const { value, input } of imports(laid, item)) join(value, input, [item.x + item.w / 2, item.y]);
  }
  return item.wires;
}

/** Where an item gives a value or an input at its lower edge. */
function place(laid, item, value, input) {
  if (item.kind === "inputs") {
    const node = item.boxes.find(({ name }) => name === input);
    return node && [item.x + node.x + node.w / 2, item.y + node.h];
  }
  const maker = value == null ? null : laid.graph.makers.get(value);
  if (item.kind !== "section" || !maker || displayed(laid, maker).section !== item.section) return null;
  if (item.closed) return [item.x + item.w / 2, item.y + item.h];
  const { layout, exports } = item.section.body;
  const at = exports.indexOf(value - maker.section.base);
  if (at < 0) return null;
  const [x, y, w, h] = layout.boxes[layout.boxes.length - exports.length + at];
  return [item.x + x + w / 2, item.y + item.head + y + h];
}

/** What a section takes from outside: a box, and what it is. */
export function imports(laid, item) {
  if (item.imports) return item.imports;
  const { section } = item;
  const { layout } = section.body;
  item.imports = layout.imports.map((reference, i) => {
    const own = layout.boxes[section.ops.length + i];
    if (typeof reference !== "number") {
      const input = laid.graph.inputs.find(({ name }) => name === reference[1]);
      return { box: own, input: reference[1], label: `%${reference[1]} ${input?.type ?? ""}` };
    }
    const value = section.base + reference;
    const maker = laid.graph.makers.get(value);
    const result = maker?.results.find(({ number }) => number === value);
    return { box: own, value, maker, label: `${result?.name ?? `%${value}`} ${result?.type ?? ""}` };
  });
  return item.imports;
}

function drawImports(ctx, laid, item, scale, look) {
  const { section } = item;
  for (const { box: [x, y, w, h], label, maker } of imports(laid, item)) {
    const feeds = look.selected && maker && section.ops.includes(look.selected) && look.selected.before.some(({ from }) => from === maker);
    box(ctx, x, y, w, h, h / 2, colour("paper"), colour(feeds ? "before" : "strong-line"), feeds ? 2 : 1);
    if (scale >= READ) small(ctx, label, x + 10, y + h / 2, w - 18);
  }
}

function drawRow(ctx, laid, item, scale, look, index) {
  drawWires(ctx, laid, item, index, scale);
  for (const { name, type, of, x, y, w, h } of item.boxes) {
    box(ctx, item.x + x, item.y + y, w, h, h / 2, colour("raised"), colour("ink"), 1.3);
    if (scale < READ) continue;
    const value = typeof of === "number" ? laid.graph.makers.get(of)?.results.find(({ number }) => number === of) : null;
    ctx.font = `600 ${TITLE}px ${colour("sans")}`;
    ctx.fillStyle = colour("ink");
    ctx.textBaseline = "middle";
    ctx.fillText(cut(ctx, `${item.kind === "inputs" ? "in" : "out"} %${name}`, w - 36), item.x + x + 18, item.y + y + 13);
    small(ctx, type ?? value?.type ?? "", item.x + x + 18, item.y + y + 28, w - 30);
  }
}

function drawClosed(ctx, laid, item, scale, look) {
  const { section } = item;
  const { ops } = section;
  const selected = ops.some((op) => look.isSelected(op));
  box(ctx, item.x, item.y, item.w, item.h, 8, colour("raised"), selected ? colour("accent") : colour("strong-line"), selected ? 2.5 : 1);
  drawWires(ctx, laid, item, laid.items.indexOf(item), scale);
  if (scale < SEEN) return;
  const part = (item.w - 20) / ops.length;
  ops.forEach((op, i) => {
    ctx.fillStyle = look.paint(op);
    ctx.fillRect(item.x + 10 + part * i, item.y + item.h - 12, Math.max(1, part - 1), 6);
  });
  const kind = blockKind(section);
  headline(ctx, `+ blk.${section.block}${kind ? ` · ${kind}` : ""}`, item.x + 12, item.y + 1, item.w - 24, Math.max(scale, 0.6));
  if (scale >= READ) small(ctx, `${ops.length} ops${item.times > 1 ? `, one of ${item.times}` : ""}`, item.x + 12, item.y + 32, item.w - 24);
}

function box(ctx, x, y, w, h, radius, fill, stroke, width = 1) {
  ctx.beginPath();
  ctx.roundRect(x, y, w, h, radius);
  ctx.fillStyle = fill;
  ctx.fill();
  ctx.strokeStyle = stroke;
  ctx.lineWidth = width;
  ctx.stroke();
}

function small(ctx, text, x, y, width) {
  ctx.font = `${SMALL}px ${colour("mono")}`;
  ctx.fillStyle = colour("soft");
  ctx.textBaseline = "middle";
  ctx.fillText(letters(text, width + 2 * PADDING), x, y);
}

/** As many letters of the small font as fit into a box. */
function letters(text, width) {
  const most = Math.floor((width - 2 * PADDING) / CHAR + 0.01);
  return text.length <= most ? text : `${text.slice(0, Math.max(1, most - 1))}…`;
}

/** As much of a text as fits. */
function cut(ctx, text, width) {
  if (ctx.measureText(text).width <= width) return text;
  let [fits, beyond] = [0, text.length];
  while (beyond - fits > 1) {
    const middle = (fits + beyond) >> 1;
    if (ctx.measureText(`${text.slice(0, middle)}…`).width <= width) fits = middle;
    else beyond = middle;
  }
  return fits ? `${text.slice(0, fits)}…` : "";
}
