import { cp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { ERROR_TABLE, type ErrorCode } from '@tributary/proto';

import { flipBit } from '../../support/damage.js';
import type { SeededRandom } from '../../support/seeded-random.js';
import { entriesOf } from '../../support/ledger-audit.js';
import { withoutSockets } from '../../support/system-tools.js';
import { eventually } from '../../support/waiting.js';
import type { Evidence } from '../judge/evidence.js';
import { SITES, type JobSize } from '../template.js';
import { PROCESSES, type ProcessName, type World } from '../world.js';
import type { FaultKind } from './kind.js';

const AGENT: ProcessName = 'north';
const NOTICED_MS = 60_000;

/** What says that something stored is not what was written. */
const NAMED = ['STORE_CORRUPT', 'SEAL_BROKEN'] as const satisfies readonly ErrorCode[];

interface Place {
  /** Other than usual: how long the job takes. */
  readonly size?: JobSize;
  /** Who reads it. */
  readonly owner: ProcessName;
  /** Brings the job to where the thing is there, and ends everything by SIGKILL. */
  readonly until: (world: World) => Promise<void>;
  /** The file, and where in it a bit is inverted. */
  readonly find: (world: World, random: SeededRandom) => Promise<readonly [path: string, byte: number]>;
}

async function killAll(world: World): Promise<void> {
  await Promise.all(PROCESSES.map((name) => world.kill(name)));
}

async function filesOf(folder: string, fits: RegExp): Promise<readonly string[]> {
  const names = await readdir(folder, { recursive: true });
  return names.filter((name) => fits.test(name)).map((name) => join(folder, name));
}

async function newestOf(folder: string, fits: RegExp): Promise<string | undefined> {
  const paths = await filesOf(folder, fits);
  const files = await Promise.all(
    paths.map((path) =>
      stat(path).then(
        ({ mtimeMs }) => ({ path, mtimeMs }),
        () => ({ path, mtimeMs: 0 }),
      ),
    ),
  );
  return files.sort((a, b) => b.mtimeMs - a.mtimeMs)[0]?.path;
}

/** A byte of the newest file that fits. */
async function within(
  folder: string,
  fits: RegExp,
  random: SeededRandom,
): Promise<readonly [path: string, byte: number]> {
  const path = await newestOf(folder, fits);
  if (path === undefined) throw new Error(`nothing to damage in ${folder}`);
  return [path, random.below((await readFile(path)).length)];
}

/** A round is over, and another one is open. */
const inRound = async (world: World): Promise<void> => {
  await world.event('round.committed', ({ round }) => round === 1);
  await killAll(world);
};

/** A site holds an update that nobody has asked for yet: the coordinator went away while it trained. */
const withHeldUpdate = async (world: World): Promise<void> => {
  const data = join(world.federation.siteFolder(AGENT), 'data');
  // Whoever keeps a checkpoint has its base model and trains.
  await eventually('a checkpoint', () => newestOf(join(data, 'checkpoints'), /\.checkpoint$/), NOTICED_MS);
  await world.kill('coordinator');
  // The file comes first, and is a leftover until the state names it.
  const held = async (): Promise<true | undefined> =>
    /"update held in the outbox"/.test(await world.last(AGENT).daemon.log()) ? true : undefined;
  await eventually('a held update', held, NOTICED_MS);
  await killAll(world);
};

/** The coordinator has taken updates of a round that is not over: one site is away. */
const withSpools = async (world: World): Promise<void> => {
  await world.event('round.committed', ({ round }) => round === 1);
  await world.kill('west');
  const spools = join(world.federation.data, 'spool');
  const spool = async (): Promise<string | undefined> => {
    const { entries } = await world.audit();
    const [last] = entriesOf(entries, 'round.opened').slice(-1);
    const accepted = entriesOf(entries, 'update.accepted').filter(({ seq }) => seq > (last?.seq ?? 0));
    return accepted.length === 0 ? undefined : (await filesOf(spools, /upl-/)).at(0);
  };
  await eventually('a spool', spool, NOTICED_MS);
  await killAll(world);
};

const PLACES: Readonly<Record<string, Place>> = {
  blob: {
    owner: 'coordinator',
    until: inRound,
    // The model on which the open round is based.
    find: ({ federation }, random) => within(join(federation.data, 'blobs'), /[0-9a-f]{64}$/, random),
  },
  spool: {
    owner: 'coordinator',
    until: withSpools,
    // Its header: what follows is ciphertext, and verified where it is opened.
    find: async ({ federation }, random) => {
      const [path] = await within(join(federation.data, 'spool'), /upl-/, random);
      return [path, 40 + random.below(100)];
    },
  },
  key: {
    owner: 'coordinator',
    until: inRound,
    find: ({ federation }, random) => within(join(federation.data, 'keys'), /tree-head\.sealed$/, random),
  },
  // Behind it in the log are acknowledged entries.
  ledger: {
    owner: 'coordinator',
    until: inRound,
    find: async ({ federation, jobIds }) => {
      for (const path of await filesOf(join(federation.data, 'ledger'), /\.log$/)) {
        const at = (await readFile(path)).indexOf(jobIds[0] ?? '');
        if (at >= 0) return [path, at + 5];
      }
      throw new Error('the entry to damage was not found');
    },
  },
  outbox: {
    owner: AGENT,
    size: { rounds: 1, epochs: 600 },
    until: withHeldUpdate,
    find: ({ federation }, random) =>
      within(join(federation.siteFolder(AGENT), 'data/outbox'), /\.delta$/, random),
  },
};

/** What processes know, beside what they and the taps wrote down. */
const statesOf = ({ federation, folder }: World): readonly string[] => [
  federation.data,
  join(folder, 'tap'),
  ...SITES.map((site) => join(federation.siteFolder(site), 'data')),
];

const asideOf = ({ folder }: World, index: number): string => join(folder, 'whole', String(index));

/** Who reads the damage says so, in its log or with its last words, before anything is made of it. */
async function namedBy(world: World, { owner }: Place): Promise<string | undefined> {
  const before = (await world.last(owner).daemon.log()).length;
  for (const name of PROCESSES) await world.start(name);
  const { daemon } = world.last(owner);
  const named = async (): Promise<string | undefined> => {
    const said = (await daemon.log()).slice(before);
    return NAMED.find((code) => said.includes(code));
  };
  const code = await eventually('damage to be named', named, NOTICED_MS, 100).catch(() => undefined);
  if (code !== undefined && !daemon.running) {
    const { code: exit } = await daemon.exited;
    if (exit !== ERROR_TABLE[code as ErrorCode].exit)
      world.findings.push(`${owner} named ${code} and ended with ${String(exit)}`);
  }
  return code;
}

/** One bit of what a process stored is another one. It names that, nothing is made of it, and the whole copy goes on. */
export const damage: FaultKind = {
  name: 'damage',
  about:
    'an inverted bit in ledger, model, spool, key or held update: named and refused; restored, it goes on',
  variants: () => Object.keys(PLACES),
  run: async ({ random, variant, open }) => {
    const place = PLACES[variant];
    const world = await open(place?.size ?? { rounds: 3, epochs: 20 });
    if (place === undefined) return [];
    await world.begin();
    await place.until(world);
    for (const [index, path] of statesOf(world).entries())
      await cp(path, asideOf(world, index), { recursive: true, filter: withoutSockets });
    const [path, byte] = await place.find(world, random);
    await flipBit(path, byte, random.below(8));
    const code = await namedBy(world, place);
    await killAll(world);
    for (const [index, state] of statesOf(world).entries()) {
      await rm(state, { recursive: true });
      await cp(asideOf(world, index), state, { recursive: true });
    }
    for (const name of PROCESSES) await world.restart(name);
    await world.serving();
    await world.ended();
    const what = `inverted bits of ${variant} named ${code ?? ''}`.trim();
    return [{ what, count: code === undefined ? 0 : 1 }] satisfies readonly Evidence[];
  },
};
