import { LIMITS, TributaryError, type LedgerEntry } from '@tributary/proto';
import type { WatchEvent, WatchObjectsRequest__Output } from '@tributary/proto/grpc';

import type { CallContext, Sink } from '../calls.js';
import { fromWatch, type WatchRequest } from '../wire/admin.js';
import { toEventMessage, toObjectMessage, type ObjectViews } from './object-views.js';
import type { AdminParts } from './parts.js';
import { BoundedQueue } from './queue.js';

/** Entries that begin the life of an object; every other one modifies it. */
const BEGINNINGS = new Set<LedgerEntry['type']>(['job.submitted', 'model.registered']);

/**
 * Objects as they are, a bookmark, then every change, each with the state of the object when it is sent. A stream that
 * breaks is resumed after the `seq` of any MODIFIED, DELETED or BOOKMARK event; the first ADDED events have seq 0,
 * because only the bookmark after them says that all objects were seen.
 */
export async function watch(
  parts: AdminParts,
  views: ObjectViews,
  request: WatchObjectsRequest__Output,
  sink: Sink<WatchEvent>,
  context: CallContext,
): Promise<void> {
  const { federation } = parts;
  const wanted = fromWatch(request);
  const queue = new BoundedQueue<Change>(LIMITS.watchEventsWaiting, overflow);
  // Seen as it is when its turn comes: a site whose agent comes and goes all the time waits once.
  const stirred = new Set<string>();
  const stir = (name: string): void => {
    if (stirred.has(name)) return;
    stirred.add(name);
    queue.push({ type: 'Presence', name });
  };
  // First follow, then look back: what happens in between is seen twice at most, never missed.
  let next = federation.size();
  const stops = follow(parts, views, wanted, queue, stir);
  const change = async (entry: LedgerEntry): Promise<void> => {
    const event = toChange(views, wanted, entry);
    if (event !== undefined) await sink.write(event);
  };
  const bookmark = (): Promise<void> => sink.write({ type: 'BOOKMARK', seq: String(Math.max(0, next - 1)) });
  const present = async (name: string): Promise<void> => {
    const view = views.get(wanted.kind, name);
    if (view !== undefined)
      await sink.write({
        type: 'MODIFIED',
        seq: String(Math.max(0, next - 1)),
        object: toObjectMessage(view),
      });
  };
  try {
    if (wanted.afterSeq === undefined) await sendList(views, wanted, sink);
    else
      for await (const { entry } of federation.entries(resumeAt(wanted.afterSeq, next), next))
        await change(entry);
    await bookmark();
    while (!context.signal.aborted) {
      const happened = await queue.next(LIMITS.watchBookmarkMs, context);
      // Asked again: a context may have been revoked since the stream began.
      parts.callers.operator(context);
      if (happened === undefined) await bookmark();
      else if (happened.type === 'Presence') {
        stirred.delete(happened.name);
        await present(happened.name);
      } else if (happened.entry.seq >= next) {
        await change(happened.entry);
        next = happened.entry.seq + 1;
      }
    }
  } finally {
    for (const stop of stops) stop();
  }
}

/** What a watcher is woken for: an entry about an object of its kind, or what an agent did that shows in it. */
type Change =
  | { readonly type: 'Entry'; readonly entry: LedgerEntry }
  | { readonly type: 'Presence'; readonly name: string };

function follow(
  { federation, agents }: AdminParts,
  views: ObjectViews,
  wanted: WatchRequest,
  queue: BoundedQueue<Change>,
  stir: (name: string) => void,
): readonly (() => void)[] {
  const entries = federation.subscribe((appended) => {
    for (const entry of appended)
      if (views.subjectOf(entry)?.kind === wanted.kind) queue.push({ type: 'Entry', entry });
  });
  if (wanted.kind === 'ModelRollout') return [entries, ...rolloutReports(federation, agents, wanted, stir)];
  if (wanted.kind !== 'Site') return [entries];
  // Connections are no decisions and not in the ledger, but a site's status shows them.
  const presence = agents.subscribe((agentId) => {
    const site = federation.state.agents.get(agentId)?.site;
    if (site !== undefined && (wanted.name === '' || wanted.name === site)) stir(site);
  });
  return [entries, presence];
}

/** How many sites serve a version is known from their agents alone. */
function rolloutReports(
  federation: AdminParts['federation'],
  agents: AdminParts['agents'],
  { name }: WatchRequest,
  stir: (name: string) => void,
): readonly (() => void)[] {
  const changed = (): void => {
    for (const model of federation.state.rollouts.keys()) if (name === '' || name === model) stir(model);
  };
  return [agents.subscribe(changed), agents.subscribeReports(changed)];
}

async function sendList(
  views: ObjectViews,
  { kind, name }: WatchRequest,
  sink: Sink<WatchEvent>,
): Promise<void> {
  for (const view of views.list(kind)) {
    if (name === '' || view.object.metadata.name === name)
      await sink.write({ type: 'ADDED', seq: '0', object: toObjectMessage(view) });
  }
}

function resumeAt(afterSeq: number, size: number): number {
  if (afterSeq < size) return afterSeq + 1;
  throw new TributaryError('INVALID_ARGUMENT', `afterSeq: the ledger has ${String(size)} entries`, {
    hint: 'the coordinator was restored from an older backup; watch from the beginning',
    fields: { field: 'afterSeq' },
  });
}

function toChange(views: ObjectViews, wanted: WatchRequest, entry: LedgerEntry): WatchEvent | undefined {
  const subject = views.subjectOf(entry);
  if (subject === undefined || subject.kind !== wanted.kind) return undefined;
  if (wanted.name !== '' && wanted.name !== subject.name) return undefined;
  const seq = String(entry.seq);
  const event = toEventMessage(entry);
  const view = views.get(subject.kind, subject.name);
  if (view === undefined)
    return { type: 'DELETED', seq, event, object: { kind: subject.kind, name: subject.name, seq } };
  return {
    type: BEGINNINGS.has(entry.type) ? 'ADDED' : 'MODIFIED',
    seq,
    event,
    object: toObjectMessage(view),
  };
}

function overflow(): TributaryError {
  return new TributaryError('OVERLOADED', 'changes come faster than they are read', {
    hint: 'watch again after the last seq that arrived',
    fields: { retryAfterMs: LIMITS.retryAfterMs },
  });
}
