// A pane: the graphs of a stage beside one another on a canvas that is panned and zoomed.

import { boxOf, displayed, draw, imports, itemOf } from "./draw.js";
import { el } from "./dom.js";
import { stage } from "./data.js";
import { colour } from "./kinds.js";
import { HEAD, stack } from "./stack.js";

const BETWEEN = 90;
const TOP = 64;
/** How far links run straight before they turn. */
const TURN = 20;
const LEAST = 0.02;
const MOST = 2.5;

export class Pane {
  /** `host` has `folds`, `look(pane)`, and is told of `select(op, pane)`, `moved(pane)` and `refold()`. */
  constructor(host, stageIndex) {
    this.host = host;
    this.canvas = el("canvas", { tabindex: "0", role: "application", "aria-label": "Graph. Arrows follow edges, plus and minus zoom, Enter folds and unfolds." });
    this.caption = el("p", { class: "caption" });
    this.node = el("div", { class: "pane" }, this.caption, this.canvas);
    this.ctx = this.canvas.getContext("2d");
    this.view = { x: 0, y: 0, scale: 1 };
    this.show(stageIndex);
    this.listen();
    new ResizeObserver(() => this.resize()).observe(this.canvas);
  }

  show(stageIndex) {
    this.stage = stage(stageIndex);
    this.layOut();
  }

  layOut() {
    let x = 0;
    this.laid = this.stage.graphs.map((graph) => {
      const laid = stack(graph, this.host.folds);
      Object.assign(laid, { x, y: TOP });
      x += laid.width + BETWEEN;
      return laid;
    });
    this.width = Math.max(0, x - BETWEEN / 2 + 8);
    this.height = Math.max(0, ...this.laid.map(({ height }) => height)) + TOP + 2 * TURN;
    this.ask();
  }

  resize() {
    const { clientWidth: w, clientHeight: h } = this.canvas;
    const ratio = devicePixelRatio;
    if (!w || !h) return;
    Object.assign(this.canvas, { width: Math.round(w * ratio), height: Math.round(h * ratio) });
    this.size = [w, h];
    if (!this.placed) {
      this.placed = true;
      this.home();
    }
    this.paint();
  }

  /** From the top, as wide as it is, but readable. */
  home() {
    const [w] = this.size;
    const scale = Math.min(1, Math.max(0.62, (w - 40) / this.width));
    this.view = { scale, x: Math.min((this.width * scale - w) / 2, -16) / scale, y: -12 / scale };
    if (this.width * scale > w) this.view.x = -16 / scale;
    this.ask();
  }

  fit() {
    const [w, h] = this.size;
    const scale = Math.max(LEAST, Math.min(1, (w - 32) / this.width, (h - 32) / this.height));
    this.view = { scale, x: (this.width - w / scale) / 2, y: -16 / scale };
    this.ask();
  }

  /** Paints with the next frame. */
  ask() {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => {
      this.asked = false;
      this.paint();
    });
  }

  paint() {
    if (!this.size) return;
    const [w, h] = this.size;
    this.paintOn(this.ctx, w, h, this.view, devicePixelRatio);
  }

  /** All of it on the canvas, sharp enough for paper; the next change of size brings the view back. */
  paintWhole() {
    const [w, h] = [this.width + 32, this.height + 16];
    const ratio = Math.min(2, 8000 / Math.max(w, h));
    Object.assign(this.canvas, { width: Math.round(w * ratio), height: Math.round(h * ratio) });
    this.paintOn(this.ctx, w, h, { x: -16, y: 0, scale: 1 }, ratio);
  }

  paintOn(ctx, w, h, view, ratio) {
    const { x, y, scale } = view;
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    ctx.fillStyle = colour("paper");
    ctx.fillRect(0, 0, w, h);
    const look = this.host.look(this);
    const set = (dx, dy) => ctx.setTransform(ratio * scale, 0, 0, ratio * scale, ratio * (dx - x) * scale, ratio * (dy - y) * scale);
    set(0, 0);
    this.drawLink(ctx, scale);
    for (const laid of this.laid) {
      set(laid.x, laid.y);
      ctx.font = `600 ${Math.min(40, Math.max(15, 14 / scale))}px ${colour("sans")}`;
      ctx.fillStyle = colour("ink");
      ctx.textBaseline = "bottom";
      ctx.fillText(`@${laid.graph.name}`, 0, -28);
      draw(ctx, laid, { x: x - laid.x, y: y - laid.y, w: w / scale, h: h / scale }, scale, look);
    }
    ctx.setTransform(1, 0, 0, 1, 0, 0);
  }

  /** What one graph gives to another, or to its own next run: outputs that are inputs by their names. */
  drawLink(ctx, scale) {
    ctx.strokeStyle = colour("accent");
    ctx.lineWidth = Math.max(2, 1.4 / scale);
    ctx.setLineDash([7, 5]);
    for (const { from, to, lane } of this.links()) {
      const points = [from, [from[0], from[1] + TURN], [lane, from[1] + TURN], [lane, to[1] - TURN], [to[0], to[1] - TURN], to];
      ctx.beginPath();
      ctx.moveTo(...from);
      for (let i = 1; i + 1 < points.length; i += 1) ctx.arcTo(...points[i], ...points[i + 1], 10);
      ctx.lineTo(...to);
      ctx.stroke();
    }
    ctx.setLineDash([]);
  }

  /** From where to where, and on which vertical line beside the graph that gives. */
  links() {
    const end = (laid, kind, name, lower) => {
      const row = laid.items.find((item) => item.kind === kind);
      const node = row?.boxes.find((candidate) => candidate.name === name);
      return node && [laid.x + row.x + node.x + node.w / 2, laid.y + row.y + (lower ? node.h : 0)];
    };
    const found = [];
    for (const a of this.laid) {
      for (const b of this.laid) {
        for (const { name } of a.graph.outputs) {
          // What is called the next one is for the graph's own next run.
          const next = name.endsWith("_next");
          const to = next === (a === b) && end(b, "inputs", name.replace(/_next$/, ""), false);
          if (to) found.push({ from: end(a, "outputs", name, true), to, lane: a.x + a.width + BETWEEN / 2 });
        }
      }
    }
    return found;
  }

  /** What stands at a place of the canvas: an op, a head to fold, what a chip came from. */
  at(px, py) {
    const [x, y] = [px / this.view.scale + this.view.x, py / this.view.scale + this.view.y];
    for (const laid of this.laid) {
      const [lx, ly] = [x - laid.x, y - laid.y];
      const inside = (bx, by, w, h) => lx >= bx && lx <= bx + w && ly >= by && ly <= by + h;
      for (const item of laid.items) {
        if (item.kind !== "section" || !inside(item.x, item.y, item.w, item.h)) continue;
        if (item.closed || (item.head && ly < item.y + HEAD)) return { laid, closes: item.key };
        const hit = ([bx, by, w, h]) => inside(item.x + bx, item.y + item.head + by, w, h);
        const op = item.section.ops.find((candidate) => hit(item.section.body.layout.boxes[candidate.place]));
        if (op) return { laid, op };
        const chip = imports(laid, item).find((candidate) => hit(candidate.box));
        return chip?.maker ? { laid, op: chip.maker } : { laid };
      }
      const frame = laid.frames.findLast((candidate) => inside(candidate.x, candidate.y, candidate.w, HEAD));
      if (frame) return { laid, unfolds: frame.key };
    }
    return {};
  }

  /** Brings an op into sight; unfolds nothing. */
  reveal(op, always = false) {
    const laid = this.laid.find(({ graph }) => graph === op.graph);
    if (!laid || !this.size) return;
    const [x, y, w, h] = boxOf(laid, op);
    const [gx, gy] = [laid.x + x, laid.y + y];
    const { view } = this;
    const [vw, vh] = this.size.map((side) => side / view.scale);
    const out = gx < view.x || gx + w > view.x + vw || gy < view.y || gy + h > view.y + vh;
    if (!out && !always) return;
    if (view.scale < 0.45) view.scale = 0.8;
    const [cw, ch] = this.size.map((side) => side / view.scale);
    Object.assign(view, { x: gx + w / 2 - cw / 2, y: gy + h / 2 - ch / 2 });
    this.ask();
  }

  zoom(factor, px, py) {
    const { view } = this;
    const scale = Math.min(MOST, Math.max(LEAST, view.scale * factor));
    view.x += px / view.scale - px / scale;
    view.y += py / view.scale - py / scale;
    view.scale = scale;
    this.ask();
  }

  move(dx, dy) {
    this.view.x -= dx / this.view.scale;
    this.view.y -= dy / this.view.scale;
    this.ask();
  }

  listen() {
    const { canvas } = this;
    const held = new Map();
    let moved = 0;
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      held.set(event.pointerId, [event.offsetX, event.offsetY]);
      moved = 0;
    });
    canvas.addEventListener("pointermove", (event) => {
      const before = held.get(event.pointerId);
      if (!before) return this.host.hover(this, this.at(event.offsetX, event.offsetY).op ?? null);
      const now = [event.offsetX, event.offsetY];
      if (held.size === 2) this.pinch(held, event.pointerId, before, now);
      else this.move(now[0] - before[0], now[1] - before[1]);
      moved += Math.abs(now[0] - before[0]) + Math.abs(now[1] - before[1]);
      held.set(event.pointerId, now);
    });
    const end = (event) => {
      if (held.delete(event.pointerId) && event.type === "pointerup" && moved < 5) this.press(event.offsetX, event.offsetY);
    };
    canvas.addEventListener("pointerup", end);
    canvas.addEventListener("pointercancel", end);
    canvas.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        if (event.ctrlKey || event.metaKey) this.zoom(Math.exp(-event.deltaY / 300), event.offsetX, event.offsetY);
        else this.move(-event.deltaX, -event.deltaY);
      },
      { passive: false },
    );
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  /** Two fingers: their distance zooms. */
  pinch(held, id, before, now) {
    const other = [...held].find(([key]) => key !== id)[1];
    const apart = ([x, y]) => Math.hypot(x - other[0], y - other[1]);
    this.zoom(apart(now) / Math.max(1, apart(before)), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
  }

  press(x, y) {
    const { op, closes, unfolds } = this.at(x, y);
    if (closes) this.host.fold("closed", closes);
    else if (unfolds) this.host.fold("unfolded", unfolds);
    else this.host.select(op ?? null, this);
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const [w, h] = this.size;
    const keys = {
      "+": () => this.zoom(1.25, w / 2, h / 2),
      "=": () => this.zoom(1.25, w / 2, h / 2),
      "-": () => this.zoom(0.8, w / 2, h / 2),
      0: () => this.fit(),
      Home: () => this.home(),
      PageDown: () => this.move(0, -0.8 * h),
      PageUp: () => this.move(0, 0.8 * h),
      ArrowDown: () => this.walk("after", event.shiftKey, [0, -60]),
      ArrowUp: () => this.walk("before", event.shiftKey, [0, 60]),
      ArrowLeft: () => this.beside(-1, [60, 0]),
      ArrowRight: () => this.beside(1, [-60, 0]),
      Enter: () => this.foldSelected(),
      p: () => this.host.nextPath(),
      Escape: () => this.host.select(null, this),
    };
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  }

  /** To an op that the selected one feeds, or that feeds it; with none selected the view moves. */
  walk(side, pans, by) {
    const op = this.host.selectedIn(this);
    if (pans) return this.move(...by);
    if (!op) {
      const first = this.stage.graphs[0]?.ops[0];
      return first && this.host.select(first, this);
    }
    const edge = op[side].find(({ from, to }) => (side === "after" ? to : from));
    const next = edge && (side === "after" ? edge.to : edge.from);
    return next ? this.host.select(next, this) : this.move(...by);
  }

  /** To the op before or behind the selected one in the order of the graph. */
  beside(by, pan) {
    const op = this.host.selectedIn(this);
    const next = op?.graph.ops[op.index + by];
    if (next) this.host.select(next, this);
    else this.move(...pan);
  }

  foldSelected() {
    const op = this.host.selectedIn(this);
    if (!op) return;
    const laid = this.laid.find(({ graph }) => graph === op.graph);
    const item = itemOf(laid, displayed(laid, op));
    if (item.named) this.host.fold("closed", item.key);
  }
}
