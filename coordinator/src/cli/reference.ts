import { TributaryError } from '@tributary/proto';

/** Kinds of objects and the names under which the commands accept them. */
const KINDS = {
  FederatedJob: ['fj', 'job', 'jobs', 'federatedjob', 'federatedjobs'],
  Site: ['site', 'sites'],
  Model: ['model', 'models'],
} as const;

export type Kind = keyof typeof KINDS;

/** The kind behind a word of the command line; USAGE lists what exists. */
export function requireKind(word: string): Kind {
  const lower = word.toLowerCase();
  for (const [kind, words] of Object.entries(KINDS) as [Kind, readonly string[]][]) {
    if (words.includes(lower)) return kind;
  }
  throw new TributaryError('USAGE', `${word}: no such kind`, {
    hint: 'Kinds are fj (FederatedJob), site and model.',
  });
}

/** "fj/loans", or the two words "fj loans". */
export function requireReference(
  first: string,
  second: string | undefined,
): { readonly kind: Kind; readonly name: string } {
  const [kind, name, ...rest] = second === undefined ? first.split('/') : [first, second];
  if (kind === undefined || name === undefined || name === '' || rest.length > 0) {
    throw new TributaryError('USAGE', `${first}: name an object as KIND/NAME`, {
      hint: 'For example: tributary describe fj/loans',
    });
  }
  return { kind: requireKind(kind), name };
}
