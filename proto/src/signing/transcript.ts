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
  /** Of an agent: it has seen this head, and it continues every one that it saw before. */
  readonly cosignature: {
    readonly agentId: string;
    readonly logId: string;
    /** 64 hex digits. */
    readonly rootHash: string;
    /** When, by the clock of the site. */
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
  /** A site's own decision about a job: signed by its agent, and by the approver where it was another key. */
  readonly approval: {
    readonly logId: string;
    readonly jobId: string;
    /** Of the canonical JSON of the job document. */
    readonly jobDigest: Digest;
    readonly site: string;
    readonly agentId: string;
    /** Standard base64 of the key that decided. */
    readonly approver: string;
    readonly decision: 'Approved' | 'Rejected';
    readonly time: string;
  };
  /** How far a site's own log had come. */
  readonly 'decision-head': {
    readonly logId: string;
    readonly agentId: string;
    /** Lines before the one that holds the signature. */
    readonly count: number;
    /** Of the last of them. */
    readonly digest: Digest;
    readonly time: string;
  };
  /** What left a site for a job. */
  readonly 'egress-receipt': { readonly receipt: JsonObject };
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
