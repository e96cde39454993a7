/** Curves over one variable: the loss of a training. */

import { line } from "./bars.js";
import { choice, LEFT, ticks, timeLabels, View } from "./canvas.js";
import { told } from "./columns.js";


export class Curves extends View {
  /** @param {HTMLElement} place @param {string} id @param {string} title @param {{x: number[], name: string, y: Record<string, number[]>, log: boolean}} curves */
  constructor(place, id, title, curves) {
    super(place, { id, kind: "curves", title, hint: `Over ${curves.name}. Left and right go from check to check.`, label: `${title} over ${curves.name}` });
    this.curves = curves;
    this.names = Object.keys(curves.y);
    this.shown = this.names[0];
    this.pointed = -1;
    this.tools.append(choice("show", this.names.map((x) => x.replaceAll("_", " ")), (k) => ((this.shown = this.names[k]), this.later())));
  }

  draw(context, width, height) {
    const { colors, curves } = this;
    const values = curves.y[this.shown];
    const known = values.filter((v) => typeof v === "number");
    const isLog = curves.log && known.every((v) => v > 0) && Math.max(...known) > 20 * Math.min(...known);
    const scale = (v) => (isLog ? Math.log10(v) : v);
    let [low, high] = [Math.min(...known.map(scale)), Math.max(...known.map(scale))];
    const room = 0.06 * (high - low || 1);
    [low, high] = [low - room, high + room];
    const y = (v) => 8 + ((height - 34) * (high - v)) / (high - low);
    const most = Math.max(...curves.x);
    const x = (k) => LEFT + ((width - LEFT - 10) * curves.x[k]) / (most || 1);
    this.x = x;
    context.fillStyle = colors.muted;
    context.strokeStyle = colors.line;
    context.textAlign = "right";
    for (const v of ticks(low, high, 5)) {
      context.fillText(told(isLog ? 10 ** v : v, 2), LEFT - 6, y(v) + 4);
      line(context, LEFT, y(v), width - 8, y(v));
    }
    timeLabels(context, 0, most, (t) => LEFT + ((width - LEFT - 10) * t) / (most || 1), width, height - 6, (t) => told(t, 6));
    context.strokeStyle = colors.accent;
    context.lineWidth = 1.8;
    context.beginPath();
    let isDown = false;
    values.forEach((v, k) => {
      if (typeof v !== "number") return;
      if (isDown) context.lineTo(x(k), y(scale(v)));
      else context.moveTo(x(k), y(scale(v)));
      isDown = true;
    });
    context.stroke();
    const k = this.pointed;
    if (typeof values[k] === "number") {
      context.fillStyle = colors.ink;
      context.beginPath();
      context.arc(x(k), y(scale(values[k])), 4, 0, 2 * Math.PI);
      context.fill();
    }
    this.status.textContent = typeof values[k] === "number" ? `${curves.name} ${curves.x[k]}: ${this.shown} ${told(values[k], 5)}` : "";
  }

  moved(x) {
    let best = -1;
    this.curves.x.forEach((_, k) => {
      if (best < 0 || Math.abs(this.x(k) - x) < Math.abs(this.x(best) - x)) best = k;
    });
    this.pointed = best;
    this.later();
  }

  key(name) {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[name];
    if (!by) return false;
    this.pointed = Math.min(Math.max(this.pointed + by, 0), this.curves.x.length - 1);
    this.later();
    return true;
  }

  /** @returns {[string[], ArrayLike<any>[]]} */
  table() {
    return [[this.curves.name, ...this.names], [this.curves.x, ...this.names.map((n) => this.curves.y[n])]];
  }
}
