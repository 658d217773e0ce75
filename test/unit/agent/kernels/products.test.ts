import assert from 'node:assert/strict';

import {
  broadcastTo,
  cast,
  mul,
  fused,
  gather,
  matMul,
  sum,
  tensor1d,
  tensor2d,
  unsortedSegmentSum,
  zeros,
  type Tensor,
  type Tensor2D,
} from '@tensorflow/tfjs-core';

import {
  assertClose,
  assertSameOnWasm,
  randomTensor,
  randomValues,
  valuesOn,
} from '../../../support/backend-comparison.js';
import { SeededRandom } from '../../../support/seeded-random.js';

describe('matrix products and sums on wasm, against cpu', () => {
  const random = new SeededRandom(11);
  const size = (end: number): number => 1 + random.below(end);

  for (const transposeA of [false, true]) {
    for (const transposeB of [false, true]) {
      it(`multiplies matrices of any size, transposed ${String(transposeA)} and ${String(transposeB)}`, async () => {
        for (let round = 0; round < 30; round += 1) {
          const [rows, depth, columns] = [size(70), size(40), size(40)];
          const outer = round % 3 === 0 ? [size(3), size(3)] : [];
          const a = randomTensor(random, [...outer, ...(transposeA ? [depth, rows] : [rows, depth])]);
          const b = randomTensor(random, [...outer, ...(transposeB ? [columns, depth] : [depth, columns])]);
          await assertSameOnWasm(
            () => matMul(a(), b(), transposeA, transposeB),
            `${outer.join(' ')} ${String(rows)} x ${String(depth)} x ${String(columns)}`,
          );
        }
      });
    }
  }

  it('multiplies matrices larger than one block in every direction', async () => {
    const a = randomTensor(random, [70, 515]);
    const b = randomTensor(random, [515, 521]);
    await assertSameOnWasm(() => matMul(a(), b()), '70 x 515 x 521');
  });

  it('multiplies what is mostly zero to the same bits as any other, without or with a bias', async () => {
    for (const [rows, depth, columns] of [
      [70, 784, 201],
      [1, 257, 8],
      [5, 600, 33],
    ] as const) {
      const filled = randomValues(random, [rows, depth]).map((value, index) =>
        index % 41 === 0 ? value : 0,
      );
      // Read across its rows it is not looked at for zeros.
      const turned = new Float32Array(filled.length);
      for (const [index, value] of filled.entries())
        turned[(index % depth) * rows + Math.floor(index / depth)] = value;
      const b = randomTensor(random, [depth, columns]);
      const bias = randomTensor(random, [columns]);
      const added = (a: Tensor2D): Tensor =>
        fused.matMul({ a, b: b(), transposeA: false, transposeB: false, bias: bias() });
      const plain = await valuesOn('wasm', () => matMul(tensor2d(filled, [rows, depth]), b()));
      const dense = await valuesOn('wasm', () => matMul(tensor2d(turned, [depth, rows]), b(), true));
      assert.deepEqual(plain, dense);
      await assertSameOnWasm(() => added(tensor2d(filled, [rows, depth])), `${String(rows)} rows and a bias`);
    }
  });

  it('broadcasts the outer axes, as if they had been repeated', async () => {
    const a = randomTensor(random, [2, 1, 3, 5, 4]);
    const b = randomTensor(random, [4, 1, 4, 6]);
    const repeated = await valuesOn('cpu', () =>
      matMul(broadcastTo(a(), [2, 4, 3, 5, 4]), broadcastTo(b(), [2, 4, 3, 4, 6])),
    );
    assertClose(await valuesOn('wasm', () => matMul(a(), b())), repeated, 'broadcast');
  });

  it('adds the bias of a dense layer and transposes its kernel', async () => {
    for (const transposeB of [false, true]) {
      for (const withBias of [false, true]) {
        const a = randomTensor(random, [7, 9]);
        const b = randomTensor(random, transposeB ? [11, 9] : [9, 11]);
        const bias = randomTensor(random, [11]);
        const product = (): Tensor =>
          fused.matMul({
            a: a(),
            b: b(),
            transposeA: false,
            transposeB,
            ...(withBias ? { bias: bias() } : {}),
          });
        await assertSameOnWasm(product, `transposed ${String(transposeB)} bias ${String(withBias)}`);
      }
    }
  });

  it('leaves fused activations and other layouts to the published kernel', async () => {
    const a = randomTensor(random, [7, 9]);
    const b = randomTensor(random, [7, 11]);
    await assertSameOnWasm(
      () =>
        fused.matMul({
          a: a(),
          b: b(),
          transposeA: true,
          transposeB: false,
          activation: 'relu',
        }),
      'relu',
    );
  });

  it('sums over leading, inner, all and no axes', async () => {
    for (const axis of [undefined, 0, [0, 1], [0, 1, 2], [1], [2], [0, 2], [1, 2], -1, []]) {
      for (const keepDims of [false, true]) {
        const x = randomTensor(random, [size(9), size(9), size(9)]);
        await assertSameOnWasm(() => sum(x(), axis, keepDims), `axes ${String(axis)}`);
      }
    }
  });

  it('sums rows by segment and leaves out those without one', async () => {
    for (let round = 0; round < 20; round += 1) {
      const [rows, segments] = [size(40), size(9)];
      const x = randomTensor(random, [rows, ...(round % 2 === 0 ? [size(9)] : [size(3), size(4)])]);
      const ids = Int32Array.from({ length: rows }, () => random.below(segments + 2) - 1);
      await assertSameOnWasm(() => unsortedSegmentSum(x(), tensor1d(ids), segments), 'segments');
    }
  });

  it('gives zeros for sums of nothing and nothing for no rows', async () => {
    const empty = (shape: number[]): Tensor => zeros(shape);
    await assertSameOnWasm(() => matMul(empty([3, 0]), empty([0, 4])), 'no terms');
    await assertSameOnWasm(() => matMul(empty([0, 3]), empty([3, 4])), 'no rows');
    await assertSameOnWasm(() => sum(empty([0, 4]), 0), 'no rows to add');
    await assertSameOnWasm(() => unsortedSegmentSum(empty([0, 4]), tensor1d([], 'int32'), 3), 'no segments');
  });

  it('casts to the same type and to another', async () => {
    const x = randomTensor(random, [3, 4]);
    for (const type of ['float32', 'int32'] as const) {
      await assertSameOnWasm(() => cast(mul(x(), 3), type), type);
      await assertSameOnWasm(() => cast(cast(cast(x(), type), type), 'float32'), `${type} twice`);
    }
  });

  it('gathers what it was given, as an embedding does', async () => {
    const table = randomTensor(random, [6, 5]);
    await assertSameOnWasm(() => gather(table(), tensor1d([5, 0, 0, 3], 'int32')), 'rows');
  });
});
