import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';

import type { RoundFate } from './endurance-fate.js';

// As the shim of the agent does.
setFlagsFromString('--no-incremental-marking');

const { TributaryError } = await import('@tributary/proto');
const { runAgent } = await import('@tributary/edge-agent');
const { requestOf } = await import('@tributary/edge-agent/internal/adapters/http/status-client.js');
const { socketPath } = await import('@tributary/edge-agent/internal/adapters/files/data-directory.js');
const { fateOf, HANG_MS } = await import('./endurance-fate.js');
const { randomUpdate } = await import('./noise.js');

/**
 * Several agents as they ship in one process, each with a data directory and connections of its own; only the trainer is
 * replaced. Arguments: sites of a round, part of them that drops out, and the folders of the sites of this process.
 */
const [sitesText = '', dropoutText = '', ...folders] = process.argv.slice(2);
let stopping = false;
process.setMaxListeners(0);
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => (stopping = true));

/** One after the other, and again where the machine is too busy to answer in time. */
async function joinAll(): Promise<void> {
  for (const folder of folders) {
    const files = ['--config', join(folder, 'agent.yaml'), '--token-file', join(folder, 'token')];
    let exit = await runAgent(['join', ...files]);
    for (let tries = 1; exit !== 0 && tries < 5; tries += 1) exit = await runAgent(['join', ...files]);
    if (exit !== 0) throw new Error(`${folder}: join ended with ${String(exit)}`);
  }
}

async function keepAgent(folder: string): Promise<void> {
  const config = join(folder, 'agent.yaml');
  const site = Number(basename(folder).replace('site-', ''));
  const left = new Set<number>();
  while (!stopping) {
    const exit = await runAgent(['run', '--config', config, '--log-level', 'error'], {
      trainer: ({ dataDir }) => ({
        backend: 'random',
        train: async ({ round, layout, spec, signal }) => {
          const fate: RoundFate = left.has(round)
            ? 'works'
            : fateOf(site, round, Number(sitesText), Number(dropoutText));
          if (fate === 'fails') throw new TributaryError('TRAINING_FAILED', 'this one was to fail');
          if (fate === 'hangs') await sleep(HANG_MS, undefined, { signal }).catch(() => undefined);
          if (fate === 'leaves') {
            left.add(round);
            // The agent ends in good order, and comes again: its order is repeated then.
            await requestOf(socketPath(dataDir), 'POST', '/drain');
            await sleep(HANG_MS, undefined, { signal }).catch(() => undefined);
          }
          if (signal.aborted) throw new TributaryError('JOB_CANCELLED', 'the training was stopped');
          const delta = randomUpdate(site, round, layout.length);
          const examples = Math.max(spec.update.weightCap, 1_000);
          return { delta, examples, loss: 0, metrics: {}, testExamples: 0 };
        },
        evaluate: () => Promise.resolve({ examples: 0, loss: 0, metrics: {} }),
        close: () => Promise.resolve(),
      }),
    });
    if (exit !== 0 && !stopping) throw new Error(`${dirname(folder)}: the agent ended with ${String(exit)}`);
  }
}

await joinAll();
await Promise.all(folders.map(keepAgent));
