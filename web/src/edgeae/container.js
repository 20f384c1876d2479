/**
 * Whole .eae files: header, payloads and their checksums. Bytes in, bytes out; what the payloads
 * mean is said elsewhere. docs/FORMAT.md, sections 3 and 4.
 */

import { crc16, crc32 } from "./checksums.js";
import { ContainerError } from "./errors.js";
import * as head from "./header.js";

export const MAX_PIXELS = 268435456; // default limit of what a reader takes on: 16 384 x 16 384

/**
 * Return what `data`, a whole file, holds; every checksum over bytes is verified.
 *
 * The header's fields, and `latents`, `alpha`, `colours`, `icc`, `exif`, `correction` as bytes,
 * undefined where absent; the latents have 0 bytes if there are colours.
 * Order of the checks: header, limit of pixels, lengths, checksums.
 */
export function readContainer(data, { maxPixels = MAX_PIXELS } = {}) {
  const header = head.readHeader(data);
  checkPixels(header.width, header.height, maxPixels);
  const further = header.further.reduce((sum, entry) => sum + entry.length, 0);
  const end = header.size + header.latents.length + further;
  if (data.length < end) {
    throw new ContainerError(
      `the header announces ${end} bytes, ${data.length} are there; the file is truncated, copy it again`,
    );
  }
  if (data.length > end) {
    throw new ContainerError(
      `offset ${end}: ${data.length - end} bytes follow the last section; ${head.DAMAGED}`,
    );
  }
  let offset = header.size + header.latents.length;
  const latents = data.subarray(header.size, offset);
  head.checkCrc("latents", header.size, crc16(latents), header.latents.crc, 4);
  const bodies = new Map();
  for (const { kind, length, crc } of header.further) {
    const body = data.subarray(offset, offset + length);
    head.checkCrc(`section type ${kind}`, offset, crc32(body), crc, 8);
    bodies.set(kind, body);
    offset += length;
  }
  return {
    ...header,
    latents,
    alpha: bodies.get(head.ALPHA),
    colours: bodies.get(head.COLOURS),
    icc: bodies.get(head.ICC),
    exif: bodies.get(head.EXIF),
    correction: bodies.get(head.CORRECTION),
  };
}

/**
 * Return the file of a container; equal containers give equal bytes.
 *
 * `codingId` is 16 hexadecimal digits, `quality` is in hundredths, `latents`, `alpha`, `colours`,
 * `icc`, `exif` and `correction` are bytes; the last five may be absent. RangeError if the format
 * does not allow it.
 */
export function writeContainer(container) {
  head.checkFields(container);
  head.checkAlpha(container.mode, container.alpha !== undefined);
  const latents = { length: container.latents.length, crc: crc16(container.latents) };
  head.checkColours(container, latents, container.colours !== undefined);
  head.checkCorrection(
    container.mode,
    container.colours !== undefined,
    container.correction !== undefined,
  );
  const further = [
    [head.ALPHA, container.alpha],
    [head.COLOURS, container.colours],
    [head.ICC, container.icc],
    [head.EXIF, container.exif],
    [head.CORRECTION, container.correction],
  ].filter(([, body]) => body !== undefined);
  const code = head.MODES.indexOf(container.mode);
  const bytes = [...head.MAGIC];
  bytes.push(
    head.FORMAT_VERSION |
      ((code & 3) << 4) |
      (code > 3 ? head.HIGH_MODE_BIT : 0) |
      (further.length ? head.HAS_TABLE : 0),
  );
  bytes.push(container.steps | (container.lanesLog2 << 4));
  for (let i = 0; i < 16; i += 2) bytes.push(parseInt(container.codingId.slice(i, i + 2), 16));
  const quality =
    Math.floor(container.quality / 100) + head.FRACTION * (container.quality % 100);
  for (const value of [quality, container.width, container.height, latents.length]) {
    pushVarint(bytes, value);
  }
  pushInteger(bytes, container.symbolsCrc, 4);
  pushInteger(bytes, latents.crc, 2);
  if (further.length) bytes.push(further.length);
  for (const [kind, body] of further) {
    bytes.push(kind);
    pushVarint(bytes, body.length);
    pushInteger(bytes, crc32(body), 4);
  }
  pushInteger(bytes, crc32(Uint8Array.from(bytes)), 4);
  return concatenated([Uint8Array.from(bytes), container.latents, ...further.map(([, body]) => body)]);
}

/** Return byte arrays one after the other. */
export function concatenated(pieces) {
  const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let offset = 0;
  for (const piece of pieces) {
    whole.set(piece, offset);
    offset += piece.length;
  }
  return whole;
}

/** Throw ContainerError if there are more pixels than `maxPixels`, MAX_PIXELS if not said. */
export function checkPixels(width, height, maxPixels = MAX_PIXELS) {
  if (width * height > maxPixels) {
    throw new ContainerError(
      `header: ${width} x ${height} is ${width * height} pixels, more than the limit of ${maxPixels}; ` +
        "raise the limit if you trust the file",
    );
  }
}

function pushVarint(bytes, value) {
  if (!(value >= 0 && value <= head.LENGTH_MAX)) throw new RangeError(`${value} is no varint`);
  while (value >= 0x80) {
    bytes.push((value & 0x7f) | 0x80);
    value = Math.floor(value / 128);
  }
  bytes.push(value);
}

function pushInteger(bytes, value, count) {
  for (let i = 0; i < count; i++) bytes.push((value >>> (8 * i)) & 0xff);
}
