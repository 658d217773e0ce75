import { parseArgs } from 'node:util';

import { aggregate } from './aggregate.js';
import { attack } from './attack.js';
import { audit } from './audit.js';
import type { BenchCase, BenchOptions } from './bench-case.js';
import { endurance } from './endurance.js';
import { flaky } from './flaky.js';
import { recovery } from './recovery.js';
import { round, secureRound } from './round.js';
import { secagg } from './secagg.js';
import { startup } from './startup.js';
import { stream, STREAM_CASES } from './stream.js';
import { train } from './train.js';
import { upload } from './upload.js';

const CASES: Readonly<Record<string, BenchCase>> = {
  aggregate,
  attack,
  audit,
  endurance,
  flaky,
  recovery,
  round,
  secagg,
  'secure-round': secureRound,
  startup,
  stream,
  train,
  upload,
};

const USAGE = `usage: npm run bench -- <case> [--json] [--runs N]
  aggregate [--agents N] [--mb M]     folding N updates of M MB into one accumulator
  attack                              gradient inversion and membership inference, with and without masks
  audit     [--entries N]             exporting and verifying N ledger entries by commands, and proofs of them
  endurance [--agents N] [--rounds R] [--dropout F]  R rounds, of which the part F of the agents drops out
  recovery                            a coordinator and an agent killed in a round, until they are back in it
  round     [--agents N] [--mb M]     whole rounds of the built daemons; only the trainer is replaced
  secure-round [--agents N] [--mb M]  the same with secure aggregation, beside plain ones
  secagg    [--agents N] [--params P] [--dropouts D]  one secure round, all roles in one process
  flaky     [--mb M] [--break-s S]    a model down and an update up over a line that is cut every S seconds
  upload    [--mb M] [--rtt-ms R]     one update over a link with a round-trip time of R ms
  startup   [--entries N]             exec to serving with N ledger entries
  stream    [--case C]                pipelines at a Mosquitto: ${Object.keys(STREAM_CASES).join(', ')}, or all
  train     [--model M]               training steps of a model: mlp, cnn, ecg, lstm, or all
Each ends with one line of JSON: medians, beside a floor measured in the same run; attack: a line for each attack.`;

async function main(argv: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      json: { type: 'boolean', default: false },
      agents: { type: 'string', default: '10' },
      mb: { type: 'string', default: '10' },
      params: { type: 'string', default: '1600000' },
      rounds: { type: 'string', default: '200' },
      dropout: { type: 'string', default: '0.1' },
      dropouts: { type: 'string', default: '0' },
      'rtt-ms': { type: 'string', default: '50' },
      'break-s': { type: 'string', default: '5' },
      runs: { type: 'string', default: '5' },
      entries: { type: 'string', default: '1000' },
      model: { type: 'string' },
      case: { type: 'string' },
    },
  });
  const chosen = CASES[positionals[0] ?? ''];
  if (chosen === undefined || positionals.length !== 1) {
    process.stderr.write(`${USAGE}\n`);
    return 10;
  }
  const options: BenchOptions = {
    agents: positive(values.agents),
    megabytes: positive(values.mb),
    parameters: positive(values.params),
    dropouts: values.dropouts === '0' ? 0 : positive(values.dropouts),
    rounds: positive(values.rounds),
    dropout: values.dropout === '0' ? 0 : positive(values.dropout),
    rttMs: positive(values['rtt-ms']),
    breakSeconds: positive(values['break-s']),
    runs: positive(values.runs),
    entries: positive(values.entries),
    model: values.model,
    streamCase: values.case,
    note: (line) => void (values.json || process.stderr.write(`${line}\n`)),
  };
  const outcome = chosen(options);
  for await (const result of Symbol.asyncIterator in outcome ? outcome : [await outcome].flat())
    process.stdout.write(`${JSON.stringify({ case: positionals[0], ...result })}\n`);
  return 0;
}

function positive(text: string): number {
  const value = Number(text);
  if (!Number.isFinite(value) || value <= 0) throw new RangeError(`${text} is not a number above 0`);
  return value;
}

process.exitCode = await main(process.argv.slice(2)).catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  return 1;
});
