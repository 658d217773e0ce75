import { isJsonObject, type JsonObject, type JsonValue } from '../canonical-json.js';
import { quote } from '../documents/problem.js';
import { TributaryError } from '../errors/tributary-error.js';
import { LEAKY_SLOPE, type Activation } from './layers/fields.js';

/** Names of activations in Keras. LeakyRelu has none: it is a layer of its own there. */
export const KERAS_ACTIVATIONS: Readonly<Record<Exclude<Activation, 'LeakyRelu'>, string>> = {
  Linear: 'linear',
  Relu: 'relu',
  Sigmoid: 'sigmoid',
  Tanh: 'tanh',
  Softmax: 'softmax',
  Elu: 'elu',
  Selu: 'selu',
  Softplus: 'softplus',
  Swish: 'swish',
  Mish: 'mish',
};

/** The name of an activation in Keras; LeakyRelu becomes 'linear', and a layer after it. */
export function kerasActivation(activation: Activation): string {
  return activation === 'LeakyRelu' ? KERAS_ACTIVATIONS.Linear : KERAS_ACTIVATIONS[activation];
}

/**
 * Reads the configuration of one Keras layer member by member. What Tributary's layers cannot say is refused by name
 * (DOCUMENT_UNSUPPORTED), and never dropped, because the model would be another.
 */
export class KerasConfig {
  readonly #where: string;
  readonly #config: JsonObject;

  constructor(where: string, config: JsonObject) {
    this.#where = where;
    this.#config = config;
  }

  /** A member by its snake_case or, as some writers leave it, camelCase name; null counts as absent. */
  get(name: string): JsonValue | undefined {
    const camel = name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
    const value = Object.hasOwn(this.#config, name) ? this.#config[name] : this.#config[camel];
    return value ?? undefined;
  }

  number(name: string, otherwise?: number): number {
    const value = this.get(name) ?? otherwise;
    if (typeof value !== 'number') throw this.refuse(name, 'is no number');
    return value;
  }

  /** A number for every axis, or a list; undefined where absent. */
  sizes(name: string): number[] | undefined {
    const value = this.get(name);
    if (value === undefined) return undefined;
    const list = Array.isArray(value) ? (value as readonly JsonValue[]) : [value];
    if (!list.every((size) => typeof size === 'number')) throw this.refuse(name, 'is no list of numbers');
    return [...list] as number[];
  }

  flag(name: string, otherwise: boolean): boolean {
    const value = this.get(name) ?? otherwise;
    if (typeof value !== 'boolean') throw this.refuse(name, 'is neither true nor false');
    return value;
  }

  /** The key of `names` whose value is the member. */
  choice<K extends string>(name: string, names: Readonly<Record<K, string>>, otherwise: NoInfer<K>): K {
    const value = this.get(name);
    if (value === undefined) return otherwise;
    const text = typeof value === 'string' ? value : textOfClass(value);
    const found = (Object.keys(names) as K[]).find(
      (key) => names[key] === text || names[key] === snake(text),
    );
    if (found === undefined) throw this.refuse(name, `${quote(text)} is not served`);
    return found;
  }

  activation(name: string, otherwise: Activation = 'Linear'): Activation {
    const value = this.get(name);
    if (value === 'silu') return 'Swish';
    return this.choice(name, KERAS_ACTIVATIONS, otherwise === 'LeakyRelu' ? 'Linear' : otherwise);
  }

  object(name: string): JsonObject {
    const value = this.get(name);
    if (!isJsonObject(value)) throw this.refuse(name, 'is missing');
    return value;
  }

  /** Refuses members that have another value than the one that Tributary's layer means. */
  require(expected: Readonly<Record<string, JsonValue>>): void {
    for (const [name, value] of Object.entries(expected)) {
      const found = this.get(name);
      if (found === undefined || JSON.stringify(found) === JSON.stringify(value)) continue;
      if (typeof found === 'string' && snake(found) === value) continue;
      throw this.refuse(name, `only ${JSON.stringify(value)} is served`);
    }
  }

  /** Refuses another value than 1 for any axis. */
  requireOnes(name: string): void {
    if (this.sizes(name)?.some((size) => size !== 1) === true) throw this.refuse(name, 'only 1 is served');
  }

  /** Refuses members that are there at all: regularizers and constraints would be part of the training. */
  requireAbsent(...names: readonly string[]): void {
    for (const name of names) if (this.get(name) !== undefined) throw this.refuse(name, 'is not served');
  }

  refuse(name: string, what: string): TributaryError {
    return new TributaryError('DOCUMENT_UNSUPPORTED', `${this.#where}.${name}: ${what}`, {
      hint: 'Change the model, or write its layers into the job under spec.model.layers.',
      fields: { path: `${this.#where}.${name}` },
    });
  }
}

/** Slope of a LeakyReLU layer, by its name in Keras 2 and in Keras 3. */
export function leakySlope(config: KerasConfig): number {
  return config.number('negative_slope', config.number('alpha', LEAKY_SLOPE));
}

/** `hardSigmoid` as TensorFlow.js has it in memory is `hard_sigmoid` in a file. */
const snake = (text: string): string => text.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

const textOfClass = (value: JsonValue): string =>
  isJsonObject(value) && typeof value['class_name'] === 'string' ? value['class_name'] : typeof value;
