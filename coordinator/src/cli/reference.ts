import { TributaryError } from '@tributary/proto';

import { kindNamed, type ObjectKind } from '../domain/objects.js';

/** The kind behind a word of the command line; USAGE lists what exists. */
export function requireKind(word: string): ObjectKind {
  const kind = kindNamed(word);
  if (kind !== undefined) return kind;
  throw new TributaryError('USAGE', `${word}: no such kind`, {
    hint: 'Kinds are fj (FederatedJob), site, model and rollout (ModelRollout).',
  });
}

/** "fj/loans", or the two words "fj loans". */
export function requireReference(
  first: string,
  second: string | undefined,
): { readonly kind: ObjectKind; readonly name: string } {
  const [kind, name, ...rest] = second === undefined ? first.split('/') : [first, second];
  if (kind === undefined || name === undefined || name === '' || rest.length > 0) {
    throw new TributaryError('USAGE', `${first}: name an object as KIND/NAME`, {
      hint: 'For example: tributary describe fj/loans',
    });
  }
  return { kind: requireKind(kind), name };
}
