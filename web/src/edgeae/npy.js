/** Latents as one NumPy record, the .npy files of `edgeae compress`: docs/FORMAT.md, section 9. */

import { crc32 } from "./checksums.js";
import { checkPixels } from "./container.js";
import { shapeOf } from "./correction.js";
import { ContainerError, VersionError } from "./errors.js";
import {
  DAMAGED,
  MODES,
  QUALITY_MAX,
  SIDE_MAX,
  checkAlpha,
  checkCorrection,
  checkCrc,
} from "./header.js";

const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0];
const VERSION = 1;
const HEADER_BYTES_MAX = 4096;
const RECORD_BYTES_MAX = 2 ** 31 - 1;
const HYPER_LATENT_MAX = 32000;
const SYMBOL_MAX = 32767;
const SINGLE = [
  ["version", "<u2", 2],
  ["coding_id", "<U16", 64],
  ["width", "<u4", 4],
  ["height", "<u4", 4],
  ["mode", "<U4", 16],
  ["quality", "<f8", 8],
  ["crc", "<u4", 4],
  ["check", "<u4", 4],
];
const SHAPED = [
  ["z", "<i2", 2, 3],
  ["symbols", "<i2", 2, 3],
  ["alpha", "|u1", 1, 2],
  ["icc", "|u1", 1, 1],
  ["exif", "|u1", 1, 1],
  ["correction", "|i1", 1, 2],
];
const NEEDED = ["z", "symbols"];
const HEADER = /^\{'descr': \[([^\[\]{}]*)\], 'fortran_order': False, 'shape': \(\), \} *\n$/;
const FIELD = /\('([a-z]+)', '[<|][a-z]\d', \(([\d, ]+)\)\)/g;

/** Whether `data` begins like a .npy file. */
export function isNpy(data) {
  return MAGIC.slice(0, 6).every((byte, i) => data[i] === byte);
}

/**
 * Return what a .npy file of latents holds; its own checksum is verified, not that of the symbols.
 *
 * `codingId`, `width`, `height`, `mode`, `quality` in hundredths, `symbolsCrc`, `symbols` and `z`
 * with `shapes` of both, `alpha`, `icc`, `exif` and `correction`, null where absent.
 */
export function readNpy(data, maxPixels) {
  const { shapes, start } = parse(data);
  const singles = SINGLE.reduce((sum, [, , size]) => sum + size, 0);
  const size = SHAPED.reduce(
    (sum, [name, , bytes]) => sum + (shapes.has(name) ? bytes * product(shapes.get(name)) : 0),
    singles,
  );
  if (size > RECORD_BYTES_MAX || data.length - start !== size) {
    throw new ContainerError(
      `npy, offset ${start}: the record needs ${size} bytes, ${data.length - start} are there; ` +
        "the file is truncated or damaged, copy it again",
    );
  }
  const view = new DataView(data.buffer, data.byteOffset + start, size);
  const at = new Map();
  let offset = 0;
  for (const [name, , bytes] of SINGLE) {
    at.set(name, offset);
    offset += bytes;
  }
  const version = view.getUint16(at.get("version"), true);
  if (version === 0) throw new ContainerError(`npy: version 0 does not exist; ${DAMAGED}`);
  if (version > VERSION) {
    throw new VersionError(`npy: version ${version}, this build reads ${VERSION}; upgrade edgeae`);
  }
  const record = data.subarray(start);
  const check = at.get("check");
  const found = crc32(record.subarray(check + 4), crc32(new Uint8Array(4), crc32(record.subarray(0, check))));
  checkCrc("npy", start, found, view.getUint32(check, true), 8);
  const single = {
    codingId: text(view, at.get("coding_id"), 16),
    width: view.getUint32(at.get("width"), true),
    height: view.getUint32(at.get("height"), true),
    mode: text(view, at.get("mode"), 4),
    quality: Math.round(100 * view.getFloat64(at.get("quality"), true)),
    symbolsCrc: view.getUint32(at.get("crc"), true),
  };
  checkPixels(single.width, single.height, maxPixels);
  const arrays = {};
  for (const [name, type, bytes] of SHAPED) {
    const count = shapes.has(name) ? product(shapes.get(name)) : null;
    arrays[name] = count === null ? null : elements(view, offset, count, type);
    offset += bytes * (count ?? 0);
  }
  try {
    checkFields(single, view.getFloat64(at.get("quality"), true));
    checkAlpha(single.mode, arrays.alpha !== null);
    checkCorrection(single.mode, false, arrays.correction !== null);
    checkArrays(single, arrays, shapes);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new ContainerError(`npy: ${error.message}; the file is damaged or was edited`);
  }
  return { ...single, ...arrays, shapes: { z: shapes.get("z"), symbols: shapes.get("symbols") } };
}

/** Return the shapes of the arrays by name, and where the record starts. */
function parse(data) {
  if (!MAGIC.every((byte, i) => data[i] === byte)) {
    throw new ContainerError("npy, offset 0: not a .npy file of version 1.0");
  }
  const length = data[8] + 256 * data[9];
  const header = new TextDecoder("latin1").decode(data.subarray(10, 10 + length));
  const fields = length <= HEADER_BYTES_MAX && header.length === length && HEADER.exec(header)?.[1];
  if (fields) {
    const shapes = new Map();
    for (const [, name, sides] of fields.matchAll(FIELD)) {
      shapes.set(name, sides.split(",").filter((side) => side.trim()).map(Number));
    }
    // Written back and compared, so that nothing the expressions let through can remain.
    if (isLegal(shapes) && fields === fieldsText(shapes)) return { shapes, start: 10 + length };
  }
  throw new ContainerError(
    `npy, offset 10: the header of ${length} bytes is truncated or not that of edgeae's latents`,
  );
}

function isLegal(shapes) {
  const known = new Map(SHAPED.map(([name, , , axes]) => [name, axes]));
  return (
    NEEDED.every((name) => shapes.has(name)) &&
    [...shapes].every(([name, sides]) => sides.length === known.get(name))
  );
}

function fieldsText(shapes) {
  const single = SINGLE.map(([name, type]) => `('${name}', '${type}')`);
  const shaped = SHAPED.filter(([name]) => shapes.has(name)).map(([name, type]) => {
    const sides = shapes.get(name);
    return `('${name}', '${type}', (${sides.length === 1 ? `${sides[0]},` : sides.join(", ")}))`;
  });
  return [...single, ...shaped].join(", ");
}

function checkFields({ codingId, width, height, mode, quality }, stored) {
  if (!/^[0-9a-f]{16}$/.test(codingId)) throw new RangeError(`coding_id ${codingId} is no 16 digits`);
  if (!MODES.includes(mode)) throw new RangeError(`mode ${mode} is not one of ${MODES.join(", ")}`);
  for (const side of [width, height]) {
    if (side < 1 || side > SIDE_MAX) throw new RangeError(`a side of ${side} is outside 1..${SIDE_MAX}`);
  }
  if (!(quality >= 0 && quality <= QUALITY_MAX) || quality / 100 !== stored) {
    throw new RangeError(`quality ${stored} is no multiple of 0.01 in 0..100`);
  }
}

function checkArrays({ width, height, mode }, { z, symbols, alpha, icc, exif, correction }, shapes) {
  checkMagnitude("z", z, HYPER_LATENT_MAX);
  checkMagnitude("symbols", symbols, SYMBOL_MAX);
  if (!symbols.length) throw new RangeError("symbols are empty");
  if (!z.length && shapes.get("z").some(Boolean)) throw new RangeError("z is empty but not (0, 0, 0)");
  const [rows, columns] = shapes.get("alpha") ?? [height, width];
  if (alpha && (rows !== height || columns !== width)) {
    throw new RangeError(`alpha of (${rows}, ${columns}), not (${height}, ${width})`);
  }
  if (icc?.length === 0 || exif?.length === 0) throw new RangeError("icc or exif is empty");
  if (!correction) return;
  if (String(shapes.get("correction")) !== String(shapeOf(mode))) {
    throw new RangeError(`correction of (${shapes.get("correction")}), not (${shapeOf(mode)})`);
  }
  if (!correction.some(Boolean) || correction.includes(-128)) {
    throw new RangeError("correction has weights beyond +-127, or none but 0");
  }
}

function checkMagnitude(name, values, limit) {
  const wrong = values.find((value) => Math.abs(value) > limit);
  if (wrong !== undefined) throw new RangeError(`${name} has ${wrong}, beyond +-${limit}`);
}

function product(sides) {
  return sides.reduce((total, side) => total * side, 1);
}

/** Return `count` UTF-32 characters without the zeros that end them. */
function text(view, offset, count) {
  const codes = Array.from({ length: count }, (_, i) => view.getUint32(offset + 4 * i, true));
  return codes
    .map((code) => (code < 0x80 ? String.fromCharCode(code) : "?"))
    .join("")
    .replace(/\0+$/, "");
}

function elements(view, offset, count, type) {
  const Bytes = { "|u1": Uint8Array, "|i1": Int8Array }[type];
  if (Bytes) return new Bytes(view.buffer, view.byteOffset + offset, count).slice();
  return Int16Array.from({ length: count }, (_, i) => view.getInt16(offset + 2 * i, true));
}
