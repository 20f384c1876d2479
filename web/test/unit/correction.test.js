/** The filter that a file brings along: docs/FORMAT.md, section 8.2. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { corrected, decodeWeights, shapeOf } from "../../src/edgeae/correction.js";
import { ContainerError } from "../../src/edgeae/errors.js";

test("weights are read bit by bit, feature by feature", () => {
  // Co: 2 and -1 and 0, Cg: 0, 0, 1; all others are zeros beyond the end.
  const bits = "1100" + "101" + "0" + "0" + "0" + "100";
  const weights = decodeWeights(sectionOf(bits), "RGB");
  const expected = new Int8Array(3 * 38);
  [expected[0], expected[38], expected[2 * 38 + 1]] = [2, -1, 1];
  assert.deepEqual(weights, expected);
  assert.deepEqual(shapeOf("LA"), [1, 12]);
});

test("a section that is damaged is an error", () => {
  for (const [section, what] of [
    [Uint8Array.of(), /bits beyond/],
    [Uint8Array.of(0x80, 0), /bits beyond/],
    [Uint8Array.of(0, 0, 1), /the last of 12 weights/],
    [new Uint8Array(16).fill(0xff), /a weight of 128/],
    [new Uint8Array(1 << 28).fill(0xff, 0, 1000), /bits beyond/], // found by its length
  ]) {
    assert.throws(() => decodeWeights(section, "L"), (error) => error instanceof ContainerError && what.test(error.message));
  }
});

test("samples are those of the format", () => {
  // The pair beside, (0, 1), with a weight of 32: half of what the second derivative is, negative.
  const weights = new Int8Array(12);
  weights[0] = -32;
  const samples = Uint8Array.of(0, 0, 100, 0, 255, 255);
  // 4 * (left + right - 2 * here) * -32 / 256, the nearest beyond a border
  assert.deepEqual(corrected(samples, 6, 1, weights), Uint8Array.of(0, 0, 200, 0, 255, 255));
  const colour = new Int8Array(3 * 38);
  colour[0] = 64; // Y gets Co: (R - B) / 2 in all channels
  assert.deepEqual(corrected(Uint8Array.of(10, 50, 30), 1, 1, colour), Uint8Array.of(0, 40, 20));
});

function sectionOf(bits) {
  const padded = bits.padEnd(8 * Math.ceil(bits.length / 8), "0");
  return Uint8Array.from(padded.match(/.{8}/g), (byte) => parseInt(byte, 2));
}
