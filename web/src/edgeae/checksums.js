/** CRC-32 and CRC-16 as docs/FORMAT.md, section 2, has them, and SHA-256 by the platform. */

import { BundleError } from "./errors.js";

const CRC32_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  return crc;
});

const CRC16_TABLE = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8;
  for (let bit = 0; bit < 8; bit++) crc = (crc << 1) ^ (crc & 0x8000 ? 0x1021 : 0);
  return crc;
});

/** Return the CRC-32 of `bytes`; `start` is that of what came before. */
export function crc32(bytes, start = 0) {
  let crc = ~start;
  for (let i = 0; i < bytes.length; i++) crc = (crc >>> 8) ^ CRC32_TABLE[(crc ^ bytes[i]) & 0xff];
  return ~crc >>> 0;
}

/** Return the CRC-16 of `bytes`: polynomial 0x1021, initial value 0xFFFF. */
export function crc16(bytes) {
  let crc = 0xffff;
  for (let i = 0; i < bytes.length; i++) {
    crc = ((crc << 8) & 0xff00) ^ CRC16_TABLE[(crc >>> 8) ^ bytes[i]];
  }
  return crc;
}

/** Return the SHA-256 of `bytes` as hexadecimal digits. */
export async function sha256(bytes) {
  if (!globalThis.crypto?.subtle) {
    throw new BundleError(
      "this page may not compute SHA-256, so models cannot be checked; open it by https or from 127.0.0.1",
    );
  }
  return hex(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)));
}

/** Return bytes as hexadecimal digits. */
export function hex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
