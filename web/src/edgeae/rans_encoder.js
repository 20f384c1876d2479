/** Values to a payload: docs/FORMAT.md, section 5.8; the same bytes as Python writes. */

import { BitWriter } from "./bits.js";
import { LANES_LOG2_MAX } from "./header.js";
import { overflowClass } from "./tables.js";

const RADIX = 65536;
const HEAD_BITS = 4;
const ROW_LANES = 64; // fewer lanes than this are written as one
const BYTES_PER_LANE = 128;
const SYMBOLS_PER_LANE = 2048;

/**
 * Return `{ payload, lanesLog2 }` of sections `{ values, rows, tables }` in the order of decoding.
 *
 * By default as many lanes as Python takes. RangeError for a value that cannot be coded.
 */
export function encode(sections, lanesLog2) {
  const parts = sections.map(partOf);
  const h = lanesLog2 ?? defaultLanesLog2(parts);
  const lanes = 2 ** h;
  const last = parts.at(-1).bypass;
  const seeded = Math.min(last.length, 16 * lanes);
  const states = new Uint32Array(lanes).fill(RADIX);
  for (let i = 0; i < seeded; i++) {
    states[i >> 4] += last.buffer[last.length - seeded + i] << (15 - (i & 15));
  }
  const emitted = [];
  for (const part of parts.toReversed()) {
    push(states, part.classPositions, part.tables, emitted);
    push(states, part.positions, part.tables, emitted);
  }
  const tail = new BitWriter();
  const widths = Array.from(states, (x) => 31 - Math.clz32(x >>> 16));
  widths.forEach((width) => tail.write(width, HEAD_BITS));
  states.forEach((x, lane) => tail.write((x >>> 16) - 2 ** widths[lane], widths[lane]));
  for (const part of parts.slice(0, -1)) tail.append(part.bypass);
  tail.append(last, last.length - seeded);
  return { payload: withWords(states, emitted, tail.toTail()), lanesLog2: h };
}

/** Return what the tables say that sections cost in bits; lanes and container come on top. */
export function costBits(sections) {
  return sections.map(partOf).reduce((sum, part) => sum + part.costBits, 0);
}

/** Return a section as lists of symbols, by their positions in the flat tables, and bypass bits. */
function partOf({ values, rows, tables }) {
  const signed = tables.minimum === null;
  const positions = new Int32Array(values.length);
  const classPositions = [];
  let count = 0;
  const signs = new BitWriter();
  const remainders = new BitWriter();
  let cost = 0;
  for (let i = 0; i < values.length; i++) {
    const row = rows[i];
    const value = values[i];
    if (Math.abs(value) > tables.valueLimit || !(row < tables.length)) {
      throw new RangeError(`value ${value} of row ${row} cannot be coded`);
    }
    if (signed && row === 0) {
      if (value !== 0) throw new RangeError("index 0 stands for symbol 0, but a symbol there is not 0");
      continue;
    }
    const top = tables.escape(row);
    const shifted = signed ? Math.abs(value) : value - tables.minimum[row];
    const inside = shifted >= 0 && shifted < top;
    positions[count] = tables.start[row] + (inside ? shifted : top);
    cost += tables.symbolCostBits(positions[count++]);
    if (signed && value !== 0) signs.write(value < 0 ? 1 : 0, 1);
    if (inside) continue;
    const overflow = signed
      ? shifted - top
      : shifted >= 0
        ? 2 * (shifted - top)
        : -2 * shifted - 1;
    const e = overflowClass(overflow);
    classPositions.push(tables.start[tables.length] + e);
    cost += tables.symbolCostBits(classPositions.at(-1));
    remainders.write(overflow + 1 - 2 ** e, e);
  }
  signs.append(remainders);
  return {
    positions: positions.subarray(0, count),
    classPositions,
    bypass: signs,
    tables,
    costBits: cost + signs.length,
  };
}

function push(states, positions, tables, emitted) {
  const { frequency, cumulative, precision } = tables;
  const lanes = states.length - 1;
  for (let j = positions.length - 1; j >= 0; j--) {
    let x = states[j & lanes];
    const f = frequency[positions[j]];
    if (x >>> (32 - precision) >= f) {
      emitted.push(x & 0xffff);
      x >>>= 16;
    }
    // Quotients of 32-bit integers are exact in doubles once the fraction is cut off.
    const quotient = Math.floor(x / f);
    states[j & lanes] = quotient * 2 ** precision + (x - quotient * f) + cumulative[positions[j]];
  }
}

function withWords(states, emitted, tail) {
  const payload = new Uint8Array(2 * (states.length + emitted.length) + tail.length);
  let at = 0;
  const word = (value) => {
    payload[at++] = value & 255;
    payload[at++] = (value >> 8) & 255;
  };
  states.forEach((x) => word(x & 0xffff));
  for (let i = emitted.length - 1; i >= 0; i--) word(emitted[i]);
  payload.set(tail, at);
  return payload;
}

function defaultLanesLog2(parts) {
  const bytes = parts.reduce((sum, part) => sum + part.costBits, 0) / 8;
  const symbols = parts.reduce((sum, part) => sum + part.positions.length, 0);
  const wanted = Math.min(
    2 ** LANES_LOG2_MAX,
    Math.max(bytes / BYTES_PER_LANE, symbols / SYMBOLS_PER_LANE),
  );
  return wanted >= ROW_LANES ? 31 - Math.clz32(wanted) : 0;
}
