import assert from 'node:assert/strict';

import {
  kerasLayers,
  kerasModel,
  layersFromKeras,
  modelFileOf,
  parseFederatedJob,
  TributaryError,
  withModelLayers,
  type JsonObject,
  type JsonValue,
  type LayerSpec,
} from '@tributary/proto';
import { input, layers as tf, model as functional, sequential } from '@tensorflow/tfjs-layers';
import '@tensorflow/tfjs-backend-cpu';
import { ready, setBackend } from '@tensorflow/tfjs-core';

import fc from 'fast-check';

import { jobDocument } from '../../support/job-document.js';
import { LAYER_CASES } from '../../support/layer-cases.js';
import { refusal } from '../../support/refusal.js';

/** What Keras is told of a network, without the names of its layers. */
function described(layers: readonly LayerSpec[], shape: readonly number[]): unknown {
  return kerasLayers(layers, shape).map(({ className, config }) => {
    const { name: _, ...rest } = config;
    return { className, config: rest };
  });
}

/** model.json as Keras 2 writes it for a Sequential. */
const keras2 = (...layers: readonly JsonObject[]): JsonObject => ({
  modelTopology: {
    keras_version: '2.15.0',
    model_config: { class_name: 'Sequential', config: { name: 's', layers } },
  },
});
const layer = (className: string, config: JsonObject): JsonObject => ({ class_name: className, config });
const firstDense = layer('Dense', { name: 'd', batch_input_shape: [null, 4], units: 2, activation: 'relu' });

const CLASSES = [
  ...LAYER_CASES.flatMap(({ layers, input: shape }) =>
    kerasLayers(layers, shape).map(({ className }) => className),
  ),
  'InputLayer',
  'ReLU',
  'Softmax',
];
const MEMBERS = [
  'units', 'filters', 'kernel_size', 'strides', 'padding', 'pool_size', 'target_shape', 'rate', 'alpha', 'size', 'axis',
  'input_dim', 'output_dim', 'activation', 'use_bias', 'layer', 'batch_input_shape', 'shared_axes', 'name', 'momentum',
]; // prettier-ignore

describe('layersFromKeras', () => {
  before(async () => {
    await setBackend('cpu');
    await ready();
  });

  for (const { name, input: shape, layers } of LAYER_CASES)
    it(`reads what kerasModel writes: ${name}`, () => {
      const read = layersFromKeras(kerasModel(layers, shape, 'weights.bin'), shape);
      assert.deepEqual(described(read, shape), described(layers, shape));
    });

  it('reads a Sequential as TensorFlow.js saves it', () => {
    const made = sequential();
    made.add(
      tf.conv1d({ filters: 4, kernelSize: 3, padding: 'same', activation: 'relu', inputShape: [16, 2] }),
    );
    made.add(tf.batchNormalization());
    made.add(tf.maxPooling1d({ poolSize: 2 }));
    made.add(tf.leakyReLU({ alpha: 0.1 }));
    made.add(tf.flatten());
    made.add(tf.dropout({ rate: 0.3 }));
    made.add(tf.dense({ units: 3 }));
    made.add(tf.activation({ activation: 'softmax' }));
    const read = layersFromKeras({ modelTopology: saved(made) }, [16, 2]);
    assert.deepEqual(read, [
      { type: 'Conv1d', filters: 4, kernelSize: [3], strides: [1], padding: 'Same', activation: 'Relu' },
      { type: 'BatchNormalization', momentum: 0.99, epsilon: 0.001 },
      { type: 'MaxPooling1d', poolSize: [2], strides: [2], padding: 'Valid' },
      { type: 'Activation', activation: 'LeakyRelu', slope: 0.1 },
      { type: 'Flatten' },
      { type: 'Dropout', rate: 0.3 },
      { type: 'Dense', units: 3, activation: 'Softmax' },
    ]);
    made.dispose();
  });

  it('reads a Functional model that is one chain, and puts a Reshape before another input shape', () => {
    const start = input({ shape: [4, 3] });
    const end = tf
      .dense({ units: 1, activation: 'sigmoid' })
      .apply(tf.gru({ units: 5, recurrentInitializer: 'zeros' }).apply(start));
    const made = functional({ inputs: start, outputs: end as typeof start });
    assert.deepEqual(layersFromKeras({ modelTopology: saved(made) }, [12]), [
      { type: 'Reshape', targetShape: [4, 3] },
      { type: 'Gru', units: 5, returnSequences: false, recurrentActivation: 'HardSigmoid' },
      { type: 'Dense', units: 1, activation: 'Sigmoid' },
    ]);
    made.dispose();
  });

  it('reads Keras 3: batch_shape, dtype policies, and inputs by keras_history', () => {
    const tensor = (name: string): JsonObject => ({
      class_name: '__keras_tensor__',
      config: { shape: [null, 4], dtype: 'float32', keras_history: [name, 0, 0] },
    });
    const policy = { module: 'keras', class_name: 'DTypePolicy', config: { name: 'float32' } };
    const model: JsonObject = {
      class_name: 'Functional',
      config: {
        name: 'f',
        layers: [
          {
            name: 'out',
            class_name: 'Dense',
            config: { name: 'out', dtype: policy, units: 1, activation: 'linear' },
            inbound_nodes: [{ args: [tensor('hidden')], kwargs: {} }],
          },
          {
            name: 'in',
            class_name: 'InputLayer',
            config: { name: 'in', batch_shape: [null, 4] },
            inbound_nodes: [],
          },
          {
            name: 'hidden',
            class_name: 'Dense',
            config: { name: 'hidden', units: 2, activation: 'silu', use_bias: false },
            inbound_nodes: [{ args: [tensor('in')], kwargs: {} }],
          },
        ],
      },
    };
    assert.deepEqual(layersFromKeras(model, [4]), [
      { type: 'Dense', units: 2, activation: 'Swish', bias: false },
      { type: 'Dense', units: 1, activation: 'Linear' },
    ]);
  });

  const REFUSED: readonly [string, JsonValue, RegExp][] = [
    [
      'a layer of another kind',
      keras2(layer('MultiHeadAttention', { name: 'a' })),
      /layer 0 "a"\.class_name: the layer "MultiHeadAttention" is not served/,
    ],
    [
      'a regularizer',
      keras2(layer('Dense', { name: 'd', units: 1, kernel_regularizer: { class_name: 'L2' } })),
      /layer 0 "d"\.kernel_regularizer: is not served/,
    ],
    [
      'a frozen layer',
      keras2(layer('Dense', { name: 'd', units: 1, trainable: false })),
      /trainable: only true is served/,
    ],
    [
      'an activation',
      keras2(layer('Dense', { name: 'd', units: 1, activation: 'gelu' })),
      /activation: "gelu" is not served/,
    ],
    [
      'channels first',
      keras2(layer('Conv2D', { name: 'c', filters: 1, kernel_size: 2, data_format: 'channels_first' })),
      /data_format: only "channels_last" is served/,
    ],
    [
      'dilation',
      keras2(layer('Conv2D', { name: 'c', filters: 1, kernel_size: 2, dilation_rate: [2, 2] })),
      /dilation_rate: only 1 is served/,
    ],
    [
      'a GRU of cuDNN',
      keras2(layer('GRU', { name: 'g', units: 2, reset_after: true })),
      /reset_after: only false is served/,
    ],
    [
      'a word of two meanings',
      keras2({
        module: 'keras.layers',
        ...layer('LSTM', { name: 'l', units: 2, recurrent_activation: 'hard_sigmoid' }),
      }),
      /recurrent_activation: hard_sigmoid means different functions/,
    ],
    [
      'dropout inside a recurrent layer',
      keras2(layer('LSTM', { name: 'l', units: 2, recurrent_dropout: 0.1 })),
      /recurrent_dropout: only 0 is served/,
    ],
    ['a graph model', { format: 'graph-model', modelTopology: {} }, /graph-model/],
    ['a branch', branching(), /branch after layer 1 "b"/],
  ];
  for (const [what, model, expected] of REFUSED)
    it(`refuses ${what} by name`, () => {
      assert.throws(() => layersFromKeras(model, [4]), refusal('DOCUMENT_UNSUPPORTED', expected));
    });

  it('throws nothing but typed errors, whatever the file says', () => {
    const number = fc.oneof(fc.integer({ min: -2, max: 9 }), fc.double());
    const member = fc.oneof(
      number,
      fc.array(number, { maxLength: 4 }),
      fc.boolean(),
      fc.jsonValue({ maxDepth: 3 }),
    );
    const config = fc.dictionary(fc.constantFrom(...MEMBERS), member);
    const entry = fc.record({
      class_name: fc.oneof(fc.constantFrom(...CLASSES), fc.jsonValue()),
      config: fc.oneof({ weight: 9, arbitrary: config }, fc.jsonValue()),
    });
    const model = fc.record({
      class_name: fc.constantFrom('Sequential', 'Functional', 'Other'),
      config: fc.oneof(fc.record({ layers: fc.array(entry, { maxLength: 4 }) }), fc.jsonValue()),
    });
    fc.assert(
      fc.property(fc.oneof({ weight: 9, arbitrary: model }, fc.jsonValue()), (value) => {
        try {
          layersFromKeras(JSON.parse(JSON.stringify(value)) as JsonValue, [4]);
        } catch (error) {
          assert.ok(error instanceof TributaryError && error.code !== 'INTERNAL', String(error));
        }
      }),
      { numRuns: 3_000 },
    );
  });

  it('refuses a file nested without end', () => {
    const text = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
    const deep = keras2(layer('Dense', { name: 'd', units: 1, activation: JSON.parse(text) as JsonValue }));
    assert.throws(() => layersFromKeras(deep, [4]), refusal('LIMIT_EXCEEDED', /./));
  });

  it('says what is wrong with a file that is no model, or does not fit', () => {
    const invalid = (model: JsonValue, expected: RegExp): void => {
      assert.throws(() => layersFromKeras(model, [4]), refusal('DOCUMENT_INVALID', expected));
    };
    invalid(7, /no object/);
    invalid({}, /no class_name/);
    invalid(keras2(), /lists no layers/);
    invalid(keras2(layer('Dense', { name: 'd', units: 0 })), /layer 0 "d": units/);
    invalid(
      keras2(firstDense, layer('Conv2D', { name: 'c', filters: 1, kernel_size: 2 })),
      /layer 1 "c": Conv2d takes \[rows/,
    );
    invalid(
      keras2(layer('Dense', { name: 'd', units: 1, batch_input_shape: [null, 5] })),
      /rows of shape \[5\], the features of the job give \[4\]/,
    );
  });
});

describe('model file of a job', () => {
  const withFile = (extra: Readonly<Record<string, unknown>> = {}): unknown => {
    const document = jobDocument();
    const { layers: _, ...model } = document.spec.model;
    return { ...document, spec: { ...document.spec, model: { ...model, file: 'model.json', ...extra } } };
  };

  it('becomes layers of a document that parses', () => {
    const { spec } = parseFederatedJob(jobDocument());
    const last = layer('Dense', { name: 'o', units: 1, activation: 'sigmoid' });
    const hidden = layer('Dense', { name: 'h', units: 3, activation: 'tanh' });
    const document = withFile();
    assert.equal(modelFileOf(document), 'model.json');
    const parsed = parseFederatedJob(withModelLayers(document, JSON.stringify(keras2(hidden, last))));
    assert.deepEqual(parsed.spec.model, {
      name: spec.model.name,
      seed: spec.model.seed,
      layers: [
        { type: 'Dense', units: 3, activation: 'Tanh' },
        { type: 'Dense', units: 1, activation: 'Sigmoid' },
      ],
    });
  });

  it('is undefined for other documents, and refused beside layers', () => {
    assert.equal(modelFileOf(jobDocument()), undefined);
    assert.equal(modelFileOf(undefined), undefined);
    assert.throws(
      () => modelFileOf(withFile({ layers: [] })),
      refusal('DOCUMENT_INVALID', /spec\.model\.file: stands in the place of layers/),
    );
  });

  it('never gets into a signed document unresolved', () => {
    assert.throws(
      () => parseFederatedJob(withFile()),
      refusal('DOCUMENT_INVALID', /spec\.model\.file: unknown field/),
    );
  });
});

/** What `model.save` writes as modelTopology. */
function saved(model: { toJSON(unused: unknown, asString: boolean): unknown }): JsonValue {
  return JSON.parse(JSON.stringify(model.toJSON(null, false))) as JsonValue;
}

function branching(): JsonObject {
  const node = (name: string, ...inputs: readonly string[]): JsonObject => ({
    name,
    class_name: inputs.length === 0 ? 'InputLayer' : 'Dense',
    config: { name, ...(inputs.length === 0 ? { batch_input_shape: [null, 4] } : { units: 2 }) },
    inbound_nodes: inputs.length === 0 ? [] : [inputs.map((from) => [from, 0, 0, {}])],
  });
  return {
    class_name: 'Model',
    config: { layers: [node('a'), node('b', 'a'), node('c', 'b'), node('d', 'b')] },
  };
}
