import { TributaryError } from '@tributary/proto';
import type { Level } from 'level';

import { requireFormatVersion } from '../files/directory-format.js';
import { FORMAT_KEY } from './ledger-keys.js';

type LedgerDatabase = Level<string, Uint8Array>;

const FORMAT_VERSION = 1;
const MARKED = Buffer.from(JSON.stringify({ formatVersion: FORMAT_VERSION, marked: true }));

/**
 * Whether the ledger says that it has a high-water mark: one of a build that did not say so does from when this one opens
 * it. Throws FORMAT_UNSUPPORTED for a newer format, STORE_CORRUPT for none.
 */
export async function isMarkedLedger(database: LedgerDatabase): Promise<boolean> {
  const stored = await database.get(FORMAT_KEY);
  if (stored === undefined) {
    const [any] = await database.keys({ limit: 1 }).all();
    if (any !== undefined) throw new TributaryError('STORE_CORRUPT', 'the ledger names no format version');
    return false;
  }
  const format = parseFormat(stored);
  requireFormatVersion(format?.formatVersion, FORMAT_VERSION, 'the ledger');
  return format?.marked === true;
}

function parseFormat(
  stored: Uint8Array,
): { readonly formatVersion?: unknown; readonly marked?: unknown } | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(stored).toString('utf8'));
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Durable when it resolves, and not in the log: there it would be lost with the entries whose loss it is to tell. */
export async function sayMarked(database: LedgerDatabase): Promise<void> {
  await database.put(FORMAT_KEY, MARKED, { sync: true });
  // The types are those of every platform; that of Node has this too.
  const { compactRange } = database as { compactRange?: (start: string, end: string) => Promise<void> };
  await compactRange?.call(database, FORMAT_KEY, FORMAT_KEY);
}
