import {
  canonicalize,
  isJsonObject,
  parseCanonical,
  type JsonObject,
  type JsonValue,
} from '../canonical-json.js';
import { TributaryError } from '../errors/tributary-error.js';
import type { Digest } from '../ids.js';
import { LIMITS } from '../limits.js';
import { verifySignature, type SigningKey } from '../signing/ed25519.js';
import { digestOf } from '../signing/hash.js';
import { transcript } from '../signing/transcript.js';
import { requireFormat } from '../versions.js';
import { blame, roundFields, type SecureRound, type SpokenStage } from './secure-round.js';
import { SECAGG_VERSION, STAGE_PAYLOADS, type StagePayload } from './stage-payloads.js';

/** A message of a stage as it is stored and sent. Round, stage and sender are known from where it arrives. */
export interface SignedStage {
  /** Canonical JSON of a {@link StagePayload}. */
  readonly payload: Uint8Array;
  /** Ed25519, 64 bytes, over the "stage" transcript. */
  readonly signature: Uint8Array;
}

/** Who is expected to have signed. */
export interface Signer {
  readonly agentId: string;
  /** Ed25519, 32 bytes, of the membership: never one that arrived with the message. */
  readonly identityKey: Uint8Array;
}

/** Signs the message of a stage. Throws INVALID_ARGUMENT for a payload that could not be read again. */
export function signStage<S extends SpokenStage>(
  round: SecureRound,
  stage: S,
  agentId: string,
  payload: StagePayload<S>,
  key: Pick<SigningKey, 'sign'>,
): SignedStage {
  const bytes = canonicalize(payload);
  decodeStage(stage, agentId, bytes);
  return { payload: bytes, signature: key.sign(stageTranscript(round, stage, agentId, bytes)) };
}

/**
 * Reads a message of a stage and verifies its signature. Throws SECAGG_MESSAGE_INVALID, naming agent and stage, where it
 * is malformed, of another round or stage, or signed by another key; FORMAT_UNSUPPORTED for a newer format.
 */
export function openStage<S extends SpokenStage>(
  round: SecureRound,
  stage: S,
  { agentId, identityKey }: Signer,
  { payload, signature }: SignedStage,
): StagePayload<S> {
  if (payload.length > LIMITS.stagePayloadBytes)
    throw blame(agentId, stage, `a payload has at most ${String(LIMITS.stagePayloadBytes)} bytes`);
  if (!verifySignature(identityKey, stageTranscript(round, stage, agentId, payload), signature))
    throw blame(agentId, stage, 'its signature is not of this agent, round and stage');
  return decodeStage(stage, agentId, payload);
}

/** What names the payload of a stage in transcripts and entries. */
export function stageDigest(payload: Uint8Array): Digest {
  return digestOf(payload);
}

/** An object that is canonical JSON of at most `limit` bytes. Throws SECAGG_MESSAGE_INVALID or FORMAT_UNSUPPORTED. */
export function readCanonical(bytes: Uint8Array, what: string, limit: number): JsonObject {
  let value: JsonValue;
  try {
    value = parseCanonical(bytes, limit);
  } catch (cause) {
    throw new TributaryError('SECAGG_MESSAGE_INVALID', `${what} is not canonical JSON`, { cause });
  }
  if (!isJsonObject(value)) throw new TributaryError('SECAGG_MESSAGE_INVALID', `${what} is not an object`);
  requireFormat(value['formatVersion'], what, SECAGG_VERSION);
  return value;
}

function decodeStage<S extends SpokenStage>(stage: S, agentId: string, bytes: Uint8Array): StagePayload<S> {
  const what = `${stage} of ${agentId}`;
  let value: JsonObject;
  try {
    value = readCanonical(bytes, what, LIMITS.stagePayloadBytes);
  } catch (error) {
    if (error instanceof TributaryError && error.code === 'FORMAT_UNSUPPORTED') throw error;
    throw blame(agentId, stage, 'not a canonical JSON object', error);
  }
  const parsed = STAGE_PAYLOADS[stage].safeParse(value);
  if (parsed.success) return parsed.data as StagePayload<S>;
  const [issue] = parsed.error.issues;
  throw blame(
    agentId,
    stage,
    `${(issue?.path ?? []).map(String).join('.')}: ${issue?.message ?? 'malformed'}`,
  );
}

function stageTranscript(
  round: SecureRound,
  stage: SpokenStage,
  agentId: string,
  payload: Uint8Array,
): Uint8Array {
  return transcript('stage', {
    ...roundFields(round),
    stage,
    agentId,
    payloadDigest: digestOf(payload),
  });
}
