import { request } from 'node:http';

import { ERROR_TABLE, isErrorCode, LIMITS, TributaryError, type Row } from '@tributary/proto';
import { z } from 'zod';

/** Answers to rows, in order. */
export interface Answers {
  readonly model: string;
  readonly version: number;
  readonly outputs: readonly string[];
  /** One list a row. */
  readonly scores: readonly (readonly number[])[];
  readonly labels?: readonly string[];
  readonly decisionIds: readonly string[];
  readonly unreadableCells: number;
}

const serverSchema = z.looseObject({ models: z.array(z.looseObject({ name: z.string() })) });
const modelSchema = z.looseObject({ inputs: z.array(z.looseObject({ name: z.string() })) });
const inferSchema = z.looseObject({
  model_name: z.string(),
  model_version: z.string(),
  parameters: z.looseObject({ unreadable_cells: z.number() }),
  outputs: z.array(
    z.looseObject({
      name: z.string(),
      parameters: z.looseObject({ names: z.string().optional() }).optional(),
      data: z.array(z.union([z.number(), z.string()])),
    }),
  ),
});

/** Speaks the Open Inference Protocol with the daemon on its Unix socket. */
export class SocketClient {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  /** Names of the models that answer. */
  async models(): Promise<readonly string[]> {
    return serverSchema.parse(await this.#call('/v2')).models.map(({ name }) => name);
  }

  /** Columns that the model reads. Rejects with NOT_FOUND. */
  async columns(model: string, version: number | undefined): Promise<readonly string[]> {
    const described = modelSchema.parse(await this.#call(modelPath(model, version)));
    return described.inputs.map(({ name }) => name);
  }

  async predict(
    rows: readonly Row[],
    columns: readonly string[],
    { model, version }: { readonly model: string; readonly version: number | undefined },
  ): Promise<Answers> {
    const inputs = columns.map((name) => ({
      name,
      shape: [rows.length],
      datatype: 'BYTES',
      data: rows.map((row) => cellText(row[name])),
    }));
    const answer = await this.#call(`${modelPath(model, version)}/infer`, { inputs });
    const { model_name, model_version, parameters, outputs } = inferSchema.parse(answer);
    const output = (name: string) => outputs.find((tensor) => tensor.name === name);
    const scores = output('scores');
    const names = z.array(z.string()).parse(JSON.parse(scores?.parameters?.names ?? '[]'));
    const labels = output('label')?.data.map(String);
    return {
      model: model_name,
      version: Number(model_version),
      outputs: names,
      scores: rows.map((_, row) =>
        (scores?.data ?? []).slice(row * names.length, (row + 1) * names.length).map(Number),
      ),
      ...(labels && { labels }),
      decisionIds: output('decision_id')?.data.map(String) ?? [],
      unreadableCells: parameters.unreadable_cells,
    };
  }

  #call(path: string, body?: unknown): Promise<unknown> {
    const fail = (cause: Error): TributaryError =>
      new TributaryError('UNAVAILABLE', `no agent answers on ${this.#path}: ${cause.message}`, {
        cause,
        hint: 'Start it with `tributary-agent run`, or use --offline --export DIR.',
      });
    return new Promise((resolve, reject) => {
      const options = {
        socketPath: this.#path,
        path,
        method: body === undefined ? 'GET' : 'POST',
        timeout: LIMITS.predictionMs,
      };
      const call = request(options, (response) => {
        const parts: Buffer[] = [];
        response.on('data', (part: Buffer) => parts.push(part));
        response.on('error', (cause) => {
          reject(fail(cause));
        });
        response.on('end', () => {
          const text = Buffer.concat(parts).toString('utf8');
          if (response.statusCode === 200) resolve(JSON.parse(text));
          else reject(refusalOf(text));
        });
      });
      call.on('timeout', () => call.destroy(new Error('timed out')));
      call.on('error', (cause) => {
        reject(fail(cause));
      });
      call.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }
}

function modelPath(model: string, version: number | undefined): string {
  const path = `/v2/models/${encodeURIComponent(model)}`;
  return version === undefined ? path : `${path}/versions/${String(version)}`;
}

/** Cells as text, which every feature reads; the shortest text of a number reads back to its last bit. */
function cellText(cell: Row[string]): string | null {
  if (cell === undefined || cell === null) return null;
  return typeof cell === 'object' ? JSON.stringify(cell) : String(cell);
}

function refusalOf(text: string): TributaryError {
  const [, code = '', message = ''] = /^\{"error":"([A-Z_]+): (.*)"\}$/.exec(text) ?? [];
  if (!isErrorCode(code))
    return new TributaryError('UNAVAILABLE', 'the agent gave an answer of no known form');
  const words = JSON.parse(`"${message}"`) as string;
  return new TributaryError(code, words, { hint: ERROR_TABLE[code].documentation });
}
