// How answers are to be made: fields that are empty leave it to the server.

import { byId, el, keep, kept } from "./dom.js";

/** Fields in the order in which they are shown: name in a request, what it is called, its range. */
const NUMBERS = [
  { name: "temperature", label: "Temperature", least: 0, most: 10, help: "0 takes the best token each time" },
  { name: "top_p", label: "Top-p", least: 0, most: 1 },
  { name: "top_k", label: "Top-k", least: 0, whole: true, help: "0 for all" },
  { name: "min_p", label: "Min-p", least: 0, most: 1 },
  { name: "repeat_penalty", label: "Repeat penalty", least: 0.01, most: 10, help: "1 for none" },
  { name: "presence_penalty", label: "Presence penalty", least: -10, most: 10 },
  { name: "frequency_penalty", label: "Frequency penalty", least: -10, most: 10 },
  { name: "seed", label: "Seed", least: 0, most: Number.MAX_SAFE_INTEGER, whole: true, help: "The same seed, the same answer" },
  { name: "max_tokens", label: "Most tokens", least: 1, whole: true },
  { name: "speculative.n_max", label: "Draft depth", least: 0, whole: true, help: "How many tokens are drafted at once; the text stays the same" },
];

/** As text, as they were typed. */
let values = kept("settings", {});
const inputs = new Map();

/** Builds the fields. */
export function build() {
  const fields = byId("settings-fields");
  fields.append(
    area("system", "System prompt", "What the model is told before the conversation", 3),
    choice("thinking", "Thinking", [
      ["", "As the template has it"],
      ["on", "On"],
      ["off", "Off"],
    ]),
    el("div", { class: "numbers" }, NUMBERS.map(number)),
    el(
      "details",
      { class: "more" },
      el("summary", {}, "Tools"),
      area("tools", "Tools as JSON", 'A list such as [{"type": "function", "function": {"name": …}}]. Calls are shown, and you give the results.', 5),
    ),
  );
}

function field(name, label, help, input) {
  const id = `setting-${name.replace(".", "-")}`;
  input.id = id;
  input.value = values[name] ?? "";
  input.setAttribute("aria-describedby", `${id}-help ${id}-error`);
  const error = el("p", { class: "field-error", id: `${id}-error`, role: "alert" });
  input.addEventListener("input", () => {
    if (input.value === "") delete values[name];
    else values[name] = input.value;
    keep("settings", values);
    show(error, input, fault(name));
  });
  inputs.set(name, { input, error });
  show(error, input, fault(name));
  return el(
    "div",
    { class: "field" },
    el("label", { for: id }, label),
    input,
    el("p", { class: "help", id: `${id}-help` }, help ?? ""),
    error,
  );
}

function show(error, input, message) {
  error.textContent = message ?? "";
  input.setAttribute("aria-invalid", String(message != null));
}

const area = (name, label, help, rows) => field(name, label, help, el("textarea", { rows: String(rows), spellcheck: "false" }));

const number = ({ name, label, help }) =>
  field(name, label, help, el("input", { type: "text", inputmode: "decimal", autocomplete: "off" }));

function choice(name, label, options) {
  const select = el("select", {}, options.map(([value, text]) => el("option", { value }, text)));
  return field(name, label, "", select);
}

/** What is wrong with a field, in words. */
function fault(name) {
  const text = values[name];
  if (text == null || text.trim() === "") return null;
  if (name === "tools") {
    try {
      return Array.isArray(JSON.parse(text)) ? null : "This is JSON, but not a list.";
    } catch (error) {
      return `This is not JSON: ${error.message}`;
    }
  }
  const known = NUMBERS.find((number) => number.name === name);
  if (!known) return null;
  const n = Number(text.trim().replace(",", "."));
  const { least, most = Infinity, whole } = known;
  if (Number.isNaN(n) || (whole && !Number.isInteger(n))) {
    return whole ? "A whole number is expected." : "A number is expected.";
  }
  if (n < least || n > most) {
    return most === Infinity ? `${least} or more is expected.` : `A number from ${least} to ${most} is expected.`;
  }
  return null;
}

/** The first setting with which nothing can be asked, as `[name, what is wrong]`. */
export function firstFault() {
  for (const [name, { input }] of inputs) {
    const wrong = fault(name);
    if (wrong) return [input, wrong];
  }
  return null;
}

/** The fields of a request. */
export function params() {
  const body = {};
  for (const { name } of NUMBERS) {
    const text = values[name]?.trim();
    if (text) body[name] = Number(text.replace(",", "."));
  }
  if (values.thinking) body.chat_template_kwargs = { enable_thinking: values.thinking === "on" };
  if (values.tools?.trim()) body.tools = JSON.parse(values.tools);
  return body;
}

export const systemPrompt = () => values.system?.trim() ?? "";

export function reset() {
  values = {};
  keep("settings", null);
  for (const { input, error } of inputs.values()) {
    input.value = "";
    show(error, input, null);
  }
}

/** Shows what the server does where a field is empty. */
export function showDefaults(props, engine) {
  const known = { ...props?.default_generation_settings?.params };
  known["max_tokens"] = known.n_predict === -1 ? "as many as fit" : known.n_predict;
  known["seed"] = "chosen anew";
  for (const { name } of NUMBERS) {
    const { input } = inputs.get(name);
    const value = known[name];
    if (value != null) input.placeholder = typeof value === "number" ? String(+value.toFixed(4)) : value;
  }
  const depth = inputs.get("speculative.n_max").input;
  const drafts = engine?.drafts ?? 0;
  depth.disabled = drafts === 0;
  depth.placeholder = drafts === 0 ? "the server does not draft" : `up to ${drafts}`;
}
