/** The network: its step (or field) from its weights, its outputs, its fixed points followed from known ones. */

import { unpackArray } from "./columns.js";
import { addProduct, eigenvalues, solve } from "./matrix.js";

const FUNCTIONS = {
  tanh: Math.tanh,
  relu: (x) => (x > 0 ? x : 0),
  softplus: (x) => (x > 0 ? x + Math.log1p(Math.exp(-x)) : Math.log1p(Math.exp(x))),
  logistic: (x) => 0.5 * (1 + Math.tanh(0.5 * x)),
  linear: (x) => x,
  exp: Math.exp,
};

/** Right-hand sides F(z, s) by kind; `p` are the arrays, `d` the description. */
const EQUATIONS = {
  affine(p, d, z, s) {
    const g = Float64Array.from(p.h2.data);
    addProduct(p.C2, s, addProduct(p.W2, z, g));
    for (let i = 0; i < g.length; i++) if (!(g[i] > 0)) g[i] = 0;
    return addProduct(p.C1, s, addProduct(p.W1, g, addProduct(p.A, z, Float64Array.from(p.h1.data))));
  },
  rate(p, d, z, s) {
    const f = FUNCTIONS[d.activation];
    const inner = d.form === "rate" ? z : Float64Array.from(z, (x) => f(d.slope * x));
    const G = addProduct(p.U, s, addProduct(p.W, inner, Float64Array.from(p.b.data)));
    for (let i = 0; i < G.length; i++) G[i] = p.keep.data[i] * z[i] + p.gain.data[i] * (d.form === "rate" ? f(G[i]) : G[i]);
    return G;
  },
  gru(p, d, z, s) {
    const H = z.length;
    const driven = addProduct(p.U, s, Float64Array.from(p.c.data));
    const recurrent = addProduct(p.W, z, Float64Array.from(p.b.data));
    const gate = (k) => FUNCTIONS.logistic(recurrent[k] + driven[k]);
    const reset = Float64Array.from(z, (_, k) => gate(k));
    const candidate = d.after ? recurrent.slice(2 * H) : resetBefore(p, z, reset);
    return Float64Array.from(z, (x, k) => {
      const n = Math.tanh(driven[2 * H + k] + (d.after ? reset[k] : 1) * candidate[k]);
      const u = gate(H + k);
      return (1 - u) * n + u * x;
    });
  },
  lstm(p, d, z, s) {
    const H = z.length / 2;
    const a = addProduct(p.U, s, addProduct(p.W, z.slice(0, H), Float64Array.from(p.b.data)));
    const made = new Float64Array(2 * H);
    for (let k = 0; k < H; k++) {
      const cell = FUNCTIONS.logistic(a[H + k]) * z[H + k] + FUNCTIONS.logistic(a[k]) * Math.tanh(a[2 * H + k]);
      made[H + k] = cell;
      made[k] = FUNCTIONS.logistic(a[3 * H + k]) * Math.tanh(cell);
    }
    return made;
  },
};

function resetBefore(p, z, reset) {
  const H = z.length;
  const rows = { shape: [H, H], data: p.W.data.subarray(2 * H * H) };
  return addProduct(rows, Float64Array.from(z, (x, k) => x * reset[k]), p.b.data.slice(2 * H));
}

const FOLLOWED = 64; // states up to which fixed points are followed

export class Network {
  /** @param {any} d the page's `live` */
  constructor(d) {
    this.d = d;
    this.isContinuous = d.continuous;
    this.dt = d.dt;
    this.p = Object.fromEntries(Object.entries(d.arrays).map(([name, x]) => [name, unpackArray(x)]));
    this.inputs = Float64Array.from(d.inputs);
    this.anchors = unpackArray(d.anchors);
    this.n = this.anchors.shape[1];
    this.readout = d.readout && { ...d.readout, B: unpackArray(d.readout.B), b: unpackArray(d.readout.b), lift: unpackArray(d.readout.lift), threshold: d.readout.threshold && unpackArray(d.readout.threshold) };
    this.components = d.components && { axes: unpackArray(d.components.axes), base: unpackArray(d.components.base) };
    this.flow = d.flow && { per: d.flow.per, regions: Object.fromEntries(Object.entries(d.flow.regions).map(([bits, x]) => [bits, unpackArray(x)])) };
  }

  /** F(z, s): the next state of a map, dz/dt of a flow.
   * @param {Float64Array} z @returns {Float64Array} */
  apply(z) {
    return EQUATIONS[this.d.kind](this.p, this.d, z, this.inputs);
  }

  /** One step of a map; with a share of a step the same share of the way, z + share (F - z).
   * @param {Float64Array} z @param {number} share @returns {Float64Array} */
  step(z, share = 1) {
    const F = this.apply(z);
    return share === 1 ? F : F.map((x, k) => z[k] + share * (x - z[k]));
  }

  /** A flow over a time by the classical Runge-Kutta method.
   * @param {Float64Array} z @param {number} time @param {number} parts @returns {Float64Array} */
  flowed(z, time, parts) {
    const h = time / parts;
    const moved = (x, k, by) => x.map((v, i) => v + by * k[i]);
    for (let part = 0; part < parts; part++) {
      const a = this.apply(z);
      const b = this.apply(moved(z, a, h / 2));
      const c = this.apply(moved(z, b, h / 2));
      const d = this.apply(moved(z, c, h));
      z = z.map((v, i) => v + (h / 6) * (a[i] + 2 * b[i] + 2 * c[i] + d[i]));
    }
    return z;
  }

  /** States z0, z1, ... of a map.
   * @param {Float64Array} z @param {number} steps @returns {Float64Array[]} */
  run(z, steps, share = 1) {
    const path = [z];
    for (let k = 0; k < steps && z.every(Number.isFinite); k++) path.push((z = this.step(z, share)));
    return path;
  }

  /** Which units are on, as text; "" for smooth networks.
   * @param {Float64Array} z @returns {string} */
  pattern(z) {
    if (this.d.kind !== "affine") return "";
    const g = addProduct(this.p.C2, this.inputs, addProduct(this.p.W2, z, Float64Array.from(this.p.h2.data)));
    return Array.from(g, (x) => (x > 0 ? "1" : "0")).join("");
  }

  /** The states of the converted flow between z and the next sample, an eighth of a step apart; null where the page lacks the region.
   * @param {Float64Array} z @returns {Float64Array[] | null} */
  between(z) {
    const E = this.flow && this.flow.regions[this.pattern(z)];
    if (!E) return null;
    const path = [];
    let y = new Float64Array(E.shape[0]);
    y.set(z);
    y[y.length - 1] = 1;
    for (let k = 0; k < this.flow.per; k++) {
      y = addProduct(E, y, new Float64Array(y.length));
      path.push(y.slice(0, this.n));
    }
    return path;
  }

  /** The state of the orbit at a drawn index: of a map exactly, by steps from the last state that was kept; of a flow the nearest kept one.
   * @param {number} index @param {number} every steps of the map between drawn states @returns {Float64Array} */
  stateAt(index, every) {
    const kept = Math.min(this.isContinuous ? Math.round(index / this.d.every) : Math.floor(index / this.d.every), this.anchors.shape[0] - 1);
    let z = this.anchors.data.slice(kept * this.n, (kept + 1) * this.n);
    if (!this.isContinuous) for (let k = 0; k < (index - kept * this.d.every) * every; k++) z = this.step(z);
    return z;
  }

  /** A coordinate of a state.
   * @param {{kind: string, index: number}} axis @param {Float64Array} z @returns {number} */
  coordinate(axis, z) {
    if (axis.kind === "state") return z[axis.index];
    if (axis.kind === "component") {
      const { axes, base } = this.components;
      let sum = 0;
      for (let i = 0; i < this.n; i++) sum += (z[i] - base.data[i]) * axes.data[i * axes.shape[1] + axis.index];
      return sum;
    }
    return this.outputs(z)[axis.index];
  }

  /** @param {Float64Array} z @returns {Float64Array} */
  outputs(z) {
    const r = this.readout;
    const shifted = z.map((x, k) => FUNCTIONS[r.rate](x - (r.threshold ? r.threshold.data[k] : 0)));
    const y = addProduct(r.B, shifted, Float64Array.from(r.b.data));
    if (r.activation !== "softmax") return y.map(FUNCTIONS[r.activation]);
    const most = Math.max(...y);
    const e = y.map((x) => Math.exp(x - most));
    const sum = e.reduce((s, x) => s + x, 0);
    return e.map((x) => x / sum);
  }

  /** The state moved so that a coordinate changes by so much (of an output: the smallest change of state).
   * @param {Float64Array} z @param {{kind: string, index: number}} axis @param {number} by @returns {Float64Array} */
  moved(z, axis, by) {
    const made = Float64Array.from(z);
    if (axis.kind === "state") made[axis.index] += by;
    const source = axis.kind === "component" ? this.components.axes : axis.kind === "output" ? this.readout.lift : null;
    if (source) for (let i = 0; i < this.n; i++) made[i] += by * source.data[i * source.shape[1] + axis.index];
    return made;
  }

  /** dF/dz, row-major: exact of ReLU networks, by central differences of others.
   * @param {Float64Array} z @returns {Float64Array} */
  jacobian(z) {
    const n = this.n;
    const J = new Float64Array(n * n);
    if (this.d.kind === "affine") {
      const on = this.pattern(z);
      const { A, W1, W2 } = this.p;
      const q = W1.shape[1];
      J.set(A.data);
      for (let u = 0; u < q; u++) {
        if (on[u] !== "1") continue;
        for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) J[i * n + j] += W1.data[i * q + u] * W2.data[u * n + j];
      }
      return J;
    }
    for (let j = 0; j < n; j++) {
      const h = 1e-5 * (1 + Math.abs(z[j]));
      const [up, down] = [h, -h].map((by) => this.apply(z.map((x, k) => (k === j ? x + by : x))));
      for (let i = 0; i < n; i++) J[i * n + j] = (up[i] - down[i]) / (2 * h);
    }
    return J;
  }

  /** The fixed point near z by Newton's method, with its stability; null where it is not found.
   * @param {Float64Array} z @returns {{state: Float64Array, stable: boolean, eigenvalues: [number, number][]} | null} */
  fixedPoint(z) {
    if (this.n > FOLLOWED) return null;
    for (let round = 0; round < 40; round++) {
      const F = this.apply(z);
      const off = this.isContinuous ? F : F.map((x, k) => x - z[k]);
      const size = 1 + Math.max(...z.map(Math.abs));
      const J = this.jacobian(z);
      if (Math.max(...off.map(Math.abs)) <= 1e-10 * size) {
        const w = eigenvalues(J, this.n);
        const stable = w.every(([a, b]) => (this.isContinuous ? a < 0 : Math.hypot(a, b) < 1));
        return { state: z, stable, eigenvalues: w };
      }
      if (!this.isContinuous) for (let i = 0; i < this.n; i++) J[i * this.n + i] -= 1;
      const by = solve(J, off.map((x) => -x));
      if (by === null || !by.every(Number.isFinite)) return null;
      z = z.map((x, k) => x + by[k]);
    }
    return null;
  }
}
