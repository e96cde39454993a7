/** The page: its data unpacked once, the views that there is something for, and what links them to the tables. */

import { Bars } from "./bars.js";
import { unpackColumn } from "./columns.js";
import { Curves } from "./curves.js";
import { addTools } from "./downloads.js";
import { Errors } from "./errors.js";
import { Graph } from "./graph.js";
import { Live } from "./live.js";
import { Plane } from "./plane.js";
import { Selection } from "./selection.js";
import { Series } from "./series.js";
import { Space } from "./space.js";

const NEAR = 0.08; // of the range: how far from a fixed point states are lit
const JUMP = 0.15; // of the range: an orbit that moves farther in a step is drawn as dots

/** What the views share: the orbit's columns, names of axes, fixed points, cycles, the selection. */
export class Report {
  /** @param {any} data */
  constructor(data) {
    this.data = data;
    this.axes = data.axes || [];
    this.first = data.first || [];
    this.points = data.points;
    this.cycles = data.cycles;
    this.isFlow = data.time !== null && data.time.name === "continuous";
    this.dt = data.time && data.time.dt;
    const orbit = data.orbit;
    this.count = orbit ? orbit.drawn : 0;
    this.every = orbit ? orbit.every : 1;
    this.columns = orbit ? orbit.columns.map(unpackColumn) : this.axes.map(() => new Float64Array(0));
    this.times = orbit && orbit.times ? unpackColumn(orbit.times) : null;
    const sequence = data.regions && data.regions.sequence;
    this.regions = sequence ? Uint32Array.from(unpackColumn(sequence), Math.round) : null;
    this.thinned = orbit ? this.said(orbit) : "";
    this.sets = this.axisSets();
    this.isSmooth = this.moves();
    this.selection = new Selection({ count: this.count, regions: this.regions, near: (k) => this.near(k) });
    this.live = null;
    /** @type {Record<string, any>} */
    this.views = {};
  }

  /** The values of an axis along the orbit. @param {number} axis @returns {Float64Array} */
  values(axis) {
    return this.columns[axis];
  }

  /** The values of an axis at fixed points and cycles. @param {number} axis @returns {number[]} */
  around(axis) {
    return [...(this.points || []).map((p) => p.at[axis]), ...(this.cycles || []).flatMap((c) => c.at[axis])];
  }

  /** @param {number} axis @returns {[number, number]} */
  range(axis) {
    const column = this.data.orbit.columns[axis];
    return [column.low, column.high];
  }

  /** @param {number} i @returns {number} */
  time(i) {
    return this.times ? this.times[i] : this.data.orbit.start + i * this.data.orbit.step;
  }

  /** The column of a name. @param {string} name @returns {Float64Array} */
  orbit(name) {
    return this.columns[this.axes.findIndex((a) => a.name === name)];
  }

  /** What is not drawn, in words. */
  said(orbit) {
    const parts = [];
    if (orbit.every > 1) parts.push(`every ${orbit.every}th of ${orbit.count} states is drawn`);
    if (orbit.cut) parts.push(`drawn until t = ${this.time(this.count - 1).toPrecision(4)}: ${orbit.ending || "then it leaves"}`);
    if (orbit.left) parts.push(`${orbit.states - orbit.left} of ${orbit.states} states are in the page, those that vary most`);
    return parts.join("; ");
  }

  axisSets() {
    const of = (kind) => this.axes.map((a, k) => (a.kind === kind ? k : -1)).filter((k) => k >= 0).slice(0, 3);
    const sets = [["outputs", of("output")], ["principal components", of("component")], ["states", of("state")]];
    const made = sets.filter(([, axes]) => axes.length > 1).map(([name, axes]) => ({ name, axes }));
    const index = made.findIndex((s) => String(s.axes.slice().sort()) === String(this.first.slice().sort()));
    if (index > 0) made.unshift(...made.splice(index, 1));
    return made;
  }

  /** Whether successive states are near each other. */
  moves() {
    if (this.count < 3) return false;
    const jumps = [];
    const stride = Math.max(Math.floor(this.count / 1000), 1);
    for (let i = 0; i + 1 < this.count; i += stride) {
      jumps.push(Math.max(...this.first.map((a) => {
        const [low, high] = this.range(a);
        return high > low ? Math.abs(this.columns[a][i + 1] - this.columns[a][i]) / (high - low) : 0;
      })));
    }
    return jumps.sort((x, y) => x - y)[Math.floor(jumps.length / 2)] < JUMP;
  }

  /** Which states are near a fixed point in the first axes; null where none is. */
  near(k) {
    if (!this.count || !this.points) return null;
    const lit = new Uint8Array(this.count);
    let some = 0;
    for (let i = 0; i < this.count; i++) {
      let d = 0;
      for (const a of this.first) {
        const [low, high] = this.range(a);
        d += ((this.columns[a][i] - this.points[k].at[a]) / (high - low || 1)) ** 2;
      }
      if (d < NEAR * NEAR * this.first.length) some += lit[i] = 1;
    }
    return some ? lit : null;
  }

  choosePoint(k) {
    this.selection.set({ point: k, cycle: -1 });
  }

  chooseCycle(k) {
    this.selection.set({ cycle: k, point: -1 });
  }

  /** Draw everything now, and say how long it took, in milliseconds: for tests and benchmarks. */
  redraw() {
    const began = performance.now();
    for (const view of Object.values(this.views)) view.now();
    return performance.now() - began;
  }
}

/** Rows of a table choose what they are about.
 * @param {string} id @param {(k: number) => void} choose @param {any} page @param {string} name */
function linkRows(id, choose, page, name) {
  const rows = Array.from(document.querySelectorAll(`#${id} tbody tr`));
  rows.forEach((row, k) => {
    const cell = row.firstElementChild;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "row";
    button.textContent = cell.textContent;
    button.setAttribute("aria-label", `choose number ${cell.textContent}`);
    cell.replaceChildren(button);
    row.addEventListener("click", () => choose(page.selection.chosen[name] === k ? -1 : k));
  });
  page.selection.on((chosen) => rows.forEach((row, k) => row.classList.toggle("chosen", chosen[name] === k)));
}

function build() {
  const root = document.documentElement;
  root.classList.add("js");
  const page = new Report(JSON.parse(document.getElementById("data").textContent));
  const place = document.getElementById("views");
  const { data, views } = page;
  if (page.axes.length > 1 || page.count) views.space = new Space(place, page);
  if ((page.points && page.points.length) || (page.cycles && page.cycles.length)) views.plane = new Plane(place, page);
  if (data.regions && data.regions.count > 1) views.graph = new Graph(place, page);
  if (page.count > 1) views.series = new Series(place, page);
  if (data.comparison) views.errors = new Errors(place, page);
  if (data.exponents && data.exponents.values.some((x) => x !== null)) views.bars = new Bars(place, page);
  if (data.live.kind) views.live = page.live = new Live(place, page);
  else if (page.count) place.append(Object.assign(document.createElement("p"), { className: "notice", textContent: `Not live: ${data.live.reason}.` }));
  for (const [id, section] of Object.entries(data.sections)) {
    if (section.curves) views[id] = new Curves(place, id + "-curves", "Loss and measures of the training", section.curves);
  }
  place.dataset.views = Object.keys(views).join(" ");
  linkRows("points-table", (k) => page.choosePoint(k), page, "point");
  linkRows("cycles-table", (k) => page.chooseCycle(k), page, "cycle");
  addTools(document.getElementById("tools"), data, (atOnce) => {
    for (const view of Object.values(views)) {
      view.recolor();
      if (atOnce) view.now();
    }
  });
  document.addEventListener("keydown", (event) => event.key === "Escape" && page.selection.clear());
  for (const view of Object.values(views)) view.now();
  Object.assign(globalThis, { retime: page });
  root.dataset.ready = String(performance.now());
}

if (typeof document !== "undefined") build();
