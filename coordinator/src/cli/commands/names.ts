import { isName } from '@tributary/proto';
import type { Placeholders } from '@tributary/proto/command-line';

import { kindNamed, type ObjectKind } from '../../domain/objects.js';
import type { AdminConnection } from '../admin-connection.js';
import { list, readObject, text } from '../objects.js';
import type { Session } from '../session.js';

/** Milliseconds that somebody who pressed Tab waits for names. */
const PATIENCE_MS = 500;

/** The short word of each kind, as examples and answers write it. */
const KIND_WORDS: Readonly<Record<string, ObjectKind>> = {
  fj: 'FederatedJob',
  site: 'Site',
  model: 'Model',
  rollout: 'ModelRollout',
};

/** Which names complete which arguments. */
export const PLACEHOLDERS: Placeholders = {
  kind: { type: 'Words', words: Object.keys(KIND_WORDS) },
  'kind/name': { type: 'Names', source: 'objects' },
  name: { type: 'Names', source: 'named' },
  job: { type: 'Names', source: 'FederatedJob' },
  site: { type: 'Names', source: 'Site' },
  model: { type: 'Names', source: 'Model' },
  'model@version': { type: 'Names', source: 'versions' },
  'model[@version]': { type: 'Names', source: 'versions' },
  author: { type: 'Names', source: 'authors' },
  context: { type: 'Names', source: 'contexts' },
  condition: { type: 'Words', words: ['condition=Complete', 'condition=Ready', 'delete'] },
};

/**
 * Prints the names of a source for completion scripts, one a line: nothing where the federation does not answer in time,
 * because an error would be printed into the line that somebody is typing.
 */
export async function names(session: Session, source: string, words: readonly string[]): Promise<void> {
  const found = await Promise.race([
    namesOf(session, source, words).catch(() => []),
    new Promise<readonly string[]>((resolve) => setTimeout(resolve, PATIENCE_MS, []).unref()),
  ]);
  for (const name of found) session.terminal.out(name);
}

async function namesOf(
  session: Session,
  source: string,
  words: readonly string[],
): Promise<readonly string[]> {
  switch (source) {
    case 'authors':
      return (await session.contextFile()).authors.map(({ name }) => name);
    case 'contexts':
      return (await session.contextFile()).contexts.map(({ name }) => name);
    case 'objects':
      return references(session, words.at(-1) ?? '');
    case 'named': {
      const kind = kindNamed(words.at(-2) ?? '');
      return kind === undefined ? [] : namesOfKind(await session.admin(), kind);
    }
    case 'versions':
      return versions(await session.admin());
    default: {
      const kind = kindNamed(source);
      return kind === undefined ? [] : namesOfKind(await session.admin(), kind);
    }
  }
}

/** "fj/", "site/" … while the kind is typed, then "fj/loans" … */
async function references(session: Session, typed: string): Promise<readonly string[]> {
  const [word = '', name] = typed.split('/');
  if (name === undefined) return Object.keys(KIND_WORDS).map((kind) => `${kind}/`);
  const kind = kindNamed(word);
  if (kind === undefined) return [];
  return (await namesOfKind(await session.admin(), kind)).map((found) => `${word}/${found}`);
}

async function namesOfKind(admin: AdminConnection, kind: ObjectKind): Promise<readonly string[]> {
  const { objects } = await admin.unary('ListObjects', { kind });
  // A shell sees them: whatever else a server says is no name.
  return objects.map(({ name }) => name).filter(isName);
}

async function versions(admin: AdminConnection): Promise<readonly string[]> {
  const { objects } = await admin.unary('ListObjects', { kind: 'Model' });
  return objects
    .map(readObject)
    .flatMap(({ name, document }) =>
      list(document, 'status', 'versions').map((version) => [name, text(version, ['version'])] as const),
    )
    .filter(([name, version]) => isName(name) && /^\d+$/.test(version))
    .map(([name, version]) => `${name}@${version}`);
}
