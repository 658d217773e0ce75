import { randomBytes } from 'node:crypto';

import { decodeBase64, encodeBase64, requireName, signingKeyFromSeed } from '@tributary/proto';

import { withAuthor } from '../context-file.js';
import { tableLines } from '../output/table.js';
import type { Session } from '../session.js';

/** Standard base64 of the public half. */
export const publicKeyOf = (seed: string): string =>
  encodeBase64(signingKeyFromSeed(decodeBase64(seed, 'seed')).publicKey);

/** Makes an author key and shows what site policies must name. The private half stays in the context file. */
export async function createAuthor(session: Session, name: string): Promise<void> {
  requireName(name, 'author');
  const seed = encodeBase64(randomBytes(32));
  await session.saveContextFile(withAuthor(await session.contextFile(), { name, seed }));
  session.terminal.out(publicKeyOf(seed));
  session.terminal.note(
    `Sites accept jobs of ${name} when their policy lists {name: ${name}, key: ${publicKeyOf(seed)}} under spec.authors.`,
  );
}

export async function listAuthors(session: Session): Promise<void> {
  const { authors } = await session.contextFile();
  const columns = [
    { title: 'NAME', cell: (author: { name: string }) => author.name },
    { title: 'PUBLIC-KEY', cell: (author: { seed: string }) => publicKeyOf(author.seed) },
  ];
  for (const line of tableLines(columns, authors)) session.terminal.out(line);
}
