import { TributaryError } from '@tributary/proto';

import { requireDuration } from '../duration.js';
import type { Session } from '../session.js';

export interface InviteOptions {
  readonly label: readonly string[];
  readonly ttl: string;
  readonly approve: boolean;
  /** For a replica instead of the agent that trains. */
  readonly serving: boolean;
}

/** Prints a single-use join token; everything else goes to standard error, so that the token can be piped. */
export async function invite(session: Session, site: string, options: InviteOptions): Promise<void> {
  const invitation = await createInvitation(session, site, options);
  session.terminal.out(invitation.token);
  const whom = options.serving ? 'replica' : 'agent';
  session.terminal.note(`Valid until ${invitation.expiresAt}, for one ${whom} of site ${site}. At the site:`);
  session.terminal.note('  tributary-agent join --config agent.yaml --token-file TOKEN-FILE');
  if (!options.approve) session.terminal.note(`Then here: tributary approve ${site}`);
}

export interface Invitation {
  readonly token: string;
  readonly expiresAt: string;
}

/** Asks for a single-use join token. Rejects with USAGE naming the option. */
export async function createInvitation(
  session: Session,
  site: string,
  { label, ttl, approve: approved, serving }: InviteOptions,
): Promise<Invitation> {
  const labels = requireLabels(label);
  const ttlSeconds = requireDuration(ttl, '--ttl');
  const request = {
    site,
    labels,
    ttlSeconds,
    approve: approved,
    ...(serving && { kind: 'Serving' as const }),
  };
  return (await session.admin()).unary('CreateInvitation', request);
}

export async function approve(session: Session, site: string): Promise<void> {
  await (await session.admin()).unary('ApproveSite', { site });
  session.terminal.out(`site/${site} approved`);
}

export async function revoke(
  session: Session,
  site: string,
  { reason, only }: { readonly reason: string; readonly only?: string },
): Promise<void> {
  await (
    await session.admin()
  ).unary('RevokeSite', {
    site,
    reason,
    ...(only !== undefined && { agentId: only }),
  });
  session.terminal.out(only === undefined ? `site/${site} revoked` : `${only} of site/${site} revoked`);
}

export function requireLabels(pairs: readonly string[], option = '--label'): Record<string, string> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const [key, value, ...rest] = pair.split('=');
      if (key === undefined || key === '' || value === undefined || rest.length > 0) {
        throw new TributaryError('USAGE', `${option}: ${pair} is not KEY=VALUE`);
      }
      return [key, value];
    }),
  );
}
