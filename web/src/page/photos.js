/** Photos of any kind that the browser reads, as samples and as canvases; and JPEG beside them. */

import { ImageError, fromRgba, psnrDb, toRgba } from "../edgeae/index.js";

const SIDE_MAX = 65535;
const PIXELS_MAX = 2 ** 28;

/** Promise the picture in a file, upright and in sRGB; ImageError if the browser cannot read it. */
export async function readPhoto(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    throw new ImageError(`${file.name}: this browser cannot read it as a picture`);
  }
  const { width, height } = bitmap;
  if (Math.max(width, height) > SIDE_MAX || width * height > PIXELS_MAX) {
    throw new ImageError(`${file.name}: ${width}x${height} is more than ${PIXELS_MAX} pixels`);
  }
  return fromRgba(rgbaOf(bitmap), width, height);
}

/** Return a canvas that shows a decoded picture; with a colour profile the browser converts it. */
export async function canvasOf(picture, png) {
  const canvas = document.createElement("canvas");
  canvas.width = picture.width;
  canvas.height = picture.height;
  const context = canvas.getContext("2d");
  if (picture.icc) {
    const bitmap = await createImageBitmap(new Blob([await png()], { type: "image/png" }));
    context.drawImage(bitmap, 0, 0);
  } else {
    context.putImageData(new ImageData(toRgba(picture), picture.width, picture.height), 0, 0);
  }
  return canvas;
}

/**
 * Promise the JPEG whose size comes closest to `target` bytes from below: `{ blob, quality, psnr,
 * canvas }`; the smallest there is if all are larger. Alpha plays no part.
 */
export async function jpegOfSize(picture, target) {
  const opaque = await canvasOf({ ...picture, alpha: null, icc: null });
  const at = (quality) =>
    new Promise((resolve) => opaque.toBlob(resolve, "image/jpeg", quality / 100));
  let [low, high] = [0, 100];
  let best = await at(0);
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    const blob = await at(middle);
    if (blob.size <= target) {
      low = middle;
      best = blob;
    } else {
      high = middle - 1;
    }
  }
  const bitmap = await createImageBitmap(best);
  const rgba = rgbaOf(bitmap);
  const canvas = await canvasOf({ ...picture, ...rgbOf(rgba), alpha: null, icc: null });
  const psnr = psnrDb(rgbOf(toRgba({ ...picture, alpha: null })).samples, rgbOf(rgba).samples);
  return { blob: best, quality: low, psnr, canvas };
}

/** Promise the PSNR of a decoded picture, alpha not counted. */
export function psnrOf(picture, decoded) {
  return psnrDb(
    rgbOf(toRgba({ ...picture, alpha: null })).samples,
    rgbOf(toRgba({ ...decoded, alpha: null })).samples,
  );
}

function rgbOf(rgba) {
  const samples = new Uint8Array((rgba.length / 4) * 3);
  for (let i = 0, at = 0; i < rgba.length; i += 4) {
    for (let c = 0; c < 3; c++) samples[at++] = rgba[i + c];
  }
  return { samples };
}

function rgbaOf(bitmap) {
  const canvas = document.createElement("canvas");
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return context.getImageData(0, 0, canvas.width, canvas.height).data;
}
