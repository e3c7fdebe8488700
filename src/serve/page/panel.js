// What the engine does: read every second while it is seen, and drawn.

import * as api from "./api.js";
import { byId, el, svg } from "./dom.js";
import { rate } from "./message.js";
import * as steps from "./steps.js";

const EVERY = 1000;
/** Seconds that the curve shows. */
const POINTS = 60;

let seen = false;
let timer = 0;
let before = null;
const speeds = [];
/** Told what went wrong. */
let onFailure = () => {};
const parts = {};

export function start(failed) {
  onFailure = failed;
  parts.speed = el("strong", { class: "big", id: "tokens-a-second" }, "–");
  parts.curve = svg("svg", { class: "curve", viewBox: `0 0 ${POINTS - 1} 20`, preserveAspectRatio: "none", "aria-hidden": "true" });
  parts.reading = el("span", {}, "–");
  parts.width = el("span", {}, "–");
  parts.requests = el("div", { class: "slots" });
  parts.requestsText = el("p", { class: "said" });
  parts.places = el("div", { class: "bars", id: "places" });
  parts.memory = el("div", { class: "meter" });
  parts.memoryText = el("p", { class: "said", id: "memory" });
  byId("panel-body").replaceChildren(
    section("Speed", el("p", { class: "figure" }, parts.speed, " tokens a second"), parts.curve, facts([["Prompts", parts.reading], ["Batch width", parts.width]])),
    section("Requests", parts.requests, parts.requestsText),
    section("Drafts that held, by place", parts.places),
    section("Prompt memory", parts.memory, parts.memoryText),
    section("Time by step", steps.build()),
  );
  document.addEventListener("visibilitychange", schedule);
}

const section = (title, ...children) => el("section", { class: "card" }, el("h3", {}, title), ...children);

const facts = (pairs) => el("dl", { class: "facts" }, pairs.map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));

/** Whether the panel is on the screen. */
export function setSeen(is) {
  seen = is;
  schedule();
}

/** Reads on if anybody looks. */
export function schedule() {
  clearTimeout(timer);
  if (seen && !document.hidden) tick();
}

async function tick() {
  clearTimeout(timer);
  try {
    const report = await api.getJson("/v1/engine");
    byId("panel-note").textContent = "";
    draw(report);
    await steps.refresh();
  } catch (error) {
    byId("panel-note").textContent = `${error.message} ${error.advice ?? ""}`;
    onFailure(error);
    // Without a key nothing is to be had; it is asked for once.
    if (error.status === 401) return;
  }
  clearTimeout(timer);
  if (seen && !document.hidden) timer = setTimeout(tick, EVERY);
}

function draw(report) {
  const { stats } = report;
  const since = before && report.seconds > before.seconds && stats.steps >= before.stats.steps ? before : null;
  before = report;
  const passed = since ? report.seconds - since.seconds : 0;
  const change = (name) => (since ? stats[name] - since.stats[name] : 0);
  const speed = passed ? change("generated_tokens") / passed : 0;
  speeds.push(speed);
  if (speeds.length > POINTS) speeds.shift();
  parts.speed.textContent = speed > 0 ? rate(speed) : "0";
  drawCurve();
  const reading = passed ? change("prompt_tokens") / passed : 0;
  parts.reading.textContent = `${reading > 0 ? rate(reading) : 0} tokens a second`;
  const ran = change("steps");
  const width = ran > 0 ? change("run_tokens") / ran : stats.last_width;
  parts.width.textContent = `${+width.toFixed(1)} tokens${ran > 0 ? " a run" : " in the last run"}`;
  drawRequests(report);
  drawPlaces(report);
  drawMemory(report);
}

function drawCurve() {
  const most = Math.max(...speeds, 1e-9);
  const from = POINTS - speeds.length;
  const points = speeds.map((speed, i) => `${from + i},${(19 - (18 * speed) / most).toFixed(2)}`);
  const line = points.join(" ");
  parts.curve.replaceChildren(
    svg("polygon", { points: `${from},20 ${line} ${POINTS - 1},20` }),
    svg("polyline", { points: line, "vector-effect": "non-scaling-stroke" }),
  );
}

function drawRequests({ parallel, queue, stats: { running, waiting, ended } }) {
  const shown = Math.min(parallel, 32);
  const dot = (i) => el("span", { class: i < running ? "slot busy" : "slot" });
  parts.requests.replaceChildren(...Array.from({ length: shown }, (_, i) => dot(i)));
  parts.requests.setAttribute("aria-hidden", "true");
  parts.requestsText.textContent = `${running} of ${parallel} running · ${waiting} of ${queue} waiting · ${count(ended)} ended`;
}

function drawPlaces({ drafts, stats }) {
  const places = stats.draft_places;
  if (places.length === 0) {
    const why = drafts === 0 ? "This server does not draft: --spec-type auto lets it, if the model has a head for it." : "Nothing was drafted yet.";
    parts.places.replaceChildren(el("p", { class: "said" }, why));
    return;
  }
  const rows = places.map(({ tried, accepted }, i) => {
    const share = tried ? accepted / tried : 0;
    const row = bar(ordinal(i + 1), share, `${Math.round(100 * share)} %`);
    row.title = `${count(accepted)} of ${count(tried)}, where those before held`;
    return row;
  });
  const said = `${count(stats.accepted_tokens)} of ${count(stats.drafted_tokens)} drafted tokens were taken.`;
  parts.places.replaceChildren(...rows, el("p", { class: "said" }, said));
}

/** A name, a bar and a figure. */
export function bar(name, share, figure, extra = "") {
  const fill = el("span", { class: "fill" });
  fill.style.width = `${(100 * Math.min(1, share)).toFixed(2)}%`;
  return el(
    "div",
    { class: `row ${extra}` },
    el("span", { class: "name" }, name),
    el("span", { class: "track", "aria-hidden": "true" }, fill),
    el("span", { class: "share" }, figure),
  );
}

const ordinal = (n) => `${n}${{ 1: "st", 2: "nd", 3: "rd" }[n % 100 > 10 && n % 100 < 14 ? 0 : n % 10] ?? "th"} token`;

function drawMemory({ prompt_memory_bytes: most, stats: { prompts } }) {
  const fill = el("span", { class: "fill" });
  fill.style.width = `${most ? Math.min(100, (100 * prompts.bytes) / most).toFixed(2) : 0}%`;
  parts.memory.replaceChildren(fill);
  if (most === 0) {
    parts.memoryText.textContent = "Prompts are not remembered: --cache-ram gives room for it.";
    return;
  }
  const asked = prompts.hits + prompts.misses;
  parts.memoryText.textContent =
    `${bytes(prompts.bytes)} of ${bytes(most)} · ${count(prompts.hits)} of ${count(asked)} requests went on from something remembered · ` +
    `${count(prompts.tokens_saved)} tokens not read again`;
}

export const count = (n) => n.toLocaleString("en");

export function bytes(n) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (n >= 1024 && unit < units.length - 1) {
    n /= 1024;
    unit += 1;
  }
  return `${unit === 0 || n >= 100 ? Math.round(n) : n.toFixed(1)} ${units[unit]}`;
}
