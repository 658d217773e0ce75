import {
  canonicalText,
  decodeBase64,
  isJsonObject,
  LIMITS,
  parseCanonical,
  parseModelRollout,
  rolloutVersion,
  TributaryError,
  verifyDocument,
  type EntryOf,
  type ModelRollout,
  type NewEntry,
} from '@tributary/proto';

import type { ApplyRollout, RolloutCommand, UndoRollout } from './command.js';
import type {
  FederationState,
  ModelRolloutState,
  ModelVersionState,
  RolloutState,
  SiteState,
} from './federation-state.js';

/** Decides which version of a model is served. */
export function decideRollout(state: FederationState, command: RolloutCommand): readonly NewEntry[] {
  return command.kind === 'apply-rollout' ? apply(state, command) : undo(state, command);
}

function apply(state: FederationState, command: ApplyRollout): readonly NewEntry[] {
  const { actor, rolloutId, authorKey, signature } = command;
  const document = signedRollout(command);
  const { model } = document.spec;
  const before = currentRollout(state.rollouts.get(model));
  // Sites follow authors: the same by another one is another rollout, which sites that refuse the first may follow.
  if (before?.authorKey === authorKey && isSame(before.document, document)) return [];
  const found = requireVersion(state, model, rolloutVersion(document.spec));
  if (findRollout(state, model, rolloutId) !== undefined)
    throw new TributaryError('ALREADY_EXISTS', 'a rollout of that id exists');
  const body = {
    rolloutId,
    model,
    version: found.version,
    ...(before === undefined ? {} : { previous: before.version }),
    manifestDigest: found.manifestDigest,
    document: command.document,
    authorKey,
    signature,
  };
  return [{ type: 'rollout.applied', actor, subject: `model/${model}`, body }];
}

function signedRollout({ document, authorKey, signature }: ApplyRollout): ModelRollout {
  const written = parseCanonical(new TextEncoder().encode(document), LIMITS.documentBytes);
  const parsed = parseModelRollout(written);
  if (!isJsonObject(written)) throw new TributaryError('DOCUMENT_INVALID', 'the document is no mapping');
  verifyDocument(
    written,
    decodeBase64(authorKey, 'author_key', 32),
    decodeBase64(signature, 'signature', 64),
  );
  return parsed;
}

const isSame = (a: ModelRollout, b: ModelRollout): boolean =>
  canonicalText({ spec: a.spec }) === canonicalText({ spec: b.spec });

/** The registered version; throws NOT_FOUND. */
function requireVersion(state: FederationState, model: string, version: number): ModelVersionState {
  const found = versionOf(state, model, version);
  if (found !== undefined) return found;
  throw new TributaryError('NOT_FOUND', `no version ${String(version)} of model ${model} is registered`, {
    hint: 'tributary get models',
  });
}

/** The registered version, if there is one. */
export function versionOf(
  state: FederationState,
  model: string,
  version: number,
): ModelVersionState | undefined {
  return state.models.get(model)?.versions.find((candidate) => candidate.version === version);
}

/** Naming the rollout makes a repeated undo harmless: it does not take back the one before it too. */
function undo(state: FederationState, { actor, model, rolloutId }: UndoRollout): readonly NewEntry[] {
  const known = state.rollouts.get(model);
  const named = findRollout(state, model, rolloutId);
  if (known === undefined || named === undefined) {
    throw new TributaryError('NOT_FOUND', `no such rollout of model ${model}`, {
      hint: 'tributary get rollouts',
    });
  }
  if (named.undoneSeq !== undefined) return [];
  const live = known.rollouts.filter(isLive);
  if (live.at(-1)?.rolloutId !== rolloutId) {
    throw new TributaryError('CONFLICT', `a newer rollout of model ${model} has begun`, {
      hint: `look at it with \`tributary describe rollout/${model}\``,
    });
  }
  const version = live.at(-2)?.version;
  const body = { rolloutId, model, ...(version === undefined ? {} : { version }), previous: named.version };
  return [{ type: 'rollout.undone', actor, subject: `model/${model}`, body }];
}

/** The rollouts after an entry about one of them. */
export function evolveRollouts(
  rollouts: FederationState['rollouts'],
  entry: EntryOf<'rollout.applied' | 'rollout.undone'>,
): FederationState['rollouts'] {
  const { seq } = entry;
  const at = Date.parse(entry.time);
  const { model } = entry.body;
  const known = rollouts.get(model)?.rollouts ?? [];
  const next = entry.type === 'rollout.applied' ? [...known, applied(entry, at)] : known.map(undone);
  return new Map(rollouts).set(model, { model, rollouts: next, seq });

  function undone(rollout: RolloutState): RolloutState {
    if (rollout.rolloutId !== entry.body.rolloutId) return rollout;
    return { ...rollout, undoneSeq: seq, undoneAt: at };
  }
}

function applied({ seq, body }: EntryOf<'rollout.applied'>, appliedAt: number): RolloutState {
  const { rolloutId, version, manifestDigest, authorKey } = body;
  const document = parseModelRollout(JSON.parse(body.document));
  return { rolloutId, version, manifestDigest, document, authorKey, seq, appliedAt };
}

const isLive = ({ undoneSeq }: RolloutState): boolean => undoneSeq === undefined;

/** The newest rollout that was not undone. */
export function currentRollout(state: ModelRolloutState | undefined): RolloutState | undefined {
  return state?.rollouts.findLast(isLive);
}

/** The rollout of that id, undone or not. */
export function findRollout(
  state: FederationState,
  model: string,
  rolloutId: string,
): RolloutState | undefined {
  return state.rollouts.get(model)?.rollouts.find((rollout) => rollout.rolloutId === rolloutId);
}

/** Whether a site carries every label of the selector. */
export function selectsSite({ document }: RolloutState, { labels }: SiteState): boolean {
  const wanted = Object.entries(document.spec.siteSelector.matchLabels);
  return wanted.every(([key, value]) => labels[key] === value);
}

/** What a site has to be told of a model. */
export interface SiteRollout {
  /** The rollout that it follows, or the one after whose end it follows none. */
  readonly rollout: RolloutState;
  /** False where the site is to serve no version of the model any more. */
  readonly serves: boolean;
  /** Entry that says so last: the agent follows nothing older. */
  readonly seq: number;
}

/**
 * The newest rollout that selects the site and was not undone; where all were, the end of the newest. Undefined where
 * none ever selected it.
 */
export function rolloutFor(model: ModelRolloutState, site: SiteState): SiteRollout | undefined {
  const concerning = model.rollouts.filter((rollout) => selectsSite(rollout, site));
  const live = concerning.findLast(isLive);
  const lastUndone = concerning.reduce((last, { undoneSeq }) => Math.max(last, undoneSeq ?? -1), -1);
  if (live !== undefined) return { rollout: live, serves: true, seq: Math.max(live.seq, lastUndone) };
  const ended = concerning.find(({ undoneSeq }) => undoneSeq === lastUndone);
  return ended === undefined ? undefined : { rollout: ended, serves: false, seq: lastUndone };
}
