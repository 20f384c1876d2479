/** The page: what is opened, what is shown, what can be saved. */

import { BundleError, ImageError, encodePng, isNpy, writeFloatNpy } from "../edgeae/index.js";
import { Client } from "./client.js";
import { View } from "./compare.js";
import { about, saves, sizes, times } from "./panel.js";
import * as photos from "./photos.js";
import * as words from "./words.js";

const $ = (id) => document.getElementById(id);
const EAE = [0x89, 0x45, 0x41, 0x45];
const view = new View($("view"));
let catalogue = [];
let client = null;
let shown = null; // what is open: { file, photo }; an analysed photo has { picture, canvases, analysis } too
let turn = 0; // of what was asked for last; answers to earlier questions are dropped

const ready = prepare();
listen();
ready.then(connect, fail);

/** Read which models there are. */
async function prepare() {
  const response = await fetch(new URL("../models/models.json", import.meta.url));
  if (!response.ok) {
    throw new BundleError(`models/models.json: ${response.status}; build the folder again`);
  }
  catalogue = await response.json();
  fill($("model"), photoModels().map(({ name }) => [name, name]));
  offerThreads();
}

/** Begin with a new worker: threads and numbers are chosen when a runtime starts. */
async function connect() {
  client?.close();
  if ($("main").dataset.state === "idle") work("Loading the model…");
  client = new Client(report);
  try {
    const threads = Number($("threads").value);
    await client.call("configure", { catalogue, precision: $("precision").value, threads });
    // The first model is loaded before anything is asked for, so that the first file opens fast.
    await client.call("warm", { model: catalogue[0].name });
    if ($("main").dataset.state === "idle") say("Ready.");
  } catch (error) {
    fail(error);
  }
}

function listen() {
  $("file").addEventListener("change", () => {
    const [file] = $("file").files;
    $("file").value = ""; // the same file may be chosen again
    if (file) open(file);
  });
  for (const name of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(name, (event) => {
      event.preventDefault();
      $("drop").classList.toggle("over", name === "dragover");
    });
  }
  document.addEventListener("drop", ({ dataTransfer: { files } }) => files[0] && open(files[0]));
  document.addEventListener("paste", ({ clipboardData: { files } }) => files[0] && open(files[0]));
  $("quality").addEventListener("input", () => ($("quality-value").value = $("quality").value));
  $("quality").addEventListener("change", () => encode());
  $("model").addEventListener("change", () => shown?.photo && reopen());
  for (const id of ["precision", "threads"]) {
    $(id).addEventListener("change", () => {
      connect();
      reopen();
    });
  }
  for (const id of ["left", "right"]) $(id).addEventListener("change", compare);
  $("zoom").addEventListener("click", () => {
    const actual = $("zoom").getAttribute("aria-pressed") !== "true";
    $("zoom").setAttribute("aria-pressed", actual);
    view.zoom(actual);
  });
}

function reopen() {
  return shown && open(shown.file);
}

async function open(file) {
  await attempt(async (current) => {
    await ready;
    const bytes = new Uint8Array(await file.arrayBuffer());
    const isLatents =
      EAE.every((byte, i) => bytes[i] === byte) || isNpy(bytes) || /\.(eae|npy)$/i.test(file.name);
    shown = { file, photo: !isLatents };
    if (isLatents) await openLatents(file, bytes, current);
    else await openPhoto(file, current);
  });
}

async function openLatents(file, bytes, current) {
  const picture = await client.call("decode", { file: bytes });
  if (!current()) return;
  const stages = { ...picture.milliseconds };
  const base = file.name.replace(/\.(eae|npy)$/i, "");
  $("name").textContent = file.name;
  for (const id of ["encoding", "sizes", "choices"]) $(id).hidden = true;
  $("zoom").hidden = picture.mode === "F";
  if (picture.mode === "F") {
    view.words(`An array of floats, ${picture.shape.join(" x ")}: no picture to show.`);
    saves([`${base}.npy`, "Save as .npy", () => writeFloatNpy(picture.values, picture.shape)]);
  } else {
    const drawn = performance.now();
    const png = once(() => encodePng(picture));
    view.single(await photos.canvasOf(picture, png));
    stages.draw = performance.now() - drawn;
    saves([`${base}.png`, "Save as PNG", png]);
  }
  about(bytes.length, picture);
  times(stages);
  finish(`Opened ${file.name}.`);
}

async function openPhoto(file, current) {
  const picture = await photos.readPhoto(file);
  const model = $("model").value;
  if (!model) throw new ImageError("no model of this page is for pictures");
  const { milliseconds } = await client.call("analyse", { picture, model });
  if (!current()) return;
  const canvases = { Original: await photos.canvasOf(picture) };
  shown = { file, photo: true, picture, canvases, analysis: milliseconds };
  $("name").textContent = file.name;
  await encodeShown(current);
}

function encode() {
  return shown?.picture && attempt(encodeShown);
}

async function encodeShown(current) {
  const { file: source, picture, canvases, analysis } = shown;
  const answer = await client.call("encode", { quality: Number($("quality").value) });
  if (!current()) return;
  const decoded = answer.picture;
  const stages = { ...analysis };
  for (const [stage, milliseconds] of Object.entries(answer.milliseconds)) {
    stages[stage] = (stages[stage] ?? 0) + milliseconds;
  }
  stages.decoder = decoded.milliseconds.decoder;
  canvases.edgeae = await photos.canvasOf(decoded);
  report({ stage: "jpeg" });
  const jpegStart = performance.now();
  const jpeg = await photos.jpegOfSize(picture, answer.file.length);
  stages.jpeg = performance.now() - jpegStart;
  if (!current()) return;
  canvases.JPEG = jpeg.canvas;
  offerSides(canvases);
  compare();
  const base = source.name.replace(/\.[^.]*$/, "");
  const png = once(() => encodePng(decoded));
  saves(
    [`${base}.eae`, "Save as .eae", () => answer.file],
    [`${base}.eae.png`, "Save what it decodes to", png],
  );
  sizes(picture, answer.file, photos.psnrOf(picture, decoded), jpeg);
  about(null, decoded, source.size);
  times(stages);
  for (const id of ["sizes", "choices", "zoom"]) $(id).hidden = false;
  $("encoding").hidden = catalogue.find(({ name }) => name === decoded.model).plain;
  finish(`Encoded ${source.name}: ${words.bytes(answer.file.length)}.`);
}

/** Run what was asked for last; `current()` says whether it still is. */
async function attempt(action) {
  const mine = ++turn;
  const current = () => mine === turn;
  $("error").hidden = true;
  $("main").dataset.state = "busy";
  work("Opening…");
  try {
    await action(current);
  } catch (error) {
    if (current()) fail(error);
  }
}

function finish(message) {
  $("result").hidden = false;
  $("main").dataset.state = "done";
  say(message);
}

function fail(error) {
  $("result").hidden = true;
  $("error").hidden = false;
  $("error-title").textContent = words.headline(error.name);
  $("error-detail").textContent = error.message ?? String(error);
  $("main").dataset.state = "failed";
  say("");
}

function say(message) {
  $("progress").hidden = true;
  $("status").textContent = message;
}

function report({ stage, done = 0, of = 1 }) {
  if ($("main").dataset.state !== "busy") return;
  const stages = Object.keys(words.STAGES);
  work(`${words.STAGES[stage] ?? stage}…`, (stages.indexOf(stage) + (done + 0.5) / of) / stages.length);
}

/** Show what goes on; a bar without a value would be animated, which costs what decoding needs. */
function work(message, share = 0.03) {
  $("progress").hidden = false;
  $("progress").value = share;
  $("status").textContent = message;
}

function offerSides(canvases) {
  const names = Object.keys(canvases).map((name) => [name, name]);
  for (const [id, usual] of [["left", "JPEG"], ["right", "edgeae"]]) {
    const chosen = $(id).value || usual;
    fill($(id), names);
    $(id).value = chosen;
  }
}

function compare() {
  if (!shown?.canvases) return; // the next file is being opened
  const sides = [$("left").value, $("right").value].map((name) => [name, shown.canvases[name]]);
  if (sides[0][1] === sides[1][1]) view.single(sides[0][1]);
  else view.pair(...sides);
}

function offerThreads() {
  const there = self.crossOriginIsolated ? navigator.hardwareConcurrency || 1 : 1;
  fill($("threads"), Array.from({ length: there }, (_, i) => [i + 1, String(i + 1)]));
  $("threads").value = Math.min(there, 8);
  $("threads-note").textContent = self.crossOriginIsolated
    ? ""
    : "One thread: the server does not send the headers (COOP, COEP) that more threads need.";
}

function photoModels() {
  return catalogue.filter(({ input }) => input !== "array");
}

function fill(select, options) {
  select.replaceChildren(...options.map(([value, text]) => new Option(text, value)));
}

function once(make) {
  let made = null;
  return () => (made ??= make());
}
