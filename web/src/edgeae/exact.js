/** Files of few colours to pictures: no network has a share in them, so no bundle is needed. */

import { decodeColours } from "./colours.js";
import { decodePlane } from "./planes.js";
import { Stopwatch } from "./stopwatch.js";

/**
 * Return the picture in a container that has colours, as `Codec.decompress` does; null if it has
 * latents.
 *
 * ContainerError if the colours or the alpha plane are damaged.
 */
export async function exactPicture(container, watch = new Stopwatch()) {
  if (!container.colours) return null;
  const picture = await watch.time("entropy", () => ({
    ...decodeColours(container.colours, container),
    alpha: alphaOf(container),
  }));
  const none = { symbols: new Int16Array(0), z: new Int16Array(0), correction: null };
  return { ...labelOf(container), ...none, ...picture, milliseconds: watch.milliseconds };
}

/** Return what a file says of its picture. */
export function labelOf({ width, height, mode, quality, icc, exif }) {
  return { width, height, mode, quality: quality / 100, icc: icc ?? null, exif: exif ?? null };
}

/** Return the alpha plane of a container, null if it has none. */
export function alphaOf({ alpha, width, height }) {
  return alpha ? decodePlane(alpha, height, width, "alpha") : null;
}
