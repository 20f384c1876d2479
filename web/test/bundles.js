/** Bundles and golden files of the repository, and onnxruntime-web for Node. */

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import * as ort from "onnxruntime-web/wasm";

import { littleEndian } from "../src/edgeae/index.js";

export const ROOT = new URL("../../", import.meta.url);
export const GOLDEN = new URL("tests/portability/golden/", ROOT);

ort.env.wasm.numThreads = 1;
export { ort };

/** Return what the golden set says of its files. */
export function goldenFiles() {
  const index = JSON.parse(readFileSync(new URL("index.json", GOLDEN), "utf8"));
  return index.files.map((file) => {
    const { path, coding_id: codingId } = index.bundles[file.bundle];
    return { ...file, path, codingId };
  });
}

/** Return the reader of a bundle's files, for `Codec.load`. */
export function bundleIn(path) {
  return async (name) => bytesOf(new URL(`${path}/${name}`, ROOT));
}

/** Return a file. */
export function bytesOf(url) {
  return new Uint8Array(readFileSync(url));
}

/** Return the SHA-256 that the golden set has of symbols. */
export function symbolsSha256(values) {
  return createHash("sha256").update(littleEndian(values)).digest("hex");
}
