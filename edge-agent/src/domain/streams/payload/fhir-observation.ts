import { LIMITS, type Cell, type StreamPayloadSpec } from '@tributary/proto';

import { compilePath, member, type PathReader } from '../data-path.js';
import { fault, isFault, type Fault } from '../fault.js';
import { readRfc3339 } from '../instant.js';
import { cellFrom } from './cells.js';
import type { Extract as Extracted, PayloadReader } from './message.js';
import { readSampledData, type SampledData } from './sampled-data.js';
import { compileColumns, idText, parseJson } from './structured-payload.js';

type FhirSpec = Extract<StreamPayloadSpec, { type: 'FhirObservation' }>;

interface Wanted {
  readonly column: string;
  readonly system: string | undefined;
  readonly code: string;
}

/** What an observation and its components give. */
interface Findings {
  readonly cells: Record<string, Cell>;
  readonly samples: { readonly column: string; readonly data: SampledData }[];
}

const RETRACTED: readonly unknown[] = ['entered-in-error', 'cancelled'];

/**
 * Reads an Observation (HL7 FHIR R4, JSON). Its value and those of its components go to the columns that name their
 * codes; values that are not asked for are passed over. Samples of one period become one run, everything else a record.
 */
export function fhirReader(spec: FhirSpec): PayloadReader {
  const wanted = Object.entries(spec.codes).map(([column, text]): Wanted => {
    const bar = text.lastIndexOf('|');
    return { column, system: bar < 0 ? undefined : text.slice(0, bar), code: text.slice(bar + 1) };
  });
  const { readers: paths } = compileColumns(spec.columns);
  const readId = spec.id === undefined ? () => undefined : compilePath(spec.id);
  return ({ payload }) => {
    const parsed = parseJson(payload);
    if (isFault(parsed)) return parsed;
    const { value } = parsed;
    if (member(value, 'resourceType') !== 'Observation') return fault('NotAnObservation');
    if (RETRACTED.includes(member(value, 'status'))) return fault('Retracted');
    const startMs = timeOf(value);
    if (startMs === undefined) return fault('NoTime', 'effective');
    const findings = findingsOf(value, wanted);
    if (isFault(findings)) return findings;
    const base = { startMs, id: idText(readId(value)), arrived: false };
    return extracts(findings, otherCells(paths, value), base);
  };
}

function timeOf(value: unknown): number | undefined {
  const text =
    member(value, 'effectiveDateTime') ??
    member(value, 'effectiveInstant') ??
    member(member(value, 'effectivePeriod'), 'start');
  return typeof text === 'string' ? readRfc3339(text) : undefined;
}

function findingsOf(observation: unknown, wanted: readonly Wanted[]): Findings | Fault {
  const components = member(observation, 'component');
  const parts: readonly unknown[] = Array.isArray(components) ? components : [];
  if (parts.length > LIMITS.observationComponents) return fault('TooManyPoints');
  const findings: Findings = { cells: {}, samples: [] };
  for (const part of [observation, ...parts]) {
    const want = wanted.find((candidate) => hasCode(part, candidate));
    const problem = want === undefined ? undefined : take(part, want.column, findings);
    if (problem !== undefined) return problem;
  }
  return findings;
}

function hasCode(part: unknown, { system, code }: Wanted): boolean {
  const codings = member(member(part, 'code'), 'coding');
  return (
    Array.isArray(codings) &&
    codings.some(
      (coding: unknown) =>
        member(coding, 'code') === code && (system === undefined || member(coding, 'system') === system),
    )
  );
}

function take(part: unknown, column: string, findings: Findings): Fault | undefined {
  const sampled = member(part, 'valueSampledData');
  if (sampled !== undefined) {
    const data = readSampledData(sampled);
    if (isFault(data)) return data;
    findings.samples.push({ column, data });
    return undefined;
  }
  const cell = cellFrom(scalarOf(part));
  if (cell === undefined) return fault('UnusableCell', column);
  findings.cells[column] = cell;
  return undefined;
}

/** The value of an observation or component; undefined where it has none (dataAbsentReason). */
function scalarOf(part: unknown): unknown {
  const concept = member(member(part, 'valueCodeableConcept'), 'coding');
  return (
    member(member(part, 'valueQuantity'), 'value') ??
    member(part, 'valueInteger') ??
    member(part, 'valueString') ??
    member(part, 'valueBoolean') ??
    (Array.isArray(concept) ? member(concept[0], 'code') : undefined)
  );
}

type Base = Pick<Extracted, 'startMs' | 'id' | 'arrived'>;

function otherCells(
  paths: readonly (readonly [string, PathReader])[],
  value: unknown,
): Record<string, Cell> | Fault {
  const cells: Record<string, Cell> = {};
  for (const [name, read] of paths) {
    const cell = cellFrom(read(value));
    if (cell === undefined) return fault('UnusableCell', name);
    cells[name] = cell;
  }
  return cells;
}

function extracts(
  { cells, samples }: Findings,
  others: Record<string, Cell> | Fault,
  base: Base,
): readonly Extracted[] | Fault {
  if (isFault(others)) return others;
  const found: Extracted[] = [];
  if (Object.keys(cells).length > 0) found.push(recordOf({ ...cells, ...others }, base));
  for (const { column, data } of samples) {
    const names = data.dimensions.map((_, index) => (index === 0 ? column : `${column}[${String(index)}]`));
    const count = data.dimensions[0]?.length ?? 0;
    if (count > LIMITS.streamPoints) return fault('TooManyPoints');
    const columns: Record<string, readonly Cell[]> = Object.fromEntries(
      names.map((name, index) => [name, data.dimensions[index] ?? []]),
    );
    merge(found, { ...base, periodMs: data.periodMs, count, columns, attributes: others });
  }
  return found.length > 0 ? found : fault('NoColumns');
}

const recordOf = (cells: Readonly<Record<string, Cell>>, base: Base): Extracted => ({
  ...base,
  periodMs: 0,
  count: 1,
  columns: Object.fromEntries(Object.entries(cells).map(([name, cell]) => [name, [cell]])),
});

/** Leads of the same period and length are one run of several columns. */
function merge(found: Extracted[], samples: Extracted): void {
  const at = found.findIndex(
    ({ periodMs, count }) => periodMs === samples.periodMs && count === samples.count,
  );
  const known = found[at];
  if (known === undefined) found.push(samples);
  else found[at] = { ...known, columns: { ...known.columns, ...samples.columns } };
}
