/** The network at work: an orbit from anywhere, one weight, one input or the step changed by a slider, map and flow side by side. */

import { line } from "./bars.js";
import { choice, element, LEFT, timeLabels, View } from "./canvas.js";
import { told } from "./columns.js";
import { Network } from "./network.js";

const SHOWN = 200; // steps of an orbit
const PARTS = 8; // of a step, for flows

export class Live extends View {
  /** @param {HTMLElement} place @param {any} page */
  constructor(place, page) {
    const network = new Network(page.data.live);
    super(place, {
      id: "live", kind: "live", title: "Live: the network itself",
      hint: network.isContinuous
        ? "Click in the state space to start; drag the square. Line: the flow. Dots: Euler's map with the step below."
        : "Click in the state space to start; drag the square. Dots: the map, step by step. Line: its flow between the steps.",
      label: "Live orbit over time, map and flow side by side",
    });
    this.page = page;
    this.network = network;
    this.selection = page.selection;
    this.isShown = this.isChanged = this.playing = false;
    this.share = 1;
    this.step = network.dt;
    /** @type {Float64Array[]} */
    this.path = [];
    /** @type {Float64Array[]} */
    this.line = [];
    /** @type {(null | {state: Float64Array, stable: boolean, eigenvalues: number[][], at: number[]})[] | null} */
    this.followed = null;
    this.original = Object.fromEntries(Object.entries(network.p).map(([name, x]) => [name, x.data.slice()]));
    this.names = Object.keys(network.p).filter((name) => page.data.live.names[name] && network.p[name].data.length);
    this.controls();
    this.rest();
  }

  controls() {
    const { network } = this;
    const button = (text, act) => element("button", { type: "button", onclick: act }, [text]);
    this.playButton = button("play", () => this.play());
    const first = () => this.begin(network.stateAt(Math.max(this.selection.chosen.hover, 0), this.page.every));
    this.tools.append(button("start", first), this.playButton, button("one step", () => this.ahead()), button("reset", () => this.reset()));
    if (this.names.length) this.weightControls();
    if (network.inputs.length) this.inputControls();
    const text = network.isContinuous ? "step" : "share of a step";
    const [low, high] = network.isContinuous ? [network.dt / 10, network.dt * 20] : [0.05, 2];
    this.stepSlider = this.slider(text, low, high, network.isContinuous ? network.dt : 1, (x) => {
      if (network.isContinuous) this.step = x;
      else this.share = x;
      this.again();
    });
  }

  weightControls() {
    const { network, page } = this;
    const own = (name) => page.data.live.names[name];
    const row = element("input", { type: "number", min: 1, value: 1, "aria-label": "row", onchange: () => this.aim() });
    const column = element("input", { type: "number", min: 1, value: 1, "aria-label": "column", onchange: () => this.aim() });
    this.picked = { name: this.names[0], row, column };
    const group = element("div", { class: "group" }, [
      choice("weight", this.names.map(own), (k) => {
        this.picked.name = this.names[k];
        this.aim();
      }), row, column,
    ]);
    this.tools.append(group);
    this.weightSlider = this.slider("value", -1, 1, 0, (x) => {
      network.p[this.picked.name].data[this.place] = x;
      this.isChanged = true;
      this.again();
    });
    this.aim();
  }

  /** Point the slider at the chosen entry. */
  aim() {
    const { name, row, column } = this.picked;
    const [rows, columns = 1] = this.network.p[name].shape;
    row.max = rows;
    column.max = columns;
    column.hidden = columns === 1;
    const i = Math.min(Math.max(Math.round(Number(row.value)) || 1, 1), rows);
    const j = Math.min(Math.max(Math.round(Number(column.value)) || 1, 1), columns);
    [row.value, column.value] = [i, j];
    this.place = (i - 1) * columns + j - 1;
    const now = this.network.p[name].data[this.place];
    const span = Math.max(1, Math.abs(now));
    this.weightSlider.set(now - span, now + span, now);
  }

  inputControls() {
    const { network } = this;
    this.input = 0;
    const names = Array.from(network.inputs, (_, k) => `s${k + 1}`);
    this.tools.append(choice("input", names, (k) => {
      this.input = k;
      this.inputSlider.set(-3, 3, network.inputs[k]);
    }));
    this.inputSlider = this.slider("of", -3, 3, network.inputs[0], (x) => {
      network.inputs[this.input] = x;
      this.isChanged = true;
      this.again();
    });
  }

  slider(label, low, high, value, moved) {
    const shown = element("output", {}, [told(value)]);
    const input = element("input", { type: "range", min: low, max: high, step: "any", value, "aria-label": label, oninput: () => {
      shown.textContent = told(Number(input.value));
      moved(Number(input.value));
    } });
    this.tools.append(element("label", { class: "slider" }, [`${label} `, input, shown]));
    return { set: (from, to, x) => {
      [input.min, input.max, input.value] = [from, to, x];
      shown.textContent = told(x);
    } };
  }

  /** Start an orbit. @param {Float64Array} z */
  begin(z) {
    this.start = Float64Array.from(z);
    this.isShown = true;
    this.run();
  }

  /** The orbit from the start, and its flow. */
  run() {
    const { network } = this;
    if (network.isContinuous) {
      const path = [this.start];
      const steps = Math.max(SHOWN, Math.min(Math.round((SHOWN * network.dt) / this.step), 4000));
      for (let k = 0, z = this.start; k < steps && z.every(Number.isFinite); k++) {
        const F = network.apply(z);
        z = z.map((x, i) => x + this.step * F[i]);
        path.push(z);
      }
      this.path = path;
      this.line = [this.start];
      for (let k = 0, z = this.start; k < 4 * SHOWN && z.every(Number.isFinite); k++) this.line.push((z = network.flowed(z, network.dt / 2, PARTS / 2)));
      this.per = (2 * this.step) / network.dt; // points of the line for one step
    } else {
      this.path = network.run(this.start, SHOWN, this.share);
      this.line = this.path;
      this.per = 1;
    }
    this.path = this.path.filter((z) => z.every(Number.isFinite));
    this.line = this.line.filter((z) => z.every(Number.isFinite));
    this.flow = network.isContinuous || this.isChanged || this.share !== 1 ? null : this.path.slice(0, -1).map((z) => network.between(z));
    this.known = { path: new Map(), line: new Map(), flow: new Map() };
    this.later();
    this.page.views.space?.later();
  }

  /** A coordinate along the path, or the line: computed once. @param {"path" | "line"} which @param {number} a @returns {number[]} */
  along(which, a) {
    const known = this.known[which];
    if (!known.has(a)) known.set(a, this[which].map((z) => this.network.coordinate(this.page.axes[a], z)));
    return known.get(a);
  }

  /** The coordinate of the flow between the steps; null where the page holds none. @param {number} a */
  flowAlong(a) {
    const known = this.known.flow;
    if (!known.has(a)) known.set(a, this.flow.map((part) => part && part.map((z) => this.network.coordinate(this.page.axes[a], z))));
    return known.get(a);
  }

  /** After a change: the orbit again, and the fixed points followed from where they were. */
  again() {
    this.follow();
    this.run();
    this.page.views.space?.later();
    this.page.views.plane?.later();
    this.later();
  }

  follow() {
    const { page, network } = this;
    if (!page.points || !page.points.length || page.points[0].state === null) return;
    const before = this.followed;
    const isOwn = !this.isChanged && this.share === 1;
    this.followed = isOwn ? null : page.points.map((p, k) => {
      const from = before && before[k] ? before[k].state : Float64Array.from(p.state);
      const found = network.fixedPoint(from);
      if (found === null) return null;
      const w = network.isContinuous ? found.eigenvalues : found.eigenvalues.map(([a, b]) => [1 + this.share * (a - 1), this.share * b]);
      const stable = network.isContinuous ? found.stable : w.every(([a, b]) => Math.hypot(a, b) < 1);
      return { state: found.state, stable, eigenvalues: w, at: page.axes.map((a) => network.coordinate(a, found.state)) };
    });
  }

  reset() {
    const { network } = this;
    for (const [name, data] of Object.entries(this.original)) network.p[name].data.set(data);
    network.inputs.set(this.page.data.live.inputs);
    this.isChanged = false;
    this.share = 1;
    this.step = network.dt;
    this.followed = null;
    this.stepSlider.set(network.isContinuous ? network.dt / 10 : 0.05, network.isContinuous ? network.dt * 20 : 2, network.isContinuous ? network.dt : 1);
    if (this.weightSlider) this.aim();
    if (this.inputSlider) this.inputSlider.set(-3, 3, network.inputs[this.input]);
    this.follow();
    this.rest();
    this.page.views.plane?.later();
  }

  /** The first steps of the page's own orbit, not yet drawn in the state space. */
  rest() {
    this.start = this.network.stateAt(0, this.page.every);
    this.isShown = false;
    this.run();
  }

  /** The start moves on by a step. */
  ahead() {
    if (this.line.length > 1) this.begin(this.network.isContinuous ? this.line[2] ?? this.line[1] : this.path[1]);
  }

  play() {
    this.playing = !this.playing;
    this.playButton.textContent = this.playing ? "pause" : "play";
    const on = () => {
      if (!this.playing) return;
      this.ahead();
      setTimeout(() => requestAnimationFrame(on), 40);
    };
    if (this.playing) on();
  }

  draw(context, width, height) {
    const { colors, page, network } = this;
    this.status.textContent = this.words();
    const rows = page.first.slice(0, 3);
    const tall = (height - 20) / rows.length;
    const many = Math.max(this.path.length - 1, 1);
    const steps = network.isContinuous ? Math.min(many, Math.max((this.line.length - 1) / this.per, 1)) : many;
    const x = (step) => LEFT + ((width - LEFT - 8) * step) / steps;
    rows.forEach((a, k) => this.row(context, a, k * tall, tall, x, width));
    context.fillStyle = colors.muted;
    timeLabels(context, 0, steps, x, width, height - 4, (t) => told(t, 6));
    context.fillText("step", 4, height - 4);
  }

  row(context, a, top, tall, x, width) {
    const { colors, network } = this;
    const axis = this.page.axes[a];
    const map = this.along("path", a);
    const line_ = network.isContinuous ? this.along("line", a) : map;
    const all = [...map, ...line_].filter(Number.isFinite);
    const [low, high] = [Math.min(...all), Math.max(...all)];
    const y = (v) => top + 5 + ((tall - 10) * (high - v)) / (high - low || 1);
    context.fillStyle = colors.muted;
    context.fillText(axis.name.replace(/ \(.*/, "").slice(0, 9), 4, top + tall / 2 + 4);
    context.strokeStyle = colors.line;
    context.lineWidth = 1;
    line(context, LEFT, top + tall, width, top + tall);
    context.strokeStyle = colors.live;
    context.lineWidth = 1.5;
    context.beginPath();
    if (network.isContinuous) line_.forEach((v, k) => (k ? context.lineTo(x(k / this.per), y(v)) : context.moveTo(x(0), y(v))));
    else if (this.flow) {
      this.flowAlong(a).forEach((between, k) => {
        context.moveTo(x(k), y(map[k]));
        if (between !== null) between.forEach((v, j) => context.lineTo(x(k + (j + 1) / between.length), y(v)));
      });
    }
    context.stroke();
    context.fillStyle = colors.ink;
    context.beginPath();
    map.forEach((v, k) => context.rect(x(k) - 1.3, y(v) - 1.3, 2.6, 2.6));
    context.fill();
  }

  words() {
    const parts = [];
    if (this.path.length < 2) parts.push("the orbit leaves the range of numbers at once");
    if (this.isChanged) parts.push("weights or inputs are changed (reset brings them back)");
    if (this.followed) parts.push(`${this.followed.filter(Boolean).length} of ${this.followed.length} fixed points followed`);
    if (this.flow) {
      const lacking = this.flow.filter((x) => x === null).length;
      if (this.network.flow) parts.push(lacking ? `the page holds no flow for ${lacking} of ${this.flow.length} steps' regions: no line there` : "map and flow, region held from sample to sample");
    } else if (!this.network.isContinuous && this.network.flow) parts.push("the flow is that of the network as it was: not drawn");
    return parts.join("; ");
  }

  key(name) {
    if (name === "Enter") this.ahead();
    else return false;
    return true;
  }

  /** @returns {[string[], ArrayLike<any>[]]} */
  table() {
    const { page } = this;
    return [["step", ...page.axes.map((a) => a.name)], [this.path.map((_, k) => k), ...page.axes.map((_, a) => this.along("path", a))]];
  }
}
