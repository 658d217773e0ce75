import { LIMITS } from '@tributary/proto';

import type { BatchRule } from '../../serving-ports.js';
import type { Step } from './stream-work.js';

/**
 * Gathers steps until their rows make a batch, in order. Rows of all keys of a pipeline wait here and nowhere else: the
 * predictor begins what it is given at once.
 */
export class Batcher {
  readonly #rule: BatchRule;
  readonly #begin: (steps: readonly Step[]) => void;
  #steps: Step[] = [];
  #rows = 0;
  #atWork = 0;
  #due = false;
  #cancel: (() => void) | undefined;
  #waitsForRows = false;

  /** `begin` must not throw, and {@link finished} follows each call of it. */
  constructor(rule: BatchRule, begin: (steps: readonly Step[]) => void) {
    this.#rule = rule;
    this.#begin = begin;
  }

  /** Steps that wait. */
  get waiting(): number {
    return this.#steps.length;
  }

  add(step: Step): void {
    this.#steps.push(step);
    this.#rows += step.decisions.length;
    if (this.#rows >= this.#rule.maximumRows) this.#pump();
    else this.#arm();
  }

  /** A batch has its answers: another may begin. */
  finished(): void {
    this.#atWork -= 1;
    this.#pump();
  }

  /** Begins what waits as soon as it may. */
  hurry(): void {
    this.#due = true;
    this.#pump();
  }

  #pump(): void {
    while (this.#steps.length > 0 && this.#atWork < LIMITS.streamBatches) {
      if (!this.#due && this.#rows < this.#rule.maximumRows) break;
      this.#atWork += 1;
      this.#begin(this.#take());
    }
    if (this.#steps.length > 0) this.#arm();
  }

  #take(): readonly Step[] {
    let rows = 0;
    let count = 0;
    for (const { decisions } of this.#steps) {
      if (count > 0 && decisions.length > 0 && rows + decisions.length > this.#rule.maximumRows) break;
      rows += decisions.length;
      count += 1;
    }
    const taken = count === this.#steps.length ? this.#steps : this.#steps.slice(0, count);
    this.#steps = count === this.#steps.length ? [] : this.#steps.slice(count);
    this.#rows -= rows;
    if (this.#steps.length === 0) this.#disarm();
    return taken;
  }

  /** Rows wait for others; steps without any only for what arrives in this turn. */
  #arm(): void {
    if (this.#due || (this.#cancel !== undefined && this.#waitsForRows === this.#rows > 0)) return;
    this.#cancel?.();
    this.#waitsForRows = this.#rows > 0;
    const act = (): void => {
      this.#cancel = undefined;
      this.hurry();
    };
    if (this.#waitsForRows && this.#rule.budgetMs > 0) {
      const timer = setTimeout(act, this.#rule.budgetMs);
      this.#cancel = () => {
        clearTimeout(timer);
      };
    } else {
      const immediate = setImmediate(act);
      this.#cancel = () => {
        clearImmediate(immediate);
      };
    }
  }

  #disarm(): void {
    this.#due = false;
    this.#cancel?.();
    this.#cancel = undefined;
  }
}
