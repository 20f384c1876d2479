/** Whole files through onnxruntime-web in Node: golden files, round trips, errors. */

import assert from "node:assert/strict";
import { test } from "node:test";

import * as edgeae from "../../src/edgeae/index.js";
import { Graph } from "../../src/edgeae/graphs.js";
import { GOLDEN, bundleIn, bytesOf, goldenFiles, ort, symbolsSha256 } from "../bundles.js";

const TINY = "tests/bundles/tiny";
const SMALL = goldenFiles().filter(({ bundle }) => !bundle.startsWith("photo")); // those are the browser's
const codecs = new Map();

function codecOf(path) {
  if (!codecs.has(path)) codecs.set(path, edgeae.Codec.load(bundleIn(path), { ort }));
  return codecs.get(path);
}

for (const file of SMALL) {
  test(`${file.file} decodes to the same symbols`, async () => {
    const picture = await (await codecOf(file.path)).decompress(bytesOf(new URL(file.file, GOLDEN)));
    assert.equal(symbolsSha256(picture.symbols), file.symbols_sha256);
    assert.equal(symbolsSha256(picture.z), file.z_sha256);
    assert.deepEqual([picture.width, picture.height, picture.mode], [file.width, file.height, file.mode]);
    assert.equal(picture.quality, file.quality);
    assert.equal(picture.alpha?.length, file.mode.endsWith("A") ? file.width * file.height : undefined);
  });
}

test("a picture with alpha comes back from its file, metadata too", async () => {
  const codec = await codecOf(TINY);
  const [width, height] = [70, 33];
  const picture = {
    width,
    height,
    samples: Uint8Array.from({ length: 3 * width * height }, (_, i) => (i * 7) % 256),
    alpha: Uint8Array.from({ length: width * height }, (_, i) => (i >> 3) % 256),
    icc: Uint8Array.of(1, 2, 3),
  };
  const file = await codec.compress(picture, { quality: 33.333 });
  const found = await codec.decompress(file);
  assert.deepEqual(found.alpha, picture.alpha);
  assert.deepEqual(found.icc, picture.icc);
  assert.deepEqual([found.mode, found.quality], ["RGBA", 33.33]);
  assert.equal(found.samples.length, picture.samples.length);
});

test("tiles with a halo give the picture of one run", async () => {
  const codec = await codecOf(TINY);
  const { transforms, manifest } = codec;
  const file = await codec.compress(noise(192, 128));
  const whole = await codec.decompress(file);
  const input = await codec.analyse(noise(192, 128));
  try {
    transforms.needsTiles = () => true;
    manifest.halo = 192; // as far as the picture: what is cut and pasted must be exact
    assert.deepEqual((await codec.decompress(file)).samples, whole.samples);
    assert.deepEqual((await codec.analyse(noise(192, 128))).y, input.y);
  } finally {
    delete transforms.needsTiles;
    manifest.halo = null;
  }
});

test("damage, another bundle and a changed bundle are errors of their own", async () => {
  const codec = await codecOf(TINY);
  const file = await codec.compress(noise(64, 64));
  const container = edgeae.readContainer(file);
  const altered = (change) => codec.decompress(edgeae.writeContainer({ ...container, ...change }));
  await assert.rejects(altered({ symbolsCrc: 1 }), edgeae.DesyncError);
  await assert.rejects(altered({ steps: 3 }), edgeae.ContainerError);
  await assert.rejects(altered({ mode: "F" }), edgeae.ContainerError);
  await assert.rejects(altered({ codingId: "00".repeat(8) }), edgeae.BundleError);
  await assert.rejects(altered({ latents: container.latents.slice(2) }), edgeae.ContainerError);
  await assert.rejects(codec.decompress(file, { maxPixels: 100 }), edgeae.ContainerError);
  const changed = async (name) => {
    const data = await bundleIn(TINY)(name);
    if (name === "decoder.onnx") data[100] ^= 1;
    return data;
  };
  const broken = await edgeae.Codec.load(changed, { ort });
  await assert.rejects(broken.decompress(file), /decoder.onnx: SHA-256/);
});

test("a machine that computes other indexes is refused", async () => {
  const codec = await edgeae.Codec.load(bundleIn(TINY), { ort });
  const { hyperDecoder } = codec.prior;
  const feed = Graph.prototype.feed;
  hyperDecoder.feed = async function (...parameters) {
    const outputs = await feed.apply(this, parameters);
    outputs.index.data[0] ^= 1;
    return outputs;
  };
  await assert.rejects(hyperDecoder.open(), /known answer/);
});

test("pictures that a bundle does not take are ImageErrors", async () => {
  const vae = await codecOf("tests/portability/bundles/vae");
  await assert.rejects(vae.compress(noise(64, 64)), /takes 8x8 only/);
  const colours = { width: 8, height: 8, samples: noise(8, 8).samples };
  await assert.rejects(vae.compress(colours), /grey/);
  const series = await codecOf("tests/portability/bundles/series");
  await assert.rejects(series.compress(noise(6, 4)), edgeae.ImageError);
});

test("PSNR and canvas samples", () => {
  assert.equal(edgeae.psnrDb(Uint8Array.of(1, 2), Uint8Array.of(1, 2)), Infinity);
  assert.equal(edgeae.psnrDb(Uint8Array.of(0), Uint8Array.of(255)), 0);
  const rgba = Uint8ClampedArray.of(5, 5, 5, 255, 9, 9, 9, 255);
  assert.deepEqual(edgeae.fromRgba(rgba, 2, 1), { width: 2, height: 1, samples: Uint8Array.of(5, 9), alpha: null });
  assert.deepEqual(edgeae.toRgba({ width: 2, height: 1, samples: Uint8Array.of(5, 9) }), rgba);
});

function noise(width, height) {
  const samples = Uint8Array.from({ length: 3 * width * height }, (_, i) => Math.imul(i, 2654435761) >>> 24);
  return { width, height, samples };
}
