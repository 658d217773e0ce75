import type { JsonObject } from '../../canonical-json.js';
import type { Problem } from '../../documents/problem.js';
import type { KerasConfig } from '../keras-config.js';
import type { Shape } from '../shape.js';

/** How a tensor begins; see initial.ts. */
export type Initial = 'Zeros' | 'Ones' | 'GlorotUniform' | 'SmallUniform' | 'Orthogonal' | 'ForgetGate';

/** One tensor of a layer, in the order in which TensorFlow.js lists those of its kind. */
export interface LayerTensor {
  /** Within the layer, as TensorFlow.js names it: "kernel", "moving_mean", "forward_lstm/bias". */
  readonly name: string;
  readonly shape: Shape;
  readonly initial: Initial;
  /** False for statistics that a forward pass updates, and no gradient. They travel in the update like the rest. */
  readonly trainable: boolean;
  /** Whether training.l2 counts its squares: kernels, not biases, scales or statistics. */
  readonly decayed: boolean;
}

/** A layer as Keras describes it; `config` is without the name. */
export interface KerasLayer {
  readonly className: string;
  readonly config: JsonObject;
}

/** Everything that the contract says of one type of layer `S`. Pure. */
export interface LayerKind<S> {
  /** Class of the layer in Keras. */
  readonly className: string;
  /** Shape of the output for a row of this shape, or why there is none; the problem's path begins in the layer. */
  readonly output: (spec: S, input: Shape) => Shape | Problem;
  /** Its tensors on an input for which `output` gives a shape. */
  readonly tensors: (spec: S, input: Shape) => readonly LayerTensor[];
  /** Its configuration in Keras, without the name. */
  readonly toKeras: (spec: S) => JsonObject;
  /** The layer that a Keras configuration describes; throws DOCUMENT_UNSUPPORTED for what `S` cannot say. */
  readonly fromKeras: (config: KerasConfig, input: Shape) => S;
}

export const NO_TENSORS = (): readonly LayerTensor[] => [];

export const isProblem = (result: Shape | Problem): result is Problem => 'what' in result;

export function kernel(name: string, shape: Shape): LayerTensor {
  return { name, shape, initial: 'GlorotUniform', trainable: true, decayed: true };
}

export function bias(size: number, initial: Initial = 'Zeros'): LayerTensor {
  return { name: 'bias', shape: [size], initial, trainable: true, decayed: false };
}

/** The bias of a layer whose `bias` field is not false. */
export function optionalBias(wanted: boolean | undefined, size: number): readonly LayerTensor[] {
  return wanted === false ? [] : [bias(size)];
}
