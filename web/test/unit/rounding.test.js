/** Rounding, integer hashes and masks: the values are those of the Python implementation. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { GraphError } from "../../src/edgeae/errors.js";
import { knownValues } from "../../src/edgeae/known_answer.js";
import { checkMasks, maskPositions } from "../../src/edgeae/masks.js";
import { cheapest, nearest, thresholds } from "../../src/edgeae/rounding.js";
import { Tables } from "../../src/edgeae/tables.js";
import { spans } from "../../src/edgeae/tiles.js";

const TABLES = new Tables([[16382, 1, 1], [15000, 1300, 84], [9000, 6000, 1200, 184], [4000, 6000, 4000, 2000, 384]]);
const BOUNDS = [
  [1, 2, 3, 4, 5, 6],
  [0.5471706390380859, 1.5515849590301514, 2.52083158493042, 3.5, 4.520833492279053, 5.5],
  [0.516510009765625, 1.5241867303848267, 2.5385982990264893, 3.52083158493042, 4.5, 5.520833492279053],
  [0.5043233036994934, 1.5060933828353882, 2.5104167461395264, 3.5352187156677246, 4.52083158493042, 5.5],
];
const VALUES = [0.4, 0.6, 0.5, -0.5, 1.5, 2.5, -1.51, 33.4, -40.5, 0.56, 3.49].map(Math.fround);
const SYMBOLS = [
  [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
  [0, 1, 0, 0, 1, 2, -1, 33, -40, 1, 3],
  [0, 1, 0, 0, 1, 2, -1, 33, -40, 1, 3],
  [0, 1, 0, 0, 1, 2, -2, 33, -40, 1, 3],
];

test("thresholds are those of Python", () => {
  const found = thresholds(TABLES);
  BOUNDS.forEach((row, r) => assert.deepEqual(Array.from(found.subarray(32 * r, 32 * r + 6)), row));
});

test("symbols are rounded as Python rounds them", () => {
  const bounds = thresholds(TABLES);
  SYMBOLS.forEach((row, r) => {
    assert.deepEqual(VALUES.map((value) => cheapest(value, r, bounds, 32767) + 0), row);
  });
});

test("ties go to the even integer, and limits hold", () => {
  assert.deepEqual([0.5, 1.5, 2.5, -0.5, -1.5, 70000].map((v) => nearest(v, 32767) + 0), [0, 2, 2, 0, -2, 32767]);
  assert.throws(() => nearest(NaN, 10), GraphError);
});

test("the known answer's input is the same as in Python", () => {
  assert.deepEqual(Array.from(knownValues(1, 12)), [6, -4, 8, -12, 1, -4, -4, -9, -8, -10, -2, 5]);
  assert.deepEqual(Array.from(knownValues(4294967295, 3)), [-6, -12, 6]);
});

test("positions are ordered by channel, phases, row and column", () => {
  const masks = { type: "|b1", shape: [2, 1, 2, 2], data: Uint8Array.of(1, 0, 0, 1, 0, 1, 1, 0) };
  checkMasks(masks);
  const [even, odd] = maskPositions(masks, 4, 4).map((positions) => Array.from(positions));
  assert.deepEqual(even, [0, 2, 8, 10, 5, 7, 13, 15]);
  assert.deepEqual(odd, [1, 3, 9, 11, 4, 6, 12, 14]);
  masks.data[0] = 0;
  assert.throws(() => checkMasks(masks), RangeError);
});

test("tiles cover an axis, each with its halo", () => {
  assert.deepEqual(spans(192, 64, 65, 64), [
    { start: 0, stop: 64, first: 0, last: 192 },
    { start: 64, stop: 128, first: 0, last: 192 },
    { start: 128, stop: 192, first: 0, last: 192 },
  ]);
  assert.deepEqual(spans(100, 1, 3, 60)[1], { start: 60, stop: 100, first: 57, last: 100 });
});
