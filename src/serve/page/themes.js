// The button that changes between the system's colours, light and dark ones.

import { setIcon } from "./dom.js";

const THEMES = ["auto", "light", "dark"];

/** Makes a button of the page that one; `changed` is called whenever the colours are others. */
export function startTheme(button, changed = () => {}) {
  let theme = document.documentElement.dataset.theme ?? "auto";
  const show = () => {
    const name = { auto: "as the system has it", light: "light", dark: "dark" }[theme];
    setIcon(button, { auto: "auto", light: "sun", dark: "moon" }[theme]);
    button.setAttribute("aria-label", `Colours: ${name}`);
    button.title = `Colours: ${name}`;
  };
  button.addEventListener("click", () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    try {
      if (theme === "auto") localStorage.removeItem("sharpi.theme");
      else localStorage.setItem("sharpi.theme", theme);
    } catch {
      // It holds for this visit.
    }
    show();
    changed();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed);
  show();
}
