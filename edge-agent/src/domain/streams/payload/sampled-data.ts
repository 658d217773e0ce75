import { LIMITS } from '@tributary/proto';

import { member } from '../data-path.js';
import { fault, type Fault } from '../fault.js';

/** Samples of a FHIR Observation: one list for each dimension. */
export interface SampledData {
  readonly periodMs: number;
  readonly dimensions: readonly (readonly (number | null)[])[];
}

const DECIMAL = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/;

/** Milliseconds of the UCUM units that R5 allows as intervalUnit and that have a fixed length. */
const UNIT_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  ms: 1,
  s: 1e3,
  min: 60e3,
  h: 3_600e3,
  d: 86_400e3,
};

interface Scale {
  readonly origin: number;
  readonly factor: number;
  readonly low: number | null;
  readonly high: number | null;
}

/**
 * Reads SampledData (HL7 FHIR R4, 2.24.0.13; `interval` and `intervalUnit` of R5 too). A value is `origin` plus `factor`
 * times its number. `E` (error) is null; `L` and `U` (below and above what can be measured) are `lowerLimit` and
 * `upperLimit`, the nearest that is known, and null where the limit is not given.
 */
export function readSampledData(value: unknown): SampledData | Fault {
  const bad = (field: string): Fault => fault('BadSampledData', field);
  const scale = scaleOf(value);
  if (typeof scale === 'string') return bad(scale);
  const periodMs = periodOf(value);
  if (periodMs === undefined) return bad('period');
  const width = member(value, 'dimensions');
  if (!isCount(width)) return bad('dimensions');
  const text = member(value, 'data');
  if (typeof text !== 'string') return bad('data');
  const parts = text.trim().split(/\s+/);
  if (parts.length > LIMITS.streamPoints * width) return fault('TooManyPoints');
  if (parts.length % width !== 0) return bad('data');
  const dimensions = Array.from({ length: width }, (): (number | null)[] => []);
  for (const [index, part] of parts.entries()) {
    const sample = sampleOf(part, scale);
    if (sample === undefined) return bad('data');
    dimensions[index % width]?.push(sample);
  }
  return { periodMs, dimensions };
}

const isCount = (value: unknown): value is number =>
  typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 64;

function sampleOf(part: string, { origin, factor, low, high }: Scale): number | null | undefined {
  if (part === 'E') return null;
  if (part === 'L') return low;
  if (part === 'U') return high;
  if (!DECIMAL.test(part)) return undefined;
  const value = origin + factor * Number(part);
  return Number.isFinite(value) ? value : undefined;
}

/** The scale, or the name of the field that spoils it. */
function scaleOf(value: unknown): Scale | string {
  const origin = member(member(value, 'origin'), 'value');
  if (!isFinite(origin)) return 'origin';
  const [factor, low, high] = ['factor', 'lowerLimit', 'upperLimit'].map(
    (name) => member(value, name) ?? null,
  );
  if (factor !== null && !isFinite(factor)) return 'factor';
  if (low !== null && !isFinite(low)) return 'lowerLimit';
  if (high !== null && !isFinite(high)) return 'upperLimit';
  return { origin, factor: factor ?? 1, low: low ?? null, high: high ?? null };
}

const isFinite = (value: unknown): value is number => Number.isFinite(value);

function periodOf(value: unknown): number | undefined {
  const period = member(value, 'period');
  const unit = member(value, 'intervalUnit');
  const interval = member(value, 'interval');
  const ms = isFinite(interval) && typeof unit === 'string' ? interval * (UNIT_MS[unit] ?? NaN) : period;
  return isFinite(ms) && ms > 0 && ms <= 86_400_000 ? ms : undefined;
}
