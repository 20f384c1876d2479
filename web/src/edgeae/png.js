/** Pictures to PNG files: samples, alpha, colour profile and Exif exactly as they were decoded. */

import { crc32 } from "./checksums.js";
import { concatenated } from "./container.js";
import { deflate } from "./planes.js";

const SIGNATURE = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);
const COLOUR_TYPES = { L: 0, LA: 4, RGB: 2, RGBA: 6 };
const EXIF_PREFIX = Uint8Array.of(0x45, 0x78, 0x69, 0x66, 0, 0); // "Exif\0\0", which PNG leaves out

/** Promise the PNG file of a picture `{ width, height, mode, samples, alpha, icc, exif }`. */
export async function encodePng({ width, height, mode, samples, alpha, icc, exif }) {
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header.set([8, COLOUR_TYPES[mode], 0, 0, 0], 8);
  const chunks = [chunk("IHDR", header)];
  if (icc) {
    const name = new TextEncoder().encode("icc\0\0"); // a name, its end, compression method 0
    chunks.push(chunk("iCCP", concatenated([name, await deflate(icc, "deflate")])));
  }
  if (exif) chunks.push(chunk("eXIf", withoutPrefix(exif)));
  const rows = filtered(interleaved(samples, alpha, width * height), width, height);
  chunks.push(chunk("IDAT", await deflate(rows, "deflate")), chunk("IEND", new Uint8Array(0)));
  return concatenated([SIGNATURE, ...chunks]);
}

function withoutPrefix(exif) {
  const there = EXIF_PREFIX.every((byte, i) => exif[i] === byte);
  return there ? exif.subarray(EXIF_PREFIX.length) : exif;
}

function chunk(name, body) {
  const piece = new Uint8Array(12 + body.length);
  const view = new DataView(piece.buffer);
  view.setUint32(0, body.length);
  piece.set(new TextEncoder().encode(name), 4);
  piece.set(body, 8);
  view.setUint32(8 + body.length, crc32(piece.subarray(4, 8 + body.length)));
  return piece;
}

function interleaved(samples, alpha, count) {
  if (!alpha) return samples;
  const channels = samples.length / count;
  const whole = new Uint8Array(samples.length + count);
  for (let i = 0, at = 0; i < count; i++) {
    for (let c = 0; c < channels; c++) whole[at++] = samples[i * channels + c];
    whole[at++] = alpha[i];
  }
  return whole;
}

/** Return the rows, each with the filter whose residuals have the least sum of magnitudes. */
function filtered(bytes, width, height) {
  const size = bytes.length / height;
  const step = size / width;
  const rows = new Uint8Array((size + 1) * height);
  const trial = new Uint8Array(size);
  for (let i = 0; i < height; i++) {
    const row = bytes.subarray(i * size, (i + 1) * size);
    const above = i ? bytes.subarray((i - 1) * size, i * size) : new Uint8Array(size);
    let least = Infinity;
    PREDICTORS.forEach((predict, filter) => {
      let sum = 0;
      for (let j = 0; j < size; j++) {
        const left = j < step ? 0 : row[j - step];
        const corner = j < step ? 0 : above[j - step];
        trial[j] = row[j] - predict(left, above[j], corner);
        sum += trial[j] < 128 ? trial[j] : 256 - trial[j];
      }
      if (sum >= least) return;
      least = sum;
      rows[i * (size + 1)] = filter;
      rows.set(trial, i * (size + 1) + 1);
    });
  }
  return rows;
}

const PREDICTORS = [
  () => 0,
  (left) => left,
  (_, above) => above,
  (left, above) => (left + above) >> 1,
  (left, above, corner) => {
    const p = left + above - corner;
    const [a, b, c] = [Math.abs(p - left), Math.abs(p - above), Math.abs(p - corner)];
    return a <= b && a <= c ? left : b <= c ? above : corner;
  },
];
