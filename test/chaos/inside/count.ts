/*
 * Loaded into a built daemon (`node --import`): names what it persists, and ends it just before or just after one of
 * these calls. The daemon knows nothing of it.
 */
import { appendFileSync } from 'node:fs';
import files, { open } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { isMainThread } from 'node:worker_threads';

import { Level } from 'level';

import { entryKinds, fileKind, isPassing, keyKinds, kindOf } from './call-names.js';
import { patch, variable } from './patch.js';
import { ANY, KILLED, parseTargets, targetText, type Target } from './targets.js';

/** What a call changes, by its arguments; undefined where that is nothing. */
type Namer = (...args: readonly unknown[]) => string | undefined;

const nothing: Namer = () => '';
const first: Namer = (name) => kindOf(String(name));

/** Classes of the stores, and which of their methods change something, by process. */
const STORES: Readonly<
  Record<string, readonly (readonly [path: string, name: string, methods: Readonly<Record<string, Namer>>])[]>
> = {
  coordinator: [
    [
      'adapters/store/level-ledger-store.js',
      'LevelLedgerStore',
      { append: (_size, entries) => entryKinds(entries as readonly Uint8Array[]), putSnapshot: nothing },
    ],
    ['adapters/blobs/file-blob-store.js', 'FileBlobStore', { put: nothing, delete: nothing }],
    ['adapters/spool/file-spool-store.js', 'FileSpoolStore', { create: nothing, remove: nothing }],
    ['adapters/spool/spool-file.js', 'SpoolFile', { append: nothing, sync: nothing, truncate: nothing }],
    ['adapters/vault/file-key-vault.js', 'FileKeyVault', { put: first, delete: first }],
    [
      'adapters/checkpoints/sealed-checkpoint-store.js',
      'SealedCheckpointStore',
      { put: first, delete: first },
    ],
  ],
  'edge-agent': [
    [
      'adapters/store/level-state-store.js',
      'LevelStateStore',
      { put: (changes) => keyKinds(Object.entries(changes as Readonly<Record<string, unknown>>)) },
    ],
    ['adapters/files/outbox-directory.js', 'OutboxDirectory', { writeSealed: first, remove: first }],
    ['adapters/files/line-file.js', 'LineFile', { append: nothing }],
  ],
};

/** Records with which another stage begins, of a job or of the process; by the call that makes them durable. */
const STAGES: Readonly<Record<string, RegExp>> = {
  'LevelLedgerStore.append': /^(?:job|round)\.|^stage\.closed/,
  'LevelStateStore.put': /^(?:session-epoch|job|outbox|sent|-outbox|receipt)$/,
};

/** Calls at one of which the process ends: the first that comes. */
const targets = parseTargets(variable('KILL'));
const counts = new Map<string, number>();
let stage = 'start';

const note = (line: string): void => appendFileSync(variable('CALLS'), `${line}\n`);

function end(target: Target): never {
  note(`${KILLED}${targetText(target)}`);
  process.kill(process.pid, 'SIGKILL');
  // The signal is there when the kernel returns; nothing may happen in between.
  for (;;);
}

/** One transition: counted, noted, and carried out unless the process ends before it. */
function transition(method: string, what: string | undefined, run: () => unknown): unknown {
  if (what === undefined) return run();
  const call = what === '' ? method : `${method}=${what}`;
  const name = isPassing(method, what) ? call : `${call}@${stage}`;
  for (const counted of [ANY, name]) counts.set(counted, (counts.get(counted) ?? 0) + 1);
  note(name);
  const target = targets.find((one) => [ANY, name].includes(one.name) && counts.get(one.name) === one.which);
  if (target?.side === 'before') end(target);
  const done = Promise.resolve(run());
  if (target !== undefined) return done.then(...both(() => end(target)));
  if (STAGES[method]?.test(what) === true) done.then(...both(() => (stage = what))).catch(String);
  return done;
}

const both = (then: () => unknown) => [then, then] as const;

async function wrapStores(workspace: string): Promise<void> {
  for (const [path, name, methods] of STORES[workspace] ?? []) {
    const module = (await import(`@tributary/${workspace}/internal/${path}`)) as Record<
      string,
      { prototype: object }
    >;
    const prototype = module[name]?.prototype ?? {};
    for (const [method, namer] of Object.entries(methods))
      patch(prototype, method, (original, ...args) =>
        transition(`${name}.${method}`, namer(...args), () => original(...args)),
      );
  }
}

interface Operation {
  readonly type: 'put' | 'del';
  readonly key: string;
}

const operationKinds: Namer = (operations) =>
  keyKinds(
    (operations as readonly Operation[]).map(({ type, key }) => [key, type === 'put' ? key : undefined]),
  );

/** What every store is made of: batches, renames and syncs, of files and of directories. */
async function wrapFiles(): Promise<void> {
  patch(Level.prototype, 'batch', (original, ...args) =>
    args.length === 0 ? original() : transition('batch', operationKinds(...args), () => original(...args)),
  );
  patch(files, 'rename', (original, ...args) =>
    transition('rename', fileKind(String(args[1])), () => original(...args)),
  );
  const paths = new WeakMap<object, string>();
  patch(files, 'open', async (original, ...args) => {
    const file = (await original(...args)) as object;
    paths.set(file, fileKind(String(args[0])));
    return file;
  });
  const file = await open(process.execPath);
  const prototype = Object.getPrototypeOf(file) as object;
  await file.close();
  for (const method of ['sync', 'datasync'])
    patch(prototype, method, function (original) {
      return transition(method, paths.get(this as object) ?? '', original);
    });
  syncBuiltinESMExports();
}

const script = process.argv[1] ?? '';
const workspace = Object.keys(STORES).find((name) => script.includes(`/${name}/bin/`));
if (isMainThread && workspace !== undefined && variable('CALLS') !== '') {
  await wrapStores(workspace);
  await wrapFiles();
}
