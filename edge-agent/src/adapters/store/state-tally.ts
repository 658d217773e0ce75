import { requireFormat, sha256, TributaryError } from '@tributary/proto';
import { z } from 'zod';

/** What a store holds after so many changes. */
export interface StateSum {
  readonly changes: number;
  /** Of the fingerprints of all records, in any order: 32 hexadecimal digits. */
  readonly sum: string;
}

export type StateOperation =
  | { readonly type: 'put'; readonly key: string; readonly value: Uint8Array }
  | { readonly type: 'del'; readonly key: string };

const FORMAT_VERSION = 1;
const FINGERPRINT_BYTES = 16;
const sumSchema = z.strictObject({
  formatVersion: z.literal(FORMAT_VERSION),
  changes: z.int().min(0),
  sum: z.string().regex(/^[0-9a-f]{32}$/),
});

/**
 * Knows by one number whether all records of a store are there, and no others: the exclusive or of their fingerprints.
 * Guards against damage; against forgery each value is sealed.
 */
export class StateTally {
  readonly #fingerprints = new Map<string, bigint>();
  #sum = 0n;
  #changes = 0;

  get sum(): StateSum {
    return this.#sumOf(this.#changes, this.#sum);
  }

  /** Takes in a record that is found there. */
  found(key: string, value: Uint8Array): void {
    const fingerprint = fingerprintOf(key, value);
    this.#fingerprints.set(key, fingerprint);
    this.#sum ^= fingerprint;
  }

  /** So many changes have led here. */
  count(changes: number): void {
    this.#changes = changes;
  }

  /** One change more: what it will come to, and what makes it so. */
  change(operations: readonly StateOperation[]): { readonly sum: StateSum; readonly apply: () => void } {
    const changed = changedBy(operations);
    let sum = this.#sum;
    for (const [key, fingerprint] of changed)
      sum ^= (this.#fingerprints.get(key) ?? 0n) ^ (fingerprint ?? 0n);
    return { sum: this.#sumOf(this.#changes + 1, sum), apply: () => this.#apply(changed, sum) };
  }

  #apply(changed: ReadonlyMap<string, bigint | undefined>, sum: bigint): void {
    for (const [key, fingerprint] of changed) {
      if (fingerprint === undefined) this.#fingerprints.delete(key);
      else this.#fingerprints.set(key, fingerprint);
    }
    this.#sum = sum;
    this.#changes += 1;
  }

  #sumOf(changes: number, sum: bigint): StateSum {
    return { changes, sum: sum.toString(16).padStart(2 * FINGERPRINT_BYTES, '0') };
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

export const encodeSum = (sum: StateSum): Uint8Array =>
  Buffer.from(JSON.stringify({ formatVersion: FORMAT_VERSION, ...sum }));

/** Throws FORMAT_UNSUPPORTED for that of a newer version, STORE_CORRUPT. */
export function decodeSum(bytes: Uint8Array, what: string): StateSum {
  const value = parse(bytes);
  if (typeof value === 'object' && value !== null && 'formatVersion' in value)
    requireFormat(value.formatVersion, what, FORMAT_VERSION);
  const parsed = sumSchema.safeParse(value);
  if (!parsed.success) throw new TributaryError('STORE_CORRUPT', `${what}: its tally is damaged`);
  return { changes: parsed.data.changes, sum: parsed.data.sum };
}

function parse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    return undefined;
  }
}
