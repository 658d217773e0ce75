import {
  digestOf,
  encodeBase64,
  joinTokenKey,
  kindOf,
  logIdOf,
  signingKeyFromSeed,
  transcript,
  TributaryError,
  WIRE_VERSIONS,
  type IdentityKind,
  type JoinToken,
} from '@tributary/proto';

import type {
  CertificateReader,
  ChannelIdentity,
  Clock,
  Dialer,
  EnrolAnswer,
  EnrolmentClient,
  Random,
  StateStore,
  TlsKeyMaker,
} from '../ports.js';
import {
  readEnrolment,
  readPendingJoin,
  writeEnrolment,
  writePendingJoin,
  type EnrolmentRecord,
  type PendingJoin,
} from './enrolment-record.js';
import { TREE_HEAD } from './witness.js';

export interface JoiningParts {
  readonly store: StateStore;
  readonly dialer: Dialer;
  readonly keys: TlsKeyMaker;
  readonly certificates: CertificateReader;
  readonly random: Random;
  readonly clock: Clock;
}

export interface JoinResult {
  readonly agentId: string;
  readonly site: string;
  readonly kind: IdentityKind;
  readonly logId: string;
  /** False where this token had been used by this agent before. */
  readonly fresh: boolean;
}

/**
 * Joins the federation that `token` names. The keys are durable before they are shown to anybody, so a join that was
 * cut off is simply run again. Rejects with CA_MISMATCH, TOKEN_*, SIGNATURE_INVALID, UNAVAILABLE.
 */
export async function join(parts: JoiningParts, token: JoinToken): Promise<JoinResult> {
  const before = await readEnrolment(parts.store);
  if (before?.tokenId === token.tokenId) return { ...resultOf(before), fresh: false };
  if (before !== undefined) requireSameKind(before, token);
  const pending = await pendingJoin(parts, token.tokenId);
  const client = await parts.dialer.enrolment(token.enrolAddress, await authenticated(parts.dialer, token));
  let answer: EnrolAnswer;
  try {
    answer = await enroll(client, token, pending);
  } finally {
    client.close();
  }
  requireHonest(parts.certificates, token, pending, answer);
  const record = recordOf(token, pending, answer, parts.clock.now());
  const forget = before !== undefined && before.logId !== record.logId ? { [TREE_HEAD]: undefined } : {};
  await writeEnrolment(parts.store, record, forget);
  return { ...resultOf(record), fresh: true };
}

const resultOf = ({ agentId, site, kind, logId }: EnrolmentRecord): Omit<JoinResult, 'fresh'> => ({
  agentId,
  site,
  kind: kindOf(kind),
  logId,
});

/** What a data directory holds belongs to one kind of identity: a replica has no use for an outbox. */
function requireSameKind(before: EnrolmentRecord, token: JoinToken): void {
  if (before.kind === token.kind) return;
  throw new TributaryError(
    'CONFLICT',
    `the token is for a ${kindOf(token.kind)} identity, and this data directory holds a ${kindOf(before.kind)} one`,
    { hint: 'Join with it in an empty data directory.' },
  );
}

async function pendingJoin({ store, keys, random }: JoiningParts, tokenId: string): Promise<PendingJoin> {
  const known = await readPendingJoin(store);
  if (known?.tokenId === tokenId) return known;
  const { privateKey, csr } = await keys.create();
  const made = { tokenId, identitySeed: random.bytes(32), tlsKey: privateKey, csr };
  await writePendingJoin(store, made);
  return made;
}

/**
 * Looks at the chain before anything is sent: it must hold the very CA whose digest the operator handed over. Behind a
 * proxy that ends TLS it does not; then the site's own CA bundle vouches for the connection, and the answer for the CA.
 */
async function authenticated(dialer: Dialer, token: JoinToken): Promise<Partial<ChannelIdentity>> {
  const chain = await dialer.presentedChain(token.enrolAddress);
  const authority = chain.find((certificate) => digestOf(certificate) === token.caDigest);
  if (authority !== undefined) return { authority };
  if (dialer.hasBundle) return {};
  throw mismatch(`${token.enrolAddress} presents no certificate authority of digest ${token.caDigest}`);
}

function enroll(
  client: EnrolmentClient,
  token: JoinToken,
  { identitySeed, csr }: PendingJoin,
): Promise<EnrolAnswer> {
  const identity = signingKeyFromSeed(identitySeed);
  const statement = transcript('enroll', {
    tokenId: token.tokenId,
    identityKey: encodeBase64(identity.publicKey),
    csrDigest: digestOf(csr),
  });
  return client.enroll({
    versions: WIRE_VERSIONS,
    tokenId: token.tokenId,
    identityKey: identity.publicKey,
    csr,
    tokenSignature: joinTokenKey(token).sign(statement),
    identitySignature: identity.sign(statement),
  });
}

/** The answer must fit what the operator handed over and the keys that were sent. */
function requireHonest(
  certificates: CertificateReader,
  token: JoinToken,
  pending: PendingJoin,
  answer: EnrolAnswer,
): void {
  if (digestOf(answer.authority) !== token.caDigest)
    throw mismatch('the answer names another certificate authority than the join token');
  if (answer.site !== token.site) throw untrue('site', `the token is for ${token.site}`);
  if (answer.kind !== (token.kind ?? ''))
    throw untrue('kind', `the token is for a ${kindOf(token.kind)} identity`);
  if (answer.logId !== logIdOf(answer.logKey)) throw untrue('logId', 'it is not the digest of logKey');
  if (!certificates.belongs(answer.certificate, answer.authority, pending.tlsKey)) {
    throw untrue('certificate', 'it was not issued by that authority for the key of this agent');
  }
  if (!WIRE_VERSIONS.includes(answer.version)) {
    throw new TributaryError(
      'VERSION_UNSUPPORTED',
      `the coordinator chose wire version ${answer.version.slice(0, 16)}, which this agent does not speak`,
    );
  }
}

function recordOf(
  token: JoinToken,
  pending: PendingJoin,
  answer: EnrolAnswer,
  obtainedAtMs: number,
): EnrolmentRecord {
  const { agentId, site, certificate, authority, logId, logKey, modelKey, fleetAddress } = answer;
  const { identitySeed, tlsKey } = pending;
  const { tokenId, enrolAddress } = token;
  return {
    ...(token.kind && { kind: token.kind }),
    ...{ agentId, site, tokenId, identitySeed, tlsKey, certificate, obtainedAtMs },
    ...{ authority, logId, logKey, modelKey, fleetAddress, enrolAddress },
  };
}

const mismatch = (what: string): TributaryError => new TributaryError('CA_MISMATCH', what);
const untrue = (field: string, what: string): TributaryError =>
  new TributaryError('SIGNATURE_INVALID', `${field} of the coordinator's answer: ${what}`, {
    fields: { field },
  });
