import type { Http2Session } from 'node:http2';

/** Connections of one agent at the same time: it holds one, and for a moment the one before. */
const SESSIONS_PER_AGENT = 4;
/** Of one person: a few terminals. */
const SESSIONS_PER_CONTEXT = 16;
/** Milliseconds in which calls of a revoked identity still get their typed refusal, before the connection ends. */
const REVOCATION_GRACE_MS = 250;

/** The HTTP/2 sessions of each identity, so that revocation ends connections and not only calls. */
export class Sessions {
  readonly #byIdentity = new Map<string, Set<Http2Session>>();
  readonly #ending = new WeakSet<Http2Session>();

  /** Counts a session until it closes. Beyond the limit the oldest of the identity is ended. */
  add(identity: string, session: Http2Session): void {
    const sessions = this.#byIdentity.get(identity) ?? new Set();
    this.#byIdentity.set(identity, sessions);
    sessions.add(session);
    const [oldest] = sessions;
    const most = identity.startsWith('agent/') ? SESSIONS_PER_AGENT : SESSIONS_PER_CONTEXT;
    if (sessions.size > most) oldest?.destroy();
    session.once('close', () => {
      sessions.delete(session);
      if (sessions.size === 0 && this.#byIdentity.get(identity) === sessions)
        this.#byIdentity.delete(identity);
    });
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
      }, REVOCATION_GRACE_MS);
      session.once('close', () => {
        clearTimeout(timer);
      });
    }
  }
}
