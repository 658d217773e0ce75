import { decodeBase64, encodeBase64 } from '../byte-text.js';
import { isJsonObject, parseCanonical } from '../canonical-json.js';
import { verifyDocument } from '../documents/signature.js';
import { TributaryError } from '../errors/tributary-error.js';
import { isDigest, type Digest } from '../ids.js';
import { LIMITS } from '../limits.js';
import { requireSignature } from '../signing/ed25519.js';
import { digestOf } from '../signing/hash.js';
import { transcript } from '../signing/transcript.js';
import type { Statement, StatementOf } from './statements.js';
import { logIdOf } from './tree-head.js';

/** An agent as the ledger enrolled it. */
export interface EnrolledAgent {
  readonly site: string;
  readonly identityKey: string;
}

/**
 * The signatures inside of entries: authors of jobs and rollouts, sites that decided, the key of the models. What refers
 * to an entry whose bytes are not there cannot be judged: checks then say false.
 */
export class StatementChecks {
  readonly #logKey: string;
  readonly #logId: string;
  readonly #agents = new Map<string, EnrolledAgent>();
  /** Digest of the document of each job. */
  readonly #jobs = new Map<string, Digest>();
  #modelKey: string | undefined;

  constructor(logKey: Uint8Array) {
    this.#logKey = encodeBase64(logKey);
    this.#logId = logIdOf(logKey);
  }

  agent(agentId: string): EnrolledAgent | undefined {
    return this.#agents.get(agentId);
  }

  /**
   * True where a signature was verified, false where it could not be judged, undefined where the entry has none. Throws
   * SIGNATURE_INVALID.
   */
  judge(entry: Statement): boolean | undefined {
    switch (entry.type) {
      case 'federation.created':
        return void this.#founded(entry);
      case 'agent.enrolled':
        return void this.#enrolled(entry);
      case 'job.submitted':
        this.#jobs.set(entry.body.jobId, digestOf(new TextEncoder().encode(entry.body.document)));
        return authored(entry);
      case 'rollout.applied':
        return authored(entry);
      case 'job.approved':
      case 'job.rejected':
        return this.#decided(entry);
      case 'model.registered':
        return this.#registered(entry);
      default:
        return undefined;
    }
  }

  #founded({ seq, body }: StatementOf<'federation.created'>): void {
    if (seq !== 0) throw new TributaryError('SIGNATURE_INVALID', 'the ledger was begun before');
    this.#modelKey = body.modelKey;
    if (body.logKey === this.#logKey) return;
    throw new TributaryError('SIGNATURE_INVALID', 'the ledger was begun with another key of tree heads');
  }

  #enrolled({ body }: StatementOf<'agent.enrolled'>): void {
    this.#agents.set(body.agentId, { site: body.site, identityKey: body.identityKey });
  }

  /** Throws SIGNATURE_INVALID unless approver and agent signed this decision about this document. */
  #decided({ type, body }: StatementOf<'job.approved'> | StatementOf<'job.rejected'>): boolean {
    const { jobId, site, agentId, jobDigest, approverKey, decidedAt } = body;
    const agent = this.#agents.get(agentId);
    const digest = this.#jobs.get(jobId);
    if (agent === undefined || digest === undefined) return false;
    if (agent.site !== site || digest !== jobDigest)
      throw new TributaryError('SIGNATURE_INVALID', 'the decision is of another site or document');
    const signed = transcript('approval', {
      ...{ logId: this.#logId, jobId, jobDigest, site, agentId, approver: approverKey },
      decision: type === 'job.approved' ? 'Approved' : 'Rejected',
      time: decidedAt,
    });
    const what = 'the decision';
    requireSignature(bytesOf(agent.identityKey), signed, bytesOf(body.siteSignature), what);
    requireSignature(bytesOf(approverKey), signed, bytesOf(body.signature), what);
    return true;
  }

  /** Throws SIGNATURE_INVALID unless the key of the models signed this manifest. */
  #registered({ body }: StatementOf<'model.registered'>): boolean {
    const { manifestDigest } = body;
    if (this.#modelKey === undefined) return false;
    if (!isDigest(manifestDigest)) throw new TributaryError('SIGNATURE_INVALID', 'the model has no manifest');
    const signed = transcript('model-manifest', { manifestDigest });
    requireSignature(bytesOf(this.#modelKey), signed, bytesOf(body.signature), 'the model');
    return true;
  }
}

/** Throws SIGNATURE_INVALID unless the author signed this document. */
function authored({
  body,
}: Pick<StatementOf<'job.submitted'> | StatementOf<'rollout.applied'>, 'body'>): true {
  try {
    const document = parseCanonical(new TextEncoder().encode(body.document), LIMITS.documentBytes);
    if (!isJsonObject(document)) throw new TypeError('not an object');
    verifyDocument(document, bytesOf(body.authorKey), bytesOf(body.signature));
    return true;
  } catch (cause) {
    throw new TributaryError('SIGNATURE_INVALID', 'the document is not what its author signed', { cause });
  }
}

/** What is not base64 is no key and no signature either. */
function bytesOf(text: string): Uint8Array {
  try {
    return decodeBase64(text, 'key');
  } catch {
    return new Uint8Array();
  }
}
