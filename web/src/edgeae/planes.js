/** Lossless coding of a plane, alpha or indexes of colours: docs/FORMAT.md, section 8. */

import { concatenated } from "./container.js";
import { ContainerError } from "./errors.js";
import { DAMAGED } from "./header.js";
import { DeflateError, inflate } from "./inflate.js";

const CONSTANT = 0;
const FILTERS = [1, 2, 3, 4];

/**
 * Return the height x width plane that `data` codes; ContainerError, which names `section`, if it
 * is not one.
 */
export function decodePlane(data, height, width, section) {
  if (data.length === 0) {
    throw new ContainerError(`${section}: a plane has at least 2 bytes, not 0; ${DAMAGED}`);
  }
  const [filter] = data;
  const body = data.subarray(1);
  if (filter === CONSTANT) {
    if (body.length !== 1) {
      throw new ContainerError(
        `${section}: a constant plane has 1 byte, not ${body.length}; ${DAMAGED}`,
      );
    }
    return new Uint8Array(height * width).fill(body[0]);
  }
  if (!FILTERS.includes(filter)) {
    throw new ContainerError(`${section}: filter ${filter} is not one of 0..4; ${DAMAGED}`);
  }
  let plane;
  try {
    plane = inflate(body, height * width);
  } catch (error) {
    if (!(error instanceof DeflateError)) throw error;
    throw new ContainerError(`${section}: ${error.message}; ${DAMAGED}`);
  }
  // Bytes of a typed array wrap, as the format has it.
  if (filter === 2 || filter === 4) {
    for (let i = 0; i < plane.length; i++) if (i % width) plane[i] += plane[i - 1];
  }
  if (filter === 3 || filter === 4) {
    for (let i = width; i < plane.length; i++) plane[i] += plane[i - width];
  }
  return plane;
}

/** Promise the coding of a plane, with the filter that suits it best. */
export async function encodePlane(plane, width) {
  if (plane.every((value) => value === plane[0])) return Uint8Array.of(CONSTANT, plane[0]);
  const trials = await Promise.all(
    FILTERS.map(async (filter) =>
      concatenated([Uint8Array.of(filter), await deflate(residual(plane, width, filter), "deflate-raw")]),
    ),
  );
  return trials.reduce((best, trial) => (trial.length < best.length ? trial : best));
}

/** Promise what the platform's compressor makes of bytes: "deflate" has zlib's frame. */
export async function deflate(bytes, format) {
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream(format));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function residual(plane, width, filter) {
  const found = Uint8Array.from(plane);
  if (filter === 3 || filter === 4) {
    for (let i = width; i < found.length; i++) found[i] = plane[i] - plane[i - width];
  }
  if (filter === 2 || filter === 4) {
    for (let i = found.length - 1; i >= 0; i--) if (i % width) found[i] -= found[i - 1];
  }
  return found;
}
