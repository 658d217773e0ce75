import { readFile } from 'node:fs/promises';

import {
  decodeBase64,
  encodeBase64,
  requireSignature,
  signingKeyFromSeed,
  TributaryError,
  type SigningKey,
} from '@tributary/proto';

import { socketPath } from '../adapters/files/data-directory.js';
import { fileError } from '../adapters/files/file-error.js';
import { fetchStatus, requestOf } from '../adapters/http/status-client.js';
import { receiptTranscript, type SignedReceipt } from '../app/egress-receipts.js';
import type { JobList } from '../app/site-desk.js';
import type { JobView } from '../app/site-jobs.js';
import type { AgentStatus } from '../app/status.js';
import type { AgentConfig } from '../config.js';
import { decisionTranscript } from '../domain/site-decision.js';

type Place = Pick<AgentConfig, 'dataDir'>;

export interface DecideFlags {
  readonly output: string;
  readonly key?: string;
  readonly digest?: string;
}

/** `approve` and `reject`: what to print. The running agent signs, and with --key its holder before it. */
export async function decideCommand(
  { dataDir }: Place,
  name: string,
  decision: 'Approved' | 'Rejected',
  { output, key, digest }: DecideFlags,
): Promise<string> {
  const socket = socketPath(dataDir);
  const list = JSON.parse(await requestOf(socket, 'GET', '/jobs')) as JobList;
  const job = jobNamed(list, name);
  if (digest !== undefined && digest !== job.jobDigest)
    throw new TributaryError('CONFLICT', `the document of ${name} has the digest ${job.jobDigest}`);
  const signed = key === undefined ? {} : signedBy(await keyOf(key), list, job, decision);
  const answer = await requestOf(socket, 'POST', '/decide', { job: job.jobId, decision, ...signed });
  if (output === 'json') return `${answer}\n`;
  const decided = JSON.parse(answer) as JobView;
  return `${decided.job} (${decided.jobDigest}): ${decided.state} by ${decided.approver ?? ''}.\n`;
}

function jobNamed({ jobs }: JobList, name: string): JobView {
  const named = jobs.filter(({ job, jobId }) => job === name || jobId === name);
  const found = named.findLast(({ state }) => state !== 'Ended') ?? named.at(-1);
  if (found !== undefined) return found;
  throw new TributaryError('NOT_FOUND', `the site has seen no order of a job ${name}`, {
    hint: 'list the jobs with `tributary-agent jobs`; one shows up with its first order',
  });
}

function signedBy(
  key: SigningKey,
  { logId, site, agentId }: JobList,
  { jobId, jobDigest }: JobView,
  decision: 'Approved' | 'Rejected',
): Readonly<Record<'key' | 'time' | 'signature', string>> {
  const decidedAt = new Date().toISOString();
  const statement = { jobId, jobDigest, decision, approverKey: key.publicKey, decidedAt };
  const signature = key.sign(decisionTranscript({ logId, site, agentId }, statement));
  return { key: encodeBase64(key.publicKey), time: decidedAt, signature: encodeBase64(signature) };
}

/** A seed of 32 bytes, raw or in base64. */
async function keyOf(path: string): Promise<SigningKey> {
  try {
    const bytes = await readFile(path);
    return signingKeyFromSeed(
      bytes.length === 32 ? bytes : decodeBase64(bytes.toString('utf8').trim(), '--key', 32),
    );
  } catch (error) {
    if (error instanceof TributaryError) throw error;
    throw new TributaryError('CONFIG_INVALID', `--key: ${fileError(error, path).message}`, { cause: error });
  }
}

/** `jobs`: what to print. */
export async function jobsCommand(
  { dataDir }: Place,
  { output }: { readonly output: string },
): Promise<string> {
  const text = await requestOf(socketPath(dataDir), 'GET', '/jobs');
  if (output === 'json') return `${text}\n`;
  const { jobs } = JSON.parse(text) as JobList;
  if (jobs.length === 0) return 'No order of a job has come yet.\n';
  return jobs.map(describeJob).join('');
}

function decidedBy(state: JobView['state'], approver: string | undefined): readonly string[] {
  if (approver === undefined) return [];
  return [...(state === 'Ended' ? ['after a decision'] : []), `by ${approver}`];
}

const describeJob = ({ job, state, jobId, jobDigest, author, authorKey, ...rest }: JobView): string =>
  [
    `${job}: ${[state, ...decidedBy(state, rest.approver)].join(' ')}`,
    `  id:       ${jobId}, since ${rest.seen}`,
    `  document: ${jobDigest}`,
    `  author:   ${author === '' ? `not listed, ${authorKey}` : author}`,
    `  dataset:  ${rest.dataset}: ${rest.columns.join(', ')}`,
    `  training: ${String(rest.rounds)} rounds, ${String(rest.parameters)} parameters`,
    '',
  ].join('\n');

/** `egress`: what to print. */
export async function egressCommand(
  place: () => Place,
  job: string | undefined,
  { output, verify }: { readonly output: string; readonly verify?: string },
): Promise<string> {
  if (verify !== undefined) return describeReceipt(verified(await readReceipt(verify)));
  const socket = socketPath(place().dataDir);
  if (job === undefined) {
    const { egress } = JSON.parse(await fetchStatus(socket)) as AgentStatus;
    if (output === 'json') return `${JSON.stringify({ formatVersion: 1, bytes: egress })}\n`;
    return `Since the join: ${egress.update} bytes of updates, ${egress.control} of control messages, ${egress.transport} of transport.\n`;
  }
  const text = await requestOf(socket, 'GET', '/egress', { job });
  return output === 'json' ? `${text}\n` : describeReceipt(JSON.parse(text) as SignedReceipt);
}

async function readReceipt(path: string): Promise<SignedReceipt> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as SignedReceipt;
  } catch (error) {
    throw new TributaryError('DOCUMENT_INVALID', `--verify: ${fileError(error, path).message}`, {
      cause: error,
    });
  }
}

function verified(signed: SignedReceipt): SignedReceipt {
  const { receipt, key, signature } = signed;
  requireSignature(
    decodeBase64(key, 'key', 32),
    receiptTranscript(receipt),
    decodeBase64(signature, 'signature', 64),
    'the receipt',
  );
  return signed;
}

const describeReceipt = ({ receipt: { bytes, ...receipt }, key }: SignedReceipt): string =>
  [
    `${receipt.job} (${receipt.jobId}) at ${receipt.site}: ${receipt.complete ? 'ended' : 'so far'}`,
    `  bytes:   ${bytes.total}: updates ${bytes.update}, control messages ${bytes.control}, transport ${bytes.transport}`,
    `  updates: ${String(receipt.updates)}`,
    `  from:    ${receipt.first} to ${receipt.last}`,
    `  log:     ${String(receipt.log.count)} lines, ${receipt.log.digest}`,
    `  signed:  by ${key}`,
    '',
  ].join('\n');
