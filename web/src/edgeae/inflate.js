/**
 * Raw deflate (RFC 1951) back to bytes, with a limit and an exact end.
 *
 * The platform's DecompressionStream neither stops at a size nor says where a stream ended, and
 * both are checks that docs/FORMAT.md asks for.
 */

const LENGTH_BASE = [3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258];
const LENGTH_BITS = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
const DISTANCE_BASE = [1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577];
const DISTANCE_BITS = [0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13];
const CODE_LENGTH_ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
const MAX_BITS = 15;

/** What is wrong with a deflate stream. */
export class DeflateError extends Error {}

/**
 * Return the `size` bytes that `data` inflates to.
 *
 * DeflateError if it is broken, has another size, or does not end with its last byte. Nothing
 * beyond `size` bytes is ever allocated.
 */
export function inflate(data, size) {
  const input = new BitInput(data);
  const output = { bytes: new Uint8Array(size), length: 0 };
  let last = false;
  while (!last) {
    last = input.bits(1) === 1;
    const type = input.bits(2);
    if (type === 0) stored(input, output);
    else if (type === 1) coded(input, output, FIXED.lengths, FIXED.distances);
    else if (type === 2) coded(input, output, ...dynamicCodes(input));
    else throw new DeflateError("a block of unknown type");
  }
  if (output.length !== size) {
    throw new DeflateError(`inflates to ${output.length} bytes, not to ${size}`);
  }
  if (input.bytesRead !== data.length) {
    throw new DeflateError(`${data.length - input.bytesRead} bytes follow the stream`);
  }
  return output.bytes;
}

class BitInput {
  constructor(data) {
    this.data = data;
    this.position = 0; // of the next byte
    this.held = 0;
    this.count = 0;
  }

  bits(count) {
    while (this.count < count) {
      if (this.position >= this.data.length) throw new DeflateError("the stream ends too early");
      this.held |= this.data[this.position++] << this.count;
      this.count += 8;
    }
    const value = this.held & ((1 << count) - 1);
    this.held >>>= count;
    this.count -= count;
    return value;
  }

  /** Return the next symbol of a canonical Huffman code, bit by bit. */
  symbol({ counts, symbols }) {
    let code = 0;
    let first = 0;
    let index = 0;
    for (let length = 1; length <= MAX_BITS; length++) {
      code |= this.bits(1);
      const count = counts[length];
      if (code - first < count) return symbols[index + code - first];
      index += count;
      first = (first + count) << 1;
      code <<= 1;
    }
    throw new DeflateError("a code that stands for nothing");
  }

  aligned(count) {
    this.held = this.count = 0;
    const piece = this.data.subarray(this.position, this.position + count);
    if (piece.length < count) throw new DeflateError("the stream ends too early");
    this.position += count;
    return piece;
  }

  get bytesRead() {
    return this.position;
  }
}

function stored(input, output) {
  const [low, high, notLow, notHigh] = input.aligned(4);
  const length = low | (high << 8);
  if ((length ^ (notLow | (notHigh << 8))) !== 0xffff) {
    throw new DeflateError("a stored block contradicts its length");
  }
  reserve(output, length);
  output.bytes.set(input.aligned(length), output.length);
  output.length += length;
}

function coded(input, output, lengths, distances) {
  const { bytes } = output;
  for (;;) {
    const symbol = input.symbol(lengths);
    if (symbol === 256) return;
    if (symbol < 256) {
      reserve(output, 1);
      bytes[output.length++] = symbol;
      continue;
    }
    const row = symbol - 257;
    if (row >= LENGTH_BASE.length) throw new DeflateError("a length that does not exist");
    const length = LENGTH_BASE[row] + input.bits(LENGTH_BITS[row]);
    const column = input.symbol(distances);
    if (column >= DISTANCE_BASE.length) throw new DeflateError("a distance that does not exist");
    const distance = DISTANCE_BASE[column] + input.bits(DISTANCE_BITS[column]);
    if (distance > output.length) throw new DeflateError("a distance beyond the beginning");
    reserve(output, length);
    for (let i = 0; i < length; i++, output.length++) {
      bytes[output.length] = bytes[output.length - distance];
    }
  }
}

function dynamicCodes(input) {
  const lengthCount = input.bits(5) + 257;
  const distanceCount = input.bits(5) + 1;
  const orderCount = input.bits(4) + 4;
  const order = new Uint8Array(19);
  for (let i = 0; i < orderCount; i++) order[CODE_LENGTH_ORDER[i]] = input.bits(3);
  const code = huffman(order);
  if (lengthCount > 286 || distanceCount > 30) throw new DeflateError("more codes than there are");
  const lengths = new Uint8Array(lengthCount + distanceCount);
  for (let at = 0; at < lengths.length; ) {
    const symbol = input.symbol(code);
    if (symbol < 16) {
      lengths[at++] = symbol;
      continue;
    }
    if (symbol === 16 && at === 0) throw new DeflateError("nothing there to repeat");
    const value = symbol === 16 ? lengths[at - 1] : 0;
    const count =
      symbol === 16 ? 3 + input.bits(2) : symbol === 17 ? 3 + input.bits(3) : 11 + input.bits(7);
    if (at + count > lengths.length) throw new DeflateError("more code lengths than announced");
    lengths.fill(value, at, (at += count));
  }
  if (lengths[256] === 0) throw new DeflateError("a block that cannot end");
  return [huffman(lengths.subarray(0, lengthCount)), huffman(lengths.subarray(lengthCount))];
}

function huffman(lengths) {
  const counts = new Uint16Array(MAX_BITS + 1);
  for (const length of lengths) counts[length]++;
  counts[0] = 0;
  let left = 1;
  for (let length = 1; length <= MAX_BITS; length++) {
    left = 2 * left - counts[length];
    if (left < 0) throw new DeflateError("code lengths that no code has");
  }
  // Only a code of a single one-bit word, or of none, may leave words unused.
  if (left > 0 && counts.some((count, length) => length > 1 && count > 0)) {
    throw new DeflateError("a code that is not complete");
  }
  const offsets = new Uint16Array(MAX_BITS + 2);
  for (let length = 1; length <= MAX_BITS; length++) {
    offsets[length + 1] = offsets[length] + counts[length];
  }
  const symbols = new Uint16Array(lengths.length);
  lengths.forEach((length, symbol) => {
    if (length) symbols[offsets[length]++] = symbol;
  });
  return { counts, symbols };
}

const FIXED = {
  lengths: huffman(
    Uint8Array.from({ length: 288 }, (_, i) => (i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8)),
  ),
  distances: huffman(new Uint8Array(32).fill(5)), // 30 and 31 stand for nothing
};

function reserve(output, count) {
  if (output.length + count > output.bytes.length) {
    throw new DeflateError(`inflates to more than ${output.bytes.length} bytes`);
  }
}
