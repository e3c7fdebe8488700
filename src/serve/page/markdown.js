// A part of Markdown as elements. Whatever a text says, only the elements below come of it.

import { el, iconButton, notify } from "./dom.js";

// A model may write anything, and its text is read again as it grows: none of these expressions can
// match the same text in many ways, so that each takes time in proportion to the line.
const FENCE = /^ {0,3}(`{3,}|~{3,})([^`]*)$/;
const HEADING = /^ {0,3}(#{1,6})[ \t]+(\S[^]*)$/;
const RULE = /^ {0,3}([-*_])(?:[ \t]*\1){2,}[ \t]*$/;
const ITEM = /^([ \t]*)([-*+]|\d{1,9}[.)])[ \t]+([^]*)$/;
const QUOTE = /^ {0,3}>[ \t]?([^]*)$/;
const TABLE_RULE = /^\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?$/;
/** Quotes and items within one another, from which on text is only text. */
const DEEPEST = 12;

/** Blocks of a text as `{ raw, make }`: equal `raw` makes equal elements. */
export function blocks(text) {
  const lines = text.split("\n");
  const found = [];
  let at = 0;
  while (at < lines.length) {
    const start = at;
    const { end, make } = nextBlock(lines, at, 0);
    at = end;
    if (make) found.push({ raw: lines.slice(start, end).join("\n"), make });
  }
  return found;
}

function nextBlock(lines, at, depth) {
  const line = lines[at];
  if (line.trim() === "") return { end: at + 1, make: null };
  const fence = FENCE.exec(line);
  if (fence) return fenced(lines, at, fence);
  const heading = HEADING.exec(line);
  // The page's own headings are the first two.
  if (heading) return one(at, () => el(`h${Math.min(6, heading[1].length + 2)}`, {}, inline(heading[2])));
  if (RULE.test(line)) return one(at, () => el("hr"));
  if (depth < DEEPEST && QUOTE.test(line)) return quote(lines, at, depth);
  if (depth < DEEPEST && ITEM.test(line)) return items(lines, at, depth);
  if (line.includes("|") && TABLE_RULE.test((lines[at + 1] ?? "").trim())) return table(lines, at);
  return paragraph(lines, at);
}

const one = (at, make) => ({ end: at + 1, make });

function inner(lines, depth) {
  const made = [];
  for (let at = 0; at < lines.length; ) {
    const { end, make } = nextBlock(lines, at, depth);
    at = end;
    if (make) made.push(make());
  }
  return made;
}

function fenced(lines, at, [, mark, info]) {
  const ends = (line) => {
    const text = line.trim();
    return text.length >= mark.length && text === mark[0].repeat(text.length);
  };
  let end = at + 1;
  while (end < lines.length && !ends(lines[end])) end += 1;
  const code = lines.slice(at + 1, end).join("\n");
  return { end: Math.min(lines.length, end + 1), make: () => codeBlock(code, info.trim().split(/\s/)[0]) };
}

export function codeBlock(code, language) {
  const copy = iconButton("copy", "Copy the code", async () => {
    await copyText(code);
  });
  const head = el("div", { class: "code-head" }, el("span", {}, language || "text"), copy);
  const body = el("pre", { tabindex: "0" }, el("code", {}, code));
  return el("div", { class: "code" }, head, body);
}

export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    notify("Copied.");
  } catch {
    notify("The browser does not let this page copy; select the text instead.");
  }
}

function quote(lines, at, depth) {
  let end = at;
  const within = [];
  while (end < lines.length && QUOTE.test(lines[end])) within.push(QUOTE.exec(lines[end++])[1]);
  return { end, make: () => el("blockquote", {}, inner(within, depth + 1)) };
}

/** Items of one list: deeper lines belong to the item before. */
function items(lines, at, depth) {
  const [, indent, mark] = ITEM.exec(lines[at]);
  const ordered = /\d/.test(mark);
  const all = [];
  let end = at;
  for (; end < lines.length; end += 1) {
    const line = lines[end];
    const item = ITEM.exec(line);
    if (item && item[1].length <= indent.length + 1) {
      if (/\d/.test(item[2]) !== ordered) break;
      all.push([item[3]]);
    } else if (/^\s/.test(line) && line.trim() !== "") {
      all.at(-1).push(line.replace(/^\s{1,4}/, ""));
    } else if (line.trim() === "" && goesOn(lines[end + 1])) {
      all.at(-1).push("");
    } else break;
  }
  const make = () => {
    const list = ordered ? el("ol", { start: String(parseInt(mark, 10)) }) : el("ul");
    list.append(...all.map((within) => el("li", {}, inner(within, depth + 1))));
    return list;
  };
  return { end, make };
}

const goesOn = (line) => line !== undefined && (ITEM.test(line) || /^\s+\S/.test(line));

function table(lines, at) {
  const cells = (line) => line.trim().replace(/^\||\|$/g, "").split("|").map((cell) => cell.trim());
  let end = at + 2;
  while (end < lines.length && lines[end].includes("|")) end += 1;
  const make = () => {
    const row = (line, tag) => el("tr", {}, cells(line).map((cell) => el(tag, {}, inline(cell))));
    const head = el("thead", {}, row(lines[at], "th"));
    const body = el("tbody", {}, lines.slice(at + 2, end).map((line) => row(line, "td")));
    return el("div", { class: "table", tabindex: "0" }, el("table", {}, head, body));
  };
  return { end, make };
}

function paragraph(lines, at) {
  let end = at + 1;
  const begins = (line) =>
    line.trim() === "" || FENCE.test(line) || HEADING.test(line) || QUOTE.test(line) || ITEM.test(line);
  while (end < lines.length && !begins(lines[end])) end += 1;
  const text = lines.slice(at, end).join("\n");
  return { end, make: () => el("p", {}, inline(text)) };
}

// What comes first wins; each kind ends at the next mark of its own.
const INLINE = new RegExp(
  [
    /(`{1,2})([^`]+)\1(?!`)/,
    /\*\*(?=\S)((?:[^*]|\*(?!\*))+)\*\*/,
    /\*(?=[^\s*])([^*]+)\*/,
    /(?<!\w)_(?=[^\s_])([^_]+)_(?!\w)/,
    /~~([^~]+)~~/,
    /!?\[([^[\]]*)\]\(([^()\s]+)\)/,
    /(https?:\/\/[^\s<>()"'\]]+)/,
  ]
    .map((kind) => kind.source)
    .join("|"),
  "g",
);
/** Longer paragraphs stay as they are: what is looked for in them takes time. */
const MOST_INLINE = 20000;

/** The nodes of a line of text. */
function inline(text) {
  if (text.length > MOST_INLINE) return [text];
  const nodes = [];
  let last = 0;
  for (const match of text.matchAll(INLINE)) {
    nodes.push(text.slice(last, match.index), emphasised(match));
    last = match.index + match[0].length;
  }
  nodes.push(text.slice(last));
  return nodes;
}

function emphasised([whole, , code, strong, star, low, gone, label, target, address]) {
  if (code !== undefined) return el("code", {}, code);
  if (strong !== undefined) return el("strong", {}, inline(strong));
  if (star !== undefined || low !== undefined) return el("em", {}, inline(star ?? low));
  if (gone !== undefined) return el("del", {}, inline(gone));
  if (address !== undefined) {
    let end = address.length;
    while (".,;:!?".includes(address[end - 1])) end -= 1;
    const trimmed = address.slice(0, end);
    return link(trimmed, trimmed, address.slice(trimmed.length));
  }
  return link(label || target, target, "", whole);
}

/** A link to another page; any other kind stays the text that it was. */
function link(label, target, rest, whole = label) {
  let url;
  try {
    url = new URL(target);
  } catch {
    return whole;
  }
  if (!["http:", "https:", "mailto:"].includes(url.protocol)) return whole;
  const props = { href: url.href, target: "_blank", rel: "noopener noreferrer nofollow" };
  const span = document.createDocumentFragment();
  span.append(el("a", props, label), rest);
  return span;
}
