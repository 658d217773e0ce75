import { cp, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';

import { TributaryError } from '@tributary/proto';

import type { StateStore } from '../../ports.js';
import { temporaryFolder } from '../files/temporary-folder.js';
import { MARK } from './counted-state.js';
import { LevelStateStore } from './level-state-store.js';

/** A copy that was made while the database put its files in order may miss one; the next rarely does. */
const ATTEMPTS = 3;

export interface CopiedState {
  readonly directory: string;
  readonly key: Uint8Array;
  /** The mark must fit; otherwise it is left out. */
  readonly marked: boolean;
}

/**
 * Reads the state of a data directory, whoever owns it, in a copy: opening the database itself would write to it, and lock
 * others out. What is secret in it stays sealed. Rejects with SEAL_BROKEN, STORE_CORRUPT.
 */
export async function readStateCopy<T>(
  state: CopiedState,
  read: (store: StateStore) => Promise<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await readOnce(state, read);
    } catch (error) {
      if (attempt >= ATTEMPTS || TributaryError.from(error).code === 'SEAL_BROKEN') throw error;
    }
  }
}

async function readOnce<T>(
  { directory, key, marked }: CopiedState,
  read: (store: StateStore) => Promise<T>,
): Promise<T> {
  const copy = await temporaryFolder();
  try {
    const filter = (from: string): boolean => marked || basename(from) !== MARK;
    await cp(directory, join(copy, 'state'), { recursive: true, filter });
    const store = await LevelStateStore.open(join(copy, 'state'), key, { marked });
    try {
      return await read(store);
    } finally {
      await store.close();
    }
  } finally {
    await rm(copy, { recursive: true, force: true });
  }
}
