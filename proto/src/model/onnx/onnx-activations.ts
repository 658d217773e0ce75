import { LEAKY_SLOPE, type Activation } from '../layers/fields.js';
import type { OnnxGraph, Value } from './onnx-graph.js';
import type { AttributeValue } from './onnx-messages.js';

type Attributes = Readonly<Record<string, AttributeValue>>;

/** Activations that are one operator. Constants of Selu: Klambauer et al., NeurIPS 2017. */
const OPERATORS: Readonly<Partial<Record<Activation, Attributes>>> = {
  Relu: {},
  Sigmoid: {},
  Tanh: {},
  Elu: {},
  Softplus: {},
  Selu: { alpha: { float: 1.6732632423543772 }, gamma: { float: 1.0507009873554805 } },
};

/** The operators of an activation. */
export function activate(graph: OnnxGraph, value: Value, activation: Activation, slope = LEAKY_SLOPE): Value {
  switch (activation) {
    case 'Linear':
      return value;
    case 'LeakyRelu':
      return graph.elementwise('LeakyRelu', value, { alpha: { float: slope } });
    case 'Softmax':
      return graph.elementwise('Softmax', graph.channelsLast(value), { axis: -1 });
    case 'Swish':
      return times(graph, value, graph.elementwise('Sigmoid', value));
    case 'Mish':
      return times(graph, value, graph.elementwise('Tanh', graph.elementwise('Softplus', value)));
    default:
      return graph.elementwise(activation, value, OPERATORS[activation]);
  }
}

const times = (graph: OnnxGraph, value: Value, factor: Value): Value => ({
  ...value,
  name: graph.node('Mul', [value.name, factor.name]),
});
