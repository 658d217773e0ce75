import { z } from 'zod';

import { decodeBase64, encodeBase64 } from '../byte-text.js';
import { isJsonObject, type JsonValue } from '../canonical-json.js';
import { nameSchema } from '../documents/metadata.js';
import { publicKeySchema } from '../documents/public-key.js';
import { TributaryError } from '../errors/tributary-error.js';
import { isId } from '../ids.js';
import { verifySignature, type SigningKey } from '../signing/ed25519.js';
import { digestOf } from '../signing/hash.js';
import { transcript } from '../signing/transcript.js';
import { requireFormat } from '../versions.js';
import { digestSchema } from '../text-schemas.js';
import { MEMBERSHIP_FORMAT, notMembership } from './federation-root.js';

const statementSchema = z.strictObject({
  formatVersion: z.literal(MEMBERSHIP_FORMAT),
  site: nameSchema,
  agentId: z.string().refine((value) => isId(value, 'agt'), 'not an agent id'),
  identityKey: publicKeySchema,
  /** Of the key: short enough to be read out to whoever writes the roster. */
  fingerprint: digestSchema,
  logId: z.string().regex(/^[0-9a-f]{64}$/),
  signature: z.string().max(88),
});

/** Who an agent is, in its own words: what `tributary-agent identity` prints for whoever writes the roster. */
export type IdentityStatement = z.output<typeof statementSchema>;

/** The statement of an agent, signed with its identity key: proof that it holds the key. */
export function identityStatement(
  agent: { readonly site: string; readonly agentId: string; readonly logId: string },
  key: Pick<SigningKey, 'publicKey' | 'sign'>,
): IdentityStatement {
  const { site, agentId, logId } = agent;
  const said = { site, agentId, identityKey: encodeBase64(key.publicKey), logId };
  return {
    formatVersion: MEMBERSHIP_FORMAT,
    ...said,
    fingerprint: digestOf(key.publicKey),
    signature: encodeBase64(key.sign(transcript('identity', said))),
  };
}

/** Reads and verifies a statement. Throws ROSTER_INVALID, SIGNATURE_INVALID, FORMAT_UNSUPPORTED. */
export function parseIdentityStatement(value: JsonValue): IdentityStatement {
  if (isJsonObject(value)) requireFormat(value['formatVersion'], 'the identity', MEMBERSHIP_FORMAT);
  const parsed = statementSchema.safeParse(value);
  if (!parsed.success) throw notMembership('the identity', parsed.error);
  const { site, agentId, identityKey, logId, fingerprint, signature } = parsed.data;
  const key = decodeBase64(identityKey, 'identityKey', 32);
  const message = transcript('identity', { site, agentId, identityKey, logId });
  if (
    fingerprint === digestOf(key) &&
    verifySignature(key, message, decodeBase64(signature, 'signature', 64))
  )
    return parsed.data;
  throw new TributaryError('SIGNATURE_INVALID', `the identity of site ${site} is not signed by its own key`, {
    hint: 'have the site run `tributary-agent identity` again and send the whole of what it prints',
  });
}
