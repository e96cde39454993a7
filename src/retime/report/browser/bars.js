/** Exponents with their errors. */

import { ticks, View } from "./canvas.js";
import { told } from "./columns.js";

export class Bars extends View {
  /** @param {HTMLElement} place @param {any} page */
  constructor(place, page) {
    super(place, {
      id: "bars", kind: "bars", title: "Lyapunov exponents",
      hint: "Per unit of model time, with standard errors. Left and right go through them.",
      label: "Lyapunov exponents with standard errors",
    });
    this.e = page.data.exponents;
    this.kept = this.e.values.map((x, k) => [x, this.e.errors[k]]);
    this.pointed = -1;
  }

  draw(context, width, height) {
    const { colors, kept } = this;
    const finite = kept.filter(([x]) => x !== null);
    let low = Math.min(0, ...finite.map(([x, e]) => x - (e || 0)));
    let high = Math.max(0, ...finite.map(([x, e]) => x + (e || 0)));
    const room = 0.08 * (high - low || 1);
    [low, high] = [low - room, high + room];
    const left = 52;
    const y = (x) => 12 + ((height - 40) * (high - x)) / (high - low);
    context.fillStyle = colors.muted;
    context.strokeStyle = colors.line;
    context.lineWidth = 1;
    for (const x of ticks(low, high, 5)) {
      context.textAlign = "right";
      context.fillText(told(x, 3), left - 6, y(x) + 4);
      line(context, left, y(x), width, y(x));
    }
    context.strokeStyle = colors.ink;
    line(context, left, y(0), width, y(0));
    const step = (width - left - 10) / Math.max(kept.length, 1);
    this.step = step;
    context.textAlign = "center";
    kept.forEach(([x, e], k) => {
      const middle = left + step * (k + 0.5);
      context.fillStyle = colors.muted;
      context.fillText(String(k + 1), middle, height - 8);
      if (x === null) return;
      context.fillStyle = x > 0 ? colors.bad : colors.accent;
      context.globalAlpha = this.pointed === k ? 1 : 0.8;
      const wide = Math.min(0.55 * step, 40);
      context.fillRect(middle - wide / 2, Math.min(y(x), y(0)), wide, Math.max(Math.abs(y(x) - y(0)), 1));
      context.globalAlpha = 1;
      if (e === null) return;
      context.strokeStyle = colors.ink;
      line(context, middle, y(x - e), middle, y(x + e));
      line(context, middle - 5, y(x - e), middle + 5, y(x - e));
      line(context, middle - 5, y(x + e), middle + 5, y(x + e));
    });
    context.textAlign = "left";
    this.status.textContent = this.words();
  }

  words() {
    const { e } = this;
    const dimension = e.kaplanYorke === null ? "" : `Kaplan-Yorke dimension ${told(e.kaplanYorke)}`;
    if (this.pointed < 0) return `${dimension}${e.settled ? "" : " (not settled: the orbit is short for them)"}`;
    const [x, d] = this.kept[this.pointed];
    if (x === null) return `exponent ${this.pointed + 1}: not finite`;
    return `exponent ${this.pointed + 1}: ${told(x, 6)}${d === null ? "" : ` ± ${told(d, 1)}`}; e-fold in ${told(1 / Math.abs(x))}`;
  }

  moved(x) {
    const k = Math.floor((x - 52) / this.step);
    this.pointed = k >= 0 && k < this.kept.length ? k : -1;
    this.later();
  }

  left() {
    this.pointed = -1;
    this.later();
  }

  key(name) {
    if (name !== "ArrowLeft" && name !== "ArrowRight") return false;
    this.pointed = (this.pointed + (name === "ArrowRight" ? 1 : this.kept.length - 1) + this.kept.length) % this.kept.length;
    this.later();
    return true;
  }

  /** @returns {[string[], ArrayLike<any>[]]} */
  table() {
    return [["exponent", "standard error"], [this.e.values, this.e.errors]];
  }
}

/** One straight line. */
export function line(context, a, b, c, d) {
  context.beginPath();
  context.moveTo(a, b);
  context.lineTo(c, d);
  context.stroke();
}
