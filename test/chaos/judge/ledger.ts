import { createHash } from 'node:crypto';

import type { LedgerEntry } from '@tributary/proto';

import { breach, type Breach, type Facts } from './facts.js';

/** The tree of RFC 6962 over the entries is the one that was signed, and no entry is out of its place. */
export function judgeLedger({ entries, rootHash }: Pick<Facts, 'entries' | 'rootHash'>): readonly Breach[] {
  const misplaced = entries.findIndex(({ seq }, index) => seq !== index);
  if (misplaced >= 0) return [breach('ledger', `entry ${String(misplaced)} is not in its place`)];
  const root = rootOf(entries.map(leafOf));
  if (Buffer.compare(root, rootHash) !== 0)
    return [breach('ledger', 'the entries are not those that were signed')];
  return [];
}

/** Written anew here rather than taken from the code that is judged. */
export function rootOf(leaves: readonly Buffer[]): Buffer {
  if (leaves.length === 0) return hash();
  if (leaves.length === 1) return leaves[0] ?? hash();
  let split = 1;
  while (split * 2 < leaves.length) split *= 2;
  return hash(Buffer.of(1), rootOf(leaves.slice(0, split)), rootOf(leaves.slice(split)));
}

export function leafOf(entry: LedgerEntry): Buffer {
  return hash(Buffer.of(0), Buffer.from(sorted({ ...entry, seq: String(entry.seq) })));
}

/** RFC 8785 of what entries hold: strings, safe integers, booleans, lists and objects. */
function sorted(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(sorted).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const fields = Object.entries(value).filter(([, field]) => field !== undefined);
  fields.sort(([one], [other]) => (one < other ? -1 : 1));
  return `{${fields.map(([name, field]) => `${JSON.stringify(name)}:${sorted(field)}`).join(',')}}`;
}

const hash = (...parts: readonly Uint8Array[]): Buffer =>
  createHash('sha256').update(Buffer.concat(parts)).digest();
