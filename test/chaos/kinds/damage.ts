import { cp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { SNAPSHOT_VERSION } from '@tributary/coordinator/internal/domain/snapshot.js';
import { ERROR_TABLE, type ErrorCode, type LedgerEntry } from '@tributary/proto';

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
/** Milliseconds in which something could be made of the damage, when it was named. */
const LOOK_MS = 2_000;

/** What says that something stored is not what was written; of a version that was altered, that nobody knows it. */
const NAMED = ['STORE_CORRUPT', 'SEAL_BROKEN', 'FORMAT_UNSUPPORTED'] as const satisfies readonly ErrorCode[];

interface Place {
  /** Other than usual: how long the job takes. */
  readonly size?: JobSize;
  /** Who reads it. */
  readonly owner: ProcessName;
  /** Brings the job to where the thing is there, and ends everything by SIGKILL. */
  readonly until: (world: World) => Promise<void>;
  /** The file, and where in it a bit is inverted. */
  readonly find: (world: World, random: SeededRandom) => Promise<readonly [path: string, byte: number]>;
  /** What a line that names the damage says beside its code; by default the name of the file. */
  readonly subject?: (path: string, world: World) => string;
  /** Entries that would be made of the damage: of all those that came after it. */
  readonly refused: (entry: LedgerEntry, path: string) => boolean;
}

/** For places whose owner must not start at all. */
const anything = (): boolean => true;
/** For places that hold nothing of which anything is made. */
const nothing = (): boolean => false;

/** The id of an upload, by its file. */
const uploadOf = (path: string): string => basename(path).split('.')[0] ?? '';

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
  // Under masks the others go on without it until it has shared its keys.
  if (world.job === 'secure')
    await world.event('stage.closed', ({ round, stage }) => round !== 1 && stage === 'share');
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

/** The coordinator ended as it was told to: it wrote what its state is. */
const withSnapshot = async (world: World): Promise<void> => {
  await world.event('round.committed', ({ round }) => round === 1);
  const last = world.last('coordinator');
  last.expected = (await last.daemon.stop()).code === 0;
  await killAll(world);
};

const PLACES: Readonly<Record<string, Place>> = {
  blob: {
    owner: 'coordinator',
    until: inRound,
    // The model on which the open round is based.
    find: ({ federation }, random) => within(join(federation.data, 'blobs'), /[0-9a-f]{64}$/, random),
    refused: ({ type }) => type === 'round.committed',
  },
  spool: {
    owner: 'coordinator',
    // Under masks west is killed while it trains.
    size: { rounds: 3, epochs: 100 },
    until: withSpools,
    // Its header: what follows is ciphertext, and verified where it is opened.
    find: async ({ federation }, random) => {
      const [path] = await within(join(federation.data, 'spool'), /upl-/, random);
      return [path, 40 + random.below(100)];
    },
    subject: uploadOf,
    refused: ({ type, body }, path) => type === 'round.committed' && body.folded.includes(uploadOf(path)),
  },
  key: {
    owner: 'coordinator',
    until: inRound,
    find: ({ federation }, random) => within(join(federation.data, 'keys'), /tree-head\.sealed$/, random),
    refused: anything,
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
    subject: () => 'error: ',
    refused: anything,
  },
  // A cache: the state is made of the entries instead.
  snapshot: {
    owner: 'coordinator',
    until: withSnapshot,
    find: async ({ federation }, random) => {
      for (const path of await filesOf(join(federation.data, 'ledger'), /\.log$/)) {
        const at = (await readFile(path)).lastIndexOf(`{"formatVersion":${String(SNAPSHOT_VERSION)},`);
        if (at >= 0) return [path, at + random.below(500)];
      }
      throw new Error('the snapshot to damage was not found');
    },
    subject: () => 'snapshot',
    refused: nothing,
  },
  outbox: {
    owner: AGENT,
    size: { rounds: 1, epochs: 600 },
    until: withHeldUpdate,
    find: ({ federation }, random) =>
      within(join(federation.siteFolder(AGENT), 'data/outbox'), /\.delta$/, random),
    refused: ({ type, body }, path) => type === 'update.accepted' && body.uploadId === uploadOf(path),
  },
  state: {
    owner: AGENT,
    until: inRound,
    // The first half of its log: behind it are records that were acknowledged.
    find: async ({ federation }, random) => {
      const [path, byte] = await within(join(federation.siteFolder(AGENT), 'data/state'), /\.log$/, random);
      return [path, byte >> 1];
    },
    subject: dirname,
    refused: ({ type, body }) => type === 'update.accepted' && body.site === AGENT,
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
async function namedBy(world: World, { owner }: Place, subject: string): Promise<ErrorCode | undefined> {
  const before = (await world.last(owner).daemon.log()).length;
  for (const name of PROCESSES) await world.start(name);
  const { daemon } = world.last(owner);
  const named = async (): Promise<ErrorCode | undefined> => {
    const lines = (await daemon.log()).slice(before).split('\n');
    return NAMED.find((code) => lines.some((line) => line.includes(code) && line.includes(subject)));
  };
  return eventually('damage to be named', named, NOTICED_MS, 100).catch(() => undefined);
}

/** Where the coordinator runs nevertheless, its ledger has nothing that was made of the damage. */
async function requireRefused(world: World, { refused }: Place, path: string, sinceMs: number) {
  await sleep(LOOK_MS);
  if (!world.last('coordinator').daemon.running) return;
  const { entries } = await world.audit();
  const made = entries.find((entry) => Date.parse(entry.time) >= sinceMs && refused(entry, path));
  if (made !== undefined) world.findings.push(`${made.type} was made of ${path}, which is damaged`);
}

/** Whoever named the damage may end with it, and with nothing else. */
async function expectEnd(world: World, { owner }: Place, code: ErrorCode | undefined): Promise<void> {
  const last = world.last(owner);
  if (last.daemon.running || code === undefined) return;
  if ((await last.daemon.exited).code === ERROR_TABLE[code].exit) last.expected = true;
}

/** One bit of what a process stored is another one. It names that, nothing is made of it, and the whole copy goes on. */
export const damage: FaultKind = {
  name: 'damage',
  about:
    'an inverted bit in ledger, snapshot, model, spool, key, held update or state of a site: named and refused; restored, it goes on',
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
    const sinceMs = Date.now();
    const code = await namedBy(world, place, place.subject?.(path, world) ?? basename(path));
    await requireRefused(world, place, path, sinceMs);
    await killAll(world);
    await expectEnd(world, place, code);
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
