import { featureColumns, type FeatureSpec } from '../documents/feature-spec.js';
import { TributaryError } from '../errors/tributary-error.js';
import type { CellIssue, Row } from './cell.js';
import { encoderOf, type Encoder } from './encoder.js';
import { NO_FIT, type FeatureFit } from './fit.js';

/**
 * How rows become inputs of a model. One plan serves training, evaluation, export and serving, so that they cannot
 * disagree. It is deterministic to the last bit: float64 arithmetic, rounded once to float32.
 */
export interface FeaturePlan {
  /** Inputs of the model: the product of `shape`. */
  readonly width: number;
  /** Shape of the input of one row, row-major: [width], or [length, channels] where the features are sequences. */
  readonly shape: readonly number[];
  /** What each input means, for people: `annual_inc`, `term=term_36`, `term=?` for unknown or missing, `pulse[0]`. */
  readonly names: readonly string[];
  /** Columns that are read, each once, in order. A dataset without one of them should be refused: here it reads as missing. */
  readonly columns: readonly string[];
  /** Features that wait for a fit: a plan with such features knows its shape, and encodes nothing. */
  readonly unfitted: readonly string[];
  /** For each input the number of indices, from 0, that it may hold, as Embedding takes them; undefined for magnitudes. */
  readonly indices: readonly (number | undefined)[];
  /**
   * Writes `width` finite values to `out` from `offset` on and returns the cells that could not be read; those encode
   * as if missing. Never throws for any row. `out` must have room (RangeError otherwise), and the plan must be fitted
   * (INVALID_ARGUMENT otherwise).
   */
  encode(row: Row, out: Float32Array, offset: number): readonly CellIssue[];
}

const NO_ISSUES: readonly CellIssue[] = Object.freeze([]);

/** Compiles the features of a job, in order. Takes what parseDocument has checked. */
export function compileFeatures(features: readonly FeatureSpec[], fit: FeatureFit = NO_FIT): FeaturePlan {
  const encoders = features.map((feature) => encoderOf(feature, fit));
  const unfitted = features.filter((_, index) => encoders[index]?.fitted === false).map(({ name }) => name);
  const width = encoders.reduce((sum, encoder) => sum + encoder.width, 0);
  const [first] = features;
  const length = first?.type === 'Sequence' ? first.length : undefined;
  const stride = length === undefined ? 1 : features.length;
  return {
    width,
    shape: length === undefined ? [width] : [length, features.length],
    columns: featureColumns(features),
    unfitted,
    get names() {
      return length === undefined
        ? encoders.flatMap((encoder) => encoder.names())
        : stepNames(encoders, length);
    },
    get indices() {
      return encoders.flatMap((encoder) => Array<number | undefined>(encoder.width).fill(encoder.indices));
    },
    encode(row, out, offset) {
      if (offset < 0 || offset + width > out.length) throw new RangeError('no room for an encoded row');
      if (unfitted.length > 0) throw notFitted(unfitted);
      let issues: CellIssue[] | undefined;
      let at = offset;
      for (const encoder of encoders) {
        const issue = encoder.encode(row, out, at, stride);
        if (issue !== undefined) (issues ??= []).push(issue);
        at += length === undefined ? encoder.width : 1;
      }
      return issues ?? NO_ISSUES;
    },
  };
}

/** Sequences lie step by step: the first of every feature, then the second. */
function stepNames(encoders: readonly Encoder[], length: number): readonly string[] {
  const names = encoders.map((encoder) => encoder.names());
  return Array.from({ length }, (_, step) => names.map((steps) => steps[step] ?? '')).flat();
}

const notFitted = (features: readonly string[]): TributaryError =>
  new TributaryError('INVALID_ARGUMENT', `features without a fit: ${features.slice(0, 8).join(', ')}`, {
    hint: 'features scaled by each site are encoded with the fit of that site, vocabularies with its policy',
    fields: { field: 'fit' },
  });
