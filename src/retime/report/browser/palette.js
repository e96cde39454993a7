/** Colours: twelve for regions, a ramp for what grows, and the page's own, which follow its theme. */

export const REGIONS = [
  "#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#b07aa1", "#d4a017", "#76b7b2", "#9c755f", "#ff7f9f", "#5a5fcf", "#86b04a", "#a0a0a8",
];

/** Steps of the ramp. */
export const STEPS = 16;
const STOPS = [[112, 92, 205], [62, 124, 200], [33, 155, 150], [90, 190, 90], [225, 180, 30]];

/** @returns {string[]} colours from low to high */
export function ramp() {
  return Array.from({ length: STEPS }, (_, k) => {
    const x = (k / (STEPS - 1)) * (STOPS.length - 1);
    const i = Math.min(Math.floor(x), STOPS.length - 2);
    const mixed = STOPS[i].map((c, j) => Math.round(c + (x - i) * (STOPS[i + 1][j] - c)));
    return `rgb(${mixed.join(",")})`;
  });
}

const NAMES = ["ink", "muted", "line", "card", "accent", "good", "bad", "dim", "live", "band"];

/** @typedef {Record<string, string>} Theme */

/** The colours of the page's theme.
 * @returns {Theme} */
export function theme() {
  const style = getComputedStyle(document.documentElement);
  return Object.fromEntries(NAMES.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}
