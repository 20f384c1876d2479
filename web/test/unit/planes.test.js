/** Alpha planes, deflate and PNG, against Node's own zlib. */

import assert from "node:assert/strict";
import { test } from "node:test";
import zlib from "node:zlib";

import { ContainerError } from "../../src/edgeae/errors.js";
import { DeflateError, inflate } from "../../src/edgeae/inflate.js";
import { decodePlane, encodePlane } from "../../src/edgeae/planes.js";
import { encodePng } from "../../src/edgeae/png.js";

const TEXT = Buffer.from("of planes and their neighbours, ".repeat(40));
const NOISE = Buffer.from(Uint8Array.from({ length: 3000 }, (_, i) => (Math.imul(i, 2654435761) >>> 13) & 255));

test("what zlib deflates in any way is inflated", () => {
  for (const data of [Buffer.alloc(0), Buffer.from("a"), TEXT, NOISE, Buffer.concat([TEXT, NOISE, TEXT])]) {
    for (const options of [{ level: 0 }, { level: 1 }, { level: 9 }, { strategy: zlib.constants.Z_FIXED }, { strategy: zlib.constants.Z_HUFFMAN_ONLY }]) {
      const packed = zlib.deflateRawSync(data, options);
      assert.deepEqual(Buffer.from(inflate(packed, data.length)), data);
    }
  }
});

test("a stream of another size, cut or continued, is an error", () => {
  const packed = zlib.deflateRawSync(TEXT);
  assert.throws(() => inflate(packed, TEXT.length - 1), /more than/);
  assert.throws(() => inflate(packed, TEXT.length + 1), /not to/);
  assert.throws(() => inflate(Buffer.concat([packed, Buffer.of(0)]), TEXT.length), /follow/);
  for (let length = 0; length < packed.length; length++) {
    assert.throws(() => inflate(packed.subarray(0, length), TEXT.length), DeflateError);
  }
});

test("planes come back, whatever their filter", async () => {
  const [width, height] = [7, 5];
  const gradient = Uint8Array.from({ length: 35 }, (_, i) => 40 * (i % width) + 9 * Math.floor(i / width));
  for (const plane of [gradient, new Uint8Array(35).fill(3), Uint8Array.from(NOISE.subarray(0, 35))]) {
    assert.deepEqual(decodePlane(await encodePlane(plane, width), height, width, "alpha"), plane);
  }
});

test("a plane of another size or an unknown filter is a ContainerError", () => {
  const body = zlib.deflateRawSync(Buffer.alloc(35));
  assert.equal(decodePlane(Uint8Array.of(4, ...body), 5, 7, "alpha").length, 35);
  for (const data of [[], [5, ...body], [1, ...body, 0], [0], [0, 1, 2]]) {
    const plane = Uint8Array.from(data);
    assert.throws(() => decodePlane(plane, 5, 7, "alpha"), ContainerError);
    assert.throws(() => decodePlane(plane, 5, 7, "colours"), /^ContainerError: colours: /);
  }
  assert.throws(() => decodePlane(Uint8Array.of(1, ...body), 5, 6, "alpha"), /alpha: inflates/);
});

test("a PNG holds samples, alpha, profile and Exif as they are", async () => {
  const picture = {
    width: 3,
    height: 2,
    mode: "RGBA",
    samples: Uint8Array.from({ length: 18 }, (_, i) => 14 * i),
    alpha: Uint8Array.of(0, 1, 2, 253, 254, 255),
    icc: Uint8Array.from(TEXT),
    exif: Uint8Array.of(0x45, 0x78, 0x69, 0x66, 0, 0, 0x4d, 0x4d),
  };
  const chunks = chunksOf(await encodePng(picture));
  assert.deepEqual([...chunks.keys()], ["IHDR", "iCCP", "eXIf", "IDAT", "IEND"]);
  assert.deepEqual([...chunks.get("IHDR")], [0, 0, 0, 3, 0, 0, 0, 2, 8, 6, 0, 0, 0]);
  assert.deepEqual(zlib.inflateSync(chunks.get("iCCP").subarray(5)), TEXT);
  assert.deepEqual([...chunks.get("eXIf")], [0x4d, 0x4d]);
  assert.equal(zlib.inflateSync(chunks.get("IDAT")).length, 2 * (1 + 3 * 4));
});

function chunksOf(png) {
  const data = Buffer.from(png);
  const chunks = new Map();
  for (let at = 8; at < data.length; ) {
    const length = data.readUInt32BE(at);
    chunks.set(data.toString("latin1", at + 4, at + 8), data.subarray(at + 8, at + 8 + length));
    at += 12 + length;
  }
  return chunks;
}
