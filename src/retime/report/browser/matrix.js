/** Small dense linear algebra: products, a solver, eigenvalues. Matrices are row-major arrays. */

/** y = A x + y.
 * @param {{shape: number[], data: Float64Array}} A @param {ArrayLike<number>} x @param {Float64Array} y */
export function addProduct(A, x, y) {
  const [rows, columns] = A.shape;
  const a = A.data;
  for (let i = 0, k = 0; i < rows; i++) {
    let sum = 0;
    for (let j = 0; j < columns; j++, k++) sum += a[k] * x[j];
    y[i] += sum;
  }
  return y;
}

/** The solution of A x = b by elimination with pivots; null where A is singular to rounding. A and b are overwritten.
 * @param {Float64Array} A @param {Float64Array} b @returns {Float64Array | null} */
export function solve(A, b) {
  const n = b.length;
  let largest = 0;
  for (const x of A) largest = Math.max(largest, Math.abs(x));
  for (let k = 0; k < n; k++) {
    let pivot = k;
    for (let i = k + 1; i < n; i++) if (Math.abs(A[i * n + k]) > Math.abs(A[pivot * n + k])) pivot = i;
    if (!(Math.abs(A[pivot * n + k]) > 1e-14 * largest)) return null;
    if (pivot !== k) {
      for (let j = 0; j < n; j++) [A[k * n + j], A[pivot * n + j]] = [A[pivot * n + j], A[k * n + j]];
      [b[k], b[pivot]] = [b[pivot], b[k]];
    }
    for (let i = k + 1; i < n; i++) {
      const share = A[i * n + k] / A[k * n + k];
      if (share === 0) continue;
      for (let j = k; j < n; j++) A[i * n + j] -= share * A[k * n + j];
      b[i] -= share * b[k];
    }
  }
  for (let i = n - 1; i >= 0; i--) {
    for (let j = i + 1; j < n; j++) b[i] -= A[i * n + j] * b[j];
    b[i] /= A[i * n + i];
  }
  return b;
}

/** Eigenvalues of a real matrix: rotations to Hessenberg form, then the QR algorithm with complex shifts.
 * @param {Float64Array} A @param {number} n @returns {[number, number][]} */
export function eigenvalues(A, n) {
  const re = Float64Array.from(A);
  const im = new Float64Array(n * n);
  const rotate = { re, im, n };
  for (let k = 0; k < n - 2; k++) {
    for (let i = n - 1; i > k + 1; i--) if (re[i * n + k] !== 0) turn(rotate, i - 1, i, k, 0, n - 1, k, n - 1, true);
  }
  /** @type {[number, number][]} */
  const found = [];
  let last = n - 1;
  for (let tries = 0; last >= 0 && tries < 60 * n; tries++) {
    let first = last;
    while (first > 0 && !isSmall(re, im, n, first)) first--;
    if (first === last) {
      found.push([re[last * n + last], im[last * n + last]]);
      last--;
      continue;
    }
    const [x, y] = tries % 11 === 10 ? [re[last * n + last] + Math.abs(re[last * n + last - 1]), im[last * n + last]] : shift(re, im, n, last);
    for (let i = first; i <= last; i++) {
      re[i * n + i] -= x;
      im[i * n + i] -= y;
    }
    sweep(rotate, first, last);
    for (let i = first; i <= last; i++) {
      re[i * n + i] += x;
      im[i * n + i] += y;
    }
  }
  const size = Math.max(...found.map(([a, b]) => Math.hypot(a, b)), 1e-300);
  return found.map(([a, b]) => [a, Math.abs(b) < 1e-12 * size ? 0 : b]);
}

/** @returns {boolean} whether the entry left of the diagonal in this row is rounding; it is then set to zero */
function isSmall(re, im, n, row) {
  const a = row * n + row - 1;
  const beside = Math.abs(re[a - n]) + Math.abs(im[a - n]) + Math.abs(re[a + 1]) + Math.abs(im[a + 1]);
  if (Math.abs(re[a]) + Math.abs(im[a]) > 2.2e-16 * (beside || 1)) return false;
  re[a] = im[a] = 0;
  return true;
}

/** The rotation of rows i and j that makes entry (j, column) zero; with `both` also of columns, so that eigenvalues stay. */
function turn(m, i, j, column, top, bottom, left, right, both) {
  const { re, im, n } = m;
  const p = i * n + column;
  const q = j * n + column;
  const r = Math.hypot(re[p], im[p], re[q], im[q]);
  const g = r === 0 ? [1, 0, 0, 0] : [re[p] / r, im[p] / r, re[q] / r, im[q] / r];
  for (let k = left; k <= right; k++) pair(re, im, i * n + k, j * n + k, g[0], -g[1], g[2], -g[3]);
  if (both) for (let k = top; k <= bottom; k++) pair(re, im, k * n + i, k * n + j, g[0], g[1], g[2], g[3]);
  return g;
}

/** (u, v) becomes (c u + s v, -conj(s) u + conj(c) v), complex. */
function pair(re, im, u, v, c, d, s, t) {
  const [a, b, e, f] = [re[u], im[u], re[v], im[v]];
  re[u] = c * a - d * b + s * e - t * f;
  im[u] = c * b + d * a + s * f + t * e;
  re[v] = -(s * a + t * b) + c * e + d * f;
  im[v] = -(s * b - t * a) + c * f - d * e;
}

/** One QR step of the block from first to last. */
function sweep(m, first, last) {
  const { re, im, n } = m;
  const turns = [];
  for (let k = first; k < last; k++) turns.push(turn(m, k, k + 1, k, 0, 0, k, last, false));
  turns.forEach((g, index) => {
    const k = first + index;
    for (let i = first; i <= Math.min(k + 1, last); i++) pair(re, im, i * n + k, i * n + k + 1, g[0], g[1], g[2], g[3]);
  });
}

/** The eigenvalue of the last two by two block that is nearer to its last entry. */
function shift(re, im, n, last) {
  const at = (i, j) => [re[(last - 1 + i) * n + last - 1 + j], im[(last - 1 + i) * n + last - 1 + j]];
  const [a, b, c, d] = [at(0, 0), at(0, 1), at(1, 0), at(1, 1)];
  const half = [(a[0] - d[0]) / 2, (a[1] - d[1]) / 2];
  const inside = [
    half[0] ** 2 - half[1] ** 2 + b[0] * c[0] - b[1] * c[1],
    2 * half[0] * half[1] + b[0] * c[1] + b[1] * c[0],
  ];
  const size = Math.sqrt(Math.hypot(inside[0], inside[1]));
  const angle = Math.atan2(inside[1], inside[0]) / 2;
  let root = [size * Math.cos(angle), size * Math.sin(angle)];
  if (root[0] * half[0] + root[1] * half[1] > 0) root = [-root[0], -root[1]];
  return [d[0] + half[0] + root[0], d[1] + half[1] + root[1]];
}

/** The principal axes of points in space, most spread first: three rows.
 * @param {ArrayLike<number>[]} columns three columns of equal length @returns {number[][]} */
export function principalAxes(columns) {
  const count = columns[0].length || 1;
  const mean = columns.map((c) => Array.prototype.reduce.call(c, (s, x) => s + x, 0) / count);
  const S = columns.map((a, i) => columns.map((b, j) => {
    let sum = 0;
    for (let k = 0; k < a.length; k++) sum += (a[k] - mean[i]) * (b[k] - mean[j]);
    return sum / count;
  }));
  const V = [[1, 0, 0], [0, 1, 0], [0, 0, 1]];
  for (let round = 0; round < 30; round++) {
    for (const [p, q] of [[0, 1], [0, 2], [1, 2]]) {
      if (Math.abs(S[p][q]) < 1e-300) continue;
      const angle = 0.5 * Math.atan2(2 * S[p][q], S[q][q] - S[p][p]);
      const [c, s] = [Math.cos(angle), Math.sin(angle)];
      for (let k = 0; k < 3; k++) [S[k][p], S[k][q]] = [c * S[k][p] - s * S[k][q], s * S[k][p] + c * S[k][q]];
      for (let k = 0; k < 3; k++) {
        [S[p][k], S[q][k]] = [c * S[p][k] - s * S[q][k], s * S[p][k] + c * S[q][k]];
        [V[p][k], V[q][k]] = [c * V[p][k] - s * V[q][k], s * V[p][k] + c * V[q][k]];
      }
    }
  }
  return [0, 1, 2].sort((i, j) => S[j][j] - S[i][i]).map((i) => V[i]);
}
