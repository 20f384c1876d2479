/** Large pictures through a network piece by piece, where the bundle says how far a pixel sees. */

const TILE_SIDE = 1024; // pixels that one run is for, in each direction

/**
 * Return the tiles along an axis: pixels [start, stop) are kept of what is seen, [first, last).
 *
 * `length` is padded, `halo` the context that each kept pixel needs.
 */
export function spans(length, multiple, halo, side = TILE_SIDE) {
  const step = Math.ceil(side / multiple) * multiple;
  const context = Math.ceil(halo / multiple) * multiple;
  const found = [];
  for (let start = 0; start < length; start += step) {
    const stop = Math.min(start + step, length);
    found.push({
      start,
      stop,
      first: Math.max(0, start - context),
      last: Math.min(length, stop + context),
    });
  }
  return found;
}

/** Return planes (n, rows, columns) cut to a rectangle, as an array of the same kind. */
export function cutPlanes(planes, [count, rows, columns], [top, bottom], [left, right]) {
  const width = right - left;
  const piece = new planes.constructor(count * (bottom - top) * width);
  let at = 0;
  for (let n = 0; n < count; n++) {
    for (let i = top; i < bottom; i++, at += width) {
      const from = (n * rows + i) * columns;
      piece.set(planes.subarray(from + left, from + right), at);
    }
  }
  return piece;
}

/**
 * Copy a rectangle of planes `piece`, of `size` (n, rows, columns), into planes `whole`.
 *
 * It begins at `inside` of the piece, has height and width `kept`, and goes to `place` of the whole.
 */
export function pastePlanes(whole, shape, place, piece, size, inside, kept) {
  for (let n = 0; n < shape[0]; n++) {
    for (let i = 0; i < kept[0]; i++) {
      const from = (n * size[1] + inside[0] + i) * size[2] + inside[1];
      const to = (n * shape[1] + place[0] + i) * shape[2] + place[1];
      whole.set(piece.subarray(from, from + kept[1]), to);
    }
  }
}
