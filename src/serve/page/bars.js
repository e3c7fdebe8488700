// Rows with a bar for a share of the whole, that unfold into what they are made of.

import { el } from "./dom.js";

export const percent = (part, total) => `${total ? ((100 * part) / total).toFixed(1) : "0.0"} %`;

export function track(share) {
  const fill = el("span", { class: "fill" });
  fill.style.width = `${(100 * Math.min(1, share || 0)).toFixed(2)}%`;
  return el("span", { class: "track", "aria-hidden": "true" }, fill);
}

/** The head of a row: what it is called, its share, and the bar. */
const head = (name, value, total) => [el("span", { class: "name" }, name), el("span", { class: "share" }, percent(value, total)), track(value / total)];

/**
 * A row `{name, value, parts}` of a whole. Its parts, the largest first and no more than `most`,
 * are there once it is unfolded, which `unfolded`, a set of names, remembers. A part is a button
 * if it has something to do (`pick`).
 */
export function barRow(row, total, unfolded, most = 200) {
  if (row.parts.length === 0) return el("div", { class: "step-row idle" }, head(row.name, row.value, total));
  const node = el("details", { class: "step-row", open: unfolded.has(row.name) }, el("summary", { dataset: { key: row.name } }, head(row.name, row.value, total)));
  const fill = () => {
    const parts = row.parts.toSorted((a, b) => b.value - a.value).slice(0, most);
    const largest = parts[0]?.value || 1;
    node.append(el("ul", {}, parts.map((part) => el("li", {}, name(part), el("span", { class: "share" }, percent(part.value, total)), track(part.value / largest)))));
  };
  if (node.open) fill();
  node.addEventListener("toggle", () => {
    if (!node.open) unfolded.delete(row.name);
    else {
      unfolded.add(row.name);
      if (node.childElementCount === 1) fill();
    }
  });
  return node;
}

const name = (part) => (part.pick ? el("button", { type: "button", class: "name", onclick: part.pick }, part.name) : el("span", { class: "name" }, part.name));
