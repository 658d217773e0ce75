import {
  decodeEntry,
  encodeBase64,
  encodeEntry,
  ENTRY_VERSION,
  LIMITS,
  logIdOf,
  signTreeHead,
  TributaryError,
  type LedgerEntry,
  type NewEntry,
  type SignedTreeHead,
} from '@tributary/proto';

import type { Command } from '../domain/command.js';
import { decide, recordOfRefusal } from '../domain/decide.js';
import { evolve } from '../domain/evolve.js';
import { EMPTY_FEDERATION, type FederationState } from '../domain/federation-state.js';
import { decodeSnapshot, encodeSnapshot, isCurrentSnapshot } from '../domain/snapshot.js';
import type { Clock, LedgerStore, Signer } from '../ports.js';

/** Called after each durable append, in order, with the state after it. It returns at once and never throws. */
export type FederationListener = (entries: readonly LedgerEntry[], state: FederationState) => void;

/** An entry with its canonical bytes. */
export interface LedgerItem {
  readonly entry: LedgerEntry;
  readonly bytes: Uint8Array;
}

/** The one writer of the ledger, and what is known by folding it. */
export interface Federation {
  /** Lower-case hex SHA-256 of the tree-head key. */
  readonly logId: string;
  /** The fold of everything durable. */
  readonly state: FederationState;
  /** Entries in the ledger. */
  size(): number;
  /**
   * Decides, makes the entries durable, folds them, tells the listeners, then resolves with them: none where the
   * command was carried out before. Commands follow each other. Rejects with what `decide` throws, and with STORE_FULL
   * where the disk is full; the state is then as before.
   */
  execute(command: Command): Promise<readonly LedgerEntry[]>;
  /** The result unsubscribes. */
  subscribe(listener: FederationListener): () => void;
  /** Entries `start` (inclusive) to `end` (exclusive; at most and by default the size now). */
  entries(start: number, end?: number): AsyncIterable<LedgerItem>;
  /** Signed head of the newest durable tree. */
  treeHead(): Promise<SignedTreeHead>;
  /** RFC 6962 audit path. Rejects with INVALID_ARGUMENT outside the tree. */
  inclusionProof(seq: number, size: number): Promise<readonly Uint8Array[]>;
  consistencyProof(first: number, second: number): Promise<readonly Uint8Array[]>;
  /** Whether this ledger had that RFC 6962 root when it held `treeSize` entries; not where it is shorter. */
  holds(head: Pick<SignedTreeHead, 'treeSize' | 'rootHash'>): Promise<boolean>;
  /** Finishes queued commands, writes a snapshot. Further commands are rejected with SHUTTING_DOWN. */
  close(): Promise<void>;
}

export interface FederationOptions {
  /** Stays the caller's: close the federation first, then the store. */
  readonly store: LedgerStore;
  /** The key of tree heads. */
  readonly signer: Signer;
  /** For the times of tree heads; entries take theirs from commands. */
  readonly clock: Pick<Clock, 'now'>;
  /** Told of what must not stop the ledger: a listener that threw, a snapshot that is damaged or was not written. */
  readonly onFault?: (error: unknown) => void;
}

/**
 * Opens the federation of a ledger: the newest snapshot, then every entry after it. That of an older build gets a snapshot
 * which older builds refuse. Rejects with STORE_CORRUPT where an entry cannot be read, FORMAT_UNSUPPORTED where a newer
 * version wrote it, CONFLICT where the ledger is another signer's.
 */
export async function openFederation(options: FederationOptions): Promise<Federation> {
  const federation = new LedgerFederation(options);
  await federation.open();
  return federation;
}

/** A single writer: commands wait for each other, so that each is decided on the state that the last one left. */
class LedgerFederation implements Federation {
  readonly logId: string;
  readonly #store: LedgerStore;
  readonly #signer: Signer;
  readonly #clock: Pick<Clock, 'now'>;
  readonly #onFault: (error: unknown) => void;
  readonly #listeners = new Set<FederationListener>();
  #state = EMPTY_FEDERATION;
  /** The newest command; it never rejects. */
  #last: Promise<unknown> = Promise.resolve();
  #snapshot: Promise<void> = Promise.resolve();
  #snapshotSize = 0;
  #closed = false;
  #head: { readonly size: number; readonly signed: Promise<SignedTreeHead> } | undefined;

  constructor({ store, signer, clock, onFault = () => undefined }: FederationOptions) {
    this.logId = logIdOf(signer.publicKey);
    this.#store = store;
    this.#signer = signer;
    this.#clock = clock;
    this.#onFault = onFault;
  }

  get state(): FederationState {
    return this.#state;
  }

  async open(): Promise<void> {
    const isFenced = await this.#restore();
    await this.#catchUp();
    const logKey = this.#state.federation?.logKey;
    if (logKey !== undefined && logKey !== encodeBase64(this.#signer.publicKey)) {
      throw new TributaryError('CONFLICT', 'the ledger was begun with another tree-head key');
    }
    // Before anything else is written: a build before this one refuses it, and would misread entries that it does not know.
    if (!isFenced && this.#state.seq > 0) await this.#writeSnapshot();
  }

  /** Takes the newest snapshot; resolves with whether older builds refuse it. */
  async #restore(): Promise<boolean> {
    const latest = await this.#usableSnapshot();
    const state = latest === undefined ? undefined : decodeSnapshot(latest.snapshot);
    if (state?.seq === latest?.size && state !== undefined && state.seq <= this.#store.size())
      this.#state = state;
    this.#snapshotSize = this.#state.seq;
    return latest !== undefined && isCurrentSnapshot(latest.snapshot);
  }

  /** A snapshot is a cache: one that is damaged is named, and the entries are folded instead. */
  async #usableSnapshot(): Promise<{ readonly size: number; readonly snapshot: Uint8Array } | undefined> {
    try {
      return await this.#store.latestSnapshot();
    } catch (error) {
      if (TributaryError.from(error).code !== 'STORE_CORRUPT') throw error;
      this.#onFault(error);
      return undefined;
    }
  }

  size(): number {
    return this.#state.seq;
  }

  execute(command: Command): Promise<readonly LedgerEntry[]> {
    if (this.#closed) return Promise.reject(new TributaryError('SHUTTING_DOWN', 'the ledger is closed'));
    const result = this.#last.then(() => this.#execute(command));
    this.#last = result.catch(() => undefined);
    return result;
  }

  subscribe(listener: FederationListener): () => void {
    // Wrapped, so that the same function subscribed twice is told twice and unsubscribes by itself.
    const own: FederationListener = (entries, state) => {
      listener(entries, state);
    };
    this.#listeners.add(own);
    return () => {
      this.#listeners.delete(own);
    };
  }

  async *entries(start: number, end = this.size()): AsyncIterable<LedgerItem> {
    const last = Math.min(end, this.size());
    for await (const { bytes } of this.#store.read(start, last)) yield { entry: decodeEntry(bytes), bytes };
  }

  treeHead(): Promise<SignedTreeHead> {
    const size = this.size();
    if (this.#head?.size === size) return this.#head.signed;
    const signed = this.#signHead(size);
    this.#head = { size, signed };
    // A head that could not be made is made anew when it is asked for again.
    signed.catch(() => {
      if (this.#head?.signed === signed) this.#head = undefined;
    });
    return signed;
  }

  inclusionProof(seq: number, size: number): Promise<readonly Uint8Array[]> {
    return this.#store.inclusionProof(seq, size);
  }

  consistencyProof(first: number, second: number): Promise<readonly Uint8Array[]> {
    return this.#store.consistencyProof(first, second);
  }

  async holds({ treeSize, rootHash }: Pick<SignedTreeHead, 'treeSize' | 'rootHash'>): Promise<boolean> {
    return treeSize <= this.size() && Buffer.compare(await this.#store.rootHash(treeSize), rootHash) === 0;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#last;
    await this.#snapshot;
    if (this.#state.seq > this.#snapshotSize) await this.#writeSnapshot();
  }

  async #signHead(size: number): Promise<SignedTreeHead> {
    const rootHash = await this.#store.rootHash(size);
    const time = new Date(this.#clock.now()).toISOString();
    return signTreeHead(this.#signer, { logId: this.logId, treeSize: size, rootHash, time });
  }

  async #execute(command: Command): Promise<readonly LedgerEntry[]> {
    let decided: readonly NewEntry[];
    try {
      decided = decide(this.#state, command);
    } catch (refusal) {
      await this.#recordRefusal(command, refusal);
      throw refusal;
    }
    return this.#append(decided, command.now);
  }

  /** An alarm that cannot be recorded does not change what the caller is told. */
  async #recordRefusal(command: Command, refusal: unknown): Promise<void> {
    try {
      await this.#append(recordOfRefusal(this.#state, command, refusal), command.now);
    } catch (error) {
      this.#onFault(error);
    }
  }

  async #append(decided: readonly NewEntry[], now: number): Promise<readonly LedgerEntry[]> {
    if (decided.length === 0) return [];
    const size = this.#state.seq;
    const time = new Date(now).toISOString();
    const encoded = decided.map((entry, index) =>
      encodeEntry({ ...entry, v: ENTRY_VERSION, seq: size + index, time }),
    );
    // What is folded is what will be read again: the entry as its bytes say it, checked by its schema.
    const entries = encoded.map(readBack);
    const next = entries.reduce(evolve, this.#state);
    await this.#store.append(size, encoded);
    this.#state = next;
    this.#tell(entries);
    this.#snapshotWhenDue();
    return entries;
  }

  #tell(entries: readonly LedgerEntry[]): void {
    for (const listener of this.#listeners) {
      try {
        listener(entries, this.#state);
      } catch (error) {
        this.#onFault(error);
      }
    }
  }

  async #catchUp(): Promise<void> {
    for await (const { bytes } of this.#store.read(this.#state.seq, this.#store.size())) {
      this.#state = evolve(this.#state, decodeEntry(bytes));
    }
  }

  #snapshotWhenDue(): void {
    if (this.#state.seq - this.#snapshotSize < LIMITS.snapshotEveryEntries) return;
    this.#snapshotSize = this.#state.seq;
    this.#snapshot = this.#snapshot.then(() => this.#writeSnapshot());
  }

  /** Without it the next start reads more entries. */
  async #writeSnapshot(): Promise<void> {
    const state = this.#state;
    try {
      await this.#store.putSnapshot(state.seq, encodeSnapshot(state));
      this.#snapshotSize = Math.max(this.#snapshotSize, state.seq);
    } catch (error) {
      this.#onFault(error);
    }
  }
}

function readBack(bytes: Uint8Array): LedgerEntry {
  try {
    return decodeEntry(bytes);
  } catch (cause) {
    throw new TributaryError('INTERNAL', 'a decision does not match the schema of its entry', { cause });
  }
}
