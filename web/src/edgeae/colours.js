/**
 * Pictures of few colours, exactly: a palette and a plane of its indexes. docs/FORMAT.md, section
 * 8.1.
 */

import { ContainerError } from "./errors.js";
import { DAMAGED, WRITER } from "./header.js";
import { channelsOf } from "./pixels.js";
import { decodePlane } from "./planes.js";

/**
 * Return `{ samples, colours }` of what `data` codes: the pixels, and how long their palette is.
 *
 * ContainerError if it is no picture of this size and mode.
 */
export function decodeColours(data, { width, height, mode }) {
  const channels = channelsOf(mode);
  const count = data[0] + 1;
  const start = 1 + count * channels;
  if (data.length < start) {
    throw new ContainerError(
      `colours: ${count} take ${start} bytes, ${data.length} are there; ${DAMAGED}`,
    );
  }
  const palette = data.subarray(1, start);
  checkAscent(palette, channels);
  const bits = [1, 2, 4, 8].find((some) => count <= 1 << some);
  const plane = decodePlane(data.subarray(start), height, Math.ceil((width * bits) / 8), "colours");
  const indexes = unpacked(plane, bits, height, width);
  const wrong = indexes.find((index) => index >= count);
  if (wrong !== undefined) {
    throw new ContainerError(`colours: index ${wrong} is not below ${count}; ${WRITER}`);
  }
  return { samples: painted(indexes, palette, channels), colours: count };
}

function checkAscent(palette, channels) {
  let before = -1;
  for (let at = 0; at < palette.length; at += channels) {
    const colour = palette.subarray(at, at + channels);
    const number = colour.reduce((sum, byte) => 256 * sum + byte, 0); // ordered as its bytes are
    if (number <= before) throw new ContainerError(`colours: they do not ascend; ${WRITER}`);
    before = number;
  }
}

/** Return the indexes of a plane that has several in each byte, the first on top. */
function unpacked(plane, bits, height, width) {
  const indexes = new Uint8Array(height * width);
  const each = 8 / bits;
  const across = plane.length / height;
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < across * each; column++) {
      const byte = plane[row * across + Math.floor(column / each)];
      const index = (byte >> (8 - bits * ((column % each) + 1))) & ((1 << bits) - 1);
      if (column < width) indexes[row * width + column] = index;
      else if (index) throw new ContainerError(`colours: bits beyond the last column; ${WRITER}`);
    }
  }
  return indexes;
}

function painted(indexes, palette, channels) {
  const samples = new Uint8Array(channels * indexes.length);
  for (let i = 0, at = 0; i < indexes.length; i++) {
    for (let c = 0; c < channels; c++) samples[at++] = palette[channels * indexes[i] + c];
  }
  return samples;
}
