import assert from 'node:assert/strict';

import {
  getBackend,
  memory,
  tensor,
  tidy,
  variable,
  type Tensor2D,
  type Variable,
} from '@tensorflow/tfjs-core';
import { initialWeights, layoutOf, type LayerSpec } from '@tributary/proto';
import { startBackend } from '@tributary/edge-agent/internal/adapters/training/backend.js';
import {
  replaceValues,
  valuesOf,
} from '@tributary/edge-agent/internal/adapters/training/kernels/heap-values.js';
import { Network } from '@tributary/edge-agent/internal/adapters/training/network.js';

import { assertClose, randomTensor } from '../../../support/backend-comparison.js';
import { SeededRandom } from '../../../support/seeded-random.js';

describe('values on the heap', () => {
  const made: Variable[] = [];
  const ofValues = (values: readonly number[]): Variable => {
    const one = tidy(() => variable(tensor([...values])));
    made.push(one);
    return one;
  };

  afterEach(() => {
    for (const one of made.splice(0)) one.dispose();
  });

  for (const backend of ['wasm', 'cpu'] as const) {
    it(`are replaced and read without a new tensor on ${backend}`, async () => {
      await startBackend(backend);
      assert.equal(getBackend(), backend);
      const one = ofValues([1, 2, 3]);
      const before = memory().numTensors;
      const values = Float32Array.of(4, 5, 6);
      replaceValues(one, values);
      values.fill(0);
      assert.deepEqual([...valuesOf(one)], [4, 5, 6]);
      assert.equal(memory().numTensors, before);
    });

    it(`do not change in a tensor that shares them on ${backend}`, async () => {
      await startBackend(backend);
      const one = ofValues([1, 2, 3]);
      const clone = one.clone();
      replaceValues(one, Float32Array.of(4, 5, 6));
      assert.deepEqual([...clone.dataSync()], [1, 2, 3]);
      assert.deepEqual([...one.dataSync()], [4, 5, 6]);
      clone.dispose();
    });
  }

  it('are what layers compute with after they were replaced, also in kernels that keep filters', async () => {
    const specs: readonly LayerSpec[] = [
      { type: 'DepthwiseConv2d', kernelSize: [3], padding: 'Same', depthMultiplier: 1, activation: 'Linear' },
      { type: 'PRelu' },
      { type: 'Flatten' },
      { type: 'Dense', units: 2, activation: 'Linear' },
    ];
    const input = [5, 5, 3];
    const rows = randomTensor(new SeededRandom(3), [2, 75]);
    const layout = layoutOf(specs, input);
    const [first, second] = [initialWeights(specs, input, 1), initialWeights(specs, input, 2)];
    const outputs = (network: Network): Float32Array =>
      tidy(() => Float32Array.from(network.logits(rows() as Tensor2D, false).dataSync<'float32'>()));
    const results: Float32Array[] = [];
    for (const backend of ['wasm', 'cpu'] as const) {
      await startBackend(backend);
      const network = new Network(specs, layout, input);
      network.load(first);
      outputs(network);
      network.load(second);
      results.push(outputs(network), network.read());
      network.dispose();
    }
    assertClose(results[0] ?? [], results[2] ?? [], 'outputs');
    assert.deepEqual(results[1], second);
  });
});
