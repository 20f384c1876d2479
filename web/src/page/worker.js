/** The codecs of the page, off its main thread. Messages: `{ id, method, argument }` and answers. */

import {
  BundleError,
  Codec,
  exactPicture,
  fetchFrom,
  isNpy,
  readContainer,
  readNpy,
  startRuntime,
} from "../edgeae/index.js";
import * as ort from "../runtime/ort.wasm.min.mjs";

const models = new Map(); // name -> promise of its codec
let settings = { catalogue: [], precision: "fp32" };
let analysis = null; // of the last photo: another quality needs no encoder
let photos = 0; // that were to be analysed

const METHODS = {
  /** Take `{ catalogue, precision, threads }`; comes first. */
  configure(wanted) {
    settings = wanted;
    ort.env.wasm.wasmPaths = new URL("../runtime/", import.meta.url).href;
    ort.env.wasm.numThreads = wanted.threads;
    startRuntime(ort);
  },

  /** Load what decoding needs. */
  async warm({ model }) {
    await (await codecOf(model)).warm();
  },

  /** Return the picture in a file. */
  async decode({ file }, onProgress) {
    // Damage is found before a model is looked for.
    const found = isNpy(file) ? readNpy(file) : readContainer(file);
    const exact = await exactPicture(found);
    if (exact) return exact;
    const { codingId } = found;
    const entry = settings.catalogue.find((candidate) => candidate.coding_id === codingId);
    if (!entry) {
      const there = settings.catalogue.map(({ name, coding_id: id }) => `${name} (${id})`);
      throw new BundleError(
        `made with a bundle of coding id ${codingId}; this page has ${there.join(", ")}`,
      );
    }
    const codec = await codecOf(entry.name, onProgress);
    const picture = await codec.decompress(file, { onProgress });
    return decoded(picture, entry.name, codec);
  },

  /** Return `{ milliseconds }`; the picture's latents are kept for `encode`. */
  async analyse({ picture, model }, onProgress) {
    analysis = null;
    const mine = ++photos;
    const codec = await codecOf(model, onProgress);
    const found = await codec.analyse(picture, { onProgress });
    if (mine === photos) analysis = { model, codec, found }; // a later one may be done already
    return { milliseconds: found.milliseconds };
  },

  /** Return `{ file, milliseconds }` and, decoded from this very file, `picture`. */
  async encode({ quality }, onProgress) {
    const { model, codec, found } = analysis;
    const { file, milliseconds } = await codec.quantize(found, { quality, onProgress });
    const picture = await codec.decompress(file, { onProgress });
    return { file, milliseconds, picture: decoded(picture, model, codec) };
  },
};

self.onmessage = async ({ data: { id, method, argument } }) => {
  const onProgress = (stage, done, of) => self.postMessage({ id, progress: { stage, done, of } });
  try {
    self.postMessage({ id, result: await METHODS[method](argument, onProgress) });
  } catch (error) {
    self.postMessage({ id, error: { name: error.name, message: error.message } });
  }
};

function codecOf(name, onProgress) {
  if (!models.has(name)) {
    onProgress?.("models");
    const folder = new URL(`../models/${name}/`, import.meta.url).href;
    const codec = Codec.load(fetchFrom(folder), { ort, precision: settings.precision });
    codec.catch(() => models.delete(name)); // a failed download may be tried again
    models.set(name, codec);
  }
  return models.get(name);
}

function decoded({ symbols, z, ...picture }, model, codec) {
  return { ...picture, model, latents: symbols.length + z.length, precision: codec.transforms.precision };
}
