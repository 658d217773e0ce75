import { WorkerPredictor } from '@tributary/edge-agent/internal/adapters/inference/worker-predictor.js';
import { InferenceService } from '@tributary/edge-agent/internal/adapters/oip/inference-service.js';
import type { RestOptions } from '@tributary/edge-agent/internal/adapters/oip/rest-server.js';
import type { PredictionEntry, Predictor } from '@tributary/edge-agent/internal/serving-ports.js';
import { TributaryError, type Row } from '@tributary/proto';

import { loadOf, registeredModel } from './served-model.js';
import { trainingSpec } from './training-job.js';

/** Rows for the model `trial`. */
export const TRIAL_ROWS: readonly Row[] = [
  { x1: 0.5, x2: 1, c: 'red' },
  { x1: -1, x2: 3, c: null },
];

const classes = trainingSpec({
  task: { type: 'MultiClass', classes: ['low', 'middle', 'high'] },
  features: [{ name: 'pulse', type: 'Sequence', length: 6, center: 80, scale: 20 }],
  model: {
    name: 'waves',
    layers: [
      { type: 'Conv1d', filters: 4, kernelSize: [3], padding: 'Same', activation: 'Relu' },
      { type: 'GlobalAveragePooling1d' },
      { type: 'Dense', units: 3, activation: 'Softmax' },
    ],
    seed: 5,
  },
  evaluation: { metrics: ['accuracy'] },
});

/** The models `trial` (versions 1, which is active, and 2) and `waves`, for a server of either kind. */
export interface ServedEndpoint {
  readonly predictor: Predictor;
  readonly options: RestOptions;
  readonly logged: PredictionEntry[];
  readonly logFailures: TributaryError[];
  readonly unexpected: unknown[];
  failLog(fails: boolean): void;
  close(): Promise<void>;
}

export async function servedEndpoint(): Promise<ServedEndpoint> {
  const predictor = new WorkerPredictor();
  await predictor.load(loadOf(registeredModel()));
  await predictor.load(loadOf(registeredModel({ version: 2 })));
  predictor.activate({ name: 'trial', version: 1 });
  await predictor.load(loadOf(registeredModel({ name: 'waves', spec: classes })));
  predictor.activate({ name: 'waves', version: 1 });
  const logged: PredictionEntry[] = [];
  const logFailures: TributaryError[] = [];
  const unexpected: unknown[] = [];
  let fails = false;
  const service = new InferenceService({
    predictor,
    clock: { now: () => 1_000 },
    log: {
      record: (entries) => {
        if (fails) return Promise.reject(new TributaryError('STORE_FULL', 'the disk is full'));
        logged.push(...entries);
        return Promise.resolve();
      },
      close: () => Promise.resolve(),
    },
    onLogFailure: (error) => {
      logFailures.push(error);
    },
  });
  const onUnexpected = (error: unknown): void => {
    unexpected.push(error);
  };
  return {
    predictor,
    options: { service, onUnexpected },
    logged,
    logFailures,
    unexpected,
    failLog: (value) => {
      fails = value;
    },
    close: () => predictor.close(),
  };
}
