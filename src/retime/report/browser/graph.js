/** Regions and the changes between them: as large as their share of time, near where the orbit is in them. */

import { View } from "./canvas.js";
import { told } from "./columns.js";
import { REGIONS } from "./palette.js";

const MOST = 40; // regions that are drawn

export class Graph extends View {
  /** @param {HTMLElement} place @param {any} page */
  constructor(place, page) {
    const r = page.data.regions;
    const count = Math.min(r.count, MOST);
    super(place, {
      id: "graph", kind: "graph", title: "Regions",
      hint: `${r.count} visited${r.count > MOST ? `, the ${MOST} most visited drawn` : ""}. Click one to light its states; arrow keys go from one to the next.`,
      label: "Linear regions that the orbit visits and the changes between them",
    });
    this.page = page;
    this.r = r;
    this.selection = page.selection;
    this.places = layout(page, count, r.jumps);
    this.selection.on(() => this.later());
  }

  draw(context, width, height) {
    const { colors, r, places } = this;
    const { region, hover } = this.selection.chosen;
    const here = hover >= 0 && this.page.regions ? this.page.regions[hover] : -1;
    const pixel = ([x, y]) => [26 + x * (width - 52), 26 + y * (height - 52)];
    this.pixels = places.map(pixel);
    const most = Math.max(...r.jumps.map((j) => j[2]), 1);
    context.lineWidth = 1;
    for (const [i, j, n] of r.jumps) {
      if (i >= places.length || j >= places.length || i === j) continue;
      const [a, b] = [this.pixels[i], this.pixels[j]];
      const isOf = region < 0 || i === region || j === region;
      context.globalAlpha = isOf ? 0.35 + 0.65 * Math.sqrt(n / most) : 0.12;
      context.strokeStyle = colors.muted;
      context.lineWidth = 0.6 + 3 * Math.sqrt(n / most);
      context.beginPath();
      context.moveTo(a[0], a[1]);
      context.quadraticCurveTo((a[0] + b[0]) / 2 + 0.12 * (b[1] - a[1]), (a[1] + b[1]) / 2 - 0.12 * (b[0] - a[0]), b[0], b[1]);
      context.stroke();
    }
    places.forEach((_, k) => {
      const [x, y] = this.pixels[k];
      context.globalAlpha = region < 0 || region === k ? 1 : 0.35;
      context.fillStyle = REGIONS[k % REGIONS.length];
      context.beginPath();
      context.arc(x, y, this.radius(k), 0, 2 * Math.PI);
      context.fill();
      if (k === region || k === here) {
        context.strokeStyle = colors.ink;
        context.lineWidth = 2;
        context.stroke();
      }
    });
    context.globalAlpha = 1;
    this.status.textContent = this.words(region >= 0 ? region : here);
  }

  radius(k) {
    return 4 + 12 * Math.sqrt(this.r.shares[k] / Math.max(this.r.shares[0], 1e-12));
  }

  words(k) {
    const { r } = this;
    if (k < 0) return `${r.jumps.reduce((s, j) => s + j[2], 0)} changes between ${r.count} of 2^${r.units} regions`;
    const bits = r.bits[k] ? `, units ${r.bits[k]}` : "";
    return `region ${k + 1}: ${told(100 * r.shares[k], 3)} % of the time in ${r.visits[k]} visits, mean stay ${told(r.dwell[k], 3)}${bits}`;
  }

  at(x, y) {
    return this.pixels ? this.pixels.findIndex(([a, b], k) => Math.hypot(a - x, b - y) < this.radius(k) + 4) : -1;
  }

  moved(x, y) {
    this.canvas.title = this.at(x, y) < 0 ? "" : this.words(this.at(x, y));
  }

  released(x, y, wasDrag) {
    if (wasDrag) return;
    const k = this.at(x, y);
    this.selection.set({ region: k === this.selection.chosen.region ? -1 : k });
  }

  key(name) {
    const { region } = this.selection.chosen;
    const count = this.places.length;
    if (name === "ArrowRight" || name === "ArrowDown") this.selection.set({ region: (region + 1) % count });
    else if (name === "ArrowLeft" || name === "ArrowUp") this.selection.set({ region: (region + count - 1 + (region < 0 ? 1 : 0)) % count });
    else return false;
    return true;
  }

  /** @returns {[string[], ArrayLike<any>[]]} */
  table() {
    const { r } = this;
    return [["from", "to", "changes"], [r.jumps.map((j) => j[0] + 1), r.jumps.map((j) => j[1] + 1), r.jumps.map((j) => j[2])]];
  }
}

/** Places in the unit square: where the orbit is in each region, in the first two axes, pushed apart. */
function layout(page, count, jumps) {
  const axes = page.first.slice(0, 2).map((a) => page.values(a));
  const places = Array.from({ length: count }, (_, k) => [Math.cos(2.4 * k) * Math.sqrt(k + 1), Math.sin(2.4 * k) * Math.sqrt(k + 1)]);
  if (page.regions && axes.length === 2) {
    const sums = places.map(() => [0, 0, 0]);
    for (let i = 0; i < page.count; i++) {
      const s = sums[page.regions[i]];
      if (s) [s[0], s[1], s[2]] = [s[0] + axes[0][i], s[1] - axes[1][i], s[2] + 1];
    }
    sums.forEach((s, k) => s[2] && (places[k] = [s[0] / s[2], s[1] / s[2]]));
  }
  fit(places);
  const near = 0.8 / Math.sqrt(count);
  for (let round = 0; round < 60; round++) {
    for (let i = 0; i < count; i++) {
      for (let j = 0; j < i; j++) {
        const [dx, dy] = [places[i][0] - places[j][0] || 1e-3 * (i - j), places[i][1] - places[j][1] || 1e-3];
        const d = Math.hypot(dx, dy);
        if (d > near) continue;
        const by = (0.25 * (near - d)) / d;
        places[i] = [places[i][0] + by * dx, places[i][1] + by * dy];
        places[j] = [places[j][0] - by * dx, places[j][1] - by * dy];
      }
    }
  }
  return fit(places);
}

function fit(places) {
  for (const k of [0, 1]) {
    const low = Math.min(...places.map((p) => p[k]));
    const span = Math.max(...places.map((p) => p[k])) - low || 1;
    places.forEach((p) => (p[k] = places.length > 1 ? (p[k] - low) / span : 0.5));
  }
  return places;
}
