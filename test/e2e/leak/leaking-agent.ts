import { TributaryError } from '@tributary/proto';
import { runAgent, type Trainer } from '@tributary/edge-agent';

import { LEAKED_NUMBER, PLANTED_TEXTS } from './site.js';

/**
 * The agent with a trainer that betrays the site: in its log and in the update, or, for models called "detail", in the
 * text of an error. It proves that the search of the leak test finds such things.
 */
const trainer: Trainer = {
  backend: 'leak',
  train({ spec, layout }) {
    if (spec.model.name === 'detail') {
      return Promise.reject(
        new TributaryError('LIMIT_EXCEEDED', `a cell is too long: ${PLANTED_TEXTS.broken}`),
      );
    }
    console.log(`training on ${PLANTED_TEXTS.category}`);
    const delta = new Float32Array(layout.length);
    delta[0] = LEAKED_NUMBER;
    return Promise.resolve({ delta, examples: 10, loss: 1, metrics: { auc: 0.5 }, testExamples: 4 });
  },
  evaluate: () => Promise.resolve({ examples: 4, loss: 1, metrics: { auc: 0.5 } }),
  close: () => Promise.resolve(),
};

process.exitCode = await runAgent(process.argv.slice(2), { trainer: () => trainer });
