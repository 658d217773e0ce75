import {
  encodeBase64,
  kindOf,
  signingKeyFromSeed,
  TributaryError,
  type IdentityKind,
  type SigningKey,
} from '@tributary/proto';
import { z } from 'zod';

import type { ChannelIdentity, StateStore, TlsKey } from '../ports.js';
import { bytesField, encodeRecord, readRecord } from './records.js';

const ENROLMENT = 'enrolment';
const PENDING_JOIN = 'pending-join';
const PENDING_RENEWAL = 'pending-renewal';

const enrolmentSchema = z.strictObject({
  agentId: z.string(),
  site: z.string(),
  /** Of a replica; absent for an agent that trains. */
  kind: z.literal('Serving').optional(),
  tokenId: z.string(),
  identitySeed: bytesField(32),
  tlsKey: bytesField(),
  certificate: bytesField(),
  /** Milliseconds since the epoch at which the certificate arrived: issuers date them back. */
  obtainedAtMs: z.int().nonnegative(),
  authority: bytesField(),
  logId: z.string(),
  logKey: bytesField(32),
  modelKey: bytesField(32),
  fleetAddress: z.string(),
  enrolAddress: z.string(),
});

/** Who the agent is to its coordinator. Secret: it holds both private keys. */
export type EnrolmentRecord = z.output<typeof enrolmentSchema>;

const pendingJoinSchema = z.strictObject({
  tokenId: z.string(),
  identitySeed: bytesField(32),
  tlsKey: bytesField(),
  csr: bytesField(),
});

/** Keys made for a token before it is used: the same token must always meet the same key. */
export type PendingJoin = z.output<typeof pendingJoinSchema>;

const tlsKeySchema = z.strictObject({ tlsKey: bytesField(), csr: bytesField() });

/** The enrolment, or undefined before the first join. */
export const readEnrolment = (store: StateStore): Promise<EnrolmentRecord | undefined> =>
  readRecord(store, ENROLMENT, enrolmentSchema);

/** The enrolment; rejects with UNAUTHENTICATED where the agent has not joined. */
export async function requireEnrolment(store: StateStore): Promise<EnrolmentRecord> {
  const enrolment = await readEnrolment(store);
  if (enrolment !== undefined) return enrolment;
  throw new TributaryError('UNAUTHENTICATED', 'this agent has not joined a federation', {
    hint: 'tributary-agent join --config agent.yaml --token TOKEN',
  });
}

/** How each kind of identity is started. */
export const STARTED_BY: Readonly<Record<IdentityKind, string>> = {
  Training: 'tributary-agent run',
  Serving: 'tributary-agent serve',
};

/** Throws CONFLICT where the identity is of the other kind. */
export function requireKind({ kind: written, site }: EnrolmentRecord, wanted: IdentityKind): void {
  const kind = kindOf(written);
  if (kind === wanted) return;
  const is = kind === 'Serving' ? 'a replica, which only serves' : 'the agent that trains';
  throw new TributaryError(
    'CONFLICT',
    `this data directory holds the identity of ${is} for site ${site}; \`${STARTED_BY[wanted]}\` takes the other kind`,
    { hint: `Start it with \`${STARTED_BY[kind]}\`, or join with another token in an empty data directory.` },
  );
}

export const readPendingJoin = (store: StateStore): Promise<PendingJoin | undefined> =>
  readRecord(store, PENDING_JOIN, pendingJoinSchema);

export function writePendingJoin(store: StateStore, pending: PendingJoin): Promise<void> {
  const { tokenId, identitySeed, tlsKey, csr } = pending;
  const fields = {
    tokenId,
    identitySeed: encodeBase64(identitySeed),
    tlsKey: encodeBase64(tlsKey),
    csr: encodeBase64(csr),
  };
  return store.put({ [PENDING_JOIN]: encodeRecord(fields) });
}

/** A key for the next certificate that the coordinator may know already: its answer may have been lost. */
export async function readPendingRenewal(store: StateStore): Promise<TlsKey | undefined> {
  const pending = await readRecord(store, PENDING_RENEWAL, tlsKeySchema);
  return pending === undefined ? undefined : { privateKey: pending.tlsKey, csr: pending.csr };
}

export function writePendingRenewal(store: StateStore, { privateKey, csr }: TlsKey): Promise<void> {
  return store.put({
    [PENDING_RENEWAL]: encodeRecord({ tlsKey: encodeBase64(privateKey), csr: encodeBase64(csr) }),
  });
}

/** Takes over a new certificate, or a whole new enrolment, and forgets what was pending: all or none. */
export function writeEnrolment(
  store: StateStore,
  record: EnrolmentRecord,
  also: Readonly<Record<string, undefined>> = {},
): Promise<void> {
  const { agentId, site, kind, tokenId, obtainedAtMs, logId, fleetAddress, enrolAddress } = record;
  const fields = {
    obtainedAtMs,
    agentId,
    site,
    ...(kind && { kind }),
    tokenId,
    logId,
    fleetAddress,
    enrolAddress,
    identitySeed: encodeBase64(record.identitySeed),
    tlsKey: encodeBase64(record.tlsKey),
    certificate: encodeBase64(record.certificate),
    authority: encodeBase64(record.authority),
    logKey: encodeBase64(record.logKey),
    modelKey: encodeBase64(record.modelKey),
  };
  return store.put({
    ...also,
    [ENROLMENT]: encodeRecord(fields),
    [PENDING_JOIN]: undefined,
    [PENDING_RENEWAL]: undefined,
  });
}

export const identityKeyOf = ({ identitySeed }: Pick<EnrolmentRecord, 'identitySeed'>): SigningKey =>
  signingKeyFromSeed(identitySeed);

export const channelIdentityOf = ({ authority, certificate, tlsKey }: EnrolmentRecord): ChannelIdentity => ({
  authority,
  client: { certificate, privateKey: tlsKey },
});
