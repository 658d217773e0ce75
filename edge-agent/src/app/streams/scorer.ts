import {
  columnsOf,
  TributaryError,
  type ModelManifest,
  type Row,
  type StreamPipelineSpec,
} from '@tributary/proto';

import { backoffMs } from '../../domain/backoff.js';
import type { Decision } from '../../domain/streams/key-step.js';
import type { Clock, Random } from '../../ports.js';
import type { PredictionResult, Predictor } from '../../serving-ports.js';
import { pause, uniform } from '../pause.js';
import type { Outcome } from './stream-work.js';

export interface ScorerParts {
  readonly predictor: Pick<Predictor, 'predict' | 'models'>;
  readonly model: NonNullable<StreamPipelineSpec['model']>;
  readonly alerts: StreamPipelineSpec['alerts'];
  /** Rows of one request at most. */
  readonly maximumRows: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly signal: AbortSignal;
  /** Told why rows wait; what it gives is called when they wait no more. */
  readonly waiting: (error: TributaryError) => () => void;
}

/** Failures of some rows alone, others going through, after which they are what is wrong. */
const SUSPECT_AFTER = 3;

interface Rows {
  readonly decisions: readonly Decision[];
  readonly outcomes: Outcome[];
  readonly from: number;
  readonly to: number;
}

/** Has rows answered for, however long it takes; only a row that no model will ever answer for is given up. */
export class Scorer {
  readonly #parts: ScorerParts;
  /** Requests that were answered: where others are, the model is not what is wrong with a row. */
  #answered = 0;

  constructor(parts: ScorerParts) {
    this.#parts = parts;
  }

  /** What became of each decision, in order. Rejects where the signal is aborted, or predictions have ended. */
  async score(decisions: readonly Decision[]): Promise<readonly Outcome[]> {
    const { columns } = this.#needs();
    const absent = decisions.map(({ row }) => columns.find((column) => isAbsent(row, column)));
    if (absent.every((column) => column === undefined)) return this.#scoreWhole(decisions);
    const whole = await this.#scoreWhole(decisions.filter((_, index) => absent[index] === undefined));
    const answers = whole.values();
    return absent.map((field) =>
      field === undefined ? (answers.next().value as Outcome) : { refused: { reason: 'Incomplete', field } },
    );
  }

  /** What the version that answers cannot do without. */
  #needs(): { readonly columns: readonly string[]; readonly version: number } {
    const { predictor, model } = this.#parts;
    const active = predictor.models().find(({ name, active }) => active && name === model.name);
    return active === undefined
      ? { columns: [], version: 0 }
      : { columns: indispensable(active.manifest), version: active.version };
  }

  /** All rows of a pipeline have the columns that its document names: one that none has would be missing for ever. */
  #requireColumns(row: Row | undefined): void {
    const { columns, version } = this.#needs();
    const unnamed = columns.find((column) => row !== undefined && !Object.hasOwn(row, column));
    if (unnamed === undefined) return;
    throw new TributaryError(
      'CONFIG_INVALID',
      `the pipeline makes no column ${unnamed}, which ${this.#parts.model.name}@${String(version)} needs; name it in spec.payload.columns or spec.window.reduce`,
    );
  }

  async #scoreWhole(decisions: readonly Decision[]): Promise<readonly Outcome[]> {
    const outcomes = new Array<Outcome>(decisions.length);
    const { maximumRows } = this.#parts;
    for (let from = 0; from < decisions.length; from += maximumRows)
      await this.#answer({ decisions, outcomes, from, to: Math.min(from + maximumRows, decisions.length) });
    return outcomes;
  }

  async #answer(rows: Rows): Promise<void> {
    const answered = this.#answered;
    let release: (() => void) | undefined;
    try {
      for (let attempt = 0; ; attempt++) {
        const error = await this.#attempt(rows);
        if (error === undefined) return;
        if (error.code === 'SHUTTING_DOWN') throw error;
        const blamed = await this.#isBlamed(error, attempt, answered, rows);
        if (blamed && rows.to - rows.from === 1) {
          rows.outcomes[rows.from] = { refused: { reason: 'Refused', field: error.code } };
          return;
        }
        if (blamed || isSuspicious(error, attempt)) {
          if (rows.to - rows.from > 1) {
            await this.#divide(rows);
            return;
          }
        }
        release?.();
        release = this.#parts.waiting(error);
        const { clock, random, signal } = this.#parts;
        await pause(clock, backoffMs(attempt, uniform(random)), signal);
      }
    } finally {
      release?.();
    }
  }

  /** At the same time: one half may have to wait until the other has shown that the model answers. */
  async #divide({ from, to, ...rows }: Rows): Promise<void> {
    const middle = (from + to) >> 1;
    await Promise.all([
      this.#answer({ ...rows, from, to: middle }),
      this.#answer({ ...rows, from: middle, to }),
    ]);
  }

  async #isBlamed(
    { code }: TributaryError,
    attempt: number,
    answered: number,
    { from, to }: Rows,
  ): Promise<boolean> {
    if (code === 'INVALID_ARGUMENT' || code === 'LIMIT_EXCEEDED') return true;
    if (!isSuspicious({ code }, attempt)) return false;
    if (this.#answered === answered && to - from === 1) await this.#probe();
    return this.#answered > answered;
  }

  /** Asks about a row in which everything is missing: answered, it shows that the model is not what is wrong. */
  async #probe(): Promise<void> {
    const { predictor, model } = this.#parts;
    try {
      await predictor.predict({ model: model.name, gathered: true, rows: [{}] });
      this.#answered += 1;
    } catch (error) {
      if (TributaryError.from(error).code === 'SHUTTING_DOWN') throw error;
    }
  }

  async #attempt({ decisions, outcomes, from, to }: Rows): Promise<TributaryError | undefined> {
    const { predictor, model, alerts } = this.#parts;
    const asked = from === 0 && to === decisions.length ? decisions : decisions.slice(from, to);
    try {
      this.#requireColumns(asked[0]?.row);
      const result = await predictor.predict({
        model: model.name,
        gathered: true,
        rows: asked.map(({ row }) => row),
        decisionIds: asked.map(({ id }) => id),
      });
      requireOutput(result, 'model', model.output);
      for (const [index, { output }] of alerts.entries())
        requireOutput(result, `alerts[${String(index)}]`, output);
      place(result, outcomes, from);
      this.#answered += 1;
      return undefined;
    } catch (error) {
      return TributaryError.from(error);
    }
  }
}

/** Columns of a model that nothing is put in the place of: neither a value of the document, nor the word that it is missing. */
function indispensable({ features }: ModelManifest): readonly string[] {
  return features.flatMap((feature) => {
    const imputed = 'impute' in feature && feature.impute !== undefined;
    const told = 'indicator' in feature && feature.indicator;
    return imputed || told ? [] : columnsOf(feature);
  });
}

/** Null is a value that is missing; a column that the message does not have at all is a slip. */
const isAbsent = (row: Row, column: string): boolean =>
  Object.hasOwn(row, column) && row[column] === undefined;

/** The worker died over these rows, or something that nobody thought of. */
const isSuspicious = ({ code }: Pick<TributaryError, 'code'>, attempt: number): boolean =>
  (code === 'UNAVAILABLE' || code === 'INTERNAL') && attempt + 1 >= SUSPECT_AFTER;

/** An output that the version does not have would never be heard of: an alert would be silent for ever. */
function requireOutput(
  { model, version, outputs }: PredictionResult,
  field: string,
  output: string | undefined,
): void {
  if (output === undefined || outputs.includes(output)) return;
  throw new TributaryError(
    'CONFIG_INVALID',
    `spec.${field}.output: ${model}@${String(version)} has no output ${output}; use one of ${outputs.join(', ')}`,
  );
}

function place(result: PredictionResult, outcomes: Outcome[], from: number): void {
  const issues = new Map<number, number>();
  for (const { row } of result.issues) issues.set(row, (issues.get(row) ?? 0) + 1);
  for (let row = 0; row < result.decisionIds.length; row++)
    outcomes[from + row] = { result, row, issues: issues.get(row) ?? 0 };
}
