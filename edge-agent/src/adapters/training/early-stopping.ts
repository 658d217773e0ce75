import type { EarlyStoppingSpec } from '@tributary/proto';

import { seededRandom, shuffle } from '../../domain/datasets/seeded-random.js';
import type { BestEpoch } from './checkpoint.js';

/** Sets the draw of validation rows apart from the shuffles of the epochs, which count from 0. */
const VALIDATION = 0xffff_ffff;

export interface RowChoice {
  /** Rows that train, ascending. */
  readonly training: Uint32Array;
  /** Rows that only judge, ascending; empty without early stopping. */
  readonly validation: Uint32Array;
}

/**
 * Which of `rows` rows train. The draw depends on seed and number of rows only, so that every round judges by the same
 * rows. At least one row is left on both sides where there are two.
 */
export function chooseRows(rows: number, seed: number, spec: EarlyStoppingSpec | undefined): RowChoice {
  const all = Uint32Array.from({ length: rows }, (_, row) => row);
  if (spec === undefined || rows < 2) return { training: all, validation: new Uint32Array() };
  shuffle(all, seededRandom(seed, 0, VALIDATION));
  const count = Math.min(rows - 1, Math.max(1, Math.round(rows * spec.validationFraction)));
  return { validation: all.subarray(0, count).slice().sort(), training: all.subarray(count).slice().sort() };
}

/** Remembers the best epoch and tells when to stop (Prechelt, Early stopping, but when?, 1998). */
export class EarlyStopping {
  readonly #spec: EarlyStoppingSpec;
  #best: BestEpoch | undefined;

  constructor(spec: EarlyStoppingSpec, best?: BestEpoch) {
    this.#spec = spec;
    this.#best = best;
  }

  get best(): BestEpoch | undefined {
    return this.#best;
  }

  /** Takes note of an epoch; true where training should end. `weights` is called only for a new best. */
  judge(
    epoch: { readonly validationLoss: number; readonly loss: number },
    weights: () => Float32Array,
  ): boolean {
    const best = this.#best;
    if (best === undefined || epoch.validationLoss < best.validationLoss - this.#spec.minDelta) {
      this.#best = { ...epoch, waited: 0, weights: weights() };
      return false;
    }
    this.#best = { ...best, waited: best.waited + 1 };
    return this.#best.waited >= this.#spec.patience;
  }
}
