import { canonicalText, isJsonObject, type JsonObject, type JsonValue } from '../canonical-json.js';
import { quote } from '../documents/problem.js';
import { TributaryError } from '../errors/tributary-error.js';

/** One layer of a model file. */
export interface ChainLayer {
  readonly className: string;
  readonly config: JsonObject;
  /** For messages: `layer 3 "conv"`. */
  readonly where: string;
  /** Whether the file names the module of the class, as late Keras 2 and Keras 3 do. */
  readonly modular: boolean;
}

interface Entry extends ChainLayer {
  readonly name: string;
  /** Names of the layers that it takes its input from; undefined in a Sequential. */
  readonly inputs: readonly string[] | undefined;
}

/** The layers of a Keras model in order. Throws DOCUMENT_INVALID, or DOCUMENT_UNSUPPORTED where they are no chain, LIMIT_EXCEEDED where they are nested too deep. */
export function layerChain(model: JsonValue): readonly ChainLayer[] {
  // Refuses nesting beyond LIMITS.jsonDepth, before anything here recurses.
  canonicalText(model);
  const { className, config } = topologyOf(model);
  const list = Array.isArray(config) ? config : isJsonObject(config) ? config['layers'] : undefined;
  if (!Array.isArray(list) || list.length === 0) throw invalid('it lists no layers');
  const entries = (list as readonly JsonValue[]).map(entryOf);
  if (className === 'Sequential') return entries;
  if (className === 'Functional' || className === 'Model') return inOrder(entries);
  throw unsupported(`a model of class ${quote(className)} is not served`);
}

/** model.json of TensorFlow.js has the model under modelTopology, that of Keras's HDF5 under model_config as well. */
function topologyOf(model: JsonValue): { className: string; config: JsonValue | undefined } {
  let value: JsonValue | undefined = model;
  for (const member of ['modelTopology', 'model_config'])
    if (isJsonObject(value) && value[member] !== undefined) value = value[member];
  if (!isJsonObject(value)) throw invalid('it is no object');
  const format = isJsonObject(model) ? model['format'] : undefined;
  if (format === 'graph-model')
    throw unsupported(
      'a graph-model has operations and no layers; convert the Keras model to a layers-model',
    );
  const { class_name: className, config } = value;
  if (typeof className !== 'string') throw invalid('it has no class_name');
  return { className, config };
}

function entryOf(value: JsonValue, index: number): Entry {
  if (!isJsonObject(value)) throw invalid(`layer ${String(index)} is no object`);
  const { class_name: className, config, name, inbound_nodes: nodes } = value;
  if (typeof className !== 'string' || !isJsonObject(config))
    throw invalid(`layer ${String(index)} has no class_name and config`);
  const given = name ?? config['name'];
  const label = typeof given === 'string' ? given : '';
  const where = `layer ${String(index)} ${quote(label || className)}`;
  return {
    className,
    config,
    name: label,
    where,
    modular: Object.hasOwn(value, 'module'),
    inputs: Array.isArray(nodes) ? sources(nodes, where) : undefined,
  };
}

/** Names of the layers before this one: [[["name", 0, 0, {}]]] in Keras 2, keras_history of tensors in Keras 3. */
function sources(nodes: readonly JsonValue[], where: string): readonly string[] {
  if (nodes.length > 1) throw unsupported(`${where} is used ${String(nodes.length)} times`);
  const names: string[] = [];
  const visit = (value: JsonValue | undefined): void => {
    if (Array.isArray(value)) {
      const [name, node] = value as readonly JsonValue[];
      if (typeof name === 'string' && typeof node === 'number') names.push(name);
      else for (const item of value as readonly JsonValue[]) visit(item);
    } else if (isJsonObject(value)) for (const item of Object.values(value)) visit(item);
  };
  visit(nodes[0]);
  return names;
}

/** A Functional model that is one chain from one input, whatever order its file has. */
function inOrder(entries: readonly Entry[]): readonly Entry[] {
  const starts = entries.filter(({ inputs }) => inputs === undefined || inputs.length === 0);
  const [start] = starts;
  if (start === undefined || starts.length > 1)
    throw unsupported('a model with several inputs is not served');
  const chain = [start];
  for (;;) {
    const current = chain.at(-1) ?? start;
    const next = entries.filter(({ inputs }) => inputs?.includes(current.name) === true);
    const [only] = next;
    if (only === undefined) break;
    if (next.length > 1 || (only.inputs?.length ?? 0) > 1)
      throw unsupported(`the layers branch after ${current.where}; only a single chain is served`);
    chain.push(only);
    if (chain.length > entries.length) throw invalid('its layers go round in a circle');
  }
  if (chain.length < entries.length) throw unsupported('its layers are not a single chain');
  return chain;
}

const invalid = (what: string): TributaryError =>
  new TributaryError('DOCUMENT_INVALID', `the model file cannot be read: ${what}`, {
    hint: 'Save a layers model with TensorFlow.js or tensorflowjs_converter, or model.to_json() of Keras.',
  });

const unsupported = (what: string): TributaryError =>
  new TributaryError('DOCUMENT_UNSUPPORTED', `the model file: ${what}`, {
    hint: 'Write a single chain of layers, or list them in the job under spec.model.layers.',
  });
