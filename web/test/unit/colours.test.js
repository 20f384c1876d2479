/** Files of colours in place of latents, written here byte by byte: docs/FORMAT.md, section 8.1. */

import assert from "node:assert/strict";
import { test } from "node:test";
import zlib from "node:zlib";

import * as edgeae from "../../src/edgeae/index.js";
import { decodeColours } from "../../src/edgeae/colours.js";
import { GOLDEN, ROOT, bundleIn, bytesOf } from "../bundles.js";

const TINY = "tests/bundles/tiny";
const MAGIC = [0x89, 0x45, 0x41, 0x45, 0x0d, 0x0a, 0x1a, 0x0a];
const MODES = { L: 0x00, LA: 0x10, RGB: 0x20, RGBA: 0x30, F: 0x80 };
const [ALPHA, COLOURS, ICC] = [0x01, 0x02, 0x81];
const FIELDS = {
  width: 3,
  height: 2,
  mode: "L",
  quality: 20,
  steps: 2,
  lanesLog2: 0,
  crc32: 0,
  crc16: 0xffff,
};
const INDEXES = [0, 1, 2, 2, 1, 0];
const GREYS = [[10], [128], [255]];
const REDS = [[1, 2, 3], [1, 2, 4], [200, 0, 0]];
const MIXED = [[1, 2, 3], [1, 3, 0], [1, 2, 9]];

/** Every graph is refused: what decodes with this ran no network. */
const ort = {
  InferenceSession: { create: () => assert.fail("a session was made") },
  Tensor: class {
    constructor() {
      assert.fail("a tensor was made");
    }
  },
};

/** Return a file of the fields and sections, which are pairs of a type and bytes. */
function fileOf(fields, sections, latents = []) {
  const all = { ...FIELDS, ...fields };
  const head = [...MAGIC, 0x01 | MODES[all.mode] | (sections.length ? 0x40 : 0)];
  head.push(all.steps | (all.lanesLog2 << 4), ...Buffer.from(all.codingId, "hex"));
  head.push(all.quality, ...varint(all.width), ...varint(all.height), latents.length);
  head.push(...little(all.crc32, 4), ...little(all.crc16, 2));
  if (sections.length) head.push(sections.length);
  for (const [kind, body] of sections) {
    head.push(kind, ...varint(body.length), ...little(checksum(body), 4));
  }
  head.push(...little(checksum(head), 4));
  return Uint8Array.from([...head, ...latents, ...sections.flatMap(([, body]) => [...body])]);
}

/** Return the bytes of a colours section of up to 16 colours; the plane has filter 1. */
function coloursOf(palette, indexes, width = 3) {
  const bits = [1, 2, 4].find((some) => palette.length <= 2 ** some);
  const rows = [];
  for (let start = 0; start < indexes.length; start += width) {
    const row = indexes.slice(start, start + width);
    const text = row.map((index) => index.toString(2).padStart(bits, "0")).join("");
    rows.push(...text.match(/.{1,8}/g).map((byte) => parseInt(byte.padEnd(8, "0"), 2)));
  }
  const stream = zlib.deflateRawSync(Uint8Array.from(rows));
  return [palette.length - 1, ...palette.flat(), 1, ...stream];
}

function varint(value) {
  return value < 128 ? [value] : [(value & 127) | 128, ...varint(value >> 7)];
}

function little(value, count) {
  return Array.from({ length: count }, (_, i) => (value >>> (8 * i)) & 255);
}

function checksum(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let i = 0; i < 8; i++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return ~crc >>> 0;
}

function codingIdOf(path) {
  return JSON.parse(Buffer.from(bytesOf(new URL(`${path}/manifest.json`, ROOT)))).coding_id;
}

const codingId = codingIdOf(TINY);
const codec = await edgeae.Codec.load(bundleIn(TINY), { ort });
const file = (fields, ...sections) => fileOf({ codingId, ...fields }, sections);
const good = coloursOf(GREYS, INDEXES);

test("a grey picture is exact, and no network runs", async () => {
  const stages = [];
  const picture = await codec.decompress(file({}, [COLOURS, good]), {
    onProgress: (stage) => stages.push(stage),
  });
  const { milliseconds, ...rest } = picture;
  const none = new Int16Array(0);
  assert.deepEqual(rest, {
    width: 3,
    height: 2,
    mode: "L",
    quality: 20,
    samples: Uint8Array.of(10, 128, 255, 255, 128, 10),
    colours: 3,
    alpha: null,
    icc: null,
    exif: null,
    symbols: none,
    z: none,
    correction: null,
  });
  assert.deepEqual(Object.keys(milliseconds), ["entropy"]);
  assert.deepEqual(stages, ["entropy"]);
});

test("no bundle is needed", async () => {
  const data = fileOf({ codingId: "00".repeat(8) }, [[COLOURS, good]]);
  const picture = await edgeae.exactPicture(edgeae.readContainer(data));
  assert.deepEqual([picture.mode, picture.colours, ...picture.samples], ["L", 3, 10, 128, 255, 255, 128, 10]);
  await assert.rejects(codec.decompress(data), edgeae.BundleError);
  const latents = edgeae.readContainer(bytesOf(new URL("tiny-eye-50.eae", GOLDEN)));
  assert.equal(await edgeae.exactPicture(latents), null);
});

test("alpha and metadata come on top, grey or not", async () => {
  const alpha = [0, 9];
  for (const [mode, palette] of [["LA", GREYS], ["RGBA", REDS]]) {
    const sections = [[ALPHA, alpha], [COLOURS, coloursOf(palette, INDEXES)], [ICC, [5, 6]]];
    const picture = await codec.decompress(file({ mode }, ...sections));
    assert.deepEqual(picture.samples, Uint8Array.from(INDEXES.flatMap((index) => palette[index])));
    assert.deepEqual(picture.alpha, new Uint8Array(6).fill(9));
    assert.deepEqual([picture.mode, ...picture.icc], [mode, 5, 6]);
    assert.equal((await edgeae.encodePng(picture))[25], mode === "LA" ? 4 : 6);
  }
});

test("red, green and blue come in this order", async () => {
  const section = coloursOf(REDS, INDEXES);
  const picture = await codec.decompress(file({ mode: "RGB" }, [COLOURS, section]));
  assert.deepEqual(picture.samples, Uint8Array.from(INDEXES.flatMap((index) => REDS[index])));
  assert.equal(picture.alpha, null);
});

test("one colour, in a constant plane", async () => {
  const fields = { mode: "RGB", width: 300, height: 200 };
  const picture = await codec.decompress(file(fields, [COLOURS, [0, 7, 8, 9, 0, 0]]));
  assert.equal(picture.colours, 1);
  assert.deepEqual(picture.samples, Uint8Array.from({ length: 180000 }, (_, i) => 7 + (i % 3)));
});

test("more colours take more bits of an index", async () => {
  for (const count of [1, 2, 3, 4, 5, 16]) {
    const palette = Array.from({ length: count }, (_, i) => [3 * i]);
    const indexes = Array.from({ length: 22 }, (_, i) => (7 * i) % count);
    const section = coloursOf(palette, indexes, 11);
    const picture = await codec.decompress(file({ width: 11 }, [COLOURS, section]));
    assert.deepEqual(picture.samples, Uint8Array.from(indexes.map((index) => 3 * index)));
  }
});

test("256 colours, grey or not, in a plane that is predicted", async () => {
  const residuals = zlib.deflateRawSync(new Uint8Array(512).fill(1)); // of filter 2: a ramp a row
  for (const [mode, bytesOfColour] of [["L", (i) => [i]], ["RGB", (i) => [i >> 4, 255 - i, i]]]) {
    const palette = Array.from({ length: 256 }, (_, i) => bytesOfColour(i));
    palette.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    const section = [255, ...palette.flat(), 2, ...residuals];
    const picture = await codec.decompress(file({ mode, width: 256 }, [COLOURS, section]));
    const row = [...palette.slice(1), palette[0]].flat();
    assert.deepEqual(picture.samples, Uint8Array.from([...row, ...row]));
    assert.equal(picture.colours, 256);
  }
});

/** [what, fields, colours section, message] */
const WRONG = [
  ["greys that do not ascend", {}, coloursOf([[10], [10], [255]], INDEXES), /: they do not ascend/],
  ["triples that do not", { mode: "RGB" }, coloursOf(MIXED, INDEXES), /: they do not ascend/],
  ["an index beyond the colours", {}, coloursOf(GREYS, [0, 1, 2, 3, 1, 0]), /^colours: index 3/],
  ["bits beyond the last column", {}, [0, 7, 0, 1], /^colours: bits beyond the last column/],
  ["a constant index beyond the colours", {}, [0, 7, 0, 0x80], /^colours: index 1 is not below 1/],
  ["fewer bytes than the colours take", {}, [255, 1, 2, 3], /^colours: 256 take 257 bytes, 4/],
  ["one byte", { mode: "RGB" }, [0], /^colours: 1 take 4 bytes, 1 are there/],
  ["no plane", {}, [0, 7], /^colours: a plane has at least 2 bytes/],
  ["a constant plane without its byte", {}, [0, 7, 0], /^colours: a constant plane has 1 byte/],
  ["an unknown filter", {}, [0, 7, 5, 0], /^colours: filter 5/],
  ["a plane too small", {}, coloursOf(GREYS, INDEXES.slice(3)), /^colours: inflates to 1/],
  ["a plane too large", {}, coloursOf(GREYS, [...INDEXES, 0]), /^colours: inflates to more than 2/],
  ["a plane with bytes behind it", {}, [...good, 0], /^colours: 1 bytes follow/],
  ["lanes", { lanesLog2: 1 }, good, /^header: lanes_log2 1 is not 0/],
  ["a checksum of symbols", { crc32: 1 }, good, /^header: CRC-32 of the symbols 1 is not 0/],
  ["a checksum of latents", { crc16: 0 }, good, /^header: CRC-16 of the latents 0 is not 65535/],
  ["mode F", { mode: "F" }, good, /^header: mode F of 2 steps and a colours/],
  ["no steps", { steps: 0 }, good, /^header: mode L of 0 steps and a colours/],
  ["other steps than the bundle's", { steps: 3 }, good, /^coded in 3 steps/],
  ["alpha that is not there", { mode: "LA" }, good, /^header: mode LA and no alpha/],
];

for (const [what, fields, section, message] of WRONG) {
  test(`${what}: a ContainerError`, async () => {
    await refused(file(fields, [COLOURS, section]), edgeae.ContainerError, message);
  });
}

test("colours beside latents, or neither, are ContainerErrors", async () => {
  const both = fileOf({ codingId }, [[COLOURS, good]], [1, 2]);
  await refused(both, edgeae.ContainerError, /^header: latents of 2 bytes and a colours section/);
  await refused(file({}), edgeae.ContainerError, /^header: latents of 0 bytes and no colours/);
});

test("a header alone is refused as well", () => {
  for (const fields of [{ crc16: 0 }, { mode: "F" }, { steps: 0 }]) {
    const head = file(fields, [COLOURS, good]).slice(0, -good.length);
    assert.throws(() => edgeae.readHeader(head), edgeae.ContainerError);
  }
});

test("the bundle must be the file's own", async () => {
  const other = file({ codingId: "0123456789abcdef" }, [COLOURS, good]);
  await refused(other, edgeae.BundleError, /coding id 0123456789abcdef/);
  const path = "tests/portability/bundles/vae";
  const vae = await edgeae.Codec.load(bundleIn(path), { ort });
  const plain = file({ codingId: codingIdOf(path) }, [COLOURS, good]);
  await assert.rejects(vae.decompress(plain), /coded in 2 steps, bundle \S+ has 0/);
});

test("the limit of pixels holds", async () => {
  const flat = file({ width: 65535, height: 65535 }, [COLOURS, [0, 7, 0, 0]]);
  await refused(flat, edgeae.ContainerError, /more than the limit/);
});

test("every prefix and every flipped bit is a ContainerError", async () => {
  const whole = file({ mode: "LA" }, [ALPHA, [0, 9]], [COLOURS, good]);
  for (let length = 0; length < whole.length; length++) {
    await refused(whole.slice(0, length), edgeae.ContainerError, /./);
  }
  for (let bit = 0; bit < 8 * whole.length; bit++) {
    const damaged = whole.slice();
    damaged[bit >> 3] ^= 1 << (bit & 7);
    await assert.rejects(codec.decompress(damaged), edgeae.ContainerError, `bit ${bit}`);
  }
});

test("who asks for latents is told that there are none", async () => {
  const whole = file({}, [COLOURS, good]);
  await assert.rejects(codec.unpack(whole), (error) => {
    assert.equal(error.constructor, edgeae.ImageError);
    assert.match(error.message, /^[^\n]*has no latents[^\n]*$/);
    return true;
  });
});

test("a section is decoded without its file", () => {
  const section = Uint8Array.from(coloursOf(REDS, INDEXES, 2));
  const { samples, colours } = decodeColours(section, { width: 2, height: 3, mode: "RGB" });
  assert.deepEqual([samples.length, colours], [18, 3]);
});

/** Reject unless `data` is refused by an error of just this class. */
async function refused(data, kind, message) {
  await assert.rejects(codec.decompress(data), (error) => {
    assert.equal(error.constructor, kind, error.message);
    assert.match(error.message, message);
    return true;
  });
}
