import { TributaryError } from '@tributary/proto';
import { writeDurably } from '@tributary/proto/node';

import { viewLetters, type LetterView } from '../adapters/files/data-directory.js';
import { keptLetters, type FoundLetter } from '../app/streams/kept-letters.js';
import type { AgentConfig } from '../config.js';

export interface LettersFlags {
  readonly output: string;
  /** Id of the letter whose payload is wanted. */
  readonly payload?: string;
  readonly to?: string;
}

interface ListedLetter extends Omit<FoundLetter, 'payload'> {
  readonly pipeline: string;
  readonly size: number;
}

/**
 * `pipeline letters`: the dead letters that the site keeps, or the payload of one. Resolves with what is printed. Works
 * beside the running agent. Rejects with USAGE, NOT_FOUND and as keptLetters does.
 */
export async function pipelineLettersCommand(
  { dataDir, sealKeyFile }: Pick<AgentConfig, 'dataDir' | 'sealKeyFile'>,
  pipeline: string | undefined,
  { output, payload, to }: LettersFlags,
): Promise<string | Uint8Array> {
  if (to !== undefined && payload === undefined)
    throw new TributaryError('USAGE', '--to FILE goes with --payload ID');
  const views = (await viewLetters(dataDir, sealKeyFile)).filter(
    (view) => pipeline === undefined || view.pipeline === pipeline,
  );
  if (pipeline !== undefined && views.length === 0)
    throw new TributaryError('NOT_FOUND', `no letters of a pipeline ${pipeline} are kept here`, {
      hint: 'spec.deadLetter.keepBytes of the pipeline says how many bytes are; 0 keeps none',
    });
  if (payload === undefined) {
    const letters = await listed(views);
    return output === 'json' ? `${JSON.stringify({ letters }, null, 2)}\n` : textOf(letters);
  }
  const bytes = await payloadOf(views, payload);
  if (to === undefined) return bytes;
  await writeDurably(to, [bytes]);
  return `${to}: ${String(bytes.length)} bytes\n`;
}

async function listed(views: readonly LetterView[]): Promise<readonly ListedLetter[]> {
  const letters: ListedLetter[] = [];
  for (const { pipeline, files } of views)
    for await (const { payload, ...letter } of keptLetters(files))
      letters.push({ pipeline, ...letter, size: payload.length });
  return letters;
}

async function payloadOf(views: readonly LetterView[], id: string): Promise<Uint8Array> {
  const found: { readonly pipeline: string; readonly payload: Uint8Array }[] = [];
  for (const { pipeline, files } of views)
    for await (const letter of keptLetters(files))
      if (letter.id === id) found.push({ pipeline, payload: letter.payload });
  const [one, ...others] = found;
  if (one === undefined)
    throw new TributaryError('NOT_FOUND', `there is no letter ${JSON.stringify(id)} any more`, {
      hint: 'see which are kept: tributary-agent pipeline letters',
    });
  if (others.length === 0) return one.payload;
  const names = found.map(({ pipeline }) => pipeline).join(', ');
  throw new TributaryError('USAGE', `several pipelines have a letter ${id}; name one of ${names}`);
}

function textOf(letters: readonly ListedLetter[]): string {
  if (letters.length === 0) return 'No dead letters are kept.\n';
  const rows = letters.map(({ id, pipeline, arrivalMs, reason, field, size, topic }) => [
    id,
    pipeline,
    new Date(arrivalMs).toISOString(),
    field === undefined ? reason : `${reason} (${field})`,
    `${String(size)} bytes`,
    topic,
  ]);
  const shown = rows.map((row) => row.map(printable));
  const widths = (shown[0] ?? []).map((_, column) =>
    Math.max(...shown.map((row) => (row[column] ?? '').length)),
  );
  return shown
    .map(
      (row) =>
        `${row
          .map((cell, column) => cell.padEnd(widths[column] ?? 0))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('');
}

/** Topics and fields come from whoever publishes: they must not steer the terminal. */
const printable = (text: string): string => text.replace(/\p{C}/gu, '\uFFFD');
