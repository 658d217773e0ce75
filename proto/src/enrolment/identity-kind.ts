/**
 * What an identity of a site is for. A `Training` agent takes part in rounds and may serve; a `Serving` one, a replica,
 * only serves what is rolled out to its site: it has no dataset and is in no cohort.
 */
export const IDENTITY_KINDS = ['Training', 'Serving'] as const;
export type IdentityKind = (typeof IDENTITY_KINDS)[number];

/** How ledger entries, tokens and records say it: whoever trains is the older kind and says nothing. */
export const kindOf = (written: 'Serving' | undefined): IdentityKind => written ?? 'Training';

/** The other way round: a field of an object, or none. */
export const writtenKind = (kind: IdentityKind): { readonly kind?: 'Serving' } =>
  kind === 'Serving' ? { kind } : {};
