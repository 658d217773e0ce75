import { z } from 'zod';

import { canonicalize, type JsonValue } from '../canonical-json.js';
import { TributaryError } from '../errors/tributary-error.js';
import type { Digest } from '../ids.js';
import { LIMITS } from '../limits.js';
import { digestOf } from '../signing/hash.js';

/** One tensor inside the flat vector of a model. */
export type LayoutTensor = {
  /** Unique in the layout, such as "dense_0/kernel". */
  readonly name: string;
  /** Row-major; [] is a scalar. */
  readonly shape: readonly number[];
  readonly dtype: 'float32';
  /** Index of the tensor's first element in the vector. */
  readonly offset: number;
};

/** How the tensors of a model lie in one flat float32 vector: in order, without gaps. */
export type Layout = {
  readonly tensors: readonly LayoutTensor[];
  /** Elements of the vector: the parameters of the model. */
  readonly length: number;
};

/** Of vectors that change no parameter. Nothing from outside has this layout: a model has tensors. */
export const EMPTY_LAYOUT: Layout = Object.freeze({ tensors: [], length: 0 });

const TENSOR_NAME = /^[A-Za-z0-9_][A-Za-z0-9_./-]{0,126}$/;
const MOST_DIMENSIONS = 8;

const count = z.int().nonnegative().max(LIMITS.modelParameters);
const layoutSchema = z.strictObject({
  tensors: z
    .array(
      z.strictObject({
        name: z.string().regex(TENSOR_NAME),
        shape: z.array(count.min(1)).max(MOST_DIMENSIONS),
        dtype: z.literal('float32'),
        offset: count,
      }),
    )
    .min(1)
    .max(LIMITS.layoutTensors),
  length: count.min(1),
});

/** Elements of a tensor. */
export function tensorSize(shape: readonly number[]): number {
  return shape.reduce((size, dimension) => size * dimension, 1);
}

/** The layout of tensors in the given order. Throws as {@link parseLayout} does. */
export function buildLayout(tensors: readonly Pick<LayoutTensor, 'name' | 'shape'>[]): Layout {
  let offset = 0;
  const placed = tensors.map(({ name, shape }) => {
    const tensor = { name, shape: [...shape], dtype: 'float32' as const, offset };
    offset += tensorSize(shape);
    return tensor;
  });
  return parseLayout({ tensors: placed, length: offset });
}

/**
 * Checks a layout from outside. Throws LIMIT_EXCEEDED where it is too large for this build, INVALID_ARGUMENT, naming
 * the field, where it is malformed, has gaps or overlaps, or names a tensor twice.
 */
export function parseLayout(value: JsonValue): Layout {
  const parsed = layoutSchema.safeParse(value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const field = ['layout', ...(issue?.path ?? [])].map(String).join('.');
    const code = issue?.code === 'too_big' ? 'LIMIT_EXCEEDED' : 'INVALID_ARGUMENT';
    throw new TributaryError(code, `${field}: ${issue?.message ?? 'malformed'}`, { fields: { field } });
  }
  const { tensors, length } = parsed.data;
  const names = new Set<string>();
  let offset = 0;
  for (const [index, tensor] of tensors.entries()) {
    if (tensor.offset !== offset)
      throw invalid(
        `tensors.${String(index)}.offset`,
        `tensors lie in order without gaps: ${String(offset)} is expected`,
      );
    if (names.has(tensor.name)) throw invalid(`tensors.${String(index)}.name`, 'named twice');
    names.add(tensor.name);
    offset += tensorSize(tensor.shape);
  }
  if (offset !== length) throw invalid('length', `the tensors have ${String(offset)} elements`);
  return parsed.data;
}

/** Digest of the canonical JSON of a layout: two models fit together where their layouts have the same digest. */
export function layoutDigest(layout: Layout): Digest {
  const tensors = layout.tensors.map(({ name, shape, dtype, offset }) => ({ name, shape, dtype, offset }));
  return digestOf(canonicalize({ tensors, length: layout.length }));
}

/** The elements of one tensor: a view into `vector`, which has `layout.length` elements or more. */
export function tensorView(vector: Float32Array, tensor: LayoutTensor): Float32Array {
  return vector.subarray(tensor.offset, tensor.offset + tensorSize(tensor.shape));
}

function invalid(field: string, problem: string): TributaryError {
  return new TributaryError('INVALID_ARGUMENT', `layout.${field}: ${problem}`, {
    fields: { field: `layout.${field}` },
  });
}
