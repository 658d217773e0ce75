import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';

import { TributaryError, type JsonObject } from '@tributary/proto';

import { decisionsPath, socketPath } from '../adapters/files/data-directory.js';
import { fileError } from '../adapters/files/file-error.js';
import { requestOf } from '../adapters/http/status-client.js';
import { linesOf } from '../adapters/files/line-file.js';
import type { AgentStatus } from '../app/status.js';
import type { AgentConfig } from '../config.js';
import { EMPTY_DECISIONS, followLine, type DecisionHead } from '../domain/decision.js';

type Place = Pick<AgentConfig, 'dataDir'>;

export interface LogFlags {
  readonly job?: string;
}

/** `log show` and `log export`: prints the lines; the chain is checked on the way. */
export async function showLog(
  { dataDir }: Place,
  { output, job }: LogFlags & { readonly output: string },
  print: (text: string) => void,
): Promise<void> {
  for await (const { text, fields } of followed(decisionsPath(dataDir))) {
    if (job !== undefined && fields['job'] !== job && fields['jobId'] !== job) continue;
    print(output === 'text' ? `${describe(fields)}\n` : `${text}\n`);
  }
}

/** `log verify`: what to print. Rejects with STORE_CORRUPT naming the line, or that lines are missing at the end. */
export async function checkLog(
  place: () => Place,
  { output, file, key }: { readonly output: string; readonly file?: string; readonly key?: string },
): Promise<string> {
  const socket = file === undefined ? socketPath(place().dataDir) : undefined;
  // Asked first: the agent may write more meanwhile, but never less.
  const live = socket === undefined ? undefined : await headOf(socket);
  let head: DecisionHead = EMPTY_DECISIONS;
  let signed = 0;
  const keys = new Set<string>();
  for await (const line of followed(file ?? decisionsPath(place().dataDir))) {
    head = line.head;
    if (line.signedBy !== undefined) {
      signed = head.count;
      keys.add(line.signedBy);
    }
    requireSameLine(head, live);
  }
  requireWhole(head, live);
  requireKey(keys, key);
  const result = {
    formatVersion: 1,
    lines: head.count,
    head: head.digest,
    signedLines: signed,
    keys: [...keys],
  };
  if (output === 'json') return `${JSON.stringify({ ...result, live: live !== undefined })}\n`;
  const known = live === undefined ? '' : ', as the running agent has it';
  return `${String(head.count)} lines, none altered${known}; head ${head.digest}; ${String(signed)} of them under a signed head${keys.size === 0 ? '' : ` of ${[...keys].join(', ')}`}.\n`;
}

function requireSameLine(head: DecisionHead, live: DecisionHead | undefined): void {
  if (live?.count === head.count && live.digest !== head.digest) throw otherLine(head.count);
}

function requireWhole(head: DecisionHead, live: DecisionHead | undefined): void {
  if (live !== undefined && head.count < live.count) throw missing(head.count, live.count);
}

function requireKey(keys: ReadonlySet<string>, key: string | undefined): void {
  if (key !== undefined && [...keys].some((one) => one !== key))
    throw new TributaryError('SIGNATURE_INVALID', 'heads of the log were signed by another key');
}

/** How far the running agent has come; undefined where none runs. */
async function headOf(socket: string): Promise<DecisionHead | undefined> {
  try {
    const { count, head } = JSON.parse(await requestOf(socket, 'GET', '/log')) as AgentStatus['decisions'];
    return { count, digest: head as DecisionHead['digest'] };
  } catch (error) {
    if (TributaryError.from(error).code === 'UNAVAILABLE') return undefined;
    throw error;
  }
}

async function* followed(
  path: string,
): AsyncGenerator<{ head: DecisionHead; fields: JsonObject; signedBy?: string; text: string }> {
  let head = EMPTY_DECISIONS;
  try {
    await stat(path);
  } catch (error) {
    throw fileError(error, path);
  }
  for await (const line of linesOf(createReadStream(path))) {
    const next = followLine(head, line);
    head = next.head;
    yield { ...next, text: new TextDecoder().decode(line) };
  }
}

const textOf = (value: JsonObject[string]): string =>
  typeof value === 'string' ? value : JSON.stringify(value);

/** One line for people. */
function describe(fields: JsonObject): string {
  const { time, type, seq, v, prev, ...rest } = fields;
  const shown = Object.entries(rest)
    .filter(([, value]) => value !== '' && typeof value !== 'object')
    .map(([name, value]) => `${name}=${textOf(value)}`)
    .join(' ');
  return `${textOf(seq)}  ${textOf(time)}  ${typeof type === 'string' ? type : 'Order'}  ${shown}`;
}

const otherLine = (count: number): TributaryError =>
  new TributaryError(
    'STORE_CORRUPT',
    `decision log, line ${String(count)}: is not the one that the agent wrote`,
  );

const missing = (found: number, known: number): TributaryError =>
  new TributaryError(
    'STORE_CORRUPT',
    `decision log: the agent has written ${String(known)} lines, and ${String(found)} are there`,
  );
