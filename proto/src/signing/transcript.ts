import { canonicalize, type JsonObject, type JsonValue } from '../canonical-json.js';
import type { Digest } from '../ids.js';

/**
 * What each kind of signature covers. Byte fields are standard base64, 64-bit numbers decimal strings. A signature that
 * covered less could be replayed where it was not meant.
 */
export type TranscriptFields = {
  readonly 'tree-head': {
    readonly logId: string;
    /** 64 hex digits. */
    readonly rootHash: string;
    readonly time: string;
    readonly treeSize: string;
    readonly v: 1;
  };
  readonly enroll: { readonly tokenId: string; readonly identityKey: string; readonly csrDigest: Digest };
  readonly renew: {
    readonly agentId: string;
    readonly nonce: string;
    readonly csrDigest: Digest;
    readonly logId: string;
  };
  readonly hello: {
    readonly agentId: string;
    readonly logId: string;
    readonly sessionEpoch: string;
    readonly spendLogHead: string;
    readonly versions: readonly string[];
  };
  readonly 'envelope-header': { readonly header: JsonObject };
  readonly 'envelope-seal': {
    readonly headerDigest: Digest;
    readonly chunkCount: number;
    readonly tagsDigest: Digest;
  };
  readonly document: { readonly document: JsonValue };
  /** Signed by keys of the federation root. */
  readonly roster: { readonly roster: JsonValue };
  /** Signed by keys of the root that hands over. */
  readonly root: { readonly rotation: JsonValue };
  /** Signed by an agent for whoever writes the roster: it holds the key. */
  readonly identity: {
    readonly site: string;
    readonly agentId: string;
    readonly identityKey: string;
    readonly logId: string;
  };
  readonly 'model-manifest': { readonly manifestDigest: Digest };
  readonly stage: {
    readonly wire: string;
    readonly logId: string;
    readonly jobId: string;
    readonly round: number;
    readonly attempt: number;
    readonly stage: string;
    readonly agentId: string;
    readonly payloadDigest: Digest;
  };
};

export type TranscriptContext = keyof TranscriptFields;

/**
 * The bytes that are signed: canonical JSON of the fields and `context`, which names the kind of statement, so that no
 * signature of one kind can serve as another.
 */
export function transcript<C extends TranscriptContext>(context: C, fields: TranscriptFields[C]): Uint8Array {
  return canonicalize({ ...fields, context: `tributary.v1/${context}` });
}
