import { writeFile } from 'node:fs/promises';
import { basename, extname } from 'node:path';

import { isName, TributaryError } from '@tributary/proto';

import { draftJob, draftText } from '../job-draft/job-draft.js';
import { profileTable } from '../job-draft/table-reader.js';
import type { Session } from '../session.js';

export interface JobInitOptions {
  readonly from: string;
  readonly label?: string;
  /** Of job, dataset and model; made from the name of the file without it. */
  readonly name?: string;
  readonly delimiter: string;
  /** Where to write it; standard output without. */
  readonly output?: string;
}

/** Writes a first job for the table of a CSV file. Needs no federation. */
export async function initJob(session: Session, options: JobInitOptions): Promise<void> {
  const { from, label, delimiter, output } = options;
  const name = options.name ?? nameOf(from);
  if (!isName(name))
    throw new TributaryError(
      'INVALID_ARGUMENT',
      '--name: use a-z 0-9 - . and begin and end with a letter or digit',
    );
  const draft = draftJob(await profileTable(from, delimiter), { name, label });
  if (output === undefined) {
    session.terminal.out(draftText(draft).trimEnd());
  } else {
    await writeNew(output, draftText(draft));
    session.terminal.out(`${output} written`);
  }
  for (const remark of draft.remarks) session.terminal.note(remark);
  session.terminal.note(
    `The policy of each site must allow dataset ${name} with these columns; then: tributary apply -f ${output ?? 'FILE'}`,
  );
}

const nameOf = (path: string): string =>
  basename(path, extname(path))
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '');

/** Never over what is there: a job that somebody has edited is worth more than a draft. */
async function writeNew(path: string, text: string): Promise<void> {
  try {
    await writeFile(path, text, { flag: 'wx' });
  } catch (cause) {
    const fault = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown fault';
    const what = fault === 'EEXIST' ? 'exists already' : `cannot be written (${fault})`;
    throw new TributaryError('USAGE', `--output: ${path} ${what}`, { cause, hint: 'Name another file.' });
  }
}
