import { isDeepStrictEqual } from 'node:util';

import type { Row } from '@tributary/proto';
import type { InboundMessage } from '@tributary/edge-agent/internal/streams-ports.js';

import type { ExpectedWindow } from '../replay/expected-windows.js';
import { topicOf, type PlannedPipeline } from '../replay/planned-pipeline.js';

/** A window as a pipeline without a model publishes it. */
export interface WindowResult {
  readonly decisionId: string;
  readonly window: { readonly startMs: number; readonly endMs: number };
  /** Of windows around one. */
  readonly trigger?: { readonly timeMs: number };
  readonly row: Row;
  readonly payload: Uint8Array;
}

/** The results of one pipeline for one bed, repeated ones once. */
export class BedResults {
  readonly topic: string;
  readonly #results = new Map<string, WindowResult>();

  constructor({ document }: PlannedPipeline, bed: string) {
    this.topic = topicOf(document.spec.result.topic, bed);
  }

  get size(): number {
    return this.#results.size;
  }

  /** In the order in which they came. */
  all(): readonly WindowResult[] {
    return [...this.#results.values()];
  }

  /** The result that a message holds; undefined where it came before. */
  take({ payload }: InboundMessage): WindowResult | undefined {
    const read = JSON.parse(Buffer.from(payload).toString()) as Omit<WindowResult, 'payload'>;
    const result = { ...read, payload };
    if (this.#results.has(result.decisionId)) return undefined;
    this.#results.set(result.decisionId, result);
    return result;
  }

  /** How many windows are missing, and how many came that should not, or with another row. */
  compare(expected: ReadonlyMap<string, ExpectedWindow>): { readonly lost: number; readonly wrong: number } {
    const results = this.all();
    const wrong = results.filter(
      ({ decisionId, row }) => !isDeepStrictEqual(row, expected.get(decisionId)?.row),
    );
    const lost = [...expected.keys()].filter((id) => !this.#results.has(id));
    return { lost: lost.length, wrong: wrong.length };
  }
}
