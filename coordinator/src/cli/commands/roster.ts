import {
  decodeBase64,
  digestOf,
  encodeRoster,
  encodeRotation,
  canonicalize,
  LIMITS,
  rosterDigest,
  signRoster,
  TributaryError,
  verifyRoster,
  type RosterMember,
  type SignedRoster,
} from '@tributary/proto';

import {
  readIdentityFile,
  readRootFile,
  readRosterFile,
  readRotationFile,
  requireAbsent,
  rootPath,
  writeRoster,
} from '../federation/files.js';
import { readRootKey } from '../federation/root-key.js';
import {
  changed,
  emptyRoster,
  underRoot,
  validityOf,
  withAuthor,
  withMember,
  withoutAuthor,
  withoutMember,
  type RosterTimes,
} from '../federation/roster-edits.js';
import { tableLines } from '../output/table.js';
import type { Session } from '../session.js';
import { publicKeyOf } from './author.js';
import { requireHolder } from './federation.js';

const DAY_MS = 24 * 3_600_000;

export interface RosterOptions {
  readonly filename: string;
  readonly root?: string;
  /** Days for which the roster counts. */
  readonly days?: number;
}

/** Begins the roster of a root. */
export async function initRoster(session: Session, options: RosterOptions): Promise<void> {
  await requireAbsent(options.filename);
  const root = await readRootFile(rootPath(options.root, options.filename));
  const validMs = options.days === undefined ? LIMITS.rosterDefaultTtlMs : options.days * DAY_MS;
  await keep(session, options.filename, emptyRoster(root, { now: session.now(), validMs }));
}

/** Adds agents by what `tributary-agent identity` printed at their sites. */
export async function addMembers(
  session: Session,
  files: readonly string[],
  options: RosterOptions,
): Promise<void> {
  let signed = await readRosterFile(options.filename);
  const times = timesOf(session, signed, options);
  for (const file of files) {
    const identity = await readIdentityFile(file);
    signed = changed(signed, times, withMember(identity));
    session.terminal.note(
      `${identity.site}: compare with the site, by another way than the file came: ${identity.fingerprint}`,
    );
  }
  await keep(session, options.filename, signed);
}

export async function removeMembers(
  session: Session,
  sites: readonly string[],
  options: RosterOptions,
): Promise<void> {
  const before = await readRosterFile(options.filename);
  const times = timesOf(session, before, options);
  const after = sites.reduce((signed, site) => changed(signed, times, withoutMember(site)), before);
  await keep(session, options.filename, after);
}

export interface AuthorOptions extends RosterOptions {
  readonly remove: boolean;
}

/** Names an author and the key that signs his jobs, or strikes him out. */
export async function setAuthor(
  session: Session,
  name: string,
  key: string | undefined,
  options: AuthorOptions,
): Promise<void> {
  const signed = await readRosterFile(options.filename);
  const change = options.remove
    ? withoutAuthor(name)
    : withAuthor(name, key ?? (await ownKey(session, name)));
  await keep(session, options.filename, changed(signed, timesOf(session, signed, options), change));
}

/** Dates the roster anew, or puts it under another root; whoever is in it stays. */
export async function renewRoster(session: Session, options: RosterOptions): Promise<void> {
  const signed = await readRosterFile(options.filename);
  const root = await readRootFile(rootPath(options.root, options.filename));
  await keep(session, options.filename, changed(signed, timesOf(session, signed, options), underRoot(root)));
}

export interface SignOptions extends RosterOptions {
  readonly key: string;
  readonly keyPassphraseFile?: string;
}

/** Adds one signature, after showing what is signed. */
export async function signRosterFile(session: Session, options: SignOptions): Promise<void> {
  const signed = await readRosterFile(options.filename);
  const root = await readRootFile(rootPath(options.root, options.filename));
  const key = await readRootKey(options.key, options.keyPassphraseFile);
  requireHolder(root, key);
  const next = signRoster(signed, key.signing);
  await writeRoster(options.filename, next);
  show(session, next);
  session.terminal.note(
    `Signed by ${key.name}: ${String(next.signatures.length)} of ${String(root.threshold)} signatures.`,
  );
}

export interface PublishOptions extends RosterOptions {
  readonly rotation?: string;
}

/** Sends a roster to the coordinator, which records it; every site verifies it by itself. */
export async function publishRoster(session: Session, options: PublishOptions): Promise<void> {
  const signed = await readRosterFile(options.filename);
  const root = await readRootFile(rootPath(options.root, options.filename));
  const roster = encodeRoster(signed);
  verifyRoster(root, roster, session.now());
  const rotation =
    options.rotation === undefined
      ? new Uint8Array(0)
      : encodeRotation(await readRotationFile(options.rotation));
  const admin = await session.admin();
  const published = await admin.unary('PublishRoster', {
    roster: Buffer.from(roster),
    root: Buffer.from(canonicalize(root)),
    rotation: Buffer.from(rotation),
  });
  session.terminal.out(`roster version ${String(published.version)} published`);
  const { absent = [] } = published;
  if (absent.length > 0) {
    session.terminal.note(
      `Not joined here with that agent and key, so not in rounds: ${absent.join(', ')}. A site that joined again prints a new identity.`,
    );
  }
}

/** Shows a roster as it is written; nothing is verified. */
export async function showRoster(session: Session, options: RosterOptions): Promise<void> {
  show(session, await readRosterFile(options.filename));
}

/** Rejects where sites that pin the root would refuse the roster. */
export async function verifyRosterFile(session: Session, options: RosterOptions): Promise<void> {
  const signed = await readRosterFile(options.filename);
  const root = await readRootFile(rootPath(options.root, options.filename));
  const { version, document } = verifyRoster(root, encodeRoster(signed), session.now());
  session.terminal.out(
    `roster version ${String(version)} of ${document.federation} is signed and counts until ${document.expires}`,
  );
}

/** The key of an author whose private half is in the context file of this command. */
async function ownKey(session: Session, name: string): Promise<string> {
  const { authors } = await session.contextFile();
  const known = authors.find((author) => author.name === name);
  if (known !== undefined) return publicKeyOf(known.seed);
  throw new TributaryError('USAGE', `the key of author ${name} is not known here; give it after the name`);
}

function timesOf(session: Session, signed: SignedRoster, { days }: RosterOptions): RosterTimes {
  return { now: session.now(), validMs: days === undefined ? validityOf(signed) : days * DAY_MS };
}

async function keep(session: Session, filename: string, signed: SignedRoster): Promise<void> {
  await writeRoster(filename, signed);
  const { version, members, authors, expires } = signed.roster;
  session.terminal.out(
    `${filename}: version ${String(version)}, ${String(members.length)} members, ${String(authors.length)} authors, counts until ${expires}`,
  );
  session.terminal.note('Not signed yet: tributary federation roster sign --key KEY');
}

function show(session: Session, { roster, signatures }: SignedRoster): void {
  const { federation, version, root, issued, expires, members, authors } = roster;
  const { terminal } = session;
  terminal.out(`federation ${federation}, version ${String(version)}, ${issued} to ${expires}`);
  terminal.out(`root ${root}`);
  terminal.out(`roster ${rosterDigest(roster)}, ${String(signatures.length)} signatures`);
  const columns = [
    { title: 'SITE', cell: ({ site }: RosterMember) => site },
    { title: 'AGENT', cell: ({ agentId }: RosterMember) => agentId },
    { title: 'FINGERPRINT', cell: ({ identityKey }: RosterMember) => fingerprint(identityKey) },
  ];
  for (const line of tableLines(columns, members)) terminal.out(line);
  for (const { name, key } of authors) terminal.out(`author ${name} ${key}`);
}

const fingerprint = (identityKey: string): string => digestOf(decodeBase64(identityKey, 'identityKey', 32));
