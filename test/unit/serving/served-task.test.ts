import assert from 'node:assert/strict';

import { Latencies } from '@tributary/edge-agent/internal/domain/serving/latencies.js';
import { taskOf, topNames } from '@tributary/edge-agent/internal/domain/serving/served-task.js';
import type { LayerSpec } from '@tributary/proto';

describe('served models', () => {
  it('have the task that the activation of their last layer says', () => {
    const task = (...layers: LayerSpec[]) => taskOf({ topology: { inputShape: [1], layers } });
    assert.equal(task({ type: 'Dense', units: 1, activation: 'Sigmoid' }), 'Binary');
    assert.equal(task({ type: 'Dense', units: 3, activation: 'Softmax' }), 'MultiClass');
    assert.equal(task({ type: 'Dense', units: 1, activation: 'Linear' }), 'Regression');
    assert.equal(
      task({ type: 'Dense', units: 3, activation: 'Linear' }, { type: 'Activation', activation: 'Softmax' }),
      'MultiClass',
    );
  });

  it('name the highest score of each row, the first of equal ones', () => {
    assert.deepEqual(topNames(Float32Array.of(0.2, 0.5, 0.3, 0.4, 0.4, 0.2), ['a', 'b', 'c']), ['b', 'a']);
    assert.deepEqual(topNames(new Float32Array(), ['a', 'b']), []);
  });

  it('have latencies by nearest rank over the newest requests', () => {
    const latencies = new Latencies();
    assert.deepEqual(latencies.quantiles(0.5), [Number.NaN]);
    for (let ms = 1; ms <= 100; ms += 1) latencies.add(ms);
    assert.deepEqual(latencies.quantiles(0.5, 0.99, 1), [50, 99, 100]);
    for (let count = 0; count < 5_000; count += 1) latencies.add(7);
    assert.deepEqual(latencies.quantiles(0.5, 1), [7, 7]);
  });
});
