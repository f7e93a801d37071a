// node query.mjs UI_FOLDER TRACE < REQUEST > ANSWER
// REQUEST: {"packages": {name: {module: sql}}, "sql": [...]}. ANSWER: {"version", "stats": {columns, rows}, "results": [...]}
// with one {columns, rows} or {error} per SQL. Integers keep all 64 bits; floats always have a point or an exponent.
import fs from 'node:fs';
import {TraceProcessor} from './tp.mjs';

const STATS = 'SELECT name, severity, sum(value) AS value FROM stats WHERE value > 0 GROUP BY name, severity ORDER BY name';

function cell(value) {
  if (typeof value === 'bigint') return value.toString();
  if (typeof value === 'number') return Number.isInteger(value) ? value.toExponential() : JSON.stringify(value);
  if (Buffer.isBuffer(value)) return JSON.stringify('0x' + value.toString('hex'));
  return JSON.stringify(value);
}

const table = ({columns, rows}) => `{"columns":${JSON.stringify(columns)},"rows":[${
  rows.map((row) => `[${row.map(cell).join(',')}]`).join(',')}]}`;

function attempt(tp, sql) {
  try {
    return table(tp.query(sql));
  } catch (e) {
    return JSON.stringify({error: e.message});
  }
}

const [ui, trace] = process.argv.slice(2);
const request = JSON.parse(fs.readFileSync(0, 'utf8'));
const tp = await TraceProcessor.start(ui);
tp.load(trace);
for (const [name, modules] of Object.entries(request.packages ?? {})) tp.register(name, modules);
const results = (request.sql ?? []).map((sql) => attempt(tp, sql));
const answer = `{"version":${JSON.stringify(tp.version)},"stats":${attempt(tp, STATS)},"results":[${results.join(',')}]}\n`;
fs.writeFileSync(1, answer);
