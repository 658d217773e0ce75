import { LIMITS, type LedgerEntry } from '@tributary/proto';
import type { Description, Event, ObjectRef__Output } from '@tributary/proto/grpc';

import type { ObjectName } from '../../../domain/objects.js';
import { fromRef } from '../wire/admin.js';
import { toEventMessage, toObjectMessage, type ObjectViews } from './object-views.js';
import type { AdminParts } from './parts.js';

/** Entries read backwards at a time, and in all: a description costs a bounded time whatever the ledger's age. */
const WINDOW = 500;
/** Bytes of all events: with the object they fit one message. */
const MOST_BYTES = LIMITS.grpcMessageBytes / 2;

/** The object with the newest entries that concern it, oldest first. */
export async function describe(
  parts: AdminParts,
  views: ObjectViews,
  request: ObjectRef__Output,
): Promise<Description> {
  const wanted = fromRef(request);
  const view = views.require(wanted.kind, wanted.name);
  return { object: toObjectMessage(view), events: await eventsOf(parts, views, wanted) };
}

async function eventsOf(
  { federation }: AdminParts,
  views: ObjectViews,
  wanted: ObjectName,
): Promise<Event[]> {
  const found: Event[] = [];
  let bytes = 0;
  const size = federation.size();
  for (let end = size; end > 0 && size - end < LIMITS.describedEntries; end -= WINDOW) {
    const window: LedgerEntry[] = [];
    for await (const { entry } of federation.entries(Math.max(0, end - WINDOW), end)) {
      if (isAbout(views, entry, wanted)) window.push(entry);
    }
    for (const entry of window.reverse()) {
      const event = toEventMessage(entry);
      bytes += event.body?.length ?? 0;
      if (found.length >= LIMITS.describedEvents || bytes > MOST_BYTES) return found.reverse();
      found.push(event);
    }
  }
  return found.reverse();
}

function isAbout(views: ObjectViews, entry: LedgerEntry, wanted: ObjectName): boolean {
  const subject = views.subjectOf(entry);
  return subject?.kind === wanted.kind && subject.name === wanted.name;
}
