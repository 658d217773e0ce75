import { float32ToBytes } from '../../parameters/float32-bytes.js';
import type { Shape } from '../shape.js';
import { nodeMessage, tensorMessage, type AttributeValue } from './onnx-messages.js';
import type { Message } from './protobuf-writer.js';

/** A tensor between two operators. */
export interface Value {
  readonly name: string;
  /** Of one row, channels last, however it lies. */
  readonly shape: Shape;
  /** Whether the channels are the first axis after that of the rows, as the operators of ONNX want them. */
  readonly channelsFirst: boolean;
}

/** Collects the operators and constants of a graph. */
export class OnnxGraph {
  readonly nodes: (readonly Message[])[] = [];
  readonly tensors: (readonly Message[])[] = [];

  /** Adds an operator and returns the name of its output; `wanted` gives it a name of choice. */
  node(
    type: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, AttributeValue>> = {},
    wanted?: string,
  ): string {
    const output = wanted ?? `${type.toLowerCase()}_${String(this.nodes.length)}`;
    this.nodes.push(nodeMessage(type, inputs, output, attributes));
    return output;
  }

  /** An operator on values alone: shape and order of the axes stay. */
  elementwise(type: string, value: Value, attributes: Readonly<Record<string, AttributeValue>> = {}): Value {
    return { ...value, name: this.node(type, [value.name], attributes) };
  }

  /** Adds a constant of float32 and returns its name. */
  constant(elements: Float32Array, shape: Shape): string {
    const name = `constant_${String(this.tensors.length)}`;
    this.tensors.push(tensorMessage(name, 'float32', shape, float32ToBytes(elements)));
    return name;
  }

  /** Adds a list of integers and returns its name. */
  integers(values: readonly number[]): string {
    const name = `constant_${String(this.tensors.length)}`;
    const elements = new DataView(new ArrayBuffer(8 * values.length));
    for (const [index, value] of values.entries()) elements.setBigInt64(8 * index, BigInt(value), true);
    this.tensors.push(tensorMessage(name, 'int64', [values.length], new Uint8Array(elements.buffer)));
    return name;
  }

  /** The value with its channels in the first place. */
  channelsFirst(value: Value): Value {
    const axes = value.shape.length;
    if (value.channelsFirst || axes < 2) return value;
    const order = [0, axes, ...Array.from({ length: axes - 1 }, (_, axis) => axis + 1)];
    return { ...value, name: this.node('Transpose', [value.name], { perm: order }), channelsFirst: true };
  }

  /** The value with its channels in the last place. */
  channelsLast(value: Value): Value {
    const axes = value.shape.length;
    if (!value.channelsFirst) return value;
    const order = [0, ...Array.from({ length: axes - 1 }, (_, axis) => axis + 2), 1];
    return { ...value, name: this.node('Transpose', [value.name], { perm: order }), channelsFirst: false };
  }

  /** The elements of each row, channels last, in another shape. */
  reshape(value: Value, shape: Shape): Value {
    const sizes = this.integers([-1, ...shape]);
    const { name } = this.channelsLast(value);
    return { name: this.node('Reshape', [name, sizes]), shape, channelsFirst: false };
  }
}

/** The elements of a row-major tensor with its axes in another order: axis i of the result is axis order[i] before. */
export function permuted(values: Float32Array, shape: Shape, order: readonly number[]): Float32Array {
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((product, size) => product * size, 1));
  const sizes = order.map((axis) => shape[axis] ?? 1);
  const steps = order.map((axis) => strides[axis] ?? 1);
  const result = new Float32Array(values.length);
  const place = sizes.map(() => 0);
  let from = 0;
  for (let index = 0; index < result.length; index += 1) {
    result[index] = values[from] ?? 0;
    for (let axis = sizes.length - 1; axis >= 0; axis -= 1) {
      place[axis] = (place[axis] ?? 0) + 1;
      from += steps[axis] ?? 0;
      if ((place[axis] ?? 0) < (sizes[axis] ?? 1)) break;
      from -= (steps[axis] ?? 0) * (sizes[axis] ?? 1);
      place[axis] = 0;
    }
  }
  return result;
}
