import { tmpdir } from 'node:os';

import { encodeUpdate } from '@tributary/proto';
import { EncodedRows } from '@tributary/edge-agent/internal/adapters/datasets/encoded-rows.js';
import { Network } from '@tributary/edge-agent/internal/adapters/training/network.js';
import { trainEpochs } from '@tributary/edge-agent/internal/adapters/training/training-loop.js';
import { TrainingStep } from '@tributary/edge-agent/internal/adapters/training/training-step.js';

import type { TailShape } from '@tributary/proto/internal/metrics/evaluation-groups.js';

import { inputsOf, type AttackedJob, type Records } from './attack-records.js';

const HOOKS = { poll: () => undefined, progress: () => undefined };

/** The sites report no metrics. */
export const TAIL: TailShape = { metrics: [] };

/** What a site sends without secure aggregation, and the public facts that go with it. */
export interface SentUpdate {
  /** The update vector: weighted delta and tail. */
  readonly vector: Float32Array;
  readonly weight: number;
  /** Optimizer steps of the training. */
  readonly steps: number;
}

/** Trains with the loop of the agent and encodes what it sends. */
export class AttackedSite {
  readonly #job: AttackedJob;
  readonly #records: Records;
  readonly #network: Network;

  /** Needs a backend that has started. */
  constructor(job: AttackedJob, records: Records) {
    this.#job = job;
    this.#records = records;
    this.#network = new Network(job.spec.model.layers, job.layout, [records.width]);
  }

  /** One round on `members` from the base model: one step for a single record, else the epochs of the job. */
  updateOf(members: readonly number[]): SentUpdate {
    const { spec, base } = this.#job;
    const { batchSize, epochs } = spec.training;
    const passes = members.length === 1 ? 1 : epochs;
    const rows = this.#rowsOf(members);
    this.#network.load(base);
    const step = new TrainingStep(this.#network, spec);
    try {
      const training = { ...spec.training, epochs: passes };
      const { loss, examples } = trainEpochs({
        step,
        rows,
        spec: { ...spec, training },
        round: 1,
        hooks: HOOKS,
      });
      const delta = base.slice();
      this.#network.toDelta(delta);
      const vector = encodeUpdate(delta, { trainExamples: examples, loss, groups: [] }, TAIL, spec.update);
      const weight = vector[delta.length] ?? Number.NaN;
      return { vector, weight, steps: passes * Math.ceil(members.length / batchSize) };
    } finally {
      step.dispose();
      rows.close();
    }
  }

  dispose(): void {
    this.#network.dispose();
  }

  #rowsOf(members: readonly number[]): EncodedRows {
    const rows = new EncodedRows(this.#records.width, tmpdir());
    for (const member of members)
      rows.append(this.#records.labels[member] ?? Number.NaN).set(inputsOf(this.#records, member));
    return rows;
  }
}
