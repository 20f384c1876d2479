/** Picture to latents to bytes, and back, with the graphs and tables of one bundle. */

import { Bundle, fetchFrom } from "./bundle.js";
import { readContainer, writeContainer } from "./container.js";
import { corrected, decodeWeights } from "./correction.js";
import { BundleError, ContainerError, DesyncError, ImageError } from "./errors.js";
import { alphaOf, exactPicture, labelOf } from "./exact.js";
import { Graph } from "./graphs.js";
import { checkKnownAnswer } from "./known_answer.js";
import { symbolsCrc } from "./latents.js";
import { isNpy, readNpy } from "./npy.js";
import { checkHeader, encoderInput } from "./pixels.js";
import { encodePlane } from "./planes.js";
import { ChannelPrior, Hyperprior } from "./priors.js";
import { Decoder } from "./rans_decoder.js";
import { encode } from "./rans_encoder.js";
import { Stopwatch } from "./stopwatch.js";
import { Transforms } from "./transforms.js";

export const PRECISIONS = ["fp32", "int8"];

/** The codec of one bundle, for repeated use; `load` is the way to one. */
export class Codec {
  /**
   * Return the codec of a bundle.
   *
   * `source` is the address of its folder, or a function that promises the bytes of a file of it;
   * `ort` is onnxruntime-web; `precision` is "fp32" or "int8", for the graphs that have that form.
   * BundleError if the bundle is missing, changed or invalid.
   */
  static async load(source, { ort, precision = "fp32" }) {
    if (!PRECISIONS.includes(precision)) {
      throw new RangeError(`precision ${precision} is not one of ${PRECISIONS}`);
    }
    const readFile = typeof source === "function" ? source : fetchFrom(String(source));
    return new Codec(await Bundle.open(readFile), ort, precision);
  }

  constructor(bundle, ort, precision) {
    this.bundle = bundle;
    this.manifest = bundle.manifest;
    this.transforms = new Transforms(bundle, ort, precision);
    this.prior = this.manifest.plain
      ? new ChannelPrior(bundle)
      : new Hyperprior(
          bundle,
          new Graph(ort, "hyper_encoder", "hyper_encoder.onnx", () => bundle.read("hyper_encoder.onnx")),
          new Graph(
            ort,
            "hyper_decoder",
            "hyper_decoder.onnx",
            async () => bundle.hyperDecoder,
            (run) => checkKnownAnswer(bundle, run),
          ),
        );
  }

  /** Make the sessions that decoding needs: the first picture is then as fast as the next ones. */
  async warm() {
    await Promise.all([this.prior.hyperDecoder?.open(), this.transforms.decoder.open()]);
  }

  /**
   * Return the picture in an .eae file, or of latents in a .npy file.
   *
   * `{ width, height, mode, quality, samples, alpha, icc, exif, symbols, z, milliseconds }`;
   * of mode F `values` and `shape` instead of `samples`; if the file has colours in place of
   * latents, `colours` too, their number, and no symbols: such a picture is exact and no network
   * runs. Throws what `unpack` does, but for the ImageError.
   */
  async decompress(data, { maxPixels, onProgress } = {}) {
    const watch = new Stopwatch(onProgress);
    const found = this.read(data, maxPixels);
    const exact = await exactPicture(found, watch);
    if (exact) return exact;
    const { yHat, ...latents } = await this.unpackTimed(found, watch);
    const { correction, width, height } = latents;
    await watch.time("models", () => this.transforms.decoder.open());
    const picture = await watch.time("decoder", () =>
      this.transforms.synthesize(yHat, latents, (done, of) => onProgress?.("decoder", done, of)),
    );
    if (correction) {
      picture.samples = await watch.time("decoder", () =>
        corrected(picture.samples, width, height, correction),
      );
    }
    return { ...latents, ...picture, milliseconds: watch.milliseconds };
  }

  /**
   * Return the latents in an .eae or .npy file, without running the decoder.
   *
   * ContainerError, VersionError or DesyncError if the file is damaged, too new or too large,
   * BundleError if it was made with another bundle, ImageError if it has colours in their place.
   */
  async unpack(data, { maxPixels } = {}) {
    const found = this.read(data, maxPixels);
    if (found.colours) {
      throw new ImageError(
        "the file keeps the colours of its pixels and has no latents; decompress it instead",
      );
    }
    return this.unpackTimed(found, new Stopwatch());
  }

  /**
   * Return the latents of a picture before rounding, for `quantize` at any quality.
   *
   * `picture` is `{ width, height, samples, alpha, icc, exif }`; samples are grey or RGB,
   * interleaved; all but the first three may be absent.
   */
  async analyse(picture, { onProgress } = {}) {
    const { width, height, samples } = picture;
    const channels = samples.length / (width * height);
    if (channels !== 1 && channels !== 3) {
      throw new ImageError(`${samples.length} samples are no picture of ${width}x${height}`);
    }
    const watch = new Stopwatch(onProgress);
    const { input, dims } = encoderInput(picture, this.manifest);
    await watch.time("models", () => this.transforms.encoder.open());
    const y = await watch.time("encoder", () =>
      this.transforms.analyse(input, dims, (done, of) => onProgress?.("encoder", done, of)),
    );
    const mode = `${channels === 1 ? "L" : "RGB"}${picture.alpha ? "A" : ""}`;
    return { ...picture, mode, y, milliseconds: watch.milliseconds };
  }

  /** Return `{ file, yHat, milliseconds }` of what `analyse` gave; quality is 0..100. */
  async quantize(analysis, { quality = 50, onProgress } = {}) {
    if (!(quality >= 0 && quality <= 100)) throw new RangeError(`quality ${quality} is outside 0..100`);
    const hundredths = Math.floor(100 * quality + 0.5);
    const watch = new Stopwatch(onProgress);
    const padded = this.manifest.padded(analysis.height, analysis.width);
    await watch.time("models", () =>
      Promise.all([this.prior.hyperEncoder?.open(), this.prior.hyperDecoder?.open()]),
    );
    const coded = await watch.time("rounding", () =>
      this.prior.quantize(
        analysis.y,
        this.manifest.latentsShape(...padded),
        this.manifest.hyperShape(...padded),
        hundredths / 100,
        (done, of) => onProgress?.("rounding", done, of),
      ),
    );
    const file = await watch.time("packing", () => this.pack(analysis, coded, hundredths));
    return { file, ...coded, quality: hundredths / 100, milliseconds: watch.milliseconds };
  }

  /** Return the .eae file of a picture; parameters are those of `analyse` and `quantize`. */
  async compress(picture, { quality = 50, onProgress } = {}) {
    const analysis = await this.analyse(picture, { onProgress });
    return (await this.quantize(analysis, { quality, onProgress })).file;
  }

  /** Return what a file of this bundle holds; its payloads are not decoded yet. */
  read(data, maxPixels) {
    const { bundle, manifest } = this;
    const found = isNpy(data) ? readNpy(data, maxPixels) : readContainer(data, { maxPixels });
    this.checkCodingId(found.codingId);
    if (found.steps !== undefined && found.steps !== bundle.steps) {
      throw new ContainerError(
        `coded in ${found.steps} steps, bundle ${manifest.name} has ${bundle.steps}; ` +
          "the header was altered",
      );
    }
    checkHeader(found, manifest);
    return found;
  }

  async unpackTimed(found, watch) {
    const [coded, alpha, correction] = found.symbols
      ? [await this.restoreLatents(found, watch), found.alpha, found.correction]
      : [await this.decodeLatents(found, watch), alphaOf(found), correctionOf(found)];
    const crc = symbolsCrc(coded.z, coded.symbols);
    if (crc !== found.symbolsCrc) {
      const text = (value) => value.toString(16).padStart(8, "0");
      throw new DesyncError(
        `symbols have CRC-32 ${text(crc)}, the file says ${text(found.symbolsCrc)}; the file is ` +
          "damaged, or this browser computes other scale indexes than the machine that wrote it",
      );
    }
    const { symbols, z, yHat } = coded;
    return { ...labelOf(found), symbols, z, yHat, alpha, correction };
  }

  async decodeLatents(found, watch) {
    const { manifest } = this;
    const padded = manifest.padded(found.height, found.width);
    await watch.time("models", () => this.prior.hyperDecoder?.open());
    return watch.time("entropy", () =>
      this.prior.decode(
        new Decoder(found.latents, found.lanesLog2),
        manifest.latentsShape(...padded),
        manifest.hyperShape(...padded),
        (done, of) => watch.onProgress?.("entropy", done, of),
      ),
    );
  }

  async restoreLatents(found, watch) {
    const { manifest } = this;
    const padded = manifest.padded(found.height, found.width);
    const shapes = [manifest.latentsShape(...padded), manifest.hyperShape(...padded)];
    const there = [found.shapes.symbols, found.shapes.z];
    if (String(there) !== String(shapes)) {
      throw new ContainerError(
        `symbols and z are (${there[0]}) and (${there[1]}), a picture of ${found.width}x${found.height} ` +
          `has (${shapes[0]}) and (${shapes[1]}); the latents were altered`,
      );
    }
    await watch.time("models", () => this.prior.hyperDecoder?.open());
    return watch.time("entropy", () =>
      this.prior.restore(found.symbols, found.z, ...shapes, (done, of) =>
        watch.onProgress?.("entropy", done, of),
      ),
    );
  }

  checkCodingId(codingId) {
    const { name, codingId: own } = this.manifest;
    if (codingId !== own) {
      throw new BundleError(
        `made with a bundle of coding id ${codingId}, but ${name} has ${own}; ` +
          "choose the bundle it was made with",
      );
    }
  }

  async pack(analysis, coded, quality) {
    const { width, height, mode, alpha } = analysis;
    const { payload, lanesLog2 } = encode(coded.sections);
    return writeContainer({
      codingId: this.manifest.codingId,
      width,
      height,
      mode,
      quality,
      steps: this.bundle.steps,
      lanesLog2,
      symbolsCrc: symbolsCrc(coded.z, coded.symbols),
      latents: payload,
      alpha: alpha ? await encodePlane(alpha, width) : undefined,
      icc: analysis.icc || undefined,
      exif: analysis.exif || undefined,
    });
  }
}

/** Return the weights of a container's correction, null if it has none. */
function correctionOf({ correction, mode }) {
  return correction ? decodeWeights(correction, mode) : null;
}
