/** What the page says: plain words for errors, stages, sizes. */

const ERRORS = {
  ContainerError: "This file is damaged, or it is no .eae file.",
  VersionError: "This file needs a newer version of edgeae.",
  DesyncError: "This file does not decode to what its checksum says, so nothing is shown.",
  BundleError: "The model that this needs is not here, or was changed.",
  GraphError: "The model cannot run in this browser.",
  ImageError: "This picture cannot be used.",
};

/** In the order in which they come. */
export const STAGES = {
  models: "Loading the model",
  encoder: "Analysing the photo",
  rounding: "Choosing what to keep",
  packing: "Writing the file",
  entropy: "Reading the file",
  decoder: "Decoding",
  draw: "Drawing",
  jpeg: "Making the JPEG",
};

/** Return a headline for an error of this name. */
export function headline(name) {
  return ERRORS[name] ?? "Something went wrong in the page itself.";
}

/** Return a size as people say it. */
export function bytes(count) {
  if (count < 1000) return `${count} bytes`;
  if (count < 1e6) return `${(count / 1000).toFixed(count < 1e5 ? 1 : 0)} kB`;
  return `${(count / 1e6).toFixed(2)} MB`;
}

/** Return a PSNR with its unit. */
export function decibels(psnr) {
  return psnr === Infinity ? "no difference" : `${psnr.toFixed(2)} dB`;
}

/** Return milliseconds, or seconds where those are many. */
export function duration(milliseconds) {
  return milliseconds < 9999 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1000).toFixed(1)} s`;
}
