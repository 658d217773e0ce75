import assert from 'node:assert/strict';

import { tellableResult } from '@tributary/edge-agent/internal/domain/tellable-result.js';

const RESULT = {
  delta: Float32Array.of(1, 2),
  examples: 10,
  loss: 0.5,
  dataVersion: `hmac-sha256:${'0'.repeat(64)}`,
  metrics: { accuracy: 1 },
  variances: { accuracy: 0.1 },
  subgroups: [{ examples: 10, metrics: { accuracy: 1 } }],
  testExamples: 10,
};

describe('results that may be told', () => {
  it('are those of enough rows', () => {
    assert.equal(tellableResult(RESULT, 10), RESULT);
  });

  it('are not of a training on fewer rows, nor measured on fewer', () => {
    assert.throws(() => tellableResult({ ...RESULT, examples: 9 }, 10), { code: 'DATASET_TOO_SMALL' });
    const { delta, examples, loss, dataVersion } = RESULT;
    assert.deepEqual(tellableResult({ ...RESULT, testExamples: 1 }, 10), {
      delta,
      examples,
      loss,
      dataVersion,
      metrics: {},
      testExamples: 0,
    });
  });

  it('are those of a site that does not train', () => {
    const heldOut = { ...RESULT, examples: 0 };
    assert.equal(tellableResult(heldOut, 10), heldOut);
  });
});
