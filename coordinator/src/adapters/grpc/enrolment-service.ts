import {
  LIMITS,
  decodeBase64,
  digestOf,
  encodeBase64,
  formatId,
  negotiate,
  requireId,
  requireSignature,
  transcript,
  TributaryError,
  writtenKind,
  type Digest,
} from '@tributary/proto';
import type {
  Challenge,
  EnrolmentHandlers,
  EnrollRequest__Output,
  EnrollResponse,
  GetChallengeRequest__Output,
  RenewRequest__Output,
  RenewResponse,
} from '@tributary/proto/grpc';

import type { Federation } from '../../app/federation.js';
import { requireJoinable } from '../../domain/enrolment.js';
import type { AgentState, TokenState } from '../../domain/federation-state.js';
import type { Clock, Random } from '../../ports.js';
import type { CertificateAuthority } from '../pki/certificate-authority.js';
import { requestedKey } from '../pki/certificate-request.js';
import type { Calls } from './calls.js';
import { Challenges } from './challenges.js';
import { RateLimit } from './rate-limit.js';
import { fromEnroll, fromRenew, type EnrolmentOffer } from './wire/enrolment.js';

export interface EnrolmentParts {
  readonly federation: Federation;
  readonly authority: CertificateAuthority;
  readonly clock: Clock;
  readonly random: Random;
  readonly calls: Calls;
  /** host:port of the fleet listener, as agents reach it. */
  readonly fleetAddress: () => string;
}

/** Joining and renewing, without client certificates: signatures stand for them. */
export function enrolmentService(parts: EnrolmentParts): EnrolmentHandlers {
  const challenges = new Challenges(parts.clock, parts.random);
  const rate = new RateLimit(
    'certificates for one agent',
    LIMITS.certificatesPerHour,
    LIMITS.rateWindowMs,
    parts.clock,
  );
  return {
    Enroll: parts.calls.unary('Enroll', (request) => enroll(parts, rate, request)),
    GetChallenge: parts.calls.unary('GetChallenge', (request) => challenge(parts, challenges, request)),
    Renew: parts.calls.unary('Renew', (request) => renew(parts, challenges, rate, request)),
  };
}

async function enroll(
  parts: EnrolmentParts,
  rate: RateLimit,
  request: EnrollRequest__Output,
): Promise<EnrollResponse> {
  const offer = fromEnroll(request);
  const version = negotiate(offer.versions);
  const keyDigest = await verifyEnrolment(parts, offer);
  rate.take(offer.tokenId);
  const identityKey = encodeBase64(offer.identityKey);
  const agentId = formatId('agt', parts.random.bytes(16));
  // A repeat with the same key changes nothing: the agent of the first answer is found below.
  await parts.federation.execute({
    kind: 'enrol-agent',
    now: parts.clock.now(),
    actor: `agent/${agentId}`,
    tokenId: offer.tokenId,
    identityKey,
    keyDigest,
    agentId,
  });
  const joined = agentOfToken(parts, offer.tokenId);
  return {
    version,
    agentId: joined.agentId,
    site: joined.site,
    kind: writtenKind(joined.kind).kind ?? '',
    certificate: await certificateFor(parts, joined, offer.csr),
    ...answerKeys(parts),
  };
}

/** Signatures before anything else: nothing is looked at, or recorded, for somebody without the token's secret. */
async function verifyEnrolment(parts: EnrolmentParts, offer: EnrolmentOffer): Promise<Digest> {
  const token = tokenOf(parts, offer.tokenId);
  const signed = transcript('enroll', {
    tokenId: offer.tokenId,
    identityKey: encodeBase64(offer.identityKey),
    csrDigest: digestOf(offer.csr),
  });
  requireSignature(decodeBase64(token.key, 'token.key'), signed, offer.tokenSignature, 'the join token');
  try {
    requireSignature(offer.identityKey, signed, offer.identitySignature, 'the identity key');
  } catch (error) {
    // Whoever holds the token and no key yet (`tributary-agent check`) hears whether it is worth one.
    requireJoinable(parts.federation.state, token, parts.clock.now());
    throw error;
  }
  return digestOf(await requestedKey(offer.csr));
}

function tokenOf(parts: EnrolmentParts, tokenId: string): TokenState {
  const token = parts.federation.state.tokens.get(tokenId);
  if (token !== undefined) return token;
  throw new TributaryError(
    'TOKEN_INVALID',
    'this federation knows no such join token, or a newer one for the site replaced it',
    {
      hint: 'ask for a new one: tributary invite SITE',
    },
  );
}

/** The name in a certificate tells a replica from an agent that trains. */
async function certificateFor(
  { authority }: EnrolmentParts,
  { agentId, kind }: AgentState,
  csr: Uint8Array,
): Promise<Uint8Array> {
  const issued =
    kind === 'Serving' ? authority.issueReplica(agentId, csr) : authority.issueAgent(agentId, csr);
  return (await issued).certificate;
}

/** What `Enroll` is answered from, the first time and every other. */
function agentOfToken(parts: EnrolmentParts, tokenId: string): AgentState {
  const agent = parts.federation.state.agents.get(tokenOf(parts, tokenId).usedBy ?? '');
  if (agent === undefined) throw new TributaryError('INTERNAL', 'a used token has no agent');
  return agent;
}

function answerKeys(
  parts: EnrolmentParts,
): Pick<EnrollResponse, 'caCertificate' | 'logId' | 'logKey' | 'modelKey' | 'fleetAddress'> {
  const info = parts.federation.state.federation;
  if (info === undefined)
    throw new TributaryError('INTERNAL', 'the ledger does not begin with federation.created');
  return {
    caCertificate: parts.authority.certificate,
    logId: parts.federation.logId,
    logKey: decodeBase64(info.logKey, 'logKey'),
    modelKey: decodeBase64(info.modelKey, 'modelKey'),
    fleetAddress: parts.fleetAddress(),
  };
}

function challenge(
  parts: EnrolmentParts,
  challenges: Challenges,
  request: GetChallengeRequest__Output,
): Promise<Challenge> {
  const agentId = requireId(request.agentId, 'agt', 'agentId');
  requireMember(parts, agentId);
  return Promise.resolve(challenges.issue(agentId));
}

async function renew(
  parts: EnrolmentParts,
  challenges: Challenges,
  rate: RateLimit,
  request: RenewRequest__Output,
): Promise<RenewResponse> {
  const offer = fromRenew(request);
  const agent = requireMember(parts, offer.agentId);
  challenges.require(offer.agentId, offer.nonce);
  const signed = transcript('renew', {
    agentId: offer.agentId,
    nonce: encodeBase64(offer.nonce),
    csrDigest: digestOf(offer.csr),
    logId: parts.federation.logId,
  });
  requireSignature(
    decodeBase64(agent.identityKey, 'identityKey'),
    signed,
    offer.identitySignature,
    'the identity key',
  );
  challenges.consume(offer.agentId);
  rate.take(offer.agentId);
  const keyDigest = digestOf(await requestedKey(offer.csr));
  await parts.federation.execute({
    kind: 'renew-agent',
    now: parts.clock.now(),
    actor: `agent/${offer.agentId}`,
    agentId: offer.agentId,
    keyDigest,
  });
  return {
    certificate: await certificateFor(parts, agent, offer.csr),
    caCertificate: parts.authority.certificate,
  };
}

function requireMember(parts: EnrolmentParts, agentId: string): AgentState {
  const agent = parts.federation.state.agents.get(agentId);
  if (agent === undefined)
    throw new TributaryError('NOT_FOUND', `no agent ${agentId} has joined this federation`);
  if (agent.revokedAt === undefined) return agent;
  throw new TributaryError('AGENT_REVOKED', `agent ${agentId} was revoked`, {
    hint: 'the operator must invite the site again',
  });
}
