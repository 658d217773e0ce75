/*
 * Loaded into a built daemon (`node --import`): names what it persists, and ends it just before or just after one of
 * these calls. The daemon knows nothing of it.
 */
import { appendFileSync } from 'node:fs';
import files, { open } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { isMainThread } from 'node:worker_threads';

import { Level } from 'level';

import { entryTypes, fileKind, keyKinds, kindOf } from './call-names.js';
import { patch, variable } from './patch.js';

/** What a call changes, by its arguments. */
type Namer = (...args: readonly unknown[]) => string;

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
      { append: (_size, entries) => entryTypes(entries as readonly Uint8Array[]), putSnapshot: nothing },
    ],
    ['adapters/blobs/file-blob-store.js', 'FileBlobStore', { put: nothing, delete: nothing }],
    ['adapters/spool/file-spool-store.js', 'FileSpoolStore', { create: nothing, remove: nothing }],
    ['adapters/spool/spool-file.js', 'SpoolFile', { append: nothing, sync: nothing, truncate: nothing }],
    ['adapters/vault/file-key-vault.js', 'FileKeyVault', { put: first, delete: first }],
    ['adapters/checkpoints/sealed-checkpoint-store.js', 'SealedCheckpointStore', { put: first, delete: first }],
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

/** The stores whose calls are steps of a job: what comes between two of them is in the stage that the first one began. */
const RECORDS = ['LevelLedgerStore.append', 'LevelStateStore.put'];

/** Calls at which the process ends: `<side>:<which of its kind>:<name>`; a name that is empty is that of every call. */
const [side = '', which = '', wanted = ''] = variable('KILL').split(':');
const killAt = Number(which);
const counts = new Map<string, number>();
let stage = 'start';

function end(): never {
  process.kill(process.pid, 'SIGKILL');
  // The signal is there when the kernel returns; nothing may happen in between.
  for (;;);
}

/** One transition: counted, noted, and carried out unless the process ends before it. */
function transition(method: string, what: string, run: () => unknown): unknown {
  const call = what === '' ? method : `${method}=${what}`;
  const name = `${call}@${stage}`;
  for (const counted of ['', name]) counts.set(counted, (counts.get(counted) ?? 0) + 1);
  appendFileSync(variable('CALLS'), `${name}\n`);
  const isLast = (wanted === '' || wanted === name) && counts.get(wanted) === killAt;
  if (isLast && side === 'before') end();
  const done = Promise.resolve(run());
  if (isLast) return done.then(end, end);
  if (RECORDS.includes(method)) done.then(() => (stage = what), String);
  return done;
}

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
  keyKinds((operations as readonly Operation[]).map(({ type, key }) => [key, type === 'put' ? key : undefined]));

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
