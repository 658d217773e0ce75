import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';

import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import { ready, setBackend } from '@tensorflow/tfjs-core';
import { initialWeights, layoutOf, type LayerSpec, type Shape } from '@tributary/proto';
import { quietLibrary, startBackend } from '@tributary/edge-agent/internal/adapters/training/backend.js';
import { Network } from '@tributary/edge-agent/internal/adapters/training/network.js';
import { TrainingStep } from '@tributary/edge-agent/internal/adapters/training/training-step.js';

import { trainingSpec } from '../support/training-job.js';
import { plainStep } from './plain-loops.js';
import { BATCH, TRAIN_MODELS, type TrainModelName } from './train-models.js';

/** What a worker of the benchmark measures; each has an instance of the library of its own. */
export interface TrainWork {
  readonly model: TrainModelName;
  readonly kind: 'wasm' | 'wasm as published' | 'cpu' | 'plain loops' | 'weights';
}

/** Asks for `steps` steps, or moves of the weights. */
export interface TrainRequest {
  readonly steps: number;
}

/** Milliseconds that they took, as many values as the kind of work has. */
export type TrainReply = readonly number[];

/** Of a square layer of 5,000: 25 million weights. */
const WIDE = 5_000;

/** Does `steps` steps and returns the milliseconds. */
type Measure = (steps: number) => TrainReply;

async function prepare({ kind, model }: TrainWork): Promise<Measure> {
  quietLibrary();
  switch (kind) {
    case 'plain loops':
      return timing(plainStep(TRAIN_MODELS[model].products));
    case 'weights':
      await startBackend('wasm');
      return weightMoves();
    case 'wasm as published':
      await startPublishedWasm();
      return timing(trainingStep(model));
    case 'wasm':
    case 'cpu':
      await startBackend(kind);
      return timing(trainingStep(model));
  }
}

/** The wasm backend as it is published, which the product never uses. */
async function startPublishedWasm(): Promise<void> {
  const { resolve } = createRequire(import.meta.url);
  setWasmPaths(join(dirname(resolve('@tensorflow/tfjs-backend-wasm')), '/'));
  await setBackend('wasm');
  await ready();
}

const timing =
  (step: () => void): Measure =>
  (steps) => {
    const start = performance.now();
    for (let done = 0; done < steps; done += 1) step();
    return [performance.now() - start];
  };

/** A step on one batch, as the agent does it. */
function trainingStep(name: TrainModelName): () => void {
  const { layers, input } = TRAIN_MODELS[name];
  const network = networkOf(layers, input);
  network.load(initialWeights(layers, input, 1));
  const { training } = trainingSpec();
  const step = new TrainingStep(network, {
    task: {
      type: 'MultiClass',
      classes: Array.from({ length: network.outputs }, (_, index) => String(index)),
    },
    training: { ...training, optimizer: { type: 'Sgd', learningRate: 0.01 } },
  });
  const rows = Float32Array.from({ length: BATCH * network.width }, (_, index) => Math.sin(index));
  const labels = Float32Array.from({ length: BATCH }, (_, row) => row % network.outputs);
  return () => {
    if (!Number.isFinite(step.run(rows, labels))) throw new Error(`training of ${name} diverged`);
  };
}

/** Into a network of 25 million weights, out of it, and the floor: one copy of as many bytes. */
function weightMoves(): Measure {
  const layers: readonly LayerSpec[] = [{ type: 'Dense', units: WIDE, activation: 'Linear' }];
  const network = networkOf(layers, [WIDE]);
  const weights = new Float32Array(WIDE * WIDE + WIDE).fill(0.5);
  const other = new Float32Array(weights.length).fill(0.25);
  return () => {
    const moves = [() => network.load(weights), () => network.read(other), () => other.set(weights)];
    return moves.map((move) => {
      const start = performance.now();
      move();
      return performance.now() - start;
    });
  };
}

function networkOf(layers: readonly LayerSpec[], input: Shape): Network {
  return new Network(layers, layoutOf(layers, input), input);
}

const measure = await prepare(workerData as TrainWork);
parentPort?.on('message', ({ steps }: TrainRequest) => parentPort?.postMessage(measure(steps)));
parentPort?.postMessage([]);
