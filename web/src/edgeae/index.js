/**
 * Reads and writes .eae pictures: container and entropy coder in plain JavaScript, networks with
 * onnxruntime-web, which is handed in.
 *
 *     import * as ort from "onnxruntime-web/wasm";
 *     import { Codec, encodePng } from "edgeae";
 *
 *     const codec = await Codec.load("models/photo/", { ort });
 *     const picture = await codec.decompress(new Uint8Array(await file.arrayBuffer()));
 *     const png = await encodePng(picture);
 */

export { fetchFrom } from "./bundle.js";
export { Codec, PRECISIONS } from "./codec.js";
export { MAX_PIXELS, readContainer, writeContainer } from "./container.js";
export * from "./errors.js";
export { exactPicture } from "./exact.js";
export { startRuntime } from "./graphs.js";
export { readHeader } from "./header.js";
export { littleEndian } from "./latents.js";
export { bitsPerPixel, psnrDb } from "./metrics.js";
export { isNpy, readNpy } from "./npy.js";
export { writeFloatNpy } from "./npz.js";
export { fromRgba, toRgba } from "./pixels.js";
export { encodePng } from "./png.js";
export { MAX_RUN_PIXELS } from "./transforms.js";
