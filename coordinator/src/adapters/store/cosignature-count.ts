import { TributaryError } from '@tributary/proto';
import { causeCode } from '@tributary/proto/node';
import type { Level } from 'level';

import { COSIGNED_KEY } from './ledger-keys.js';

const FORMAT_VERSION = 1;

/** Written with every change of the cosignatures: which ones LevelDB loses shows by it. Builds before this one leave it be. */
export interface CosignatureCount {
  /** How often cosignatures were written. */
  readonly changes: number;
  /** Sites of whom there is one, at least. */
  readonly sites: number;
}

const NONE: CosignatureCount = { changes: 0, sites: 0 };

export function encodeCount({ changes, sites }: CosignatureCount): Uint8Array {
  return Buffer.from(JSON.stringify({ formatVersion: FORMAT_VERSION, changes, sites }));
}

/** Zeros where there is none that can be read. */
export async function readCount(database: Level<string, Uint8Array>): Promise<CosignatureCount> {
  try {
    const stored = await database.get(COSIGNED_KEY);
    return stored === undefined ? NONE : parse(Buffer.from(stored).toString('utf8'));
  } catch (error) {
    if (error instanceof SyntaxError || causeCode(error) === 'LEVEL_CORRUPTION') return NONE;
    throw error;
  }
}

function parse(text: string): CosignatureCount {
  const value: unknown = JSON.parse(text);
  if (typeof value !== 'object' || value === null) return NONE;
  if (!('formatVersion' in value) || value.formatVersion !== FORMAT_VERSION) return NONE;
  const changes = 'changes' in value ? value.changes : undefined;
  const sites = 'sites' in value ? value.sites : undefined;
  return isCount(changes) && isCount(sites) ? { changes, sites } : NONE;
}

const isCount = (value: unknown): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;

/** Throws STORE_CORRUPT where fewer were found than were counted, or the newest change of them is gone. */
export function requireAll(found: number, { changes, sites }: CosignatureCount, marked: number): void {
  if (found >= sites && changes >= marked) return;
  throw new TributaryError('STORE_CORRUPT', 'some of the cosignatures of sites are missing', {
    hint: 'sites sign again with the next tree head that they check',
  });
}
