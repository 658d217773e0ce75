import { tidy } from '@tensorflow/tfjs-core';
import type { FederatedJobSpec, Layout } from '@tributary/proto';

import { backendLabel, BACKENDS, startBackend, type BackendName } from './backend.js';
import { DenseNetwork } from './dense-network.js';
import { TrainingStep } from './training-step.js';

/** Why a backend cannot train a model, in our own words. */
export interface Refusal {
  readonly backend: BackendName;
  readonly reason: string;
}

export interface Choice {
  /** Undefined where no backend can. */
  readonly backend: BackendName | undefined;
  /** Backends tried before, and what was wrong with them. */
  readonly refused: readonly Refusal[];
}

/**
 * Starts the first backend of `candidates` that can train the model: a network of the same shape, one step on two
 * made-up rows, a finite loss and changed weights. A kernel that a backend lacks shows only in the gradient, so the
 * answer holds for the model, not for the backend.
 */
export async function chooseBackend(
  spec: FederatedJobSpec,
  layout: Layout,
  width: number,
  candidates: readonly BackendName[] = BACKENDS,
): Promise<Choice> {
  const refused: Refusal[] = [];
  for (const backend of candidates) {
    const reason = await faultOf(backend, spec, layout, width);
    if (reason === undefined) return { backend, refused };
    refused.push({ backend, reason });
  }
  return { backend: undefined, refused };
}

async function faultOf(
  backend: BackendName,
  spec: FederatedJobSpec,
  layout: Layout,
  width: number,
): Promise<string | undefined> {
  try {
    await startBackend(backend);
  } catch (error) {
    return `${backendLabel(backend)} does not start (${errorName(error)})`;
  }
  const network = new DenseNetwork(spec.model.layers, layout, width);
  const step = new TrainingStep(network, withVisibleSteps(spec));
  try {
    return tidy(() => trialFault(network, step, layout));
  } catch (error) {
    return missingKernel(error) ?? `the step failed (${errorName(error)})`;
  } finally {
    step.dispose();
    network.dispose();
  }
}

/** Two rows of small distinct values and labels 0 and 1, from small distinct weights: no gradient is zero by symmetry. */
function trialFault(network: DenseNetwork, step: TrainingStep, layout: Layout): string | undefined {
  const wave = (length: number): Float32Array =>
    Float32Array.from({ length }, (_, index) => 0.1 * Math.cos(index + 1));
  const weights = wave(layout.length);
  network.load(weights);
  const loss = step.run(wave(2 * network.width), Float32Array.of(0, 1));
  if (!Number.isFinite(loss)) return 'the loss of a trial step is not finite';
  network.toDelta(weights);
  return weights.some((change) => change !== 0) ? undefined : 'a trial step changes no weight';
}

/** The job with a learning rate at which a step shows in float32, however small that of the job is. */
function withVisibleSteps(spec: FederatedJobSpec): FederatedJobSpec {
  return {
    ...spec,
    training: { ...spec.training, optimizer: { ...spec.training.optimizer, learningRate: 0.1 } },
  };
}

/** The text of TensorFlow.js is not passed on, except for the name of the kernel that it misses. */
function missingKernel(error: unknown): string | undefined {
  const match = /Kernel '(\w+)' not registered/.exec(error instanceof Error ? error.message : '');
  return match?.[1] === undefined ? undefined : `the kernel ${match[1]} is missing`;
}

const errorName = (error: unknown): string => (error instanceof Error ? error.name : typeof error);
