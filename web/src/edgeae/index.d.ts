/** Reads and writes .eae pictures; networks run in onnxruntime-web, which is handed in. */

export type Mode = "L" | "LA" | "RGB" | "RGBA" | "F";
export type Precision = "fp32" | "int8";

/** The part of onnxruntime-web that is used: `import * as ort from "onnxruntime-web/wasm"`. */
export interface Runtime {
  InferenceSession: { create(model: Uint8Array, options?: object): Promise<any> };
  Tensor: new (type: any, data: any, dims?: readonly number[]) => any;
}

/** Word of what runs: "models", "encoder", "rounding", "packing", "entropy", "decoder". */
export type OnProgress = (stage: string, done?: number, of?: number) => void;

/** Milliseconds by stage. */
export type Milliseconds = Record<string, number>;

/** A picture to encode: samples are grey or RGB, interleaved, row by row. */
export interface Picture {
  width: number;
  height: number;
  samples: Uint8Array;
  /** width * height, not multiplied into the samples. */
  alpha?: Uint8Array | null;
  /** Colour profile, as in a PNG or JPEG file. */
  icc?: Uint8Array | null;
  /** "Exif\0\0" and a TIFF structure without orientation. */
  exif?: Uint8Array | null;
}

/** What a file holds before its decoder runs. */
export interface Latents {
  width: number;
  height: number;
  mode: Mode;
  /** 0..100 in steps of 0.01. */
  quality: number;
  /** (C, h, w), flat. */
  symbols: Int16Array;
  /** (Cz, hz, wz), flat; empty for a plain autoencoder. */
  z: Int16Array;
  alpha: Uint8Array | null;
  icc: Uint8Array | null;
  exif: Uint8Array | null;
  /** Weights (planes, features), flat, of the filter for the decoded samples; docs/FORMAT.md, 8.2. */
  correction: Int8Array | null;
}

export interface DecodedPicture extends Latents {
  mode: "L" | "LA" | "RGB" | "RGBA";
  samples: Uint8Array;
  /**
   * Length of the palette, if the file has colours in place of latents: samples are then exact,
   * whatever the quality says, and symbols and z are empty.
   */
  colours?: number;
  milliseconds: Milliseconds;
}

export interface DecodedArray extends Latents {
  mode: "F";
  values: Float32Array;
  shape: number[];
  milliseconds: Milliseconds;
}

/** Latents of a picture before rounding, for `quantize` at any quality. */
export interface Analysis extends Picture {
  mode: Mode;
  y: Float32Array;
  milliseconds: Milliseconds;
}

export interface Encoding {
  file: Uint8Array;
  quality: number;
  symbols: Int16Array;
  z: Int16Array;
  milliseconds: Milliseconds;
}

/** The codec of one bundle, for repeated use. */
export class Codec {
  /**
   * Promise the codec of a bundle: the address of its folder, or a reader of its files.
   * Rejects with BundleError if it is missing, changed or invalid.
   */
  static load(
    source: string | URL | ((name: string) => Promise<Uint8Array>),
    options: { ort: Runtime; precision?: Precision },
  ): Promise<Codec>;

  /** Make the sessions that decoding needs. */
  warm(): Promise<void>;

  /**
   * Promise the picture in an .eae file, or of latents in a .npy file.
   * Rejects with ContainerError, VersionError or DesyncError for a
   * file that is damaged, too new or too large, BundleError for one of another bundle.
   */
  decompress(
    data: Uint8Array,
    options?: { maxPixels?: number; onProgress?: OnProgress },
  ): Promise<DecodedPicture | DecodedArray>;

  /**
   * Promise the latents in a file, without running the decoder.
   * Rejects as `decompress` does, and with ImageError for a file of colours, which has none.
   */
  unpack(data: Uint8Array, options?: { maxPixels?: number }): Promise<Latents>;

  /** Promise the latents of a picture before rounding; ImageError if the bundle cannot take it. */
  analyse(picture: Picture, options?: { onProgress?: OnProgress }): Promise<Analysis>;

  /** Promise the file of what `analyse` gave, at a quality of 0..100; 50 if not said. */
  quantize(
    analysis: Analysis,
    options?: { quality?: number; onProgress?: OnProgress },
  ): Promise<Encoding>;

  /** Promise the .eae file of a picture. */
  compress(
    picture: Picture,
    options?: { quality?: number; onProgress?: OnProgress },
  ): Promise<Uint8Array>;
}

export interface Header {
  /** 16 hexadecimal digits. */
  codingId: string;
  width: number;
  height: number;
  mode: Mode;
  /** Hundredths, 0..10000. */
  quality: number;
  steps: number;
  lanesLog2: number;
  symbolsCrc: number;
}

/** A header with the lengths and checksums of what follows it. */
export interface FullHeader extends Header {
  latents: { length: number; crc: number };
  further: { kind: number; length: number; crc: number }[];
  /** Bytes of the header itself. */
  size: number;
}

/** What a .npy file of latents holds; the checksum of its symbols is not verified yet. */
export interface LatentsRecord {
  codingId: string;
  width: number;
  height: number;
  mode: Mode;
  /** Hundredths, 0..10000. */
  quality: number;
  symbolsCrc: number;
  symbols: Int16Array;
  z: Int16Array;
  shapes: { symbols: number[]; z: number[] };
  alpha: Uint8Array | null;
  icc: Uint8Array | null;
  exif: Uint8Array | null;
  correction: Int8Array | null;
}

/** A file's header and payloads; sections that it does not have are undefined. */
export interface Container extends Header {
  /** Of 0 bytes if and only if there are colours. */
  latents: Uint8Array;
  alpha?: Uint8Array;
  /** A palette and a plane of its indexes, in place of latents. */
  colours?: Uint8Array;
  icc?: Uint8Array;
  exif?: Uint8Array;
  /** A filter for what the latents decode to. */
  correction?: Uint8Array;
}

export const MAX_PIXELS: number;
export const MAX_RUN_PIXELS: number;
export const PRECISIONS: Precision[];

/** Return the header that `data` begins with; ContainerError if it is damaged. */
export function readHeader(data: Uint8Array): FullHeader;
/** Return what a whole file holds, every checksum over bytes verified. */
export function readContainer(data: Uint8Array, options?: { maxPixels?: number }): Container;
/**
 * Promise the picture in a container that has colours, without a bundle; null if it has latents.
 * Rejects with ContainerError if the colours or the alpha plane are damaged.
 */
export function exactPicture(container: Container): Promise<DecodedPicture | null>;
/** Return the file of a container; RangeError if the format does not allow it. */
export function writeContainer(container: Container): Uint8Array;
/** Begin to compile the runtime, while models are still on their way. */
export function startRuntime(ort: Runtime): void;
/** Return a reader for `Codec.load` that fetches from a folder. */
export function fetchFrom(url: string): (name: string) => Promise<Uint8Array>;
/** Promise a PNG with the samples, alpha, profile and Exif of a picture as they are. */
export function encodePng(picture: DecodedPicture | (Picture & { mode: Mode })): Promise<Uint8Array>;
/** Whether `data` begins like a .npy file. */
export function isNpy(data: Uint8Array): boolean;
/** Return what a .npy file of latents holds; ContainerError if it is damaged or something else. */
export function readNpy(data: Uint8Array, maxPixels?: number): LatentsRecord;
/** Return the .npy file of values in C order. */
export function writeFloatNpy(values: Float32Array, shape: number[]): Uint8Array;
/** Return a canvas's bytes: red, green, blue, alpha. */
export function toRgba(picture: Picture): Uint8ClampedArray;
/** Return the picture in a canvas's bytes: grey if all of it is, alpha only if some is not 255. */
export function fromRgba(rgba: Uint8ClampedArray, width: number, height: number): Picture;
/** Return the PSNR in dB over all samples; Infinity if they are equal. */
export function psnrDb(reference: Uint8Array, samples: Uint8Array): number;
/** Return the bits of a whole file per pixel. */
export function bitsPerPixel(bytes: number, width: number, height: number): number;
/** Return int16 values as little-endian bytes, as checksums and hashes take them. */
export function littleEndian(values: Int16Array): Uint8Array;

/** Base of every error that a file, a bundle or the runtime can cause. */
export class EdgeaeError extends Error {}
export class ContainerError extends EdgeaeError {}
export class VersionError extends ContainerError {}
export class DesyncError extends ContainerError {}
export class GraphError extends EdgeaeError {}
export class BundleError extends EdgeaeError {}
export class ImageError extends EdgeaeError {}
