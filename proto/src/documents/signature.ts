import type { JsonObject } from '../canonical-json.js';
import { requireSignature, type SigningKey } from '../signing/ed25519.js';
import { transcript } from '../signing/transcript.js';
import { documentIdentity } from './identity.js';

/** 64-byte Ed25519 signature of the author over the identity of `document` (see documentIdentity). */
export function signDocument(document: JsonObject, key: Pick<SigningKey, 'sign'>): Uint8Array {
  return key.sign(transcript('document', { document: documentIdentity(document) }));
}

/** Throws SIGNATURE_INVALID unless `signature` is that of `authorKey` (32 bytes) over the identity of `document`. */
export function verifyDocument(document: JsonObject, authorKey: Uint8Array, signature: Uint8Array): void {
  const signed = transcript('document', { document: documentIdentity(document) });
  requireSignature(authorKey, signed, signature, 'the document');
}
