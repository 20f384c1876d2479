/** What stands before the encoder and after the decoder: padding, cropping, channels. */

import { ContainerError, ImageError } from "./errors.js";

/**
 * Return what the encoder takes of a picture: (H', W', C) uint8 for a bundle of C channels.
 *
 * ImageError for another size than the bundle takes, or colours where it is grey.
 */
export function encoderInput({ width, height, samples }, manifest) {
  const size = manifest.fixedSize;
  if (manifest.input === "array") {
    throw new ImageError(`bundle ${manifest.name} is for arrays of floats; choose another model`);
  }
  if (size && (size[0] !== height || size[1] !== width)) {
    throw new ImageError(
      `a picture of ${width}x${height}, but bundle ${manifest.name} takes ${size[1]}x${size[0]} only; ` +
        "resize it, or choose another model",
    );
  }
  const found = samples.length / (width * height);
  const channels = manifest.channels;
  if (channels === 1 && !isGrey(samples, found)) {
    throw new ImageError(
      `a colour picture, but bundle ${manifest.name} is for grey ones; convert the picture, ` +
        "or choose another model",
    );
  }
  const [rows, columns] = manifest.padded(height, width);
  const input = new Uint8Array(rows * columns * channels);
  for (let i = 0, at = 0; i < rows; i++) {
    const row = Math.min(i, height - 1) * width;
    for (let j = 0; j < columns; j++) {
      const from = (row + Math.min(j, width - 1)) * found;
      for (let c = 0; c < channels; c++) input[at++] = samples[from + (found === 1 ? 0 : c)];
    }
  }
  return { input, dims: [1, rows, columns, channels] };
}

/** Whether all channels of interleaved samples are equal. */
export function isGrey(samples, channels) {
  if (channels === 1) return true;
  for (let i = 0; i < samples.length; i += 3) {
    if (samples[i] !== samples[i + 1] || samples[i] !== samples[i + 2]) return false;
  }
  return true;
}

/** Return the channels of a picture's samples, which alpha is not one of. */
export function channelsOf(mode) {
  return mode.startsWith("L") ? 1 : 3;
}

/**
 * Return the picture's own samples of padded decoder output, as its mode has them: 1 or 3 channels.
 */
export function decoderOutput(pixels, channels, paddedWidth, { width, height, mode }) {
  const wanted = channelsOf(mode);
  const samples = new Uint8Array(width * height * wanted);
  for (let i = 0, at = 0; i < height; i++) {
    for (let from = i * paddedWidth * channels, j = 0; j < width; j++, from += channels) {
      if (wanted === channels) {
        for (let c = 0; c < channels; c++) samples[at++] = pixels[from + c];
      } else if (wanted === 1) {
        // The mean, never half way between two integers.
        samples[at++] = Math.floor((pixels[from] + pixels[from + 1] + pixels[from + 2] + 1) / 3);
      } else {
        samples[at++] = samples[at++] = samples[at++] = pixels[from];
      }
    }
  }
  return samples;
}

/** Throw ContainerError if a header says what the bundle's graphs cannot give. */
export function checkHeader({ width, height, mode }, manifest) {
  const size = manifest.fixedSize;
  const differs = size && (size[0] !== height || size[1] !== width);
  if ((mode === "F") !== (manifest.input === "array") || differs) {
    throw new ContainerError(
      `mode ${mode} of ${width}x${height}, but bundle ${manifest.name} has ${manifest.input} ` +
        `${size ? `of ${size[1]}x${size[0]}` : "of any size"}; the header was altered`,
    );
  }
}

/** Return width * height * 4 bytes for a canvas: red, green, blue, alpha. */
export function toRgba({ samples, alpha, width, height }) {
  const rgba = new Uint8ClampedArray(4 * width * height);
  const channels = samples.length / (width * height);
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) rgba[4 * i + c] = samples[i * channels + (channels === 3 ? c : 0)];
    rgba[4 * i + 3] = alpha ? alpha[i] : 255;
  }
  return rgba;
}

/** Return the picture in a canvas's bytes: grey if all of it is, alpha only if some is not 255. */
export function fromRgba(rgba, width, height) {
  const count = width * height;
  let samples = new Uint8Array(3 * count);
  const alpha = new Uint8Array(count);
  for (let i = 0; i < count; i++) {
    for (let c = 0; c < 3; c++) samples[3 * i + c] = rgba[4 * i + c];
    alpha[i] = rgba[4 * i + 3];
  }
  if (isGrey(samples, 3)) samples = samples.filter((_, i) => i % 3 === 0);
  const opaque = alpha.every((value) => value === 255);
  return { width, height, samples, alpha: opaque ? null : alpha };
}
