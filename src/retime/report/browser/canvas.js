/** A view: a card with a heading, tools and a canvas that is drawn when something changed, and as SVG when it is saved. */

import { theme } from "./palette.js";

/** @param {string} tag @param {Record<string, any>} [attributes] @param {(Node | string)[]} [children] @returns {any} */
export function element(tag, attributes = {}, children = []) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null) made.setAttribute(name, String(value));
  }
  made.append(...children);
  return made;
}

/** A labelled choice.
 * @param {string} label @param {string[]} options @param {(index: number) => void} chosen @returns {any} */
export function choice(label, options, chosen) {
  const select = element("select", { onchange: () => chosen(select.selectedIndex) }, options.map((x) => element("option", {}, [x])));
  return element("label", {}, [`${label} `, select]);
}

/** Save text or a blob as a file.
 * @param {string} name @param {Blob} blob */
export function download(name, blob) {
  const link = element("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/** Rows as comma-separated values.
 * @param {string[]} header @param {ArrayLike<any>[]} columns @returns {string} */
export function commaSeparated(header, columns) {
  const cell = (x) => (typeof x === "string" && /[",\n]/.test(x) ? `"${x.replaceAll('"', '""')}"` : String(x ?? ""));
  const lines = [header.map(cell).join(",")];
  const count = Math.max(0, ...columns.map((c) => c.length));
  for (let i = 0; i < count; i++) lines.push(columns.map((c) => cell(c[i])).join(","));
  return lines.join("\n") + "\n";
}

/** The calls of a canvas context that the views use, written down as SVG. */
export class SvgContext {
  constructor(width, height, background) {
    this.width = width;
    this.height = height;
    this.path = "";
    /** @type {string[]} */
    this.parts = [];
    this.fillStyle = this.strokeStyle = "#000";
    this.lineWidth = this.globalAlpha = 1;
    this.font = "12px sans-serif";
    this.textAlign = "left";
    /** @type {number[]} */
    this.dash = [];
    /** @type {any[]} */
    this.saved = [];
    this.clips = 0;
    this.background = background;
  }
  save() {
    this.saved.push({ fillStyle: this.fillStyle, strokeStyle: this.strokeStyle, lineWidth: this.lineWidth, font: this.font, textAlign: this.textAlign, globalAlpha: this.globalAlpha, dash: this.dash, open: 0 });
  }
  restore() {
    const state = this.saved.pop();
    for (let k = 0; k < state.open; k++) this.parts.push("</g>");
    delete state.open;
    Object.assign(this, state);
  }
  clip() {
    this.clips++;
    this.parts.push(`<clipPath id="c${this.clips}"><path d="${this.path}"/></clipPath><g clip-path="url(#c${this.clips})">`);
    if (this.saved.length) this.saved[this.saved.length - 1].open++;
  }
  setLineDash(dash) {
    this.dash = dash;
  }
  beginPath() {
    this.path = "";
  }
  moveTo(x, y) {
    this.path += `M${x.toFixed(2)} ${y.toFixed(2)}`;
  }
  lineTo(x, y) {
    this.path += `L${x.toFixed(2)} ${y.toFixed(2)}`;
  }
  quadraticCurveTo(a, b, x, y) {
    this.path += `Q${a.toFixed(2)} ${b.toFixed(2)} ${x.toFixed(2)} ${y.toFixed(2)}`;
  }
  closePath() {
    this.path += "Z";
  }
  rect(x, y, w, h) {
    this.path += `M${x} ${y}h${w}v${h}h${-w}Z`;
  }
  arc(x, y, r) {
    this.path += `M${(x - r).toFixed(2)} ${y.toFixed(2)}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0`;
  }
  stroke() {
    const dash = this.dash.length ? ` stroke-dasharray="${this.dash.join(" ")}"` : "";
    this.parts.push(`<path d="${this.path}" fill="none" stroke="${this.strokeStyle}" stroke-width="${this.lineWidth}" opacity="${this.globalAlpha}"${dash}/>`);
  }
  fill() {
    this.parts.push(`<path d="${this.path}" fill="${this.fillStyle}" opacity="${this.globalAlpha}"/>`);
  }
  fillRect(x, y, w, h) {
    this.parts.push(`<rect x="${x}" y="${y}" width="${w}" height="${h}" fill="${this.fillStyle}" opacity="${this.globalAlpha}"/>`);
  }
  clearRect() {}
  fillText(text, x, y) {
    const anchor = { left: "start", right: "end", center: "middle" }[this.textAlign];
    const size = /(\d+)px/.exec(this.font)?.[1] ?? "12";
    const bold = this.font.includes("600") ? ' font-weight="600"' : "";
    const safe = String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
    this.parts.push(`<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" fill="${this.fillStyle}" font-size="${size}" font-family="system-ui, sans-serif" text-anchor="${anchor}"${bold}>${safe}</text>`);
  }
  measureText(text) {
    return { width: 6.5 * String(text).length };
  }
  /** @returns {string} */
  get text() {
    return `<svg xmlns="http://www.w3.org/2000/svg" width="${this.width}" height="${this.height}" viewBox="0 0 ${this.width} ${this.height}"><rect width="100%" height="100%" fill="${this.background}"/>${this.parts.join("")}</svg>\n`;
  }
}

/** Pixels left of a chart, for its labels. */
export const LEFT = 64;
export const FONT = "12px system-ui, sans-serif";

export class View {
  /** @param {HTMLElement} place @param {{id: string, title: string, hint: string, kind: string, label: string}} about */
  constructor(place, about) {
    this.id = about.id;
    this.width = this.height = 0;
    this.colors = theme();
    this.canvas = element("canvas", { tabindex: 0, role: "img", "aria-label": about.label, "aria-describedby": `${about.id}-hint` });
    this.hint = element("p", { class: "hint", id: `${about.id}-hint` }, [about.hint]);
    this.tools = element("div", { class: "tools" });
    this.status = element("p", { class: "status", id: `${about.id}-status` });
    const saves = ["CSV", "SVG", "PNG"].map((kind) => element("button", { type: "button", class: "quiet", "aria-label": `${about.title} as ${kind}`, onclick: () => this.save(kind) }, [kind]));
    const head = element("div", { class: "head" }, [element("h2", { id: `${about.id}-title` }, [about.title]), element("div", { class: "saves" }, saves)]);
    this.card = element("section", { class: `card view ${about.kind}`, id: `view-${about.id}`, "aria-labelledby": `${about.id}-title` }, [head, this.hint, this.tools, this.canvas, this.status]);
    place.append(this.card);
    this.wanted = false;
    this.times = [];
    this.listen();
  }

  /** Draw, in units of CSS pixels. @param {any} context @param {number} width @param {number} height */
  draw(context, width, height) {}

  /** What `CSV` saves. @returns {[string[], ArrayLike<any>[]]} */
  table() {
    return [[], []];
  }

  /** Pointer and keys; positions are in CSS pixels of the canvas. */
  moved(x, y) {}
  left() {}
  pressed(x, y, event) {}
  dragged(x, y, dx, dy, event) {}
  released(x, y, wasDrag, event) {}
  wheel(x, y, by) {}
  /** @returns {boolean} whether the key meant something here */
  key(name, event) {
    return false;
  }

  listen() {
    const c = this.canvas;
    let from = null;
    let far = false;
    const at = (event) => {
      const box = c.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    c.addEventListener("pointerdown", (event) => {
      from = at(event);
      far = false;
      c.setPointerCapture(event.pointerId);
      this.pressed(from[0], from[1], event);
    });
    c.addEventListener("pointermove", (event) => {
      const [x, y] = at(event);
      if (from === null) return this.moved(x, y);
      far = far || Math.hypot(x - from[0], y - from[1]) > 3;
      if (far) this.dragged(x, y, x - from[0], y - from[1], event);
      from = this.isRelative ? [x, y] : from;
    });
    c.addEventListener("pointerup", (event) => {
      if (from !== null) this.released(...at(event), far, event);
      from = null;
    });
    c.addEventListener("pointercancel", () => (from = null));
    c.addEventListener("pointerleave", () => from === null && this.left());
    c.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && document.activeElement !== c) return; // the page scrolls until the view is focused
      event.preventDefault();
      this.wheel(...at(event), event.deltaY);
    }, { passive: false });
    c.addEventListener("keydown", (event) => {
      if (this.key(event.key, event)) event.preventDefault();
    });
    new ResizeObserver(() => this.later()).observe(c);
  }

  /** Whether drags are told relative to the last position. */
  isRelative = false;

  /** Draw before the next frame. */
  later() {
    if (this.wanted) return;
    this.wanted = true;
    requestAnimationFrame(() => this.now());
  }

  now() {
    this.wanted = false;
    const began = performance.now();
    const ratio = Math.min(globalThis.devicePixelRatio || 1, 2);
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!width || !height) return;
    if (this.canvas.width !== Math.round(width * ratio) || this.canvas.height !== Math.round(height * ratio)) {
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(height * ratio);
    }
    const context = this.canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    this.paint(context, width, height);
    this.times.push(performance.now() - began);
    if (this.times.length > 100) this.times.shift();
  }

  paint(context, width, height) {
    this.width = width;
    this.height = height;
    context.font = FONT;
    context.lineJoin = "bevel";
    context.globalAlpha = 1;
    this.draw(context, width, height);
  }

  /** The theme changed. */
  recolor() {
    this.colors = theme();
    this.later();
  }

  /** The picture as SVG. @returns {string} */
  get svg() {
    const context = new SvgContext(this.width || 600, this.height || 400, this.colors.card);
    this.paint(context, context.width, context.height);
    return context.text;
  }

  /** @param {string} kind */
  save(kind) {
    const name = `retime-${this.id}.${kind.toLowerCase()}`;
    if (kind === "CSV") download(name, new Blob([commaSeparated(...this.table())], { type: "text/csv" }));
    else if (kind === "SVG") download(name, new Blob([this.svg], { type: "image/svg+xml" }));
    else this.canvas.toBlob((blob) => blob && download(name, blob));
  }
}

/** Numbers at which an axis from low to high is labelled, about so many.
 * @param {number} low @param {number} high @param {number} about @returns {number[]} */
export function ticks(low, high, about) {
  const raw = (high - low) / Math.max(about, 1);
  if (!(raw > 0) || !Number.isFinite(raw)) return [low];
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].find((k) => k * power >= raw) * power;
  const found = [];
  for (let x = Math.ceil(low / step) * step; x <= high + 1e-9 * step; x += step) found.push(Math.abs(x) < 1e-9 * step ? 0 : x);
  return found;
}

/** Labels of an axis of time under a chart, kept inside it.
 * @param {any} context @param {number} from @param {number} to @param {(t: number) => number} x @param {number} width @param {number} y @param {(t: number) => string} text */
export function timeLabels(context, from, to, x, width, y, text) {
  context.textAlign = "center";
  for (const t of ticks(from, to, (width - LEFT) / 100)) {
    const half = context.measureText(text(t)).width / 2;
    context.fillText(text(t), Math.min(x(t), width - half - 1), y);
  }
  context.textAlign = "left";
}
