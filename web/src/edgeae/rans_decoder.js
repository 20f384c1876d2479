/**
 * Payload to values: interleaved rANS in plain numbers, docs/FORMAT.md, section 5.
 *
 * States stay below 2^32 and products below 2^53, so doubles hold them exactly.
 */

import { TailReader } from "./bits.js";
import { ContainerError } from "./errors.js";
import { LANES_LOG2_MAX } from "./header.js";

const RADIX = 65536;
const HEAD_BITS = 4;

/** Sections of a payload, first to last; unusable after an error. */
export class Decoder {
  /** ContainerError if the payload is too short for its 2^lanesLog2 lanes. */
  constructor(payload, lanesLog2) {
    const lanes = 2 ** lanesLog2;
    if (!(lanesLog2 >= 0 && lanesLog2 <= LANES_LOG2_MAX) || payload.length < 2 * lanes) {
      throw new ContainerError(
        `latents: ${lanes} lanes need ${2 * lanes} bytes, ${payload.length} are there; ` +
          "the file is truncated, copy it again",
      );
    }
    this.payload = payload;
    this.tail = new TailReader(payload);
    this.wordsRead = 0;
    const widths = Uint8Array.from({ length: lanes }, () => this.tail.read(HEAD_BITS));
    this.states = Uint32Array.from(widths, (width) => (2 ** width + this.tail.read(width)) * RADIX);
    for (let lane = 0; lane < lanes; lane++) this.states[lane] += this.word();
  }

  /**
   * Return the values of the next section, Int16Array.
   *
   * `rows` holds the table row of each value; `last` says that the section ends the payload.
   * ContainerError if the payload ends early or late, or no encoder would have written it.
   */
  decode(rows, tables, last) {
    const signed = tables.minimum === null;
    const coded = signed ? nonzeroPositions(rows) : null;
    const count = coded ? coded.length : rows.length;
    const rowOf = coded ? (i) => rows[coded[i]] : (i) => rows[i];
    const symbols = this.symbols(count, rowOf, tables);
    const escapes = [];
    let signs = 0;
    for (let i = 0; i < count; i++) {
      if (symbols[i] === 0 && signed) continue;
      if (signed) signs++;
      if (symbols[i] === tables.escape(rowOf(i))) escapes.push(i);
    }
    const classes = this.symbols(escapes.length, () => tables.length, tables);
    const bypass = this.bypass(signs + classes.reduce((sum, e) => sum + e, 0), last);
    const negative = new Uint8Array(count);
    if (signed) for (let i = 0; i < count; i++) if (symbols[i]) negative[i] = bypass(1);
    const found = Int32Array.from(symbols);
    if (!signed) for (let i = 0; i < count; i++) found[i] += tables.minimum[rowOf(i)];
    escapes.forEach((i, n) => {
      const overflow = 2 ** classes[n] - 1 + bypass(classes[n]);
      if (signed) found[i] += overflow;
      else if (overflow % 2) found[i] = tables.minimum[rowOf(i)] - 1 - (overflow - 1) / 2;
      else found[i] += overflow / 2;
      checkValue(found[i], tables.valueLimit);
    });
    const values = new Int16Array(rows.length);
    for (let i = 0; i < count; i++) values[coded ? coded[i] : i] = negative[i] ? -found[i] : found[i];
    return values;
  }

  /** Return the next `count` symbols; symbol j uses lane j mod L. */
  symbols(count, rowOf, tables) {
    const { states, payload } = this;
    const { start, frequency, cumulative, precision } = tables;
    const slots = 2 ** precision - 1;
    const lanes = states.length - 1;
    const symbols = new Uint8Array(count);
    for (let j = 0; j < count; j++) {
      let x = states[j & lanes];
      const slot = x & slots;
      const row = rowOf(j);
      let low = start[row];
      let high = start[row + 1] - 1; // the last symbol that begins at or before the slot
      while (low < high) {
        const middle = (low + high + 1) >> 1;
        if (cumulative[middle] <= slot) low = middle;
        else high = middle - 1;
      }
      symbols[j] = low - start[row];
      x = frequency[low] * (x >>> precision) + slot - cumulative[low];
      if (x < RADIX) {
        const at = 2 * this.wordsRead++;
        if (at + 2 > payload.length) this.failBeyondEnd();
        x = x * RADIX + payload[at] + 256 * payload[at + 1];
      }
      states[j & lanes] = x;
    }
    return symbols;
  }

  /** Return a function that gives the section's bypass bits, `width` at a time. */
  bypass(total, last) {
    const seeded = last ? Math.min(total, 16 * this.states.length) : 0;
    const direct = total - seeded;
    this.tail.need(direct);
    if (last) this.checkEnd(direct, seeded);
    let taken = 0;
    return (width) => {
      let value = 0;
      for (let left = width; left > 0; taken += 1, left--) {
        // One bit at a time only where a field may lie across the two sources.
        if (taken + left <= direct) {
          value = (value << left) | this.tail.read(left);
          taken += left;
          return value;
        }
        value = 2 * value + (taken < direct ? this.tail.read(1) : this.seedBit(taken - direct));
      }
      return value;
    };
  }

  /** Throw ContainerError unless the payload ends as encoders end it: docs/FORMAT.md, 5.6. */
  checkEnd(direct, seeded) {
    const probe = new TailReader(this.payload);
    probe.position = this.tail.position + direct;
    const used = 2 * this.wordsRead + probe.bytesRead;
    if (used !== this.payload.length) {
      throw new ContainerError(
        `latents: the symbols take ${used} bytes, ${this.payload.length} are there; ` +
          "the file is damaged, copy it again",
      );
    }
    let clean = probe.spareBits === 0 && this.states.every((x) => x >>> 16 === 1);
    for (let bit = seeded; clean && bit < 16 * this.states.length; bit++) {
      clean = this.seedBit(bit) === 0;
    }
    if (!clean) {
      throw new ContainerError(
        `latents: after the last symbol the ${this.states.length} lanes do not end as encoders ` +
          "start them; the file is damaged, or was made with another model",
      );
    }
  }

  seedBit(bit) {
    return (this.states[bit >> 4] >> (15 - (bit & 15))) & 1;
  }

  word() {
    const at = 2 * this.wordsRead++;
    return this.payload[at] + 256 * this.payload[at + 1]; // the constructor has compared sizes
  }

  failBeyondEnd() {
    throw new ContainerError(
      `latents: all ${this.payload.length >> 1} words read and symbols still to come; ` +
        "the file is truncated or damaged, copy it again",
    );
  }
}

function nonzeroPositions(rows) {
  let count = 0;
  for (let i = 0; i < rows.length; i++) if (rows[i]) count++;
  const positions = new Int32Array(count);
  for (let i = 0, at = 0; i < rows.length; i++) if (rows[i]) positions[at++] = i;
  return positions;
}

function checkValue(value, limit) {
  if (Math.abs(value) > limit) {
    throw new ContainerError(
      `latents: an escape decodes to ${value}, beyond +-${limit}; the file is damaged, copy it again`,
    );
  }
}
