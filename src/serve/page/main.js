// Where the page begins: the parts are put together here.

import * as api from "./api.js";
import * as chat from "./chat.js";
import * as conversations from "./conversations.js";
import * as drawers from "./drawers.js";
import * as panel from "./panel.js";
import * as settings from "./settings.js";
import { byId, drawIcons, el, iconButton, notify } from "./dom.js";
import { startTheme } from "./themes.js";

function listConversations() {
  const open = chat.current();
  const items = conversations.list().map((conversation) => {
    const title = conversations.title(conversation);
    const current = conversation.id === open?.id;
    const choose = el("button", { type: "button", class: "conversation", "aria-current": current ? "true" : null, onclick: () => openConversation(conversation) }, title);
    return el("li", {}, choose, iconButton("trash", `Delete: ${title}`, () => remove(conversation)));
  });
  byId("conversations").replaceChildren(...items);
}

function openConversation(conversation) {
  chat.show(conversation);
  drawers.closeDrawers();
  byId("input").focus();
}

async function remove(conversation) {
  if (chat.current()?.id === conversation.id) {
    chat.stop();
    chat.show(conversations.create());
  }
  await conversations.remove(conversation.id);
  listConversations();
  notify("The conversation is deleted.", [
    "Take it back",
    async () => {
      await conversations.restore(conversation);
      listConversations();
    },
  ]);
}

/** What the server is and does where nothing else is said. */
async function introduce() {
  try {
    const { data } = await api.getJson("/v1/models");
    const name = data[0]?.id ?? "model";
    byId("model").textContent = name;
    document.title = `${name} · sharpi-compile`;
    const [props, engine] = await Promise.all([api.getJson("/props"), api.getJson("/v1/engine")]);
    settings.showDefaults(props, engine);
  } catch (error) {
    if (error.status === 401) askKey();
    else notify(`${error.message} ${error.advice ?? ""}`, ["Try again", introduce]);
  }
}

function askKey() {
  const dialog = byId("key");
  if (dialog.open) return;
  byId("key-error").textContent = api.hasKey() ? "The server does not take the key that is kept here." : "";
  byId("key-input").value = "";
  dialog.showModal();
}

async function useKey(event) {
  event.preventDefault();
  const value = byId("key-input").value.trim();
  if (value === "") {
    byId("key-error").textContent = "Enter a key.";
    return;
  }
  api.setKey(value);
  try {
    await api.getJson("/props");
  } catch (error) {
    api.setKey("");
    byId("key-error").textContent = error.status === 401 ? "The server does not take this key." : `${error.message} ${error.advice}`;
    return;
  }
  byId("key").close();
  byId("forget-key").hidden = false;
  byId("input").focus();
  introduce();
  panel.schedule();
}

function wireDialogs() {
  const dialog = byId("settings");
  byId("open-settings").addEventListener("click", () => dialog.showModal());
  for (const id of ["close-settings", "done-settings"]) byId(id).addEventListener("click", () => dialog.close());
  byId("settings-form").addEventListener("submit", (event) => {
    event.preventDefault();
    dialog.close();
  });
  byId("reset-settings").addEventListener("click", settings.reset);
  byId("forget-key").hidden = !api.hasKey();
  byId("forget-key").addEventListener("click", () => {
    api.setKey("");
    byId("forget-key").hidden = true;
    notify("The key is forgotten.");
  });
  byId("key-form").addEventListener("submit", useKey);
  byId("cancel-key").addEventListener("click", () => byId("key").close());
}

drawIcons();
startTheme(byId("theme"));
settings.build();
wireDialogs();
panel.start((error) => {
  if (error.status === 401) askKey();
});
drawers.start((side, seen) => {
  if (side === "panel") panel.setSeen(seen);
});
await conversations.open();
chat.start({ onChange: listConversations, askKey });
byId("new").addEventListener("click", () => openConversation(conversations.create()));
byId("input").focus({ preventScroll: true });
await introduce();
