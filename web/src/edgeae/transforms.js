/** Encoder and decoder of a bundle, in one run or, for large pictures, in tiles. */

import { graphFile } from "./bundle.js";
import { ImageError } from "./errors.js";
import { Graph, checkShape } from "./graphs.js";
import { decoderOutput } from "./pixels.js";
import { cutPlanes, pastePlanes, spans } from "./tiles.js";

/** Pixels of one run, after padding; a run takes about 120 bytes a pixel, WebAssembly has 4 GB. */
export const MAX_RUN_PIXELS = 2 ** 24;

export class Transforms {
  constructor(bundle, ort, precision) {
    this.manifest = bundle.manifest;
    this.precision = {};
    for (const name of ["encoder", "decoder"]) {
      this.precision[name] = precision === "int8" && bundle.hasInt8(name) ? "int8" : "fp32";
      const file = graphFile(name, this.precision[name]);
      this[name] = new Graph(ort, name, file, () => bundle.read(file));
    }
  }

  /** Return y, flat (C, h, w), of padded pixels `dims` (1, H', W', C). */
  async analyse(pixels, dims, onTile) {
    const [, rows, columns, channels] = dims;
    const { encoder, manifest } = this;
    if (!this.needsTiles(rows, columns)) {
      const { y } = await encoder.run({ pixels: [pixels, dims] });
      checkShape(encoder.file, y, [1, ...manifest.latentsShape(rows, columns)]);
      return y.data;
    }
    const { stride } = manifest;
    const shape = manifest.latentsShape(rows, columns);
    const whole = new Float32Array(shape.reduce((product, side) => product * side, 1));
    await this.eachTile(rows, columns, onTile, async (down, across) => {
      const seen = [down.last - down.first, across.last - across.first];
      const piece = cutPlanes(
        pixels,
        [1, rows, columns * channels],
        [down.first, down.last],
        [across.first * channels, across.last * channels],
      );
      const { y } = await encoder.run({ pixels: [piece, [1, ...seen, channels]] });
      const tile = manifest.latentsShape(...seen);
      checkShape(encoder.file, y, [1, ...tile]);
      const inside = [(down.start - down.first) / stride, (across.start - across.first) / stride];
      const kept = [(down.stop - down.start) / stride, (across.stop - across.start) / stride];
      pastePlanes(whole, shape, [down.start / stride, across.start / stride], y.data, tile, inside, kept);
    });
    return whole;
  }

  /** Return `{ samples }` of yHat as the header has them, or `{ values, shape }` of an array. */
  async synthesize(yHat, header, onTile) {
    const { manifest } = this;
    const [rows, columns] = manifest.padded(header.height, header.width);
    const level = [Float32Array.of(header.quality), []];
    if (manifest.shape) {
      const values = await this.decode(yHat, manifest.latentsShape(rows, columns), level, manifest.shape);
      return { values, shape: manifest.shape };
    }
    const { channels } = manifest;
    const pixels = this.needsTiles(rows, columns)
      ? await this.decodeTiles(yHat, rows, columns, level, onTile)
      : await this.decode(yHat, manifest.latentsShape(rows, columns), level, [rows, columns, channels]);
    return { samples: decoderOutput(pixels, channels, columns, header) };
  }

  async decode(yHat, shape, level, expected) {
    const { pixels } = await this.decoder.run({ y_hat: [yHat, [1, ...shape]], quality: level });
    checkShape(this.decoder.file, pixels, [1, ...expected]);
    return pixels.data;
  }

  async decodeTiles(yHat, rows, columns, level, onTile) {
    const { channels, stride } = this.manifest;
    const shape = this.manifest.latentsShape(rows, columns);
    const whole = new Uint8Array(rows * columns * channels);
    await this.eachTile(rows, columns, onTile, async (down, across) => {
      const seen = [down.last - down.first, across.last - across.first];
      const latents = cutPlanes(
        yHat,
        shape,
        [down.first / stride, down.last / stride],
        [across.first / stride, across.last / stride],
      );
      const expected = [...seen, channels];
      const pixels = await this.decode(latents, this.manifest.latentsShape(...seen), level, expected);
      pastePlanes(
        whole,
        [1, rows, columns * channels],
        [down.start, across.start * channels],
        pixels,
        [1, seen[0], seen[1] * channels],
        [down.start - down.first, (across.start - across.first) * channels],
        [down.stop - down.start, (across.stop - across.start) * channels],
      );
    });
    return whole;
  }

  async eachTile(rows, columns, onTile, work) {
    const { stride, hyperStride, halo } = this.manifest;
    const multiple = Math.max(stride, hyperStride);
    const tiles = spans(rows, multiple, halo).flatMap((down) =>
      spans(columns, multiple, halo).map((across) => [down, across]),
    );
    for (const [done, [down, across]] of tiles.entries()) {
      onTile?.(done, tiles.length);
      await work(down, across);
    }
  }

  /** Whether a padded picture is too large for one run; ImageError if tiles cannot be made of it. */
  needsTiles(rows, columns) {
    if (rows * columns <= MAX_RUN_PIXELS || this.manifest.fixedSize) return false;
    if (this.manifest.halo === null) {
      throw new ImageError(
        `${columns}x${rows} is more than the ${Math.floor(MAX_RUN_PIXELS / 1e6)} megapixels that bundle ` +
          `${this.manifest.name} can do in a browser; use the edgeae program for it`,
      );
    }
    return true;
  }
}
