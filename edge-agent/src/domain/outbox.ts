import { ERROR_TABLE, type ErrorCode } from '@tributary/proto';

/** Envelopes written for one update before it is given up: a machine that corrupts three is broken. */
const MAX_ENVELOPES = 3;
/** Tries of an upload that fails for a reason that nobody foresaw: most such are over in a moment. */
const MAX_UNFORESEEN = 5;

/** STORE_CORRUPT: the file of the envelope is damaged, and can be made again. */
const OF_THE_ENVELOPE: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'UPDATE_CORRUPT',
  'UPLOAD_ID_REUSED',
  'STORE_CORRUPT',
]);

/**
 * What follows a failed upload after `tries` failures in a row: send the same bytes again later, write a new envelope
 * (another content key and upload id), or wait for the ledger entry that records the refusal.
 */
export function afterUploadFailure(code: ErrorCode, tries: number): 'Retry' | 'Renew' | 'GiveUp' {
  if (OF_THE_ENVELOPE.has(code)) return tries < MAX_ENVELOPES ? 'Renew' : 'GiveUp';
  if (code === 'INTERNAL') return tries < MAX_UNFORESEEN ? 'Retry' : 'GiveUp';
  // CONFLICT: a newer stream of the same upload took over, or the round is suspended.
  return ERROR_TABLE[code].retryable || code === 'CONFLICT' ? 'Retry' : 'GiveUp';
}

/** Tries without a further chunk after which an envelope is written anew in small ones: it is sent from its first byte then. */
const STALLED_TRIES = 2;
/** The same where some of it has arrived already, which a line that is bad for a moment must not cost. */
const STALLED_TRIES_LATER = 5;

/** How often an upload broke since the coordinator wanted `chunk` next. */
export interface Stall {
  readonly uploadId: string;
  readonly chunk: number;
  readonly tries: number;
}

/** The stall after another try from `chunk` on that broke. */
export function stalledAgain(before: Stall | undefined, uploadId: string, chunk: number): Stall {
  const same = before?.uploadId === uploadId && before.chunk === chunk;
  return { uploadId, chunk, tries: same ? before.tries + 1 : 1 };
}

/** Whether the chunks of an upload that is about to go on with `chunk` are larger than what its line passes. */
export function isStalled(stall: Stall | undefined, uploadId: string, chunk: number): boolean {
  if (stall?.uploadId !== uploadId || stall.chunk !== chunk) return false;
  return stall.tries >= (chunk === 0 ? STALLED_TRIES : STALLED_TRIES_LATER);
}

/** Names of the two files of an update in the outbox. */
export const deltaFile = (uploadId: string): string => `${uploadId}.delta`;
export const envelopeFile = (uploadId: string): string => `${uploadId}.envelope`;
