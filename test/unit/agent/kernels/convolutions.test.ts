import {
  conv2d,
  conv2dTranspose,
  conv3d,
  depthwiseConv2d,
  grads,
  reshape,
  tensor,
  concat,
  mul,
  sum,
  DepthwiseConv2dNativeBackpropFilter,
  DepthwiseConv2dNativeBackpropInput,
  engine,
  fused,
  type NamedAttrMap,
  type NamedTensorMap,
  type Tensor,
  type Tensor4D,
  type Tensor5D,
} from '@tensorflow/tfjs-core';

import { startBackend } from '@tributary/edge-agent/internal/adapters/training/backend.js';

import {
  assertClose,
  assertSameOnWasm,
  randomTensor,
  randomValues,
  valuesOn,
} from '../../../support/backend-comparison.js';
import { SeededRandom } from '../../../support/seeded-random.js';

describe('convolutions on wasm and their gradients, against cpu', () => {
  const random = new SeededRandom(12);
  const size = (end: number): number => 1 + random.below(end);
  const padding = (): 'same' | 'valid' => random.pick(['same', 'valid'] as const);
  /** A kernel that fits an image of `sizes`, so that a valid convolution has a result. */
  const kernelFor = (sizes: readonly number[]): number[] => sizes.map((length) => size(Math.min(length, 5)));

  /** The result and the gradients of `convolution` with respect to both arguments, one after another. */
  const withGradients = (
    convolution: (x: Tensor, filter: Tensor) => Tensor,
    x: () => Tensor,
    filter: () => Tensor,
  ): (() => Tensor) => {
    const weights = new Map<number, Float32Array>();
    return () => {
      const y = convolution(x(), filter());
      const dy = weights.get(y.size) ?? randomValues(random, y.shape);
      weights.set(y.size, dy);
      const weighted = (a: Tensor, b: Tensor): Tensor =>
        sum(mul(convolution(a, b), tensor(Float32Array.from(dy), y.shape)));
      const [dx, dFilter] = grads(weighted)([x(), filter()]);
      return concat([y, dx, dFilter].map((value) => reshape(value as Tensor, [-1])));
    };
  };

  it('in two dimensions, over shapes, strides and paddings', async () => {
    for (let round = 0; round < 40; round += 1) {
      const sizes = [size(9), size(9)];
      const [channels, filters] = [size(6), size(10)];
      const stride: [number, number] = [size(3), size(3)];
      const pad = random.chance(0.2) ? random.below(3) : padding();
      const x = randomTensor(random, [size(3), ...sizes, channels]);
      const filter = randomTensor(random, [...kernelFor(sizes), channels, filters]);
      await assertSameOnWasm(
        withGradients(
          (a, b) =>
            conv2d(
              a as Tensor4D,
              b as Tensor4D,
              stride,
              pad,
              'NHWC',
              1,
              typeof pad === 'number' ? 'floor' : undefined,
            ),
          x,
          filter,
        ),
        `image ${sizes.join('x')} stride ${stride.join('x')} ${String(pad)}`,
      );
    }
  });

  it('in two dimensions with dilation, forward', async () => {
    for (let round = 0; round < 20; round += 1) {
      const channels = size(6);
      const dilation: [number, number] = [size(3), size(3)];
      const x = randomTensor(random, [2, 9, 10, channels]);
      const filter = randomTensor(random, [size(3), size(3), channels, size(6)]);
      const pad = padding();
      await assertSameOnWasm(
        () => conv2d(x() as Tensor4D, filter() as Tensor4D, 1, pad, 'NHWC', dilation),
        `dilation ${dilation.join('x')} ${pad}`,
      );
    }
  });

  it('in two dimensions over more patches than are held at a time', async () => {
    const x = randomTensor(random, [3, 40, 41, 5]);
    const filter = randomTensor(random, [5, 5, 5, 7]);
    await assertSameOnWasm(
      withGradients((a, b) => conv2d(a as Tensor4D, b as Tensor4D, 1, 'same'), x, filter),
      'large',
    );
  });

  it('transposed', async () => {
    for (let round = 0; round < 20; round += 1) {
      const [height, width, channels, filters] = [size(6), size(6), size(5), size(5)];
      const stride = size(3);
      const kernel = [size(4), size(4)];
      const x = randomTensor(random, [2, height, width, channels]);
      const filter = randomTensor(random, [...kernel, filters, channels]);
      const shape: [number, number, number, number] = [2, height * stride, width * stride, filters];
      await assertSameOnWasm(
        withGradients(
          (a, b) => conv2dTranspose(a as Tensor4D, b as Tensor4D, shape, stride, 'same'),
          x,
          filter,
        ),
        `kernel ${kernel.join('x')} stride ${String(stride)}`,
      );
    }
  });

  it('in three dimensions, over shapes, strides and paddings', async () => {
    for (let round = 0; round < 20; round += 1) {
      const sizes = [size(5), size(5), size(5)];
      const [channels, filters] = [size(4), size(5)];
      const stride: [number, number, number] = [size(2), size(2), size(2)];
      const pad = padding();
      const x = randomTensor(random, [size(2), ...sizes, channels]);
      const filter = randomTensor(random, [...kernelFor(sizes), channels, filters]);
      await assertSameOnWasm(
        withGradients((a, b) => conv3d(a as Tensor5D, b as Tensor5D, stride, pad), x, filter),
        `volume ${sizes.join('x')} stride ${stride.join('x')} ${pad}`,
      );
    }
  });

  it('a channel at a time, over shapes, strides, paddings and multipliers', async () => {
    for (let round = 0; round < 40; round += 1) {
      const [channels, stride, pad] = [size(9), size(3), padding()];
      const x = randomTensor(random, [size(3), 3 + size(6), 3 + size(6), channels]);
      const filter = randomTensor(random, [size(3), size(3), channels, random.chance(0.5) ? 1 : size(4)]);
      await assertSameOnWasm(
        withGradients((a, b) => depthwiseConv2d(a as Tensor4D, b as Tensor4D, stride, pad), x, filter),
        `stride ${String(stride)} ${pad} of ${x().shape.join('x')}`,
      );
    }
  });

  it('a channel at a time with dilation, whose gradients TensorFlow.js has as kernels only', async () => {
    for (let round = 0; round < 20; round += 1) {
      const [channels, dilation, pad] = [size(9), 1 + size(2), padding()];
      const shape: Shape4 = [size(3), 9, 10, channels];
      const filterShape: Shape4 = [size(3), size(3), channels, size(3)];
      const [x, filter] = [randomTensor(random, shape), randomTensor(random, filterShape)];
      const convolve = (a: Tensor, b: Tensor): Tensor =>
        depthwiseConv2d(a as Tensor4D, b as Tensor4D, 1, pad, 'NHWC', dilation);
      const dyValues = await valuesOn('cpu', () => convolve(x(), filter()));
      const dy = (): Tensor => reshape(tensor(Float32Array.from(dyValues)), convolve(x(), filter()).shape);
      const run = (kernel: string, inputs: NamedTensorMap, shapes: NamedAttrMap): Promise<Float32Array> =>
        valuesOn('wasm', () =>
          engine().runKernel(kernel, inputs, { strides: 1, dilations: dilation, pad, ...shapes }),
        );
      await startBackend('wasm');
      const dFilter = await run(DepthwiseConv2dNativeBackpropFilter, { x: x(), dy: dy() }, { filterShape });
      const dx = await run(
        DepthwiseConv2dNativeBackpropInput,
        { dy: dy(), filter: filter() },
        { inputShape: shape },
      );
      // The convolution is linear in the image and in the filter; the kernel of cpu ignores the dilation.
      const [image, other] = [randomTensor(random, shape), randomTensor(random, filterShape)];
      const along = [await valuesOn('cpu', image), await valuesOn('cpu', other)];
      const results = [
        await valuesOn('cpu', () => convolve(image(), filter())),
        await valuesOn('cpu', () => convolve(x(), other())),
      ];
      assertClose(
        [product(dx, along[0]), product(dFilter, along[1])],
        results.map((result) => product(dyValues, result)),
        `dilation ${String(dilation)} ${pad}`,
      );
    }
  });

  it('with a stride larger than the kernel, where the published kernels return what they found in memory', async () => {
    for (const kernel of [
      [1, 2],
      [3, 1],
      [1, 1],
    ]) {
      const x = randomTensor(random, [2, 8, 7, 3]);
      const [filter, each] = [
        randomTensor(random, [...kernel, 3, 4]),
        randomTensor(random, [...kernel, 3, 2]),
      ];
      for (const activation of ['linear', 'relu', 'elu', 'sigmoid'] as const) {
        if (activation === 'sigmoid' && kernel[0] !== kernel[1]) continue;
        await assertSameOnWasm(
          () =>
            fused.conv2d({
              x: x() as Tensor4D,
              filter: filter() as Tensor4D,
              strides: 2,
              pad: 'same',
              activation,
            }),
          `kernel ${kernel.join('x')} ${activation}`,
        );
      }
      await assertSameOnWasm(
        () => depthwiseConv2d(x() as Tensor4D, each() as Tensor4D, 2, 'same'),
        `each channel, kernel ${kernel.join('x')}`,
      );
    }
  });
});

type Shape4 = [number, number, number, number];

const product = (a: Float32Array, b: Float32Array | undefined): number =>
  a.reduce((total, value, index) => total + value * (b?.[index] ?? Number.NaN), 0);
