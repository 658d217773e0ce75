import {
  consistencyProof,
  emptyRoot,
  inclusionProof,
  leafHash,
  MerkleFrontier,
  merkleRoot,
  TributaryError,
} from '@tributary/proto';

import type { LedgerStore } from '../../ports.js';

export interface MemoryLedgerOptions {
  /** Bytes of entries that fit; an append beyond them is refused with STORE_FULL. Default: no bound. */
  readonly capacityBytes?: number;
}

/** A ledger in memory: for tests, and for trying things out. */
export class MemoryLedgerStore implements LedgerStore {
  readonly #entries: Uint8Array[] = [];
  readonly #nodes = new Map<string, Uint8Array>();
  readonly #frontier = MerkleFrontier.empty();
  #snapshot: { size: number; snapshot: Uint8Array } | undefined;
  readonly #cosignatures = new Map<string, Uint8Array>();
  #bytes = 0;
  /** Bytes that fit; may be changed between appends, as disks fill up and are cleared. */
  capacityBytes: number;

  constructor({ capacityBytes = Number.POSITIVE_INFINITY }: MemoryLedgerOptions = {}) {
    this.capacityBytes = capacityBytes;
  }

  size(): number {
    return this.#entries.length;
  }

  append(expectedSize: number, entries: readonly Uint8Array[]): Promise<void> {
    if (expectedSize !== this.#entries.length) {
      const message = `the ledger has ${String(this.#entries.length)} entries, not ${String(expectedSize)}`;
      return Promise.reject(new TributaryError('CONFLICT', message));
    }
    const bytes = entries.reduce((sum, entry) => sum + entry.length, this.#bytes);
    if (bytes > this.capacityBytes)
      return Promise.reject(new TributaryError('STORE_FULL', 'the ledger is full'));
    this.#bytes = bytes;
    for (const entry of entries) {
      this.#entries.push(entry.slice());
      for (const { level, index, hash } of this.#frontier.append(leafHash(entry)))
        this.#nodes.set(nodeName(level, index), hash);
    }
    return Promise.resolve();
  }

  async *read(
    start: number,
    end: number,
  ): AsyncIterable<{ readonly seq: number; readonly bytes: Uint8Array }> {
    const last = Math.min(end, this.#entries.length);
    for (let seq = start; seq < last; seq += 1) {
      const bytes = await Promise.resolve(this.#entries[seq]);
      if (bytes !== undefined) yield { seq, bytes: bytes.slice() };
    }
  }

  async rootHash(size: number): Promise<Uint8Array> {
    this.#require(size >= 0 && size <= this.size(), 'size');
    return size === 0 ? emptyRoot() : merkleRoot(size, this.#node);
  }

  async inclusionProof(seq: number, size: number): Promise<readonly Uint8Array[]> {
    this.#require(size <= this.size() && seq >= 0 && seq < size, 'seq');
    return inclusionProof(seq, size, this.#node);
  }

  async consistencyProof(first: number, second: number): Promise<readonly Uint8Array[]> {
    this.#require(second <= this.size() && first >= 0 && first <= second, 'first');
    return consistencyProof(first, second, this.#node);
  }

  putSnapshot(size: number, snapshot: Uint8Array): Promise<void> {
    this.#snapshot = { size, snapshot: snapshot.slice() };
    return Promise.resolve();
  }

  latestSnapshot(): Promise<{ readonly size: number; readonly snapshot: Uint8Array } | undefined> {
    return Promise.resolve(this.#snapshot);
  }

  putCosignatures(records: ReadonlyMap<string, Uint8Array>): Promise<void> {
    for (const [site, record] of records) this.#cosignatures.set(site, record.slice());
    return Promise.resolve();
  }

  async *cosignatures(): AsyncIterable<Uint8Array> {
    for (const record of this.#cosignatures.values()) yield await Promise.resolve(record);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  readonly #node = (level: number, index: number): Uint8Array => {
    const hash = this.#nodes.get(nodeName(level, index));
    if (hash === undefined) throw new TributaryError('STORE_CORRUPT', 'a node of the tree is missing');
    return hash;
  };

  #require(condition: boolean, field: string): void {
    if (condition) return;
    throw new TributaryError('INVALID_ARGUMENT', `${field}: outside the ledger`, { fields: { field } });
  }
}

const nodeName = (level: number, index: number): string => `${String(level)}/${String(index)}`;
