import { z } from 'zod';

import { elementsOf, rankProblem, shapeText } from '../shape.js';
import { axesProblem, perAxis } from './axes.js';
import { NO_TENSORS, type LayerKind } from './layer-kind.js';

export const flattenSchema = z.strictObject({ type: z.literal('Flatten') });

export const reshapeSchema = z.strictObject({
  type: z.literal('Reshape'),
  targetShape: z
    .array(z.int().min(1).max(10_000_000))
    .min(1)
    .max(4)
    .describe('Shape of a row after it, such as [28, 28, 1]; as many elements as before, in the same order.'),
});

export const upSampling2dSchema = z.strictObject({
  type: z.literal('UpSampling2d'),
  size: z
    .array(z.int().min(1).max(64))
    .min(1)
    .max(2)
    .default([2])
    .describe('How often each row and column is repeated, or one number for both; 1 to 64.'),
});

export const zeroPadding2dSchema = z.strictObject({
  type: z.literal('ZeroPadding2d'),
  border: z
    .array(z.int().min(0).max(1_024))
    .min(1)
    .max(4)
    .default([1])
    .describe('Zeros added: [all sides], [rows, columns] or [top, bottom, left, right]; 0 to 1024.'),
});

export const flatten: LayerKind<z.output<typeof flattenSchema>> = {
  className: 'Flatten',
  output: (_, input) => [elementsOf(input)],
  tensors: NO_TENSORS,
  toKeras: () => ({ data_format: 'channels_last' }),
  fromKeras(config) {
    config.require({ data_format: 'channels_last' });
    return { type: 'Flatten' };
  },
};

export const reshape: LayerKind<z.output<typeof reshapeSchema>> = {
  className: 'Reshape',
  output({ targetShape }, input) {
    const [before, after] = [elementsOf(input), elementsOf(targetShape)];
    if (before === after) return targetShape;
    const what = `has ${String(after)} elements, and the input ${shapeText(input)} has ${String(before)}`;
    return { path: ['targetShape'], what, fix: 'make the products equal' };
  },
  tensors: NO_TENSORS,
  toKeras: ({ targetShape }) => ({ target_shape: targetShape }),
  fromKeras(config, input) {
    const sizes = config.sizes('target_shape') ?? [];
    const known = elementsOf(sizes.filter((size) => size !== -1));
    return {
      type: 'Reshape',
      targetShape: sizes.map((size) => (size === -1 ? elementsOf(input) / known : size)),
    };
  },
};

/** Repeats rows and columns: the nearest neighbour. */
export const upSampling2d: LayerKind<z.output<typeof upSampling2dSchema>> = {
  className: 'UpSampling2D',
  output({ type, size }, input) {
    const fault = rankProblem(type, 3, input) ?? axesProblem({ size }, 2);
    if (fault !== undefined) return fault;
    const factors = perAxis(size, 2, []);
    return input.map((length, axis) => length * (factors[axis] ?? 1));
  },
  tensors: NO_TENSORS,
  toKeras: ({ size }) => ({
    size: [...perAxis(size, 2, [])],
    data_format: 'channels_last',
    interpolation: 'nearest',
  }),
  fromKeras(config) {
    config.require({ data_format: 'channels_last', interpolation: 'nearest' });
    return { type: 'UpSampling2d', size: config.sizes('size') ?? [2] };
  },
};

/** Zeros at [top, bottom, left, right]; undefined where the field has neither 1, 2 nor 4 values. */
export function bordersOf(border: readonly number[]): readonly [number, number, number, number] | undefined {
  const [first = 0, second = first, third, fourth] = border;
  if (third === undefined) return [first, first, second, second];
  return fourth === undefined ? undefined : [first, second, third, fourth];
}

export const zeroPadding2d: LayerKind<z.output<typeof zeroPadding2dSchema>> = {
  className: 'ZeroPadding2D',
  output({ type, border }, input) {
    const fault = rankProblem(type, 3, input);
    if (fault !== undefined) return fault;
    const sides = bordersOf(border);
    if (sides === undefined) return { path: ['border'], what: 'has 3 values', fix: 'give 1, 2 or 4' };
    const [top, bottom, left, right] = sides;
    const [rows = 1, columns = 1, channels = 1] = input;
    return [rows + top + bottom, columns + left + right, channels];
  },
  tensors: NO_TENSORS,
  toKeras({ border }) {
    const [top, bottom, left, right] = bordersOf(border) ?? [0, 0, 0, 0];
    return {
      padding: [
        [top, bottom],
        [left, right],
      ],
      data_format: 'channels_last',
    };
  },
  fromKeras(config) {
    config.require({ data_format: 'channels_last' });
    const padding = config.get('padding') ?? 1;
    const border = (Array.isArray(padding) ? padding.flat() : [padding]) as readonly unknown[];
    if (!border.every((zeros) => typeof zeros === 'number'))
      throw config.refuse('padding', 'is no list of numbers');
    return { type: 'ZeroPadding2d', border: [...border] };
  },
};
