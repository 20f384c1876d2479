/** The steps in which latents are coded: docs/FORMAT.md, section 6.2. */

const PERIOD = 2;

/**
 * Return, for each mask, the flat positions in latents (C, h, w) in coding order.
 *
 * `masks` is `{ shape: [steps, C, 2, 2], data }` as tables.npz has it; h and w are even.
 */
export function maskPositions({ shape, data }, h, w) {
  const [steps, channels] = shape;
  const phases = PERIOD * PERIOD;
  return Array.from({ length: steps }, (_, step) => {
    const mask = data.subarray(step * channels * phases, (step + 1) * channels * phases);
    const chosen = mask.reduce((sum, inside) => sum + inside, 0);
    const positions = new Int32Array((chosen * h * w) / phases);
    let at = 0;
    for (let c = 0; c < channels; c++) {
      for (let phase = 0; phase < phases; phase++) {
        if (!mask[c * phases + phase]) continue;
        for (let i = phase >> 1; i < h; i += PERIOD) {
          for (let j = phase & 1; j < w; j += PERIOD) positions[at++] = (c * h + i) * w + j;
        }
      }
    }
    return positions;
  });
}

/** Throw RangeError unless the masks hold every position just once, or there are none. */
export function checkMasks({ type, shape, data }) {
  if (type !== "|b1" || shape.length !== 4 || shape[2] !== PERIOD || shape[3] !== PERIOD) {
    throw new RangeError(`masks are ${type} (${shape}), not bool (n, C, ${PERIOD}, ${PERIOD})`);
  }
  const [steps, channels] = shape;
  if (steps > 15) throw new RangeError(`${steps} masks are more than 15`);
  const size = channels * PERIOD * PERIOD;
  for (let i = 0; steps && i < size; i++) {
    let count = 0;
    for (let step = 0; step < steps; step++) count += data[step * size + i];
    if (count !== 1) throw new RangeError("masks do not hold every position exactly once");
  }
}
