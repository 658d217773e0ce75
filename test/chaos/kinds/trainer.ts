import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { LIMITS } from '@tributary/proto';
import { parse, stringify } from 'yaml';

import { childrenOf } from '../../support/child-processes.js';
import { repositoryRoot } from '../../support/daemon.js';
import { entriesOf } from '../../support/ledger-audit.js';
import { eventually } from '../../support/waiting.js';
import type { JobSize, Site } from '../template.js';
import { World } from '../world.js';
import type { FaultKind, KindParts } from './kind.js';

const AGENT: Site = 'north';
const TRAINER = join(repositoryRoot, 'test/support/trivial-trainer.js');
const EPOCH_MS = 100;
const CHECKPOINT_MS = 60_000;
/** Epochs that may be trained again: those between two checkpoints, and the one that was not over. */
const AGAIN = LIMITS.checkpointEveryMs / EPOCH_MS + 1;
/** Epochs begun when the trainer is killed: one that began anew, or at its first checkpoint, would show. */
const KILLED_AT = 30;

/** What a trainer without our packages can train; it waits EPOCH_MS after each epoch. */
const JOB: JobSize = {
  rounds: 1,
  epochs: 75,
  spec: {
    model: { name: 'points', layers: [{ type: 'Dense', units: 1, activation: 'Sigmoid' }], seed: 7 },
    training: { epochs: 75, batchSize: 65_536, optimizer: { type: 'Sgd', learningRate: 0.5 } },
  },
};

/** Where the trainer notes the epochs that it begins. */
const notesOf = ({ folder }: World): string => join(folder, 'epochs');

/** The epochs that each trainer began, in the order in which they came. */
async function epochsOf(world: World): Promise<readonly (readonly number[])[]> {
  const epochs = new Map<string, number[]>();
  const notes = await readFile(notesOf(world), 'utf8').catch(() => '');
  for (const line of notes.trim().split('\n')) {
    const [pid = '', epoch] = line.split(' ');
    epochs.set(pid, [...(epochs.get(pid) ?? []), Number(epoch)]);
  }
  return [...epochs.values()];
}

/** Has one site train in a process of its own. */
async function withTrainer(world: World): Promise<World> {
  const path = join(world.federation.siteFolder(AGENT), 'agent.yaml');
  const config = parse(await readFile(path, 'utf8')) as object;
  const command = [process.execPath, TRAINER, 'slow', notesOf(world)];
  const trainer = { type: 'Socket', path: './own.sock', command };
  await writeFile(path, stringify({ ...config, trainer }));
  return world;
}

/** The last model, as the ledger names it. */
async function modelOf(world: World): Promise<string> {
  const { entries } = await world.audit();
  return entriesOf(entries, 'round.committed').at(-1)?.body.modelDigest ?? 'none';
}

/** The model of a run without a fault: the same rows and seeds make the same bits. */
async function referenceOf({ template, folder }: KindParts): Promise<string> {
  const world = await World.open({ template, folder: join(folder, 'whole'), job: 'plain', ...JOB });
  try {
    await (await withTrainer(world)).begin();
    if (!(await world.ended())) throw new Error(`the run without a fault did not end; see ${world.folder}`);
    return await modelOf(world);
  } finally {
    await world.stop();
  }
}

let reference = 'none';

/** The process that trains for an agent dies, alone or with its agent. */
export const trainer: FaultKind = {
  name: 'trainer',
  about:
    'SIGKILL of the process that trains, alone and with its agent: it goes on from its last checkpoint, to the same bits',
  prepare: async (parts) => {
    reference = await referenceOf(parts);
  },
  variants: () => ['alone', 'with-agent'],
  run: async ({ variant, open }) => {
    const world = await withTrainer(await open({ job: 'plain', ...JOB }));
    await world.begin();
    const checkpoints = join(world.federation.siteFolder(AGENT), 'data/checkpoints');
    const kept = async (): Promise<true | undefined> =>
      (await readdir(checkpoints)).some((name) => name.endsWith('.checkpoint')) ? true : undefined;
    await eventually('a checkpoint', kept, CHECKPOINT_MS);
    const worked = async (): Promise<true | undefined> =>
      ((await epochsOf(world))[0]?.length ?? 0) > KILLED_AT ? true : undefined;
    await eventually('some epochs', worked, CHECKPOINT_MS);
    const { daemon } = world.last(AGENT);
    const trainers = await childrenOf(daemon.pid);
    for (const pid of trainers) process.kill(pid, 'SIGKILL');
    if (variant === 'with-agent') {
      await world.kill(AGENT);
      await world.restart(AGENT);
    }
    await world.ended();
    const log = await daemon.log();
    const [first = [], [second = 0] = []] = await epochsOf(world);
    const last = first.at(-1) ?? 0;
    if (last - second > AGAIN)
      world.findings.push(
        `killed in epoch ${String(last)}, it went on at ${String(second)}: more than ${String(AGAIN)} again`,
      );
    const said = log.match(/the trainer died; another one goes on/g)?.length ?? 0;
    const model = await modelOf(world);
    if (model !== reference)
      world.findings.push(`the model is ${model}, and ${reference} where no trainer was killed`);
    return [
      { what: 'trainers killed', count: trainers.length },
      { what: 'epochs that were not trained again', count: second },
      ...(variant === 'alone' ? [{ what: 'trainers replaced in the round', count: said }] : []),
    ];
  },
};
