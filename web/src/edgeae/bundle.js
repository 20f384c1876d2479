/**
 * A bundle is a folder with a manifest, graphs and tables; every file is checked against the
 * manifest's SHA-256 when it is read. Where files come from is the caller's business.
 */

import { sha256 } from "./checksums.js";
import { concatenated } from "./container.js";
import { BundleError, EdgeaeError } from "./errors.js";
import { Manifest } from "./manifest.js";
import { checkMasks } from "./masks.js";
import { readNpz } from "./npz.js";
import { tablesFrom } from "./tables.js";

const TABLES = "tables.npz";

/** An opened bundle; `Bundle.open` is the way to one. */
export class Bundle {
  /**
   * Return the bundle whose files `readFile(name)` gives, a promise of a Uint8Array.
   *
   * Manifest, tables and hyper-decoder are read and verified, no other graph. BundleError if one is
   * missing, changed or invalid.
   */
  static async open(readFile) {
    const bundle = new Bundle();
    bundle.readFile = readFile;
    bundle.manifest = parseManifest(await readFile("manifest.json"));
    const { plain, latentSpace, name, codingId } = bundle.manifest;
    const hyperDecoder = plain ? null : bundle.read("hyper_decoder.onnx"); // both at once
    const tables = await bundle.read(TABLES);
    try {
      const arrays = readNpz(tables);
      bundle.hyperDecoder = await hyperDecoder;
      const found = await codingIdOf(bundle.hyperDecoder, arrays, latentSpace);
      if (found !== codingId) {
        throw new BundleError(
          `${name}: coding id is ${found}, the manifest says ${codingId}; export the bundle again`,
        );
      }
      bundle.setTables(arrays);
    } catch (error) {
      if (error instanceof EdgeaeError) throw error;
      throw new BundleError(`${name}, ${TABLES}: ${error.message}; export the bundle again`);
    }
    return bundle;
  }

  /** Whether graph `name` has an int8 form. */
  hasInt8(name) {
    return this.manifest.files.has(graphFile(name, "int8"));
  }

  /** Return the verified bytes of file `name`. */
  async read(name) {
    const expected = this.manifest.files.get(name);
    if (expected === undefined) {
      throw new BundleError(`manifest.json: files lacks ${name}; export the bundle again`);
    }
    const data = await this.readFile(name);
    const found = await sha256(data);
    if (found !== expected) {
      throw new BundleError(
        `${this.manifest.name}, ${name}: SHA-256 is ${found}, the manifest says ${expected}; ` +
          "the file was changed or is incomplete, install the bundle again",
      );
    }
    return data;
  }

  setTables(arrays) {
    const { plain, latentChannels, hyperChannels } = this.manifest;
    const masks = arrays.get("masks");
    if (!masks) throw new RangeError("masks are missing");
    checkMasks(masks);
    this.masks = masks;
    this.steps = masks.shape[0];
    this.channelTables = tablesFrom(arrays, "channel.");
    this.scaleTables = arrays.has("scale.frequencies") ? tablesFrom(arrays, "scale.") : null;
    const channels = plain ? latentChannels : hyperChannels;
    if (masks.shape[1] !== latentChannels || this.channelTables.length !== channels) {
      throw new RangeError(`masks and tables are not for ${latentChannels} and ${channels} channels`);
    }
    if ((this.steps === 0) !== plain || (this.scaleTables === null) !== plain) {
      throw new RangeError("a bundle has hyper_stride, masks and scale tables, or none of them");
    }
    if (this.channelTables.minimum === null) throw new RangeError("channel.minimum is missing");
    this.positions = arrays.has("positions") ? this.positionTables(arrays) : null;
  }

  /** Return the tables of a plain autoencoder for latents of one size, one for each value. */
  positionTables(arrays) {
    const [h, w] = arrays.get("positions").data;
    const tables = tablesFrom(arrays, "position.");
    if (!this.manifest.plain || tables.length !== this.manifest.latentChannels * h * w) {
      throw new RangeError(`${tables.length} position tables for ${h} x ${w}`);
    }
    return { h, w, tables };
  }
}

/** Return the name of the file that holds graph `name` in "fp32" or "int8". */
export function graphFile(name, precision) {
  return precision === "fp32" ? `${name}.onnx` : `${name}.${precision}.onnx`;
}

/** Return a function for `Bundle.open` that fetches from beside `url`, a folder. */
export function fetchFrom(url) {
  const folder = new URL(url.endsWith("/") ? url : `${url}/`, globalThis.location?.href);
  return async (name) => {
    const address = new URL(name, folder);
    let response;
    try {
      response = await fetch(address);
    } catch (error) {
      throw new BundleError(`${address.pathname} cannot be fetched (${error.message}); is the server gone?`);
    }
    if (!response.ok) {
      throw new BundleError(
        `${address.pathname} cannot be fetched (${response.status}); build the folder again`,
      );
    }
    return new Uint8Array(await response.arrayBuffer());
  };
}

/** Return the coding id: docs/FORMAT.md, section 6.5. */
async function codingIdOf(hyperDecoder, arrays, latentSpace) {
  const text = new TextEncoder();
  const parts = hyperDecoder ? [hyperDecoder] : [];
  for (const name of [...arrays.keys()].sort()) {
    const { type, shape, bytes } = arrays.get(name);
    const tuple = shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(", ")})`;
    parts.push(text.encode(name + type + tuple), bytes);
  }
  parts.push(text.encode(latentSpace));
  return (await sha256(concatenated(parts))).slice(0, 16);
}

function parseManifest(data) {
  try {
    return new Manifest(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(data)));
  } catch (error) {
    if (error instanceof EdgeaeError) throw error;
    throw new BundleError(`manifest.json: ${error.message}; export the bundle again`);
  }
}
