// Elements from data. Text only ever becomes text: nothing here parses HTML.

const SVG = "http://www.w3.org/2000/svg";

/** An element. Of `props`, `class`, `on…` handlers, `dataset` and properties are set, the rest are attributes. */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  set(node, props);
  node.append(...children.flat(Infinity).filter((child) => child != null && child !== false));
  return node;
}

/** An SVG element; all props are attributes. */
export function svg(tag, props = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(props)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function set(node, props) {
  for (const [name, value] of Object.entries(props)) {
    if (value == null || value === false) continue;
    if (name === "class") node.className = value;
    else if (name === "dataset") Object.assign(node.dataset, value);
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (name in node && typeof value !== "string") node[name] = value;
    else node.setAttribute(name, value);
  }
}

export const byId = (id) => document.getElementById(id);

const ICONS = {
  menu: "M4 7h16M4 12h16M4 17h10",
  plus: "M12 5v14M5 12h14",
  sliders: "M4 7h9M17 7h3M4 17h3M11 17h9M15 5v4M9 15v4",
  gauge: "M4 18a9 9 0 1 1 16 0M12 15l4-5",
  close: "M6 6l12 12M18 6L6 18",
  send: "M12 19V5M6 11l6-6 6 6",
  stop: "M8 8h8v8H8z",
  copy: "M9 9h10v10H9zM15 9V5H5v10h4",
  edit: "M4 20l1-4L16 5l3 3L8 19zM14 7l3 3",
  again: "M19 12a7 7 0 1 1-2-5M19 4v4h-4",
  trash: "M5 7h14M10 7V5h4v2M7 7l1 12h8l1-12",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 3v2M12 19v2M3 12h2M19 12h2M5.6 5.6l1.4 1.4M17 17l1.4 1.4M5.6 18.4L7 17M17 7l1.4-1.4",
  moon: "M19 14A8 8 0 0 1 10 5a7.5 7.5 0 1 0 9 9z",
  auto: "M12 4a8 8 0 1 0 0 16zM12 4a8 8 0 0 1 0 16",
  tool: "M14 6a4 4 0 0 1 5 5l-9 9-4-4 9-9zM5 4l4 4",
  check: "M5 12l5 5 9-10",
};

/** A drawing that stands for words which are elsewhere. */
export function icon(name) {
  const path = svg("path", { d: ICONS[name] });
  return svg("svg", { viewBox: "0 0 24 24", class: "icon", "aria-hidden": "true" }, path);
}

/** Puts the icons into the elements of the page that ask for one. */
export function drawIcons() {
  for (const node of document.querySelectorAll("[data-icon]")) setIcon(node, node.dataset.icon);
}

export function setIcon(node, name) {
  node.querySelector("svg.icon")?.remove();
  node.prepend(icon(name));
}

/** A button with an icon and a name that is read out. */
export function iconButton(name, label, onclick) {
  const props = { type: "button", class: "icon-button small", "aria-label": label, title: label, onclick };
  return el("button", props, icon(name));
}

let noticeTimer = 0;

/** Says something for a while, with something to do about it if `action` is `[label, work]`. */
export function notify(text, action) {
  const notice = byId("notice");
  const hide = () => {
    notice.hidden = true;
  };
  const children = [el("span", {}, text)];
  if (action) {
    const [label, work] = action;
    const onclick = () => {
      hide();
      work();
    };
    children.push(el("button", { type: "button", class: "button quiet", onclick }, label));
  }
  notice.replaceChildren(...children);
  notice.hidden = false;
  clearTimeout(noticeTimer);
  noticeTimer = setTimeout(hide, 8000);
}

/** Reads a text out to those who hear the page. */
export function announce(text) {
  const log = byId("announcer");
  if (text.trim()) log.append(el("p", {}, text));
  while (log.childElementCount > 20) log.firstElementChild.remove();
}

/** What is kept of `name`, or `otherwise`. */
export function kept(name, otherwise) {
  try {
    return JSON.parse(localStorage.getItem(`sharpi.${name}`)) ?? otherwise;
  } catch {
    return otherwise;
  }
}

/** Keeps a value; where storage is forbidden or full it lasts as long as the page. */
export function keep(name, value) {
  try {
    if (value == null) localStorage.removeItem(`sharpi.${name}`);
    else localStorage.setItem(`sharpi.${name}`, JSON.stringify(value));
  } catch {
    // Nothing depends on it but the next visit.
  }
}
