import type { ErrorCode } from './error-table.js';
import { AUDIT_GUIDANCE } from './guidance/audit.js';
import { CALLER_GUIDANCE } from './guidance/callers.js';
import { MACHINE_GUIDANCE } from './guidance/machine.js';
import { MEMBERSHIP_GUIDANCE } from './guidance/membership.js';
import { REQUEST_GUIDANCE } from './guidance/requests.js';
import { SECURE_ROUND_GUIDANCE } from './guidance/secure-rounds.js';
import { SITE_GUIDANCE } from './guidance/sites.js';
import { UPDATE_GUIDANCE } from './guidance/updates.js';

/** What helps a person who meets a code, in Markdown that reads as plain text too. */
export interface ErrorGuidance {
  /** The likeliest first. */
  readonly causes: readonly string[];
  /** In the order in which they are tried. */
  readonly steps: readonly string[];
}

/** Every code of the table. */
export const ERROR_GUIDANCE: Readonly<Record<ErrorCode, ErrorGuidance>> = {
  ...REQUEST_GUIDANCE,
  ...CALLER_GUIDANCE,
  ...UPDATE_GUIDANCE,
  ...SITE_GUIDANCE,
  ...SECURE_ROUND_GUIDANCE,
  ...MACHINE_GUIDANCE,
  ...MEMBERSHIP_GUIDANCE,
  ...AUDIT_GUIDANCE,
};
