/** Units of the page's script that need no browser: `node --test`. Numbers to compare with come from Python, in the file RETIME_CASES. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { commaSeparated, SvgContext, ticks } from "../../src/retime/report/browser/canvas.js";
import { told, unpackArray, unpackColumn } from "../../src/retime/report/browser/columns.js";
import { eigenvalues, principalAxes, solve } from "../../src/retime/report/browser/matrix.js";
import { Network } from "../../src/retime/report/browser/network.js";
import { Selection } from "../../src/retime/report/browser/selection.js";

const cases = JSON.parse(readFileSync(process.env.RETIME_CASES, "utf8"));

/** @param {ArrayLike<number>} got @param {ArrayLike<number>} want @param {number} off */
function near(got, want, off, name = "") {
  assert.equal(got.length, want.length, name);
  for (let k = 0; k < want.length; k++) assert.ok(Math.abs(got[k] - want[k]) <= off * Math.max(1, Math.abs(want[k])), `${name} ${k}: ${got[k]} is not ${want[k]}`);
}

test("columns and arrays come back as Python packed them", () => {
  assert.ok(cases.columns.length > 3);
  for (const { packed, values, off } of cases.columns) near(unpackColumn(packed), values, off);
  for (const { packed, values } of cases.arrays) assert.deepEqual(Array.from(unpackArray(packed).data), values);
});

test("eigenvalues are those of LAPACK", () => {
  assert.ok(cases.spectra.length > 5);
  const order = (w) => w.slice().sort((x, y) => x[0] - y[0] || x[1] - y[1]);
  for (const { matrix, n, values } of cases.spectra) {
    const left = order(values);
    for (const [a, b] of eigenvalues(Float64Array.from(matrix), n)) {
      const k = left.findIndex(([c, d]) => Math.hypot(a - c, b - d) < 1e-7);
      assert.ok(k >= 0, `${a} + ${b} i is none of ${JSON.stringify(left)}`);
      left.splice(k, 1);
    }
    assert.equal(left.length, 0);
  }
});

test("linear equations are solved, and singular ones are told", () => {
  near(solve(Float64Array.from([0, 2, 1, 3]), Float64Array.from([4, 5])), [-1, 2], 1e-14);
  assert.equal(solve(Float64Array.from([1, 2, 2, 4]), Float64Array.from([1, 1])), null);
});

test("principal axes: most spread first, orthonormal", () => {
  const rows = principalAxes([[0, 0, 0, 0], [-9, 9, -9, 9], [-1, -1, 1, 1]]);
  near(rows[0].map(Math.abs), [0, 1, 0], 1e-12);
  near(rows[1].map(Math.abs), [0, 0, 1], 1e-12);
});

test("every family that is live steps as the library does", () => {
  assert.ok(cases.networks.length >= 12);
  for (const { name, live, z0, states, outputs, pattern, jacobian } of cases.networks) {
    const network = new Network(live);
    assert.equal(network.isContinuous, live.continuous);
    const path = live.continuous ? states.map((z) => network.apply(Float64Array.from(z[0]))) : network.run(Float64Array.from(z0), states.length - 1);
    states.forEach((z, k) => near(path[k], live.continuous ? z[1] : z, 1e-9, `${name} at ${k}`));
    if (outputs) near(network.outputs(Float64Array.from(z0)), outputs, 1e-9, `${name} outputs`);
    if (pattern !== null) assert.equal(network.pattern(Float64Array.from(z0)), pattern, name);
    near(network.jacobian(Float64Array.from(z0)), jacobian, 1e-6, `${name} jacobian`);
  }
});

test("a state of the orbit is found again from the states that are kept", () => {
  const { live, every, orbit } = cases.anchored;
  const network = new Network(live);
  for (const { index, state } of orbit) near(network.stateAt(index, every), state, 1e-9, `state ${index}`);
});

test("the clock-held flow arrives at the map's next state", () => {
  const { live, z0, next } = cases.flow;
  const path = new Network(live).between(Float64Array.from(z0));
  assert.equal(path.length, live.flow.per);
  near(path[path.length - 1], next, 1e-5);
});

test("fixed points are followed by Newton's method, and told when they are gone", () => {
  const { live, near: from, state, stable } = cases.fixed;
  const found = new Network(live).fixedPoint(Float64Array.from(from));
  near(found.state, state, 1e-9);
  assert.equal(found.stable, stable);
  const none = new Network({ ...live, arrays: { ...live.arrays, A: cases.fixed.identity, W1: cases.fixed.zero } });
  assert.equal(none.fixedPoint(Float64Array.from(from)), null);
});

test("the selection lights what is in the window, in the region and near the point, and tells once", () => {
  const s = new Selection({ count: 6, regions: [0, 0, 1, 1, 0, 1], near: () => Uint8Array.from([0, 0, 0, 1, 1, 1]) });
  const told_ = [];
  s.on((_, changed) => told_.push(changed.join()));
  const lit = () => [0, 1, 2, 3, 4, 5].filter((i) => s.lit(i)).join("");
  assert.equal(lit(), "012345");
  s.set({ window: [1, 4] });
  assert.equal(lit(), "1234");
  s.set({ region: 1 });
  assert.equal(lit(), "23");
  s.set({ point: 0 });
  assert.equal(lit(), "3");
  s.set({ point: 0 });
  assert.deepEqual(told_, ["window", "region", "point"]);
  s.clear();
  assert.equal(s.isActive, false);
});

test("numbers are told with few digits, and what is none is a dash", () => {
  assert.deepEqual([1234.5678, -0.5, 1e-7, NaN, Infinity, 0].map((x) => told(x, 3)), ["1230", "−0.5", "1.0e−7", "–", "∞", "0"]);
});

test("ticks lie inside and are round; a range without width has one", () => {
  assert.deepEqual(ticks(-1, 1, 4), [-1, -0.5, 0, 0.5, 1]);
  assert.deepEqual(ticks(2, 2, 4), [2]);
});

test("names cannot break a table or a drawing", () => {
  assert.equal(commaSeparated(['a"b', "x,y"], [[1, 2], [3]]), '"a""b","x,y"\n1,3\n2,\n');
  const svg = new SvgContext(10, 10, "#fff");
  svg.fillText("</text><script>", 0, 0);
  assert.ok(!svg.text.includes("<script>"));
});
