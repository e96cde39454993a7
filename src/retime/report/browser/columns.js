/** Numbers as the page carries them: columns of fixed-point digits and arrays, both in base 64. */

/** @typedef {{low: number, high: number, bits: number, count: number, packed: string}} Column */
/** @typedef {{shape: number[], kind: string, bytes: string}} Packed */
/** @typedef {{shape: number[], data: Float64Array}} Matrix */

/** @param {string} text @returns {Uint8Array} */
function bytesOf(text) {
  const raw = atob(text);
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return bytes;
}

/** The numbers of a column: low + k (high - low) / (2^bits - 1), each k written in digits of four bits, high digit first.
 * @param {Column} column @returns {Float64Array} */
export function unpackColumn(column) {
  const bytes = bytesOf(column.packed);
  const digits = column.bits / 4;
  const values = new Float64Array(column.count);
  const most = 2 ** column.bits - 1;
  const span = column.high / 2 - column.low / 2; // the difference of two large numbers may be none
  let at = 0;
  for (let i = 0; i < column.count; i++) {
    let whole = 0;
    for (let d = 0; d < digits; d++, at++) whole = whole * 16 + (at & 1 ? bytes[at >> 1] & 15 : bytes[at >> 1] >> 4);
    values[i] = 2 * (column.low / 2 + (whole / most) * span);
  }
  return values;
}

/** An array as it is.
 * @param {Packed} packed @returns {Matrix} */
export function unpackArray(packed) {
  const bytes = bytesOf(packed.bytes);
  const numbers = packed.kind === "float32" ? new Float32Array(bytes.buffer) : new Float64Array(bytes.buffer);
  return { shape: packed.shape, data: Float64Array.from(numbers) };
}

/** A number for people: few digits, no exponent where none is needed.
 * @param {number} x @param {number} [digits] @returns {string} */
export function told(x, digits = 4) {
  if (!Number.isFinite(x)) return x === null || Number.isNaN(x) ? "–" : x > 0 ? "∞" : "−∞";
  const size = Math.abs(x);
  const text = size !== 0 && (size < 1e-3 || size >= 1e6) ? x.toExponential(Math.max(digits - 2, 1)) : String(Number(x.toPrecision(digits)));
  return text.replace("-", "−");
}
