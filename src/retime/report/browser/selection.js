/** What is pointed at, shared by all views: a window of time, a region, a fixed point, a cycle, one state. */

/** @typedef {{window: [number, number] | null, region: number, point: number, cycle: number, hover: number}} Chosen */

export class Selection {
  /** @param {{count: number, regions: ArrayLike<number> | null, near: (point: number) => Uint8Array | null}} orbit */
  constructor(orbit) {
    this.orbit = orbit;
    /** @type {Chosen} */
    this.chosen = { window: null, region: -1, point: -1, cycle: -1, hover: -1 };
    /** @type {((chosen: Chosen, changed: string[]) => void)[]} */
    this.listeners = [];
    /** @type {Uint8Array | null} */
    this.nearby = null;
  }

  /** @param {(chosen: Chosen, changed: string[]) => void} listener */
  on(listener) {
    this.listeners.push(listener);
  }

  /** Change some of what is chosen; listeners are told once, and only of a change.
   * @param {Partial<Chosen>} changes */
  set(changes) {
    const changed = Object.keys(changes).filter((name) => String(changes[name]) !== String(this.chosen[name]));
    if (!changed.length) return;
    Object.assign(this.chosen, changes);
    if (changed.includes("point")) this.nearby = this.chosen.point < 0 ? null : this.orbit.near(this.chosen.point);
    for (const listener of this.listeners) listener(this.chosen, changed);
  }

  clear() {
    this.set({ window: null, region: -1, point: -1, cycle: -1, hover: -1 });
  }

  /** Whether some states are lit and others not. */
  get isActive() {
    return this.chosen.window !== null || this.chosen.region >= 0 || this.nearby !== null;
  }

  /** Whether state i is lit: inside the window, in the region, near the fixed point, as far as these are chosen.
   * @param {number} i @returns {boolean} */
  lit(i) {
    const { window, region } = this.chosen;
    if (window !== null && (i < window[0] || i > window[1])) return false;
    if (region >= 0 && (this.orbit.regions === null || this.orbit.regions[i] !== region)) return false;
    return this.nearby === null || this.nearby[i] === 1;
  }

  /** In words, for the line under the heading and for readers of the screen. @returns {string} */
  get words() {
    const { window, region, point } = this.chosen;
    const parts = [];
    if (window !== null) parts.push(`states ${window[0]} to ${window[1]}`);
    if (region >= 0) parts.push(`region ${region + 1}`);
    if (point >= 0) parts.push(`near fixed point ${point + 1}`);
    return parts.length ? `Lit: ${parts.join(", ")}. Escape clears.` : "";
  }
}
