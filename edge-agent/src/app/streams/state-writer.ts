import { LIMITS, TributaryError } from '@tributary/proto';

import { backoffMs } from '../../domain/backoff.js';
import type { SnapshotCodec } from '../../domain/streams/key-state-codec.js';
import type { Clock, Random } from '../../ports.js';
import type { KeyRecord, StreamStateStore } from '../../streams-ports.js';
import { uniform } from '../pause.js';
import type { KeyEntry } from './stream-work.js';

export interface StateWriterParts {
  readonly pipeline: string;
  readonly store: StreamStateStore;
  readonly codec: SnapshotCodec;
  readonly clock: Clock;
  readonly random: Random;
  /** Told of each write; why none succeeds, where that is so. */
  readonly wrote: (failure?: TributaryError) => void;
}

/** A write may take this part of the time, at most. */
const SHARE = 0.25;

const KEYS_A_TURN = 16;

/** Writes changed keys in groups, and completes what waits for that. */
export class StateWriter {
  readonly #parts: StateWriterParts;
  #dirty = new Set<KeyEntry>();
  #forgotten = new Set<string>();
  #waiting: (() => void)[] = [];
  #cancel: (() => void) | undefined;
  #writing: Promise<void> | undefined;
  #dueMs = Number.POSITIVE_INFINITY;
  #notBeforeMs = 0;
  #newestMs = 0;
  #failures = 0;
  #closed = false;

  constructor(parts: StateWriterParts) {
    this.#parts = parts;
  }

  /** The settled state of a key is another than the one on disk. */
  changed(entry: KeyEntry): void {
    entry.changes += 1;
    this.#dirty.add(entry);
    this.#forgotten.delete(entry.key);
    this.#schedule();
  }

  forget(key: string): void {
    this.#forgotten.add(key);
    this.#schedule();
  }

  /** Calls `done` once everything that changed until now is on disk. */
  whenWritten(done: () => void): void {
    this.#waiting.push(done);
    this.#schedule();
  }

  /** Writes what is left. Rejects where that fails: whoever waited for it still does. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#cancel?.();
    await this.#writing;
    if (this.#dirty.size + this.#forgotten.size > 0) await this.#write();
    this.#complete(this.#waiting.splice(0));
  }

  #schedule(): void {
    if (this.#closed) return;
    const { clock } = this.#parts;
    const nowMs = clock.now();
    this.#newestMs = nowMs;
    if (this.#dueMs === Number.POSITIVE_INFINITY) this.#dueMs = nowMs + LIMITS.streamWriteMs;
    if (this.#writing !== undefined || this.#cancel !== undefined) {
      if (this.#waiting.length !== LIMITS.streamWriteInputs || this.#writing !== undefined) return;
      this.#cancel?.();
    }
    this.#arm(nowMs);
  }

  /** When it is due, when many wait, or when nothing more comes; never while the last one is too recent. */
  #arm(nowMs: number): void {
    const { clock } = this.#parts;
    const many = this.#waiting.length >= LIMITS.streamWriteInputs;
    const quietMs = this.#newestMs + LIMITS.streamQuietMs;
    const atMs = Math.max(many ? nowMs : Math.min(this.#dueMs, quietMs), this.#notBeforeMs);
    this.#cancel = clock.at(atMs, () => {
      this.#cancel = undefined;
      const thenMs = clock.now();
      const quiet = thenMs >= this.#newestMs + LIMITS.streamQuietMs;
      const full = this.#waiting.length >= LIMITS.streamWriteInputs;
      if (quiet || full || thenMs >= this.#dueMs) this.#begin();
      else this.#arm(thenMs);
    });
  }

  #begin(): void {
    this.#writing = this.#flush().finally(() => {
      this.#writing = undefined;
      if (this.#closed) return;
      const { clock } = this.#parts;
      if (this.#dirty.size + this.#forgotten.size + this.#waiting.length > 0) {
        this.#dueMs = clock.now() + LIMITS.streamWriteMs;
        this.#arm(clock.now());
      }
    });
  }

  async #flush(): Promise<void> {
    const { clock, random } = this.#parts;
    this.#dueMs = Number.POSITIVE_INFINITY;
    const waiting = this.#waiting;
    this.#waiting = [];
    const beganMs = clock.now();
    try {
      await this.#write();
      this.#failures = 0;
      const endedMs = clock.now();
      this.#notBeforeMs = endedMs + (endedMs - beganMs) * (1 / SHARE - 1);
      this.#parts.wrote();
      this.#complete(waiting);
    } catch (error) {
      this.#waiting = [...waiting, ...this.#waiting];
      this.#notBeforeMs = clock.now() + backoffMs(this.#failures++, uniform(random));
      this.#parts.wrote(TributaryError.from(error));
    }
  }

  async #write(): Promise<void> {
    const { pipeline, store, codec } = this.#parts;
    const [dirty, forgotten] = [this.#dirty, this.#forgotten];
    this.#dirty = new Set();
    this.#forgotten = new Set();
    const marks = new Map<KeyEntry, number>();
    const changes: KeyRecord[] = [...forgotten].map((key) => ({ key }));
    try {
      for (const entry of dirty) {
        const { key, settled } = entry;
        marks.set(entry, entry.changes);
        changes.push({ key, state: codec.encode({ key, ...settled }) });
        // Keys hold kilobytes: between some of them messages are read and answered.
        if (marks.size % KEYS_A_TURN === 0) await nextTurn();
      }
      if (changes.length > 0) await store.write(pipeline, changes);
    } catch (error) {
      for (const entry of dirty) this.#dirty.add(entry);
      for (const key of forgotten) if (!this.#hasDirty(key)) this.#forgotten.add(key);
      throw error;
    }
    for (const [entry, changesThen] of marks) entry.written = changesThen;
  }

  #hasDirty(name: string): boolean {
    for (const { key } of this.#dirty) if (key === name) return true;
    return false;
  }

  #complete(waiting: readonly (() => void)[]): void {
    for (const done of waiting) done();
  }
}

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
