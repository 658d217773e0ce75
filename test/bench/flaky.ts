import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { flakyRun } from '../support/flaky-run.js';
import { rounded, type BenchCase } from './bench-case.js';

/** Breaks that each of the two transfers meets at least. */
const BREAKS = 3;

/**
 * A base model down and an update up over a line that is cut every few seconds, once with nobody killed and once with both
 * sides killed on the way. `surplus`: bytes beyond the model that passed, per model; the bound is two chunks
 * for each break.
 */
export const flaky: BenchCase = async function* ({ megabytes, breakSeconds, note }) {
  for (const kills of [false, true]) {
    const folder = await mkdtemp(join(tmpdir(), 'tributary-bench-'));
    try {
      const run = await flakyRun({ folder, megabytes, breakMs: breakSeconds * 1_000, breaks: BREAKS, kills });
      note(`${kills ? 'with' : 'without'} kills: ${String(run.breaks)} breaks, ${run.seconds.toFixed(1)} s`);
      yield {
        kills,
        ...{ megabytes: rounded(run.modelBytes / 1e6), breakSeconds, breaks: run.breaks },
        ...{ seconds: rounded(run.seconds), surplusUp: rounded(run.sentBytes / run.modelBytes - 1) },
        surplusDown: rounded(run.receivedBytes / run.modelBytes - 1),
        surplusBound: rounded(run.boundBytes / run.modelBytes - 1),
      };
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }
};
