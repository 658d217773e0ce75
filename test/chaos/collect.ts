import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

import {
  bytesToFloat32,
  compileFeatures,
  initialWeights,
  parseFederatedJob,
  type LedgerEntry,
} from '@tributary/proto';

import { entriesOf } from '../support/ledger-audit.js';
import type { Contribution, Facts, Receipt } from './judge/facts.js';
import { digestOf } from './judge/models.js';
import type { Sign } from './judge/recovery.js';
import { SITES } from './template.js';
import type { World } from './world.js';

/** What no fault of these may lead to: a stack, an error that nobody foresaw. */
const UNFORESEEN =
  /"stack":|"code":"INTERNAL"|uncaught|unexpected error|^\s+at .+:\d+:\d+\)?$|(Type|Reference|Range)Error:/;

/** What a case left behind, as the judge wants it. The coordinator runs until the ledger is read; then everything stops. */
export async function collect(world: World): Promise<Facts> {
  const { entries, treeHead } = await world.audit();
  await world.stop();
  const contributions: Contribution[] = [];
  const receipts: Receipt[] = [];
  const deltas = new Map<string, Float32Array>();
  for (const site of SITES) {
    const folder = world.tapOf(site);
    contributions.push(...(await lines<Contribution>(join(folder, 'items.jsonl'))));
    receipts.push(...(await lines<Receipt>(join(folder, 'receipts.jsonl'))));
    for (const name of await readdir(folder)) {
      if (name.endsWith('.delta'))
        deltas.set(name.slice(0, -'.delta'.length), floats(await readFile(join(folder, name))));
    }
  }
  return {
    entries,
    rootHash: treeHead.rootHash,
    jobs: world.jobIds,
    contributions,
    receipts,
    deltas,
    models: await modelsOf(world, entries),
    complaints: await complaintsOf(world),
  };
}

async function lines<T>(path: string): Promise<readonly T[]> {
  const text = await readFile(path, 'utf8').catch(() => '');
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as T);
}

const floats = (bytes: Buffer): Float32Array => bytesToFloat32(Uint8Array.from(bytes));

async function modelsOf(
  world: World,
  entries: readonly LedgerEntry[],
): Promise<ReadonlyMap<string, Float32Array>> {
  const models = new Map<string, Float32Array>();
  for (const { body } of entriesOf(entries, 'job.submitted')) {
    const { model, features } = parseFederatedJob(JSON.parse(body.document)).spec;
    const weights = initialWeights(model.layers, compileFeatures(features).shape, model.seed);
    models.set(digestOf(weights), weights);
  }
  for (const { body } of entriesOf(entries, 'round.committed')) {
    const hex = body.modelDigest.slice('sha256:'.length);
    const bytes = await readFile(join(world.federation.data, 'blobs', hex.slice(0, 2), hex)).catch(
      () => undefined,
    );
    if (bytes !== undefined) models.set(digestOf(floats(bytes)), floats(bytes));
  }
  return models;
}

async function complaintsOf(world: World): Promise<readonly string[]> {
  const complaints: string[] = [];
  for (const { name, daemon, expected } of world.started) {
    const { code, signal } = await daemon.exited;
    if (!expected && signal !== 'SIGKILL')
      complaints.push(`${name} ended by itself: ${String(code ?? signal)}`);
  }
  for (const [name, log] of await logsOf(world)) {
    const found = log.split('\n').filter((line) => UNFORESEEN.test(line));
    complaints.push(...found.slice(0, 3).map((line) => `${name}: ${line.slice(0, 600)}`));
  }
  return [...world.findings, ...complaints].filter(
    (complaint) => !world.explained.some((pattern) => pattern.test(complaint)),
  );
}

/** Each log once, by the process that wrote it: a process that was started again goes on with its file. */
async function logsOf({ started }: World): Promise<readonly (readonly [name: string, log: string])[]> {
  const files = new Map(started.map(({ name, daemon }) => [daemon.logFile, { name, daemon }]));
  return Promise.all(
    [...files.values()].map(async ({ name, daemon }) => [name, await daemon.log()] as const),
  );
}

const BACK = /"time":"([^"]+)".*"msg":"(serving|connected)"/;

/** When processes wrote that they were there again, in the order of each log. */
export async function signsOf(world: World): Promise<readonly Sign[]> {
  const signs: Sign[] = [];
  for (const [name, log] of await logsOf(world))
    for (const line of log.split('\n')) {
      const time = BACK.exec(line)?.[1];
      if (time !== undefined) signs.push({ name, timeMs: Date.parse(time) });
    }
  return signs;
}
