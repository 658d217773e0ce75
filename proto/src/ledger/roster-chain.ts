import { TributaryError } from '../errors/tributary-error.js';
import { rootDigest, type FederationRoot } from '../membership/federation-root.js';
import { readRotation, verifyRotation } from '../membership/root-rotation.js';
import { readRoster, verifyRoster, type Roster } from '../membership/roster.js';
import type { StatementOf } from './statements.js';

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

/**
 * Follows the rosters of a ledger from a root that the reader trusts: every roster must be signed by the root in force,
 * every new root by the one before it. What was published before the trusted root took over cannot be judged.
 */
export class RosterChain {
  readonly #trusted: FederationRoot;
  #root: FederationRoot | undefined;
  #newest: Roster | undefined;

  constructor(trusted: FederationRoot) {
    this.#trusted = trusted;
  }

  /** The newest roster that was verified. */
  get newest(): Roster | undefined {
    return this.#newest;
  }

  /** Whether the roster could be judged. Throws ROSTER_INVALID, ROSTER_EXPIRED where it was no more good when published. */
  publish({ body, time }: StatementOf<'roster.published'>): boolean {
    const bytes = utf8(body.document);
    if (this.#root === undefined) {
      if (readRoster(bytes).roster.root !== rootDigest(this.#trusted)) return false;
      this.#root = this.#trusted;
    }
    const roster = verifyRoster(this.#root, bytes, Date.parse(time));
    if (roster.version <= (this.#newest?.version ?? 0))
      throw new TributaryError(
        'ROSTER_INVALID',
        `version ${String(roster.version)} of the roster is no newer one`,
      );
    this.#newest = roster;
    return true;
  }

  /** Whether the hand-over could be judged. Throws ROSTER_INVALID. */
  rotate({ body }: StatementOf<'root.rotated'>): boolean {
    const bytes = utf8(body.document);
    const { rotation } = readRotation(bytes);
    const trusted = rootDigest(this.#trusted);
    if (this.#root === undefined && rootDigest(rotation.previous) !== trusted) {
      // The hand-over to the trusted root: who signed it does not matter to whoever trusts the new one.
      if (rootDigest(rotation.root) === trusted) this.#root = this.#trusted;
      return false;
    }
    this.#root = verifyRotation(this.#root ?? this.#trusted, bytes);
    return true;
  }

  /** Throws ROSTER_INVALID where the ledger has nothing of the trusted root. */
  requireFound(): void {
    if (this.#root !== undefined) return;
    throw new TributaryError(
      'ROSTER_INVALID',
      `the export has no roster of root ${rootDigest(this.#trusted)} of ${this.#trusted.name}`,
      { hint: 'give the root.json of this federation, or an export that reaches its roster' },
    );
  }
}
