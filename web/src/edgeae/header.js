/** The header of an .eae file: docs/FORMAT.md, section 3. Bytes in, values out. */

import { crc32, hex } from "./checksums.js";
import { ContainerError, VersionError } from "./errors.js";

export const MAGIC = Uint8Array.of(0x89, 0x45, 0x41, 0x45, 0x0d, 0x0a, 0x1a, 0x0a);
export const FORMAT_VERSION = 1;
export const MODES = ["L", "LA", "RGB", "RGBA", "F"]; // position = code in the file
export const SIDE_MAX = 65535;
export const QUALITY_MAX = 10000; // hundredths
export const STEPS_MAX = 15;
export const LANES_LOG2_MAX = 10;
export const LENGTH_MAX = 2 ** 31 - 1; // bytes of one payload
export const ALPHA = 0x01;
export const COLOURS = 0x02;
export const ICC = 0x81;
export const EXIF = 0x82;
export const CORRECTION = 0x83;
export const HAS_TABLE = 0x40;
export const HIGH_MODE_BIT = 0x80;
export const FRACTION = 128; // quality is one varint: whole part + 128 * hundredths
export const DAMAGED = "the file is damaged, copy it again";
export const WRITER = "the file's writer is at fault";

const SECTIONS_MAX = 15;
const ANCILLARY = 0x80; // bit of a section's type: a reader that does not know it skips it
const HEADER_BYTES_MAX = 192;
const VARINT_BYTES_MAX = 5;
const CRC16_OF_NOTHING = 0xffff;

/** Reads a header front to back and never beyond its end. */
class Cursor {
  constructor(data) {
    this.data = data;
    this.offset = 0;
  }

  take(count) {
    const piece = this.data.subarray(this.offset, this.offset + count);
    if (piece.length < count) {
      throw new ContainerError(
        `header, offset ${this.offset}: needs ${count} bytes, ${piece.length} left; ` +
          "the file is truncated, copy it again",
      );
    }
    this.offset += count;
    return piece;
  }

  integer(count) {
    const bytes = this.take(count);
    let value = 0;
    for (let i = count - 1; i >= 0; i--) value = value * 256 + bytes[i];
    return value;
  }

  varint() {
    const start = this.offset;
    let value = 0;
    for (let i = 0; i < VARINT_BYTES_MAX; i++) {
      const byte = this.integer(1);
      value += (byte & 0x7f) * 2 ** (7 * i);
      if (byte >= 0x80) continue;
      if (value > LENGTH_MAX || (byte === 0 && i > 0)) {
        throw new ContainerError(
          `header, offset ${start}: varint ${value} is too large or has a needless byte; ${DAMAGED}`,
        );
      }
      return value;
    }
    throw new ContainerError(`header, offset ${start}: varint beyond 5 bytes; ${DAMAGED}`);
  }
}

/**
 * Return the header that `data` begins with; its checksum is verified.
 *
 * `quality` is in hundredths; `latents` and `further` say lengths and checksums of the payloads,
 * `size` the header's own bytes.
 */
export function readHeader(data) {
  const cursor = new Cursor(data.subarray(0, HEADER_BYTES_MAX));
  checkMagic(cursor.take(Math.min(MAGIC.length, data.length)));
  const flags = cursor.integer(1);
  checkVersion(flags & 0x0f);
  const stepsAndLanes = cursor.integer(1);
  const codingId = hex(cursor.take(8));
  const quality = cursor.varint();
  const width = cursor.varint();
  const height = cursor.varint();
  const length = cursor.varint();
  const symbolsCrc = cursor.integer(4);
  const latents = { length, crc: cursor.integer(2) };
  const count = flags & HAS_TABLE ? cursor.integer(1) : 0;
  if (count > SECTIONS_MAX) {
    throw new ContainerError(`header: ${count} sections are more than ${SECTIONS_MAX}; ${DAMAGED}`);
  }
  const further = [];
  for (let i = 0; i < count; i++) {
    further.push({ kind: cursor.integer(1), length: cursor.varint(), crc: cursor.integer(4) });
  }
  const crc = crc32(data.subarray(0, cursor.offset));
  checkCrc("header", 0, crc, cursor.integer(4), 8);
  // The bytes are as written from here on, so what is wrong below is the writer's doing.
  const mode = ((flags >> 4) & 0x03) | (flags & HIGH_MODE_BIT ? 4 : 0);
  if (mode >= MODES.length) {
    throw new VersionError(`header, offset 8: mode ${mode} is unknown; upgrade edgeae`);
  }
  if (flags & HAS_TABLE && count === 0) {
    throw new ContainerError(`header: an empty section table; ${WRITER}`);
  }
  checkTable(further);
  const header = {
    codingId,
    width,
    height,
    mode: MODES[mode],
    quality: 100 * (quality % FRACTION) + Math.floor(quality / FRACTION),
    steps: stepsAndLanes & 0x0f,
    lanesLog2: stepsAndLanes >> 4,
    symbolsCrc,
    latents,
    further,
    size: cursor.offset,
  };
  try {
    checkRange("hundredths of quality", Math.floor(quality / FRACTION), 0, 99);
    checkFields(header);
    checkAlpha(header.mode, further.some((entry) => entry.kind === ALPHA));
    const has = (kind) => further.some((entry) => entry.kind === kind);
    checkColours(header, latents, has(COLOURS));
    checkCorrection(header.mode, has(COLOURS), has(CORRECTION));
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new ContainerError(`header: ${error.message}; ${WRITER}`);
  }
  return header;
}

/** Throw RangeError if a field is outside what docs/FORMAT.md allows. */
export function checkFields({ width, height, mode, quality, steps, lanesLog2 }) {
  checkRange("lanes_log2", lanesLog2, 0, LANES_LOG2_MAX);
  checkRange("width", width, 1, SIDE_MAX);
  checkRange("height", height, 1, SIDE_MAX);
  if (!MODES.includes(mode)) throw new RangeError(`mode ${mode} is not one of ${MODES.join(", ")}`);
  checkRange("quality", quality, 0, QUALITY_MAX);
  checkRange("steps", steps, 0, STEPS_MAX);
}

/** Throw RangeError unless an alpha section is there if and only if the mode has alpha. */
export function checkAlpha(mode, present) {
  if (present !== (mode === "LA" || mode === "RGBA")) {
    throw new RangeError(`mode ${mode} and ${present ? "an" : "no"} alpha section contradict`);
  }
}

/**
 * Throw RangeError unless colours are there if and only if `latents`, `{ length, crc }`, are not,
 * and the other fields suit them.
 */
export function checkColours({ mode, steps, lanesLog2, symbolsCrc }, latents, present) {
  if (present !== (latents.length === 0)) {
    throw new RangeError(
      `latents of ${latents.length} bytes and ${present ? "a" : "no"} colours section contradict`,
    );
  }
  if (!present) return;
  if (mode === "F" || steps === 0) {
    throw new RangeError(`mode ${mode} of ${steps} steps and a colours section contradict`);
  }
  for (const [what, value, expected] of [
    ["lanes_log2", lanesLog2, 0],
    ["CRC-32 of the symbols", symbolsCrc, 0],
    ["CRC-16 of the latents", latents.crc, CRC16_OF_NOTHING],
  ]) {
    if (value === expected) continue;
    throw new RangeError(`${what} ${value} is not ${expected} beside a colours section`);
  }
}

/** Throw RangeError if a correction is there where there is nothing to correct. */
export function checkCorrection(mode, colours, present) {
  if (present && (mode === "F" || colours)) {
    throw new RangeError(`${colours ? "colours" : "an array"} and a correction contradict`);
  }
}

/** Throw ContainerError if a checksum differs from the stored one. */
export function checkCrc(what, offset, computed, stored, digits) {
  if (computed === stored) return;
  const text = (value) => value.toString(16).padStart(digits, "0");
  throw new ContainerError(
    `${what}, offset ${offset}: checksum is ${text(computed)}, stored is ${text(stored)}; ${DAMAGED}`,
  );
}

function checkMagic(found) {
  if (found.length === MAGIC.length && found.every((byte, i) => byte === MAGIC[i])) return;
  if (found.length && found.every((byte, i) => byte === MAGIC[i])) {
    throw new ContainerError(`${found.length} bytes are there; the file is truncated, copy it again`);
  }
  if (found.length >= 4 && found.subarray(0, 4).every((byte, i) => byte === MAGIC[i])) {
    throw new ContainerError(
      `offset 0: magic ${hex(found)} is not ${hex(MAGIC)}; line endings were changed, ` +
        "copy the file again in binary mode",
    );
  }
  throw new ContainerError(
    `offset 0: magic ${hex(found) || "of 0 bytes"} is not ${hex(MAGIC)}; not an .eae file`,
  );
}

function checkVersion(version) {
  if (version === 0) {
    throw new ContainerError(`header, offset 8: version 0 does not exist; ${DAMAGED}`);
  }
  if (version > FORMAT_VERSION) {
    throw new VersionError(
      `header, offset 8: format version ${version}, this build reads ${FORMAT_VERSION}; upgrade edgeae`,
    );
  }
}

function checkTable(entries) {
  const kinds = entries.map((entry) => entry.kind);
  if (kinds.some((kind, i) => i > 0 && kinds[i - 1] >= kind)) {
    throw new ContainerError(`header: section types [${kinds.join(", ")}] do not ascend; ${WRITER}`);
  }
  for (const { kind, length } of entries) {
    if (length === 0) {
      throw new ContainerError(`header: section type ${kind} has 0 bytes; ${WRITER}`);
    }
    if (![ALPHA, COLOURS, ICC, EXIF].includes(kind) && !(kind & ANCILLARY)) {
      throw new VersionError(
        `header: section type ${kind} is unknown and must not be skipped; upgrade edgeae`,
      );
    }
  }
}

function checkRange(what, value, lowest, highest) {
  if (!(value >= lowest && value <= highest)) {
    throw new RangeError(`${what} ${value} is outside ${lowest}..${highest}`);
  }
}
