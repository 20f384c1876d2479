/**
 * The page in Chromium. Environment: EDGEAE_URL, where `edgeae web --serve` serves all golden
 * bundles; EDGEAE_PHOTO, a photo to encode; EDGEAE_OUT, a folder for what Python compares;
 * EDGEAE_CHROMIUM, the browser.
 */

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";

import { writeContainer } from "../../src/edgeae/index.js";
import { GOLDEN, goldenFiles } from "../bundles.js";

const { EDGEAE_URL: url, EDGEAE_PHOTO: photo, EDGEAE_OUT: out } = process.env;
const PATIENCE_MS = 240_000; // a shared machine may take minutes where a free one takes seconds
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
const goldenPath = (name) => fileURLToPath(new URL(name, GOLDEN));
let browser;

before(async () => {
  const executablePath = process.env.EDGEAE_CHROMIUM ?? "/usr/bin/chromium";
  browser = await chromium.launch({ executablePath, args: FLAGS, timeout: PATIENCE_MS });
});
after(() => browser?.close());

/** Return the page in a new tab, which sees so many processors, and what it asked of the network. */
async function opened(processors, options = {}) {
  const page = await browser.newPage(options);
  page.setDefaultTimeout(PATIENCE_MS);
  const requests = [];
  const problems = [];
  page.on("request", (request) => requests.push(request.url()));
  page.on("pageerror", (error) => problems.push(error.message));
  page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
  await page.addInitScript((count) => {
    Object.defineProperty(navigator, "hardwareConcurrency", { value: count });
  }, processors);
  await page.goto(url);
  return { page, requests, problems };
}

async function give(page, file) {
  await page.setInputFiles("#file", file);
  await page.waitForFunction(() => ["done", "failed"].includes(document.querySelector("main").dataset.state));
  return page.getAttribute("main", "data-state");
}

async function saved(page, label, name) {
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: label }).click()]);
  await download.saveAs(join(out, name));
  return download.suggestedFilename();
}

test("golden files decode to the same symbols", async () => {
  const page = await browser.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  await page.goto(`${url}models/models.json`); // a document of the same origin, isolated as well
  await page.evaluate(async () => {
    globalThis.ort = await import("/runtime/ort.wasm.min.mjs");
    globalThis.edgeae = await import("/edgeae/index.js");
    ort.env.wasm.wasmPaths = `${location.origin}/runtime/`;
    ort.env.wasm.numThreads = 1;
    globalThis.codecs = {};
    globalThis.models = await (await fetch("/models/models.json")).json();
  });
  const decoded = {};
  for (const file of goldenFiles()) {
    const bytes = readFileSync(goldenPath(file.file)).toString("base64");
    const found = await page.evaluate(async ([codingId, base64]) => {
      const { Codec, littleEndian } = edgeae;
      const sha256 = async (data) =>
        Array.from(new Uint8Array(await crypto.subtle.digest("SHA-256", data)), (byte) => byte.toString(16).padStart(2, "0")).join("");
      const { name } = models.find(({ coding_id: id }) => id === codingId);
      codecs[name] ??= await Codec.load(`/models/${name}/`, { ort });
      const data = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
      const picture = await codecs[name].decompress(data);
      const values = picture.samples ?? new Uint8Array(picture.values.buffer);
      let text = "";
      for (let i = 0; i < values.length; i += 4096) text += String.fromCharCode(...values.subarray(i, i + 4096));
      return {
        symbols: await sha256(littleEndian(picture.symbols)),
        z: await sha256(littleEndian(picture.z)),
        values: btoa(text),
      };
    }, [file.codingId, bytes]);
    assert.equal(found.symbols, file.symbols_sha256, file.file);
    assert.equal(found.z, file.z_sha256, file.file);
    decoded[file.file] = found.values;
  }
  writeFileSync(join(out, "decoded.json"), JSON.stringify(decoded));
  await page.close();
});

test("an .eae file is opened and saved as PNG, with nothing from elsewhere", async () => {
  const { page, requests, problems } = await opened(1);
  assert.equal(await give(page, goldenPath("tiny-graphic-alpha-100.eae")), "done");
  assert.equal(await page.evaluate(() => self.crossOriginIsolated), true);
  assert.match(await page.innerText("#about"), /40 × 65, RGBA/);
  assert.equal(await saved(page, "Save as PNG", "opened.png"), "tiny-graphic-alpha-100.png");
  assert.equal(await give(page, goldenPath("series-series.eae")), "done");
  assert.match(await page.innerText("#view"), /array of floats/);
  await saved(page, "Save as .npy", "series.npy");
  assert.deepEqual(requests.filter((address) => !address.startsWith(url) && !address.startsWith("blob:")), []);
  assert.deepEqual(problems, []);
  await page.close();
});

test("a file of few colours is opened whatever bundle it names", async () => {
  const { page, problems } = await opened(1);
  const fields = { codingId: "00".repeat(8), width: 30, height: 20, mode: "L", quality: 5000, steps: 3 };
  const none = { lanesLog2: 0, symbolsCrc: 0, latents: new Uint8Array(0) };
  const file = writeContainer({ ...fields, ...none, colours: Uint8Array.of(0, 7, 0, 0) });
  assert.equal(await give(page, { name: "grey.eae", mimeType: "", buffer: Buffer.from(file) }), "done");
  const about = await page.innerText("#about");
  assert.match(about, /1, exact/);
  assert.doesNotMatch(about, /Model/);
  assert.deepEqual(problems, []);
  await page.close();
});

test("a photo is encoded, compared with JPEG, and saved as .eae", async () => {
  const { page, problems } = await opened(1);
  await page.waitForFunction(() => document.getElementById("model").options.length > 1);
  assert.equal(await give(page, photo), "done");
  const sizes = await page.innerText("#sizes");
  assert.match(sizes, /Beside JPEG of the same size/);
  assert.match(sizes, /PSNR\s+\d\d\.\d\d dB\s+\d\d\.\d\d dB/);
  await saved(page, "Save as .eae", "encoded.eae");
  await page.getByLabel(/Divider/).focus();
  await page.keyboard.press("ArrowRight");
  assert.equal(await page.locator(".frame").evaluate((frame) => frame.style.getPropertyValue("--at")), "50.5%");
  await page.getByLabel("Quality").fill("20");
  await page.waitForFunction((before) => document.getElementById("sizes").innerText !== before, sizes);
  assert.equal(await page.getAttribute("main", "data-state"), "done");
  assert.deepEqual(problems, []);
  await page.close();
});

test("a damaged file shows an error, and the page goes on", async () => {
  const { page } = await opened(1, { viewport: { width: 390, height: 700 } });
  const good = readFileSync(goldenPath("tiny-eye-50.eae"));
  const damaged = Buffer.from(good);
  damaged[good.length - 3] ^= 0x10;
  const asFile = (name, buffer) => ({ name, mimeType: "", buffer });
  assert.equal(await give(page, asFile("bad.eae", damaged)), "failed");
  assert.match(await page.innerText('[role="alert"]'), /damaged.*\n+.*latents, offset \d+: checksum/);
  assert.equal(await page.isVisible("#result"), false);
  assert.equal(await give(page, asFile("cut.eae", good.subarray(0, 50))), "failed");
  assert.match(await page.innerText('[role="alert"]'), /truncated/);
  assert.equal(await give(page, asFile("note.txt", Buffer.from("no picture"))), "failed");
  assert.match(await page.innerText('[role="alert"]'), /cannot read it as a picture/);
  assert.equal(await give(page, asFile("good.eae", good)), "done");
  assert.equal(await page.isVisible('[role="alert"]'), false);
  const width = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(width <= 390, `${width} pixels wide`);
  await page.close();
});

test("two threads decode as well", async () => {
  const { page, problems } = await opened(2);
  assert.equal(await give(page, goldenPath("tiny-eye-50.eae")), "done");
  assert.equal(await page.inputValue("#threads"), "2");
  assert.deepEqual(problems, []);
  await page.close();
});
