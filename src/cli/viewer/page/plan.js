// The plan: steps as lanes, and under them the arena with the bytes that each value takes meanwhile.

import { el } from "./dom.js";
import { colour, kindOf } from "./kinds.js";
import { Lanes } from "./lanes.js";
import { best, measured, si } from "./times.js";

const ARENA = 110;

export class PlanView {
  /** `host` has `shape`, `select(op)` and `selectedOp()`. */
  constructor(host, root) {
    Object.assign(this, { host, root, graph: null, name: null, byTime: false });
    this.arena = { height: ARENA + 8, draw: (ctx, lanes, top) => this.drawArena(ctx, lanes, top), at: (lanes, step, y) => this.valueAt(step, y) };
    this.lanes = new Lanes({
      label: "Steps of the plan, and the arena under them",
      colour: (name) => colour(name === "on-cell" ? "ink" : name),
      paint: ({ op }) => host.paint(op),
      picked: ({ op }) => op === host.selectedOp(),
      pick: (cell) => cell?.op && host.select(cell.op),
      hover: (cell) => this.tell(cell),
      below: this.arena,
    });
    this.choice = el("select", { "aria-label": "Graph of the plan", onchange: () => this.choose(this.choice.value) });
    this.timed = el("button", { type: "button", class: "button small", "aria-pressed": "false", onclick: () => this.toggleTime() }, "Wide as their time");
    this.said = el("p", { class: "said" });
    root.replaceChildren(el("div", { class: "plan-head" }, el("h2", {}, "Plan"), this.choice, this.timed, this.said), this.lanes.canvas);
  }

  show(stage) {
    this.stage = stage;
    const planned = stage.graphs.filter(({ plan }) => plan);
    this.root.hidden = planned.length === 0;
    if (planned.length === 0) return;
    const names = planned.map(({ name }) => name);
    this.choice.replaceChildren(...names.map((name) => el("option", { value: name }, `@${name}`)));
    this.choose(names.includes(this.name) ? this.name : names[0]);
  }

  choose(name) {
    this.name = name;
    this.choice.value = name;
    this.graph = this.stage.graphs.find((graph) => graph.name === name);
    this.refresh();
  }

  toggleTime() {
    this.byTime = !this.byTime;
    this.refresh();
  }

  /** Again, as the width of runs or the colours are others. */
  refresh() {
    if (!this.graph?.plan) return;
    const { shape } = this.host;
    const time = (op) => measured(op, shape)?.seconds ?? best(op, shape);
    const timed = this.graph.ops.some((op) => time(op));
    this.timed.disabled = !timed;
    this.timed.title = timed ? "" : "There are no times: see hwbench and profile";
    this.timed.setAttribute("aria-pressed", String(this.byTime && timed));
    const steps = Array.from({ length: this.graph.plan.steps }, () => ({ cells: [], wait: 0 }));
    for (const op of this.graph.ops) {
      if (op.step < 0) continue;
      steps[op.step].cells.push({ op, name: op.title, value: time(op) ?? 0 });
      steps[op.step].wait += measured(op, shape)?.wait ?? 0;
    }
    this.lanes.show(steps, this.byTime && timed);
    this.lanes.resize();
    this.tell(null);
  }

  selected(op) {
    if (op?.graph.plan && op.graph.name !== this.name && this.stage.graphs.includes(op.graph)) this.choose(op.graph.name);
    if (op?.graph === this.graph && op.step >= 0) this.lanes.reveal(op.step);
    this.lanes.ask();
  }

  tell(cell) {
    const { plan } = this.graph;
    if (cell?.value !== undefined && cell.op) {
      const time = cell.value ? `, ${si(cell.value, "s")}` : "";
      this.said.textContent = `step ${cell.op.step}: ${cell.op.label}${time}`;
    } else if (cell?.bytes) {
      this.said.textContent = `${cell.name}: ${si(cell.bytes, "B")} at ${si(cell.offset, "B")}, steps ${cell.first} to ${cell.last}`;
    } else {
      const widest = Math.max(...this.lanes.steps.map(({ cells }) => cells.length));
      this.said.textContent = `${plan.steps} steps with ${Math.max(0, plan.steps - 1)} barriers between, up to ${widest} side by side${plan.arena ? `; arena of ${si(plan.arena.bytes, "B")}, ${si(plan.arena.sum, "B")} without reuse` : ""}`;
    }
  }

  drawArena(ctx, lanes, top) {
    const { arena } = this.graph.plan;
    const [w] = lanes.size;
    if (!arena) return;
    const high = ARENA / Math.max(1, arena.bytes);
    ctx.fillStyle = colour("side");
    ctx.fillRect(0, top, w, ARENA);
    const selected = this.host.selectedOp();
    for (const [number, offset, bytes, first, last] of arena.values) {
      const op = this.graph.makers.get(number);
      const [x, end] = [lanes.x(lanes.start(first)), lanes.x(lanes.ends[last])];
      if (end < 0 || x > w) continue;
      const [y, h] = [top + offset * high, Math.max(1, bytes * high)];
      ctx.fillStyle = op ? this.host.paint(op) : colour("soft");
      ctx.globalAlpha = 0.75;
      ctx.fillRect(x, y, Math.max(1, end - x), h);
      ctx.globalAlpha = 1;
      ctx.strokeStyle = colour("paper");
      ctx.lineWidth = 0.5;
      ctx.strokeRect(x, y, Math.max(1, end - x), h);
      if (op && op === selected) {
        ctx.strokeStyle = colour("ink");
        ctx.lineWidth = 2;
        ctx.strokeRect(x, y, Math.max(1, end - x), h);
      }
    }
    this.drawTaken(ctx, lanes, top, high);
  }

  /** The bytes that are taken in each step, as a line: its top is the widest moment. */
  drawTaken(ctx, lanes, top, high) {
    const { arena, steps } = this.graph.plan;
    this.graph.taken ??= arena.values.reduce((sums, [, offset, bytes, first, last]) => {
      for (let step = first; step <= last; step += 1) sums[step] = Math.max(sums[step], offset + bytes);
      return sums;
    }, new Float64Array(steps));
    ctx.strokeStyle = colour("warn");
    ctx.lineWidth = 1.2;
    ctx.beginPath();
    const [first, last] = lanes.range();
    for (let step = first; step <= last; step += 1) {
      const y = top + this.graph.taken[step] * high;
      ctx.lineTo(lanes.x(lanes.start(step)), y);
      ctx.lineTo(lanes.x(lanes.ends[step]), y);
    }
    ctx.stroke();
  }

  valueAt(step, y) {
    const { arena } = this.graph.plan;
    if (!arena) return null;
    const byte = (y / ARENA) * arena.bytes;
    const value = arena.values.find(([, offset, bytes, first, last]) => step >= first && step <= last && byte >= offset && byte < offset + bytes);
    if (!value) return null;
    const [number, offset, bytes, first, last] = value;
    const op = this.graph.makers.get(number);
    const result = op?.results.find((candidate) => candidate.number === number);
    const name = op ? (result?.name ?? `%${number}`) : `%${this.graph.inputs[-1 - number]?.name}`;
    return { op, name: `${name}${op ? ` of ${op.op}` : ""}`, offset, bytes, first, last, kind: op && kindOf(op.op) };
  }
}
