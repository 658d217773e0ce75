import {
  DEFAULT_MISSING,
  type CategoricalFeatureSpec,
  type FeatureSpec,
  type NumericFeatureSpec,
} from '../documents/feature-spec.js';
import {
  cellOf,
  presentText,
  readNumber,
  type Cell,
  type CellFault,
  type CellIssue,
  type Row,
} from './cell.js';

/**
 * How rows become inputs of a model. One plan serves training, evaluation, export and serving, so that they cannot
 * disagree. It is deterministic to the last bit: float64 arithmetic, rounded once to float32.
 */
export interface FeaturePlan {
  /** Inputs of the model. */
  readonly width: number;
  /** What each input means, for people: `annual_inc`, `term=term_36`, and `term=?` for unknown or missing. */
  readonly names: readonly string[];
  /** Columns that are read, in order. A dataset without one of them should be refused: here it reads as missing. */
  readonly columns: readonly string[];
  /**
   * Writes `width` finite values to `out` from `offset` on and returns the cells that could not be read; those encode
   * as if missing. Never throws for any row. `out` must have room (RangeError otherwise).
   */
  encode(row: Row, out: Float32Array, offset: number): readonly CellIssue[];
}

interface Encoder {
  readonly column: string;
  readonly names: readonly string[];
  encode(cell: Cell, out: Float32Array, offset: number): CellFault | undefined;
}

const NO_ISSUES: readonly CellIssue[] = Object.freeze([]);

/** Compiles the features of a job, in order. Takes what parseDocument has checked. */
export function compileFeatures(features: readonly FeatureSpec[]): FeaturePlan {
  const encoders = features.map((feature) =>
    feature.type === 'Numeric' ? numericEncoder(feature) : categoricalEncoder(feature),
  );
  const names = encoders.flatMap((encoder) => encoder.names);
  return {
    width: names.length,
    names,
    columns: encoders.map(({ column }) => column),
    encode(row, out, offset) {
      if (offset < 0 || offset + names.length > out.length)
        throw new RangeError('no room for an encoded row');
      let issues: CellIssue[] | undefined;
      let at = offset;
      for (const encoder of encoders) {
        const reason = encoder.encode(cellOf(row, encoder.column), out, at);
        if (reason !== undefined) (issues ??= []).push({ column: encoder.column, reason });
        at += encoder.names.length;
      }
      return issues ?? NO_ISSUES;
    },
  };
}

function numericEncoder(feature: NumericFeatureSpec): Encoder {
  const { name, transform, center, scale, clip, impute } = feature;
  const missing = new Set(feature.missing ?? DEFAULT_MISSING);
  const standardize = (value: number): number => {
    const transformed = transform === 'Log1p' ? Math.log1p(value) : value;
    return Math.min(clip, Math.max(-clip, (transformed - center) / scale));
  };
  const whenMissing = impute === undefined ? 0 : standardize(impute);
  return {
    column: name,
    names: [name],
    encode(cell, out, offset) {
      out[offset] = whenMissing;
      const text = presentText(cell, missing);
      if (text === undefined) return undefined;
      const value = readNumber(text);
      if (typeof value === 'string') return value;
      if (transform === 'Log1p' && value <= -1) return 'OutsideDomain';
      out[offset] = standardize(value);
      return undefined;
    },
  };
}

function categoricalEncoder(feature: CategoricalFeatureSpec): Encoder {
  const { name, categories } = feature;
  const missing = new Set(feature.missing ?? DEFAULT_MISSING);
  const positions = new Map(categories.map((category, position) => [category, position]));
  const names = [...categories.map((category) => `${name}=${category}`), `${name}=?`];
  return {
    column: name,
    names,
    encode(cell, out, offset) {
      out.fill(0, offset, offset + names.length);
      const text = presentText(cell, missing);
      const position = text === undefined ? undefined : positions.get(text);
      out[offset + (position ?? categories.length)] = 1;
      return undefined;
    },
  };
}
