/** Latents in .npy form: damage is found before anything is made of it. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { ContainerError, VersionError, isNpy, readNpy } from "../../src/edgeae/index.js";
import { crc32 } from "../../src/edgeae/checksums.js";
import { GOLDEN, bytesOf } from "../bundles.js";

const FILE = bytesOf(new URL("tiny-graphic-alpha-100.npy", GOLDEN));
const START = 10 + FILE[8] + 256 * FILE[9]; // of the record
const CHECK = START + 102; // its checksum, behind the single fields

/** Return the file with bytes of the record changed and its checksum computed anew. */
function edited(offset, bytes) {
  const data = FILE.slice();
  data.set(bytes, START + offset);
  data.fill(0, CHECK, CHECK + 4);
  new DataView(data.buffer).setUint32(CHECK, crc32(data.subarray(START)), true);
  return data;
}

test("a record is read", () => {
  assert.ok(isNpy(FILE));
  assert.ok(!isNpy(FILE.subarray(1)));
  const found = readNpy(FILE);
  assert.deepEqual([found.width, found.height, found.mode, found.quality], [40, 65, "RGBA", 10000]);
  assert.equal(found.alpha.length, 40 * 65);
  assert.equal(found.shapes.symbols.reduce((product, side) => product * side, 1), found.symbols.length);
  assert.equal(found.icc, null);
});

test("a file that ends early or late is refused", () => {
  for (let length = 0; length < FILE.length; length += length < 600 ? 1 : 997) {
    assert.throws(() => readNpy(FILE.subarray(0, length)), ContainerError, `${length} bytes`);
  }
  assert.throws(() => readNpy(Uint8Array.of(...FILE, 0)), /needs \d+ bytes/);
});

test("a changed byte is refused, wherever it is", () => {
  for (let i = 0; i < FILE.length; i += i < START + 110 ? 1 : 211) {
    const data = FILE.slice();
    data[i] ^= 0x20;
    assert.throws(() => readNpy(data), ContainerError, `byte ${i}`);
  }
});

test("a record whose alpha is of another size is refused", () => {
  assert.throws(() => readNpy(edited(66, [39])), /alpha of \(65, 40\), not \(65, 39\)/);
});

test("values that the format does not allow are refused", () => {
  assert.throws(() => readNpy(edited(0, [2, 0])), VersionError);
  assert.throws(() => readNpy(edited(0, [0, 0])), /version 0/);
  assert.throws(() => readNpy(edited(2, [0x47])), /coding_id/);
  assert.throws(() => readNpy(edited(74, [0x58])), /mode X/);
  assert.throws(() => readNpy(edited(74, [0x52, 0, 0, 0, 0x47, 0, 0, 0, 0x42, 0, 0, 0, 0, 0, 0, 0])), /alpha/);
  assert.throws(() => readNpy(edited(90, [1])), /quality/);
  assert.throws(() => readNpy(edited(106, [0x00, 0x80])), /z has -32768/);
  assert.throws(() => readNpy(FILE, 100), /more than the limit of 100/);
});
