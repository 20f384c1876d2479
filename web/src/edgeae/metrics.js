/** Rate and distortion of a picture. */

const PEAK = 255;

/** Return the PSNR in dB over all samples of two equally long arrays; Infinity if they are equal. */
export function psnrDb(reference, samples) {
  if (reference.length !== samples.length) throw new RangeError("two pictures of different size");
  let sum = 0;
  for (let i = 0; i < reference.length; i++) sum += (reference[i] - samples[i]) ** 2;
  return sum === 0 ? Infinity : 10 * Math.log10((PEAK ** 2 * reference.length) / sum);
}

/** Return the bits of a whole file per pixel of its picture. */
export function bitsPerPixel(bytes, width, height) {
  return (8 * bytes) / (width * height);
}
