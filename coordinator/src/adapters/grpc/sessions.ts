import type { Http2Session } from 'node:http2';

import { LIMITS } from '@tributary/proto';

/** The HTTP/2 sessions of each identity, so that revocation ends connections and not only calls. */
export class Sessions {
  readonly #byIdentity = new Map<string, Set<Http2Session>>();
  readonly #ending = new WeakSet<Http2Session>();
  /** Ports at the other end. */
  readonly #ports = new Set<number>();

  /** Counts a session until it closes. Beyond the limit the oldest of the identity is ended. */
  add(identity: string, session: Http2Session, remotePort?: number): void {
    if (remotePort !== undefined) this.#ports.add(remotePort);
    const sessions = this.#byIdentity.get(identity) ?? new Set();
    this.#byIdentity.set(identity, sessions);
    sessions.add(session);
    const [oldest] = sessions;
    const most = identity.startsWith('agent/') ? LIMITS.connectionsPerAgent : LIMITS.connectionsPerContext;
    if (sessions.size > most) oldest?.destroy();
    session.once('close', () => {
      if (remotePort !== undefined) this.#ports.delete(remotePort);
      sessions.delete(session);
      if (sessions.size === 0 && this.#byIdentity.get(identity) === sessions)
        this.#byIdentity.delete(identity);
    });
  }

  /** Whether somebody whose certificate is known comes from that port. */
  isFrom(remotePort: number): boolean {
    return this.#ports.has(remotePort);
  }

  count(identity: string): number {
    return this.#byIdentity.get(identity)?.size ?? 0;
  }

  /** Ends every connection of the identity, after a moment in which open calls are told why. */
  end(identity: string): void {
    for (const session of this.#byIdentity.get(identity) ?? []) {
      // Each refused call asks for it: one timer is enough.
      if (this.#ending.has(session)) continue;
      this.#ending.add(session);
      const timer = setTimeout(() => {
        if (!session.destroyed) session.destroy();
      }, LIMITS.revocationGraceMs);
      session.once('close', () => {
        clearTimeout(timer);
      });
    }
  }
}
