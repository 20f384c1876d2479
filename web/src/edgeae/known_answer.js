/** The hyper-decoder's known answer: a machine that computes other indexes would decode noise. */

import { sha256 } from "./checksums.js";
import { concatenated } from "./container.js";
import { GraphError } from "./errors.js";
import { maskPositions } from "./masks.js";

const AMPLITUDE = 12;

/** Return `count` integers in -12..12, an integer hash of the position. */
export function knownValues(seed, count) {
  return Int16Array.from({ length: count }, (_, i) => {
    let x = Math.imul(i + seed, 2654435761) >>> 0;
    x ^= x >>> 15;
    x = Math.imul(x, 2246822519) >>> 0;
    x = (x ^ (x >>> 13)) >>> 0;
    return (x % (2 * AMPLITUDE + 1)) - AMPLITUDE;
  });
}

/** Throw GraphError unless `run`, the hyper-decoder, gives the indexes of the manifest. */
export async function checkKnownAnswer(bundle, run) {
  const { manifest, masks } = bundle;
  const { z_seed: seed, shape, index_sha256: expected } = manifest.knownAnswer;
  const scale = manifest.hyperStride / manifest.stride;
  const [h, w] = [shape[2] * scale, shape[3] * scale];
  const z = knownValues(seed, shape.reduce((product, side) => product * side, 1));
  const later = knownValues(seed + 1, manifest.latentChannels * h * w);
  const known = new Int16Array(later.length);
  const indexes = [];
  const positions = maskPositions(masks, h, w);
  for (const [step, at] of positions.entries()) {
    const { index } = await run({
      z: [z, shape],
      symbols: [known, [1, manifest.latentChannels, h, w]],
      step: [[step], []],
    });
    indexes.push(index.data.slice());
    for (const position of at) known[position] = later[position];
  }
  const found = await sha256(concatenated(indexes));
  if (found !== expected) {
    throw new GraphError(
      `hyper_decoder.onnx of ${manifest.name}: known answer has SHA-256 ${found}, the manifest says ` +
        `${expected}; this browser's onnxruntime would decode noise, try another version of it`,
    );
  }
}
