import { isErrorCode, LIMITS, type ErrorCode, type TributaryError } from '@tributary/proto';

import { backoffMs, waitAfter } from './backoff.js';
import { clip } from './redaction.js';

/** Why a connection ended, and what follows. */
export type LinkOutcome =
  | { readonly next: 'Reconnect'; readonly waitMs: number; readonly code: ErrorCode; readonly detail: string }
  /** The certificate was not accepted: renew, then connect again. */
  | { readonly next: 'Renew'; readonly waitMs: number; readonly code: ErrorCode; readonly detail: string }
  /** The log contradicts itself: nothing goes on before the site's people have settled it. */
  | { readonly next: 'Halt'; readonly waitMs: number; readonly code: ErrorCode; readonly detail: string }
  | { readonly next: 'End'; readonly code: ErrorCode; readonly detail: string };

/** What no waiting mends: the process ends with the code's exit status. */
const FINAL: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'AGENT_REVOKED',
  'AGENT_FENCED',
  'VERSION_UNSUPPORTED',
  'PROOF_INVALID',
  'SIGNATURE_INVALID',
  'FORMAT_UNSUPPORTED',
  'SEAL_BROKEN',
  'STORE_CORRUPT',
  'STORE_LOCKED',
]);

/** What follows besides connecting again. */
const NEXT: Readonly<Partial<Record<ErrorCode, 'Renew' | 'Halt'>>> = {
  UNAUTHENTICATED: 'Renew',
  LEDGER_FORKED: 'Halt',
  LEDGER_SHORTENED: 'Halt',
};

/**
 * What follows an error of the connection after `failures` in a row; `random` is uniform in [0, 1). `fields` are those of
 * the error.
 */
export function afterLinkFailure(
  code: ErrorCode,
  detail: string,
  failures: number,
  random: number,
  fields: TributaryError['fields'] = {},
): LinkOutcome {
  if (FINAL.has(code)) return { next: 'End', code, detail };
  const waitMs = waitAfter({ fields }, failures, random);
  return { next: NEXT[code] ?? 'Reconnect', waitMs, code, detail };
}

/** What follows a goodbye: `retryAfterMs` of 0 means never again. */
export function afterGoodbye(
  code: string,
  detail: string,
  retryAfterMs: number,
  random: number,
): LinkOutcome {
  const known: ErrorCode = isErrorCode(code) ? code : 'UNAVAILABLE';
  const said = clip(detail);
  if (FINAL.has(known) || retryAfterMs === 0) return { next: 'End', code: known, detail: said };
  // Jitter, so that a fleet that was told the same number does not return in step.
  const waitMs = Math.min(retryAfterMs, LIMITS.goodbyeMaxMs) + backoffMs(0, random);
  return { next: 'Reconnect', waitMs, code: known, detail: said };
}

/** Milliseconds between heartbeats: what the coordinator asks for, within what keeps a connection watched. */
export function heartbeatIntervalMs(asked: number): number {
  return Math.min(LIMITS.heartbeatTimeoutMs / 3, Math.max(1_000, asked));
}
