/** Damaged and foreign files: each is the kind of error that docs/FORMAT.md, section 10, says. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { crc16, crc32 } from "../../src/edgeae/checksums.js";
import { readContainer, writeContainer } from "../../src/edgeae/container.js";
import { ContainerError, VersionError } from "../../src/edgeae/errors.js";

const DIGITS = new TextEncoder().encode("123456789");
const CONTAINER = {
  codingId: "0123456789abcdef",
  width: 300,
  height: 4464,
  mode: "RGBA",
  quality: 5025,
  steps: 2,
  lanesLog2: 0,
  symbolsCrc: 0xdeadbeef,
  latents: Uint8Array.of(1, 2, 3, 4, 5),
  alpha: Uint8Array.of(0, 7),
  icc: Uint8Array.of(9),
  exif: Uint8Array.of(8, 8),
};
const COLOURS = {
  ...CONTAINER,
  symbolsCrc: 0,
  latents: new Uint8Array(0),
  colours: Uint8Array.of(0, 1, 2, 3, 0, 0),
};
const HEADER_BYTES = 54;

test("checksums are those of the format", () => {
  assert.equal(crc32(DIGITS), 0xcbf43926);
  assert.equal(crc16(DIGITS), 0x29b1);
});

test("a container is read as it was written", () => {
  const container = { ...CONTAINER, correction: Uint8Array.of(5) };
  const { further, size, ...read } = readContainer(writeContainer(container));
  assert.deepEqual(read, { ...container, colours: undefined });
  assert.equal(size, HEADER_BYTES + 6);
  assert.deepEqual(further.map(({ kind }) => kind), [0x01, 0x81, 0x82, 0x83]);
});

test("a container of colours is read as it was written", () => {
  const { further, size, ...read } = readContainer(writeContainer(COLOURS));
  assert.deepEqual(read, { ...COLOURS, correction: undefined });
  const corrected = { ...COLOURS, correction: Uint8Array.of(5) };
  assert.throws(() => writeContainer(corrected), /colours and a correction contradict/);
  assert.deepEqual(further.map(({ kind }) => kind), [0x01, 0x02, 0x81, 0x82]);
});

test("every prefix, and a byte more, is a ContainerError", () => {
  const file = writeContainer(CONTAINER);
  for (let length = 0; length < file.length; length++) {
    assert.throws(() => readContainer(file.slice(0, length)), ContainerError);
  }
  assert.throws(() => readContainer(Uint8Array.of(...file, 0)), /1 bytes follow/);
});

test("every flipped bit is a ContainerError", () => {
  const file = writeContainer(CONTAINER);
  for (let bit = 0; bit < 8 * file.length; bit++) {
    const damaged = file.slice();
    damaged[bit >> 3] ^= 1 << (bit & 7);
    assert.throws(() => readContainer(damaged), ContainerError, `bit ${bit}`);
  }
});

/** [what, change of the header's bytes, error, message] */
const FOREIGN = [
  ["version 2", (head) => (head[8] += 1), VersionError, /version 2/],
  ["version 0", (head) => (head[8] -= 1), ContainerError, /version 0/],
  ["mode 7", (head) => (head[8] |= 0x80), VersionError, /mode 7/],
  ["13 lanes", (head) => (head[9] = 0xb2), ContainerError, /lanes_log2 11/],
  ["hundredths above 99", (head) => head.splice(18, 2, 0xb2, 0x64), ContainerError, /hundredths/],
  ["quality above 100", (head) => head.splice(18, 2, 101), ContainerError, /quality/],
  ["width 0", (head) => head.splice(20, 2, 0), ContainerError, /width 0/],
  ["a needless byte", (head) => head.splice(20, 2, 0xac, 0x82, 0), ContainerError, /needless/],
  ["a varint of 6 bytes", (head) => head.splice(20, 2, 255, 255, 255, 255, 255, 1), ContainerError, /beyond 5/],
  ["an unknown critical section", (head) => (head[32] = 0x03), VersionError, /type 3/],
  ["sections that do not ascend", (head) => (head[38] = 0x01), ContainerError, /ascend/],
  ["no alpha though the mode has it", (head) => (head[32] = 0x80), ContainerError, /no alpha/],
  ["16 sections", (head) => (head[31] = 16), ContainerError, /16 sections|needs/],
];

for (const [what, change, kind, message] of FOREIGN) {
  test(`${what} is an error of its own`, () => {
    const changed = withHeader(change);
    assert.throws(() => readContainer(changed), (error) => {
      assert.equal(error.constructor, kind);
      assert.match(error.message, message);
      return true;
    });
  });
}

test("changed line endings are named", () => {
  const text = Buffer.from(writeContainer(CONTAINER)).toString("latin1").replaceAll("\r\n", "\n");
  assert.throws(() => readContainer(Buffer.from(text, "latin1")), /line endings/);
});

test("the limit of pixels is the caller's", () => {
  const file = writeContainer(CONTAINER);
  assert.throws(() => readContainer(file, { maxPixels: 1000 }), /limit of 1000/);
});

test("an unknown ancillary section is skipped", () => {
  const changed = withHeader((head) => (head[44] = 0xff)); // it was Exif
  assert.equal(readContainer(changed).exif, undefined);
  assert.deepEqual(readContainer(changed).icc, CONTAINER.icc);
});

test("what the format does not allow is not written", () => {
  for (const change of [{ width: 0 }, { quality: 10001 }, { steps: 16 }, { mode: "RGB" }, { mode: "X" }]) {
    assert.throws(() => writeContainer({ ...CONTAINER, ...change }), RangeError);
  }
  const { latents } = CONTAINER;
  for (const change of [{ latents }, { steps: 0 }, { lanesLog2: 1 }, { symbolsCrc: 1 }]) {
    assert.throws(() => writeContainer({ ...COLOURS, ...change }), RangeError);
  }
  assert.throws(() => writeContainer({ ...COLOURS, colours: undefined }), /no colours/);
});

/** Return the file with its header changed and a checksum that fits. */
function withHeader(change) {
  const file = Array.from(writeContainer(CONTAINER));
  const head = file.slice(0, HEADER_BYTES - 4);
  change(head);
  const crc = crc32(Uint8Array.from(head));
  const bytes = [0, 8, 16, 24].map((shift) => (crc >>> shift) & 255);
  return Uint8Array.from([...head, ...bytes, ...file.slice(HEADER_BYTES)]);
}
