/** Eigenvalues of one fixed point or cycle, against the unit circle or the imaginary axis. */

import { choice, ticks, View } from "./canvas.js";
import { told } from "./columns.js";

export class Plane extends View {
  /** @param {HTMLElement} place @param {any} page */
  constructor(place, page) {
    super(place, {
      id: "plane", kind: "plane", title: page.isFlow ? "Rates" : "Multipliers",
      hint: "Eigenvalues of the chosen point. Left and right choose another one, up and down an eigenvalue.",
      label: "Eigenvalues of the chosen fixed point or cycle",
    });
    this.page = page;
    this.selection = page.selection;
    this.pointed = -1;
    const names = [
      ...(page.points || []).map((p, k) => ({ text: `fixed point ${k + 1}, ${p.kind}`, point: k, cycle: -1 })),
      ...(page.cycles || []).map((c, k) => ({ text: `cycle ${k + 1}, ${c.kind}`, point: -1, cycle: k })),
    ];
    this.names = names;
    const picker = choice("of", names.map((x) => x.text), (k) => this.select(k));
    this.picker = picker.querySelector("select");
    this.tools.append(picker);
    this.shown = 0;
    this.selection.on((chosen, changed) => {
      const k = names.findIndex((x) => (chosen.point >= 0 && x.point === chosen.point) || (chosen.cycle >= 0 && x.cycle === chosen.cycle));
      if (k >= 0 && (changed.includes("point") || changed.includes("cycle"))) {
        this.shown = this.picker.selectedIndex = k;
        this.pointed = -1;
        this.later();
      }
    });
  }

  select(k) {
    const { point, cycle } = this.names[k];
    this.shown = this.picker.selectedIndex = k;
    this.pointed = -1;
    if (point >= 0) this.page.choosePoint(point);
    else this.page.chooseCycle(cycle);
    this.later();
  }

  /** The eigenvalues shown, and whether they are multipliers. */
  get values() {
    const { point, cycle } = this.names[this.shown];
    if (point < 0) return { w: this.page.cycles[cycle].eigenvalues, isRate: false, all: null };
    const followed = this.page.live?.followed;
    const source = followed ? followed[point] : this.page.points[point];
    if (source === null) return { w: [], isRate: this.page.isFlow, all: 0 };
    return { w: source.eigenvalues, isRate: this.page.isFlow, all: this.page.points[point].all };
  }

  draw(context, width, height) {
    const { colors } = this;
    const { w, isRate, all } = this.values;
    const finite = w.filter(([a, b]) => a !== null && Number.isFinite(a) && Number.isFinite(b));
    let half = isRate ? 1e-9 : 1.1;
    for (const [a, b] of finite) half = Math.max(half, 1.12 * Math.abs(b), isRate ? 0 : 1.12 * Math.abs(a));
    let [low, high] = [-half, half];
    if (isRate) {
      low = Math.min(...finite.map(([a]) => a), 0);
      high = Math.max(...finite.map(([a]) => a), 0);
      const room = 0.15 * (high - low || half || 1);
      [low, high] = [low - room, high + room];
      if (half < 1e-6) half = (high - low) / 2;
    }
    const sizes = isRate ? [width - 40, height - 30] : [Math.min(width, height) - 34, Math.min(width, height) - 34];
    const place = (a, b) => [width / 2 + (sizes[0] * (a - (low + high) / 2)) / (high - low), height / 2 - (sizes[1] * b) / (2 * half)];
    this.place = place;
    context.strokeStyle = colors.line;
    context.lineWidth = 1;
    this.lines(context, [place(low, 0), place(high, 0)]);
    this.lines(context, [place(0, -half), place(0, half)]);
    context.strokeStyle = colors.ink;
    context.lineWidth = 1.2;
    context.beginPath();
    if (isRate) this.lines(context, [place(0, -half), place(0, half)]);
    else {
      context.arc(...place(0, 0), sizes[0] / (high - low), 0, 2 * Math.PI);
      context.stroke();
    }
    context.fillStyle = colors.muted;
    context.textAlign = "center";
    for (const x of ticks(low, high, 4)) if (x !== 0) context.fillText(told(x, 3), place(x, 0)[0], place(x, 0)[1] + 14);
    context.textAlign = "left";
    w.forEach(([a, b], k) => {
      if (a === null || !Number.isFinite(a)) return;
      const grows = isRate ? a > 0 : Math.hypot(a, b) > 1;
      context.fillStyle = grows ? colors.bad : colors.accent;
      context.beginPath();
      context.arc(...place(a, b), this.pointed === k ? 7 : 4, 0, 2 * Math.PI);
      context.fill();
    });
    this.status.textContent = this.words(w, isRate, all);
  }

  lines(context, places) {
    context.beginPath();
    places.forEach(([x, y], k) => (k ? context.lineTo(x, y) : context.moveTo(x, y)));
    context.stroke();
  }

  words(w, isRate, all) {
    const out = w.filter(([a, b]) => (isRate ? a > 0 : Math.hypot(a, b) > 1)).length;
    const where = isRate ? "right of the imaginary axis" : "outside the unit circle";
    const part = all !== null && all > w.length ? `; the ${w.length} slowest of ${all} are shown` : "";
    if (this.pointed < 0 || !w[this.pointed]) return w.length ? `${out} ${where}${part}` : "This point is gone.";
    const [a, b] = w[this.pointed];
    const size = Math.hypot(a, b);
    const { dt } = this.page;
    const rate = isRate ? a : Math.log(size) / (dt || 1);
    const pace = rate === 0 ? "neither grows nor decays" : `${rate > 0 ? "grows" : "decays"} e-fold in ${told(1 / Math.abs(rate))} of model time`;
    return `${told(a, 6)} ${b < 0 ? "−" : "+"} ${told(Math.abs(b), 6)} i${isRate ? "" : `, modulus ${told(size, 6)}`}: ${pace}`;
  }

  moved(x, y) {
    const { w } = this.values;
    const near = w.findIndex(([a, b]) => a !== null && Math.hypot(this.place(a, b)[0] - x, this.place(a, b)[1] - y) < 8);
    if (near !== this.pointed) {
      this.pointed = near;
      this.later();
    }
  }

  released(x, y, wasDrag) {
    this.moved(x, y);
    if (!wasDrag) this.select(this.shown);
  }

  key(name) {
    const count = this.names.length;
    const { w } = this.values;
    if (name === "ArrowLeft" || name === "ArrowRight") this.select((this.shown + (name === "ArrowRight" ? 1 : count - 1)) % count);
    else if (name === "ArrowDown" || name === "ArrowUp") this.pointed = (this.pointed + (name === "ArrowDown" ? 1 : w.length - 1) + w.length) % Math.max(w.length, 1);
    else return false;
    this.later();
    return true;
  }

  /** @returns {[string[], ArrayLike<any>[]]} */
  table() {
    const { w } = this.values;
    return [["real", "imaginary"], [w.map((x) => x[0]), w.map((x) => x[1])]];
  }
}
