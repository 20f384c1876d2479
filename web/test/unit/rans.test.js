/** The entropy coder: golden bytes of two other implementations, round trips, damage. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { ContainerError } from "../../src/edgeae/errors.js";
import { Decoder } from "../../src/edgeae/rans_decoder.js";
import { encode } from "../../src/edgeae/rans_encoder.js";
import { Tables } from "../../src/edgeae/tables.js";

const GOLDEN = [
  "4cf0fc8fc39eecd71154bbefec7b20bd30f0",
  "3140a815da38557e320eadc03fcabcf1a06b6d3b",
  "33b0cfd45b8caafe614ebc90fcdfca99b902a0eb1cbc0143f8",
];

/** The sections behind the golden bytes: 12-bit tables, escapes on both sides. */
function goldenSections() {
  const channels = new Tables([[100, 2000, 1500, 490, 6]], [-2], 12);
  const scales = new Tables([[4000, 96], [3900, 150, 40, 6]], null, 12);
  const z = [-2, -1, 0, 1, 9, -7];
  const y = [0, 0, 1, -1, 0, 2, -5, 0, 0, 300, 0, -2, 1, 0, 0, 0, -1, 0, 1, 1];
  return [
    { values: z, rows: z.map(() => 0), tables: channels },
    { values: y, rows: y.map(() => 1), tables: scales },
  ];
}

test("golden bytes are written and read back at 1, 2 and 4 lanes", () => {
  GOLDEN.forEach((hex, lanesLog2) => {
    const sections = goldenSections();
    const { payload } = encode(sections, lanesLog2);
    assert.equal(Buffer.from(payload).toString("hex"), hex);
    assert.deepEqual(decodeAll(payload, lanesLog2, sections), sections.map(({ values }) => values));
  });
});

test("any values come back at any number of lanes", () => {
  for (const lanesLog2 of [0, 1, 5, 6, 10]) {
    for (const count of [0, 1, 2000]) {
      const sections = randomSections(count, lanesLog2 + count);
      const { payload } = encode(sections, lanesLog2);
      assert.deepEqual(decodeAll(payload, lanesLog2, sections), sections.map(({ values }) => values));
    }
  }
});

test("every truncation and extension of a payload is an error", () => {
  const sections = randomSections(300, 7);
  const { payload, lanesLog2 } = encode(sections);
  for (let length = 0; length < payload.length; length++) {
    assert.throws(() => decodeAll(payload.slice(0, length), lanesLog2, sections), ContainerError);
  }
  const longer = Uint8Array.of(...payload, 0);
  assert.throws(() => decodeAll(longer, lanesLog2, sections), ContainerError);
});

test("a value beyond its limit cannot be written", () => {
  const [, section] = goldenSections();
  assert.throws(() => encode([{ ...section, values: [32768], rows: [1] }]), RangeError);
  assert.throws(() => encode([{ ...section, values: [1], rows: [0] }]), RangeError);
});

function decodeAll(payload, lanesLog2, sections) {
  const decoder = new Decoder(payload, lanesLog2);
  return sections.map(({ rows, tables }, i) =>
    Array.from(decoder.decode(rows, tables, i === sections.length - 1)),
  );
}

function randomSections(count, seed) {
  let state = seed + 1;
  const random = (below) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state >>> 8) % below;
  };
  const scales = new Tables([[16383, 1], [16000, 300, 84], [5000, 5000, 5000, 1384]]);
  const channels = new Tables([[384, 8000, 8000], [100, 16284]], [-1, 5]);
  const rows = Array.from({ length: count }, () => random(3));
  const value = () => (random(20) ? random(5) - 2 : random(65535) - 32767);
  const values = rows.map((row) => (row ? value() : 0));
  const zRows = Array.from({ length: count >> 1 }, () => random(2));
  return [
    { values: zRows.map(() => random(64001) - 32000), rows: zRows, tables: channels },
    { values, rows, tables: scales },
  ];
}
