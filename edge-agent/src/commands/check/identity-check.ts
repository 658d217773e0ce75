import { kindOf, type JoinToken } from '@tributary/proto';

import { readState, socketPath, statePath } from '../../adapters/files/data-directory.js';
import { lockHolder } from '../../adapters/files/lock-holder.js';
import { fetchStatus } from '../../adapters/http/status-client.js';
import { certificateReader } from '../../adapters/tls/tls-keys.js';
import { readEnrolment, type EnrolmentRecord } from '../../app/enrolment-record.js';
import type { AgentStatus } from '../../app/status.js';
import type { AgentConfig } from '../../config.js';
import { certificateState } from '../../domain/renewal.js';
import { durationText } from '../../domain/site-check/clock.js';
import { failedLine, noteLine, okLine, type CheckLine } from '../../domain/site-check/check-line.js';

/** Milliseconds that a running agent has to say what it does. */
const STATUS_MS = 2_000;

/** What the data directory knows of the coordinator. */
export interface SiteIdentity {
  readonly lines: readonly CheckLine[];
  readonly record: EnrolmentRecord | undefined;
}

/** Who the data directory says that this site is; it is only read, and while the agent runs too. */
export async function identityCheck(
  { dataDir, sealKeyFile }: Pick<AgentConfig, 'dataDir' | 'sealKeyFile'>,
  nowMs: number,
): Promise<SiteIdentity> {
  const status = await statusOf(dataDir);
  const owner = await ownerLine(dataDir, status);
  const record = await readState(dataDir, sealKeyFile, status !== undefined, readEnrolment);
  if (record === undefined) return { lines: [owner, okLine('identity', 'not joined yet')], record };
  const who = okLine('identity', `site ${record.site}, ${record.agentId}, ${kindOf(record.kind)}`);
  return { lines: [owner, who, certificateAgeLine(record, nowMs)], record };
}

/** What the site is going to be, by the token. */
export const tokenLine = ({ site, kind, enrolAddress }: JoinToken): CheckLine =>
  okLine('token', `well formed, for site ${site}, ${kindOf(kind)}, at ${enrolAddress}`);

async function ownerLine(dataDir: string, status: AgentStatus | undefined): Promise<CheckLine> {
  if (status !== undefined) {
    const { connection, lastError } = status;
    const last = lastError === null ? '' : `; last error ${lastError.code}: ${lastError.detail}`;
    return okLine('process', `the agent runs here: ${connection}${last}`);
  }
  const holder = await lockHolder(`${statePath(dataDir)}/LOCK`);
  if (holder === undefined) return okLine('process', 'no agent runs on this data directory');
  return failedLine(
    'process',
    `process ${String(holder)} holds the database of ${dataDir}, and answers nobody`,
    'stop that process, or wait until it has started; two on one directory would fence each other',
  );
}

async function statusOf(dataDir: string): Promise<AgentStatus | undefined> {
  try {
    return JSON.parse(await fetchStatus(socketPath(dataDir), STATUS_MS)) as AgentStatus;
  } catch {
    return undefined;
  }
}

/** A certificate that has ended is renewed by the agent itself, with its signature. */
function certificateAgeLine({ certificate }: Pick<EnrolmentRecord, 'certificate'>, nowMs: number): CheckLine {
  const validity = certificateReader.validity(certificate);
  const left = durationText(Math.abs(validity.notAfterMs - nowMs));
  if (nowMs < validity.notBeforeMs)
    return failedLine('certificate', 'begins in the future', 'set the clock of this machine');
  if (certificateState(validity, nowMs) === 'Expired')
    return noteLine(
      'certificate',
      `ended ${left} ago`,
      'start the agent: it renews with its signature, unless it was revoked meanwhile; the enrol port must be open',
    );
  return okLine('certificate', `valid for ${left} more; renewed by itself`);
}
