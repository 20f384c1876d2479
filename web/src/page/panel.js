/** The panel beside the picture: what is known of a file, sizes, times, what can be saved. */

import { bitsPerPixel } from "../edgeae/index.js";
import * as words from "./words.js";

const $ = (id) => document.getElementById(id);

/** Fill the table that sets a file beside the JPEG of `photos.jpegOfSize`. */
export function sizes({ width, height }, file, psnr, jpeg) {
  const rate = (count) => bitsPerPixel(count, width, height).toFixed(3);
  rows($("sizes"), [
    ["Size", words.bytes(file.length), words.bytes(jpeg.blob.size)],
    ["Bits a pixel", rate(file.length), rate(jpeg.blob.size)],
    ["PSNR", words.decibels(psnr), words.decibels(jpeg.psnr)],
  ]);
  const larger = jpeg.blob.size > file.length;
  $("sizes").caption.textContent = larger
    ? "Beside the smallest JPEG there is"
    : `Beside JPEG of the same size (quality ${jpeg.quality})`;
}

/** Say what is known; the table of an encoded photo has the size already. */
export function about(size, picture, source) {
  const { width, height, mode, quality, shape, colours, model, precision, icc, exif } = picture;
  const facts = shape
    ? [["Array", `${shape.join(" × ")}, float32`]]
    : [["Picture", `${width} × ${height}, ${mode}`]];
  if (source) facts.push(["Photo", words.bytes(source)]);
  if (size) {
    const rate = bitsPerPixel(size, width, height).toFixed(3);
    facts.push(["File", words.bytes(size)], [shape ? "Bits a value" : "Bits a pixel", rate]);
    facts.push(colours ? ["Colours", `${colours}, exact`] : ["Quality", String(quality)]);
  }
  if (!colours) facts.push(["Model", `${model}, ${precision.decoder}`]);
  const kept = [icc && "colour profile", exif && "Exif"].filter(Boolean);
  if (kept.length) facts.push(["Also holds", kept.join(", ")]);
  $("about").replaceChildren(
    ...facts.flatMap(([term, text]) => [element("dt", term), element("dd", text)]),
  );
}

/** Fill the table of milliseconds a stage. */
export function times(stages) {
  const known = Object.keys(words.STAGES).filter((stage) => stage in stages);
  const total = known.reduce((sum, stage) => sum + stages[stage], 0);
  rows($("times"), [
    ...known.map((stage) => [words.STAGES[stage], words.duration(stages[stage])]),
    ["Together", words.duration(total)],
  ]);
}

function rows(table, lines) {
  table.tBodies[0].replaceChildren(
    ...lines.map(([name, ...cells]) => {
      const row = element("tr");
      const head = element("th", name);
      head.scope = "row";
      row.append(head, ...cells.map((cell) => element("td", cell)));
      return row;
    }),
  );
}

/** Offer files to save: name, label, and what makes or promises the bytes, each. */
export function saves(...files) {
  $("downloads").replaceChildren(
    ...files.map(([name, label, make]) => {
      const button = element("button", label);
      button.type = "button";
      button.addEventListener("click", async () => save(name, await make()));
      return button;
    }),
  );
}

function save(name, data) {
  const link = element("a");
  link.href = URL.createObjectURL(new Blob([data]));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function element(name, text = "") {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}
