// The document of the page: stages, each with its graphs, whose ops are spread out when first asked for.

export const doc = JSON.parse(document.getElementById("data").textContent);

const weights = new Map(doc.weights.map(([name, type, tensor]) => [name, { name, type, tensor }]));
const states = new Map(doc.states);

/** What is known of a weight. */
export const weightOf = (name) => weights.get(name) ?? { name, type: "?", tensor: name };
export const stateType = (name) => states.get(name) ?? "?";

/** A name as it is written in a body: a text, or a list of one that leaves out its block. */
const symbolName = (name, block) => (Array.isArray(name) ? `blk.${block}.${name[0]}` : name);
const tensorName = (name, block) => (Array.isArray(name) ? `${name[0]}-${block}` : name);

/** The name without its block: `blk.3.attn_q` is `attn_q`. */
export const shortName = (name) => name.replace(/^blk\.\d+\./, "");

const stages = doc.stages.map(() => null);

/** A stage: what it is called, and its graphs. */
export function stage(index) {
  stages[index] ??= {
    index,
    name: stageName(index),
    graphs: doc.stages[index].graphs.map((graph) => new Graph(graph, index)),
  };
  return stages[index];
}

export const stageName = (index) => doc.stages[index].pass ?? "imported";
export const graphOf = (index, name) => stage(index).graphs.find((graph) => graph.name === name);

/** A graph at a stage. Its ops are in their canonical order, its values numbered as in the textual form. */
class Graph {
  constructor(raw, stageIndex) {
    this.raw = raw;
    this.stage = stageIndex;
    this.name = raw.name;
    this.inputs = raw.inputs.map(([name, type]) => ({ name, type }));
    this.outputs = raw.outputs.map(([name, of]) => ({ name, of }));
    this.bounds = raw.bounds;
    this.pieces = raw.pieces;
    this.plan = raw.plan;
    this.rewrites = raw.rewrites;
    this.ops = [];
    /** By the number of a value, the op that makes it. */
    this.makers = new Map();
    this.byId = new Map();
    this.sections = raw.sections.map(([body, block, base, costs], index) => this.section(doc.bodies[body], block, base, costs, index));
    this.link();
  }

  section(body, block, base, costs, index) {
    const section = { graph: this, index, body, block, base, first: this.ops.length, ops: [] };
    let value = base;
    body.ops.forEach((spec, place) => {
      const id = (this.ops.at(-1)?.id ?? 0) + this.raw.ids[this.ops.length];
      const op = new OpOf(section, place, spec, id, value, costs);
      value += spec.out.length;
      op.index = this.ops.length;
      for (const result of op.results) this.makers.set(result.number, op);
      this.byId.set(id, op);
      this.ops.push(op);
      section.ops.push(op);
    });
    return section;
  }

  /** Edges of values, of inputs, and of states. */
  link() {
    const last = new Map();
    this.edges = [];
    for (const op of this.ops) {
      op.operands.forEach((operand, slot) => {
        if (operand.kind === "value") this.edges.push({ from: this.makers.get(operand.number) ?? null, value: operand.number, to: op, slot });
        if (operand.kind === "input") this.edges.push({ from: null, input: operand.name, to: op, slot });
        if (operand.kind === "state") {
          const before = last.get(operand.name);
          if (before) this.edges.push({ from: before, state: operand.name, to: op, slot });
          last.set(operand.name, op);
        }
      });
    }
    for (const edge of this.edges) {
      edge.to.before.push(edge);
      edge.from?.after.push(edge);
    }
    for (const { name, of } of this.outputs) this.makers.get(of)?.outputs.push(name);
  }
}

/** An op of a graph. */
class OpOf {
  constructor(section, place, spec, id, base, costs) {
    Object.assign(this, { section, place, spec, id, costs });
    const { block } = section;
    this.op = spec.op;
    this.attrs = spec.attrs ?? [];
    this.operands = spec.in.map((operand) => reference(operand, section));
    this.results = spec.out.map(([type, name], i) => ({ number: base + i, type: doc.types[type], name: name == null ? null : tensorName(name, block) }));
    this.before = [];
    this.after = [];
    this.outputs = [];
  }

  get graph() {
    return this.section.graph;
  }

  get weights() {
    return this.operands.filter((operand) => operand.kind === "weight").map((operand) => weightOf(operand.name));
  }

  get states() {
    return this.operands.filter((operand) => operand.kind === "state").map((operand) => operand.name);
  }

  /** The mnemonic, with the epilogue of a product. */
  get title() {
    const epilogue = this.attrs.find(([name]) => name === "epilogue");
    return epilogue ? `${this.op} · ${epilogue[1].split(" ")[0]}` : this.op;
  }

  /** What is written in its box. */
  get lines() {
    const used = this.weights.map(({ name, type }) => `${shortName(name)} ${type}`);
    const made = this.results.map(({ type, name }) => `${type} ${name ?? ""}`.trimEnd());
    return [this.title, ...used, ...made];
  }

  /** How it is called in a line of text. */
  get label() {
    const name = this.results.find((result) => result.name)?.name;
    return [this.op, ...this.weights.slice(0, 2).map(({ name: weight }) => shortName(weight)), name && `→ ${name}`].filter(Boolean).join(" ");
  }

  /** Its step in the plan; -1 for a view, null where nothing is planned. */
  get step() {
    return this.graph.plan?.step_of[this.index] ?? null;
  }

  /** Multiply-adds and bytes for a width. */
  cost(shape) {
    const [int, float, weight, state, cache, activation] = doc.costs[doc.lists[this.costs[shape]][this.place]];
    return { int, float, macs: int + float, weight, state, cache, activation, memory: weight + state + cache };
  }
}

function reference(operand, { block, base }) {
  if (typeof operand === "number") return { kind: "value", number: base + operand };
  const [kind, name] = operand;
  if (kind === "i") return { kind: "input", name };
  return { kind: kind === "w" ? "weight" : "state", name: symbolName(name, block) };
}

/** What is read before or after some ops, through all others: `side` is "before" or "after". */
export function reach(op, side) {
  const found = new Set([op]);
  const open = [op];
  while (open.length) {
    for (const { from, to } of open.pop()[side]) {
      const next = side === "before" ? from : to;
      if (next && !found.has(next)) {
        found.add(next);
        open.push(next);
      }
    }
  }
  return found;
}
