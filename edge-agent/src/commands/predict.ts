import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { decodeBase64, TributaryError, verifyManifest, type Row } from '@tributary/proto';
import { z } from 'zod';

import { servingSocketPath } from '../adapters/files/data-directory.js';
import { fileError } from '../adapters/files/file-error.js';
import { WorkerPredictor } from '../adapters/inference/worker-predictor.js';
import { verifiedModel } from '../adapters/models/verified-model.js';
import { SocketClient, type Answers } from '../adapters/oip/socket-client.js';
import type { PredictionResult, VerifiedModel } from '../serving-ports.js';
import { readRows } from './row-file.js';

export interface PredictFlags {
  readonly output: string;
  readonly file?: string;
  readonly model?: string;
  readonly offline?: boolean;
  readonly export?: string;
}

/** Rows of one request: small enough that a file of any length is answered part by part. */
const ROWS_AT_A_TIME = 1_024;

interface Target {
  readonly model: string;
  readonly version: number | undefined;
}

type Ask = (rows: readonly Row[]) => Promise<Answers>;

/**
 * Asks a model for the rows of a file: the running agent through its Unix socket, or, offline, a folder that `tributary
 * models export` wrote. `dataDir` is only asked for with an agent. Resolves with what is printed.
 */
export async function predictCommand(flags: PredictFlags, dataDir: () => string): Promise<string> {
  const { output, file, offline = false } = flags;
  if (file === undefined) throw new TributaryError('USAGE', 'predict needs -f FILE, the rows');
  if (offline !== (flags.export !== undefined))
    throw new TributaryError('USAGE', '--offline and --export DIR go together');
  const rows = await readRows(file);
  const answers =
    flags.export === undefined
      ? await askAgent(rows, new SocketClient(servingSocketPath(dataDir())), flags.model)
      : await askExport(rows, flags.export);
  return output === 'json' ? asJson(answers) : asText(answers);
}

async function askAgent(
  rows: readonly Row[],
  client: SocketClient,
  reference: string | undefined,
): Promise<readonly Answers[]> {
  const target = reference === undefined ? await onlyModel(client) : targetOf(reference);
  const columns = await client.columns(target.model, target.version);
  requireColumns(rows, columns);
  return inParts(rows, (part) => client.predict(part, columns, target));
}

const UNSERVED =
  'The operator rolls one out (tributary rollout set MODEL@VERSION), and spec.serving.models of the policy lists it.';

async function onlyModel(client: SocketClient): Promise<Target> {
  const [model, ...others] = await client.models();
  if (model === undefined)
    throw new TributaryError('NOT_FOUND', 'the agent serves no model', { hint: UNSERVED });
  if (others.length > 0)
    throw new TributaryError('USAGE', `--model: name one of ${[model, ...others].join(', ')}`);
  return { model, version: undefined };
}

function targetOf(reference: string): Target {
  const [, model, version] = /^([a-z0-9.-]+)(?:@([1-9]\d*))?$/.exec(reference) ?? [];
  if (model === undefined) throw new TributaryError('USAGE', '--model: write name or name@version');
  return { model, version: version === undefined ? undefined : Number(version) };
}

async function askExport(rows: readonly Row[], folder: string): Promise<readonly Answers[]> {
  const { manifest, weights } = await exportedModel(folder);
  const predictor = new WorkerPredictor();
  try {
    const { columns } = await predictor.load({ manifest, weights: () => Promise.resolve(weights) });
    requireColumns(rows, columns);
    const target = { model: manifest.name, version: manifest.version };
    return await inParts(rows, async (part) => answersOf(await predictor.predict({ ...target, rows: part })));
  } finally {
    await predictor.close();
  }
}

const signatureSchema = z.object({ modelKey: z.string(), signature: z.string() });

/** The model of an export, checked against its signature and digests: that the key is the coordinator's it cannot know. */
async function exportedModel(folder: string): Promise<VerifiedModel> {
  const read = async (name: string): Promise<Uint8Array> => {
    const path = join(folder, name);
    try {
      return await readFile(path);
    } catch (error) {
      const known = fileError(error, path);
      const hint =
        'export the model with `tributary models export NAME@VERSION --to DIR`, in the format tfjs';
      throw new TributaryError(known.code, known.message, { cause: error, hint });
    }
  };
  const manifestBytes = await read('manifest.json');
  const parsed = signatureSchema.safeParse(parseJson(await read('signature.json')));
  if (!parsed.success) throw new TributaryError('STORE_CORRUPT', `${folder}: signature.json is not one`);
  const { modelKey, signature } = parsed.data;
  verifyManifest(
    manifestBytes,
    decodeBase64(modelKey, 'modelKey', 32),
    decodeBase64(signature, 'signature', 64),
  );
  await read('model.json');
  const weights = join(folder, 'weights.bin');
  try {
    return await verifiedModel(manifestBytes, createReadStream(weights) as AsyncIterable<Uint8Array>, {
      manifest: join(folder, 'manifest.json'),
      weights,
    });
  } catch (error) {
    throw fileError(error, weights);
  }
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
}

/** A column that no row has is more likely a slip than a missing value. */
function requireColumns(rows: readonly Row[], columns: readonly string[]): void {
  const absent = columns.filter((column) => !rows.some((row) => Object.hasOwn(row, column)));
  if (absent.length === 0) return;
  throw new TributaryError(
    'INVALID_ARGUMENT',
    `no row has the columns ${absent.slice(0, 8).join(', ')} of the model; write null where a value is missing`,
  );
}

async function inParts(rows: readonly Row[], ask: Ask): Promise<readonly Answers[]> {
  const answers: Answers[] = [];
  for (let first = 0; first < rows.length; first += ROWS_AT_A_TIME)
    answers.push(await ask(rows.slice(first, first + ROWS_AT_A_TIME)));
  return answers;
}

function answersOf(result: PredictionResult): Answers {
  const { model, version, outputs, scores, labels, decisionIds, issues } = result;
  const width = outputs.length;
  return {
    model,
    version,
    outputs,
    scores: decisionIds.map((_, row) => [...scores.subarray(row * width, (row + 1) * width)]),
    ...(labels && { labels }),
    decisionIds,
    unreadableCells: issues.length,
  };
}

/** Rows of all answers, each with the version that gave it. */
function rowsOf(answers: readonly Answers[]) {
  return answers.flatMap(({ model, version, outputs, scores, labels, decisionIds }) =>
    decisionIds.map((decisionId, row) => ({
      model: `${model}@${String(version)}`,
      decisionId,
      scores: Object.fromEntries(outputs.map((name, index) => [name, scores[row]?.[index] ?? null])),
      ...(labels && { label: labels[row] }),
    })),
  );
}

const unreadable = (answers: readonly Answers[]): number =>
  answers.reduce((sum, { unreadableCells }) => sum + unreadableCells, 0);

function asJson(answers: readonly Answers[]): string {
  return `${JSON.stringify({ predictions: rowsOf(answers), unreadableCells: unreadable(answers) }, null, 2)}\n`;
}

function asText(answers: readonly Answers[]): string {
  const lines = rowsOf(answers).map(({ model, decisionId, scores, label }, row) => {
    const each = Object.entries(scores).map(([name, score]) => `${name}=${Number(score).toFixed(6)}`);
    const answer = label === undefined ? each : [label, ...each];
    return `${String(row + 1)}  ${model}  ${answer.join(' ')}  ${decisionId}`;
  });
  const cells = unreadable(answers);
  const note =
    cells === 0
      ? []
      : [`${String(cells)} ${cells === 1 ? 'cell' : 'cells'} could not be read and counted as missing.`];
  return `${[...lines, ...note].join('\n')}\n`;
}
