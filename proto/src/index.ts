export { TributaryError, type TributaryErrorOptions } from './errors/tributary-error.js';
export {
  ERROR_CODES,
  ERROR_TABLE,
  isErrorCode,
  type ErrorCode,
  type ErrorEntry,
  type GrpcStatusName,
} from './errors/error-table.js';
export { LIMITS } from './limits.js';
export {
  formatId,
  isDigest,
  isName,
  requireDigest,
  requireId,
  requireName,
  type Digest,
  type IdPrefix,
} from './ids.js';
export { canonicalize, canonicalText, isJsonObject, parseCanonical, type JsonObject, type JsonValue } from './canonical-json.js';
export {
  decodeBase64,
  decodeBase64Url,
  decodeHex,
  encodeBase64,
  encodeBase64Url,
  encodeHex,
  requireLength,
} from './byte-text.js';

export {
  ED25519,
  requireSignature,
  signingKeyFromSeed,
  verifySignature,
  type SigningKey,
} from './signing/ed25519.js';
export { digestFromHash, digestOf, hashFromDigest, sha256, startDigest, type DigestStream } from './signing/hash.js';
export { transcript, type TranscriptContext, type TranscriptFields } from './signing/transcript.js';

export { ENTRY_BODIES, ENTRY_TYPES, type EntryBody, type EntryType } from './ledger/entry-types.js';
export { decodeEntry, encodeEntry, ENTRY_VERSION, type LedgerEntry, type NewEntry } from './ledger/entry.js';
export {
  consistencyProof,
  emptyRoot,
  inclusionProof,
  leafHash,
  merkleRoot,
  nodeHash,
  type MerkleNode,
  type NodeReader,
} from './ledger/merkle.js';
export { MerkleFrontier } from './ledger/merkle-frontier.js';
export { verifyConsistency, verifyInclusion } from './ledger/merkle-proof.js';
export { logIdOf, signTreeHead, verifyTreeHead, type SignedTreeHead, type TreeHead } from './ledger/tree-head.js';

export { encodeManifest, parseManifest, signManifest, verifyManifest, type ModelManifest } from './model/manifest.js';
