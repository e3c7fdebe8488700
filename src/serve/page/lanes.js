// Steps as lanes: a column for each step, what runs side by side in it below one another, a barrier
// behind it. Drawn on a canvas that is zoomed with the wheel and moved with the hand.

import { el } from "./dom.js";

const LANE = 22;
const HEAD = 16;
const LEAST_LABEL = 34;

export class Lanes {
  /**
   * `colour(name)` gives a colour of the page, `paint(cell)` that of a cell, `picked(cell)` whether it
   * stands out; `pick` and `hover` are told of a cell, or of none. `below` draws what hangs under the
   * lanes on the same steps: it has a `height`, `draw(ctx, lanes, top)` and `at(lanes, step, y)`.
   */
  constructor({ label, colour, paint, picked = () => false, pick = () => {}, hover = () => {}, below = null }) {
    Object.assign(this, { colour, paint, picked, pick, hover, below });
    this.canvas = el("canvas", { class: "lanes", tabindex: "0", role: "img", "aria-label": label });
    this.ctx = this.canvas.getContext("2d");
    this.steps = [];
    this.ends = [];
    this.view = { from: 0, span: 1 };
    this.listen();
    new ResizeObserver(() => this.resize()).observe(this.canvas);
  }

  /**
   * Shows steps, each `{cells: [{name, value}], wait}`. Columns are as wide as their step takes
   * time, by the largest of its values and the wait behind it, or all the same.
   */
  show(steps, byTime) {
    const same = steps.length === this.steps.length;
    this.steps = steps;
    this.rows = Math.max(1, ...steps.map(({ cells }) => cells.length));
    const width = ({ cells, wait }) => (byTime ? Math.max(0, ...cells.map(({ value }) => value)) + (wait || 0) : 1);
    let end = 0;
    this.ends = steps.map((step) => (end += width(step)));
    this.whole = end || 1;
    if (!same || byTime !== this.byTime) this.view = { from: 0, span: this.whole };
    this.byTime = byTime;
    this.canvas.style.height = `${this.lanesHeight() + (this.below?.height ?? 0)}px`;
    this.ask();
  }

  lanesHeight() {
    return HEAD + this.rows * LANE + 4;
  }

  start(step) {
    return step ? this.ends[step - 1] : 0;
  }

  /** Where a place on the axis lies on the canvas. */
  x(at) {
    return ((at - this.view.from) / this.view.span) * this.size[0];
  }

  resize() {
    const { clientWidth: w, clientHeight: h } = this.canvas;
    if (!w || !h) return;
    Object.assign(this.canvas, { width: Math.round(w * devicePixelRatio), height: Math.round(h * devicePixelRatio) });
    this.size = [w, h];
    this.draw();
  }

  ask() {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => {
      this.asked = false;
      this.draw();
    });
  }

  /** The first and the last step in sight. */
  range() {
    const { from, span } = this.view;
    const first = this.ends.findIndex((end) => end > from);
    const last = this.ends.findIndex((end) => end >= from + span);
    return [Math.max(0, first), last < 0 ? this.ends.length - 1 : last];
  }

  draw() {
    if (!this.size) return;
    const { ctx, colour } = this;
    const [w, h] = this.size;
    ctx.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    ctx.clearRect(0, 0, w, h);
    ctx.font = "11px system-ui, sans-serif";
    ctx.textBaseline = "middle";
    const [first, last] = this.range();
    let free = -Infinity;
    for (let step = first; step <= last; step += 1) {
      const [x, end] = [this.x(this.start(step)), this.x(this.ends[step])];
      this.drawStep(step, x, end);
      if (x > free && end - x > 3) {
        const text = String(step);
        ctx.fillStyle = colour("soft");
        ctx.fillText(text, x + 2, HEAD / 2);
        free = x + ctx.measureText(text).width + 10;
      }
    }
    this.below?.draw(ctx, this, this.lanesHeight());
  }

  drawStep(step, x, end) {
    const { ctx, colour } = this;
    const { cells, wait } = this.steps[step];
    const top = HEAD;
    cells.forEach((cell, lane) => {
      const width = this.byTime ? (cell.value / this.view.span) * this.size[0] : end - x;
      const y = top + lane * LANE;
      const gap = end - x > 4 ? 1 : 0;
      ctx.fillStyle = this.paint(cell);
      ctx.fillRect(x + gap, y + 1, Math.max(0.6, width - 2 * gap), LANE - 3);
      if (this.picked(cell)) {
        ctx.strokeStyle = colour("ink");
        ctx.lineWidth = 2;
        ctx.strokeRect(x + gap, y + 1, Math.max(2, width - 2 * gap), LANE - 3);
      }
      if (width < LEAST_LABEL) return;
      ctx.save();
      ctx.beginPath();
      ctx.rect(x + 3, y, width - 6, LANE);
      ctx.clip();
      ctx.fillStyle = colour("on-cell");
      ctx.fillText(cell.name, x + 5, y + LANE / 2);
      ctx.restore();
    });
    if (this.byTime && wait) {
      const from = end - (wait / this.view.span) * this.size[0];
      ctx.fillStyle = colour("line");
      ctx.fillRect(from, top + 1, Math.max(0.5, end - from), this.rows * LANE - 3);
    }
    // The barrier.
    if (end - x < 2.5) return;
    ctx.strokeStyle = colour("strong-line");
    ctx.lineWidth = 1;
    ctx.beginPath();
    ctx.moveTo(end, top);
    ctx.lineTo(end, top + this.rows * LANE);
    ctx.stroke();
  }

  /** The cell at a place of the canvas, or what hangs below has there. */
  at(px, py) {
    const place = this.view.from + (px / this.size[0]) * this.view.span;
    const step = this.ends.findIndex((end) => end > place);
    if (step < 0) return null;
    if (py > this.lanesHeight()) return this.below?.at(this, step, py - this.lanesHeight()) ?? null;
    return this.steps[step].cells[Math.floor((py - HEAD) / LANE)] ?? null;
  }

  /** Brings a step into sight. */
  reveal(step) {
    const { view } = this;
    const [from, to] = [this.start(step), this.ends[step]];
    if (from < view.from || to > view.from + view.span) this.look((from + to - view.span) / 2, view.span);
    this.ask();
  }

  look(from, span) {
    const least = this.whole / Math.max(1, this.steps.length) / 2;
    const wide = Math.min(this.whole, Math.max(Math.min(least, this.whole), span));
    this.view = { span: wide, from: Math.min(this.whole - wide, Math.max(0, from)) };
    this.ask();
  }

  zoom(factor, px) {
    const { from, span } = this.view;
    const at = from + (px / this.size[0]) * span;
    const wide = Math.min(this.whole, span * factor);
    this.look(at - (at - from) * (wide / span), wide);
  }

  listen() {
    const { canvas } = this;
    let last = null;
    let moved = 0;
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      [last, moved] = [event.offsetX, 0];
    });
    canvas.addEventListener("pointermove", (event) => {
      if (last === null) return this.hover(this.at(event.offsetX, event.offsetY));
      const by = event.offsetX - last;
      moved += Math.abs(by);
      last = event.offsetX;
      this.look(this.view.from - (by / this.size[0]) * this.view.span, this.view.span);
    });
    canvas.addEventListener("pointerup", (event) => {
      if (last !== null && moved < 5) this.pick(this.at(event.offsetX, event.offsetY));
      last = null;
    });
    canvas.addEventListener("pointercancel", () => {
      last = null;
    });
    canvas.addEventListener("pointerleave", () => this.hover(null));
    canvas.addEventListener(
      "wheel",
      (event) => {
        // Where all is in sight the page is scrolled.
        if (!event.ctrlKey && this.view.span >= this.whole && event.deltaY > 0) return;
        event.preventDefault();
        this.zoom(Math.exp(event.deltaY / 300), event.offsetX);
      },
      { passive: false },
    );
    canvas.addEventListener("keydown", (event) => {
      const { from, span } = this.view;
      const keys = { ArrowLeft: [from - span / 8, span], ArrowRight: [from + span / 8, span], "+": [from + span / 8, span * 0.75], "-": [from - span / 8, span * 1.25], Home: [0, this.whole] };
      if (!keys[event.key]) return;
      event.preventDefault();
      this.look(...keys[event.key]);
    });
  }
}
