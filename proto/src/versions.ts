import { TributaryError } from './errors/tributary-error.js';

/** Version of this build; equals that of its package. */
export const SOFTWARE_VERSION = '0.3.0';

/** Newest version of data directories and files that this build reads and writes; newer ones are refused. */
export const FORMAT_VERSION = 1;

/**
 * Wire versions that this build speaks, "major.minor", newest first. It holds the current minor version and the two
 * before: a coordinator serves agents of the release before its own, so fleets are upgraded hub first. 1.1
 * added `dataVersion` to the header of an envelope and rosters to orders, 1.2 what a site waits for, its decisions about
 * jobs, and the stages of secure aggregation, 1.3 the attempt of a failure, cosignatures of tree heads, and heads with
 * every heartbeat, and chunks of uploads below LIMITS.minChunkBytes.
 */
export const WIRE_VERSIONS: readonly string[] = Object.freeze(['1.3', '1.2', '1.1']);

/** What transcripts of secure aggregation name. */
export const SECURE_WIRE_VERSION = '1.2';

/** First version whose agents can be in the cohort of a secure round: those of 1.2 do not understand refused shares. */
export const SECURE_COHORT_VERSION = '1.3';

/** First version whose agents name the attempt that failed. */
export const ATTEMPT_WIRE_VERSION = '1.3';

/** First version whose agents sign the heads that they have checked, and get them without asking. */
export const COSIGNING_WIRE_VERSION = '1.3';

/** First version whose coordinators take uploads in chunks from LIMITS.firstChunkBytes on. */
export const SMALL_CHUNKS_WIRE_VERSION = '1.3';

/** Whether `version`, one of WIRE_VERSIONS, is `least` or newer. */
export function isAtLeast(version: string, least: string): boolean {
  return WIRE_VERSIONS.includes(version) && WIRE_VERSIONS.indexOf(version) <= WIRE_VERSIONS.indexOf(least);
}

const VERSION = /^(0|[1-9][0-9]{0,3})\.(0|[1-9][0-9]{0,3})$/;
const MOST_VERSIONS = 16;

/**
 * The newest version that both sides speak. Throws INVALID_ARGUMENT for a malformed list, VERSION_UNSUPPORTED where the
 * lists share nothing.
 */
export function negotiate(theirs: readonly string[], ours: readonly string[] = WIRE_VERSIONS): string {
  if (theirs.length > MOST_VERSIONS || !theirs.every((version) => VERSION.test(version))) {
    throw new TributaryError(
      'INVALID_ARGUMENT',
      `versions: at most ${String(MOST_VERSIONS)} of the form major.minor`,
      {
        fields: { field: 'versions' },
      },
    );
  }
  const shared = ours.find((version) => theirs.includes(version));
  if (shared !== undefined) return shared;
  throw new TributaryError(
    'VERSION_UNSUPPORTED',
    `they speak ${theirs.join(', ') || 'nothing'}; this build speaks ${ours.join(', ')}`,
    {
      hint: 'upgrade the older side; a coordinator serves agents of the release before its own',
    },
  );
}

/**
 * Refuses what a newer build wrote: throws FORMAT_UNSUPPORTED, naming `what`, where the version is a number above `known`.
 * Anything else passes, for the schema of the content to judge.
 */
export function requireFormat(version: unknown, what: string, known: number = FORMAT_VERSION): void {
  if (typeof version !== 'number' || version <= known) return;
  throw new TributaryError(
    'FORMAT_UNSUPPORTED',
    `${what} has format version ${String(version)}; this build reads up to ${String(known)}`,
    { hint: 'use the version that wrote it, or a newer one' },
  );
}
