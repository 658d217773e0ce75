import { memory, profile, tidy } from '@tensorflow/tfjs-core';
import type { FederatedJobSpec, Layout, Shape } from '@tributary/proto';

import { BackendRefusal, refusalReason } from './backend-refusal.js';
import { startBackend, type BackendName } from './backend.js';
import type { NativePackages } from './native-backend.js';
import { Network } from './network.js';
import { TrainingStep } from './training-step.js';

/** The model that a trial trains. */
export interface TrialModel {
  readonly spec: FederatedJobSpec;
  readonly layout: Layout;
  /** Shape of a row. */
  readonly input: Shape;
}

/** Bytes of tensors at the height of a step: `fixed` and, for each row of the batch, `perRow`. */
export interface StepMemory {
  readonly fixed: number;
  readonly perRow: number;
}

export type Trial = { readonly fault: string } | { readonly fault?: undefined; readonly memory: StepMemory };

/**
 * Starts a backend in this process and trains the model for one step on two made-up rows: a finite loss and changed
 * weights. A kernel that a backend lacks shows only in the gradient, so the answer holds for the model, not for the
 * backend. Measures the memory of steps on the way.
 */
export async function tryBackend(
  backend: BackendName,
  model: TrialModel,
  packages: NativePackages = {},
): Promise<Trial> {
  try {
    await startBackend(backend, packages);
  } catch (error) {
    if (error instanceof BackendRefusal) return { fault: error.message };
    return { fault: `it does not start (${error instanceof Error ? error.name : typeof error})` };
  }
  const network = new Network(model.spec.model.layers, model.layout, model.input);
  const step = new TrainingStep(network, model.spec);
  try {
    const fault = tidy(() => stepFault(network, step, model.layout));
    if (fault !== undefined) return { fault };
    const [two, four] = [await peakBytes(step, 2), await peakBytes(step, 4)];
    const perRow = Math.max(0, (four - two) / 2);
    return { memory: { fixed: Math.max(0, two - 2 * perRow), perRow } };
  } catch (error) {
    return { fault: refusalReason(error) };
  } finally {
    step.dispose();
    network.dispose();
  }
}

/** At this rate a step shows in float32, however small that of the job is. */
const VISIBLE_RATE = 0.1;

/** Small distinct values: no gradient is zero by symmetry. */
const wave = (length: number): Float32Array =>
  Float32Array.from({ length }, (_, index) => 0.1 * Math.cos(index + 1));

/** Rows of small values with labels 0 and 1 in turn. */
const trialStep = (step: TrainingStep, rows: number): number =>
  step.run(
    wave(rows * step.network.width),
    Float32Array.from({ length: rows }, (_, row) => row % 2),
    VISIBLE_RATE,
  );

function stepFault(network: Network, step: TrainingStep, layout: Layout): string | undefined {
  const weights = wave(layout.length);
  network.load(weights);
  if (!Number.isFinite(trialStep(step, 2))) return 'the loss of a trial step is not finite';
  network.toDelta(weights);
  if (!weights.every(Number.isFinite)) return 'the weights after a trial step are not finite';
  return weights.some((change) => change !== 0) ? undefined : 'a trial step changes no weight';
}

async function peakBytes(step: TrainingStep, rows: number): Promise<number> {
  let failure: unknown;
  const measured = await profile(() => {
    // What a step throws would leave the library in its profiling state.
    try {
      trialStep(step, rows);
    } catch (error) {
      failure = error;
    }
  });
  if (failure !== undefined) throw failure as Error;
  return Math.max(measured.peakBytes, memory().numBytes);
}
