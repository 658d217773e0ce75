import assert from 'node:assert/strict';

import {
  avgPool,
  grad,
  maxPool,
  mul,
  sum,
  tensor,
  tensor4d,
  type Tensor,
  type Tensor4D,
} from '@tensorflow/tfjs-core';

import {
  assertClose,
  assertSameOnWasm,
  randomTensor,
  randomValues,
  valuesOn,
} from '../../../support/backend-comparison.js';
import { SeededRandom } from '../../../support/seeded-random.js';

describe('gradients of pooling on wasm', () => {
  const random = new SeededRandom(13);
  const size = (end: number): number => 1 + random.below(end);

  interface Case {
    readonly shape: [number, number, number, number];
    readonly window: [number, number];
    readonly stride: [number, number];
    readonly pad: 'same' | 'valid';
  }

  const randomCase = (): Case => {
    const window: [number, number] = [size(4), size(4)];
    return {
      shape: [size(3), window[0] + random.below(6), window[1] + random.below(6), size(10)],
      window,
      stride: [size(3), size(3)],
      pad: random.pick(['same', 'valid'] as const),
    };
  };

  const gradientOf =
    (pool: (x: Tensor4D) => Tensor, x: () => Tensor): (() => Tensor) =>
    () =>
      grad((value) => {
        const y = pool(value as Tensor4D);
        return sum(mul(y, tensor(wave(y.size), y.shape)));
      })(x());

  it('gives the gradient to the maximum, as cpu does', async () => {
    for (let round = 0; round < 40; round += 1) {
      const { shape, window, stride, pad } = randomCase();
      const x = randomTensor(random, shape);
      await assertSameOnWasm(
        gradientOf((value) => maxPool(value, window, stride, pad), x),
        `window ${window.join('x')} stride ${stride.join('x')} ${pad} of ${shape.join('x')}`,
      );
    }
  });

  it('gives the gradient to the first of equal maxima only', async () => {
    const ties = (): Tensor => tensor([1, 1, 1, 1, 0, 1, 0, 1, 1, 1, 1, 1, 0, 0, 1, 1], [1, 4, 4, 1]);
    await assertSameOnWasm(
      gradientOf((value) => maxPool(value, 2, 2, 'valid'), ties),
      'ties',
    );
  });

  it('divides the gradient of an average among the taps that were averaged', async () => {
    for (let round = 0; round < 40; round += 1) {
      const { shape, window, stride, pad } = randomCase();
      const pool = (value: Tensor4D): Tensor => avgPool(value, window, stride, pad);
      const gradient = await valuesOn('wasm', gradientOf(pool, randomTensor(random, shape)));
      // Average pooling is linear: the product of the gradient with any image is that of the weights with its result.
      const image = randomValues(random, shape);
      const result = await valuesOn('cpu', () => pool(tensor4d(image, shape)));
      const label = `window ${window.join('x')} stride ${stride.join('x')} ${pad} of ${shape.join('x')}`;
      assertClose([product(gradient, image)], [product(wave(result.length), result)], label);
    }
  });

  it('averages the same taps forward as cpu does', async () => {
    for (let round = 0; round < 20; round += 1) {
      const { shape, window, stride, pad } = randomCase();
      const x = randomTensor(random, shape);
      await assertSameOnWasm(() => avgPool(x() as Tensor4D, window, stride, pad), 'average');
    }
  });

  it('gives the whole gradient back where windows do not overlap', async () => {
    const gradient = await valuesOn(
      'wasm',
      gradientOf((value) => avgPool(value, 3, 3, 'same'), randomTensor(random, [1, 4, 4, 2])),
    );
    const sums = gradient.reduce((total, value) => total + value, 0);
    const weights = wave(2 * 2 * 2).reduce((total, value) => total + value, 0);
    assert.ok(Math.abs(sums - weights) < 1e-5);
  });
});

/** Distinct weights of a result, the same for the same length. */
const wave = (length: number): Float32Array =>
  Float32Array.from({ length }, (_, index) => Math.cos(1.7 * index + 0.3));

const product = (a: Float32Array, b: Float32Array): number =>
  a.reduce((total, value, index) => total + value * (b[index] ?? Number.NaN), 0);
