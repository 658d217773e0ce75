import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { KINDS } from './kinds/registry.js';
import { caseText, notesOf, tableText, totalsOf } from './report.js';
import { runSuite, type RunOptions } from './runner.js';

const USAGE = `usage: npm run chaos -- [--cases N] [--seed S] [--json] [--only KIND[,KIND]] [--minutes M]
                        [--variant V] [--job plain|secure]
       npm run chaos -- --sweep [--every] [--seed S] [--json] [--minutes M]
Breaks the built daemons and judges what is left. Kinds of faults:
${KINDS.map(({ name, about }) => `  ${name.padEnd(10)} ${about}`).join('\n')}
--sweep kills before and after each transition of what is persisted: store or file, operation, kind of record, stage of the
job; with --every at each of its repeats, rather than at one that the seed chooses.
The same seed makes the same faults at the same places; when they hit is up to the machine. A case that fails keeps its
directory and says how to repeat it. Ends with 1 where one failed.`;

interface Options extends Pick<
  RunOptions,
  'kinds' | 'cases' | 'seed' | 'variant' | 'job' | 'endMs' | 'sweep' | 'every'
> {
  readonly json: boolean;
}

function readOptions(args: readonly string[]): Options | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      cases: { type: 'string', default: '20' },
      seed: { type: 'string', default: String(Date.now() % 1_000_000_000) },
      json: { type: 'boolean', default: false },
      only: { type: 'string', default: KINDS.map(({ name }) => name).join(',') },
      minutes: { type: 'string', default: '1440' },
      variant: { type: 'string' },
      job: { type: 'string' },
      sweep: { type: 'boolean', default: false },
      every: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const { variant, sweep, every } = values;
  const names = sweep ? ['persisted'] : values.only.split(',');
  const kinds = KINDS.filter(({ name }) => names.includes(name));
  const [cases, seed, minutes] = [values.cases, values.seed, values.minutes].map(Number);
  const counts = [cases, seed, minutes].every((value) => value !== undefined && value >= 0);
  const known = kinds.length === names.length && ['plain', 'secure', undefined].includes(values.job);
  if (values.help || !counts || !known) return undefined;
  const job = values.job === 'plain' || values.job === 'secure' ? values.job : undefined;
  const endMs = Date.now() + (minutes ?? 0) * 60_000;
  return { kinds, cases: cases ?? 0, seed: seed ?? 0, variant, job, endMs, sweep, every, json: values.json };
}

async function main(): Promise<number> {
  const options = readOptions(process.argv.slice(2));
  if (options === undefined) {
    process.stderr.write(`${USAGE}\n`);
    return 10;
  }
  const { json, kinds } = options;
  const folder = await mkdtemp(join(tmpdir(), 'tributary-chaos-'));
  if (!json) console.log(`seed ${String(options.seed)}; cases leave their directories under ${folder}`);
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
  const suite = await runSuite({
    ...options,
    folder,
    signal: stop.signal,
    report: (result) => console.log(json ? JSON.stringify(result) : caseText(result)),
  });
  const totals = totalsOf(suite.results);
  if (json) for (const line of notesOf(suite, kinds)) console.log(JSON.stringify(line));
  else console.log(`\n${tableText(suite, kinds)}\n`);
  console.log(JSON.stringify(totals));
  // A run of no case, or one that was broken off, has shown nothing.
  const whole = totals.cases > 0 && totals.survived === totals.cases && !stop.signal.aborted;
  if (whole) await rm(folder, { recursive: true, force: true });
  return whole ? 0 : 1;
}

// A case that was cut short still waits for its job.
process.exit(
  await main().catch((error: unknown) => {
    if (!(error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS')))
      throw error;
    process.stderr.write(`${error.message}\n${USAGE}\n`);
    return 10;
  }),
);
