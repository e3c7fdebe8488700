// The conversations on the left and the engine on the right: beside the chat where there is room, over
// it where there is not.

import { byId, keep, kept } from "./dom.js";

const SIDES = [
  { id: "sidebar", button: "open-sidebar", narrow: matchMedia("(max-width: 800px)") },
  { id: "panel", button: "open-panel", narrow: matchMedia("(max-width: 1180px)") },
];

/** Called with the name of a side and whether it is seen now. */
let onChange = () => {};

export function start(change) {
  onChange = change;
  for (const side of SIDES) {
    byId(side.button).addEventListener("click", () => toggle(side));
    side.narrow.addEventListener("change", () => settle(side));
    settle(side);
  }
  for (const id of ["close-panel", "close-sidebar"]) byId(id).addEventListener("click", closeDrawers);
  byId("shade").addEventListener("click", closeDrawers);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && closeDrawers()) event.preventDefault();
  });
}

const isOpen = ({ id }) => byId(id).dataset.open === "true";

/** Where there is room it is as it was left; where not, it is shut. */
function settle(side) {
  set(side, !side.narrow.matches && kept(`side.${side.id}`, true), false);
}

function toggle(side) {
  set(side, !isOpen(side), true);
  if (isOpen(side) && side.narrow.matches) byId(side.id).focus();
}

function set(side, open, byHand) {
  const drawer = side.narrow.matches;
  const node = byId(side.id);
  node.dataset.open = String(open);
  node.classList.toggle("drawer", drawer);
  node.inert = !open;
  byId(side.button).setAttribute("aria-expanded", String(open));
  if (byHand && !drawer) keep(`side.${side.id}`, open);
  if (open && drawer) SIDES.filter((other) => other !== side && other.narrow.matches).forEach((other) => set(other, false, false));
  const covered = SIDES.some((side) => side.narrow.matches && isOpen(side));
  byId("shade").hidden = !covered;
  byId("chat").inert = covered;
  onChange(side.id, open);
}

/** Shuts what lies over the chat; whether there was anything. */
export function closeDrawers() {
  const open = SIDES.filter((side) => side.narrow.matches && isOpen(side));
  for (const side of open) {
    set(side, false, false);
    byId(side.button).focus();
  }
  return open.length > 0;
}
