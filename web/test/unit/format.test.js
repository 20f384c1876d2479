/** The worked example that docs/FORMAT.md prints, read out of the document. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { readContainer, writeContainer } from "../../src/edgeae/container.js";
import { ContainerError } from "../../src/edgeae/errors.js";
import { symbolsCrc } from "../../src/edgeae/latents.js";
import { decodePlane } from "../../src/edgeae/planes.js";
import { Hyperprior } from "../../src/edgeae/priors.js";
import { Decoder } from "../../src/edgeae/rans_decoder.js";
import { encode } from "../../src/edgeae/rans_encoder.js";
import { Tables } from "../../src/edgeae/tables.js";

const DOCUMENT = readFileSync(new URL("../../../docs/FORMAT.md", import.meta.url), "utf8");
const EXAMPLE = JSON.parse(/```json\n([^]*?)```/.exec(DOCUMENT)[1]);
const FILE = Uint8Array.from(
  /```hexdump\n([^]*?)```/
    .exec(DOCUMENT)[1]
    .trim()
    .split("\n")
    .flatMap((line) => line.split(/\s+/).slice(1).map((byte) => parseInt(byte, 16))),
);
const SHAPE = [1, 4, 4];

/** A prior whose hyper-decoder is the example's table of indexes. */
function examplePrior() {
  const { masks, channel_tables: channel, scale_tables: scale, index } = EXAMPLE;
  const answer = {
    mean: { data: new Float32Array(16), dims: [1, ...SHAPE] },
    index: { data: Uint8Array.from(index.flat(2)), dims: [1, ...SHAPE] },
  };
  const bundle = {
    masks: { type: "|b1", shape: [2, 1, 2, 2], data: Uint8Array.from(masks.flat(3)) },
    steps: 2,
    channelTables: new Tables(channel.frequencies, channel.minimum),
    scaleTables: new Tables(scale.frequencies),
  };
  return new Hyperprior(bundle, null, { run: async () => answer });
}

test("the example's header, symbols and alpha are read", async () => {
  const container = readContainer(FILE);
  assert.equal(container.codingId, EXAMPLE.coding_id);
  assert.equal(container.mode, EXAMPLE.mode);
  assert.equal(container.quality, 100 * EXAMPLE.quality);
  assert.deepEqual([container.width, container.height], [EXAMPLE.width, EXAMPLE.height]);
  const decoder = new Decoder(container.latents, container.lanesLog2);
  const { z, symbols } = await examplePrior().decode(decoder, SHAPE, [1, 1, 1]);
  assert.deepEqual(Array.from(z), EXAMPLE.z.flat(2));
  assert.deepEqual(Array.from(symbols), EXAMPLE.symbols.flat(2));
  assert.equal(symbolsCrc(z, symbols), container.symbolsCrc);
  const plane = decodePlane(container.alpha, EXAMPLE.height, EXAMPLE.width, "alpha");
  assert.deepEqual(Array.from(plane), EXAMPLE.alpha.flat());
});

test("a symbol that no file could hold is refused", async () => {
  const z = Int16Array.from(EXAMPLE.z.flat(2));
  const symbols = Int16Array.from(EXAMPLE.symbols.flat(2));
  const { yHat } = await examplePrior().restore(symbols, z, SHAPE, [1, 1, 1]);
  assert.deepEqual(Array.from(yHat), Array.from(symbols));
  const uncoded = EXAMPLE.index.flat(2).indexOf(0);
  assert.ok(uncoded >= 0);
  symbols[uncoded] = 1;
  await assert.rejects(examplePrior().restore(symbols, z, SHAPE, [1, 1, 1]), ContainerError);
});

test("the example's bytes are written again", async () => {
  const container = readContainer(FILE);
  const decoder = new Decoder(container.latents, container.lanesLog2);
  const { sections } = await examplePrior().decode(decoder, SHAPE, [1, 1, 1]);
  const { payload, lanesLog2 } = encode(sections);
  const again = writeContainer({ ...container, latents: payload, lanesLog2 });
  assert.deepEqual(again, FILE);
});
