import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

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
const CHECKPOINT_MS = 60_000;

/** What a trainer without our packages can train; it takes a tenth of a second for an epoch. */
const JOB: JobSize = {
  rounds: 1,
  epochs: 45,
  spec: {
    model: { name: 'points', layers: [{ type: 'Dense', units: 1, activation: 'Sigmoid' }], seed: 7 },
    training: { epochs: 45, batchSize: 65_536, optimizer: { type: 'Sgd', learningRate: 0.5 } },
  },
};

/** Where the trainer notes the epochs that it begins. */
const notesOf = ({ folder }: World): string => join(folder, 'epochs');

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
    'SIGKILL of the process that trains, alone and with its agent: it goes on at its last epoch, to the same bits',
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
    const { daemon } = world.last(AGENT);
    const trainers = await childrenOf(daemon.pid);
    for (const pid of trainers) process.kill(pid, 'SIGKILL');
    if (variant === 'with-agent') {
      await world.kill(AGENT);
      await world.restart(AGENT);
    }
    await world.ended();
    const log = await daemon.log();
    // Where each trainer began; the first one at 0.
    const firsts = new Map<string, number>();
    for (const line of (await readFile(notesOf(world), 'utf8')).trim().split('\n')) {
      const [pid = '', epoch] = line.split(' ');
      if (!firsts.has(pid)) firsts.set(pid, Number(epoch));
    }
    const [, second = 0] = firsts.values();
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
