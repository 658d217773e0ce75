/*
 * Loaded into a built daemon (`node --import`): counts what it persists, and ends it just before or just after one of
 * these calls. The daemon knows nothing of it.
 */
import { appendFileSync } from 'node:fs';
import files, { open } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { isMainThread } from 'node:worker_threads';

import { Level } from 'level';

import { patch, variable } from './patch.js';

/** Classes of the stores, and which of their methods change something, by process. */
const STORES = {
  coordinator: [
    ['adapters/store/level-ledger-store.js', 'LevelLedgerStore', ['append', 'putSnapshot']],
    ['adapters/blobs/file-blob-store.js', 'FileBlobStore', ['put', 'delete']],
    ['adapters/spool/file-spool-store.js', 'FileSpoolStore', ['create', 'remove']],
    ['adapters/spool/spool-file.js', 'SpoolFile', ['append', 'sync', 'truncate']],
    ['adapters/vault/file-key-vault.js', 'FileKeyVault', ['put', 'delete']],
    ['adapters/checkpoints/sealed-checkpoint-store.js', 'SealedCheckpointStore', ['put', 'delete']],
  ],
  'edge-agent': [
    ['adapters/store/level-state-store.js', 'LevelStateStore', ['put']],
    ['adapters/files/outbox-directory.js', 'OutboxDirectory', ['writeSealed', 'remove']],
    ['adapters/files/line-file.js', 'LineFile', ['append']],
  ],
} as const;

const [position = '', side = ''] = variable('KILL').split(':');
const killAt = Number(position);
let calls = 0;

function end(): never {
  process.kill(process.pid, 'SIGKILL');
  // The signal is there when the kernel returns; nothing may happen in between.
  for (;;);
}

/** One transition: counted, noted, and carried out unless the process ends before it. */
function transition(name: string, run: () => unknown): unknown {
  calls += 1;
  appendFileSync(variable('CALLS'), `${name}\n`);
  if (calls !== killAt) return run();
  if (side === 'before') end();
  return Promise.resolve(run()).then(end, end);
}

async function wrapStores(workspace: keyof typeof STORES): Promise<void> {
  for (const [path, name, methods] of STORES[workspace]) {
    const module = (await import(`@tributary/${workspace}/internal/${path}`)) as Record<
      string,
      { prototype: object }
    >;
    const prototype = module[name]?.prototype ?? {};
    for (const method of methods)
      patch(prototype, method, (original, ...args) =>
        transition(`${name}.${method}`, () => original(...args)),
      );
  }
}

/** What every store is made of: batches, renames and syncs, of files and of directories. */
async function wrapFiles(): Promise<void> {
  patch(Level.prototype, 'batch', (original, ...args) =>
    args.length === 0 ? original() : transition('Level.batch', () => original(...args)),
  );
  patch(files, 'rename', (original, ...args) => transition('rename', () => original(...args)));
  const file = await open(process.execPath);
  const prototype = Object.getPrototypeOf(file) as object;
  await file.close();
  for (const method of ['sync', 'datasync'])
    patch(prototype, method, (original, ...args) => transition(method, () => original(...args)));
  syncBuiltinESMExports();
}

const script = process.argv[1] ?? '';
const workspace = (['coordinator', 'edge-agent'] as const).find((name) => script.includes(`/${name}/bin/`));
if (isMainThread && workspace !== undefined && variable('CALLS') !== '') {
  await wrapStores(workspace);
  await wrapFiles();
}
