// Conversations, kept in the browser's own database so that a reload keeps them.

import { keep, kept, notify } from "./dom.js";

const STORE = "conversations";
const MOST_TITLE = 60;

let database = null;
/** All of them by id; the database has the same. */
const all = new Map();
/** Ids of deleted ones: an answer that still ends must not bring its conversation back. */
const gone = new Set();

/** Opens the database and reads all conversations. Without one they last as long as the page. */
export async function open() {
  try {
    database = await request(openRequest());
    for (const conversation of await request(store("readonly").getAll())) {
      all.set(conversation.id, conversation);
    }
  } catch {
    database = null;
    notify("This browser keeps nothing for this page: conversations end when it is left.");
  }
}

function openRequest() {
  const opening = indexedDB.open("sharpi", 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore(STORE, { keyPath: "id" });
  return opening;
}

function request(pending) {
  return new Promise((resolve, reject) => {
    pending.onsuccess = () => resolve(pending.result);
    pending.onerror = () => reject(pending.error);
    pending.onblocked = () => reject(new Error("blocked"));
  });
}

const store = (mode) => database.transaction(STORE, mode).objectStore(STORE);

/** All that hold anything, the latest first. */
export function list() {
  return [...all.values()].sort((a, b) => b.updated - a.updated);
}

export const get = (id) => all.get(id);

/** The one that was open last. */
export const latest = () => get(kept("open", null));

export const setLatest = (conversation) => keep("open", conversation.id);

/** An empty one. It is kept once it holds a message. */
export function create() {
  const id = Array.from(crypto.getRandomValues(new Uint32Array(4)), (n) => n.toString(36)).join("");
  return { id, updated: Date.now(), messages: [] };
}

export function title(conversation) {
  const first = conversation.messages.find((message) => message.role === "user");
  const line = (first?.content ?? "").trim().split("\n", 1)[0];
  if (line === "") return "New conversation";
  const letters = [...line];
  return letters.length > MOST_TITLE ? `${letters.slice(0, MOST_TITLE).join("")}…` : line;
}

/** Keeps a conversation as it is now. */
export async function save(conversation) {
  if (conversation.messages.length === 0 || gone.has(conversation.id)) return;
  all.set(conversation.id, conversation);
  try {
    if (database) await request(store("readwrite").put(structuredClone(conversation)));
  } catch {
    notify("The browser has no room for this conversation: it ends when the page is left.");
  }
}

export function restore(conversation) {
  gone.delete(conversation.id);
  return save(conversation);
}

export async function remove(id) {
  all.delete(id);
  gone.add(id);
  try {
    if (database) await request(store("readwrite").delete(id));
  } catch {
    notify("The conversation could not be deleted. Try again.");
  }
}
