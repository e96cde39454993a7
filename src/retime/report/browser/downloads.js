/** The page's own buttons: theme, everything as JSON. */

import { download, element } from "./canvas.js";

/** @param {HTMLElement} place @param {any} page @param {(atOnce?: boolean) => void} recolored */
export function addTools(place, page, recolored) {
  const root = document.documentElement;
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches);
  const toggle = element("button", { type: "button", onclick: () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    recolored();
  } }, ["light / dark"]);
  const json = element("button", { type: "button", onclick: () => download("retime-report.json", new Blob([document.getElementById("data").textContent], { type: "application/json" })) }, ["all numbers (JSON)"]);
  const print = element("button", { type: "button", onclick: () => globalThis.print() }, ["print"]);
  place.append(toggle, json, print);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => recolored());
  /** @type {HTMLDetailsElement[]} */
  let unfolded = [];
  const printing = (isOn) => {
    root.classList.toggle("printing", isOn);
    if (isOn) unfolded = Array.from(document.querySelectorAll("#sections details:not([open])"));
    for (const details of unfolded) details.open = isOn;
    recolored(true);
  };
  globalThis.addEventListener("beforeprint", () => printing(true));
  globalThis.addEventListener("afterprint", () => printing(false));
}
