/**
 * The filter that a file brings along for its decoded samples: docs/FORMAT.md, section 8.2.
 *
 * Weights are an Int8Array [planes, features], flat.
 */

import { ContainerError } from "./errors.js";
import { DAMAGED } from "./header.js";
import { channelsOf } from "./pixels.js";

const WEIGHT_MAX = 127;
const REACH = 2; // samples that the filter sees in each direction
// Rows and columns away, there and back.
const PAIRS = [
  [0, 1], [1, 0], [1, 1], [1, -1], [0, 2], [2, 0], [1, 2], [2, 1], [1, -2], [2, -1], [2, 2], [2, -2],
];

/** Return how many planes and features the filter of a mode has. */
export function shapeOf(mode) {
  const planes = channelsOf(mode);
  return [planes, planes * PAIRS.length + planes - 1];
}

/** Return the weights in a section; ContainerError if they are not coded as they should be. */
export function decodeWeights(data, mode) {
  const [planes, features] = shapeOf(mode);
  const beyond = `correction: bits beyond the last of ${planes * features} weights; ${DAMAGED}`;
  // A weight takes WEIGHT_MAX bits, its end and its sign at most.
  if (8 * data.length >= planes * features * (WEIGHT_MAX + 2) + 8) throw new ContainerError(beyond);
  let at = 0;
  const bit = () => {
    const value = at < 8 * data.length ? (data[at >> 3] >> (7 - (at & 7))) & 1 : 0;
    at += 1;
    return value;
  };
  const weights = new Int8Array(planes * features);
  for (let f = 0; f < features; f++) {
    for (let c = 0; c < planes; c++) {
      let weight = 0;
      while (bit()) weight += 1;
      if (weight > WEIGHT_MAX) throw new ContainerError(`correction: a weight of ${weight}; ${DAMAGED}`);
      weights[c * features + f] = weight && bit() ? -weight : weight;
    }
  }
  let rest = !data.length || data.at(-1) === 0;
  while (at < 8 * data.length) rest = bit() === 1 || rest;
  if (rest) throw new ContainerError(beyond);
  return weights;
}

/** Return decoded samples, interleaved, with the correction added. */
export function corrected(samples, width, height, weights) {
  const channels = samples.length / (width * height);
  const across = width + 2 * REACH;
  const planes = planesOf(samples, width, height, channels);
  const features = weights.length / channels;
  const found = new Uint8Array(samples.length);
  const sums = new Float64Array(channels);
  const used = usedPairs(weights, channels, features, across);
  for (let i = 0; i < height; i++) {
    for (let j = 0; j < width; j++) {
      const centre = (i + REACH) * across + j + REACH;
      sums.fill(0);
      for (let f = 0; f < channels - 1; f++) {
        const value = planes[f + 1][centre];
        for (let c = 0; c < channels; c++) sums[c] += weights[c * features + f] * value;
      }
      for (const [f, plane, shift] of used) {
        const p = planes[plane];
        const value = p[centre + shift] + p[centre - shift] - 2 * p[centre];
        for (let c = 0; c < channels; c++) sums[c] += weights[c * features + f] * value;
      }
      add(found, samples, (i * width + j) * channels, sums);
    }
  }
  return found;
}

/** Return [feature, plane, distance in a plane] of the pairs that have a weight. */
function usedPairs(weights, channels, features, across) {
  const pairs = [];
  for (const [n, [dy, dx]] of PAIRS.entries()) {
    for (let plane = 0; plane < channels; plane++) {
      const f = channels - 1 + n * channels + plane;
      const some = Array.from({ length: channels }, (_, c) => weights[c * features + f]).some(Boolean);
      if (some) pairs.push([f, plane, dy * across + dx]);
    }
  }
  return pairs;
}

/** Return four times the samples, or four times Y, Co and Cg, each with its surroundings. */
function planesOf(samples, width, height, channels) {
  const across = width + 2 * REACH;
  const planes = Array.from({ length: channels }, () => new Int16Array(across * (height + 2 * REACH)));
  const within = (value, length) => Math.max(0, Math.min(length - 1, value - REACH));
  for (let i = 0, to = 0; i < height + 2 * REACH; i++) {
    for (let j = 0; j < across; j++, to++) {
      const from = (within(i, height) * width + within(j, width)) * channels;
      const red = samples[from];
      if (channels === 1) {
        planes[0][to] = 4 * red;
        continue;
      }
      const [green, blue] = [samples[from + 1], samples[from + 2]];
      planes[0][to] = red + 2 * green + blue;
      planes[1][to] = 2 * (red - blue);
      planes[2][to] = 2 * green - red - blue;
    }
  }
  return planes;
}

function add(found, samples, at, sums) {
  const [y, orange, green] = sums;
  const changes = sums.length === 1 ? [y] : [y + orange - green, y + green, y - orange - green];
  for (const [c, change] of changes.entries()) {
    const value = samples[at + c] + Math.floor((change + 128) / 256);
    found[at + c] = Math.max(0, Math.min(255, value));
  }
}
