import { TributaryError } from '@tributary/proto';

import { logitsToScores } from '../../domain/losses/loss.js';
import type { TaskType } from '../../domain/serving/served-task.js';
import { backendLabel, startBackend, type BackendName } from '../training/backend.js';
import { refusalReason } from '../training/backend-refusal.js';
import { forward, ROWS_AT_A_TIME } from '../training/evaluation.js';
import { requireHeapSpace } from '../training/memory-budget.js';
import { Network } from '../training/network.js';
import type { BuildRequest, InferenceAnswer, InferenceRequest, ScoreRequest } from './messages.js';

interface Served {
  readonly network: Network;
  readonly task: TaskType;
  readonly backend: BackendName;
}

/** The networks of the inference worker: those of training, each on the first backend that can run it. */
export class ServedNetworks {
  readonly #served = new Map<string, Served>();
  #backend: BackendName | undefined;

  async run(request: InferenceRequest): Promise<InferenceAnswer> {
    switch (request.kind) {
      case 'build':
        return { kind: 'built', backend: backendLabel(await this.#build(request)) };
      case 'score':
        return { kind: 'scores', scores: await this.#score(request) };
      case 'drop':
        this.#served.get(request.key)?.network.dispose();
        this.#served.delete(request.key);
        return { kind: 'dropped' };
    }
  }

  async #build(request: BuildRequest): Promise<BackendName> {
    const refused: string[] = [];
    for (const backend of request.backends) {
      try {
        await this.#use(backend);
        const served = { network: warmed(request), task: request.task, backend };
        this.#served.get(request.key)?.network.dispose();
        this.#served.set(request.key, served);
        return backend;
      } catch (error) {
        if (error instanceof TributaryError) throw error;
        refused.push(`${backend}: ${refusalReason(error)}`);
      }
    }
    throw new TributaryError('UNAVAILABLE', `no backend can run this model; ${refused.join('; ')}`);
  }

  async #score({ key, inputs }: ScoreRequest): Promise<Float32Array> {
    const served = this.#served.get(key);
    if (served === undefined) throw new TributaryError('INTERNAL', 'the inference worker has no such model');
    await this.#use(served.backend);
    return scored(served.network, served.task, inputs);
  }

  async #use(backend: BackendName): Promise<void> {
    if (this.#backend === backend) return;
    await startBackend(backend);
    this.#backend = backend;
  }
}

/** A network that has run once with one row and once with a whole batch, so that the first request is not slow. */
function warmed({ layers, layout, input, weights, task, batchRows }: BuildRequest): Network {
  const network = new Network(layers, layout, input);
  try {
    network.load(weights);
    for (const rows of new Set([1, batchRows])) scored(network, task, new Float32Array(rows * network.width));
    requireHeapSpace();
    return network;
  } catch (error) {
    network.dispose();
    throw error;
  }
}

/** As evaluation scores rows, in the same parts: the same rows give the same bits. */
function scored(network: Network, task: TaskType, inputs: Float32Array): Float32Array {
  const { width, outputs } = network;
  const rows = inputs.length / width;
  const scores = new Float32Array(rows * outputs);
  for (let first = 0; first < rows; first += ROWS_AT_A_TIME) {
    const count = Math.min(ROWS_AT_A_TIME, rows - first);
    const logits = forward(network, inputs.subarray(first * width, (first + count) * width), count);
    logitsToScores(task, logits, outputs);
    scores.set(logits, first * outputs);
  }
  return scores;
}
