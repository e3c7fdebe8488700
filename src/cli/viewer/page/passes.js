// What a pass did: its rules, and each place where they fired.

import { doc, graphOf, stageName } from "./data.js";
import { el } from "./dom.js";
import { changes } from "./identity.js";

const MOST = 60;

/** The panel of the pass that led to a stage; `select(op)` is for an op of it or of the stage before. */
export function passPanel(index, select) {
  if (index === 0) {
    return [el("h2", {}, "imported"), el("p", { class: "doc" }, "The graphs as the model file describes them, before any pass: ops that do one thing each. Move the slider to see what the passes make of them.")];
  }
  const pass = doc.passes.find(({ name }) => name === stageName(index));
  const graphs = doc.stages[index].graphs.map(({ name }) => graphPart(index, name, select));
  return [
    el("h2", {}, stageName(index)),
    el("p", { class: "doc" }, pass ? `It ${pass.doc}.${pass.required ? "" : " It can be skipped; every result stays the same bits."}` : "A pass of your own."),
    el("ul", { class: "legend" }, [["added", "added"], ["removed", "removed"], ["merged", "took the place of others"], ["rewired", "takes other operands"]].map(([how, text]) => el("li", {}, el("span", { class: `dot ${how}` }), text))),
    graphs,
  ];
}

function graphPart(index, name, select) {
  const [before, now] = [graphOf(index - 1, name), graphOf(index, name)];
  const byRule = new Map();
  for (const rewrite of changes(index, name).rewrites) {
    if (!byRule.has(rewrite.rule)) byRule.set(rewrite.rule, []);
    byRule.get(rewrite.rule).push(rewrite);
  }
  const counts = `${before?.ops.length ?? 0} ops before, ${now.ops.length} after`;
  const rules = [...byRule].map(([rule, all]) => rulePart(rule, all, before, now, select));
  const { plan } = now;
  const planned = plan && !before?.plan ? `${plan.steps} steps` : plan?.arena && !before?.plan?.arena ? `an arena of ${plan.arena.bytes.toLocaleString("en")} bytes, ${plan.arena.sum.toLocaleString("en")} without reuse` : null;
  return [el("h3", {}, `@${name}`), el("p", { class: "where" }, counts), planned && el("p", {}, planned), rules.length ? rules : !planned && el("p", { class: "where" }, "Nothing was rewritten.")];
}

function rulePart(rule, all, before, now, select) {
  const node = el("details", { class: "rule", open: all.length <= 8 }, el("summary", {}, `${rule}, ${all.length} time${all.length === 1 ? "" : "s"}`));
  const rows = all.slice(0, MOST).map(({ gone, added, heirs }) => {
    const ids = [...added, ...heirs];
    const after = ids.map((id) => now.byId.get(id)).filter(Boolean);
    const lost = gone.map((id) => before?.byId.get(id)).filter(Boolean);
    const target = after[0] ?? lost[0];
    const text = `${lost.map(({ op }) => op).join(", ") || "ops made meanwhile"} → ${after.map(({ op }) => op).join(", ") || (added.length ? "ops taken in again" : "nothing")}`;
    const place = target?.section.block >= 0 ? `block ${target.section.block}: ` : "";
    return el("li", {}, target ? el("button", { type: "button", class: "link", onclick: () => select(target) }, place + text) : text);
  });
  if (all.length > MOST) rows.push(el("li", {}, `and ${all.length - MOST} more`));
  node.append(el("ul", {}, rows));
  return node;
}
