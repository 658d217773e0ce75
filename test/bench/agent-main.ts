import { dirname, basename } from 'node:path';
import { setFlagsFromString } from 'node:v8';

// As the shim of the agent does.
setFlagsFromString('--no-incremental-marking');

const { runAgent } = await import('@tributary/edge-agent');
const { randomUpdate } = await import('./noise.js');

/** The agent as it ships, with its trainer replaced: updates are made at the cost of a copy. */
process.exitCode = await runAgent(process.argv.slice(2), {
  trainer: ({ dataDir }) => {
    const site = Number(basename(dirname(dataDir)).replace('site-', ''));
    return {
      backend: 'random',
      train: ({ round, layout, spec }) =>
        Promise.resolve({
          delta: randomUpdate(site, round, layout.length),
          // At full weight, and more than any policy asks for.
          examples: Math.max(spec.update.weightCap, 1_000),
          loss: 0,
          metrics: {},
          testExamples: 0,
        }),
      evaluate: () => Promise.resolve({ examples: 0, loss: 0, metrics: {} }),
      close: () => Promise.resolve(),
    };
  },
});
