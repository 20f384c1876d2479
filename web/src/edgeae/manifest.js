/** manifest.json of a bundle, as far as reading and writing files needs it. */

import { BundleError } from "./errors.js";

const FORMAT = 1;
const CHANNELS = { rgb: 3, grey: 1 };
const MAX_STRIDE = 1024;
const MAX_CHANNELS = 4096;
const SHA256 = /^[0-9a-f]{64}$/;
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** What a manifest says; keys that this page does not need are left alone. */
export class Manifest {
  /** BundleError unless `record`, parsed JSON, is the manifest of a bundle. */
  constructor(record) {
    try {
      this.read(record);
    } catch (error) {
      throw new BundleError(
        `manifest.json: ${error.message}; export the bundle again, or upgrade edgeae if it is newer`,
      );
    }
  }

  read(record) {
    need(record?.format === FORMAT, `format ${record?.format} is not ${FORMAT}`);
    this.name = matched("name", record.name, NAME);
    this.description = String(record.description ?? "");
    this.latentSpace = String(record.latent_space);
    this.input = record.input;
    need(this.input in CHANNELS || this.input === "array", `input ${this.input} is unknown`);
    this.codingId = matched("coding_id", record.coding_id, /^[0-9a-f]{16}$/);
    this.stride = integer("stride", record.stride, 1, MAX_STRIDE);
    this.hyperStride = integer("hyper_stride", record.hyper_stride, 0, MAX_STRIDE);
    this.latentChannels = integer("latent_channels", record.latent_channels, 1, MAX_CHANNELS);
    this.hyperChannels = integer("hyper_channels", record.hyper_channels, 0, MAX_CHANNELS);
    need(
      this.hyperStride % (2 * this.stride) === 0,
      `hyper_stride ${this.hyperStride} is not an even multiple of stride ${this.stride}`,
    );
    this.size = sides("size", record.size);
    this.latentSize = sides("latent_size", record.latent_size);
    this.shape = record.shape ?? null;
    need((this.shape !== null) === (this.input === "array"), "shape and input contradict");
    this.halo = record.halo ?? null;
    this.files = new Map(Object.entries(record.files));
    for (const [name, digest] of this.files) {
      matched("file name", name, NAME);
      matched(`SHA-256 of ${name}`, digest, SHA256);
    }
    this.knownAnswer = record.known_answer ?? null;
    need(this.plain === (this.knownAnswer === null), "known_answer and hyper_stride contradict");
  }

  /** Whether this is an autoencoder without hyper-latents. */
  get plain() {
    return this.hyperStride === 0;
  }

  /** Channels of the pixels that the graphs take and give. */
  get channels() {
    return CHANNELS[this.input];
  }

  /** Height and width of all there is to code; null if pictures may have any size. */
  get fixedSize() {
    if (this.shape === null) return this.size;
    const rows = this.shape.slice(0, -1).reduce((product, side) => product * side, 1);
    return [rows, this.shape.at(-1)];
  }

  /** Return height and width after padding. */
  padded(height, width) {
    if (this.fixedSize) return [height, width];
    const multiple = Math.max(this.stride, this.hyperStride);
    return [height, width].map((side) => Math.ceil(side / multiple) * multiple);
  }

  /** Return (C, h, w) of the latents of a padded picture. */
  latentsShape(height, width) {
    const [h, w] = this.latentSize ?? [height / this.stride, width / this.stride];
    return [this.latentChannels, h, w];
  }

  /** Return (Cz, hz, wz) of the hyper-latents of a padded picture. */
  hyperShape(height, width) {
    return this.plain
      ? [0, 0, 0]
      : [this.hyperChannels, height / this.hyperStride, width / this.hyperStride];
  }
}

function need(claim, message) {
  if (!claim) throw new TypeError(message);
}

function integer(what, value, lowest, highest) {
  need(
    Number.isInteger(value) && value >= lowest && value <= highest,
    `${what} ${value} is no integer in ${lowest}..${highest}`,
  );
  return value;
}

function matched(what, value, pattern) {
  need(typeof value === "string" && pattern.test(value), `${what} ${value} does not match ${pattern}`);
  return value;
}

function sides(what, value) {
  if (value === null || value === undefined) return null;
  need(Array.isArray(value) && value.length === 2, `${what} is not a height and a width`);
  return value.map((side) => integer(what, side, 1, 65535));
}
