import { bytes, float, integer, message, text, type Message } from './protobuf-writer.js';

/*
 * The few messages of ONNX that a network needs, written anew from the specification: field numbers are those of
 * onnx.proto of ONNX 1.13 (IR version 8, operator set 18; https://github.com/onnx/onnx, Apache-2.0).
 */
export const IR_VERSION = 8;
export const OPSET = 18;

const DATA_TYPE = { float32: 1, int64: 7 } as const;
const ATTRIBUTE_TYPE = { float: 1, integer: 2, text: 3, integers: 7 } as const;

/** Attributes of an operator: texts, lists of integers, integers by name, and floats marked as such. */
export type AttributeValue = string | number | readonly number[] | { readonly float: number };

/** NodeProto. */
export function nodeMessage(
  type: string,
  inputs: readonly string[],
  output: string,
  attributes: Readonly<Record<string, AttributeValue>>,
): readonly Message[] {
  return [
    ...inputs.map((input) => text(1, input)),
    text(2, output),
    text(3, output),
    text(4, type),
    ...Object.entries(attributes).map(([name, value]) => message(5, attribute(name, value))),
  ];
}

/** AttributeProto. */
function attribute(name: string, value: AttributeValue): readonly Message[] {
  if (typeof value === 'string') return [text(1, name), text(4, value), integer(20, ATTRIBUTE_TYPE.text)];
  if (typeof value === 'number')
    return [text(1, name), integer(3, value), integer(20, ATTRIBUTE_TYPE.integer)];
  if ('float' in value) return [text(1, name), float(2, value.float), integer(20, ATTRIBUTE_TYPE.float)];
  return [text(1, name), ...value.map((item) => integer(8, item)), integer(20, ATTRIBUTE_TYPE.integers)];
}

/** TensorProto with its elements as little-endian bytes. */
export function tensorMessage(
  name: string,
  type: keyof typeof DATA_TYPE,
  shape: readonly number[],
  elements: Uint8Array,
): readonly Message[] {
  return [
    ...shape.map((size) => integer(1, size)),
    integer(2, DATA_TYPE[type]),
    text(8, name),
    bytes(9, elements),
  ];
}

/** ValueInfoProto of a float32 tensor; a text is the name of a size that may vary. */
export function valueMessage(name: string, shape: readonly (number | string)[]): readonly Message[] {
  const sizes = shape.map((size) =>
    message(1, [typeof size === 'string' ? text(2, size) : integer(1, size)]),
  );
  const tensorType = [integer(1, DATA_TYPE.float32), message(2, sizes)];
  return [text(1, name), message(2, [message(1, tensorType)])];
}

export interface GraphParts {
  readonly name: string;
  readonly nodes: readonly (readonly Message[])[];
  readonly tensors: readonly (readonly Message[])[];
  readonly input: readonly Message[];
  readonly output: readonly Message[];
}

/** ModelProto; its chunks one behind the other are the file. `metadata` is for people and tools. */
export function modelMessage(
  graph: GraphParts,
  producerVersion: string,
  metadata: Readonly<Record<string, string>>,
): Message {
  const graphFields = [
    ...graph.nodes.map((node) => message(1, node)),
    text(2, graph.name),
    ...graph.tensors.map((tensor) => message(5, tensor)),
    message(11, graph.input),
    message(12, graph.output),
  ];
  return [
    integer(1, IR_VERSION),
    text(2, 'Tributary'),
    text(3, producerVersion),
    message(7, graphFields),
    message(8, [text(1, ''), integer(2, OPSET)]),
    ...Object.entries(metadata).map(([key, value]) => message(14, [text(1, key), text(2, value)])),
  ].flat();
}
