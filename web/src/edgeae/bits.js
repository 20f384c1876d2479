/** Bit strings of a payload: they begin in its last byte and run backwards. FORMAT.md, 5.2. */

import { ContainerError } from "./errors.js";

/** Bits from the last byte of a payload backwards, most significant bit first. */
export class TailReader {
  constructor(payload) {
    this.payload = payload;
    this.position = 0; // bits read
  }

  /** Throw ContainerError unless so many bits are left: asked before anything is allocated. */
  need(count) {
    const left = 8 * this.payload.length - this.position;
    if (count > left) {
      throw new ContainerError(
        `latents: needs ${count} more bits, ${left} left of ${this.payload.length} bytes; ` +
          "the file is truncated or damaged, copy it again",
      );
    }
  }

  /** Return the next `count` bits, 0..16, as an integer. */
  read(count) {
    this.need(count);
    const { payload } = this;
    let value = 0;
    for (let left = count; left > 0; ) {
      const offset = this.position & 7;
      const taken = Math.min(left, 8 - offset);
      const byte = payload[payload.length - 1 - (this.position >> 3)];
      value = (value << taken) | ((byte >> (8 - offset - taken)) & ((1 << taken) - 1));
      this.position += taken;
      left -= taken;
    }
    return value;
  }

  /** Bytes of which at least one bit was read. */
  get bytesRead() {
    return (this.position + 7) >> 3;
  }

  /** The unread bits of the last byte read from. */
  get spareBits() {
    return this.read(8 * this.bytesRead - this.position);
  }
}

/** Collects bits, and gives them as the bytes that end a payload. */
export class BitWriter {
  constructor() {
    this.buffer = new Uint8Array(64); // a byte for each bit
    this.length = 0;
  }

  /** Append the `count` low bits of `value`, most significant first. */
  write(value, count) {
    this.reserve(count);
    for (let weight = count - 1; weight >= 0; weight--) {
      this.buffer[this.length++] = (value >> weight) & 1;
    }
  }

  /** Append bits of another writer. */
  append(other, stop = other.length) {
    this.reserve(stop);
    this.buffer.set(other.buffer.subarray(0, stop), this.length);
    this.length += stop;
  }

  /** Return the bytes whose reader finds these bits; spare bits are 0. */
  toTail() {
    const bytes = new Uint8Array((this.length + 7) >> 3);
    for (let i = 0; i < this.length; i++) {
      bytes[bytes.length - 1 - (i >> 3)] |= this.buffer[i] << (7 - (i & 7));
    }
    return bytes;
  }

  reserve(count) {
    if (this.length + count <= this.buffer.length) return;
    const larger = new Uint8Array(2 * (this.length + count));
    larger.set(this.buffer);
    this.buffer = larger;
  }
}
