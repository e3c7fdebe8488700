// Which op of one stage is which of another, and what a pass did to it.

import { doc, graphOf } from "./data.js";

/** The rewrites of a pass by the numbers of the ops that went and that came. */
const kept = new Map();

export function changes(stageIndex, name) {
  const key = `${stageIndex} ${name}`;
  if (!kept.has(key)) kept.set(key, new Changes(graphOf(stageIndex, name)));
  return kept.get(key);
}

class Changes {
  constructor(graph) {
    this.rewrites = (graph?.rewrites ?? []).map(([rule, gone, added, heirs]) => ({ rule, gone, added, heirs }));
    this.byGone = new Map();
    this.byAdded = new Map();
    this.byHeir = new Map();
    for (const rewrite of this.rewrites) {
      rewrite.gone.forEach((id) => this.byGone.set(id, rewrite));
      rewrite.added.forEach((id) => this.byAdded.set(id, rewrite));
      rewrite.heirs.forEach((id) => this.byHeir.set(id, rewrite));
    }
  }
}

/** The number that an op has at another stage: itself, what came of it, or what it came of. */
export function follow(id, name, from, to) {
  let at = id;
  for (let stage = from; stage < to; stage += 1) at = forward(at, changes(stage + 1, name));
  for (let stage = from; stage > to; stage -= 1) at = back(at, changes(stage, name));
  return at;
}

function forward(id, { byGone }) {
  // What a rewrite has made may be gone before the pass is at its end.
  for (let rewrite = byGone.get(id); rewrite; rewrite = byGone.get(id)) {
    const next = rewrite.added[0] ?? rewrite.heirs[0];
    if (next === undefined || next === id) return null;
    id = next;
  }
  return id;
}

function back(id, { byAdded }) {
  for (let rewrite = byAdded.get(id); rewrite; rewrite = byAdded.get(id)) {
    const next = rewrite.gone[0] ?? rewrite.heirs[0];
    if (next === undefined) return null;
    id = next;
  }
  return id;
}

/** What the pass that led to the op's stage did to it: `added`, `merged`, `rewired` or nothing. */
export function madeBy(op) {
  const { graph } = op;
  if (graph.stage === 0) return null;
  const { byAdded, byHeir } = changes(graph.stage, graph.name);
  if (byAdded.has(op.id)) return { how: "added", rule: byAdded.get(op.id).rule };
  if (byHeir.has(op.id)) return { how: "merged", rule: byHeir.get(op.id).rule };
  const before = graphOf(graph.stage - 1, graph.name)?.byId.get(op.id);
  return before && inputsOf(before) !== inputsOf(op) ? { how: "rewired", rule: null } : null;
}

/** What the pass behind the op's stage does to it: `removed`, `merged` or nothing. */
export function takenBy(op) {
  const { graph } = op;
  if (graph.stage + 1 >= doc.stages.length) return null;
  const { byGone, byHeir } = changes(graph.stage + 1, graph.name);
  if (byGone.has(op.id)) return { how: "removed", rule: byGone.get(op.id).rule };
  if (byHeir.has(op.id)) return { how: "merged", rule: byHeir.get(op.id).rule };
  return null;
}

const inputsOf = (op) => op.before.map(({ from, input, slot }) => `${slot} ${from ? from.id : input}`).join();
