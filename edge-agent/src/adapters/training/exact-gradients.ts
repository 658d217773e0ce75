import {
  avgPool,
  customGrad,
  image,
  mul,
  pad,
  reshape,
  tensor,
  tidy,
  type GradSaveFunc,
  type Tensor,
  type Tensor4D,
} from '@tensorflow/tfjs-core';
import { layers } from '@tensorflow/tfjs-layers';

type Pair = readonly [number, number];
type Sizes = (number | null)[];

interface Naming {
  readonly name: string;
  readonly inputShape?: number[];
}

const only = (inputs: Tensor | Tensor[]): Tensor => {
  const [value] = Array.isArray(inputs) ? inputs : [inputs];
  if (value === undefined) throw new TypeError('the layer has one input');
  return value;
};

/**
 * UpSampling2D by whole numbers. TensorFlow.js 4.22 adds up wrong neighbours in its derivative of the nearest
 * neighbour; here it is the sum over each block.
 */
export class ExactUpSampling extends layers.Layer {
  static readonly className = 'UpSampling2D';
  readonly #size: Pair;

  constructor({ name, inputShape }: Naming, size: Pair) {
    super({ name, ...(inputShape && { inputShape }) });
    this.#size = size;
  }

  override call(inputs: Tensor | Tensor[]): Tensor {
    const [byRow, byColumn] = this.#size;
    const enlarge = customGrad((...parts: (Tensor | GradSaveFunc)[]) => {
      const values = parts[0] as Tensor4D;
      const [, rows, columns] = values.shape;
      return {
        value: image.resizeNearestNeighbor(values, [rows * byRow, columns * byColumn]),
        gradFunc: (upstream: Tensor) =>
          mul(avgPool(upstream as Tensor4D, [byRow, byColumn], [byRow, byColumn], 'valid'), byRow * byColumn),
      };
    });
    return tidy(() => enlarge(only(inputs)));
  }

  override computeOutputShape([batch = null, rows, columns, channels = null]: Sizes): Sizes {
    const [byRow, byColumn] = this.#size;
    return [batch, Number(rows) * byRow, Number(columns) * byColumn, channels];
  }
}

/**
 * Average pooling with padding that leaves the padding out of the means. TensorFlow.js 4.22 forgets it in the
 * derivative; here it is a pooling of zeros beside the values without padding, times what the zeros made too small.
 */
export class ExactAveragePooling extends layers.Layer {
  static readonly className = 'AveragePooling2D';
  readonly #size: Pair;
  readonly #strides: Pair;
  readonly #axes: 1 | 2;

  /** With one axis the input is [rows, length, channels], and the second numbers of `size` and `strides` are 1. */
  constructor({ name, inputShape }: Naming, axes: 1 | 2, size: Pair, strides: Pair) {
    super({ name, ...(inputShape && { inputShape }) });
    this.#axes = axes;
    this.#size = size;
    this.#strides = strides;
  }

  override call(inputs: Tensor | Tensor[]): Tensor {
    return tidy(() => {
      const given = only(inputs);
      const [batch = 0, length = 1, width = 1] = given.shape;
      const values = this.#axes === 2 ? given : reshape(given, [batch, length, 1, width]);
      const [, rows = 1, columns = 1] = values.shape;
      const [byRow, byColumn] = [
        borders(rows, this.#size[0], this.#strides[0]),
        borders(columns, this.#size[1], this.#strides[1]),
      ];
      const padded = pad(values, [[0, 0], byRow.zeros, byColumn.zeros, [0, 0]]) as Tensor4D;
      const means = avgPool(padded, [...this.#size], [...this.#strides], 'valid');
      const factors = byRow.factors.flatMap((row) => byColumn.factors.map((column) => row * column));
      const result = mul(means, tensor(factors, [1, byRow.factors.length, byColumn.factors.length, 1]));
      return this.#axes === 2 ? result : reshape(result, [batch, byRow.factors.length, width]);
    });
  }

  override computeOutputShape(shape: Sizes): Sizes {
    return shape.map((size, axis) => {
      const step = axis === 0 || axis > this.#axes ? undefined : this.#strides[axis - 1];
      return step === undefined ? size : Math.ceil(Number(size) / step);
    });
  }
}

/** Zeros before and after an axis under Same padding, and for each window its size by the values in it. */
function borders(length: number, size: number, step: number): { zeros: [number, number]; factors: number[] } {
  const windows = Math.ceil(length / step);
  const all = Math.max((windows - 1) * step + size - length, 0);
  const before = Math.floor(all / 2);
  const factors = Array.from({ length: windows }, (_, window) => {
    const start = window * step - before;
    return size / (Math.min(start + size, length) - Math.max(start, 0));
  });
  return { zeros: [before, all - before], factors };
}
