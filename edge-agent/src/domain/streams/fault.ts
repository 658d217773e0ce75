/** Why a message cannot be used. Part of dead letters and metrics; never holds anything of the payload. */
export const FAULT_REASONS = [
  'UnknownTopic',
  'TooLarge',
  'TooManyPoints',
  'NotText',
  'NotJson',
  'NotCbor',
  'NotAnObject',
  'NotAnObservation',
  /** FHIR: entered in error, or cancelled. */
  'Retracted',
  'NoTime',
  'NoKey',
  'NoColumns',
  'UnusableCell',
  'UnequalLists',
  /** A column that the model wants, and has nothing in the place of, is not in the message: not even as null. */
  'Incomplete',
  /** Bytes that are no whole number of samples. */
  'Ragged',
  'BadSampledData',
  /** Further ahead of the clock of the site than clocks differ: it would make everything after it late. */
  'Future',
  'Late',
  /** The key, or the table of keys, holds as much as it may already. */
  'Overflow',
  /** The model cannot answer for the row, and never will. */
  'Refused',
  /** The broker does not take the result, and never will. */
  'Unpublishable',
] as const;

export type FaultReason = (typeof FAULT_REASONS)[number];

export interface Fault {
  readonly type: 'Fault';
  readonly reason: FaultReason;
  /** Column or field, as the pipeline or the format names it. */
  readonly field?: string;
}

export function fault(reason: FaultReason, field?: string): Fault {
  return { type: 'Fault', reason, ...(field !== undefined && { field }) };
}

export function isFault(value: unknown): value is Fault {
  return typeof value === 'object' && value !== null && (value as Partial<Fault>).type === 'Fault';
}
