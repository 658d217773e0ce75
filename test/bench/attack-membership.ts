import { referenceGradient } from '../support/dense-reference.js';
import { inputsOf, type AttackedJob, type Records } from './attack-records.js';
import { alignment, TracingAttack } from './attack-tracing.js';

/** What an attacker prepares for one kind of round with records of its own. */
export interface Preparation {
  /** Records that take part in nothing and are like those that do. */
  readonly known: readonly number[];
  /** Weights that gradients are computed at: about half way along the training. */
  readonly weights: Float32Array;
  /** The mean gradient that is expected of a site; that of a record where absent. */
  readonly centre?: Float64Array;
}

/** Membership inference against the updates of one model; candidates are prepared once. */
export class MembershipAttack {
  readonly #job: AttackedJob;
  readonly #records: Records;
  readonly #weights: Float32Array;
  readonly #centre: Float64Array | undefined;
  readonly #tracing: TracingAttack;
  readonly #candidates = new Map<number, Float64Array>();

  constructor(job: AttackedJob, records: Records, { known, weights, centre }: Preparation) {
    this.#job = job;
    this.#records = records;
    this.#weights = weights;
    this.#centre = centre;
    this.#tracing = new TracingAttack(known.map((record) => this.#gradientOf(record)));
  }

  /** Scores records by how much their gradient is in `gradient`: the higher, the likelier a member. */
  scorer(gradient: Float64Array): (record: number) => number {
    const update = this.#tracing.whiten(gradient, this.#centre);
    return (record) => alignment(update, this.#candidate(record));
  }

  #candidate(record: number): Float64Array {
    const known = this.#candidates.get(record) ?? this.#tracing.whiten(this.#gradientOf(record));
    this.#candidates.set(record, known);
    return known;
  }

  /** Gradient of the loss of one record, the penalty left out. */
  #gradientOf(record: number): Float64Array {
    const { spec, layout } = this.#job;
    const plain = { ...spec, training: { ...spec.training, l2: 0 } };
    const row = [...inputsOf(this.#records, record)];
    const label = this.#records.labels[record] ?? Number.NaN;
    return referenceGradient(plain, layout, this.#weights, [row], [label]).gradient;
  }
}
