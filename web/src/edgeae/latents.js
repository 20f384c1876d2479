/** The checksum that ties symbols to a file: docs/FORMAT.md, section 7. */

import { crc32 } from "./checksums.js";

/** Return the CRC-32 of z, then symbols, each as int16 little-endian in C order. */
export function symbolsCrc(z, symbols) {
  return crc32(littleEndian(symbols), crc32(littleEndian(z)));
}

/** Return int16 values as little-endian bytes, whatever the machine's own order. */
export function littleEndian(values) {
  const bytes = new Uint8Array(2 * values.length);
  for (let i = 0; i < values.length; i++) {
    bytes[2 * i] = values[i];
    bytes[2 * i + 1] = values[i] >> 8;
  }
  return bytes;
}
