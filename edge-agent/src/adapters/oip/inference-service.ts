import { columnsOf, SOFTWARE_VERSION, TributaryError } from '@tributary/proto';

import { ENDPOINT_SOURCE, entriesOf } from '../../domain/serving/prediction-entries.js';
import type { Clock } from '../../ports.js';
import type {
  LoadedModel,
  ModelRef,
  PredictionLog,
  PredictionRequest,
  PredictionResult,
  Predictor,
} from '../../serving-ports.js';
import { predictionRequest } from './prediction-request.js';
import { label, type InferRequest, type InferResponse, type OutputTensor } from './tensors.js';

export interface ServiceParts {
  readonly predictor: Predictor;
  readonly log: PredictionLog;
  readonly clock: Pick<Clock, 'now'>;
  /** Told where predictions could not be logged; they are answered all the same. */
  readonly onLogFailure: (error: TributaryError) => void;
}

export interface TensorDescription {
  readonly name: string;
  readonly datatype: string;
  /** -1 is a size that the request chooses. */
  readonly shape: readonly number[];
}

export interface ModelDescription {
  readonly name: string;
  readonly versions: readonly string[];
  readonly platform: string;
  readonly inputs: readonly TensorDescription[];
  readonly outputs: readonly TensorDescription[];
}

export interface ServerDescription {
  readonly name: string;
  readonly version: string;
  readonly extensions: readonly string[];
}

/** The metadata of the server over REST lists `models`. */
const MODELS_EXTENSION = 'tributary_models';

const ANY = -1;

/** The Open Inference Protocol, version 2, apart from how its messages travel. */
export class InferenceService {
  readonly #parts: ServiceParts;

  constructor(parts: ServiceParts) {
    this.#parts = parts;
  }

  /** True where some model answers. */
  get ready(): boolean {
    return this.#parts.predictor.models().some(({ active }) => active);
  }

  server(): ServerDescription {
    return { name: 'tributary-agent', version: SOFTWARE_VERSION, extensions: [MODELS_EXTENSION] };
  }

  /** The versions that answer by the name of their model. */
  active(): readonly ModelRef[] {
    const models = this.#parts.predictor.models().filter(({ active }) => active);
    return models.map(({ name, version }) => ({ name, version }));
  }

  /** True where the model answers, by that version or by its active one. */
  modelReady(name: string, version?: string): boolean {
    return this.#find(name, version) !== undefined;
  }

  /** Throws NOT_FOUND. */
  model(name: string, version?: string): ModelDescription {
    const { manifest, outputs, task } = this.#require(name, version);
    const versions = this.#parts.predictor.models().filter((model) => model.name === name);
    return {
      name,
      versions: versions.map((model) => String(model.version)),
      platform: 'tributary_tfjs',
      inputs: columnTensors(manifest),
      outputs: [
        { name: 'scores', datatype: 'FP32', shape: [ANY, outputs.length] },
        ...(task === 'MultiClass' ? [{ name: 'label', datatype: 'BYTES', shape: [ANY] }] : []),
        { name: 'decision_id', datatype: 'BYTES', shape: [ANY] },
      ],
    };
  }

  /** Rejects as Predictor.predict does. */
  async infer(request: InferRequest): Promise<InferResponse> {
    // The version is settled here: its columns are those by which the tensors are read.
    const prediction = predictionRequest(this.#require(request.model, request.version), request);
    const result = await this.#parts.predictor.predict(prediction);
    const outputs = chosen(outputsOf(result), request.outputs);
    await this.#record(prediction, result);
    return {
      model: result.model,
      version: String(result.version),
      ...(request.id !== undefined && { id: request.id }),
      outputs,
      unreadableCells: result.issues.length,
    };
  }

  async #record(request: PredictionRequest, result: PredictionResult): Promise<void> {
    const { log, clock, onLogFailure } = this.#parts;
    try {
      await log.record(entriesOf(request, result, { atMs: clock.now(), source: ENDPOINT_SOURCE }));
    } catch (error) {
      onLogFailure(TributaryError.from(error));
    }
  }

  #find(name: string, version = ''): LoadedModel | undefined {
    const models = this.#parts.predictor.models().filter((model) => model.name === name);
    return models.find((model) => (version === '' ? model.active : String(model.version) === version));
  }

  #require(name: string, version?: string): LoadedModel {
    const found = this.#find(name, version);
    if (found !== undefined) return found;
    const which = version === undefined || version === '' ? '' : ` version ${label(version)}`;
    throw new TributaryError('NOT_FOUND', `model ${label(name)}${which} is not served here`);
  }
}

/** A tensor for each column, of the type that carries what its features read. */
function columnTensors({ features }: LoadedModel['manifest']): readonly TensorDescription[] {
  const described = new Map<string, TensorDescription>();
  for (const feature of features)
    for (const name of columnsOf(feature)) {
      const numeric = feature.type === 'Numeric' || feature.type === 'Ratio';
      if (feature.type === 'Sequence') described.set(name, { name, datatype: 'FP32', shape: [ANY, ANY] });
      else if (!numeric) described.set(name, { name, datatype: 'BYTES', shape: [ANY] });
      else if (!described.has(name)) described.set(name, { name, datatype: 'FP64', shape: [ANY] });
    }
  return [...described.values()];
}

function outputsOf({ scores, outputs, labels, decisionIds }: PredictionResult): readonly OutputTensor[] {
  const rows = decisionIds.length;
  return [
    { name: 'scores', datatype: 'FP32', shape: [rows, outputs.length], names: outputs, data: scores },
    ...(labels === undefined
      ? []
      : [{ name: 'label', datatype: 'BYTES', shape: [rows], data: labels } as const]),
    { name: 'decision_id', datatype: 'BYTES', shape: [rows], data: decisionIds },
  ];
}

function chosen(outputs: readonly OutputTensor[], names: readonly string[]): readonly OutputTensor[] {
  if (names.length === 0) return outputs;
  return names.map((name) => {
    const found = outputs.find((output) => output.name === name);
    if (found !== undefined) return found;
    throw new TributaryError('INVALID_ARGUMENT', `outputs: the model has no output ${label(name)}`);
  });
}
