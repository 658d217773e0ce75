import { mkdir, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { FORMAT_VERSION, TributaryError } from '@tributary/proto';
import {
  DIRECTORY_MODE,
  diskError,
  isMissing,
  makeDirectory,
  syncDirectory,
  writeDurably,
} from '@tributary/proto/node';
import { z } from 'zod';

import { requireFormatVersion } from './files/directory-format.js';

const IDENTITY_FILE = 'coordinator.json';
/** Where a directory is put together; its content moves up when it is whole. */
const PARTIAL = '.partial';
/** What file systems put into a fresh volume. */
const IGNORED = new Set(['lost+found']);

/** Where things lie in a data directory. */
export interface DataPaths {
  readonly root: string;
  readonly identity: string;
  /** Certificate of the authority, PEM. */
  readonly authority: string;
  /** The sealing key, unless it is kept elsewhere. */
  readonly sealKey: string;
  readonly ledger: string;
  readonly blobs: string;
  readonly spool: string;
  readonly keys: string;
  readonly checkpoints: string;
  /** Sockets and addresses of the running daemon. */
  readonly run: string;
}

const NAMES = {
  identity: IDENTITY_FILE,
  authority: 'ca.pem',
  sealKey: 'seal.key',
  ledger: 'ledger',
  blobs: 'blobs',
  spool: 'spool',
  keys: 'keys',
  checkpoints: 'checkpoints',
  run: 'run',
} as const satisfies Record<Exclude<keyof DataPaths, 'root'>, string>;

/** What moves up in its own way. */
const APART = new Set<string>([IDENTITY_FILE, NAMES.sealKey]);

const identitySchema = z.strictObject({
  formatVersion: z.int(),
  federationId: z.string().min(1).max(63),
  /** Name of the federation. */
  name: z.string().min(1).max(63),
  logId: z.string().regex(/^[0-9a-f]{64}$/),
  /** DNS names and addresses of the coordinator: its certificate has them. */
  names: z.array(z.string().min(1).max(253)).min(1),
  createdAt: z.iso.datetime({ precision: 3 }),
  /** Settings of `serve`, read by config.ts. */
  serve: z.record(z.string(), z.union([z.string(), z.number()])).optional(),
});

/** Content of coordinator.json: which federation the directory belongs to. No secrets. */
export type DirectoryIdentity = z.infer<typeof identitySchema>;

export interface DataDirectory {
  readonly paths: DataPaths;
  readonly identity: DirectoryIdentity;
}

export function dataPaths(root: string): DataPaths {
  const entries = Object.entries(NAMES).map(([key, name]) => [key, join(root, name)]);
  return { root, ...(Object.fromEntries(entries) as Record<keyof typeof NAMES, string>) };
}

/** Reads which federation a directory belongs to. Throws NOT_FOUND where it is not one, FORMAT_UNSUPPORTED, STORE_CORRUPT. */
export async function openDataDirectory(root: string): Promise<DataDirectory> {
  const paths = dataPaths(root);
  let text: string;
  try {
    text = await readFile(paths.identity, 'utf8');
  } catch (error) {
    if (!isMissing(error)) throw diskError(error, paths.identity);
    throw new TributaryError('NOT_FOUND', `${root} is not the data directory of a coordinator`, {
      hint: 'make one with `tributary-coordinator init`, or restore a backup',
    });
  }
  return { paths, identity: parseIdentity(text, paths.identity) };
}

/** Reads the content of coordinator.json; `where` names it in errors. */
export function parseIdentity(text: string, where: string): DirectoryIdentity {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new TributaryError('STORE_CORRUPT', `${where} is not JSON`, { cause });
  }
  if (typeof value !== 'object' || value === null)
    throw new TributaryError('STORE_CORRUPT', `${where} is not a JSON object`);
  requireFormatVersion('formatVersion' in value ? value.formatVersion : undefined, FORMAT_VERSION, where);
  const parsed = identitySchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new TributaryError(
    'STORE_CORRUPT',
    `${where}: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'malformed'}`,
  );
}

/**
 * Makes a data directory whole or not at all. `build` gets the paths of a scratch directory inside `root` (a volume may be
 * mounted there, so nothing beside it will do), fills it and returns the identity. coordinator.json moves last: a
 * directory without it was never finished, and the next attempt begins anew. What a failed `build` wrote is removed: it may
 * be what the disk is full of. Throws CONFLICT where `root` holds anything; a sealing key is never removed.
 */
export async function createDataDirectory(
  root: string,
  build: (paths: DataPaths) => Promise<Omit<DirectoryIdentity, 'formatVersion'>>,
): Promise<void> {
  const scratch = join(root, PARTIAL);
  try {
    await makeDirectory(root);
    await requireUnused(root);
    await mkdir(scratch, { mode: DIRECTORY_MODE });
    await syncDirectory(root);
    await fill(dataPaths(scratch), build);
    const names = (await readdir(scratch)).filter((name) => !APART.has(name));
    await copyKey(scratch, root);
    for (const name of [...names, IDENTITY_FILE]) {
      await rename(join(scratch, name), join(root, name));
      await syncDirectory(root);
    }
    await rm(scratch, { recursive: true });
  } catch (error) {
    throw diskError(error, root);
  }
}

async function fill(
  paths: DataPaths,
  build: (paths: DataPaths) => Promise<Omit<DirectoryIdentity, 'formatVersion'>>,
): Promise<void> {
  try {
    const identity: DirectoryIdentity = { formatVersion: FORMAT_VERSION, ...(await build(paths)) };
    await writeDurably(paths.identity, [Buffer.from(`${JSON.stringify(identity, undefined, 2)}\n`)]);
  } catch (error) {
    await rm(paths.root, { recursive: true, force: true }).catch(() => undefined);
    throw error;
  }
}

/** A copy stays in the scratch directory to the end: by it the key is known as one that was made here. */
async function copyKey(scratch: string, root: string): Promise<void> {
  const key = await keyIn(scratch);
  if (key !== undefined) await writeDurably(dataPaths(root).sealKey, [key], scratch);
}

async function keyIn(directory: string): Promise<Buffer | undefined> {
  try {
    return await readFile(dataPaths(directory).sealKey);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** Empty, or the remains of an attempt that did not end: those are removed. */
async function requireUnused(root: string): Promise<void> {
  const found = (await readdir(root)).filter((name) => !IGNORED.has(name));
  const unfinished = found.includes(PARTIAL) && !found.includes(IDENTITY_FILE);
  const ours = new Set<string>([PARTIAL, ...Object.values(NAMES)]);
  if (found.length > 0 && !(unfinished && found.every((name) => ours.has(name)))) {
    throw found.includes(IDENTITY_FILE)
      ? new TributaryError('CONFLICT', `${root} holds a federation already`, {
          hint: 'serve it with `tributary-coordinator serve`, or name another directory',
        })
      : new TributaryError('CONFLICT', `${root} is not empty`, { hint: 'name another directory' });
  }
  await requireOwnKey(root);
  // The scratch directory goes last: it is what marks the others as remains.
  for (const name of found.filter((other) => other !== PARTIAL))
    await rm(join(root, name), { recursive: true, force: true });
  await rm(join(root, PARTIAL), { recursive: true, force: true });
}

/** A key that lies among the remains and is not of that attempt is somebody's, perhaps the only copy: nothing is removed. */
async function requireOwnKey(root: string): Promise<void> {
  const key = await keyIn(root);
  if (key === undefined || (await keyIn(join(root, PARTIAL)))?.equals(key) === true) return;
  throw new TributaryError('CONFLICT', `${dataPaths(root).sealKey} is a sealing key that was put there`, {
    hint: 'move it out of the directory, and name it with --seal-key-file',
  });
}
