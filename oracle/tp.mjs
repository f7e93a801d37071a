// The trace processor of Perfetto, in node: the worker script of the Perfetto UI runs in a vm context that looks like a web
// worker, and is spoken to in the protocol that the UI speaks (protos/perfetto/trace_processor/trace_processor.proto).
import fs from 'node:fs';
import path from 'node:path';
import vm from 'node:vm';
import {Reader, field, fields, last, message} from './wire.mjs';

// TraceProcessorRpc: methods, and the fields that carry their arguments and results.
const METHOD = {append: 1, finalize: 2, query: 3, registerPackage: 13};
const ARGS = {append: 101, query: 103, registerPackage: 108};
const RESULT = {append: 201, query: 203, registerPackage: 211, finalize: 212};
const RPC = {seq: 1, method: 2, invalid: 4, fatal: 5};
const CELL = {null: 1n, int: 2n, float: 3n, string: 4n, blob: 5n};
const CHUNK = 8 << 20;

/** The versioned folder of a Perfetto UI build: UI/vN.../engine_bundle.js and the wasm beside it. */
export function engineDir(ui) {
  const versions = fs.readdirSync(ui).filter((name) => fs.existsSync(path.join(ui, name, 'engine_bundle.js')));
  if (versions.length !== 1) throw new Error(`${ui}: ${versions.length} Perfetto engines, want 1`);
  return path.join(ui, versions[0]);
}

/** The globals a worker script may see. Binary and error types are ours, so that instanceof holds across the border. */
function workerScope(dir, log) {
  const load = (url) => fs.readFileSync(path.join(dir, path.basename(String(url))));
  class Request { // emscripten reads its wasm with a synchronous XMLHttpRequest in a worker
    open(_method, url) { this.url = url; }
    send() {
      const bytes = load(this.url);
      this.response = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
      this.status = 200;
    }
  }
  const scope = {
    console: {log() {}, info() {}, debug() {}, warn: log, error: log},
    location: {href: 'http://127.0.0.1/engine_bundle.js', protocol: 'http:', host: '127.0.0.1', pathname: '/engine_bundle.js'},
    fetch: async (url) => new Response(load(url), {headers: {'content-type': 'application/wasm'}}),
    XMLHttpRequest: Request, WorkerGlobalScope: function WorkerGlobalScope() {}, importScripts() {},
    performance, setTimeout, clearTimeout, queueMicrotask, TextDecoder, TextEncoder, URL, WebAssembly,
    ArrayBuffer, DataView, Int8Array, Uint8Array, Int16Array, Uint16Array, Int32Array, Uint32Array,
    Float32Array, Float64Array, BigInt64Array, BigUint64Array, Promise, Error, TypeError, RangeError,
  };
  scope.self = scope;
  return scope;
}

/** One trace processor with one trace. Errors of the processor are thrown, with its last words. */
export class TraceProcessor {
  #port = {onmessage: null, postMessage: (bytes) => this.#replies.push(Buffer.from(bytes))};
  #replies = [];
  #words = [];
  #seq = 0;

  static async start(ui) {
    const tp = new TraceProcessor();
    const dir = engineDir(ui);
    tp.version = path.basename(dir);
    const scope = workerScope(dir, (...words) => tp.#hear(words.join(' ')));
    vm.createContext(scope);
    vm.runInContext(fs.readFileSync(path.join(dir, 'engine_bundle.js'), 'utf8'), scope, {filename: 'engine_bundle.js'});
    scope.onmessage({data: tp.#port});
    // The wasm is instantiated while the script runs; the rpc buffer follows in a microtask, so one turn of the loop later.
    await new Promise((resolve) => setImmediate(resolve));
    return tp;
  }

  #hear(words) {
    this.#words.push(words);
    if (this.#words.length > 20) this.#words.shift();
  }

  #call(method, args) {
    const request = [field(RPC.seq, this.#seq++), field(RPC.method, METHOD[method])];
    if (args !== undefined) request.push(field(ARGS[method], args));
    this.#port.onmessage({data: new Uint8Array(field(1, message(...request)))}); // answers before it returns
    const stream = Buffer.concat(this.#replies);
    this.#replies = [];
    const results = [];
    for (const [, reply] of fields(stream)) {
      for (const [id, value] of fields(reply)) {
        if (id === RPC.fatal) throw new Error(`trace processor: ${value}`);
        if (id === RPC.invalid) throw new Error(`trace processor: ${method} not understood`);
        if (id === RESULT[method]) results.push(value);
      }
    }
    if (stream.length === 0) throw new Error(`trace processor: no answer to ${method}\n${this.#words.join('\n')}`);
    return results;
  }

  #check(what, results, errorField) {
    for (const result of results) {
      const error = last(result, errorField);
      if (error?.length) throw new Error(`${what}: ${error}\n${this.#words.join('\n')}`);
    }
  }

  /** Loads a trace file. */
  load(file) {
    const fd = fs.openSync(file, 'r');
    const chunk = Buffer.alloc(CHUNK);
    try {
      for (let n; (n = fs.readSync(fd, chunk, 0, CHUNK, null)) > 0;) {
        this.#check(`load ${file}`, this.#call('append', chunk.subarray(0, n)), 2);
      }
    } finally {
      fs.closeSync(fd);
    }
    this.#check(`load ${file}`, this.#call('finalize'), 1);
  }

  /** Registers SQL modules: {'package.module': text}. */
  register(name, modules) {
    const list = Object.entries(modules).map(([key, sql]) => field(2, message(field(1, key), field(2, sql))));
    this.#check(`package ${name}`, this.#call('registerPackage', message(field(1, name), ...list, field(3, true))), 1);
  }

  /** Runs SQL: {columns, rows}; a cell is null, bigint, number, string or Buffer. Only the last statement returns rows. */
  query(sql) {
    const columns = [];
    const cells = [];
    const results = this.#call('query', field(1, sql));
    this.#check(sql, results, 2);
    for (const [id, value] of results.flatMap((result) => [...fields(result)])) {
      if (id === 1) columns.push(value.toString());
      else if (id === 3) cells.push(...batch(value));
    }
    const rows = [];
    for (let i = 0; columns.length && i < cells.length; i += columns.length) rows.push(cells.slice(i, i + columns.length));
    return {columns, rows};
  }
}

/** The cells of one CellsBatch: a list of types, and one packed list of values per type. */
function batch(bytes) {
  const types = [];
  const values = {[CELL.int]: [], [CELL.float]: [], [CELL.string]: [], [CELL.blob]: []};
  const unpack = (packed, into, read) => {
    for (const reader = new Reader(packed); !reader.done;) into.push(read(reader));
  };
  for (const [id, value] of fields(bytes)) {
    if (id === 1) unpack(value, types, (r) => r.varint());
    else if (id === 2) unpack(value, values[CELL.int], (r) => r.varint());
    else if (id === 3) unpack(value, values[CELL.float], (r) => r.double());
    else if (id === 4) values[CELL.blob].push(value);
    else if (id === 5) values[CELL.string] = value.toString().split('\0');
  }
  const at = {[CELL.int]: 0, [CELL.float]: 0, [CELL.string]: 0, [CELL.blob]: 0};
  return types.map((type) => (type === CELL.null ? null : values[type][at[type]++]));
}
