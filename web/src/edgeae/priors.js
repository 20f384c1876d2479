/**
 * How symbols follow from latents and which table codes each. The two kinds of bundle have the same
 * methods: `quantize` latents, `decode` a payload, `restore` what known symbols stand for.
 * docs/FORMAT.md, section 6.3.
 */

import { ContainerError, GraphError } from "./errors.js";
import { checkShape } from "./graphs.js";
import { maskPositions } from "./masks.js";
import { cheapest, nearest, thresholds } from "./rounding.js";

/** Mean 0 and one table a channel, or one a value: the prior of a plain autoencoder. */
export class ChannelPrior {
  constructor(bundle) {
    this.bundle = bundle;
  }

  /** Return symbols, z, yHat and sections of `y`, rounded to the nearest. */
  async quantize(y, shape) {
    const { tables, rows } = this.rows(shape);
    const symbols = new Int16Array(y.length);
    for (let i = 0; i < y.length; i++) symbols[i] = nearest(y[i], tables.valueLimit);
    return coded(symbols, tables, rows);
  }

  /** Return symbols, z, yHat and sections that a decoder holds. */
  async decode(decoder, shape) {
    const { tables, rows } = this.rows(shape);
    return coded(decoder.decode(rows, tables, true), tables, rows);
  }

  /** Return what follows from known symbols. */
  async restore(symbols, _, shape) {
    const { tables, rows } = this.rows(shape);
    return coded(symbols, tables, rows);
  }

  rows([channels, h, w]) {
    const { positions, channelTables } = this.bundle;
    if (positions?.h === h && positions?.w === w) {
      const { tables } = positions;
      return { tables, rows: Uint16Array.from({ length: tables.length }, (_, i) => i) };
    }
    return { tables: channelTables, rows: channelRows(channels, h * w) };
  }
}

/** Means and table rows from hyper-latents and from the steps already known. */
export class Hyperprior {
  constructor(bundle, hyperEncoder, hyperDecoder) {
    this.bundle = bundle;
    this.hyperEncoder = hyperEncoder;
    this.hyperDecoder = hyperDecoder;
  }

  /**
   * Return symbols, z, yHat and sections of `y` (C, h, w), rounded where that is cheapest.
   *
   * `onStep(done, of)` is told how far it is.
   */
  async quantize(y, shape, hyperShape, quality, onStep) {
    const { scaleTables } = this.bundle;
    const { scaled, z } = await this.hyperEncoder.run({
      y: [y, [1, ...shape]],
      quality: [Float32Array.of(quality), []],
    });
    checkShape("hyper_encoder.onnx", scaled, [1, ...shape]);
    checkShape("hyper_encoder.onnx", z, [1, ...hyperShape]);
    this.bounds ??= thresholds(scaleTables);
    const fill = (at, mean, rows) => {
      const values = new Int16Array(at.length);
      for (let i = 0; i < at.length; i++) {
        const residual = Math.fround(scaled.data[at[i]] - mean[at[i]]);
        values[i] = cheapest(residual, rows[i], this.bounds, scaleTables.valueLimit);
      }
      return values;
    };
    return this.steps(z.data, shape, hyperShape, fill, onStep);
  }

  /** Return symbols, z, yHat and sections that a decoder holds. */
  async decode(decoder, shape, hyperShape, onStep) {
    const { channelTables, scaleTables, steps } = this.bundle;
    const rows = channelRows(hyperShape[0], hyperShape[1] * hyperShape[2]);
    const z = decoder.decode(rows, channelTables, false);
    const fill = (_, __, rows, step) => decoder.decode(rows, scaleTables, step === steps - 1);
    return this.steps(z, shape, hyperShape, fill, onStep);
  }

  /** Return symbols, z, yHat and sections of known symbols. */
  async restore(symbols, z, shape, hyperShape, onStep) {
    const fill = (at, _, rows) => {
      const values = Int16Array.from(at, (position) => symbols[position]);
      if (values.some((value, i) => value !== 0 && rows[i] === 0)) {
        throw new ContainerError(
          "a symbol is not 0 where scale index 0 stands for 0; the latents were altered",
        );
      }
      return values;
    };
    return this.steps(z, shape, hyperShape, fill, onStep);
  }

  async steps(z, shape, hyperShape, fill, onStep) {
    const { masks, channelTables, scaleTables } = this.bundle;
    const [channels, h, w] = shape;
    const symbols = new Int16Array(channels * h * w);
    const yHat = new Float32Array(symbols.length);
    const positions = maskPositions(masks, h, w);
    const zRows = channelRows(hyperShape[0], hyperShape[1] * hyperShape[2]);
    const sections = [{ values: z, rows: zRows, tables: channelTables }];
    for (const [step, at] of positions.entries()) {
      onStep?.(step, positions.length);
      const { mean, index } = await this.hyperDecoder.run({
        z: [z, [1, ...hyperShape]],
        symbols: [symbols, [1, ...shape]],
        step: [[step], []],
      });
      checkShape("hyper_decoder.onnx", mean, [1, ...shape]);
      checkShape("hyper_decoder.onnx", index, [1, ...shape]);
      const rows = new Uint8Array(at.length);
      for (let i = 0; i < at.length; i++) rows[i] = index.data[at[i]];
      checkRows(rows, scaleTables.length);
      const values = fill(at, mean.data, rows, step);
      for (let i = 0; i < at.length; i++) {
        symbols[at[i]] = values[i];
        yHat[at[i]] = mean.data[at[i]] + values[i];
      }
      sections.push({ values, rows, tables: scaleTables });
    }
    return { symbols, z, yHat, sections };
  }
}

function coded(symbols, tables, rows) {
  return {
    symbols,
    z: new Int16Array(0),
    yHat: Float32Array.from(symbols),
    sections: [{ values: symbols, rows, tables }],
  };
}

function channelRows(channels, plane) {
  const rows = new Uint16Array(channels * plane);
  for (let c = 0; c < channels; c++) rows.fill(c, c * plane, (c + 1) * plane);
  return rows;
}

function checkRows(rows, tables) {
  const top = rows.reduce((largest, row) => Math.max(largest, row), 0);
  if (top >= tables) {
    throw new GraphError(
      `hyper_decoder.onnx: gives scale index ${top}, there are ${tables} tables; export the bundle again`,
    );
  }
}
