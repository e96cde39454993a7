/** The map and its flow over time, and how far the flow is from the map under each switching rule. */

import { line } from "./bars.js";
import { choice, LEFT, ticks, timeLabels, View } from "./canvas.js";
import { told, unpackColumn } from "./columns.js";

const KINDS = { one: "one step", orbit: "whole orbit" };

export class Errors extends View {
  /** @param {HTMLElement} place @param {any} page */
  constructor(place, page) {
    const c = page.data.comparison;
    super(place, {
      id: "errors", kind: "errors", title: "Map and flow",
      hint: "Above: the map's steps (dots) and its flow (line). Below: how far the flow is from the map. Left and right move the state.",
      label: "Map and flow over time, and the errors of the flow",
    });
    this.page = page;
    this.c = c;
    this.selection = page.selection;
    this.shown = 0;
    this.map = c.map.map(unpackColumn);
    this.between = c.between && c.between.path.map(unpackColumn);
    this.paths = Object.fromEntries(Object.entries(c.rules).map(([name, r]) => [name, r.path.map(unpackColumn)]));
    this.view = [0, Math.min(100, c.steps)];
    const spans = [100, 400, c.steps].filter((x, k, all) => x <= c.steps && all.indexOf(x) === k);
    const names = c.axes.map((a) => page.axes[a].name);
    this.tools.append(
      choice("show", names, (k) => ((this.shown = k), this.later())),
      choice("steps", spans.map(String), (k) => ((this.view = [0, spans[k]]), this.later())),
    );
    this.selection.on((_, changed) => changed.includes("hover") && this.later());
  }

  x(step) {
    return LEFT + ((this.width - LEFT - 8) * (step - this.view[0])) / Math.max(this.view[1] - this.view[0], 1);
  }

  draw(context, width, height) {
    const { colors, c } = this;
    const upper = 0.5 * height - 10;
    this.above(context, upper, width);
    const lines = Object.entries(c.rules).flatMap(([rule, r]) => Object.keys(KINDS).map((kind) => ({ rule, kind, values: r[kind] })));
    const exponents = lines.flatMap(({ values }) => values.slice(0, this.view[1]).filter((v) => v > 0).map(Math.log10));
    const low = Math.max(Math.floor(Math.min(...exponents, -15)), -17);
    const high = Math.ceil(Math.max(...exponents, low + 1));
    const top = upper + 22;
    const y = (v) => top + ((height - 24 - top) * (high - Math.log10(Math.max(v, 10 ** low)))) / (high - low);
    context.fillStyle = colors.muted;
    context.strokeStyle = colors.line;
    context.textAlign = "right";
    for (const e of ticks(low, high, 4)) {
      if (!Number.isInteger(e)) continue;
      context.fillText(`1e${e}`.replace("-", "−"), LEFT - 6, y(10 ** e) + 4);
      line(context, LEFT, y(10 ** e), width - 8, y(10 ** e));
    }
    const dashes = { one: [], orbit: [5, 4] };
    const tints = [colors.accent, colors.bad, colors.good];
    lines.forEach(({ rule, kind, values }) => {
      context.strokeStyle = tints[Object.keys(c.rules).indexOf(rule) % 3];
      context.lineWidth = 1.4;
      context.setLineDash(dashes[kind]);
      context.beginPath();
      let isDown = false;
      for (let k = this.view[0]; k < Math.min(values.length, this.view[1]); k++) {
        if (values[k] === null || Number.isNaN(values[k])) {
          isDown = false;
          continue;
        }
        if (isDown) context.lineTo(this.x(k + 1), y(values[k]));
        else context.moveTo(this.x(k + 1), y(values[k]));
        isDown = true;
      }
      context.stroke();
    });
    context.setLineDash([]);
    this.legend(context, lines, tints, dashes, upper + 12);
    context.fillStyle = colors.muted;
    timeLabels(context, this.view[0], this.view[1], (t) => this.x(t), width, height - 6, (t) => told(t, 6));
    context.fillText("step", 4, height - 6);
    this.mark(context, height);
  }

  above(context, upper, width) {
    const { colors, c } = this;
    const map = this.map[this.shown];
    let [low, high] = [Infinity, -Infinity];
    for (let k = this.view[0]; k <= Math.min(this.view[1], map.length - 1); k++) [low, high] = [Math.min(low, map[k]), Math.max(high, map[k])];
    const room = 0.1 * (high - low || Math.abs(high) || 1);
    [low, high] = [low - room, high + room];
    const y = (v) => 6 + ((upper - 10) * (high - v)) / (high - low);
    context.fillStyle = colors.muted;
    context.textAlign = "right";
    for (const v of ticks(low, high, 3)) context.fillText(told(v, 3), LEFT - 6, y(v) + 4);
    const per = this.between ? c.between.per : 1;
    const flow = this.between ? this.between[this.shown] : Object.values(this.paths)[0][this.shown];
    context.save();
    context.beginPath();
    context.rect(LEFT, 2, width - LEFT - 8, upper - 2);
    context.clip();
    const draw = (values, every, color, dash) => {
      context.strokeStyle = color;
      context.lineWidth = 1.3;
      context.setLineDash(dash);
      context.beginPath();
      for (let k = 0; k < values.length && k / every <= this.view[1]; k++) {
        if (k) context.lineTo(this.x(k / every), y(values[k]));
        else context.moveTo(this.x(0), y(values[0]));
      }
      context.stroke();
    };
    draw(flow, per, colors.accent, []);
    if (this.paths.state) draw(this.paths.state[this.shown], 1, colors.bad, [5, 4]);
    context.setLineDash([]);
    context.fillStyle = colors.ink;
    context.beginPath();
    const dot = this.view[1] - this.view[0] > 200 ? 1.2 : 2;
    for (let k = this.view[0]; k <= Math.min(this.view[1], map.length - 1); k++) context.rect(this.x(k) - dot, y(map[k]) - dot, 2 * dot, 2 * dot);
    context.fill();
    context.restore();
  }

  legend(context, lines, tints, dashes, y) {
    let x = LEFT;
    context.textAlign = "left";
    lines.forEach(({ rule, kind }) => {
      const text = `${rule}, ${KINDS[kind]}`;
      context.strokeStyle = tints[Object.keys(this.c.rules).indexOf(rule) % 3];
      context.lineWidth = 2;
      context.setLineDash(dashes[kind]);
      line(context, x, y - 4, x + 22, y - 4);
      context.fillStyle = this.colors.muted;
      context.fillText(text, x + 27, y);
      x += 27 + context.measureText(text).width + 14;
    });
    context.setLineDash([]);
  }

  /** The step that is pointed at anywhere. */
  mark(context, height) {
    const step = this.step;
    if (step === null || step > this.view[1]) {
      this.status.textContent = "";
      return;
    }
    context.strokeStyle = this.colors.ink;
    context.lineWidth = 1;
    line(context, this.x(step), 2, this.x(step), height - 22);
    const parts = Object.entries(this.c.rules).map(([rule, r]) => `${rule}: ${told(r.one[step - 1] ?? NaN, 3)} in one step, ${told(r.orbit[step - 1] ?? NaN, 3)} along the orbit`);
    this.status.textContent = step > 0 ? `step ${step}. ${parts.join("; ")}` : "step 0";
  }

  get step() {
    const { hover } = this.selection.chosen;
    if (hover < 0 || !this.c.aligned) return null;
    return hover * this.page.every;
  }

  moved(x) {
    if (!this.c.aligned) return;
    const step = Math.round(this.view[0] + ((x - LEFT) / (this.width - LEFT - 8)) * (this.view[1] - this.view[0]));
    this.selection.set({ hover: Math.min(Math.max(Math.round(step / this.page.every), 0), this.page.count - 1) });
  }

  left() {
    this.selection.set({ hover: -1 });
  }

  key(name) {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[name];
    if (!by || !this.c.aligned) return false;
    this.selection.set({ hover: Math.min(Math.max(this.selection.chosen.hover + by, 0), this.page.count - 1) });
    return true;
  }

  /** @returns {[string[], ArrayLike<any>[]]} */
  table() {
    const rules = Object.entries(this.c.rules);
    const names = rules.flatMap(([rule]) => [`${rule} one step`, `${rule} orbit`]);
    return [["step", ...names], [rules[0][1].one.map((_, k) => k + 1), ...rules.flatMap(([, r]) => [r.one, r.orbit])]];
  }
}
