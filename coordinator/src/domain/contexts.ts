import { LIMITS, requireDigest, requireName, TributaryError, type NewEntry } from '@tributary/proto';

import type { CreateContext, RevokeContext } from './command.js';
import type { FederationState } from './federation-state.js';

/** Decides about the client certificates of operators. */
export function decideContext(
  state: FederationState,
  command: CreateContext | RevokeContext,
): readonly NewEntry[] {
  return command.kind === 'create-context' ? create(state, command) : revoke(state, command);
}

/** The same name, role and key again changes nothing; the name of a revoked context is free. */
function create(
  state: FederationState,
  { actor, context, role, keyDigest }: CreateContext,
): readonly NewEntry[] {
  requireName(context, 'name');
  requireDigest(keyDigest, 'key');
  const known = state.contexts.get(context);
  if (known !== undefined && !known.revoked) {
    if (known.role === role && known.keyDigest === keyDigest) return [];
    throw new TributaryError(
      'ALREADY_EXISTS',
      `a context ${context} exists; revoke it first, or choose another name`,
    );
  }
  if (known === undefined && state.contexts.size >= LIMITS.contexts) {
    throw new TributaryError('LIMIT_EXCEEDED', `at most ${String(LIMITS.contexts)} contexts`);
  }
  return [
    { type: 'context.created', actor, subject: `context/${context}`, body: { context, role, keyDigest } },
  ];
}

function revoke(state: FederationState, { actor, context }: RevokeContext): readonly NewEntry[] {
  const known = state.contexts.get(context);
  if (known === undefined)
    throw new TributaryError('NOT_FOUND', `no context ${JSON.stringify(context.slice(0, 64))} exists`);
  if (known.revoked) return [];
  const others = [...state.contexts.values()].filter(({ name, role, revoked }) => {
    return name !== context && role === 'admin' && !revoked;
  });
  if (known.role === 'admin' && others.length === 0) {
    throw new TributaryError(
      'CONFLICT',
      `${context} is the last context that may change anything; create another first`,
    );
  }
  return [{ type: 'context.revoked', actor, subject: `context/${context}`, body: { context } }];
}
