/**
 * How long the page takes to open a file, cold and warm: milliseconds as JSON.
 *
 *     edgeae web page --serve &
 *     npm run speed -- http://127.0.0.1:8000/ photo.eae [rounds]
 *
 * Each round is a browser with an empty profile. Cold is from the navigation to the picture, the file
 * being given as soon as the page can take one; `start` is the browser's own, before that. Warm is the
 * median of five more openings in the same page. Environment: EDGEAE_CHROMIUM, the browser.
 */

import { chromium } from "playwright-core";

const [url, file, rounds = 5] = process.argv.slice(2);
const FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"];
const AGAIN = 5;
const executablePath = process.env.EDGEAE_CHROMIUM ?? "/usr/bin/chromium";

function median(values) {
  return values.toSorted((a, b) => a - b)[values.length >> 1];
}

async function timed(action) {
  const start = performance.now();
  await action();
  return Math.round(performance.now() - start);
}

async function open(page) {
  await page.setInputFiles("#file", file);
  await page.waitForFunction(() => ["done", "failed"].includes(document.querySelector("main").dataset.state), null, {
    polling: 10,
  });
  if ((await page.getAttribute("main", "data-state")) === "failed") throw new Error(await page.innerText("#error"));
}

const found = { start: [], cold: [], warm: [] };
for (let round = 0; round < Number(rounds); round++) {
  let browser;
  let page;
  found.start.push(
    await timed(async () => {
      browser = await chromium.launch({ executablePath, args: FLAGS });
      page = await browser.newPage();
    }),
  );
  found.cold.push(
    await timed(async () => {
      await page.goto(url, { waitUntil: "domcontentloaded" });
      await open(page);
    }),
  );
  const warm = [];
  for (let again = 0; again < AGAIN; again++) warm.push(await timed(() => open(page)));
  found.warm.push(median(warm));
  await browser.close();
}
const medians = Object.fromEntries(Object.entries(found).map(([name, values]) => [name, median(values)]));
console.log(JSON.stringify({ milliseconds: medians, rounds: found }));
