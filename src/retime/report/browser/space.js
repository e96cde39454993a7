/** State space: the orbit, fixed points and cycles in two or three coordinates, seen from where they spread most. */

import { choice, element, View } from "./canvas.js";
import { told } from "./columns.js";
import { principalAxes } from "./matrix.js";
import { ramp, REGIONS, STEPS } from "./palette.js";

const FAR = 4.5; // of the eye, in half widths of the box
const CHUNK = 200; // segments of a path: browsers draw many short paths faster than a long one
const REACH = 14; // pixels within which a state is pointed at

export class Space extends View {
  /** @param {HTMLElement} place @param {any} page */
  constructor(place, page) {
    super(place, {
      id: "space", kind: "space", title: "State space",
      hint: page.data.live.kind ? "Drag to turn, click to start an orbit, arrow keys turn, + and − zoom, comma and period step, Enter starts." : "Drag to turn, click to light the states nearby, arrow keys turn, + and − zoom, comma and period step.",
      label: "State space: the orbit, its fixed points and cycles",
    });
    this.isRelative = true;
    this.page = page;
    this.selection = page.selection;
    this.shown = page.first.slice();
    this.zoom = 1;
    this.spin = false;
    this.dragging = "";
    const names = page.axes.map((a) => a.name);
    const modes = page.regions && page.data.regions.count > 1 ? ["region", "time", "speed"] : page.regions ? ["time", "speed", "region"] : ["time", "speed"];
    this.mode = modes[0];
    this.pickers = [0, 1, 2].map((k) => {
      const options = k === 2 ? [...names, "none"] : names;
      const picker = choice(["across", "up", "deep"][k], options, (index) => this.pick(k, index));
      picker.querySelector("select").selectedIndex = this.shown[k] ?? (k === 2 ? names.length : 0);
      return picker;
    });
    const spin = element("button", { type: "button", "aria-pressed": "false", onclick: () => this.toggleSpin(spin) }, ["spin"]);
    const sets = page.sets.length > 1 ? [choice("axes", page.sets.map((s) => s.name), (k) => this.use(page.sets[k].axes))] : [];
    this.tools.append(...sets, choice("colour", modes, (k) => this.color(modes[k])), spin, element("details", { class: "more" }, [element("summary", {}, ["axes one by one"]), ...this.pickers]));
    this.color(this.mode);
    this.frame();
    this.selection.on(() => this.later());
  }

  /** @param {number[]} axes */
  use(axes) {
    this.shown = axes.slice();
    this.pickers.forEach((p, k) => (p.querySelector("select").selectedIndex = this.shown[k] ?? this.page.axes.length));
    this.frame();
  }

  pick(k, index) {
    const shown = this.shown.slice();
    if (index >= this.page.axes.length) shown.length = 2;
    else shown[k] = index;
    this.shown = shown.map((a) => a ?? 0);
    this.frame();
  }

  /** Colours of states, as lists of states of one colour. @param {string} mode */
  color(mode) {
    this.mode = mode;
    const { count } = this.page;
    const shade = new Uint8Array(count);
    if (mode === "region") for (let i = 0; i < count; i++) shade[i] = this.page.regions[i] % REGIONS.length;
    else if (mode === "time") for (let i = 0; i < count; i++) shade[i] = Math.floor((i / count) * STEPS);
    else speeds(this.page, shade);
    this.palette = mode === "region" ? REGIONS : ramp();
    const sizes = new Uint32Array(this.palette.length);
    for (let i = 0; i < count; i++) sizes[shade[i]]++;
    this.groups = Array.from(sizes, (n) => new Uint32Array(n));
    sizes.fill(0);
    for (let i = 0; i < count; i++) this.groups[shade[i]][sizes[shade[i]]++] = i;
    this.later();
  }

  /** Centre, scale and first camera for the shown axes. */
  frame() {
    const columns = this.shown.map((a) => this.page.values(a));
    const points = this.shown.map((a) => this.page.around(a));
    this.ranges = columns.map((c, k) => extent(c, points[k]));
    const halves = this.ranges.map(([low, high]) => (high - low) / 2 || 1);
    const isOneScale = this.shown.every((a) => this.page.axes[a].kind === "component");
    const widest = Math.max(...halves);
    this.scales = halves.map((h) => 1 / (isOneScale ? widest : h));
    this.middles = this.ranges.map(([low, high]) => low / 2 + high / 2);
    this.is3d = this.shown.length === 3;
    this.camera = this.is3d ? this.front(columns) : [[1, 0, 0], [0, 1, 0], [0, 0, 1]];
    this.zoom = 1;
    this.extents = this.is3d ? this.corners() : [1, 1];
    this.later();
  }

  /** How far the corners of the box are from the middle of the picture, across and up, for the first camera. */
  corners() {
    const [a, b, c] = this.camera;
    const reach = [0, 0];
    for (let bits = 0; bits < 8; bits++) {
      const v = this.ranges.map(([low, high], k) => ((bits >> k) & 1 ? 1 : -1) * (high / 2 - low / 2) * this.scales[k]);
      const share = FAR / (FAR - c.reduce((s, x, k) => s + x * v[k], 0));
      [a, b].forEach((row, k) => (reach[k] = Math.max(reach[k], share * Math.abs(row.reduce((s, x, j) => s + x * v[j], 0)))));
    }
    return reach;
  }

  /** Pixels of half the box. */
  get half() {
    const [across, up] = this.extents;
    if (!this.is3d) return 0.4 * Math.min(this.width, this.height) * this.zoom;
    return 1.12 * Math.min((this.width / 2 - 14) / across, (this.height / 2 - 22) / up) * this.zoom;
  }

  /** The camera that looks at the two leading principal axes, a little from the side; depth last. */
  front(columns) {
    const stride = Math.max(Math.floor(columns[0].length / 2000), 1);
    const some = columns.map((c, k) => {
      const kept = [];
      for (let i = 0; i < c.length; i += stride) kept.push((c[i] - this.middles[k]) * this.scales[k]);
      return kept.length > 2 ? kept : [0, 1, 2].map((x) => (x === k ? 1 : 0));
    });
    const rows = principalAxes(some);
    const up = rows[1].map((x) => Math.abs(x)).indexOf(Math.max(...rows[1].map(Math.abs)));
    if (rows[1][up] < 0) rows[1] = rows[1].map((x) => -x);
    rows[2] = cross(rows[0], rows[1]);
    return turned(turned(rows, 0, 2, 0.35), 1, 2, -0.3);
  }

  /** Pixels of a place in the shown coordinates: [x, y, depth]. */
  project(values) {
    const v = values.map((x, k) => (x - this.middles[k]) * this.scales[k]);
    const half = this.half;
    const wide = this.is3d ? 1 : Math.min(this.width / Math.min(this.width, this.height), 1.8);
    if (!this.is3d) return [this.width / 2 + half * wide * v[0], this.height / 2 - half * (v[1] ?? 0), 0];
    const [a, b, c] = this.camera;
    const depth = c[0] * v[0] + c[1] * v[1] + c[2] * v[2];
    const share = FAR / (FAR - depth);
    const x = (a[0] * v[0] + a[1] * v[1] + a[2] * v[2]) * share;
    const y = (b[0] * v[0] + b[1] * v[1] + b[2] * v[2]) * share;
    return [this.width / 2 + half * x, this.height / 2 - half * y, depth];
  }

  /** All states at once, into px and py. */
  projectAll() {
    const { count } = this.page;
    if (!this.px || this.px.length !== count) {
      this.px = new Float32Array(count);
      this.py = new Float32Array(count);
    }
    const X = this.shown.map((a) => this.page.values(a));
    const half = this.half;
    const [sx, sy, sz] = this.scales;
    const [mx, my, mz] = this.middles;
    if (!this.is3d) {
      const wide = Math.min(this.width / Math.min(this.width, this.height), 1.8);
      for (let i = 0; i < count; i++) {
        this.px[i] = this.width / 2 + half * wide * (X[0][i] - mx) * sx;
        this.py[i] = X[1] ? this.height / 2 - half * (X[1][i] - my) * sy : this.height / 2;
      }
      return;
    }
    const [a, b, c] = this.camera;
    for (let i = 0; i < count; i++) {
      const x = (X[0][i] - mx) * sx, y = (X[1][i] - my) * sy, z = (X[2][i] - mz) * sz;
      const share = (half * FAR) / (FAR - (c[0] * x + c[1] * y + c[2] * z));
      this.px[i] = this.width / 2 + share * (a[0] * x + a[1] * y + a[2] * z);
      this.py[i] = this.height / 2 - share * (b[0] * x + b[1] * y + b[2] * z);
    }
  }

  draw(context) {
    this.projectAll();
    this.drawBox(context);
    this.drawOrbit(context);
    this.drawCycles(context);
    this.drawLive(context);
    this.drawNames(context);
    this.drawPoints(context);
    this.drawHover(context);
    this.status.textContent = this.selection.words || this.pointed();
  }

  /** The corner of the box whose bits say low or high along each axis, in pixels. */
  corner(bits) {
    return this.project(this.shown.map((_, k) => this.ranges[k][(bits >> k) & 1]));
  }

  drawBox(context) {
    context.strokeStyle = this.colors.line;
    context.lineWidth = 1;
    context.beginPath();
    for (let bits = 0; bits < 1 << this.shown.length; bits++) {
      for (let k = 0; k < this.shown.length; k++) {
        if ((bits >> k) & 1) continue;
        const [from, to] = [this.corner(bits), this.corner(bits | (1 << k))];
        context.moveTo(from[0], from[1]);
        context.lineTo(to[0], to[1]);
      }
    }
    context.stroke();
  }

  /** The names of the axes with their ends, on a ground of their own where they cross the orbit. */
  drawNames(context) {
    context.textAlign = "center";
    /** @type {number[][]} */
    const taken = [];
    this.shown.forEach((a, k) => {
      const [from, to] = this.edge(k);
      const mid = [(from[0] + to[0]) / 2, (from[1] + to[1]) / 2];
      const away = [mid[0] - this.width / 2, mid[1] - this.height / 2];
      const size = Math.hypot(away[0], away[1]) || 1;
      const text = `${this.page.axes[a].name}: ${told(this.ranges[k][0], 3)} to ${told(this.ranges[k][1], 3)}`;
      const half = context.measureText(text).width / 2 + 5;
      const x = Math.min(Math.max(mid[0] + (16 * away[0]) / size, half), this.width - half);
      let y = Math.min(Math.max(mid[1] + (16 * away[1]) / size, 10), this.height - 10);
      while (taken.some(([u, v, w]) => Math.abs(u - x) < w + half && Math.abs(v - y) < 16)) y += y > this.height / 2 ? -17 : 17;
      taken.push([x, y, half]);
      context.fillStyle = this.colors.card;
      context.globalAlpha = 0.8;
      context.fillRect(x - half, y - 9, 2 * half, 18);
      context.globalAlpha = 1;
      context.fillStyle = this.colors.muted;
      context.fillText(text, x, y + 4);
    });
    context.textAlign = "left";
  }

  /** The edge of the box along axis k that is farthest from the middle of the picture. */
  edge(k) {
    let best = null;
    let most = -1;
    for (let bits = 0; bits < 1 << this.shown.length; bits++) {
      if ((bits >> k) & 1) continue;
      const [from, to] = [this.corner(bits), this.corner(bits | (1 << k))];
      const off = Math.hypot((from[0] + to[0]) / 2 - this.width / 2, (from[1] + to[1]) / 2 - this.height / 2);
      const lower = off + 0.2 * ((from[1] + to[1]) / 2 - this.height / 2);
      if (lower > most) [most, best] = [lower, [from, to]];
    }
    return best;
  }

  drawOrbit(context) {
    const { selection } = this;
    const isActive = selection.isActive;
    context.lineWidth = 1;
    if (isActive) this.trace(context, null, this.colors.dim, (i) => !selection.lit(i));
    const lit = isActive ? (i) => selection.lit(i) : null;
    this.groups.forEach((group, k) => group.length && this.trace(context, group, this.palette[k], lit));
  }

  /** States of one colour: as lines to their successors, or as dots where an orbit jumps. */
  trace(context, group, color, lit) {
    const { px, py } = this;
    const { count, isSmooth } = this.page;
    const size = group === null ? count : group.length;
    context.beginPath();
    if (isSmooth) {
      context.strokeStyle = color;
      let last = -2;
      for (let k = 0; k < size; k++) {
        const i = group === null ? k : group[k];
        if (i + 1 >= count || (lit !== null && !lit(i))) continue;
        if (k % CHUNK === CHUNK - 1) {
          context.stroke();
          context.beginPath();
          last = -2;
        }
        if (last !== i) context.moveTo(px[i], py[i]);
        context.lineTo(px[i + 1], py[i + 1]);
        last = i + 1;
      }
      context.stroke();
      return;
    }
    context.fillStyle = color;
    const dot = count > 3000 ? 1.5 : 2.5;
    for (let k = 0; k < size; k++) {
      const i = group === null ? k : group[k];
      if (lit === null || lit(i)) context.rect(px[i] - dot / 2, py[i] - dot / 2, dot, dot);
    }
    context.fill();
  }

  drawCycles(context) {
    (this.page.cycles || []).forEach((cycle, k) => {
      const places = cycle.at[0].map((_, i) => this.project(this.shown.map((a) => cycle.at[a][i])));
      const isChosen = this.selection.chosen.cycle === k;
      context.strokeStyle = cycle.stable ? this.colors.good : this.colors.bad;
      context.lineWidth = isChosen ? 3.5 : 2;
      context.beginPath();
      places.forEach(([x, y], i) => (i && cycle.flow ? context.lineTo(x, y) : context.moveTo(x, y)));
      if (cycle.flow) context.closePath();
      else places.forEach(([x, y]) => context.rect(x - 3, y - 3, 6, 6));
      context.stroke();
    });
  }

  drawPoints(context) {
    const points = this.page.points || [];
    const followed = this.page.live?.followed;
    points.forEach((point, k) => {
      const now = followed ? followed[k] : point;
      if (now === null) return;
      const [x, y] = this.project(this.shown.map((a) => now.at[a]));
      const isChosen = this.selection.chosen.point === k;
      context.beginPath();
      context.arc(x, y, isChosen ? 8 : 5.5, 0, 2 * Math.PI);
      context.fillStyle = now.stable ? this.colors.good : this.colors.card;
      context.fill();
      context.strokeStyle = now.stable ? this.colors.good : this.colors.bad;
      context.lineWidth = isChosen ? 4 : 2;
      context.stroke();
      if (points.length > 40 && !isChosen) return;
      context.fillStyle = this.colors.ink;
      context.font = "600 12px system-ui, sans-serif";
      context.fillText(String(k + 1), x + 9, y - 7);
      context.font = "12px system-ui, sans-serif";
    });
  }

  drawLive(context) {
    const live = this.page.live;
    if (!live || !live.isShown) return;
    const columns = this.shown.map((a) => live.along("line", a));
    context.strokeStyle = this.colors.live;
    context.lineWidth = 2.2;
    context.beginPath();
    columns[0].forEach((_, k) => {
      const [x, y] = this.project(columns.map((c) => c[k]));
      if (k) context.lineTo(x, y);
      else context.moveTo(x, y);
    });
    context.stroke();
    const [x, y] = this.project(this.shown.map((a) => live.network.coordinate(this.page.axes[a], live.start)));
    context.fillStyle = this.colors.live;
    context.fillRect(x - 5, y - 5, 10, 10);
    this.grip = [x, y];
  }

  drawHover(context) {
    const i = this.selection.chosen.hover;
    if (i < 0 || i >= this.page.count) return;
    context.beginPath();
    context.arc(this.px[i], this.py[i], 6, 0, 2 * Math.PI);
    context.strokeStyle = this.colors.ink;
    context.lineWidth = 2;
    context.stroke();
  }

  /** The state that is pointed at, in words. */
  pointed() {
    const i = this.selection.chosen.hover;
    const { page } = this;
    if (i < 0) return page.thinned;
    const places = this.shown.map((a) => `${page.axes[a].name} = ${told(page.values(a)[i], 5)}`);
    const region = page.regions ? `, region ${page.regions[i] + 1}` : "";
    return `t = ${told(page.time(i), 6)}: ${places.join(", ")}${region}`;
  }

  nearest(x, y) {
    let best = -1;
    let least = REACH * REACH;
    for (let i = 0; i < this.page.count; i++) {
      const d = (this.px[i] - x) ** 2 + (this.py[i] - y) ** 2;
      if (d < least) [least, best] = [d, i];
    }
    return best;
  }

  pointAt(x, y) {
    return (this.page.points || []).findIndex((p) => {
      const [a, b] = this.project(this.shown.map((k) => p.at[k]));
      return Math.hypot(a - x, b - y) < 10;
    });
  }

  moved(x, y) {
    this.selection.set({ hover: this.nearest(x, y) });
  }

  left() {
    this.selection.set({ hover: -1 });
  }

  pressed(x, y) {
    const live = this.page.live;
    this.dragging = live && live.isShown && this.grip && Math.hypot(x - this.grip[0], y - this.grip[1]) < 12 ? "start" : "turn";
    if (this.dragging === "start") this.held = live.start;
  }

  dragged(x, y, dx, dy, event) {
    if (this.dragging === "start") return this.page.live.begin(this.dragTo(this.page.live.start, dx, dy));
    if (!this.is3d) return;
    if (event.shiftKey) this.camera = turned(this.camera, 0, 1, -dx / 150);
    else this.camera = turned(turned(this.camera, 0, 2, dx / 150), 1, 2, -dy / 150);
    this.later();
  }

  /** A state moved in the plane of the screen. */
  dragTo(z, dx, dy) {
    const { half } = this;
    const wide = this.is3d ? 1 : Math.min(this.width / Math.min(this.width, this.height), 1.8);
    const [a, b] = this.camera;
    this.shown.forEach((axis, k) => {
      const by = (a[k] * (dx / wide) - b[k] * dy) / half / this.scales[k];
      z = this.page.live.network.moved(z, this.page.axes[axis], by);
    });
    return z;
  }

  released(x, y, wasDrag) {
    if (wasDrag) return;
    const point = this.pointAt(x, y);
    if (point >= 0) return this.page.choosePoint(this.selection.chosen.point === point ? -1 : point);
    const state = this.nearest(x, y);
    if (state >= 0) this.selection.set({ hover: state });
    const live = this.page.live;
    if (!live) return;
    const from = state >= 0 ? state : this.closest(x, y);
    if (from < 0) return;
    const z = live.network.stateAt(from, this.page.every);
    live.begin(state >= 0 && !live.network.isContinuous ? z : this.dragTo(z, x - this.screen(z)[0], y - this.screen(z)[1]));
  }

  screen(z) {
    return this.project(this.shown.map((a) => this.page.live.network.coordinate(this.page.axes[a], z)));
  }

  closest(x, y) {
    let best = -1;
    let least = Infinity;
    for (let i = 0; i < this.page.count; i++) {
      const d = (this.px[i] - x) ** 2 + (this.py[i] - y) ** 2;
      if (d < least) [least, best] = [d, i];
    }
    return best;
  }

  wheel(x, y, by) {
    this.zoom = Math.min(Math.max(this.zoom * Math.exp(-by / 500), 0.3), 40);
    this.later();
  }

  key(name) {
    const turns = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] };
    const { hover } = this.selection.chosen;
    const last = this.page.count - 1;
    if (name in turns && this.is3d) this.camera = turned(turned(this.camera, 0, 2, turns[name][0]), 1, 2, turns[name][1]);
    else if (name === "+" || name === "=") this.zoom *= 1.15;
    else if (name === "-") this.zoom /= 1.15;
    else if (name === "." || name === ",") this.selection.set({ hover: Math.min(Math.max(hover + (name === "." ? 1 : -1), 0), last) });
    else if (name === "Enter" && this.page.live && last >= 0) this.page.live.begin(this.page.live.network.stateAt(Math.max(hover, 0), this.page.every));
    else return false;
    this.later();
    return true;
  }

  toggleSpin(button) {
    this.spin = !this.spin;
    button.setAttribute("aria-pressed", String(this.spin));
    const on = () => {
      if (!this.spin) return;
      this.camera = turned(this.camera, 0, 2, 0.008);
      this.now();
      requestAnimationFrame(on);
    };
    requestAnimationFrame(on);
  }

  /** @returns {[string[], ArrayLike<any>[]]} */
  table() {
    const { page } = this;
    return [["time", ...page.axes.map((a) => a.name)], [Array.from({ length: page.count }, (_, i) => page.time(i)), ...page.axes.map((_, a) => page.values(a))]];
  }
}

/** The rows i and j of a camera turned by an angle. */
function turned(rows, i, j, angle) {
  const [c, s] = [Math.cos(angle), Math.sin(angle)];
  const made = rows.slice();
  made[i] = rows[i].map((x, k) => c * x + s * rows[j][k]);
  made[j] = rows[j].map((x, k) => c * x - s * rows[i][k]);
  return made;
}

function cross(a, b) {
  return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
}

/** Lowest and highest of the orbit, and of points that are not far outside. */
function extent(column, points) {
  let low = Infinity;
  let high = -Infinity;
  for (const x of column) {
    if (x < low) low = x;
    if (x > high) high = x;
  }
  const hasOrbit = low <= high;
  const room = hasOrbit ? 2 * (high - low) || Infinity : Infinity;
  const [floor, roof] = [low - room, high + room];
  for (const x of points) {
    if (hasOrbit && (x < floor || x > roof)) continue;
    if (x < low) low = x;
    if (x > high) high = x;
  }
  if (!(low <= high)) return [-1, 1];
  return low === high ? [low - (Math.abs(low) || 1) * 0.5, high + (Math.abs(high) || 1) * 0.5] : [low, high];
}

/** How fast each state moves on, in steps of the ramp by rank. */
function speeds(page, shade) {
  const axes = page.first.map((a) => page.values(a));
  const speed = Float64Array.from({ length: page.count }, (_, i) => {
    const j = Math.min(i + 1, page.count - 1);
    return axes.reduce((s, c) => s + (c[j] - c[i]) ** 2, 0);
  });
  const order = Array.from(speed.keys()).sort((i, j) => speed[i] - speed[j]);
  order.forEach((i, rank) => (shade[i] = Math.floor((rank / page.count) * STEPS)));
}
