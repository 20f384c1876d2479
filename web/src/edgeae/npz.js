/** NumPy's archives and arrays, as far as bundles have them: integers and booleans, in C order. */

import { DeflateError, inflate } from "./inflate.js";

const END = 0x06054b50;
const CENTRAL = 0x02014b50;
const LOCAL = 0x04034b50;
const MAX_BYTES = 2 ** 26; // unpacked
const ELEMENTS = { "|b1": Uint8Array, "|u1": Uint8Array, "<u2": Uint16Array, "<i2": Int16Array };
const HEADER = /^\{'descr': '([^']+)', 'fortran_order': (True|False), 'shape': \(([0-9, ]*)\), \}\s*$/;

/**
 * Return the arrays of a .npz file by name: `type` as NumPy writes it, `shape`, `data`, and
 * `bytes`, the elements little-endian.
 *
 * RangeError for anything else than stored or deflated members with the types above.
 */
export function readNpz(data) {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  try {
    return new Map(members(data, view).map(([name, bytes]) => [name, readNpy(bytes)]));
  } catch (error) {
    // A DataView's own RangeError says that an offset lies outside.
    if (error instanceof DeflateError) throw new RangeError(error.message);
    throw error;
  }
}

function members(data, view) {
  let end = data.length - 22;
  while (end >= 0 && view.getUint32(end, true) !== END) end--;
  if (end < 0) throw new RangeError("not a zip archive");
  const found = [];
  let total = 0;
  let at = view.getUint32(end + 16, true);
  for (let left = view.getUint16(end + 10, true); left > 0; left--) {
    if (view.getUint32(at, true) !== CENTRAL) throw new RangeError("a broken zip directory");
    const method = view.getUint16(at + 10, true);
    const packed = view.getUint32(at + 20, true);
    const size = view.getUint32(at + 24, true);
    const nameLength = view.getUint16(at + 28, true);
    const local = view.getUint32(at + 42, true);
    const name = new TextDecoder().decode(data.subarray(at + 46, at + 46 + nameLength));
    total += size;
    if (total > MAX_BYTES) throw new RangeError(`more than ${MAX_BYTES} bytes unpacked`);
    if (view.getUint32(local, true) !== LOCAL) throw new RangeError("a broken zip member");
    const start = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
    const body = data.subarray(start, start + packed);
    if (method !== 0 && method !== 8) throw new RangeError(`zip method ${method} is not supported`);
    found.push([name.replace(/\.npy$/, ""), method === 8 ? inflate(body, size) : body]);
    at += 46 + nameLength + view.getUint16(at + 30, true) + view.getUint16(at + 32, true);
  }
  return found;
}

/** Return the array in a .npy file, as `readNpz` has it. */
function readNpy(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const start = bytes[6] === 1 ? 10 : 12;
  const length = bytes[6] === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  const text = new TextDecoder().decode(bytes.subarray(start, start + length));
  const match = HEADER.exec(text);
  const Elements = match && ELEMENTS[match[1]];
  if (!Elements || match[2] === "True") throw new RangeError(`not an array of a bundle: ${text}`);
  const shape = match[3].split(",").map((part) => part.trim()).filter(Boolean).map(Number);
  const count = shape.reduce((product, side) => product * side, 1);
  const body = bytes.slice(start + length);
  if (body.length !== count * Elements.BYTES_PER_ELEMENT) {
    throw new RangeError(`${body.length} bytes are no array of ${match[1]} (${match[3]})`);
  }
  const data = new Elements(count);
  const values = new DataView(body.buffer);
  for (let i = 0; i < count; i++) {
    data[i] =
      Elements === Uint8Array
        ? body[i]
        : Elements === Int16Array
          ? values.getInt16(2 * i, true)
          : values.getUint16(2 * i, true);
  }
  return { type: match[1], shape, data, bytes: body };
}

/** Return the .npy file of float32 `values` in C order. */
export function writeFloatNpy(values, shape) {
  const axes = shape.length === 1 ? `${shape[0]},` : shape.join(", ");
  let text = `{'descr': '<f4', 'fortran_order': False, 'shape': (${axes}), }`;
  text += `${" ".repeat(63 - ((10 + text.length) % 64))}\n`;
  const file = new Uint8Array(10 + text.length + 4 * values.length);
  file.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, text.length & 255, text.length >> 8]);
  file.set(new TextEncoder().encode(text), 10);
  const view = new DataView(file.buffer, 10 + text.length);
  values.forEach((value, i) => view.setFloat32(4 * i, value, true));
  return file;
}
