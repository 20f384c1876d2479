/** Real latents to integer symbols, by rate and distortion as Python's effort 0 does. */

import { GraphError } from "./errors.js";
import { overflowClass } from "./tables.js";

const MAGNITUDES = 32; // thresholds a row
const BITS_PER_SQUARE = 48; // what one squared quantization step is worth; docs/decisions/0006

/** Return the nearest integer, ties to the even one, within +-limit; GraphError if not finite. */
export function nearest(value, limit) {
  if (!Number.isFinite(value)) {
    throw new GraphError(
      "the encoder gave latents that are not finite numbers; train the model further",
    );
  }
  let rounded = Math.floor(value + 0.5);
  if (rounded - value === 0.5 && rounded % 2) rounded -= 1;
  return Math.max(-limit, Math.min(limit, rounded));
}

/**
 * Return Float32Array [rows, 32]: below entry [r, n - 1] a magnitude of row r is n - 1, not n.
 *
 * Bits plus the squared error's worth in bits are least with these.
 */
export function thresholds(tables) {
  const bounds = new Float32Array(tables.length * MAGNITUDES);
  for (let row = 0; row < tables.length; row++) {
    for (let n = 1; n <= MAGNITUDES; n++) {
      const price = row ? magnitudeBits(tables, row, n) - magnitudeBits(tables, row, n - 1) : Infinity;
      const bound = n - 0.5 + price / (2 * BITS_PER_SQUARE);
      bounds[row * MAGNITUDES + n - 1] = Math.min(n, Math.max(n - 0.5, bound));
    }
  }
  return bounds;
}

/**
 * Return the symbol of a real value with table row `row`; row 0 gives 0.
 *
 * `bounds` are those of `thresholds`.
 */
export function cheapest(value, row, bounds, limit) {
  const symbol = nearest(value, limit);
  const magnitude = Math.abs(symbol);
  if (row === 0 || magnitude === 0) return 0;
  if (magnitude > MAGNITUDES) return symbol;
  const pays = Math.abs(value) < bounds[row * MAGNITUDES + magnitude - 1];
  return pays ? symbol - Math.sign(symbol) : symbol;
}

function magnitudeBits(tables, row, magnitude) {
  const top = tables.escape(row);
  let bits = tables.symbolCostBits(tables.start[row] + Math.min(magnitude, top));
  if (magnitude > 0) bits += 1;
  if (magnitude < top) return bits;
  const e = overflowClass(magnitude - top);
  return bits + tables.symbolCostBits(tables.start[tables.length] + e) + e;
}
