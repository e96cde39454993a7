/** Time series of the orbit; a window of time is chosen here. */

import { line } from "./bars.js";
import { element, LEFT, timeLabels, View } from "./canvas.js";
import { told } from "./columns.js";
import { REGIONS } from "./palette.js";

const STRIP = 10; // pixels of the strip of regions

export class Series extends View {
  /** @param {HTMLElement} place @param {any} page */
  constructor(place, page) {
    super(place, {
      id: "series", kind: "series", title: "Time series",
      hint: "Drag to choose a window: it is lit everywhere. Double click or Escape clears. Left and right move the state, with Shift the end of the window.",
      label: "Time series of the orbit",
    });
    this.page = page;
    this.selection = page.selection;
    this.view = [0, page.count - 1];
    this.zoomer = element("button", { type: "button", onclick: () => this.zoomTo() }, ["zoom to the window"]);
    this.tools.append(this.zoomer, element("button", { type: "button", onclick: () => this.whole() }, ["whole orbit"]));
    this.canvas.addEventListener("dblclick", () => this.selection.set({ window: null }));
    this.selection.on(() => this.later());
  }

  get rows() {
    return this.page.first.slice(0, 3);
  }

  zoomTo() {
    const { window } = this.selection.chosen;
    if (window !== null && window[1] > window[0]) this.view = window.slice();
    this.later();
  }

  whole() {
    this.view = [0, this.page.count - 1];
    this.later();
  }

  x(i) {
    return LEFT + ((this.width - LEFT - 8) * (i - this.view[0])) / Math.max(this.view[1] - this.view[0], 1);
  }

  index(x) {
    const i = Math.round(this.view[0] + ((x - LEFT) / (this.width - LEFT - 8)) * (this.view[1] - this.view[0]));
    return Math.min(Math.max(i, 0), this.page.count - 1);
  }

  draw(context, width, height) {
    const { colors, page } = this;
    const { window, hover } = this.selection.chosen;
    const foot = 20 + (page.regions ? STRIP + 4 : 0);
    const tall = (height - foot) / this.rows.length;
    if (window !== null) {
      context.fillStyle = colors.band;
      const from = Math.max(this.x(window[0]), LEFT);
      context.fillRect(from, 0, Math.max(Math.min(this.x(window[1]), width) - from, 1.5), height - 18);
    }
    this.rows.forEach((a, k) => this.row(context, a, k * tall, tall, width));
    if (page.regions) this.strip(context, height - foot + 4, width);
    context.fillStyle = colors.muted;
    const [from, to] = [page.time(this.view[0]), page.time(this.view[1])];
    timeLabels(context, from, to, (t) => LEFT + ((width - LEFT - 8) * (t - from)) / (to - from || 1), width, height - 4, (t) => told(t, 6));
    context.fillText("time", 4, height - 4);
    if (hover >= this.view[0] && hover <= this.view[1]) {
      context.strokeStyle = colors.ink;
      context.lineWidth = 1;
      line(context, this.x(hover), 0, this.x(hover), height - 18);
    }
    this.status.textContent = this.selection.words;
    this.zoomer.disabled = window === null;
  }

  /** One series: per pixel the lowest and highest of many states, or every state where there are few. */
  row(context, axis, top, tall, width) {
    const { colors, selection } = this;
    const values = this.page.values(axis);
    const [low, high] = this.page.range(axis);
    const y = (v) => top + 4 + ((tall - 8) * (high - v)) / (high - low || 1);
    context.fillStyle = colors.muted;
    context.textAlign = "left";
    context.fillText(this.page.axes[axis].name.replace(/ \(.*/, "").slice(0, 9), 4, top + tall / 2 + 4);
    context.strokeStyle = colors.line;
    context.lineWidth = 1;
    line(context, LEFT, top + tall, width, top + tall);
    const isActive = selection.isActive;
    const passes = isActive ? [(i) => !selection.lit(i), (i) => selection.lit(i)] : [() => true];
    passes.forEach((kept, pass) => {
      context.strokeStyle = context.fillStyle = isActive && pass === 0 ? colors.dim : colors.accent;
      context.lineWidth = 1.1;
      context.beginPath();
      if (this.page.isSmooth || this.view[1] - this.view[0] > 2 * width) this.curve(context, values, y, kept, width);
      else this.dots(context, values, y, kept);
    });
  }

  curve(context, values, y, kept, width) {
    const [from, to] = this.view;
    if (to - from > 1.5 * (width - LEFT)) return this.bars(context, values, y, kept);
    let isDown = false;
    for (let i = from; i <= to; i++) {
      if (!kept(i)) isDown = false;
      else if (isDown) context.lineTo(this.x(i), y(values[i]));
      else context.moveTo(this.x(i), y(values[i]));
      isDown = kept(i);
    }
    context.stroke();
  }

  /** One upright bar per pixel, from the lowest to the highest state there (a line through thousands of turns takes the browser long). */
  bars(context, values, y, kept) {
    const [from, to] = this.view;
    let pixel = -1;
    let low = Infinity;
    let high = -Infinity;
    const put = () => low <= high && context.fillRect(pixel, y(high) - 0.6, 1, y(low) - y(high) + 1.2);
    for (let i = from; i <= to; i++) {
      const x = Math.floor(this.x(i));
      if (x !== pixel) {
        put();
        pixel = x;
        low = Infinity;
        high = -Infinity;
        if (i > from && kept(i) && kept(i - 1)) low = high = values[i - 1];
      }
      if (!kept(i)) continue;
      if (values[i] < low) low = values[i];
      if (values[i] > high) high = values[i];
    }
    put();
  }

  dots(context, values, y, kept) {
    for (let i = this.view[0]; i <= this.view[1]; i++) if (kept(i)) context.rect(this.x(i) - 1, y(values[i]) - 1, 2, 2);
    context.fill();
  }

  /** The region of each moment as a strip of colours. */
  strip(context, top, width) {
    const { regions } = this.page;
    const [from, to] = this.view;
    for (let x = LEFT, begin = LEFT, last = -1; x <= width - 8; x++) {
      const region = x === Math.floor(width - 8) ? -2 : regions[this.index(x)] % REGIONS.length;
      if (region === last) continue;
      if (last >= 0) {
        context.fillStyle = REGIONS[last];
        context.fillRect(begin, top, x - begin, STRIP);
      }
      [begin, last] = [x, region];
    }
    return [from, to];
  }

  moved(x) {
    this.selection.set({ hover: this.index(x) });
  }

  left() {
    this.selection.set({ hover: -1 });
  }

  pressed(x) {
    this.from = this.index(x);
  }

  dragged(x) {
    const to = this.index(x);
    this.selection.set({ window: [Math.min(this.from, to), Math.max(this.from, to)] });
  }

  key(name, event) {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[name];
    if (!by) return false;
    const { window, hover } = this.selection.chosen;
    const step = by * Math.max(Math.round((this.view[1] - this.view[0]) / 200), 1);
    const last = this.page.count - 1;
    if (event.shiftKey) {
      const [from, to] = window ?? [Math.max(hover, 0), Math.max(hover, 0)];
      this.selection.set({ window: [from, Math.min(Math.max(to + step, from), last)] });
    } else this.selection.set({ hover: Math.min(Math.max((hover < 0 ? this.view[0] : hover) + step, 0), last) });
    return true;
  }

  /** @returns {[string[], ArrayLike<any>[]]} */
  table() {
    const { page } = this;
    return [["time", ...this.rows.map((a) => page.axes[a].name)], [Array.from({ length: page.count }, (_, i) => page.time(i)), ...this.rows.map((a) => page.values(a))]];
  }
}
