import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { requireFormat, TributaryError } from '@tributary/proto';
import { makeDirectory, writeDurably } from '@tributary/proto/node';
import { z } from 'zod';

import type { MeterFile } from '../../egress-ports.js';
import type { LineLog, OutboxFiles, SealedFiles, StateStore } from '../../ports.js';
import type { StreamStateStore } from '../../streams-ports.js';
import type { DownloadStore } from '../../transfer-ports.js';
import { LevelStateStore } from '../store/level-state-store.js';
import { readStateCopy } from '../store/state-copy.js';
import { StreamStates } from '../store/stream-states.js';
import { openCheckpointDirectory } from './checkpoint-directory.js';
import { DownloadDirectory } from './download-directory.js';
import { fileError } from './file-error.js';
import { UnsyncedMeter } from './meter-file.js';
import { LineFile } from './line-file.js';
import { OutboxDirectory } from './outbox-directory.js';
import { loadSealingKey } from './sealing-key.js';

/** What is written is of version 1, so that an older build can go on with it (state-tally.ts notices that it did). */
const FORMAT_VERSION = 1;
/** Of builds between 0.2.0 and 0.3.0, which let no older one go on: the same, with the state marked. */
const NEWEST_READ = 2;
const LETTERS = 'dead-letters';

/** Content of agent.json; fields of later versions are theirs, and stay when an older one goes on. */
const identitySchema = z.looseObject({
  formatVersion: z.int().min(1),
  kind: z.literal('agent'),
  /** The state has a mark: it is damaged where there is none. */
  stateMarked: z.boolean().optional(),
  /** The state of pipelines, too. */
  streamsMarked: z.boolean().optional(),
});
type Identity = z.output<typeof identitySchema>;

/** Everything that an agent keeps. One process owns it. */
export interface DataDirectory {
  readonly store: StateStore;
  readonly files: OutboxFiles;
  /** How far trainings have come. */
  readonly checkpoints: SealedFiles;
  readonly decisionLines: LineLog;
  /** What has arrived of blobs. */
  readonly downloads: DownloadStore;
  /** Bytes that left, as the newest process has them. */
  readonly meter: MeterFile;
  /** For rows that do not fit into memory; emptied at each start. Made where something is put there. */
  readonly scratchDir: string;
  /** Model versions that the site serves. */
  readonly modelsDir: string;
  /** The record of predictions. */
  readonly predictionsDir: string;
  /** State of the keys of pipelines, closed by whoever opened it. Made where something is put there. */
  openStreams(): Promise<StreamStateStore>;
  /** Dead letters of one pipeline. */
  openLetters(pipeline: string): Promise<SealedFiles>;
  close(): Promise<void>;
}

/** Where the running agent answers `status`. */
export const socketPath = (dataDir: string): string => join(dataDir, 'run', 'agent.sock');

/** Where the site's own log is. */
export const decisionsPath = (dataDir: string): string => join(dataDir, 'decisions.jsonl');

/** Its database, which one process owns. */
export const statePath = (dataDir: string): string => join(dataDir, 'state');

/** Where it answers requests for predictions. */
export const servingSocketPath = (dataDir: string): string => join(dataDir, 'run', 'serving.sock');

/** Longest path of a Unix socket (sun_path, less the terminating zero). */
const SOCKET_PATH_BYTES = 107;

/**
 * Opens the directory, making it where it is missing. Rejects with CONFIG_INVALID where its path is too long for the
 * sockets in it, STORE_LOCKED where another process owns it, FORMAT_UNSUPPORTED where a newer version wrote it,
 * SEAL_BROKEN where the sealing key is another. `onRecount` is told of each database that an older build has gone on with.
 */
export async function openDataDirectory(
  dataDir: string,
  sealKeyFile: string,
  onRecount?: (directory: string) => void,
): Promise<DataDirectory> {
  requireRoomForSockets(dataDir);
  await makeDirectory(join(dataDir, 'run'));
  const identity = await identityOf(dataDir);
  const key = await loadSealingKey(sealKeyFile, identity === undefined);
  const marking: Marking = { dataDir, key, onRecount };
  const store = await openMarked(marking, 'state', 'stateMarked');
  try {
    const files = await OutboxDirectory.open(join(dataDir, 'outbox'), key);
    const checkpoints = await openCheckpointDirectory(join(dataDir, 'checkpoints'), key);
    const downloads = await DownloadDirectory.open(join(dataDir, 'downloads'));
    const decisionLines = await LineFile.open(decisionsPath(dataDir));
    const meter = new UnsyncedMeter(join(dataDir, 'egress.meter'));
    const scratchDir = join(dataDir, 'scratch');
    await rm(scratchDir, { recursive: true, force: true });
    return {
      store,
      files,
      checkpoints,
      decisionLines,
      downloads,
      meter,
      scratchDir,
      modelsDir: join(dataDir, 'models'),
      predictionsDir: join(dataDir, 'predictions'),
      openStreams: async () => new StreamStates(await openMarked(marking, 'streams', 'streamsMarked')),
      openLetters: (pipeline) => OutboxDirectory.open(join(dataDir, LETTERS, pipeline), key),
      close: () => {
        meter.close();
        return store.close();
      },
    };
  } catch (error) {
    await store.close();
    throw error;
  }
}

interface Marking {
  readonly dataDir: string;
  readonly key: Uint8Array;
  readonly onRecount: ((directory: string) => void) | undefined;
}

/** Opens a database of the directory, and notes that it has a mark. */
async function openMarked(
  { dataDir, key, onRecount }: Marking,
  name: string,
  flag: 'stateMarked' | 'streamsMarked',
): Promise<LevelStateStore> {
  const identity = await identityOf(dataDir);
  const directory = join(dataDir, name);
  const store = await LevelStateStore.open(directory, key, {
    marked: identity?.[flag] === true,
    onRecount: () => onRecount?.(directory),
  });
  try {
    // After the key and the mark: an interrupted first start may begin again.
    if (identity?.[flag] !== true || identity.formatVersion !== FORMAT_VERSION)
      await writeIdentity(dataDir, { ...identity, [flag]: true });
    return store;
  } catch (error) {
    await store.close();
    throw error;
  }
}

const writeIdentity = (dataDir: string, more: Partial<Identity>): Promise<void> =>
  writeDurably(join(dataDir, 'agent.json'), [
    Buffer.from(`${JSON.stringify({ ...more, formatVersion: FORMAT_VERSION, kind: 'agent' })}\n`),
  ]);

/** Throws CONFIG_INVALID where the path of the directory leaves no room for the sockets in it. */
export function requireRoomForSockets(dataDir: string): void {
  const over = Buffer.byteLength(servingSocketPath(dataDir)) - SOCKET_PATH_BYTES;
  if (over <= 0) return;
  throw new TributaryError('CONFIG_INVALID', `dataDir: ${dataDir} is too long a path for the sockets in it`, {
    hint: `choose one that is ${String(over)} bytes shorter`,
    fields: { field: 'dataDir' },
  });
}

/** Dead letters of one pipeline, which may be running. */
export interface LetterView {
  readonly pipeline: string;
  readonly files: Pick<SealedFiles, 'list' | 'readSealed'>;
}

/** The dead letters that a data directory keeps, by pipeline, whoever owns it. Rejects with SEAL_BROKEN. */
export async function viewLetters(dataDir: string, sealKeyFile: string): Promise<readonly LetterView[]> {
  const directory = join(dataDir, LETTERS);
  let pipelines: readonly string[];
  try {
    pipelines = (await readdir(directory)).sort();
  } catch (error) {
    const known = fileError(error, directory);
    if (known.code === 'NOT_FOUND') return [];
    throw known;
  }
  const key = await loadSealingKey(sealKeyFile, false);
  return pipelines.map((pipeline) => ({
    pipeline,
    files: OutboxDirectory.view(join(directory, pipeline), key),
  }));
}

/**
 * Reads the state of a data directory in a copy, whoever owns it; undefined where no agent has begun there. `running`: it is
 * written to meanwhile, and its mark says nothing. Rejects with FORMAT_UNSUPPORTED, SEAL_BROKEN, STORE_CORRUPT.
 */
export async function readState<T>(
  dataDir: string,
  sealKeyFile: string,
  running: boolean,
  read: (store: StateStore) => Promise<T>,
): Promise<T | undefined> {
  const identity = await identityOf(dataDir);
  if (identity === undefined) return undefined;
  const key = await loadSealingKey(sealKeyFile, false);
  const marked = !running && identity.stateMarked === true;
  return readStateCopy({ directory: statePath(dataDir), key, marked }, read);
}

/** Undefined where no agent has begun there yet. */
async function identityOf(dataDir: string): Promise<Identity | undefined> {
  const path = join(dataDir, 'agent.json');
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    const known = fileError(error, path);
    if (known.code === 'NOT_FOUND') return undefined;
    throw known;
  }
  const parsed = identitySchema.safeParse(parseJson(text));
  if (!parsed.success) throw new TributaryError('STORE_CORRUPT', `${path} is not that of an agent`);
  requireFormat(parsed.data.formatVersion, path, NEWEST_READ);
  return parsed.data.formatVersion === NEWEST_READ ? { ...parsed.data, stateMarked: true } : parsed.data;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
