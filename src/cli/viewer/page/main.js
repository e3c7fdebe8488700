// The page: what is shown, what is selected, and who is told of it.

import { costPanel } from "./costs.js";
import { doc, graphOf, reach, stage, stageName } from "./data.js";
import { details, overview } from "./details.js";
import { byId, drawIcons, el } from "./dom.js";
import { displayed, itemOf } from "./draw.js";
import { follow, madeBy, takenBy } from "./identity.js";
import { colour, heat, kindOf, readColours } from "./kinds.js";
import { Pane } from "./pane.js";
import { passPanel } from "./passes.js";
import { PlanView } from "./plan.js";
import { startSearch } from "./search.js";
import { Folds } from "./stack.js";
import { startTheme } from "./themes.js";
import { MEASURES, SHAPES, measures, si, table } from "./times.js";

const PATHS = ["neighbours", "what feeds it", "what it feeds"];
const LAST = doc.stages.length - 1;

const page = {
  folds: new Folds(),
  panes: [],
  /** The selected op as it is at the stage of the right pane. */
  selection: null,
  path: 0,
  /** The stage that is shown on the left; null for the one before. */
  beside: null,
  shape: 0,
  colouring: "kind",
  tab: "op",
  tables: new Map(),

  shownStage: () => page.panes.at(-1).stage,
  selectedOp: () => page.selection,
  comparing: () => page.panes.length > 1,

  /** The selected op as it is in a pane. */
  selectedIn(pane) {
    const op = page.selection;
    if (!op) return null;
    const to = pane.stage.index;
    if (to === op.graph.stage) return op;
    const id = follow(op.id, op.graph.name, op.graph.stage, to);
    return id === null ? null : (graphOf(to, op.graph.name)?.byId.get(id) ?? null);
  },

  select(op, pane = page.panes.at(-1)) {
    page.selection = op;
    for (const each of page.panes) {
      const own = page.selectedIn(each);
      if (own) each.reveal(own, each !== pane && page.comparing());
      each.ask();
    }
    page.plan.selected(page.selectedIn(page.panes.at(-1)));
    if (op && page.tab !== "pass") showTab("op");
    else showPanel();
    byId("announcer").textContent = op ? `${op.label}, ${op.graph.name}` : "";
  },

  fold(what, key) {
    page.folds.toggle(page.folds[what], key);
    for (const pane of page.panes) pane.layOut();
  },

  hover(pane, op) {
    pane.canvas.style.cursor = op ? "pointer" : "";
    pane.canvas.title = op ? op.label : "";
  },

  nextPath() {
    page.path = (page.path + 1) % PATHS.length;
    for (const pane of page.panes) pane.ask();
    byId("announcer").textContent = PATHS[page.path];
    showPanel();
  },

  paint(op) {
    if (page.colouring === "kind") return colour(kindOf(op.op));
    const { values, most } = tableOf(op.graph);
    const value = values[op.index];
    return value === null ? colour("line") : heat(most ? value / most : 0);
  },

  look(pane) {
    const selected = page.selectedIn(pane);
    const laid = pane.laid.find(({ graph }) => graph === selected?.graph);
    const shown = selected && displayed(laid, selected);
    const near = selected && nearby(laid, selected);
    const left = page.comparing() && pane === page.panes[0];
    const filled = page.colouring !== "kind";
    return {
      selected: shown,
      filled,
      isSelected: (op) => op === shown,
      edge(a, b) {
        if (!shown || b === undefined) return null;
        if (near.before.has(a) && (b === shown || near.before.has(b))) return "before";
        return (a === shown || near.after.has(a)) && near.after.has(b) ? "after" : null;
      },
      faded: (op) => page.path > 0 && shown && op !== shown && !near.before.has(op) && !near.after.has(op),
      changed: (op) => difference(op, left),
      paint: page.paint,
      badge: (op) => (filled ? badge(op) : op.step === null || op.step < 0 ? null : `step ${op.step}`),
    };
  },
};

/** Ops around the selected one, as they are shown. */
function nearby(laid, op) {
  const key = `${page.path} ${op.graph.stage} ${op.graph.name} ${op.index}`;
  if (page.near?.key === key && page.near.laid === laid) return page.near;
  const ends = (side, end) => op[side].map((edge) => edge[end]).filter(Boolean);
  const all = (side) => [...reach(op, side)].filter((other) => other !== op);
  const before = page.path === 0 ? ends("before", "from") : page.path === 1 ? all("before") : [];
  const after = page.path === 0 ? ends("after", "to") : page.path === 2 ? all("after") : [];
  const shown = (ops) => new Set(ops.map((other) => displayed(laid, other)));
  page.near = { key, laid, before: shown(before), after: shown(after) };
  return page.near;
}

function tableOf(graph) {
  const key = `${graph.stage} ${graph.name} ${page.colouring} ${page.shape}`;
  if (!page.tables.has(key)) page.tables.set(key, table(graph, page.colouring, page.shape));
  return page.tables.get(key);
}

function badge(op) {
  const { values, sum } = tableOf(op.graph);
  const value = values[op.index];
  if (value === null) return null;
  if (page.colouring === "over") return `${value.toFixed(2)}×`;
  return sum ? `${((100 * value) / sum).toFixed(1)} %` : null;
}

function showTab(tab) {
  page.tab = tab;
  for (const name of ["op", "pass", "cost"]) {
    const node = byId(`tab-${name}`);
    node.setAttribute("aria-selected", String(name === tab));
    node.tabIndex = name === tab ? 0 : -1;
  }
  byId("panel").setAttribute("aria-labelledby", `tab-${tab}`);
  showPanel();
}

function showPanel() {
  const shown = page.shownStage();
  const op = page.selection;
  const parts = {
    op: () => (op ? [...details(op, page.shape, (other) => page.select(other), timesShown(op)), el("button", { type: "button", class: "button small", onclick: page.nextPath }, `Path: ${PATHS[page.path]}`)] : overview(shown)),
    pass: () => passPanel(shown.index, selectOfPass),
    cost: () => costPanel(shown, page.shape, (other) => page.select(other)),
  }[page.tab]();
  const flat = parts.flat(Infinity).filter(Boolean);
  byId("panel").replaceChildren(...flat);
}

/** How many ops the one that is shown stands for. */
function timesShown(op) {
  const pane = page.panes.find((each) => each.stage.index === op.graph.stage);
  const laid = pane?.laid.find(({ graph }) => graph === op.graph);
  return laid ? (itemOf(laid, op)?.times ?? 1) : 1;
}

/** An op of the stage before is shown beside. */
function selectOfPass(op) {
  if (!page.panes.some((pane) => pane.stage.index === op.graph.stage)) {
    page.beside = null;
    byId("beside").value = "";
    compare(true);
  }
  page.select(op, page.panes.find((pane) => pane.stage.index === op.graph.stage) ?? page.panes.at(-1));
}

/** Shows another stage on the left, or the one alone. */
function compare(on) {
  const right = page.panes.at(-1);
  const left = page.beside ?? right.stage.index - 1;
  page.panes = on && left >= 0 && left !== right.stage.index ? [page.comparing() ? page.panes[0] : new Pane(page, left), right] : [right];
  if (page.comparing()) page.panes[0].show(left);
  byId("panes").replaceChildren(...page.panes.map(({ node }) => node));
  byId("compare").setAttribute("aria-pressed", String(on));
  byId("beside-label").hidden = !on;
  caption();
}

/** What became of an op from the left pane to the right one. */
function difference(op, onLeft) {
  const [left, right] = page.panes.map((pane) => pane.stage.index);
  if (!page.comparing() || right === left + 1) return (onLeft ? takenBy(op) : madeBy(op))?.how ?? null;
  const there = graphOf(onLeft ? right : left, op.graph.name);
  if (there?.byId.has(op.id)) return null;
  return onLeft ? "removed" : "added";
}

function caption() {
  page.panes.forEach(({ caption: node, stage: shown }, i) => {
    const ops = shown.graphs.reduce((sum, { ops: all }) => sum + all.length, 0);
    node.textContent = `${page.comparing() && i === 0 ? "compared with: " : ""}${shown.index ? "after " : ""}${shown.name} · ${ops} ops`;
  });
}

function goTo(index) {
  const right = page.panes.at(-1);
  const at = Math.min(LAST, Math.max(0, index));
  const op = page.selection;
  const wanted = byId("compare").getAttribute("aria-pressed") === "true";
  right.show(at);
  page.selection = op && page.selectedIn(right);
  compare(wanted);
  byId("stage").value = String(at);
  byId("stage").setAttribute("aria-valuetext", stageName(at));
  [...byId("stage-names").children].forEach((node, i) => node.classList.toggle("current", i === at));
  page.plan.show(right.stage);
  for (const pane of page.panes) {
    const own = page.selectedIn(pane);
    if (own) pane.reveal(own);
  }
  showPanel();
}

function buildStages() {
  const slider = byId("stage");
  slider.max = String(LAST);
  slider.addEventListener("input", () => goTo(Number(slider.value)));
  byId("stage-names").replaceChildren(...doc.stages.map((_, i) => el("li", { onclick: () => goTo(i) }, stageName(i))));
  const beside = byId("beside");
  beside.replaceChildren(el("option", { value: "" }, "the stage before"), ...doc.stages.map((_, i) => el("option", { value: String(i) }, stageName(i))));
  beside.addEventListener("change", () => {
    page.beside = beside.value === "" ? null : Number(beside.value);
    compare(true);
    page.select(page.selection);
  });
  byId("compare").addEventListener("click", () => compare(byId("compare").getAttribute("aria-pressed") !== "true"));
}

function buildTools() {
  const colours = byId("colour");
  const options = [["kind", "Kind"], ...measures().map((name) => [name, MEASURES[name].name])];
  colours.replaceChildren(...options.map(([value, text]) => el("option", { value }, text)));
  colours.addEventListener("change", () => {
    page.colouring = colours.value;
    repaint();
  });
  const widths = byId("width");
  widths.replaceChildren(...SHAPES.map(({ index, tokens }) => el("option", { value: String(index) }, `${tokens} token${tokens === 1 ? "" : "s"}`)));
  widths.addEventListener("change", () => {
    page.shape = Number(widths.value);
    page.plan.refresh();
    repaint();
    showPanel();
  });
  byId("unfold").addEventListener("click", () => {
    page.folds.all = !page.folds.all;
    byId("unfold").setAttribute("aria-pressed", String(page.folds.all));
    for (const pane of page.panes) pane.layOut();
  });
  byId("fit").addEventListener("click", () => page.panes.forEach((pane) => pane.fit()));
  for (const tab of ["op", "pass", "cost"]) byId(`tab-${tab}`).addEventListener("click", () => showTab(tab));
  byId("side").querySelector(".tabs").addEventListener("keydown", (event) => {
    const tabs = ["op", "pass", "cost"];
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by) return;
    showTab(tabs[(tabs.indexOf(page.tab) + by + 3) % 3]);
    byId(`tab-${page.tab}`).focus();
  });
}

function repaint() {
  readColours();
  for (const pane of page.panes) pane.ask();
  page.plan?.lanes.ask();
}

/** Printed is the whole graph, on white, as large as the paper. */
function buildPrint() {
  addEventListener("beforeprint", () => {
    document.documentElement.dataset.printing = "";
    readColours();
    for (const pane of page.panes) pane.paintWhole();
  });
  addEventListener("afterprint", () => {
    delete document.documentElement.dataset.printing;
    readColours();
    for (const pane of page.panes) pane.resize();
  });
}

function keys(event) {
  const typing = event.target.closest?.("input, select, textarea");
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const at = page.shownStage().index;
  const known = { "/": () => byId("find").focus(), "[": () => goTo(at - 1), "]": () => goTo(at + 1), c: () => byId("compare").click() };
  if (!known[event.key]) return;
  event.preventDefault();
  known[event.key]();
}

function start() {
  document.title = `${doc.title} – graphs`;
  byId("title").replaceChildren(doc.title, el("small", {}, doc.program));
  drawIcons();
  readColours();
  buildStages();
  page.plan = new PlanView(page, byId("plan"));
  page.panes = [new Pane(page, LAST)];
  buildTools();
  startTheme(byId("theme"), repaint);
  buildPrint();
  goTo(LAST);
  startSearch(page);
  addEventListener("keydown", keys);
}

start();

/** For tests: what the page shows, as data. */
window.viewer = { doc, page, stage, goTo, si };
