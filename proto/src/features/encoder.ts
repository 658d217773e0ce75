import {
  categoryCount,
  columnsOf,
  DEFAULT_MISSING,
  type CategoricalFeatureSpec,
  type FeatureSpec,
  type ScalarFeatureSpec,
  type ScaledFeatureSpec,
  type SequenceFeatureSpec,
} from '../documents/feature-spec.js';
import { cellOf, presentText, type CellIssue, type Row } from './cell.js';
import { scalingOf, type FeatureFit } from './fit.js';
import { isIssue, scalarReader, sequenceReader, transformOf } from './reading.js';

/** Inputs of one feature. */
export interface Encoder {
  /** Inputs that it fills: neighbours, or, of a sequence, one in every step. */
  readonly width: number;
  /** False where the fit lacks what the feature needs: it cannot encode then. */
  readonly fitted: boolean;
  /** Number of indices, from 0, that each of its inputs may hold; undefined where inputs are magnitudes. */
  readonly indices: number | undefined;
  names(): readonly string[];
  /** Writes all its inputs. `stride` is the distance between the steps of a sequence. */
  encode(row: Row, out: Float32Array, at: number, stride: number): CellIssue | undefined;
}

export function encoderOf(feature: FeatureSpec, fit: FeatureFit): Encoder {
  switch (feature.type) {
    case 'Categorical':
      return feature.encoding === 'Index' ? indexEncoder(feature, fit) : oneHotEncoder(feature, fit);
    case 'Sequence':
      return sequenceEncoder(feature, fit);
    case 'Numeric':
    case 'Date':
    case 'Ratio':
      return scalarEncoder(feature, fit);
  }
}

interface Standardization {
  readonly fitted: boolean;
  readonly whenMissing: number;
  readonly apply: (value: number) => number;
}

/** (value - center) / scale in float64, within clip; zero has no sign. */
function standardizationOf(feature: ScaledFeatureSpec, fit: FeatureFit): Standardization {
  const scaling = scalingOf(feature, fit);
  const { center, scale } = scaling ?? { center: 0, scale: 1 };
  const { clip, impute } = feature;
  const apply = (value: number): number => Math.min(clip, Math.max(-clip, (value - center) / scale)) + 0;
  const imputed = impute === undefined ? undefined : transformOf(feature)(impute);
  return {
    fitted: scaling !== undefined,
    whenMissing: typeof imputed === 'number' ? apply(imputed) : 0,
    apply,
  };
}

function scalarEncoder(feature: ScalarFeatureSpec, fit: FeatureFit): Encoder {
  const { name, indicator } = feature;
  const read = scalarReader(feature);
  const { fitted, whenMissing, apply } = standardizationOf(feature, fit);
  return {
    width: indicator ? 2 : 1,
    fitted,
    indices: undefined,
    names: () => (indicator ? [name, `${name}=?`] : [name]),
    encode(row, out, at) {
      const reading = read(row);
      const present = typeof reading === 'number';
      out[at] = present ? apply(reading) : whenMissing;
      if (indicator) out[at + 1] = present ? 0 : 1;
      return isIssue(reading) ? reading : undefined;
    },
  };
}

function sequenceEncoder(feature: SequenceFeatureSpec, fit: FeatureFit): Encoder {
  const { name, length, padding } = feature;
  const read = sequenceReader(feature);
  const { fitted, whenMissing, apply } = standardizationOf(feature, fit);
  return {
    width: length,
    fitted,
    indices: undefined,
    names: () => Array.from({ length }, (_, step) => `${name}[${String(step)}]`),
    encode(row, out, at, stride) {
      const reading = read(row);
      const elements = isIssue(reading) ? [] : reading;
      const first = padding === 'Start' ? length - elements.length : 0;
      for (let step = 0; step < length; step += 1) {
        const place = step - first;
        const isPadding = place < 0 || place >= elements.length;
        const value = elements[place];
        out[at + step * stride] = isPadding ? 0 : value === undefined ? whenMissing : apply(value);
      }
      return isIssue(reading) ? reading : undefined;
    },
  };
}

/** The position of a row's category; the number of categories for unknown and missing ones. */
function positionReader(
  feature: CategoricalFeatureSpec,
  fit: FeatureFit,
): { readonly fitted: boolean; readonly entries: readonly string[]; readonly read: (row: Row) => number } {
  const [column = feature.name] = columnsOf(feature);
  const missing = new Set(feature.missing ?? DEFAULT_MISSING);
  const entries = feature.categories ?? fittedCategories(feature, fit);
  const positions = new Map(entries?.map((category, position) => [category, position]));
  const unknown = categoryCount(feature);
  return {
    fitted: entries !== undefined,
    entries: entries ?? Array.from({ length: unknown }, (_, position) => `#${String(position)}`),
    read: (row) => {
      const text = presentText(cellOf(row, column), missing);
      return (text === undefined ? undefined : positions.get(text)) ?? unknown;
    },
  };
}

function fittedCategories(feature: CategoricalFeatureSpec, fit: FeatureFit): readonly string[] | undefined {
  const fitted = Object.hasOwn(fit, feature.name) ? fit[feature.name] : undefined;
  if (fitted === undefined || !('categories' in fitted)) return undefined;
  return fitted.categories.length === categoryCount(feature) ? fitted.categories : undefined;
}

function oneHotEncoder(feature: CategoricalFeatureSpec, fit: FeatureFit): Encoder {
  const { name } = feature;
  const { fitted, entries, read } = positionReader(feature, fit);
  const width = categoryCount(feature) + 1;
  return {
    width,
    fitted,
    indices: undefined,
    names: () => [...entries.map((category) => `${name}=${category}`), `${name}=?`],
    encode(row, out, at) {
      out.fill(0, at, at + width);
      out[at + read(row)] = 1;
      return undefined;
    },
  };
}

function indexEncoder(feature: CategoricalFeatureSpec, fit: FeatureFit): Encoder {
  const { fitted, read } = positionReader(feature, fit);
  return {
    width: 1,
    fitted,
    indices: categoryCount(feature) + 1,
    names: () => [feature.name],
    encode(row, out, at) {
      out[at] = read(row);
      return undefined;
    },
  };
}
