import type { ServerResponse } from 'node:http';

import { ApiError } from './api-error.js';
import { apiVersionOf, type Kind } from './kinds.js';
import type { Fields, KubeObject } from './objects.js';
import type { ChangeEvent, ObjectStore } from './store.js';

export interface Watching {
  readonly kind: Kind;
  readonly namespace: string | undefined;
  readonly matches: (object: KubeObject) => boolean;
  /** How an object is shown: as it is, or as a table. */
  readonly shown: (object: KubeObject) => unknown;
  /** '' and '0' start with what there is. */
  readonly resourceVersion: string;
  readonly sendInitialEvents: boolean;
  readonly bookmarks: boolean;
  readonly timeoutMs: number;
}

/** Between bookmarks. */
const BOOKMARK_MS = 5_000;

/** Streams changes, one JSON object a line, until the client goes or the time is over. */
export function watch(store: ObjectStore, watching: Watching, response: ServerResponse): void {
  const { resourceVersion, sendInitialEvents, shown } = watching;
  response.writeHead(200, { 'content-type': 'application/json' });
  response.flushHeaders();
  const send = (type: string, object: unknown): void =>
    void response.write(`${JSON.stringify({ type, object })}\n`);
  const bookmark = (annotations?: Fields): void => {
    const metadata = { resourceVersion: String(store.version), ...(annotations && { annotations }) };
    send('BOOKMARK', { kind: watching.kind.kind, apiVersion: apiVersionOf(watching.kind), metadata });
  };
  const startsNow = resourceVersion === '' || resourceVersion === '0' || sendInitialEvents;
  if (startsNow) {
    for (const object of store.list(watching.kind, watching.namespace))
      if (watching.matches(object)) send('ADDED', shown(object));
    if (sendInitialEvents) bookmark({ 'k8s.io/initial-events-end': 'true' });
  } else {
    try {
      for (const event of store.since(Number(resourceVersion))) pass(event, watching, send);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      send('ERROR', error.status());
      response.end();
      return;
    }
  }
  const unsubscribe = store.subscribe((event) => pass(event, watching, send));
  const bookmarks = watching.bookmarks ? setInterval(bookmark, BOOKMARK_MS) : undefined;
  const timeout = setTimeout(() => response.end(), watching.timeoutMs);
  response.once('close', () => {
    unsubscribe();
    clearInterval(bookmarks);
    clearTimeout(timeout);
  });
}

/** An object that comes to match is new to a watcher, one that ceases to is gone. */
function pass(event: ChangeEvent, watching: Watching, send: (type: string, object: unknown) => void): void {
  const { kind, namespace, matches, shown } = watching;
  if (event.kind !== kind || (namespace !== undefined && event.object.metadata.namespace !== namespace))
    return;
  const before = event.previous !== undefined && matches(event.previous);
  const after = event.type !== 'DELETED' && matches(event.object);
  if (before && after) send('MODIFIED', shown(event.object));
  else if (after) send('ADDED', shown(event.object));
  else if (before) send('DELETED', shown(event.object));
}
