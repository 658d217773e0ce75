import type { Answer } from './answer.js';

/** How often a site shows its newest answer: enough to see them arrive, and few enough to read. */
const EVERY_MS = 1_500;

export interface Shown extends Answer {
  readonly site: string;
  /** Which record it answers. */
  readonly id: string;
  readonly latencyMs: number;
  readonly answered: number;
  readonly sent: number;
}

/** Shows some of the answers of each site while they arrive. */
export class LiveView {
  readonly #say: (line: string) => void;
  readonly #shownMs = new Map<string, number>();

  constructor(say: (line: string) => void) {
    this.#say = say;
  }

  answered(shown: Shown): void {
    const nowMs = performance.now();
    if (nowMs - (this.#shownMs.get(shown.site) ?? -Infinity) < EVERY_MS) return;
    this.#shownMs.set(shown.site, nowMs);
    this.#say(lineOf(shown));
  }
}

function lineOf({ site, id, score, model, version, window, latencyMs, answered, sent }: Shown): string {
  const time = new Date(window.startMs).toISOString().slice(11, 23);
  return [
    site.padEnd(20),
    `#${id}`.padEnd(6),
    `score ${score.toFixed(4)}`,
    `${model}@${String(version)}`,
    `at ${time}`,
    `${latencyMs.toFixed(1)} ms`.padStart(8),
    `${String(answered)}/${String(sent)}`,
  ].join('  ');
}
