import { requireFormat, sha256, TributaryError } from '@tributary/proto';
import { z } from 'zod';

/** What a store holds after so many changes. */
export interface StateSum {
  readonly changes: number;
  /** Of the fingerprints of all records, in any order: 32 hexadecimal digits. */
  readonly sum: string;
}

/** The same, as the record in the store has it. */
export interface StateCount extends StateSum {
  /** How many operations the database had numbered with that record. */
  readonly operations: number;
}

export type StateOperation =
  | { readonly type: 'put'; readonly key: string; readonly value: Uint8Array }
  | { readonly type: 'del'; readonly key: string };

/** 2: with the number of operations. */
const FORMAT_VERSION = 2;
const FINGERPRINT_BYTES = 16;
const fields = { changes: z.int().min(0), sum: z.string().regex(/^[0-9a-f]{32}$/) };
const countSchema = z.discriminatedUnion('formatVersion', [
  z.strictObject({ formatVersion: z.literal(1), ...fields }),
  z.strictObject({ formatVersion: z.literal(FORMAT_VERSION), ...fields, operations: z.int().min(1) }),
]);

/**
 * Knows by one number whether all records of a store are there, and no others: the exclusive or of their fingerprints.
 * Guards against damage; against forgery each value is sealed.
 */
export class StateTally {
  readonly #fingerprints = new Map<string, bigint>();
  #sum = 0n;
  #changes = 0;
  #operations = 0;

  get count(): StateCount {
    return this.#countOf(this.#changes, this.#sum, this.#operations);
  }

  /** Takes in a record that is found there. */
  found(key: string, value: Uint8Array): void {
    const fingerprint = fingerprintOf(key, value);
    this.#fingerprints.set(key, fingerprint);
    this.#sum ^= fingerprint;
  }

  /** So many changes, and operations of the database, have led here. */
  reached(changes: number, operations: number): void {
    this.#changes = changes;
    this.#operations = operations;
  }

  /** One change more, written together with its count: what it will come to, and what makes it so. */
  change(operations: readonly StateOperation[]): { readonly count: StateCount; readonly apply: () => void } {
    const changed = changedBy(operations);
    let sum = this.#sum;
    for (const [key, fingerprint] of changed)
      sum ^= (this.#fingerprints.get(key) ?? 0n) ^ (fingerprint ?? 0n);
    const count = this.#countOf(this.#changes + 1, sum, this.#operations + operations.length + 1);
    return { count, apply: () => this.#apply(changed, sum, count.operations) };
  }

  #apply(changed: ReadonlyMap<string, bigint | undefined>, sum: bigint, operations: number): void {
    for (const [key, fingerprint] of changed) {
      if (fingerprint === undefined) this.#fingerprints.delete(key);
      else this.#fingerprints.set(key, fingerprint);
    }
    this.#sum = sum;
    this.#changes += 1;
    this.#operations = operations;
  }

  #countOf(changes: number, sum: bigint, operations: number): StateCount {
    return { changes, sum: sum.toString(16).padStart(2 * FINGERPRINT_BYTES, '0'), operations };
  }
}

/** The last word on each key. */
function changedBy(operations: readonly StateOperation[]): Map<string, bigint | undefined> {
  const last = new Map(operations.map((operation) => [operation.key, operation]));
  return new Map(
    [...last.values()].map((operation) => [
      operation.key,
      operation.type === 'put' ? fingerprintOf(operation.key, operation.value) : undefined,
    ]),
  );
}

function fingerprintOf(key: string, value: Uint8Array): bigint {
  const digest = sha256(Buffer.concat([sha256(Buffer.from(key)), value]));
  return BigInt(`0x${Buffer.from(digest).toString('hex', 0, FINGERPRINT_BYTES)}`);
}

export const encodeCount = (count: StateCount): Uint8Array =>
  Buffer.from(JSON.stringify({ formatVersion: FORMAT_VERSION, ...count }));

/** One of version 1 names no operations. Throws FORMAT_UNSUPPORTED for that of a newer version, STORE_CORRUPT. */
export function decodeCount(
  bytes: Uint8Array,
  what: string,
): StateSum & Partial<Pick<StateCount, 'operations'>> {
  const value = parse(bytes);
  if (typeof value === 'object' && value !== null && 'formatVersion' in value)
    requireFormat(value.formatVersion, what, FORMAT_VERSION);
  const parsed = countSchema.safeParse(value);
  if (!parsed.success) throw new TributaryError('STORE_CORRUPT', `${what}: its tally is damaged`);
  const { formatVersion: _, ...count } = parsed.data;
  return count;
}

function parse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    return undefined;
  }
}
