import type { Layout } from '@tributary/proto';

/** What was known of a round before it: how a gradient became a delta. */
export interface KnownTraining {
  readonly layout: Layout;
  readonly base: Float32Array;
  readonly rate: number;
  readonly l2: number;
  readonly steps: number;
}

/**
 * The mean gradient of the loss behind a delta of plain SGD, the penalty of the job taken off: exact for one step, an
 * average along the way for more.
 */
export function gradientOfDelta(delta: ArrayLike<number>, training: KnownTraining): Float64Array {
  const { layout, base, rate, l2, steps } = training;
  const gradient = Float64Array.from(delta, (value) => -value / (rate * steps));
  for (const { shape, offset } of layout.tensors) {
    if (shape.length < 2) continue;
    const end = offset + shape.reduce((product, axis) => product * axis, 1);
    for (let at = offset; at < end; at += 1) gradient[at] = (gradient[at] ?? 0) - 2 * l2 * (base[at] ?? 0);
  }
  return gradient;
}

/**
 * The input of a network of dense layers from its gradient for one record: each column of the first kernel's gradient is
 * the input times that unit's bias gradient (Phong et al., IEEE TIFS 13, 2018), here by least squares over the units. Of
 * several records it gives a weighted mean. NaN where every unit of the layer was off.
 */
export function invertFirstLayer(gradient: ArrayLike<number>, layout: Layout): Float64Array {
  const { inputs, units, kernel, bias } = firstLayer(layout);
  const found = new Float64Array(inputs);
  let squares = 0;
  for (let unit = 0; unit < units; unit += 1) {
    const byBias = gradient[bias + unit] ?? 0;
    squares += byBias * byBias;
    for (let input = 0; input < inputs; input += 1)
      found[input] = (found[input] ?? 0) + byBias * (gradient[kernel + input * units + unit] ?? 0);
  }
  return found.map((value) => value / squares);
}

/** Sizes and offsets of a first layer that is dense. */
function firstLayer({ tensors: [kernel, bias] }: Layout) {
  const [inputs, units] = kernel?.shape ?? [];
  if (kernel === undefined || inputs === undefined || units === undefined || bias?.shape[0] !== units)
    throw new TypeError('the first layer is not dense with a bias');
  return { inputs, units, kernel: kernel.offset, bias: bias.offset };
}

/** The label of one record of a binary task: the gradient of the last bias is probability minus label. */
export function invertLabel(gradient: ArrayLike<number>): 0 | 1 {
  return (gradient[gradient.length - 1] ?? 0) < 0 ? 1 : 0;
}

/** Euclidean distance from `found` to `truth`, over the length of `truth`. */
export function relativeError(found: ArrayLike<number>, truth: ArrayLike<number>): number {
  let length = 0;
  for (let at = 0; at < truth.length; at += 1) length += (truth[at] ?? 0) ** 2;
  return distance(found, truth) / Math.sqrt(length);
}

export function distance(one: ArrayLike<number>, other: ArrayLike<number>): number {
  let squares = 0;
  for (let at = 0; at < other.length; at += 1) squares += ((one[at] ?? 0) - (other[at] ?? 0)) ** 2;
  return Math.sqrt(squares);
}
