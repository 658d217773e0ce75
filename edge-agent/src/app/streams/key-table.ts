import { LIMITS } from '@tributary/proto';

import { INITIAL_ALERTS, type AlertState } from '../../domain/streams/alerts.js';
import { cellsOf } from '../../domain/streams/held-cells.js';
import type { KeyState } from '../../domain/streams/key-state.js';
import type { KeyStream } from '../../domain/streams/key-step.js';
import type { KeyEntry } from './stream-work.js';

/** Milliseconds between two searches for keys that may be forgotten: each looks at all of them. */
const SWEEP_MS = 1_000;

/** The keys of a pipeline in memory: LIMITS.streamKeys at most, which hold twice LIMITS.streamValues together at most. */
export class KeyTable {
  readonly #stream: Pick<KeyStream, 'initial' | 'isForgettable'>;
  readonly #forgotten: (key: string) => void;
  readonly #entries = new Map<string, KeyEntry>();
  #sweptMs = Number.NEGATIVE_INFINITY;
  #cells = 0;

  /** `forgotten` is told of every key that is let go. */
  constructor(stream: Pick<KeyStream, 'initial' | 'isForgettable'>, forgotten: (key: string) => void) {
    this.#stream = stream;
    this.#forgotten = forgotten;
  }

  get size(): number {
    return this.#entries.size;
  }

  entries(): Iterable<KeyEntry> {
    return this.#entries.values();
  }

  restore(key: string, state: KeyState, alerts: AlertState): void {
    this.#entries.set(key, newEntry(key, state, alerts));
    this.#cells += cellsOf(state.runs);
  }

  /**
   * Moves a key on; false, and nothing is changed, where the state holds more than the one before, all keys hold too much,
   * and this one more than its share: who sends much takes no room from the others.
   */
  advance(entry: KeyEntry, state: KeyState): boolean {
    const [before, after] = [cellsOf(entry.state.runs), cellsOf(state.runs)];
    const cells = this.#cells + after - before;
    const isOver = cells > LIMITS.streamValues && after * this.#entries.size > LIMITS.streamValues;
    if (after > before && isOver) return false;
    this.#cells = cells;
    entry.state = state;
    return true;
  }

  /** The entry of a key, made where it is new; undefined where there is no room for it. */
  entry(key: string, nowMs: number): KeyEntry | undefined {
    const known = this.#entries.get(key);
    if (known !== undefined) return known;
    if (this.#entries.size >= LIMITS.streamKeys && nowMs - this.#sweptMs >= SWEEP_MS) this.sweep(nowMs);
    if (this.#entries.size >= LIMITS.streamKeys) return undefined;
    const entry = newEntry(key, this.#stream.initial, INITIAL_ALERTS);
    this.#entries.set(key, entry);
    return entry;
  }

  /** Forgets keys that have been silent for long. An alert that is raised is remembered while there is room. */
  sweep(nowMs: number): void {
    this.#sweptMs = nowMs;
    const full = this.#entries.size >= LIMITS.streamKeys;
    for (const entry of this.#entries.values()) {
      if (entry.open > 0 || entry.changes > entry.written) continue;
      if (!this.#stream.isForgettable(entry.state, nowMs)) continue;
      if (!full && Object.values(entry.alerts).some(({ raised }) => raised)) continue;
      this.#entries.delete(entry.key);
      this.#cells -= cellsOf(entry.state.runs);
      this.#forgotten(entry.key);
    }
  }
}

function newEntry(key: string, state: KeyState, alerts: AlertState): KeyEntry {
  return { key, state, alerts, settled: { state, alerts }, open: 0, changes: 0, written: 0 };
}
