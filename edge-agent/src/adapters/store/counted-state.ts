import { join } from 'node:path';

import { openBytes, sealBytes } from '@tributary/proto';
import { syncDirectory } from '@tributary/proto/node';
import type { Level } from 'level';

import { operationsOf } from './level-manifest.js';
import { StateMark } from './state-mark.js';
import {
  decodeCount,
  encodeCount,
  StateTally,
  type StateCount,
  type StateOperation,
  type StateSum,
} from './state-tally.js';
import { lost } from './store-error.js';

export type Database = Level<string, Uint8Array>;

/** The record that counts the others; before all names that callers use. */
export const TALLY = '\u0000tally';
export const MARK = 'mark';

export interface StateStoreOptions {
  /** The store was made by a build that marks it, and is whole where its mark is there. Default: false. */
  readonly marked?: boolean;
  /** Called where a build that counts nothing has written since: what it left is counted anew, as it is. */
  readonly onRecount?: () => void;
}

export interface CountedState {
  readonly mark: StateMark;
  readonly tally: StateTally;
}

export const sealed = (key: Uint8Array, name: string, value: Uint8Array): Uint8Array =>
  sealBytes({ key, name: `state/${name}` }, value);

export const opened = (key: Uint8Array, name: string, value: Uint8Array): Uint8Array =>
  openBytes({ key, name: `state/${name}` }, value);

/** The tally of a change, which is the last operation of it: whoever writes without one leaves it behind. */
export const tallied = (key: Uint8Array, count: StateCount): StateOperation => ({
  type: 'put',
  key: TALLY,
  value: sealed(key, TALLY, encodeCount(count)),
});

/**
 * Holds a database that was just opened against its tally and its mark, and begins both where they are missing or of no use.
 * Rejects with STORE_CORRUPT where records are missing that were acknowledged, or are there again.
 */
export async function openCounted(
  directory: string,
  level: Database,
  key: Uint8Array,
  { marked, onRecount }: StateStoreOptions,
): Promise<CountedState> {
  const { file: mark, sum } = await StateMark.open(join(directory, MARK));
  try {
    if (sum === undefined && marked === true) throw lost(directory, 'its mark is missing, or damaged');
    const { tally, last } = await talliedIn(directory, level, key);
    requireReached(directory, sum, last);
    const verdict = verdictOf(tally.count, last, marked);
    if (verdict === 'Counted') requireSame(directory, tally.count, sum, last);
    if (verdict === 'Outdated') onRecount?.();
    if (verdict !== 'Counted' || last?.operations === undefined) await begin(level, key, tally);
    if (verdict !== 'Counted' || sum === undefined) {
      await mark.begin(tally.count);
      await syncDirectory(directory);
    }
    return { mark, tally };
  } catch (error) {
    await mark.close().catch(() => undefined);
    throw error;
  }
}

/** Rejects with STORE_CORRUPT where the records are not those that were counted with the last of them. */
export async function tallyOf(directory: string, level: Database, key: Uint8Array): Promise<StateTally> {
  const { tally, last } = await talliedIn(directory, level, key);
  if (last === undefined) throw lost(directory, 'all of its records are missing');
  requireSame(directory, tally.count, undefined, last);
  return tally;
}

type Count = ReturnType<typeof decodeCount>;

/**
 * Every change ends with its tally, so that the newest operation of the database is that of a tally, unless another build
 * wrote: damage takes operations away and adds none. A tally that names no operations is of a build whose data directories
 * no other one took (`marked`), or did not come to an end with its first start.
 */
function verdictOf(
  { operations, sum }: StateCount,
  last: Count | undefined,
  marked: boolean | undefined,
): 'Counted' | 'Uncounted' | 'Outdated' {
  if (last === undefined) return 'Uncounted';
  const isNewest = last.operations === undefined ? marked === true : operations <= last.operations;
  if (isNewest) return 'Counted';
  return last.sum === sum ? 'Uncounted' : 'Outdated';
}

/** Throws STORE_CORRUPT where the records are not as far as the mark: no build takes a change away. */
function requireReached(directory: string, marked: StateSum | undefined, last: Count | undefined): void {
  if (marked === undefined) return;
  if (last === undefined) throw lost(directory, 'all of its records are missing');
  if (marked.changes > last.changes)
    throw lost(
      directory,
      `the last ${String(marked.changes - last.changes)} of its changes are missing, which were acknowledged`,
    );
}

/** Throws STORE_CORRUPT where the records that were found are others than the last change left, or than were marked. */
function requireSame(
  directory: string,
  found: StateSum,
  marked: StateSum | undefined,
  last: Count | undefined,
): void {
  if (found.sum !== last?.sum)
    throw lost(directory, 'some of its records are missing, or others than were written');
  if (marked?.changes === found.changes && marked.sum !== found.sum)
    throw lost(directory, 'its records are not those that were acknowledged');
}

interface Tallied {
  /** What is there, with the changes that it says led here. */
  readonly tally: StateTally;
  /** What the last change that counted left. */
  readonly last: Count | undefined;
}

async function talliedIn(directory: string, level: Database, key: Uint8Array): Promise<Tallied> {
  const operations = await operationsOf(directory);
  const tally = new StateTally();
  let last: Count | undefined;
  for await (const [name, value] of level.iterator())
    if (name === TALLY) last = decodeCount(opened(key, TALLY, value), directory);
    else tally.found(name, value);
  tally.reached(last?.changes ?? 0, operations);
  return { tally, last };
}

/** Counts what is there, as a change that changes nothing else. */
async function begin(level: Database, key: Uint8Array, tally: StateTally): Promise<void> {
  const { count, apply } = tally.change([]);
  await level.batch([tallied(key, count)], { sync: true });
  apply();
}
