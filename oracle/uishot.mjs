// node uishot.mjs UI_FOLDER PLAYWRIGHT_FOLDER BROWSER TRACE < REQUEST > ANSWER
// Opens a trace in the Perfetto UI in a headless browser, the way a deep link does, and tells what is to be seen.
// REQUEST: {"out": "x.png", "width", "height", "params": {visStart, visEnd, ts, dur, query, ...},
//           "commands": [{"id", "args"}], "click": ["text", ...]}; all but width and height may be missing.
// ANSWER: {"tracks": [names from top to bottom, also those scrolled out of view], "badge": whether the UI shows its red
//          import-error badge, "details": "text of the drawer below the tracks"}
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import {createRequire} from 'node:module';

const LIMIT_MS = 120000;
const TYPES = {'.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.wasm': 'application/wasm', '.json': 'application/json'};
const TRACE_URL = '/the-trace';
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage'];

/** Serves the UI build and the trace on a free loopback port. */
async function serve(ui, trace) {
  const server = http.createServer((request, response) => {
    const name = decodeURIComponent(new URL(request.url, 'http://127.0.0.1').pathname);
    const file = name === TRACE_URL ? trace : path.join(ui, path.normalize(name === '/' ? '/index.html' : name));
    if (!fs.existsSync(file) || !fs.statSync(file).isFile()) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, {'content-type': TYPES[path.extname(file)] ?? 'application/octet-stream'});
    fs.createReadStream(file).pipe(response);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {server, origin: `http://127.0.0.1:${server.address().port}`};
}

/** The address of the trace in the UI, with the parameters of a deep link. */
function link(origin, request) {
  const params = {url: origin + TRACE_URL, ...request.params};
  if (request.commands?.length) params.startupCommands = JSON.stringify(request.commands);
  const hash = Object.entries(params).map(([key, value]) => `${key}=${encodeURIComponent(value)}`);
  return `${origin}/?testing=1#!/?${hash.join('&')}`; // testing: gives the page waitForPerfettoIdle
}

/** Runs in the page. Titles on screen may be cut in the middle: their popups carry the whole text. */
function look() {
  const text = (element) => element?.textContent.trim() ?? '';
  const titles = [...document.querySelectorAll('.pf-track__title')].filter((title) => title.getBoundingClientRect().height > 0);
  return {
    tracks: titles.map((title) => text(title.querySelector('.pf-track__title-popup') ?? title)),
    badge: document.querySelector('.pf-topbar__error-box') !== null,
    details: text(document.querySelector('.pf-split-panel__drawer')),
  };
}

async function visit(page, origin, request) {
  await page.goto(link(origin, request), {waitUntil: 'load'});
  await page.waitForFunction(() => typeof window.waitForPerfettoIdle === 'function');
  await page.waitForSelector('.pf-track, .pf-modal-dialog');
  const refusal = await page.locator('.pf-modal-dialog').allTextContents();
  if (refusal.length) throw new Error(`the Perfetto UI says: ${refusal.join(' ').slice(0, 300)}`);
  const idle = () => page.evaluate(() => window.waitForPerfettoIdle(500));
  await idle();
  for (const words of request.click ?? []) {
    await page.getByText(words, {exact: true}).first().click();
    await idle();
  }
  if (request.out) await page.screenshot({path: request.out});
  return page.evaluate(look);
}

const [ui, playwright, browser, trace] = process.argv.slice(2);
const request = JSON.parse(fs.readFileSync(0, 'utf8'));
const {chromium} = createRequire(path.join(playwright, 'package.json'))('playwright-core');
const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'gilscope-ui-'));
const {server, origin} = await serve(ui, trace);
const context = await chromium.launchPersistentContext(profile, {
  executablePath: browser, headless: true, args: FLAGS, serviceWorkers: 'block',
  viewport: {width: request.width, height: request.height},
});
try {
  const page = context.pages()[0] ?? await context.newPage();
  page.setDefaultTimeout(LIMIT_MS);
  console.log(JSON.stringify(await visit(page, origin, request)));
} finally {
  await context.close();
  server.close();
  fs.rmSync(profile, {recursive: true, force: true});
}
